"""Block coordinate descent: greedy rules, message passing, active sets, superlinear ends."""

from typing import Any

import numpy as np

from resolvent.papers import Claim, Measured, Paper, Settings, judge, new_figure
from resolvent.papers.block_coordinate_descent_runs import (
    FIXED,
    UPDATES,
    active_sets,
    by_gradient,
    by_matrix,
    filled,
    lattices,
    partitions,
    sparse_answers,
)

PAPER = Paper(
    name="block-coordinate-descent",
    title="Let's Make Block Coordinate Descent Converge Faster: Faster Greedy Rules, "
    "Message-Passing, Active-Set Complexity, and Superlinear Convergence",
    authors="J. Nutini, I. Laradji, M. Schmidt",
    year=2022,
    venue="JMLR",
    arxiv="1712.08859",
    family="composite",
    methods=("BlockCoordinateDescent",),
    summary="""
    Block coordinate descent improves a few unknowns at a time. Which ones it takes, and what it
    does with them, decides how soon it is done.

    Greedy rules choose the block that a model of the objective promises most of; steps by a matrix
    or by Newton's method solve for the block as a whole; on sparse systems blocks may be forests,
    which hold most of the unknowns and are solved by passing messages. With penalties that have
    kinks, the support of the answer is found after finitely many steps, and what remains then is
    Newton's method on the support.
    """,
    claims=(
        Claim(
            1,
            "Greedy rules beat random and cyclic ones, and those that know constants (GSL, GSD) "
            "beat the one that looks at slopes alone (GS).",
            "Curves. An earlier measurement, one seed, n = 200, p = 1000, blocks of 5, 300 "
            "gradient steps from 5.8e5: sorted fixed blocks: random 3.2e3, cyclic 1.2e3, GS 3.0e3, "
            "GSL 16, "
            "GSD 17, GSQ 21; variable blocks: GS 488, GSD 4.2, GSD by row sums 42",
            "Medians over 5 seeds after 300 gradient steps: on sorted fixed blocks GSL and GSD are "
            "below GS and below random and cyclic choice; on variable blocks GSD is; and GS is "
            "below random and cyclic choice on both.",
            "measured before",
        ),
        Claim(
            2,
            "Matrix steps beat gradient steps by far under every rule, and what exact selection "
            "(GSQ) gains beside GSL or GSD is small.",
            "Curves. An earlier measurement of the same problem, one seed: sorted fixed blocks, "
            "GSL: 16 by gradient and 0.09 by matrix steps; variable blocks, GSD: 4.2 and 2.3e-4",
            "Medians over 5 seeds after 300 steps: for each rule on sorted fixed blocks (GS, GSL, "
            "GSD, GSQ) and on variable ones (GS, GSD) matrix steps end at a tenth or less of "
            "gradient steps; GSQ with matrix steps ends at no less than a tenth of the better one "
            "of GSL and GSD on fixed blocks, and of GSD on variable ones.",
            "measured before",
        ),
        Claim(
            3,
            "Of fixed blocks for gradient steps those sorted by constants are best: they lower the "
            "blocks' constants on average.",
            "Curves. An earlier measurement, one seed, GSL: 16 sorted, 233 averaged, 1.6e3 in "
            "order",
            "Medians over 5 seeds after 300 gradient steps with GSL: sorted below averaged and "
            "below in order; so is the mean of the blocks' constants, for every seed.",
            "measured before",
        ),
        Claim(
            4,
            "On sparse quadratics forests as blocks beat colours, and these beat general blocks of "
            "the same cost; forests that are chosen greedily are best.",
            "Curves. An earlier measurement, lattice 30 x 30, relative gaps after 10, 30, 100 "
            "steps: general blocks 4e-1, 3e-1, 1e-1; red-black 1.2e-1, 3e-2, 2.8e-3; combs 3.3e-2, "
            "3.5e-3, 4.9e-5; random forests 5e-2, 8e-3, 2.6e-4; greedy forests 2.7e-2, 3.1e-3, "
            "4.2e-5",
            "Medians over 5 seeds, after 10, 30 and 100 steps each: greedy forests no worse than "
            "combs, combs better than red-black, red-black better than general blocks.",
            "measured before",
        ),
        Claim(
            5,
            "With sparse answers, proximal Newton and two-metric steps on variable greedy blocks "
            "that hold the support end in finitely many steps; gradient steps do not.",
            "Curves. An earlier measurement (200 x 1000, x >= 0, penalty 0.005 of the largest, "
            "support 167): within 200 steps only variable blocks of 100 with proximal Newton or "
            "two-metric steps reach a relative gap of 1e-8. At 0.3 of the largest (support 2): "
            "proximal Newton 1 step, two-metric 2, gradient 12 to 49",
            "Medians over 5 seeds: at the small penalty both kinds of second-order steps on "
            "variable blocks of 100 reach a relative gap of 1e-8 within 200 steps, and no gradient "
            "steps do; with variable blocks of 400, which hold the support, proximal Newton is at "
            "1e-8 no later than 2 steps after the last change of the support. At the large one "
            "(variable blocks of 5) proximal Newton takes at most 2 steps, two-metric at most 4, "
            "and gradient steps at least 10.",
            "measured before",
        ),
        Claim(
            6,
            "The active set is found after a bounded number of steps.",
            "An earlier measurement, lasso of 60 unknowns: found by proximal gradient steps after "
            "24 steps (bound 174), by cyclic descent after 165, random 501, greedy 1 (bound 1e4)",
            "Refuted if any run exceeds its bound: over 5 seeds every run (all coordinates, "
            "cyclic, random, greedy) finds the active set within `identification_bound`.",
            "measured before",
        ),
    ),
    snippet="""
    import numpy as np, resolvent as rs

    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 400))
    lasso = rs.GeneralizedLinear(X, X[:, :5].sum(axis=1), penalty=rs.functions.L1(0.1))
    method = rs.composite.BlockCoordinateDescent("variable", "gsd", "newton", block_size=50)
    sol = rs.solve(lasso, method, rtol=1e-10)
    print(sol)
    print("the support has last changed in step", sol.memory.get("active set")["changed"])
    """,
    notes="Data as the authors' generators make them, at n = 200 and p = 1000 (1000 and 10,000 "
    "with --full): entries 1 + N(0, 1), columns scaled by 10 N(0, 1), entries kept with "
    "probability 10 log(n) / n, a tenth of the weights not zero, targets with noise N(0, 1). "
    "Objectives are sums over samples, 0.5 ||Ax - b||^2. Scores of fixed blocks use Euclidean "
    "norms. GSQ on variable blocks is iterative hard thresholding, 10 sweeps in units of the "
    "columns' lengths. Lattices have weights 1 and labels 10 N(0, 1) at a 22nd of the nodes; "
    "general blocks are the cube root of n nodes with the largest slopes, solved exactly. Rates "
    "behind identification bounds: 1 - mu / (number of blocks L) a step for random and greedy "
    "choices; for cyclic ones a bound of an epoch's subgradient by its moves, made here.",
)

_COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#e08214", "0.35", "#35978f")
_NAMES = {
    "random": "random", "cyclic": "cyclic", "gs": "GS", "gsl": "GSL", "gsd": "GSD", "gsq": "GSQ",
}  # fmt: skip


def _label(key: tuple[str, ...]) -> str:
    return _NAMES[key[1]] + (" by row sums" if key[3] == "rows" else "")


def _drawn(curves: dict[Any, Any], axes: Any, style: str = "-", note: str = "") -> None:
    for key, values in curves.items():
        colour = _COLOURS[-1] if key[3] == "rows" else _COLOURS[FIXED.index(key[1])]
        axes.semilogy(np.median(values, axis=0), style, color=colour, label=_label(key) + note)
    axes.set_xlabel("blocks")
    axes.legend(frameon=False)


def _ends(curves: dict[Any, Any]) -> dict[Any, float]:
    return {key: float(np.median(values[:, -1])) for key, values in curves.items()}


def _part(curves: dict[Any, Any], partition: str) -> dict[Any, Any]:
    return {key: values for key, values in curves.items() if key[0] == partition}


def _listed(ends: dict[Any, float]) -> str:
    return ", ".join(f"{_label(key)} {value:.2g}" for key, value in ends.items())


def claim_1(settings: Settings) -> Measured:
    """Rules of selection with gradient steps."""
    curves = settings.once(by_gradient)
    ends = _ends(curves)
    figure, axes = new_figure(2)
    for one, partition in zip(axes, ("sort", "variable"), strict=True):
        _drawn(_part(curves, partition), one)
        one.set_title({"sort": "sorted fixed blocks", "variable": "variable blocks"}[partition])
    axes[0].set_ylabel("objective")
    fixed = {key[1]: value for key, value in ends.items() if key[0] == "sort"}
    free = {
        key[1]: value for key, value in ends.items() if key[0] == "variable" and key[3] != "rows"
    }
    return judge(
        {
            "GSL and GSD below GS on fixed blocks": max(fixed["gsl"], fixed["gsd"]) < fixed["gs"],
            "and below random and cyclic choice": max(fixed["gsl"], fixed["gsd"])
            < min(fixed["random"], fixed["cyclic"]),
            "GSD below GS on variable blocks": free["gsd"] < free["gs"],
            "and below random and cyclic choice there": free["gsd"]
            < min(free["random"], free["cyclic"]),
            "GS below random and cyclic choice on fixed blocks": fixed["gs"]
            < min(fixed["random"], fixed["cyclic"]),
            "GS below random and cyclic choice on variable blocks": free["gs"]
            < min(free["random"], free["cyclic"]),
        },
        f"from {_start(curves):.2g}; sorted fixed blocks: {_listed(_part(ends, 'sort'))}; "
        f"variable blocks: {_listed(_part(ends, 'variable'))}",
        figure=figure,
        numbers={" ".join(key): value for key, value in ends.items()},
    )


def _start(curves: dict[Any, Any]) -> float:
    return float(np.median(next(iter(curves.values()))[:, 0]))


def claim_2(settings: Settings) -> Measured:
    """Matrix steps beside gradient steps."""
    slow, fast = settings.once(by_gradient), settings.once(by_matrix)
    before, after = _ends(slow), _ends(fast)
    figure, axes = new_figure(2)
    for one, partition in zip(axes, ("sort", "variable"), strict=True):
        kept = {(key[0], key[1]) for key in fast}
        other = {
            key: values for key, values in _part(slow, partition).items()
            if (key[0], key[1]) in kept and key[3] != "rows"
        }  # fmt: skip
        _drawn(other, one, ":", ", gradient")
        _drawn(_part(fast, partition), one, "-", ", matrix")
        one.set_title({"sort": "sorted fixed blocks", "variable": "variable blocks"}[partition])
    axes[0].set_ylabel("objective")
    ratios = {
        key: value / before[(key[0], key[1], "gradient", "lipschitz")]
        for key, value in after.items()
        if (key[0], key[1], "gradient", "lipschitz") in before
    }
    own = {key[:2]: value for key, value in after.items()}
    best = min(own["sort", "gsl"], own["sort", "gsd"])
    return judge(
        {
            "a tenth or less under every rule": all(ratio <= 0.1 for ratio in ratios.values()),
            "GSQ no more than ten times lower than GSL and GSD on fixed blocks": own["sort", "gsq"]
            >= 0.1 * best,
            "GSQ no more than ten times lower than GSD on variable blocks": own["variable", "gsq"]
            >= 0.1 * own["variable", "gsd"],
        },
        f"by matrix steps, sorted fixed blocks: {_listed(_part(after, 'sort'))}; variable blocks: "
        f"{_listed(_part(after, 'variable'))}; parts of what gradient steps leave: "
        + ", ".join(f"{key[0]} {_label(key)} {ratio:.1g}" for key, ratio in ratios.items()),
        figure=figure,
        numbers={" ".join(key): value for key, value in after.items()},
    )


def claim_3(settings: Settings) -> Measured:
    """Partitions into fixed blocks."""
    found = settings.once(partitions)
    ends = {name: float(np.median(values[:, -1])) for name, values in found["curves"].items()}
    means = {name: np.array(values) for name, values in found["means"].items()}
    figure, axes = new_figure()
    for (name, values), colour in zip(found["curves"].items(), _COLOURS, strict=False):
        axes.semilogy(np.median(values, axis=0), color=colour, label=name)
    axes.set_xlabel("blocks")
    axes.set_ylabel("objective")
    axes.legend(frameon=False)
    return judge(
        {
            "sorted below averaged": ends["sort"] < ends["average"],
            "sorted below in order": ends["sort"] < ends["order"],
            "sorted blocks have the least constants": bool(
                (means["sort"] < np.minimum(means["average"], means["order"])).all()
            ),
        },
        "GSL ends at " + ", ".join(f"{value:.2g} ({name})" for name, value in ends.items())
        + "; means of the blocks' constants "
        + ", ".join(f"{np.median(value):.3g} ({name})" for name, value in means.items()),
        figure=figure,
        numbers={"ends": ends, "means": found["means"]},
    )  # fmt: skip


def claim_4(settings: Settings) -> Measured:
    """Forests as blocks."""
    found = settings.once(lattices)
    length = found["lattice"]["general"].shape[1]
    marks = [k for k in (10, 30, 100) if k < length]
    table = {
        graph: {kind: [float(np.median(gaps[:, k])) for k in marks] for kind, gaps in own.items()}
        for graph, own in found.items()
    }
    figure, axes = new_figure(2)
    for one, (graph, own) in zip(axes, found.items(), strict=True):
        for (kind, gaps), colour in zip(own.items(), _COLOURS, strict=False):
            name = kind
            if graph == "moons":
                name = {"red-black": "colours", "combs": "tree partition"}.get(kind, kind)
            one.semilogy(np.maximum(np.median(gaps, axis=0), 1e-16), color=colour, label=name)
        one.set_xlabel("blocks")
        one.set_title({"lattice": "lattice", "moons": "two moons, 5 neighbours"}[graph])
        one.legend(frameon=False)
    axes[0].set_ylabel("relative gap")
    own = {kind: np.array(values) for kind, values in table["lattice"].items()}
    return judge(
        {
            "greedy forests no worse than combs": bool(
                (own["greedy forests"] <= own["combs"]).all()
            ),
            "combs better than red-black": bool((own["combs"] < own["red-black"]).all()),
            "red-black better than general blocks": bool((own["red-black"] < own["general"]).all()),
        },
        f"relative gaps after {', '.join(map(str, marks))} steps, lattice: "
        f"{_gaps(table['lattice'])}; two moons (colours and a tree partition for red-black "
        f"and combs): {_gaps(table['moons'])}",
        figure=figure,
        numbers=table,
    )


def _gaps(table: dict[str, list[float]]) -> str:
    return "; ".join(
        f"{kind} " + ", ".join(f"{value:.1e}" for value in values) for kind, values in table.items()
    )


def _reached(runs: list[Any], goal: float = 1e-8) -> list[float]:
    """Steps until the relative gap is at the goal; infinite where it never is."""
    return [float(np.argmax(gaps <= goal)) if (gaps <= goal).any() else np.inf for gaps, _ in runs]


def claim_5(settings: Settings) -> Measured:
    """How solves with sparse answers end."""
    found = settings.once(sparse_answers)
    small = {case: _reached(runs) for case, runs in found["small"].items()}
    medians = {case: float(np.median(values)) for case, values in small.items()}
    large = {
        size: {
            name: float(np.median(_reached(found["large"]["variable", name, size])))
            for name in UPDATES
        }
        for size in (5, 50)
    }
    figure, axes = new_figure(2)
    for one, size in zip(axes, (5, 100), strict=True):
        for name, colour in zip(UPDATES, _COLOURS, strict=False):
            for partition, style in (("variable", "-"), ("sort", ":")):
                runs = found["small"][partition, name, size]
                length = max(len(gaps) for gaps, _ in runs)
                middle = np.median([filled(gaps, length) for gaps, _ in runs], axis=0)
                label = f"{name}, {'variable' if partition == 'variable' else 'sorted'}"
                one.semilogy(np.maximum(middle, 1e-14), style, color=colour, label=label)
        one.set_title(f"blocks of {size}")
        one.set_xlabel("blocks")
    axes[0].set_ylabel("relative gap")
    axes[0].legend(frameon=False)
    whole = found["small"]["variable", "proximal Newton", 400]
    late = [reached - rests for reached, (_, rests) in zip(_reached(whole), whole, strict=True)]
    gradients = [values for case, values in small.items() if case[1] == "gradient"]
    ends = {
        " ".join(map(str, case)): (
            medians[case], float(np.median([gaps[-1] for gaps, _ in found["small"][case]])),
        )
        for case in medians
    }  # fmt: skip
    return judge(
        {
            "proximal Newton on variable blocks of 100 reaches 1e-8": medians[
                "variable", "proximal Newton", 100
            ] < np.inf,
            "two-metric steps do": medians["variable", "two-metric", 100] < np.inf,
            "no gradient steps do": all(np.isinf(values).all() for values in gradients),
            "blocks that hold the support end within 2 steps of its last change": max(late) <= 2,
            "a small support takes proximal Newton at most 2 steps": large[5]["proximal Newton"]
            <= 2,
            "two-metric steps at most 4": large[5]["two-metric"] <= 4,
            "gradient steps at least 10": large[5]["gradient"] >= 10,
        },
        f"supports {found['supports']['small']} and {found['supports']['large']}; small penalty, "
        "steps to 1e-8 and last relative gap: "
        + "; ".join(f"{name}: {steps:g}, {gap:.0e}" for name, (steps, gap) in ends.items())
        + "; large penalty, steps: "
        + "; ".join(
            f"blocks of {size}: " + ", ".join(f"{name} {steps:g}" for name, steps in own.items())
            for size, own in large.items()
        ),
        figure=figure,
        numbers={"small": ends, "large": large, "after the last change": late},
        remark="supports have "
        f"{min(found['supports']['small'])} to {max(found['supports']['small'])} unknowns at the "
        f"small penalty and {min(found['supports']['large'])} to "
        f"{max(found['supports']['large'])} at the large one, more than blocks of 100 and of 5 "
        "hold; blocks of 400 and of 50 hold them",
    )  # fmt: skip


def claim_6(settings: Settings) -> Measured:
    """Active sets and their bounds."""
    found = settings.once(active_sets)
    figure, axes = new_figure()
    for (rule, pairs), colour in zip(found.items(), _COLOURS, strict=False):
        steps, bounds = np.array(pairs, float).T
        axes.loglog(np.maximum(bounds, 1), np.maximum(steps, 1), "o", color=colour, label=rule)
    ends = np.array([1.0, 2 * max(bound for pairs in found.values() for _, bound in pairs)])
    axes.loglog(ends, ends, color="0.35", linewidth=1.0)
    axes.set_xlabel("bound")
    axes.set_ylabel("step from which on the active set stays")
    axes.legend(frameon=False)
    return judge(
        {
            f"{rule}: every run within its bound": all(
                steps <= bound < np.inf for steps, bound in pairs
            )
            for rule, pairs in found.items()
        },
        "; ".join(
            f"{rule}: " + ", ".join(f"{steps} ({bound:.0f})" for steps, bound in pairs)
            for rule, pairs in found.items()
        ) + ": steps (bound) of each seed",
        figure=figure,
        numbers=found,
        remark="bounds of greedy rules count one touch a coordinate, which is no proof",
    )  # fmt: skip
