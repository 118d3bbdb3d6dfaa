"""Newton's method within bounds: closed forms, faces, ends in the right words."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

import resolvent as rs
from resolvent.constrained import ProjectedNewton
from resolvent.constrained.model_in_box import lowered

slow = pytest.mark.slow


def with_logarithms():
    """Undefined below 0; each unknown for itself is least at max(t, 1/2)."""
    t = np.array([0.1, 0.4, 2.0, 5.0])
    problem = rs.ConstrainedProblem(
        lambda x, t: (x - t * jnp.log(x)).sum(), bounds=(0.5, None), args=t, x0=np.full(4, 9.0)
    )
    return problem, np.maximum(t, 0.5)


def in_a_valley():
    """Rosenbrock's: along the bound x = 1/2 the other unknown is least at 1/4."""
    problem = rs.ConstrainedProblem(
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, bounds=(None, 0.5),
        x0=np.array([-1.2, -3.0]),
    )  # fmt: skip
    return problem, [0.5, 0.25]


def with_fixed_unknowns():
    """x0 is held at 3, x1 comes to its bound, x2 has none; they begin outside."""
    low, high = np.array([3.0, 0.0, -np.inf]), np.array([3.0, 1.0, np.inf])
    problem = rs.ConstrainedProblem(
        lambda x: (x[0] * x[1] - 6) ** 2 + (x[1] - x[2]) ** 2, bounds=(low, high),
        x0=np.array([-7.0, 5.0, 0.0]),
    )  # fmt: skip
    return problem, [3.0, 1.0, 1.0]


def of_least_squares():
    """Nonnegative, with more unknowns at 0 than not."""
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((12, 8)), rng.standard_normal(12)
    problem = rs.ConstrainedProblem(
        lambda x, data: 0.5 * ((data[0] @ x - data[1]) ** 2).sum(), bounds=(0.0, None),
        args=(A, b), x0=np.ones(8),
    )  # fmt: skip
    return problem, nnls(A, b)[0]


def of_every_sign():
    """A saddle point at 0, a maximizer of what is free there: steps must leave it."""
    problem = rs.ConstrainedProblem(
        lambda x: -(x[0] ** 2) + (x[1] - 1) ** 2, bounds=(-1.0, 2.0), x0=np.array([0.1, 0.0])
    )
    return problem, [2.0, 1.0]


KNOWN = [with_logarithms, in_a_valley, with_fixed_unknowns, of_least_squares, of_every_sign]


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=slow if k else (), id=c.__name__) for k, c in enumerate(KNOWN)],
)
def test_known_answers_are_found(case):
    problem, answer = case()
    sol = rs.solve(problem, ProjectedNewton(), rtol=1e-9)
    assert np.allclose(sol.x, answer, rtol=0, atol=1e-6)
    low, high = problem.lower, problem.upper
    assert (sol.x >= low).all()
    assert (sol.x <= high).all()
    held = np.isclose(answer, low, rtol=0, atol=1e-12) | np.isclose(
        answer, high, rtol=0, atol=1e-12
    )
    # Those that hold are found, not only come near to.
    assert ((sol.x == low) | (sol.x == high))[held].all()
    assert rs.constrained.second_order(problem, sol.x).minimizer


@slow
def test_without_bounds_it_is_newtons_method():
    """Close to the minimizer each step squares the error, or nearly."""
    problem = rs.ConstrainedProblem(
        lambda x: (jnp.cosh(x) + x**2).sum() + x.prod(), x0=np.array([0.4, 0.3, -0.2])
    )
    sizes = [
        rs.solve(problem, ProjectedNewton(), rtol=0.0, max_steps=k, throw=False).certificate.value
        for k in range(1, 6)
    ]
    assert min(sizes) <= 1e-12
    fast = [b <= 10 * a**1.5 for a, b in itertools.pairwise(sizes) if a > 1e-9]
    assert all(fast[1:])


def test_a_model_is_least_on_a_face():
    """Of a convex model, with room enough: what is free is stationary, the rest is on bounds."""
    rng = np.random.default_rng(3)
    A = rng.standard_normal((6, 6))
    H = A @ A.T + np.eye(6)
    g = -H @ np.linspace(-2.0, 1.0, 6)
    low, high = np.full(6, -1.0), np.full(6, 0.5)
    with jax.enable_x64(True):
        found = lowered(
            lambda d: jnp.asarray(H) @ d, jnp.zeros(6), jnp.asarray(g), (low, high),
            jnp.asarray(1e3), jnp.asarray(0.01), jnp.asarray(1e-10), 100,
        )  # fmt: skip
        w, bent = np.asarray(found.x), np.asarray(found.bent)
    inside = (w > low) & (w < high)
    assert ((w >= low) & (w <= high)).all()
    assert 0 < inside.sum() < 6
    assert np.allclose(bent, H @ w, atol=1e-10)
    assert np.linalg.norm((g + H @ w)[inside]) <= 1e-9
    assert g @ w + 0.5 * w @ H @ w < 0


@slow
def test_steps_stay_near_the_ball_and_follow_negative_curvature_to_it():
    H, g, radius = np.diag([-1.0, 2.0, 3.0]), np.array([0.1, 1.0, -1.0]), 0.7
    with jax.enable_x64(True):
        found = lowered(
            lambda d: jnp.asarray(H) @ d, jnp.zeros(3), jnp.asarray(g), None, jnp.asarray(radius),
            jnp.asarray(1.0), jnp.asarray(1e-10), 100,
        )  # fmt: skip
        length = float(jnp.linalg.norm(found.x))
    assert radius * (1 - 1e-12) <= length <= 2 * radius
    assert float(found.x[0]) < 0


@slow
def test_a_membrane_lies_on_an_obstacle_where_it_is_pressed():
    n = 200
    h, place = 1 / (n + 1), np.linspace(0, 1, n + 2)[1:-1]
    floor = 0.2 * np.sin(3 * np.pi * place)

    def energy(x, h):
        rises = jnp.diff(jnp.concatenate([jnp.zeros(1), x, jnp.zeros(1)])) / h
        return h * (jnp.sqrt(1 + rises**2).sum() + x.sum())

    problem = rs.ConstrainedProblem(
        energy, bounds=(floor, None), args=h, x0=np.maximum(floor, 0)
    )  # fmt: skip
    sol = rs.solve(problem, ProjectedNewton(), rtol=1e-8)
    rises = np.diff(np.r_[0, sol.x, 0]) / h
    force = h - np.diff(rises / np.sqrt(1 + rises**2))
    held = sol.x == floor
    assert 0.1 * n < held.sum() < 0.9 * n
    assert (force[held] >= 0).all()
    assert np.linalg.norm(force[~held]) <= sol.certificate.target


@slow
def test_ends_are_told_apart():
    """No least value, a gradient that is rounding, a limit of steps."""
    below = rs.ConstrainedProblem(
        lambda x: x[0] - x[1] ** 2, bounds=(0.0, None), x0=np.array([2.0, 1.0])
    )
    sol = rs.solve(below, ProjectedNewton(), throw=False)
    assert sol.reason is rs.Reason.diverged
    assert not sol.converged
    sol = rs.solve(in_a_valley()[0], ProjectedNewton(), rtol=1e-9, max_steps=2, throw=False)
    assert sol.reason is rs.Reason.max_steps
    assert not sol.converged
    problem, _ = with_logarithms()
    spoiled = rs.ConstrainedProblem(
        lambda x, t: problem.f(x, t) + 1e6 * jnp.sin(x).sum() ** 2, bounds=(0.5, None),
        args=problem.args, x0=np.full(4, 0.9),
    )  # fmt: skip
    sol = rs.solve(spoiled, ProjectedNewton(), rtol=1e-30, throw=False)
    assert sol.reason is rs.Reason.stalled or sol.converged
    assert sol.certificate.relative <= 1e-12


@slow
def test_single_precision_and_batches():
    """Each problem of a batch with its own bound, in single precision, at once."""

    def f(x, t):
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    problems = [
        rs.ConstrainedProblem(f, bounds=(None, t), args=t, x0=jnp.zeros(2))
        for t in (jnp.full(2, 0.5), jnp.full(2, 0.8))
    ]
    batch = rs.solve_batch(problems, ProjectedNewton(), rtol=1e-4)
    assert batch.converged.all()
    assert batch.x.dtype == jnp.float32
    assert np.allclose(batch.x, [[0.5, 0.25], [0.8, 0.64]], atol=1e-3)


@slow
def test_answers_are_differentiated_through_the_bounds():
    """What is held does not move, what is free follows: by hand, and through the steps."""

    def answer(t, adjoint):
        problem = rs.ConstrainedProblem(
            lambda x, t: 0.5 * ((x - t) ** 2).sum() + x[0] * x[2], bounds=(0.0, 1.0), args=t,
            x0=jnp.full(3, 0.5),
        )  # fmt: skip
        return rs.solve(problem, ProjectedNewton(), rtol=1e-8, max_steps=20, adjoint=adjoint).x

    with jax.enable_x64(True):
        t = jnp.array([0.8, 3.0, 0.5])
        # x1 = 1 is held; x0 + x2 = t0 and x2 + x0 = t2 contradict, so that one bound holds too.
        x = np.asarray(answer(t, rs.Implicit()))
        assert np.allclose(x, [0.8, 1.0, 0.0], atol=1e-6)
        for adjoint in (rs.Implicit(), rs.Unrolled()):
            slopes = jax.jacobian(lambda t, how=adjoint: answer(t, how))(t)
            assert np.allclose(slopes, np.diag([1.0, 0.0, 0.0]), atol=1e-6)


def test_what_it_does_not_solve_is_refused():
    for given in ({"radius": 0.0}, {"radius": np.inf}, {"inner": 0}):
        with pytest.raises(ValueError, match=next(iter(given))):
            ProjectedNewton(**given)
    circle = rs.ConstrainedProblem(lambda x: x @ x, lambda x: x @ x - 1, x0=np.ones(2))
    with pytest.raises(ValueError, match="1 equations and 0 inequalities"):
        rs.solve(circle, ProjectedNewton())
