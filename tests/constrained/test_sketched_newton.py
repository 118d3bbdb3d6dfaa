"""Sketched Newton: the merit, projections, penalties, rates."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.constrained import Ellipsoids

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent._core.randomness import jax_key
from resolvent._core.traced import join, split
from resolvent.constrained import SketchedNewton
from resolvent.constrained.derivatives import hessian, local
from resolvent.constrained.exact_augmented_lagrangian import (
    Penalties,
    merit,
    merit_gradient,
    slope_of,
)
from resolvent.constrained.inner_solve import Choices, System, falls, solved
from resolvent.constrained.minimal_residual import begun, stepped
from resolvent.constrained.sketches import SKETCHES, drawn, projected

slow = pytest.mark.slow


def hs7(x0=(2.0, 2.0)):
    return rs.ConstrainedProblem(
        lambda x: jnp.log(1 + x[0] ** 2) - x[1], lambda x: (1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4,
        x0=np.array(x0),
    )  # fmt: skip


def test_the_gradient_of_the_merit_agrees_with_differences():
    """The Hessian in it is that of the Lagrangian, which curved equations show."""
    problem, n = hs7((0.7, -1.2)), 2
    point, direction, step = np.array([0.7, -1.2, 0.4]), np.array([0.5, 0.3, -0.8]), 1e-6
    with jax.enable_x64(True):
        weights = Penalties(jnp.asarray(2.0), jnp.asarray(0.3), jnp.asarray(0.1))

        @jax.jit
        def value(v):
            return merit(local(problem, v[:n]), v[n:], weights)[0]

        @jax.jit
        def gradient(v):
            at = local(problem, v[:n])
            slope = slope_of(at, v[n:], hessian(problem, v[:n], v[n:], at.inequalities))
            return merit_gradient(slope, weights)

        ends = [float(value(jnp.asarray(point + s * direction))) for s in (step, -step)]
        found = float(gradient(jnp.asarray(point)) @ direction)
    assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-8)


@pytest.fixture(scope="module")
def system():
    """A symmetric indefinite system and its solution."""
    rng = np.random.default_rng(3)
    B = rng.standard_normal((5, 5))
    G = rng.standard_normal((2, 5))
    K = np.block([[B + B.T, G.T], [G, np.zeros((2, 2))]])
    z = rng.standard_normal(7)
    return K, K @ z, z


@pytest.mark.parametrize("kind", SKETCHES)
@pytest.mark.parametrize("width", [1, 3])
def test_sketches_project(system, kind, width):
    """No step leads away from the solution, and each satisfies its combination of equations."""
    K, b, answer = system

    @jax.jit
    def run(key, K, b, z):
        sketched = drawn(kind, key, K, b, 1, width)
        return sketched, projected(sketched, z)

    with jax.enable_x64(True):
        z = jnp.zeros(7)
        for k in range(20):
            (images, right), after = run(jax.random.key(k), jnp.asarray(K), jnp.asarray(b), z)
            near, far = (np.linalg.norm(np.asarray(one) - answer) for one in (after, z))
            assert near <= far * (1 + 1e-12)
            assert np.allclose(images[0].T @ after, right[0], atol=1e-8)
            z = after


def test_weighted_rows_contract_as_they_should(system):
    """E |z' - z*|^2 <= (1 - sigma^2 / |K|_F^2) |z - z*|^2, by the mean over every row."""
    K, b, answer = system
    with jax.enable_x64(True):
        draw = jax.jit(lambda key: drawn("weighted-kaczmarz", key, jnp.asarray(K), jnp.asarray(b),
                                         20_000, 1)[0][:, :, 0])  # fmt: skip
        rows = np.asarray(draw(jax.random.key(0)))
    # The chance of each row is its share of the squared Frobenius norm.
    chances = (K**2).sum(1) / (K**2).sum()
    counts = np.array([(np.abs(rows - row).max(1) == 0).mean() for row in K])
    assert np.allclose(counts, chances, atol=4 * np.sqrt(0.25 / 20_000))
    away = -answer
    after = sum(
        chance * np.linalg.norm(away - row * (row @ away) / (row @ row)) ** 2
        for chance, row in zip(chances, K, strict=True)
    )
    rate = 1 - np.linalg.svd(K, compute_uv=False)[-1] ** 2 / (K**2).sum()
    assert after <= rate * np.linalg.norm(away) ** 2 * (1 + 1e-12)


def test_minimal_residuals_are_those_of_least_squares_on_krylov_spaces(system):
    """Also on a system whose first products stand still: K b is orthogonal to b."""
    K, b, _ = system
    still = np.eye(4)[[1, 0, 3, 2]].astype(float)
    for matrix, right in ((K, b), (still, np.array([1.0, 0.0, 2.0, 0.0]))):
        with jax.enable_x64(True):
            step = jax.jit(stepped)
            state = begun(jnp.asarray(right), right.size)
            space = []
            for k in range(right.size):
                if np.linalg.norm(np.asarray(state.r)) <= 1e-10:
                    break
                state = step(jnp.asarray(matrix), state)
                space.append(np.linalg.matrix_power(matrix, k) @ right)
                basis = np.linalg.qr(np.stack(space, 1))[0]
                fit = np.linalg.lstsq(matrix @ basis, right, rcond=None)[0]
                least = np.linalg.norm(matrix @ basis @ fit - right)
                true = np.linalg.norm(right - matrix @ np.asarray(state.z))
                assert np.linalg.norm(np.asarray(state.r)) == pytest.approx(true, abs=1e-10)
                assert true == pytest.approx(least, abs=1e-8)
        assert np.linalg.norm(np.asarray(state.r)) <= 1e-8


def walk(problem, method, steps):
    """The states after each step."""
    with jax.enable_x64(True):
        static, dynamic = split((problem.prepare("traced"), method))

        # What is closed over would be compiled in another precision.
        @jax.jit
        def begin(dynamic):
            problem, method = join(static, dynamic)
            return method.init(problem, problem.start(None), Memory(), jax_key(0))

        @jax.jit
        def step(dynamic, state):
            problem, method = join(static, dynamic)
            return method.step(problem, state)

        states = [begin(dynamic)]
        for _ in range(steps):
            states.append(step(dynamic, states[-1]))
        return [jax.tree_util.tree_map(np.asarray, one) for one in states]


def test_one_step_solves_a_quadratic_under_affine_equations():
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((2, 4)), rng.standard_normal(2)
    problem = rs.ConstrainedProblem(
        lambda x, a: 0.5 * x @ x - x.sum(), lambda x, a: a[0] @ x - a[1], args=(A, b), x0=5 * A[0]
    )
    sol = rs.solve(problem, SketchedNewton("exact", multipliers=1.0), rtol=1e-12)
    assert sol.steps == 1
    assert sol.calls["evaluation"] == 2  # the unit step was the first that was tried
    y = np.linalg.solve(A @ A.T, A.sum(1) - b)
    assert np.allclose(sol.x, 1 - A.T @ y)
    assert np.allclose(sol.witness.equalities, y)


def falling(state):
    """The merit in NumPy's precision, and its slope along the exact direction."""
    problem, x, y = hs7(), jnp.asarray(state.x), jnp.asarray(state.y)
    at = local(problem, x)
    H = hessian(problem, x, y, at.inequalities)
    force, G = np.asarray(at.gradient + y @ at.jacobian), np.asarray(at.jacobian)
    curved = np.asarray(H)
    along = np.array([-G[0, 1], G[0, 0]]) / np.linalg.norm(G)
    if along @ curved @ along < 1e-6:
        curved = curved + (0.1 + np.linalg.norm(curved)) * np.eye(2)
    K = np.block([[curved, G.T], [G, np.zeros((1, 1))]])
    z = np.linalg.solve(K, -np.r_[force, np.asarray(at.equalities)])
    weights = Penalties(1.0, 0.1, 0.1)
    slope = np.asarray(merit_gradient(slope_of(at, y, H), weights)) @ z
    return float(merit(at, y, weights)[0]), float(slope)


def test_exact_steps_on_hs7():
    """Eleven steps, the first four shortened, then convergence of second order."""
    states = walk(hs7(), SketchedNewton("exact", multipliers=0.0), 11)
    errors = [float(state.error) for state in states]
    sizes = [float(state.step) for state in states[1:]]
    assert sizes[:4] == [1 / 2, 1 / 4, 1 / 16, 1 / 32]
    assert sizes[4:] == [1.0] * 7
    assert errors[-1] <= 1e-12
    # Of second order once steps are unit: |K^-1| times the Lipschitz constant of K, over 2.
    ratios = [after / before**2 for before, after in itertools.pairwise(errors[6:11])]
    assert all(0.01 < ratio < 10 for ratio in ratios)
    assert errors[10] < 1e-6 < 1e-3 < errors[8]
    # With weights that stay, the merit falls at every step, by the share that is asked for.
    assert {float(state.weights.violation) for state in states} == {1.0}
    with jax.enable_x64(True):
        values, slopes = (np.array(part) for part in zip(*map(falling, states), strict=True))
    room = 1e-14 * np.abs(values[:-1])
    assert (np.diff(values) <= 0.1 * np.array(sizes) * slopes[:-1] + room).all()
    assert (slopes[:5] < 0).all()
    assert np.diff(values)[:5].max() < -1e-3


@slow
@pytest.mark.parametrize("solver", ["kaczmarz", "gaussian"])
def test_sketched_steps_on_hs7_are_the_exact_ones(solver):
    exact = walk(hs7(), SketchedNewton("exact", multipliers=0.0), 11)
    states = walk(hs7(), SketchedNewton(solver, multipliers=0.0), 11)
    assert [float(s.step) for s in states] == [float(s.step) for s in exact]
    assert float(states[-1].error) <= 1e-9


@slow
@pytest.mark.parametrize("solver", ["exact", "kaczmarz"])
def test_weights_that_do_not_serve_are_changed_and_then_stay(solver):
    states = walk(hs7(), SketchedNewton(solver, eta=(0.01, 100.0), multipliers=0.0), 25)
    first, last = states[0].weights, states[-1].weights
    assert float(last.violation) > float(first.violation)
    assert float(last.force) < float(first.force)
    assert float(last.violation) <= 1e3
    assert float(states[-1].error) <= 1e-9
    assert {float(state.weights.violation) for state in states[-5:]} == {float(last.violation)}


@slow
def test_accuracy_that_sharpens_makes_convergence_superlinear():
    from resolvent.papers import exact_augmented_lagrangian_sketching_data as data

    def ratios(theta):
        method = SketchedNewton(
            "kaczmarz", burst=1, theta=theta, inverse="estimate", delta=10.0, least_delta=10.0,
            multipliers=0.0,
        )  # fmt: skip
        errors = [row.error for row in data.course(data.well_conditioned(), method, 1e-11)]
        return [after / before for before, after in itertools.pairwise(errors)]

    constant, falling = ratios(1.0), ratios("power")
    assert falling[-1] < 0.01
    assert (np.diff(falling) < 0).all()
    assert min(constant[-6:]) > 0.03


def test_a_direction_cut_short_leaves_the_weights_and_falls_all_the_same():
    """After one projection a direction says nothing of weights; it is moved as far as it must."""
    problem, x, y = hs7(), np.array([2.0, 2.0]), np.array([3.0])
    corrected = 0
    with jax.enable_x64(True):
        at = local(problem, jnp.asarray(x))
        H = hessian(problem, jnp.asarray(x), jnp.asarray(y), at.inequalities)
        slope = slope_of(at, jnp.asarray(y), H)
        b = -jnp.concatenate([slope.force, slope.values])
        K = jnp.block([[H, at.jacobian.T], [at.jacobian, jnp.zeros((1, 1))]])
        size, error = jnp.linalg.norm(K), jnp.linalg.norm(b)
        system = System(K, b, size, 1 / size, slope, error, jnp.asarray(1e-3))
        weights = Penalties(jnp.asarray(1.0), jnp.asarray(0.1), jnp.asarray(0.1))
        run = jax.jit(solved, static_argnums=3)
        choices = Choices("kaczmarz", 1, 1, 1.0, 1.5, 1e-6, 1)
        for seed in range(10):
            cut = run(system, weights, jax.random.key(seed), choices)
            steep, _ = falls(system, weights, cut.z)
            assert cut.steps == 1
            assert (float(cut.weights.violation), float(cut.weights.force)) == (1.0, 0.1)
            # The slope that is asked for is reached, and not passed by a correction.
            wanted = -0.05 * float(error) ** 2
            assert float(steep) <= wanted * (1 - 1e-12)
            corrected += float(steep) >= wanted * (1 + 1e-12)
    # Of the three rows, the second leads nowhere alone.
    assert 0 < corrected < 10


@slow
@pytest.mark.parametrize("solver", ["kaczmarz", "gaussian"])
def test_a_hundred_projections_a_step_solve_what_exact_steps_solve(solver):
    """The weights must change on the way, and not on directions that are far from accurate."""
    from resolvent.papers import exact_augmented_lagrangian_sketching_data as data

    problem = data.problem_of(data.CASES["HS40"])
    sol = rs.solve(problem, SketchedNewton(solver, multipliers=0.0, most=100), atol=1e-6)
    assert sol.witness.equalities.size == 3
    assert float(problem.objective(sol.x)) == pytest.approx(-0.25, abs=1e-5)


@slow
def test_the_limit_of_inner_steps_is_kept():
    sample = Ellipsoids().sample("traced")
    method = SketchedNewton("kaczmarz", block=4, most=7)
    sol = rs.solve(sample.problem, method, rtol=1e-9, max_steps=3, throw=False)
    # A burst that is under way is finished.
    assert sol.calls["inner_step"] <= 3 * (7 + 6)


@pytest.mark.parametrize(
    ("name", "value"),
    [("solver", "qr"), ("inverse", "guess"), ("theta", "fast"), ("theta", 2.0), ("beta", 0.5),
     ("nu", 1.0), ("block", 0), ("eta", (1.0, -1.0)), ("delta", 0.0), ("most", 0)],
)  # fmt: skip
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"(?s)^{name}: given .+; needed .+\. .+"):
        SketchedNewton(**{name: value})
