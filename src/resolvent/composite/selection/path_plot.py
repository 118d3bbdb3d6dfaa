"""Pictures of paths: coefficients against the weight, losses against the iterations."""

from typing import Any

import numpy as np

_LABELLED = 10


def plot_path(found: Any, names: Any, ax: Any, path: str | None) -> Any:
    """Draw a `Path`; see `Path.plot`."""
    import matplotlib

    ax = _axes() if ax is None else ax
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
    return _saved(ax, path)


def plot_losses(found: Any, ax: Any, path: str | None) -> Any:
    """Draw an `ApproximateCrossValidation`; see its `plot`."""
    ax = _axes() if ax is None else ax
    steps, best = found.steps, found.best
    ax.plot(steps, found.losses, color="#2166ac", label="left out")
    low, high = (found.losses + sign * found.standard_errors for sign in (-1, 1))
    ax.fill_between(steps, low, high, color="#2166ac", alpha=0.15, linewidth=0)
    ax.plot(steps, found.training, color="0.5", label="training")
    for (name, losses), style in zip(found.baselines.items(), ("--", ":"), strict=False):
        ax.plot(steps, losses, style, color="#b2182b", linewidth=1.0, label=name)
    ax.plot(steps[best], found.losses[best], "o", color="#2166ac", label="least")
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlabel("iteration")
    ax.set_ylabel("mean loss")
    ax.legend(fontsize="small", frameon=False)
    return _saved(ax, path)


def _axes() -> Any:
    from matplotlib.figure import Figure

    ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
    ax.grid(True, which="major", alpha=0.35)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _saved(ax: Any, path: str | None) -> Any:
    if path is not None:
        ax.figure.savefig(path, dpi=150)
    return ax
