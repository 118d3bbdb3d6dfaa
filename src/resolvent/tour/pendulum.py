"""A pendulum swung up by a motor too weak to lift it: optimal control with bounds on the torque."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import resolvent as rs
from resolvent.tour import figures
from resolvent.tour.section import RTOL, Attempt, Section, clock, sum_up

PIECES, DURATION = 80, 10.0
FRICTION, STRONGEST = 0.1, 0.5  # in units of what holds the pendulum level


def parts(x: Any) -> tuple[Any, Any, Any]:
    """Angles and speeds at the ends of the pieces, [pieces + 1] each, and torques, [pieces]."""
    count = (x.size - 2) // 3
    return x[: count + 1], x[count + 1 : 2 * count + 2], x[2 * count + 2 :]


def effort(x: Any, step: Any) -> Any:
    """Half the integral of the squared torque."""
    torque = parts(x)[2]
    return 0.5 * step * (torque @ torque)


def motion(x: Any, step: Any) -> Any:
    """What the midpoint rule leaves of the equations of motion, and both ends at rest."""
    angle, speed, torque = parts(x)
    middle, fast = 0.5 * (angle[1:] + angle[:-1]), 0.5 * (speed[1:] + speed[:-1])
    pull = torque - jnp.sin(middle) - FRICTION * fast
    ends = jnp.stack([angle[0], speed[0], angle[-1] - jnp.pi, speed[-1]])
    return jnp.concatenate([jnp.diff(angle) - step * fast, jnp.diff(speed) - step * pull, ends])


def swing_up(pieces: int = PIECES, strongest: float = STRONGEST) -> rs.ConstrainedProblem:
    """The least effort that brings the pendulum from rest at the bottom to rest at the top.

    The first guess turns it at constant speed, which needs more torque than there is.
    """
    turn, limit = np.linspace(0.0, np.pi, pieces + 1), np.full(3 * pieces + 2, np.inf)
    limit[2 * pieces + 2 :] = strongest
    first = np.r_[turn, np.full(pieces + 1, np.pi / DURATION), np.zeros(pieces)]
    return rs.ConstrainedProblem(
        effort, motion, bounds=(-limit, limit), args=np.array(DURATION / pieces), x0=first
    )


def by_slsqp(problem: Any) -> Any:
    """SciPy's SLSQP with derivatives from the same functions."""
    from scipy.optimize import minimize

    step = problem.args
    with jax.enable_x64(True):
        value = jax.jit(jax.value_and_grad(effort))
        equations, slopes = jax.jit(motion), jax.jit(jax.jacrev(motion))
        return minimize(
            lambda x: tuple(np.asarray(part, float) for part in value(x, step)),
            problem.first, jac=True, method="SLSQP",
            bounds=list(zip(problem.lower, problem.upper, strict=True)),
            constraints={"type": "eq", "fun": lambda x: np.asarray(equations(x, step)),
                         "jac": lambda x: np.asarray(slopes(x, step))},
            options={"ftol": 1e-14, "maxiter": 300},
        )  # fmt: skip


def pendulum(
    out: Path, say: Callable[[str], Any], pieces: int = PIECES, repeats: int = 3
) -> Section:
    """The stop: a swing-up whose conditions of optimality are measured, beside SLSQP's."""
    problem = swing_up(pieces)
    method = rs.constrained.AugmentedLagrangian()
    say(str(method))
    solve = partial(rs.solve, problem, method, rtol=RTOL, throw=False)
    solve()  # compiles; not timed
    sol, seconds = clock(solve, repeats)
    attempts = [
        Attempt(
            "augmented Lagrangian", seconds, sol.certificate.relative, bool(sol.converged),
            int(sol.steps),
        )
    ]  # fmt: skip
    say("SLSQP")
    found, seconds = clock(partial(by_slsqp, problem))
    inside = np.clip(found.x, problem.lower, problem.upper)
    # Its Lagrangian subtracts what ours adds.
    pair = rs.constrained.Multipliers(-found.multipliers, np.zeros(0))
    judged = rs.certify(problem, inside, pair, rtol=RTOL)
    attempts.append(
        Attempt("SciPy SLSQP", seconds, judged.relative, bool(judged.holds), int(found.nit),
                peer=True)
    )  # fmt: skip
    say("figure")
    torque = parts(sol.x)[2]
    pushed = float(np.mean(np.abs(torque) >= STRONGEST - 1e-6))
    return Section(
        "A pendulum swung up by a weak motor",
        [
            f"Half of the torque that would hold the pendulum level is all that its motor has, so "
            "that it must swing back and forth before it gets to the top. Angles, speeds and "
            f"torques at {pieces} pieces of {DURATION:g} units of time, with the midpoint rule as "
            f"{2 * pieces + 4} equations, are chosen for the least integral of the squared torque.",
            "The certificate is the error of the conditions of Karush, Kuhn and Tucker: the "
            "motion obeys the equations, no torque is beyond its bound, and no nearby motion has "
            f"less effort to first order. On {100 * pushed:.0f}% of the pieces the motor gives all "
            f"it has, for an effort of {float(problem.objective(sol.x)):.3g}. SLSQP begins with "
            f"the same guess and ends at another motion, of {float(found.fun):.3g}; the same "
            "referee measures it.",
        ],
        attempts,
        sum_up("pendulum", "a pendulum swung up", problem.unknowns(), attempts),
        [
            (
                _picture(out / "pendulum.png", sol.x),
                "Left: the pendulum at equal times, later ones darker. Right: its angle, and the "
                "torque between its bounds (dashed).",
            )
        ],
    )


def _picture(path: Path, x: np.ndarray) -> Path:
    from matplotlib import colormaps

    angle, _, torque = parts(x)
    times = np.linspace(0.0, DURATION, angle.size)
    figure, (left, right) = figures.new_figure(2, width=5.6, height=4.6)
    shade = colormaps["viridis_r"]
    for k, one in enumerate(angle):
        tip = np.sin(one), -np.cos(one)
        colour = shade(0.1 + 0.9 * k / torque.size)
        left.plot([0.0, tip[0]], [0.0, tip[1]], color=colour, linewidth=0.7, alpha=0.5)
        left.plot(*tip, "o", color=colour, markersize=5)
    left.plot(0.0, 0.0, "o", color="#222222", markersize=7)
    left.set_aspect("equal")
    left.set_axis_off()
    right.plot(times, angle / np.pi, color=figures.COLOURS[0], label="angle / pi")
    right.stairs(
        torque, times, baseline=None, color=figures.COLOURS[1], linewidth=1.5, label="torque"
    )
    for side in (-STRONGEST, STRONGEST):
        right.axhline(side, color="#999999", linestyle="--", linewidth=0.8)
    right.set_xlabel("time")
    right.legend(frameon=False)
    figures.tidy(right)
    return figures.save(figure, path)
