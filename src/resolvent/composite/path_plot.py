"""The picture of a path: each coefficient against the weight of the penalty."""

from typing import Any

import numpy as np

_LABELLED = 10


def plot_path(found: Any, names: Any, ax: Any, path: str | None) -> Any:
    """Draw a `Path`; see `Path.plot`."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = None
    if ax is None:
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        ax = figure.subplots()
        ax.grid(True, which="major", alpha=0.35)
        ax.spines[["top", "right"]].set_visible(False)
    curves = found.coefficients.reshape(len(found), -1)
    last = curves[-1]
    most = np.argsort(-np.abs(last), kind="stable")[:_LABELLED]
    most = [index for index in most if last[index] != 0]
    colors = matplotlib.colormaps["tab10"].colors  # pyright: ignore[reportAttributeAccessIssue]
    alive = np.flatnonzero(curves.any(axis=0))
    for index in alive:
        place = most.index(index) if index in most else None
        ax.plot(
            found.lambdas, curves[:, index], linewidth=1.6 if place is not None else 0.8,
            color="0.7" if place is None else colors[place], zorder=1 if place is None else 2,
            label=None if place is None or names is None else names[index],
        )  # fmt: skip
    ax.axhline(0.0, color="0.3", linewidth=0.8)
    if len(found) > 1:
        ax.set_xscale("log")
        ax.invert_xaxis()
    ax.set_xlabel("weight of the penalty")
    ax.set_ylabel("coefficient")
    if names is not None and most:
        ax.legend(fontsize="small", frameon=False)
    if path is not None:
        (figure or ax.figure).savefig(path, dpi=150)
    return ax
