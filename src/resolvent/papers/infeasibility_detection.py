"""Infeasibility detection: how fast iterations find the infimal displacement vector."""

import math
from typing import Any

import numpy as np

from resolvent.papers import Claim, Measured, Paper, Settings, judge, new_figure
from resolvent.papers import infeasibility_detection_data as data

PAPER = Paper(
    name="infeasibility-detection",
    title="Accelerated Infeasibility Detection of Constrained Optimization and Fixed-Point "
    "Iterations",
    authors="J. Park, E. K. Ryu",
    year=2023,
    venue="ICML",
    arxiv="2303.15876",
    family="fixed_point",
    methods=("Picard", "KrasnoselskiiMann", "Halpern"),
    summary="""
    A nonexpansive map T without a fixed point moves every point by at least its infimal
    displacement vector v, the shortest vector in the closure of all x - T(x); where T belongs to a
    splitting method, v proves that the problem has no answer.

    Both the plain and the anchored (Halpern) iteration find v: from where they have come, as
    x_0 - x_k over k, and from their last step x_k - T(x_k). Anchoring makes the latter as fast as
    the former, 1 / k, which is optimal.
    """,
    claims=(
        Claim(
            1,
            "For the plain iteration of a nonexpansive T the normalized iterate -(x_k - x_0) / k "
            "is within 2 D / k of v, while differences need not converge at all.",
            "On 50 rotations and a drift, error k / D = 1.07, 1.24, 1.33, 1.62, 1.18 at k = 25, "
            "100, 1e3, 1e4, 2e4; the difference stays 0.465 away from v",
            "At every k up to 2e4 the error of the normalized iterate is at most 2 D / k, and its "
            "slope from k = 25 on is between -1.15 and -0.85; the difference is nowhere nearer "
            "than 0.99 times its first distance.",
            "measured before",
        ),
        Claim(
            2,
            "For the averaged iteration differences converge, at the rate 1 / sqrt(k).",
            "On the same map, for the average of T and the identity, error sqrt(k) / D = 0.256, "
            "0.276, 0.243, 0.275, 0.262 at these k",
            "The slope from k = 25 on is between -0.6 and -0.4; the normalized iterate's is "
            "between -1.15 and -0.85.",
            "measured before",
        ),
        Claim(
            3,
            "For Halpern's iteration differences converge at the rate 1 / k up to a root of a "
            "logarithm.",
            "||x_k - T(x_k) - v|| <= (sqrt(H_k + 12) + 1) D / (k + 1), H_k = 1 + ... + 1/k. On the "
            "same map, error k / D = 1.06, 1.20, 1.30, 1.55, 1.23, below the bound's 4.79 to 5.74; "
            "normalized iterates 1.4 to 1.95",
            "The difference is below the bound at every k up to 2e4; its slope from k = 25 on is "
            "between -1.15 and -0.85, and so is that of the normalized iterate -2 (x_k - x_0) / k.",
        ),
        Claim(
            4,
            "Anchoring is optimal in the worst case, and may lose badly elsewhere.",
            "Douglas-Rachford on the unit disc and {y >= 2} from (5, -3): the plain difference is "
            "1.7e-6 away from v = (0, -1) at k = 10 and below 1e-150 at 100, Halpern's 0.485, "
            "0.050, 0.0050, 0.0010 at 10, 100, 1e3, 5e3",
            "The plain iteration's distance is below 1e-5 at k = 10 and below 1e-100 at 100; "
            "Halpern's agrees with these numbers to 3 % and its slope from 100 on is between "
            "-1.15 and -0.85.",
            "measured before",
        ),
        Claim(
            5,
            "The bound of Halpern's iteration is nearly tight.",
            "At k = 25 the worst ||x_k - T(x_k) - v||^2 is 0.026789 D^2 (the documentation of "
            "PEPit, by a semidefinite program) beside the bound 0.036642",
            "The supremum, found here between two bounds that agree to 1e-5, is within 1 % of "
            "0.026789, and at least 0.7 of the bound.",
        ),
        Claim(
            6,
            "Applied to the splittings of linear programs, the blocks of v prove that nothing is "
            "feasible, or that costs fall without end; the accelerated iteration finds them "
            "sooner.",
            "No number: the authors show a decentralized semidefinite program, on which the "
            "accelerated methods need fewer iterations",
            "Of 15 random programs (5 infeasible, 5 unbounded, 5 both) under Douglas-Rachford and "
            "primal-dual steps, the plain and the averaged iteration prove all within 100000 "
            "steps, and so does Halpern's; an independent test accepts every proof; in the median "
            "Halpern's takes at most as many steps as the plain one.",
        ),
    ),
    snippet="""
    import jax.numpy as jnp, resolvent as rs

    def disc_and_half_plane(z):  # Douglas-Rachford on the unit disc and {y >= 2}
        a = z / jnp.maximum(1.0, jnp.linalg.norm(z))
        b = 2 * a - z
        return z + b.at[1].set(jnp.maximum(b[1], 2.0)) - a

    def separates(v):  # whether the disc lies on one side, the half-plane on the other
        return (abs(v[0]) <= 1e-5 * abs(v[1])) & (-jnp.linalg.norm(v) > 2 * v[1])

    problem = rs.FixedPoint(disc_and_half_plane, jnp.array([5.0, -3.0]), verify=separates)
    sol = rs.solve(problem, rs.fixed_point.Picard(detect=True), throw=False)
    print(sol.reason, sol.witness, sol.certificate.details)
    """,
    notes="Claims 1 to 3 are measured on rotations of 50 planes by angles from 10^-3.5 to 10^0.3 "
    "and a drift of 1 along a further coordinate, from N(0, 1) / 10 in each; D is the distance of "
    "the first point from the axis, whose points attain v. Halpern's iteration runs without the "
    "library's restarts here, except where they are named. Averages have the displacement v / 2, "
    "which is what claim 2 is about. The worst case of claim 5 is approached as v grows long: a "
    "semidefinite program with v as an unknown is unbounded, and may be solved a little too low; "
    "here v is eliminated first. Linear programs are posed as fixed points of a splitting's map; "
    "a vector ends a solve where it proves something of the program up to 1e-6, and by nothing "
    "else.",
)

MOMENTS = (25, 100, 1000, 10_000, 20_000)
KINDS = ("infeasible", "unbounded", "both")
METHODS = ("plain", "averaged", "Halpern", "Halpern, restarted")
_COLOURS = ("#b2182b", "#ef8a62", "#2166ac", "#67a9cf")


def slope(k: np.ndarray, errors: np.ndarray, since: int) -> float:
    """Of log error against log k, over points that are even in log k."""
    places = np.unique(np.geomspace(since, k[-1], 200).astype(int)) - 1
    return float(np.polyfit(np.log(k[places]), np.log(errors[places]), 1)[0])


def bound(k: Any) -> Any:
    """That of Halpern's difference, for D = 1."""
    harmonic = np.cumsum(1.0 / np.arange(1, np.max(k) + 1))[np.asarray(k) - 1]
    return (np.sqrt(harmonic + 12) + 1) / (np.asarray(k) + 1)


def _rotations(settings: Settings) -> tuple[dict[str, data.Course], float]:
    """Courses of three iterations on rotations with a drift, and D."""
    from resolvent.fixed_point import Halpern, KrasnoselskiiMann, Picard

    problem = data.rotations(settings.pick(50, tiny=4))
    v = np.eye(problem.first.size)[-1]
    steps = settings.pick(MOMENTS[-1], tiny=200)
    courses = {}
    for name, method, pace in (
        ("plain", Picard(), 1.0),
        ("averaged", KrasnoselskiiMann(), 0.5),
        ("Halpern", Halpern(restart=None), 0.5),
    ):
        settings.say(f"rotations with a drift: {name}")
        courses[name] = data.course(problem, method, v, steps, pace)
    return courses, float(np.linalg.norm(problem.first[:-1]))


def _at(values: np.ndarray) -> str:
    return ", ".join(f"{values[k - 1]:.3g}" for k in MOMENTS if k <= values.size)


def _rates_figure(settings: Settings) -> Any:
    courses, distance = settings.once(_rotations)
    figure, axes = new_figure(2, width=5.4)
    titles = ("difference x - T(x)", "normalized iterate")
    for axis, field, title in zip(axes, ("residual", "normalized"), titles, strict=True):
        for (name, one), colour in zip(courses.items(), _COLOURS, strict=False):
            axis.loglog(one.k, getattr(one, field) / distance, color=colour, lw=1.1, label=name)
        axis.set_xlabel("k")
        axis.set_ylabel("distance from v, over D")
        axis.set_title(title)
    k = next(iter(courses.values())).k
    axes[0].loglog(k, bound(k), "k--", lw=1.0, label="bound for Halpern")
    axes[1].loglog(k, 2.0 / k, "k--", lw=1.0, label="2 / k")
    for axis in axes:
        axis.legend(frameon=False, fontsize=9)
    return figure


def claim_1(settings: Settings) -> Measured:
    """The plain iteration on rotations."""
    courses, distance = settings.once(_rotations)
    one, since = courses["plain"], settings.pick(25, tiny=5)
    found, away = slope(one.k, one.normalized, since), one.residual
    return judge(
        {
            "normalized iterates within 2 D / k at every k": bool(
                (one.normalized <= 2 * distance / one.k * (1 + 1e-9)).all()
            ),
            "their slope between -1.15 and -0.85": -1.15 <= found <= -0.85,
            "differences stay away": bool((away >= 0.99 * away[0]).all()),
        },
        f"normalized iterates: error k / D = {_at(one.normalized * one.k / distance)} at k = "
        f"{', '.join(str(k) for k in MOMENTS if k <= one.k[-1])}, slope {found:.2f}; differences "
        f"between {away.min():.3g} and {away.max():.3g} away from v",
        figure=settings.once(_rates_figure),
        numbers={"slope": found, "D": distance},
    )


def claim_2(settings: Settings) -> Measured:
    """The averaged iteration on rotations."""
    courses, distance = settings.once(_rotations)
    one, since = courses["averaged"], settings.pick(25, tiny=5)
    slow, fast = slope(one.k, one.residual, since), slope(one.k, one.normalized, since)
    return judge(
        {
            "slope of differences between -0.6 and -0.4": -0.6 <= slow <= -0.4,
            "slope of normalized iterates between -1.15 and -0.85": -1.15 <= fast <= -0.85,
        },
        "differences of the averaged map: error sqrt(k) / D = "
        f"{_at(one.residual / 2 * np.sqrt(one.k) / distance)}, slope {slow:.2f}; normalized "
        f"iterates: slope {fast:.2f}",
        figure=settings.once(_rates_figure),
        numbers={"slope of differences": slow, "slope of normalized iterates": fast},
    )


def claim_3(settings: Settings) -> Measured:
    """Halpern's iteration on rotations."""
    courses, distance = settings.once(_rotations)
    one, since = courses["Halpern"], settings.pick(25, tiny=5)
    own, other = slope(one.k, one.residual, since), slope(one.k, one.normalized, since)
    part = one.residual / (bound(one.k) * distance)
    return judge(
        {
            "below the bound at every k": bool((part <= 1.0).all()),
            "slope of differences between -1.15 and -0.85": -1.15 <= own <= -0.85,
            "slope of normalized iterates between -1.15 and -0.85": -1.15 <= other <= -0.85,
        },
        f"differences: error k / D = {_at(one.residual * one.k / distance)}, slope {own:.2f}, at "
        f"most {part.max():.2f} of the bound; normalized iterates: error k = "
        f"{_at(one.normalized * one.k)}, slope {other:.2f}",
        figure=settings.once(_rates_figure),
        numbers={
            "slope of differences": own, "slope of normalized iterates": other,
            "largest part of the bound": part.max(),
        },
    )  # fmt: skip


def _disc(settings: Settings) -> dict[str, data.Course]:
    """Courses of two iterations on a disc and a half-plane."""
    import resolvent as rs
    from resolvent.fixed_point import Halpern, Picard

    problem = rs.FixedPoint(data.disc_and_half_plane, np.array([5.0, -3.0]))
    v, steps = np.array([0.0, -1.0]), settings.pick(5000, tiny=200)
    settings.say("disc and half-plane")
    return {
        "plain": data.course(problem, Picard(), v, steps, 1.0),
        "Halpern": data.course(problem, Halpern(restart=None), v, steps, 0.5),
    }


def claim_4(settings: Settings) -> Measured:
    """A disc and a half-plane."""
    courses = settings.once(_disc)
    plain, halpern = (courses[name].residual for name in ("plain", "Halpern"))
    known = {10: 0.485, 100: 0.050, 1000: 0.0050, 5000: 0.0010}
    moments = [k for k in known if k <= halpern.size]
    found = slope(courses["Halpern"].k, halpern, settings.pick(100, tiny=20))
    figure, axis = new_figure()
    for (name, one), colour in zip(courses.items(), (_COLOURS[0], _COLOURS[2]), strict=True):
        # Below that it is rounding, which grows with x.
        seen = np.minimum.accumulate(one.residual) > 1e-17
        axis.loglog(one.k[seen], one.residual[seen], color=colour, label=name)
    axis.set_ylim(1e-16, 10.0)
    axis.set_xlabel("k")
    axis.set_ylabel("distance of x - T(x) from v")
    axis.set_title("Douglas-Rachford on a disc and a half-plane")
    axis.legend(frameon=False)
    return judge(
        {
            "plain below 1e-5 at k = 10, below 1e-100 at 100": bool(
                plain[9] < 1e-5 and plain[99] < 1e-100
            ),
            "Halpern's as known to 3 %": all(
                abs(halpern[k - 1] / known[k] - 1.0) <= 0.03 for k in moments
            ),
            "and of a slope between -1.15 and -0.85": -1.15 <= found <= -0.85,
        },
        f"plain {plain[9]:.2g} at k = 10, {plain[99]:.2g} at 100; Halpern "
        f"{', '.join(f'{halpern[k - 1]:.3g} at {k}' for k in moments)}, slope {found:.2f}",
        figure=figure,
        numbers={"plain": plain[[9, 99]], "Halpern": {k: halpern[k - 1] for k in moments}},
    )


def claim_5(settings: Settings) -> Measured:
    """The worst case of Halpern's iteration."""
    steps = settings.pick(25, tiny=3)
    settings.say(f"the worst nonexpansive map for {steps} steps")
    low, high = data.worst_case(steps)
    limit = float(bound(steps)) ** 2
    return judge(
        {
            "two bounds that agree to 1e-5": high - low <= 1e-5 * high,
            "within 1 % of 0.026789": abs(high / 0.026789 - 1.0) <= 0.01,
            "at least 0.7 of the bound": 0.7 * limit <= low <= limit,
        },
        f"between {low:.7f} and {high:.7f} at k = {steps}, beside the bound {limit:.6f}",
        numbers={"worst": [low, high], "bound": limit},
        remark="the supremum is approached by maps with ever longer v",
    )


def _programs(settings: Settings) -> dict[str, Any]:
    """Steps to a proof, by splitting and method, and whether another test accepts the proofs."""
    from resolvent import Reason, solve
    from resolvent.fixed_point import Halpern, KrasnoselskiiMann, Picard

    methods = dict(
        zip(
            METHODS,
            (
                Picard(detect=True), KrasnoselskiiMann(detect=True),
                Halpern(restart=None, detect=True), Halpern(detect=True),
            ),
            strict=True,
        )
    )  # fmt: skip
    m, n = settings.pick((20, 50), tiny=(3, 8))
    most = settings.pick(100_000, tiny=500)
    number = settings.pick(5, tiny=1)
    programs = [data.program(kind, m, n, seed) for kind in KINDS for seed in range(number)]
    steps, sound = {}, True
    splittings = settings.pick(data.SPLITTINGS, tiny=data.SPLITTINGS[:1])
    labels = settings.pick(METHODS, tiny=("plain", "Halpern"))
    for name in splittings:
        for label in labels:
            settings.say(f"linear programs: {name}, {label}")
            row = []
            for program in programs:
                problem = data.as_fixed_point(name, program)
                sol = solve(problem, methods[label], max_steps=most, throw=False)
                proved = sol.reason is Reason.infeasible
                row.append(sol.steps if proved else math.inf)
                sound = sound and (not proved or proves(name, sol.witness, program))
            steps[name, label] = np.array(row)
    return {"steps": steps, "sound": sound, "number": number}


def proves(name: str, v: Any, program: data.LinearProgram) -> bool:
    """Whether v proves something true of the program, by NumPy and by what is known of it."""
    A, b, c = program.A, program.b, program.c
    w, d = (np.asarray(part) for part in data.parts(name, v, program.args))
    size, length = np.linalg.norm(w), np.linalg.norm(d)
    small = 1.01 * data.TOLERANCE
    farkas = (A.T @ w).max() <= small * size and b @ w > 0
    ray = np.linalg.norm(A @ d) <= small * length and d.min() >= -small * length and c @ d < 0
    return bool((farkas and program.farkas is not None) or (ray and program.ray is not None))


def claim_6(settings: Settings) -> Measured:
    """Random linear programs."""
    found = settings.once(_programs)
    steps = found["steps"]
    splittings = list(dict.fromkeys(name for name, _ in steps))
    labels = list(dict.fromkeys(label for _, label in steps))
    by_label = {
        label: np.concatenate([steps[name, label] for name in splittings]) for label in labels
    }
    checks = {
        f"{label} iteration proves all": bool(np.isfinite(by_label[label]).all())
        for label in labels[:3]
    }
    checks["every proof is accepted"] = found["sound"]
    checks["Halpern's not slower in the median"] = bool(
        np.median(by_label["Halpern"]) <= np.median(by_label["plain"])
    )
    figure, axes = new_figure(2, width=5.4)
    for axis, name in zip(axes, splittings, strict=False):
        for i, (label, colour) in enumerate(zip(labels, _COLOURS, strict=False)):
            values = steps[name, label]
            places = np.arange(values.size) + 0.15 * (i - 1.5)
            axis.semilogy(places, values, "o", ms=4.5, color=colour, label=label)
        axis.set_xticks([found["number"] * (i + 0.5) - 0.5 for i in range(len(KINDS))], KINDS)
        axis.set_ylabel("steps to a proof")
        axis.set_title(name)
    axes[len(splittings) - 1].legend(frameon=False, fontsize=9, loc="lower right")
    texts = []
    for name in splittings:
        medians = {
            label: np.median(steps[name, label].reshape(len(KINDS), -1), axis=1) for label in labels
        }
        texts.append(
            f"{name}: "
            + "; ".join(
                f"{label} {', '.join(f'{value:g}' for value in values)}"
                for label, values in medians.items()
            )
        )
    proved = ", ".join(
        f"{label} {np.isfinite(values).sum()} of {values.size}"
        for label, values in by_label.items()
    )
    return judge(
        checks,
        f"median steps to a proof of programs that are {', '.join(KINDS)}, {'. '.join(texts)}. "
        f"Over all: plain {np.median(by_label['plain']):g}, Halpern "
        f"{np.median(by_label['Halpern']):g}; proved: {proved}",
        figure=figure,
        numbers={f"{name}, {label}": row for (name, label), row in steps.items()},
        remark="a proof of infeasibility has slack, which the anchored iteration meets early; a "
        "ray satisfies equations, to 1e-6 here, at which the plain iteration arrives sooner: on "
        "linear programs it is linear in the end, and the anchored one is not",
    )
