"""Small-Gain Nash: games that contract in a metric of blocks, though not in the Euclidean one."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from resolvent.papers import Claim, Measured, Paper, Settings, judge, new_figure

PAPER = Paper(
    name="small-gain-nash",
    title="Small-Gain Nash: Certified Contraction to Nash Equilibria in Differentiable Games",
    authors="V. Sharma",
    year=2025,
    venue="arXiv",
    arxiv="2512.06791",
    family="inclusion",
    methods=("CertifiedEuler", "CertifiedRungeKutta"),
    summary="""
    A game whose players feel each other unequally need not be monotone, and may still contract to
    its equilibrium if lengths are measured with one weight a player.

    From each player's own curvature and the couplings of pairs, small-gain conditions give such
    weights, a margin, and steps of the game's dynamics that are safe. Rosen's condition is the
    same test with equal weights in the Euclidean metric; it fails as soon as couplings are strong
    and lopsided.
    """,
    claims=(
        Claim(
            1,
            "In the flagship game of 64 unknowns (couplings 10 lam and 0.05 lam by a rotation) the "
            "certificate reaches up to where the flow loses stability, far beyond monotonicity.",
            "Monotone up to lam = 2 / (a + b) = 0.1990, certified up to 1 / sqrt(a b) = 1.4142, "
            "7.1 times as far. An earlier measurement (lam: Euclidean margin, alpha, beta, "
            "2 alpha / beta^2, true Euler limit, 2.5 / beta, true RK4 limit): 0.1: 0.498, 0.929, "
            "1.071, 1.621, 1.868, 2.335, 2.601; 0.5: -1.51, 0.646, 1.354, 0.706, 1.478, 1.847, "
            "2.058; 1.0: -4.03, 0.293, 1.707, 0.201, 1.172, 1.465, 1.632; 1.41: -6.09, 0.0030, "
            "1.997, 0.0015, 1.002, 1.252, 1.395; 1.42: alpha = -0.0041, no stable step",
            "Numbers agree with these to one unit of the last digit given, both ends of the range "
            "to 1e-4; alpha is the true margin to 1e-4; at 28 values of lam up to 1.41 every "
            "certified Euler step shortens the distance in the metric, 300 times in a row, and "
            "every Runge-Kutta step of 2.5 / beta is stable.",
            "measured before",
        ),
        Claim(
            2,
            "At lam = 1 the certificate holds for a wide band of timescales r = w_2 / w_1.",
            "r in [34.31, 1165.7] by the closed formula, best r = a / b = 200; by a scan 34.33 to "
            "1164.2, best 199.9",
            "The formula gives both ends in all digits given; a scan of 4001 ratios in [0.1, 1e4] "
            "ends within one of its points of them, on both sides, and its best alpha / beta and "
            "alpha / beta^2 are within one of its points of 200.",
            "measured before",
        ),
        Claim(
            3,
            "In the toy game of two unknowns some trajectories leave the Euclidean ball that they "
            "start on, and none its ellipsoid of the metric with weights (1, 200).",
            "360 angles: the largest ||x(t)|| / ||x(0)|| is 4.11, the norm in the metric never "
            "increases",
            "The largest growth is 4.11 in all digits given; the norm in the metric falls from "
            "each of 2001 times to the next at each of 360 angles, and is never above "
            "exp(-alpha t) of its first value.",
            "measured before",
        ),
        Claim(
            4,
            "Certificates cover random quadratic games far beyond monotonicity, and no certified "
            "step is unstable.",
            "30 games of 64 unknowns at 7 strengths of coupling up to 2.5; the authors print plots "
            "of the part that is certified and of certified over true step lengths",
            "Refuted if one certified step, of Euler's method at 2 alpha / beta^2 or of Runge and "
            "Kutta's at 2.5 / beta, is unstable. Confirmed if none is and, over all pairs, more "
            "games are certified than are monotone.",
        ),
        Claim(
            5,
            "In a Markov game with entropy, constants that are sampled in the Fisher metric around "
            "the equilibrium give steps with which natural gradient descent converges.",
            "Convergence for every step below 2 alpha / beta^2 from 20 starts in the cube, "
            "failures only at multiples of it (the authors print plots)",
            "From all of 20 starts the natural gradient comes below 1e-9 with 0.1, 0.25, 0.5, "
            "0.75, 0.9 and 0.99 times 2 alpha / beta^2; with some multiple up to 64 it does not.",
        ),
    ),
    snippet="""
    import numpy as np, resolvent as rs

    H = np.array([[1.0, 10.0], [0.05, 1.0]])  # not monotone: H + H^T is indefinite
    game = rs.QuadraticGame(H, np.array([-1.0, 0.5]), sizes=(1, 1))
    found = rs.inclusion.small_gain(game)
    print(found)
    sol = rs.solve(game, rs.inclusion.CertifiedEuler(found), rtol=1e-8)
    print(sol.steps, found.error_bound(game, sol.x))
    """,
    notes="True limits are those of spectral radii. Random games have own blocks G^T G + I with G "
    "normal of 32 x 32, and random couplings of norm 1 times 10 lam and 0.05 lam, lam = 0 to 2.5 "
    "in steps of 5/12; their weights are those with the largest margin. The Markov game: two "
    "players, two states, two actions, discount 0.9, payoff 1 for the same action and -1 "
    "otherwise, entropy of all policies added with weight 1; equilibrium by Adam; constants are "
    "the worst of 256 vertices of the cube of half-width 0.1 around it. They are samples, and the "
    "metric's own change is left out: that claim is evidence, and no certificate.",
)

KNOWN = {
    0.1: ("0.498", "0.929", "1.071", "1.621", "1.868", "2.335", "2.601"),
    0.5: ("-1.51", "0.646", "1.354", "0.706", "1.478", "1.847", "2.058"),
    1.0: ("-4.03", "0.293", "1.707", "0.201", "1.172", "1.465", "1.632"),
    1.41: ("-6.09", "0.0030", "1.997", "0.0015", "1.002", "1.252", "1.395"),
}
BEYOND, BEYOND_MARGIN = 1.42, "-0.0041"
MULTIPLES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_BLUE, _RED, _GREY = "#2166ac", "#b2182b", "0.35"


class Row(NamedTuple):
    """What is known of one strength of coupling."""

    euclidean: float
    alpha: float
    beta: float
    euler: float
    true_euler: float
    rk4: float
    true_rk4: float
    true_alpha: float


def _analysed(H: np.ndarray) -> Any:
    from resolvent import QuadraticGame
    from resolvent.inclusion.small_gain import small_gain

    half = len(H) // 2
    game = QuadraticGame(H, sizes=(half, half))
    return game, small_gain(game)


def _euclidean(H: np.ndarray) -> float:
    return float(np.linalg.eigvalsh((H + H.T) / 2)[0])


def _row(H: np.ndarray) -> Row:
    from resolvent.papers.small_gain_nash_data import euler_limit, rk4_limit

    _, found = _analysed(H)
    eigenvalues = np.linalg.eigvals(H)
    return Row(
        _euclidean(H), found.margin, found.lipschitz, found.step_sizes[1],
        euler_limit(eigenvalues), found.rk4_step, rk4_limit(eigenvalues), found.true_margin,
    )  # fmt: skip


def _end(holds: Any) -> float:
    """The strength in (0, 2) from which on a condition no longer holds."""
    low, high = 0.0, 2.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _flagship(settings: Settings) -> dict[str, Any]:
    """Rows by strength, the ends of all ranges, and what certified steps do."""
    from resolvent.inclusion.certified_dynamics import CertifiedEuler
    from resolvent.inclusion.regret import trajectory
    from resolvent.papers.small_gain_nash_data import flagship, rk4_radius

    settings.say("flagship game: margins and step lengths")
    grid = [*KNOWN, *np.linspace(0.05, 1.40, settings.pick(24, tiny=3)).tolist(), BEYOND]
    rows = {lam: _row(flagship(lam)) for lam in sorted(grid)}
    ends = {
        "monotone": _end(lambda lam: _euclidean(flagship(lam)) >= 0),
        "certified": _end(lambda lam: _analysed(flagship(lam))[1].contracts),
        "stable": _end(lambda lam: np.linalg.eigvals(flagship(lam)).real.min() > 0),
    }
    falls, radii = {}, {}
    rng = np.random.default_rng(0)
    for lam, row in rows.items():
        if row.alpha <= 0:
            continue
        settings.say(f"flagship game: certified steps at lam = {lam:.3g}")
        game, found = _analysed(flagship(lam))
        start = tuple(rng.standard_normal((2, 32)))
        method = CertifiedEuler(found, 0.999 * row.euler)
        plays, _ = trajectory(game, method, settings.pick(300, tiny=10), start)
        points = [np.r_[first[None], rest] for first, rest in zip(start, plays, strict=True)]
        norms = np.sqrt(
            sum(w * (x**2).sum(axis=1) for w, x in zip(found.weights, points, strict=True))
        )
        # Once they are as small as rounding, distances need not fall.
        falls[lam] = bool((np.diff(norms)[norms[1:] > 1e-14 * norms[0]] < 0).all())
        radii[lam] = float(rk4_radius(np.linalg.eigvals(game.F.H), row.rk4))
    return {"rows": rows, "ends": ends, "falls": falls, "radii": radii}


def _agrees(value: float, text: str) -> bool:
    """Whether a number is within one unit of the last digit of a text."""
    return abs(value - float(text)) <= 10.0 ** -len(text.split(".")[1])


def claim_1(settings: Settings) -> Measured:
    """The flagship game: ranges, margins and step lengths."""
    found = settings.once(_flagship)
    rows, ends = found["rows"], found["ends"]
    lams = np.array(list(rows))
    table = np.array(list(rows.values()))
    figure, (left, right) = new_figure(2)
    left.plot(lams, table[:, 1], color=_BLUE, label=r"margin $\alpha$ of the certificate")
    left.plot(lams, table[:, 0], color=_RED, label="margin in the Euclidean metric")
    left.axhline(0.0, color=_GREY, linewidth=1.0)
    left.axvline(ends["monotone"], color=_RED, linestyle=":")
    left.axvline(ends["certified"], color=_BLUE, linestyle=":")
    left.set_ylim(-6.5, 1.5)
    left.set_ylabel("margin")
    kinds = ((3, 4, _BLUE, "Euler"), (5, 6, _RED, "Runge-Kutta"))
    for certified, true, colour, name in kinds:
        here = table[:, 1] > 0
        right.semilogy(lams[here], table[here, true], "--", color=colour, label=f"{name}, true")
        right.semilogy(lams[here], table[here, certified], color=colour, label=f"{name}, certified")
    right.set_ylabel("longest step")
    for axis, place in ((left, "lower center"), (right, "lower left")):
        axis.set_xlabel(r"strength of coupling $\lambda$")
        axis.legend(frameon=False, loc=place)
    known = {lam: row for lam, row in rows.items() if lam in KNOWN}
    agree = all(
        _agrees(value, text)
        for lam, row in known.items()
        for value, text in zip(row, KNOWN[lam], strict=False)
    )
    beyond = rows[BEYOND]
    ratio = ends["certified"] / ends["monotone"]
    return judge(
        {
            "numbers as measured before": agree and _agrees(beyond.alpha, BEYOND_MARGIN),
            "ranges end at 0.1990 and 1.4142, a ratio of 7.1": abs(ends["monotone"] - 2 / 10.05)
            < 1e-4 and abs(ends["certified"] - math.sqrt(2.0)) < 1e-4 and f"{ratio:.1f}" == "7.1",
            "the flow loses stability where the certificate ends": abs(
                ends["certified"] - ends["stable"]
            ) < 1e-4 and beyond.true_euler == beyond.true_rk4 == 0.0,
            "alpha is the true margin": bool(np.abs(table[:, 1] - table[:, 7]).max() <= 1e-4),
            "certified Euler steps shorten every distance": all(found["falls"].values()),
            "certified Runge-Kutta steps are stable": max(found["radii"].values()) < 1.0,
        },
        f"monotone up to {ends['monotone']:.4f}, certified up to {ends['certified']:.4f} "
        f"({ratio:.2f} times as far), stable up to {ends['stable']:.4f}; "
        + "; ".join(f"{lam:g}: " + _listed(row[:7]) for lam, row in known.items())
        + f"; {BEYOND}: alpha = {beyond.alpha:.4f}",
        figure=figure,
        numbers={"rows": {lam: row._asdict() for lam, row in rows.items()}, "ends": ends},
    )  # fmt: skip


def _listed(values: Any) -> str:
    return ", ".join(f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.4f}" for value in values)


def _band(settings: Settings) -> dict[str, Any]:
    """alpha and beta of the flagship game at lam = 1, by ratios of weights."""
    from resolvent.inclusion.block_constants import block_constants
    from resolvent.inclusion.block_metrics import margin, metric_lipschitz
    from resolvent.papers.small_gain_nash_data import flagship

    settings.say("flagship game: ratios of weights")
    # The couplings' singular values are all the same: two unknowns a player tell the whole.
    game, found = _analysed(flagship(1.0, n=settings.pick(2, full=32)))
    constants = block_constants(game)
    ratios = np.geomspace(0.1, 1e4, settings.pick(4001, tiny=401))
    weights = [np.array([1.0, ratio]) for ratio in ratios]
    alpha = np.array([margin(constants.curvature, constants.coupling, w) for w in weights])
    beta = np.array([metric_lipschitz(constants, w, game.F.sizes) for w in weights])
    return {"ratios": ratios, "alpha": alpha, "beta": beta, "band": found.weight_band()}


def claim_2(settings: Settings) -> Measured:
    """The band of timescales."""
    found = settings.once(_band)
    ratios, alpha, beta = found["ratios"], found["alpha"], found["beta"]
    inside = ratios[alpha > 0]
    step = ratios[1] / ratios[0]
    best = [float(ratios[np.argmax(alpha / beta**power)]) for power in (1, 2)]
    figure, axes = new_figure()
    axes.semilogx(ratios, alpha, color=_BLUE, label=r"margin $\alpha$")
    axes.semilogx(ratios, alpha / beta, color=_RED, label=r"$\alpha / \beta$")
    for end in found["band"]:
        axes.axvline(end, color=_GREY, linestyle=":")
    axes.axhline(0.0, color=_GREY, linewidth=1.0)
    axes.set_ylim(-1.0, 0.4)
    axes.set_xlabel("$r = w_2 / w_1$")
    axes.set_title(r"flagship game, $\lambda = 1$")
    axes.legend(frameon=False)
    low, high = found["band"]
    return judge(
        {
            "ends 34.31 and 1165.7": (f"{low:.2f}", f"{high:.1f}") == ("34.31", "1165.7"),
            "the scan ends there": 1 <= inside[0] / low <= step and 1 <= high / inside[-1] <= step,
            "and is best at 200": all(1 / step <= one / 200.0 <= step for one in best),
        },
        f"r in [{low:.2f}, {high:.1f}]; by the scan {inside[0]:.2f} to {inside[-1]:.1f}, best "
        f"{best[0]:.1f} for alpha / beta and {best[1]:.1f} for alpha / beta^2",
        figure=figure,
        numbers={"band": (low, high), "scan": (inside[0], inside[-1]), "best": best},
    )


def _toy(settings: Settings) -> dict[str, Any]:
    """Exact trajectories of the toy game [times, angles, 2], and their norms."""
    from resolvent.papers.small_gain_nash_data import A, B

    settings.say("toy game: trajectories")
    H = np.array([[1.0, A], [B, 1.0]])
    angles = np.linspace(0.0, 2 * np.pi, settings.pick(360, tiny=36), endpoint=False)
    starts = np.array([np.cos(angles), np.sin(angles)])
    times = np.linspace(0.0, 20.0, settings.pick(2001, tiny=201))
    values, vectors = np.linalg.eig(H)
    parts = np.linalg.solve(vectors, starts)
    x = np.einsum("ij,tj,jk->tki", vectors, np.exp(-times[:, None] * values), parts)
    _, found = _analysed(H)
    plain = np.linalg.norm(x, axis=2)
    metric = np.sqrt((found.weights * x**2).sum(axis=2))
    return {
        "times": times, "x": x, "plain": plain, "metric": metric / metric[0], "found": found,
        "euclidean": _euclidean(H),
    }  # fmt: skip


def claim_3(settings: Settings) -> Measured:
    """Trajectories of the toy game in both norms."""
    toy = settings.once(_toy)
    times, x, plain, metric = (toy[name] for name in ("times", "x", "plain", "metric"))
    bound = np.exp(-toy["found"].margin * times)[:, None]
    growth = float(plain.max())
    outwards = int((plain.max(axis=0) > 1.0 + 1e-9).sum())
    figure, (left, right) = new_figure(2)
    circle = np.linspace(0.0, 2 * np.pi, 200)
    left.plot(np.cos(circle), np.sin(circle), color=_GREY, linestyle="--", label="unit circle")
    for k in range(0, x.shape[1], x.shape[1] // 12):
        left.plot(x[:, k, 0], x[:, k, 1], color=_BLUE, linewidth=1.0)
    left.set_xlabel("$x_1$")
    left.set_ylabel("$x_2$")
    left.legend(frameon=False)
    worst = int(np.argmax(plain.max(axis=0)))
    shown = times <= 8.0
    right.plot(times[shown], plain[shown, worst], color=_RED, label=r"$\|x\|$, the worst start")
    right.plot(
        times[shown], metric[shown].max(axis=1), color=_BLUE,
        label=r"$\|x\|_w / \|x_0\|_w$, the largest of all",
    )  # fmt: skip
    right.plot(times[shown], bound[shown], "--", color=_GREY, label=r"$e^{-\alpha t}$")
    right.set_xlabel("t")
    right.legend(frameon=False)
    return judge(
        {
            "growth of 4.11": f"{growth:.2f}" == "4.11",
            "the norm in the metric never increases": bool((np.diff(metric, axis=0) < 0).all()),
            "and is below exp(-alpha t)": bool((metric <= bound * (1 + 1e-12)).all()),
        },
        f"largest growth {growth:.3f}; {outwards} of {x.shape[1]} trajectories leave the ball; the "
        f"norm in the metric falls by at least {float(-np.diff(metric, axis=0).max()):.1e} from "
        f"each time to the next; Euclidean margin {toy['euclidean']:.2f}",
        figure=figure,
        numbers={"growth": growth, "outwards": outwards},
    )


def _ensemble(settings: Settings) -> dict[float, list[Row]]:
    from resolvent.papers.small_gain_nash_data import random_game

    found = {}
    for lam in np.linspace(0.0, 2.5, 7)[:: settings.pick(1, tiny=3)].tolist():
        settings.say(f"random games at lam = {lam:.2f}")
        games = settings.pick(30, tiny=3)
        found[lam] = [_row(random_game(lam, seed)) for seed in range(games)]
    return found


def claim_4(settings: Settings) -> Measured:
    """Random quadratic games: how many are certified, and how long steps may be."""
    found = settings.once(_ensemble)
    lams = np.array(list(found))
    table = np.array([list(rows) for rows in found.values()])
    certified, monotone = table[..., 1] > 0, table[..., 0] > 0
    ratios = {}
    for name, step, true in (("Euler", 3, 4), ("Runge-Kutta", 5, 6)):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios[name] = np.where(certified, table[..., step] / table[..., true], np.nan)
    figure, (left, right) = new_figure(2)
    stable = table[..., 4] > 0
    for part, colour, label in (
        (stable, _GREY, "stable"), (certified, _BLUE, "certified"), (monotone, _RED, "monotone"),
    ):  # fmt: skip
        left.plot(lams, part.mean(axis=1), "o-", color=colour, label=label)
    left.set_ylabel(f"part of {table.shape[1]} random games")
    for (name, values), colour in zip(ratios.items(), (_BLUE, _RED), strict=True):
        kept = np.isfinite(values).any(axis=1)
        right.semilogy(
            np.repeat(lams, values.shape[1]), values.ravel(), ".", color=colour, alpha=0.3
        )
        right.semilogy(
            lams[kept], np.nanmedian(values[kept], axis=1), "o-", color=colour,
            label=f"{name}, median",
        )  # fmt: skip
    right.axhline(1.0, color=_GREY, linestyle="--")
    right.set_ylabel("certified over true step")
    for axis in (left, right):
        axis.set_xlabel(r"strength of coupling $\lambda$")
        axis.legend(frameon=False)
    worst = {name: float(np.nanmax(values)) for name, values in ratios.items()}
    safe = worst["Euler"] <= 1.0 and worst["Runge-Kutta"] < 1.0
    return judge(
        {
            "no certified step is unstable": safe,
            "more games are certified than monotone, none of them wrongly": safe
            and certified.sum() > monotone.sum(),
        },
        f"certified {_parts(certified)}, monotone {_parts(monotone)}, stable {_parts(stable)} at "
        f"lam = {', '.join(f'{lam:.2f}' for lam in lams)}; certified over true step: "
        + "; ".join(
            f"{name} median {np.nanmedian(values):.3f}, largest {worst[name]:.3f}"
            for name, values in ratios.items()
        ),
        figure=figure,
        numbers={"lam": lams, "certified": certified.mean(axis=1), "ratios": ratios},
    )


def _parts(held: np.ndarray) -> str:
    return "/".join(f"{int(row.sum())}" for row in held) + f" of {held.shape[1]}"


def _markov(settings: Settings) -> dict[str, Any]:
    """Sampled constants in the Fisher metric, and runs of natural gradient descent."""
    import jax

    from resolvent.inclusion.block_constants import of_jacobians
    from resolvent.inclusion.block_metrics import margin, metric_lipschitz
    from resolvent.papers import small_gain_nash_data as data

    sizes = (2, 2)
    with jax.enable_x64(True):
        settings.say("Markov game: equilibrium")
        game = data.markov_game().prepare("traced")
        answer = data.equilibrium(game)
        settings.say("Markov game: constants at the vertices of the cube")
        signs = np.array(list(itertools.product((-0.1, 0.1), repeat=8)))
        constants = of_jacobians(data.fisher_jacobians(game, answer + signs), sizes)
        rows = []
        for ratio in np.geomspace(1e-2, 1e2, 161):
            w = np.array([1.0, ratio])
            alpha = float(margin(constants.curvature, constants.coupling, w))
            rows.append((alpha, float(metric_lipschitz(constants, w, sizes)), ratio))
        alpha, beta, ratio = max(rows, key=lambda row: row[0] / row[1] ** 2)
        longest = 2.0 * alpha / beta**2
        multiples = np.array(settings.pick(MULTIPLES, tiny=MULTIPLES[::3]))
        rng = np.random.default_rng(7)
        starts = answer + rng.uniform(-0.1, 0.1, (settings.pick(20, tiny=3), 8))
        settings.say("Markov game: natural gradient descent")
        rounds = settings.pick(2000, tiny=300)
        norms = data.natural_gradient(game, starts, multiples * longest, rounds)
    return {
        "alpha": alpha, "beta": beta, "ratio": ratio, "longest": longest, "answer": answer,
        "curvature": constants.curvature, "coupling": constants.coupling,
        "multiples": multiples, "norms": norms,
    }  # fmt: skip


def claim_5(settings: Settings) -> Measured:
    """The Markov game in the Fisher metric."""
    found = settings.once(_markov)
    multiples, norms = found["multiples"], found["norms"]
    reached = (norms[..., -1] <= 1e-9).sum(axis=1)
    starts = norms.shape[1]
    figure, axes = new_figure()
    colours = {0.1: _GREY, 0.5: _BLUE, 0.99: "#67a9cf", 4.0: "#ef8a62", 8.0: _RED}
    for multiple, runs in zip(multiples.tolist(), norms, strict=True):
        if multiple in colours:
            shown = np.median(runs, axis=0)[:400]
            axes.semilogy(shown, color=colours[multiple], label=f"{multiple:g} times the longest")
    axes.set_ylim(1e-16, 1e5)
    axes.set_xlabel("steps of natural gradient descent")
    axes.set_ylabel("norm of the natural gradient, median of starts")
    axes.legend(frameon=False, loc="upper right")
    below = multiples < 1.0
    failing = multiples[(reached < starts) & ~below]
    return judge(
        {
            "all starts converge below 2 alpha / beta^2": bool(
                found["alpha"] > 0 and (reached[below] == starts).all()
            ),
            "some multiple of it fails": failing.size > 0,
        },
        f"alpha = {found['alpha']:.4f}, beta = {found['beta']:.4f}, 2 alpha / beta^2 = "
        f"{found['longest']:.4f} at r = {found['ratio']:.3f}; starts that converge, of {starts}: "
        + ", ".join(f"{n} at {m:g}" for n, m in zip(reached, multiples, strict=True))
        + (f"; first failure at {failing[0]:g} times" if failing.size else "; no failure"),
        figure=figure,
        numbers={key: value for key, value in found.items() if key != "norms"},
        remark="Constants are sampled at the vertices of a cube: evidence, and no certificate",
    )
