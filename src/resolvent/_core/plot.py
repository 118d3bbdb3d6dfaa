"""Convergence plots that can be read without zooming."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from resolvent._core.checks import one_of, refuse

_LABELS = {"steps": "iterations", "calls": "oracle calls", "seconds": "seconds"}


def plot_histories(
    solutions: Sequence[Any],
    *,
    against: str = "steps",
    labels: Sequence[str] | None = None,
    relative: bool = True,
    ax: Any = None,
    path: str | None = None,
) -> Any:
    """Draw the histories of several solutions on one log-scale axis.

    Args:
        solutions: solutions that carry a history, in the order of the legend.
        against: `steps`, `calls` (oracle calls) or `seconds`.
        labels: legend entries; the methods' names when absent.
        relative: divide by the certificate's scale.
        ax: a matplotlib axes to draw on; a new figure when absent.
        path: save the figure there as well.

    Returns:
        The matplotlib axes.

    Raises:
        ValueError: for an unknown `against` or a solution without history.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problem = rs.LinearSystem(np.diag([1.0, 2.0, 3.0]), np.ones(3))
        axes = rs.plot_histories([rs.solve(problem, rs.linear.CG())])
        ```
    """
    import matplotlib
    from matplotlib.figure import Figure

    one_of("against", against, _LABELS)
    if not isinstance(solutions, Sequence):
        refuse(
            TypeError, "solutions", given=f"a {type(solutions).__name__}", needed="a list",
            advice="Write [solution], or solution.plot().",
        )  # fmt: skip
    labels = [solution.method for solution in solutions] if labels is None else list(labels)
    if not solutions or len(labels) != len(solutions):
        refuse(
            ValueError, "solutions, labels",
            given=f"{len(solutions)} solutions and {len(labels)} labels",
            needed="at least one solution and as many labels", advice="Check both lists.",
        )  # fmt: skip
    if ax is None:
        # A bare Figure needs no display and leaves pyplot's global state alone, but an
        # interactive session expects its figure to be shown.
        if matplotlib.get_backend().lower() in ("agg", "svg", "pdf"):
            ax = Figure(figsize=(7.0, 4.2), layout="constrained").add_subplot()
        else:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=(7.0, 4.2), layout="constrained").add_subplot()
    for solution, label in zip(solutions, labels, strict=True):
        history = solution.history
        if history is None:
            refuse(
                ValueError, "solutions", given=f"a solution of {label} without history",
                needed="solutions of rs.solve outside JAX transformations",
                advice="Solve without jit, vmap or grad to record a history.",
            )  # fmt: skip
        scale = float(np.max(np.asarray(solution.certificate.scale, float))) if relative else 1.0
        scale = scale or 1.0
        across = getattr(history, against)
        values = np.where(history.measures > 0, history.measures, np.nan) / scale
        (line,) = ax.plot(across, values, label=str(label), linewidth=1.8)
        if len(across):
            ax.plot(across[-1], values[-1], "o", color=line.get_color(), markersize=5)
    targets = {
        float(np.max(np.asarray(solution.certificate.target, float)))
        / (float(np.max(np.asarray(solution.certificate.scale, float))) or 1.0)
        for solution in solutions
    }
    if relative and len(targets) == 1 and (target := targets.pop()) > 0:
        ax.axhline(target, color="0.4", linestyle="--", linewidth=1.0)
        ax.annotate(
            "target", (1.0, target), xycoords=("axes fraction", "data"), ha="right", va="bottom",
            fontsize=9, color="0.3",
        )  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel(_LABELS[against])
    name = solutions[0].history.name if solutions else "measure"
    ax.set_ylabel(name if relative else f"{name} (absolute)")
    ax.grid(True, which="major", alpha=0.35)
    ax.spines[["top", "right"]].set_visible(False)
    if len(solutions) > 1 or labels:
        ax.legend(frameon=False)
    if path is not None:
        ax.figure.savefig(path, dpi=150)
    return ax
