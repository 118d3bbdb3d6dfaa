"""Figures of the tour: readable at a glance, on any background, for any eyes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Okabe and Ito's palette: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
PEER = "#555555"


def new_figure(columns: int = 1, *, width: float = 6.4, height: float = 4.2) -> tuple[Any, Any]:
    """A matplotlib figure and its row of axes, without pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for one in axes:
        one.set_prop_cycle(color=COLOURS)
    return figure, axes


def tidy(ax: Any) -> None:
    """Light grid, no box."""
    ax.grid(True, which="major", alpha=0.3, linewidth=0.7)
    ax.spines[["top", "right"]].set_visible(False)


def save(figure: Any, path: Path) -> Path:
    """Write the figure as PNG."""
    figure.savefig(path, dpi=140)
    return path


def convergence(
    path: Path, solutions: Sequence[Any], labels: Sequence[str], peers: dict[str, tuple[Any, Any]]
) -> Path:
    """Relative residuals of our methods and of peers against the iterations."""
    from resolvent._core.plot import plot_histories

    figure, (ax,) = new_figure(width=7.0)
    plot_histories(solutions, labels=labels, ax=ax)
    for (label, (steps, ratios)), style in zip(peers.items(), ("--", ":"), strict=False):
        # In front and dashed: where both take the same path, both are seen.
        ax.plot(steps, ratios, style, color="black", linewidth=1.3, label=label, zorder=5)
    for text in ax.texts:  # the word "target": to the left, away from where the curves end
        text.set(x=0.01, horizontalalignment="left")
        text.xy = (0.01, text.xy[1])
    ax.legend(frameon=False)
    tidy(ax)
    return save(figure, path)


def pictures(path: Path, before: Any, after: Any, edges: Any) -> Path:
    """The picture before and after, and where the diffusion was held back."""
    figure, axes = new_figure(3, width=4.2, height=4.6)
    for ax, image, title in zip(
        axes,
        (before, after, edges),
        ("before", "after", "edges that were kept (dark: no diffusion)"),
        strict=True,
    ):
        ax.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
        ax.set_title(title, fontsize=12)
        ax.set_axis_off()
    return save(figure, path)


def per_step(
    path: Path, series: dict[str, tuple[Sequence[int], Sequence[float]]], peers: Sequence[str]
) -> Path:
    """Iterations and seconds of every time step, one line a method."""
    figure, (left, right) = new_figure(2, width=6.0, height=4.4)
    colours = iter(COLOURS)
    for label, (iterations, seconds) in series.items():
        peer = label in peers
        style: dict[str, Any] = {
            "color": PEER if peer else next(colours), "linestyle": "--" if peer else "-",
            "marker": "o", "markersize": 3.5, "linewidth": 1.6, "label": label,
        }  # fmt: skip
        steps = np.arange(1, len(iterations) + 1)
        left.plot(steps, iterations, **style)
        right.plot(steps, seconds, **style)
    left.set_ylabel("iterations")
    right.set_ylabel("seconds")
    for ax in (left, right):
        ax.set_xlabel("time step")
        ax.set_ylim(bottom=0)
        ax.xaxis.get_major_locator().set_params(integer=True)
        tidy(ax)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", frameon=False,
        ncols=min(5, len(series)),
    )  # fmt: skip
    return save(figure, path)


def on_mesh(
    path: Path,
    vertices: Any,
    elements: Any,
    values: Any,
    label: str,
    closer: tuple[float, float, float, float] | None = None,
) -> Path:
    """A function on a triangulation, linear in each triangle, with the mesh over it.

    Args:
        path: the PNG file.
        vertices: shape (n, 2).
        elements: shape (m, 3).
        values: of the function at the vertices, shape (n,).
        label: what it is.
        closer: a window (left, right, bottom, top) to show enlarged beside the whole.
    """
    from matplotlib.ticker import MaxNLocator
    from matplotlib.tri import Triangulation

    panels = 1 if closer is None else 2
    figure, axes = new_figure(panels, width=6.0, height=4.8)
    mesh = Triangulation(vertices[:, 0], vertices[:, 1], elements)
    filled = []
    for ax in axes:
        # Fine contours: shading between corner colours would mix yellow and purple to brown.
        drawn = ax.tricontourf(mesh, values, levels=64, cmap="viridis")
        drawn.set_edgecolor("face")
        filled.append(drawn)
        ax.triplot(mesh, color="white", linewidth=0.4, alpha=0.6)
        ax.set_aspect("equal")
        ax.set_axis_off()
    if closer is not None:
        left, right, bottom, top = closer
        frame = {"color": "#222222", "linewidth": 1.0}
        for ax in axes:
            ax.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], **frame)
        axes[1].set(xlim=(left, right), ylim=(bottom, top))
    bar = figure.colorbar(filled[0], ax=list(axes), label=label, shrink=0.85)
    bar.locator = MaxNLocator(6)
    bar.update_ticks()
    return save(figure, path)


def gallery(path: Path, pictures: Sequence[tuple[Any, str]]) -> Path:
    """Colour pictures with their titles, two in a row."""
    from matplotlib.figure import Figure

    rows = (len(pictures) + 1) // 2
    figure = Figure(figsize=(11.0, 3.8 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, (picture, title) in zip(axes, pictures, strict=False):
        ax.imshow(picture)
        ax.set_title(title, fontsize=12)
    return save(figure, path)


def plans(path: Path, palettes: Any, moved: Any, shown: int = 150) -> Path:
    """Samples of two palettes in their own colours, over lightness, and where the first ones go."""
    from skimage.color import lab2rgb

    figure, axes = new_figure(2, width=5.8, height=4.8)
    x, y = palettes.x, palettes.y
    for ax, (across, up, names) in zip(
        axes, ((1, 0, ("green to red (a)", "lightness (L)")),
               (2, 0, ("blue to yellow (b)", "lightness (L)"))), strict=True,
    ):  # fmt: skip
        for here, there in zip(x[:shown], moved[:shown], strict=False):
            ax.plot(
                [here[across], there[across]], [here[up], there[up]], color="#999999",
                linewidth=0.5, alpha=0.6, zorder=1,
            )  # fmt: skip
        for points, marker, label in ((x, "o", "first photograph"), (y, "^", "second")):
            ax.scatter(
                points[:, across], points[:, up], c=np.clip(lab2rgb(points[None])[0], 0, 1),
                s=16, marker=marker, linewidths=0.3, edgecolors="#333333", label=label, zorder=2,
            )  # fmt: skip
        ax.set(xlabel=names[0], ylabel=names[1])
        tidy(ax)
    axes[0].legend(frameon=False)
    return save(figure, path)
