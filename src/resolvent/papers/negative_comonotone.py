"""Proximal point, extragradient and optimistic gradient methods under negative comonotonicity."""

import math
from typing import Any

import numpy as np

from resolvent.papers import Claim, Measured, Paper, Settings, judge, new_figure

PAPER = Paper(
    name="negative-comonotone",
    title="Convergence of Proximal Point and Extragradient-Based Methods Beyond Monotonicity: "
    "the Case of Negative Comonotonicity",
    authors="E. Gorbunov, A. Taylor, S. Horváth, G. Gidel",
    year=2023,
    venue="ICML",
    arxiv="2210.13831",
    family="inclusion",
    methods=("ProximalPoint", "Extragradient", "OptimisticGradient"),
    summary="""
    Three classical methods find a zero of F where F is not monotone but nearly so, with
    <F(x) - F(y), x - y> >= -rho ||F(x) - F(y)||^2, if their steps are long enough for rho and
    short enough for the Lipschitz constant L.

    The proximal point method needs step > 2 rho. The extragradient and optimistic gradient
    methods look ahead by a step g1 > 2 rho and move by g2 <= g1 - 2 rho, which serves up to
    rho < 1 / (2 L); with g1 = g2 they need rho <= 1 / (8 L) and 5 / (62 L), and their last iterate
    has the rate O(1 / k) of ||F||^2.
    """,
    claims=(
        Claim(
            1,
            "For the proximal point method there are turns of the plane on which ||F(x_(N+1))||^2 "
            "is a closed formula, about 1/e of the bound for all operators.",
            "||F||^2 = D^2 / (g (g - 2 rho) N (1 + 1/N)^(N+1)), exactly. With rho = D = 1: "
            "5.98237274e-3 below the bound 1.587e-2 at g = 3, N = 20; 1.790060e-2 below 4.854e-2 "
            "at g = 2.05, N = 200",
            "The measured value differs from the formula by at most 1e-14 a step, relatively, and "
            "is below the bound D^2 / (g (g - 2 rho) (N + 1)), for g = 3 and N = 1, 10, 20, 50, "
            "200 and for g = 2.05 and the same N from 10 on (the formula's range).",
        ),
        Claim(
            2,
            "The threshold step > 2 rho of the proximal point method is sharp.",
            "For F(x) = -x / rho the step multiplies x by 1 / (1 - step / rho): -1.11 at 1.9 rho, "
            "-1 at 2 rho, -0.909 at 2.1 rho",
            "Measured factors agree with these to 3 digits; the library refuses the first two "
            "steps where rho is stated.",
        ),
        Claim(
            3,
            "For the extragradient method it is a second step shorter than the first that pushes "
            "the range of rho from a fraction of 1 / L to 1 / (2 L).",
            "Spectral radius on the worst turn with L = 1. Equal steps 0.5: 0.937, 0.973, 0.991, "
            "1.05, 1.13 at rho = 0.05, 0.1, 0.124, 0.2, 0.3. Steps 0.95 and 0.99 (0.95 - 2 rho): "
            "0.953, 0.959, 0.962, 0.971, 0.982, and 0.993 at 0.4. Steps 0.99 and 0.01: 0.9999 at "
            "0.49",
            "Radii agree with these in all digits given; equal steps contract for rho <= 0.124 and "
            "not from 0.2 on; different steps contract at every rho up to 0.49.",
            "measured before",
        ),
        Claim(
            4,
            "So it is for the optimistic gradient method, with a single new value of F a step.",
            "Spectral radius on the worst turn with L = 1. Equal steps 10/31: 0.960, 0.982, 0.9925 "
            "at rho = 0.05, 0.1, 0.124, above 1 at 0.2. Steps 0.5 + rho and just below 0.5 - rho: "
            "0.749, 0.779, 0.794, 0.839, 0.896, 0.949, 0.995 at rho = 0.05, 0.1, 0.124, 0.2, 0.3, "
            "0.4, 0.49",
            "Radii agree with these in all digits given; equal steps contract for rho <= 0.124 and "
            "not from 0.2 on; different steps contract at every rho up to 0.49.",
            "measured before",
        ),
        Claim(
            5,
            "The bound on the mean of ||F(x_k)||^2 for the extragradient method is nearly reached.",
            "On the worst turn with L = D = 1, rho = 0.1, g1 = 0.5, g2 = 0.3, N = 30: 0.27965 "
            "beside the bound D^2 / (g1 g2 (1 - L^2 g1^2) (N + 1)) = 0.28674",
            "The measured mean is 0.27965 in all digits given, at least 0.95 of the bound, and "
            "below the bound at every N up to 200.",
            "measured before",
        ),
    ),
    snippet="""
    import numpy as np, resolvent as rs

    rho = 0.3
    turn = np.array([[-rho, -np.sqrt(1 - rho**2)], [np.sqrt(1 - rho**2), -rho]])
    F = rs.inclusion.AffineOperator(turn)
    problem = rs.Inclusion(F, start=np.ones(2), lipschitz=1.0, comonotone=rho)
    sol = rs.solve(problem, rs.inclusion.Extragradient(step_size=0.95, update_size=0.3))
    print(sol.steps, sol.certificate)
    """,
    notes="All operators here are linear and of the plane: on them the bounds can be met. The "
    "authors print bounds and ranges; the numbers beside claims 3 to 5 are those of an earlier "
    "run. Radii are those of the map that one step of the library's method makes of its state, "
    "column by column. For steps outside of the ranges rho is kept from the library, which would "
    "refuse them. In claim 4 'just below' is 0.99 times, as in claim 3: at 0.999 times, the first "
    "that was tried, radii are up to 0.007 smaller than those of the earlier run, and the ranges "
    "the same.",
)

RHO = (0.05, 0.1, 0.124, 0.2, 0.3, 0.4, 0.49)
_BLUE, _RED = "#2166ac", "#b2182b"


def turn(rho: float) -> np.ndarray:
    """The turn of the plane, of norm 1, that is rho-negatively comonotone and no better."""
    sine = math.sqrt(1.0 - rho**2)
    return np.array([[-rho, -sine], [sine, -rho]])


def worst_turn(rho: float, step: float, rounds: int) -> np.ndarray:
    """The turn on which the proximal point method is slowest after so many rounds."""
    cosine = -rho / math.sqrt(rounds * step * (step - 2.0 * rho))
    sine = math.sqrt(1.0 - cosine**2)
    return -cosine / rho * np.array([[cosine, -sine], [sine, cosine]])


def formula(rho: float, step: float, rounds: int) -> float:
    """||F||^2 there after rounds + 1 steps from distance 1."""
    return 1.0 / (step * (step - 2.0 * rho) * rounds * (1.0 + 1.0 / rounds) ** (rounds + 1))


def _problem(matrix: np.ndarray, **changes: Any) -> Any:
    from resolvent.inclusion import AffineOperator, Inclusion

    start = np.zeros(matrix.shape[0])
    start[0] = 1.0
    return Inclusion(AffineOperator(matrix), start=start, **changes)


def radius(problem: Any, method: Any) -> float:
    """The spectral radius of a step of EG, from x, or of OG, from x and the last value of F."""
    import jax
    import jax.numpy as jnp

    from resolvent._core.memory import Memory
    from resolvent.inclusion.optimistic_gradient import OptimisticGradient

    with jax.enable_x64(True):
        problem = problem.prepare("traced")

        def of_x(x: Any) -> Any:
            return method.step(problem, method.init(problem, x, Memory(), None)).x

        def of_both(state: Any) -> Any:
            begun = method.init(problem, problem.first, Memory(), None)
            begun = begun._replace(x=state[:2], Fy=state[2:])
            after = method.step(problem, begun)
            return jnp.concatenate([after.x, after.Fy])

        both = isinstance(method, OptimisticGradient)
        columns = jax.vmap(of_both if both else of_x)(jnp.eye(4 if both else 2))
        return float(np.abs(np.linalg.eigvals(np.asarray(columns).T)).max())


def _worst_cases(settings: Settings) -> dict[float, dict[str, np.ndarray]]:
    """Measured and known values of ||F||^2 on the worst turns, by step and number of rounds."""
    from resolvent.inclusion.proximal_point import ProximalPoint
    from resolvent.inclusion.regret import trajectory

    numbers = settings.pick((1, 10, 20, 50, 200), tiny=(10, 20))
    found = {}
    for step in (3.0, 2.05):
        rows = []
        for rounds in numbers:
            if rounds < 1.0 / (step * (step - 2.0)):
                continue
            settings.say(f"proximal point, step {step}, N = {rounds}")
            problem = _problem(worst_turn(1.0, step, rounds), comonotone=1.0)
            plays, _ = trajectory(problem, ProximalPoint(step), rounds + 1)
            # F at the new point, as the method has it.
            last = (plays[-2] - plays[-1]) / step
            known = formula(1.0, step, rounds)
            bound = 1.0 / (step * (step - 2.0) * (rounds + 1))
            rows.append((rounds, float(last @ last), known, bound))
        names = ("N", "measured", "formula", "bound")
        found[step] = dict(zip(names, np.array(rows).T, strict=True))
    return found


def claim_1(settings: Settings) -> Measured:
    """The proximal point method on its worst turns."""
    found = settings.once(_worst_cases)
    errors = [np.abs(one["measured"] / one["formula"] - 1.0) for one in found.values()]
    figure, axes = new_figure()
    for (step, one), colour in zip(found.items(), (_BLUE, _RED), strict=True):
        axes.loglog(one["N"], one["bound"], "--", color=colour, label=f"bound, step {step:g}")
        axes.loglog(one["N"], one["formula"], "-", color=colour, label=f"formula, step {step:g}")
        axes.loglog(one["N"], one["measured"], "o", color=colour, label=f"measured, step {step:g}")
    axes.set_xlabel("N")
    axes.set_ylabel(r"$\|F(x_{N+1})\|^2$ on the turn that is worst for N")
    axes.set_title("proximal point, rho = 1")
    axes.legend(frameon=False, fontsize=9)
    texts = [
        f"step {step:g}: "
        + ", ".join(
            f"{value:.9g} at N = {int(n)}"
            for n, value in zip(one["N"], one["measured"], strict=True)
        )
        for step, one in found.items()
    ]
    worst = max(float(error.max()) for error in errors)
    return judge(
        {
            "equal to the formula to 1e-14 a step": all(
                bool((error <= 1e-14 * (one["N"] + 1)).all())
                for error, one in zip(errors, found.values(), strict=True)
            ),
            "below the bound": all(
                bool((one["measured"] <= one["bound"]).all()) for one in found.values()
            ),
        },
        f"{'; '.join(texts)}; relative error at most {worst:.1e}",
        figure=figure,
        numbers={f"step {step:g}": one for step, one in found.items()},
    )


def claim_2(settings: Settings) -> Measured:
    """The proximal point method around its threshold."""
    from resolvent import solve
    from resolvent.inclusion.proximal_point import ProximalPoint
    from resolvent.inclusion.regret import trajectory

    line, refused, factors = _problem(-np.eye(1)), [], {}
    for step in (1.9, 2.0, 2.1):
        plays, _ = trajectory(line, ProximalPoint(step), 12)
        factors[step] = float(plays[-1, 0] / plays[-2, 0])
        try:
            solve(line.but(comonotone=1.0), ProximalPoint(step), throw=False)
        except ValueError:
            refused.append(step)
    return judge(
        {
            "factors -1.11, -1, -0.909": [f"{factor:.3g}" for factor in factors.values()]
            == ["-1.11", "-1", "-0.909"],
            "steps up to 2 rho are refused": refused == [1.9, 2.0],
        },
        "factors " + ", ".join(f"{f:.4f} at {s:g} rho" for s, f in factors.items())
        + f"; refused: {', '.join(f'{step:g} rho' for step in refused)}",
        numbers={"factors": factors},
    )  # fmt: skip


def _radii(settings: Settings, kind: str) -> dict[str, np.ndarray]:
    """Spectral radii of a method, by rho: equal steps and different ones."""
    from resolvent.inclusion.extragradient import Extragradient
    from resolvent.inclusion.optimistic_gradient import OptimisticGradient

    found: dict[str, list[float]] = {"rho": [], "equal": [], "different": []}
    for rho in settings.pick(RHO, tiny=RHO[1::2]):
        settings.say(f"{kind}, rho = {rho}")
        # What the library is not told it does not refuse.
        silent = _problem(turn(rho))
        honest = silent.but(comonotone=rho, lipschitz=1.0)
        if kind == "extragradient":
            equal = Extragradient(0.5, 0.5)
            steps = (0.95, 0.99 * (0.95 - 2.0 * rho)) if rho < 0.45 else (0.99, 0.01)
            different = Extragradient(*steps)
        else:
            equal = OptimisticGradient(10 / 31, 10 / 31)
            different = OptimisticGradient(0.5 + rho, 0.99 * (0.5 - rho))
        different.check(honest)
        found["rho"].append(rho)
        found["equal"].append(radius(silent, equal))
        found["different"].append(radius(honest, different))
    return {name: np.array(values) for name, values in found.items()}


def _radii_figure(settings: Settings) -> Any:
    figure, axes = new_figure(2)
    for axis, kind in zip(axes, ("extragradient", "optimistic gradient"), strict=True):
        found = settings.once(_radii, kind)
        axis.plot(found["rho"], found["equal"], "o-", color=_RED, label="equal steps")
        axis.plot(found["rho"], found["different"], "o-", color=_BLUE, label="second step shorter")
        axis.axhline(1.0, color="0.35", linestyle="--", linewidth=1.2)
        axis.axvline(0.125, color="0.6", linestyle=":", linewidth=1.2)
        axis.set_xlabel(r"$\rho L$")
        axis.set_ylabel("spectral radius on the worst turn")
        axis.set_ylim(0.7, 1.35)
        axis.set_title(kind)
        axis.legend(frameon=False)
    return figure


def _range_claim(
    settings: Settings, kind: str, equal: dict[float, str], different: dict[float, str]
) -> Measured:
    found = settings.once(_radii, kind)
    rho = found["rho"]
    known = {"equal": equal, "different": different}
    agree = all(
        f"{value:{_digits(known[name][at])}}" == known[name][at]
        for name in known
        for at, value in zip(rho.tolist(), found[name], strict=True)
        if at in known[name]
    )
    return judge(
        {
            "radii as measured before": agree,
            "equal steps contract up to rho = 0.124": bool(
                (found["equal"][rho <= 0.124] < 1.0).all()
            ),
            "and not from 0.2 on": bool((found["equal"][rho >= 0.2] > 1.0).all()),
            "different steps contract up to 0.49": bool((found["different"] < 1.0).all()),
        },
        "; ".join(
            f"{name} steps: "
            + ", ".join(f"{v:.4f} at {r:g}" for r, v in zip(rho, found[name], strict=True))
            for name in known
        ),
        figure=settings.once(_radii_figure),
        numbers=found,
    )


def _digits(text: str) -> str:
    return f".{len(text.split('.')[1])}f"


def claim_3(settings: Settings) -> Measured:
    """Ranges of the extragradient method."""
    equal = {0.05: "0.937", 0.1: "0.973", 0.124: "0.991", 0.2: "1.05", 0.3: "1.13"}
    different = {0.05: "0.953", 0.1: "0.959", 0.124: "0.962", 0.2: "0.971", 0.3: "0.982"}
    different |= {0.4: "0.993", 0.49: "0.9999"}
    return _range_claim(settings, "extragradient", equal, different)


def claim_4(settings: Settings) -> Measured:
    """Ranges of the optimistic gradient method."""
    equal = {0.05: "0.960", 0.1: "0.982", 0.124: "0.9925"}
    different = {0.05: "0.749", 0.1: "0.779", 0.124: "0.794", 0.2: "0.839", 0.3: "0.896"}
    different |= {0.4: "0.949", 0.49: "0.995"}
    return _range_claim(settings, "optimistic gradient", equal, different)


def claim_5(settings: Settings) -> Measured:
    """The mean of ||F||^2 beside its bound."""
    from resolvent.inclusion.extragradient import Extragradient
    from resolvent.inclusion.regret import trajectory

    rho, g1, g2, longest = 0.1, 0.5, 0.3, 200
    problem = _problem(turn(rho), comonotone=rho, lipschitz=1.0)
    _, values = trajectory(problem, Extragradient(g1, g2), longest)
    squares = np.r_[1.0, (values**2).sum(axis=1)]
    n = np.arange(longest + 1)
    means, bounds = np.cumsum(squares) / (n + 1), 1.0 / (g1 * g2 * (1.0 - g1**2) * (n + 1))
    figure, axes = new_figure()
    axes.loglog(n + 1, bounds, "--", color="0.35", label="bound")
    axes.loglog(n + 1, means, color=_BLUE, label="mean of $\\|F(x_0)\\|^2$ to $\\|F(x_N)\\|^2$")
    axes.loglog(n + 1, squares, color=_RED, label="$\\|F(x_N)\\|^2$")
    axes.set_xlabel("N + 1")
    axes.set_ylim(1e-6, 10.0)
    axes.set_title(f"extragradient, rho = {rho}, steps {g1} and {g2}")
    axes.legend(frameon=False)
    return judge(
        {
            "0.27965 in all digits given": f"{means[30]:.5f}" == "0.27965",
            "at least 0.95 of the bound": 0.95 * bounds[30] <= means[30],
            "below the bound at every N": bool((means <= bounds).all()),
        },
        f"{means[30]:.5f} beside the bound {bounds[30]:.5f} at N = 30",
        figure=figure,
        numbers={"mean": means[30], "bound": bounds[30]},
    )
