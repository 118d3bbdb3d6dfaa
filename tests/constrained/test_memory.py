"""Memory of constrained problems: what a sequence saves beyond the last point, counted."""

import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.constrained import AugmentedLagrangian

PIECES, STEP, STRONGEST = 20, 0.15, 1.2


def effort(x, state):
    """Of bringing a pendulum to rest at the top, and of the torque."""
    angle, speed, torque = x[: PIECES + 1], x[PIECES + 1 : 2 * PIECES + 2], x[2 * PIECES + 2 :]
    away = angle - jnp.pi
    return STEP * (away @ away + 0.1 * (speed @ speed) + 0.1 * (torque @ torque))


def motion(x, state):
    """The midpoint rule, from the present state."""
    angle, speed, torque = x[: PIECES + 1], x[PIECES + 1 : 2 * PIECES + 2], x[2 * PIECES + 2 :]
    middle, fast = 0.5 * (angle[1:] + angle[:-1]), 0.5 * (speed[1:] + speed[:-1])
    first = jnp.stack([angle[0], speed[0]]) - state
    left = jnp.diff(angle) - STEP * fast, jnp.diff(speed) - STEP * (torque - jnp.sin(middle))
    return jnp.concatenate([*left, first])


def horizon(state):
    limit = np.r_[np.full(2 * PIECES + 2, np.inf), np.full(PIECES, STRONGEST)]
    return rs.ConstrainedProblem(
        effort, motion, bounds=(-limit, limit), args=np.asarray(state, float),
        x0=np.zeros(3 * PIECES + 2),


    )  # fmt: skip


def controlled(method, remember, steps=12):
    """A closed loop: the first torque is applied, the next problem begins where it leads."""
    state, last, sols = np.array([0.5, 0.0]), None, []
    for _ in range(steps):
        options = {} if last is None else {"x0": last.x}
        if remember and last is not None:
            options["memory"] = last.memory
        last = rs.solve(horizon(state), method, rtol=1e-6, **options)
        sols.append(last)
        state = last.x[[1, PIECES + 2]]  # where the model says that the pendulum is next
    return sols


def totals(sols):
    return {name: sum(sol.calls[name] for sol in sols[1:]) for name in sols[0].calls}


@pytest.mark.slow
def test_memory_saves_steps_and_products_beyond_the_last_point():
    plain, remembered = (controlled(AugmentedLagrangian(), remember) for remember in (False, True))
    for one, two in zip(plain, remembered, strict=True):
        assert one.certificate.relative <= 1e-6
        assert two.certificate.relative <= 1e-6
        assert not two.notes
    assert sum(sol.steps for sol in remembered[1:]) < 0.8 * sum(sol.steps for sol in plain[1:])
    saved, spent = totals(remembered), totals(plain)
    assert saved["hessian_product"] < 0.8 * spent["hessian_product"]


def test_a_heavy_penalty_comes_down_where_it_is_not_needed():
    method = AugmentedLagrangian()
    first = rs.solve(horizon([0.5, 0.0]), method, rtol=1e-6)
    heavy = rs.Memory({
        **first.memory.entries, "penalty": rs.Entry((np.array(1e4),), depends=("size",))
    })  # fmt: skip
    last = rs.solve(horizon([0.5, 0.0]), method, rtol=1e-6, x0=first.x, memory=heavy)
    assert float(last.memory.get("penalty")[0]) <= 1e3
