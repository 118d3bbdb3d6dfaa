"""Pictures of trajectories through snapshots, coloured by time."""

from typing import Any

import numpy as np

from resolvent._core.checks import refuse

_CLOUD = 80  # particles of a snapshot above which it is drawn as a cloud


def plot_bridges(
    process: Any,
    drawn: Any,
    *,
    coordinates: tuple[int, ...] | None = None,
    held_out: Any = None,
    ax: Any = None,
    title: str | None = None,
    colours: str = "viridis",
) -> Any:
    """Draw paths through the snapshots, in a plane of two coordinates or one against time.

    Args:
        process: the `BridgedProcess`, whose snapshots are drawn.
        drawn: paths of its `sample`.
        coordinates: one coordinate (against time) or two (a plane); the first two when absent.
        held_out: pairs (time, points) drawn as hollow circles, for comparison.
        ax: a matplotlib axes to draw on; a new figure when absent.
        title: of the axes.
        colours: a matplotlib colour map, from the first time to the last.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: coordinates that the state does not have.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.transport.schrodinger import SchrodingerBridge, plot_bridges
        rng = np.random.default_rng(0)
        snapshots = [rng.normal(mean, 0.3, (30, 2)) for mean in (0.0, 1.0)]
        process = rs.solve(SchrodingerBridge(snapshots, [0.0, 1.0], 0.5)).x
        axes = plot_bridges(process, process.sample(key=0, count=20))
        ```
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    problem = process.problem
    if coordinates is None:
        coordinates = tuple(range(min(problem.d, 2)))
    if len(coordinates) not in (1, 2) or any(c not in range(problem.d) for c in coordinates):
        refuse(
            ValueError, "coordinates", given=f"{coordinates}",
            needed=f"one or two of 0 to {problem.d - 1}", advice="Leave it out for the first two.",
        )  # fmt: skip
    if ax is None:
        ax = Figure(figsize=(6.0, 5.0), layout="constrained").add_subplot()
        ax.spines[["top", "right"]].set_visible(False)
    first, last = problem.times[0], problem.times[-1]
    colour = colormaps[colours].resampled(256)

    def shade(t: Any) -> Any:
        return colour(0.92 * (np.asarray(t) - first) / (last - first))

    def place(points: Any, t: Any) -> tuple[Any, Any]:
        across = points[..., coordinates[0]]
        if len(coordinates) == 2:
            return across, points[..., coordinates[1]]
        return np.broadcast_to(t, across.shape), across

    x, y = place(drawn.paths, drawn.times)
    corners = np.stack([x, y], axis=-1)
    pieces = np.stack([corners[:, :-1], corners[:, 1:]], axis=2).reshape(-1, 2, 2)
    shades = np.tile(shade(drawn.times[:-1]), (len(corners), 1))
    alpha = float(np.clip(14.0 / len(corners), 0.12, 0.8))
    lines = LineCollection(list(pieces), colors=shades, linewidths=1.0, alpha=alpha, zorder=3)
    ax.add_collection(lines)
    # Large clouds lie pale behind the paths, small ones are seen in front of them.
    cloud = max(len(points) for points in problem.snapshots) > _CLOUD
    look = {"s": 7, "alpha": 0.3, "zorder": 2} if cloud else {"s": 16, "zorder": 4}
    for t, points in zip(problem.times, problem.snapshots, strict=True):
        colour_now = [shade(t)]
        edge = "none" if cloud else "white"
        ax.scatter(*place(points, t), c=colour_now, edgecolors=edge, linewidths=0.4, **look)
    for t, points in held_out or ():
        ax.scatter(
            *place(np.asarray(points), t), s=14, facecolors="none", edgecolors=shade(t),
            linewidths=0.8, zorder=3.5,
        )  # fmt: skip
    ax.autoscale_view()
    names = [f"$x_{c + 1}$" for c in coordinates]
    ax.set_xlabel(names[0] if len(names) == 2 else "time")
    ax.set_ylabel(names[-1])
    if title is not None:
        ax.set_title(title)
    return ax
