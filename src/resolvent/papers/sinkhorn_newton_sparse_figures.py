"""Figures of the experiments on sparse Newton steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resolvent.papers import new_figure
from resolvent.papers.sinkhorn_newton_sparse_data import OWN, PLAIN, RELAXED, Chain, Run

_GREY = "0.2"


def race(runs: Mapping[str, Run], kept: Sequence[int], title: str) -> Any:
    """The marginal error by iteration, and the seconds by the number of kept entries."""
    figure, axes = new_figure(2, width=6.2)
    names = [f"K = {one}n" for one in kept]
    for name, colour in zip([*names, PLAIN, RELAXED], _colours(names), strict=True):
        run = runs[name]
        line = ":" if name == RELAXED else "-"
        axes[0].plot(np.maximum(run.outer, 1), run.errors, line, color=colour, label=name)
        if name in names:
            axes[0].plot(run.outer[0], run.errors[0], "o", markersize=4, color=colour)
    axes[0].set(xscale="log", yscale="log", title=title)
    axes[0].set_xlabel("sweeps and Newton steps (dots: Newton begins)")
    axes[0].set_ylabel("marginal error, l1")
    axes[0].legend(fontsize=8)
    _seconds(axes[1], [runs[name] for name in names], kept)
    for name, line in ((PLAIN, "-"), (RELAXED, ":"), (OWN, "--")):
        colour = "C0" if name == OWN else _GREY
        label = "Newton, own choice of K and sweeps" if name == OWN else name
        label += "" if runs[name].converged else " (cut off)"
        axes[1].axhline(runs[name].seconds, color=colour, linestyle=line, label=label)
    axes[1].legend(fontsize=8)
    return figure


def _colours(names: Sequence[str]) -> list[str]:
    return [f"C{i}" for i in range(len(names))] + [_GREY, _GREY]


def _seconds(axis: Any, runs: Sequence[Run], kept: Sequence[int]) -> None:
    axis.plot(kept, [run.seconds for run in runs], "-", color="C0", zorder=1)
    for solved, look, label in ((True, "oC0", "solved"), (False, "xC3", "given up")):
        here = [
            (one, run.seconds)
            for one, run in zip(kept, runs, strict=True)
            if run.converged is solved
        ]
        if here:
            axis.plot(*zip(*here, strict=True), look, label=f"Newton, {label}")
    axis.set(xscale="log", yscale="log", title="time")
    _ticks(axis, kept)
    axis.set_ylabel("seconds")


def _ticks(axis: Any, kept: Sequence[int]) -> None:
    axis.set_xticks(kept, [f"{one}n" for one in kept])
    axis.xaxis.set_minor_locator(_no_ticks())
    axis.set_xlabel("kept entries K")


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def ratios(races: Sequence[Mapping[str, Run]], kept: Sequence[int], title: str) -> Any:
    """By what each Newton step multiplies the error, and CG products by kept entries."""
    figure, axes = new_figure(2, width=6.2)
    for i, one in enumerate(kept):
        for which, runs in enumerate(races):
            run = runs[f"K = {one}n"]
            steps = np.arange(1, len(run.ratios) + 1)
            axes[0].plot(
                steps, run.ratios, ".-", color=f"C{i}", alpha=0.75, markersize=4, linewidth=1,
                label=f"K = {one}n" if which == 0 else None,
            )  # fmt: skip
            axes[1].plot(one, run.products, "o", color=f"C{i}", alpha=0.75)
    axes[0].set(yscale="log", title=title)
    axes[0].set_xlabel("Newton step")
    axes[0].set_ylabel("error after it over error before")
    axes[0].legend(fontsize=8)
    axes[1].set(xscale="log", yscale="log", title="CG products of the whole solve")
    axes[1].set_ylabel("products with the Hessian")
    _ticks(axes[1], kept)
    return figure


def by_eta(groups: Mapping[int, Mapping[float, Mapping[str, Run]]]) -> Any:
    """Seconds of Newton steps and of both Sinkhorns, by eta; one of the axes a size."""
    figure, axes = new_figure(len(groups), width=6.2)
    for axis, (n, group) in zip(axes, groups.items(), strict=True):
        for name, line, colour, label in (
            ("K = 6n", "o-", "C2", "Newton, K = 6n"), (PLAIN, "s-", _GREY, PLAIN),
            (RELAXED, "^:", _GREY, RELAXED),
        ):  # fmt: skip
            seconds = [runs[name].seconds for runs in group.values()]
            axis.plot(list(group), seconds, line, color=colour, label=label)
            for eta, runs in group.items():
                if not runs[name].converged:
                    axis.plot(eta, runs[name].seconds, line[0], color=colour, mfc="white")
        axis.set(xscale="log", yscale="log", title=f"random assignment, n = {n}")
        axis.set_xticks(list(group), [f"{eta:g}" for eta in group])
        axis.xaxis.set_minor_locator(_no_ticks())
        axis.set_xlabel("eta (white marks: cut off before the end)")
        axis.set_ylabel("seconds to 1e-12")
        axis.legend(fontsize=8)
    return figure


def by_sweeps(groups: Mapping[str, Mapping[int, Run]]) -> Any:
    """The error by Newton step after so many sweeps; one of the axes a problem."""
    figure, axes = new_figure(len(groups), width=6.2)
    for axis, (title, group) in zip(axes, groups.items(), strict=True):
        for sweeps, run in group.items():
            steps = run.newton + 1 - np.arange(len(run.errors), 0, -1)
            axis.plot(steps, run.errors, ".-", markersize=4, label=f"{sweeps} sweeps first")
        axis.set(yscale="log", title=title)
        axis.set_xlabel("Newton steps")
        axis.set_ylabel("marginal error, l1")
        axis.legend(fontsize=8)
    return figure


def sparsity(chains: Sequence[Chain], title: str) -> Any:
    """The mass outside the n largest entries by sweep, with the bounds of the theorem."""
    figure, axis = new_figure()
    for i, one in enumerate(chains):
        first = i == 0
        axis.plot(
            one.sweeps, one.distances, "o-", color=f"C{i}", markersize=4,
            label="plan after t sweeps" if first else None,
        )  # fmt: skip
        axis.plot(one.sweeps, one.bounds, "--", color=f"C{i}", label="its bound" if first else None)
        axis.axhline(
            one.rest, color=f"C{i}", linestyle=":", linewidth=1,
            label="first term of the bound" if first else None,
        )  # fmt: skip
    axis.set(xscale="log", yscale="log", title=title)
    axis.set_xlabel("sweeps t (colours: seeds)")
    axis.set_ylabel("mass outside the n largest entries")
    axis.legend(fontsize=8)
    return figure
