"""What a solution offers beyond its potentials, its derivatives, and how it travels."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transport.toys import Plain, clouds, solve, squares

import resolvent as rs
from resolvent.transport import Coupling, GridCost, PointCost, Potentials


@pytest.fixture
def sol():
    x, y, a, b = clouds()
    return solve(rs.EntropicTransport(squares(x, y), a, b, 0.05), rtol=1e-11)


# ---------------------------------------------------------------- what is offered


def test_the_plan_and_its_relatives_agree(sol):
    _, _, a, b = clouds()
    P, C = sol.plan, sol.x.problem.cost.array
    rng = np.random.default_rng(0)
    v, V = rng.standard_normal(5), rng.standard_normal((5, 3))
    assert np.allclose(P.sum(1), a, atol=1e-10)
    assert np.allclose(P.sum(0), b, atol=1e-10)
    assert sol.cost == pytest.approx((P * C).sum())
    assert np.allclose(sol.apply(v), P @ v)
    assert np.allclose(sol.apply(V), P @ V)
    assert np.allclose(sol.T.apply(np.ones(7)), P.sum(0))
    assert np.allclose(sol.project(V), (P @ V) / P.sum(1)[:, None])
    assert np.allclose(sol.rows, P.sum(1))
    assert np.allclose(sol.columns, P.sum(0))
    assert sol.gap < 1e-9
    assert sol.rounded.cost == pytest.approx(sol.cost)
    assert sol.x.shape == (7, 5)


def test_the_sparse_plan_keeps_what_is_above_the_threshold(sol):
    P = sol.plan
    for threshold in (0.0, 1e-6, 0.01, 2.0):
        kept = sol.sparse_plan(threshold)
        assert kept.format == "csr"
        above = np.greater(P, threshold)
        assert np.allclose(kept.toarray(), np.where(above, P, 0.0), rtol=1e-12)
        assert kept.nnz == np.count_nonzero(above)


def test_potentials_have_one_level(sol):
    _, _, a, b = clouds()
    f, g = sol.potentials
    assert a @ f == pytest.approx(b @ g)
    moved = Coupling(sol.x.f + 3.0, sol.x.g - 3.0, sol.x.problem)
    assert np.allclose(moved.potentials.f, f)
    assert np.allclose(moved.potentials.g, g)
    assert np.allclose(moved.plan, sol.plan)
    assert moved.value == pytest.approx(sol.value)


def test_projection_of_sources_without_mass_is_zero():
    x, y, a, b = clouds()
    a[0] = 0.0
    a /= a.sum()
    sol = solve(rs.EntropicTransport(squares(x, y), a, b, 0.1), rtol=1e-9)
    assert np.array_equal(sol.project(y)[0], np.zeros(2))
    assert np.isfinite(sol.project(y)).all()


def test_forms_of_one_cost_give_one_answer():
    line = np.linspace(0, 1, 4)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    rng = np.random.default_rng(3)
    a, b = rng.random(16), rng.random(16)
    a, b = a / a.sum(), b / b.sum()
    forms = [
        squares(points, points),
        PointCost(points, points),
        PointCost(points, points, lambda s, t: jnp.sum((s - t) ** 2)),
        GridCost([line, line]),
    ]
    sols = [solve(rs.EntropicTransport(cost, a, b, 0.05), rtol=1e-11) for cost in forms]
    traced = [jax.tree_util.tree_map(jnp.asarray, rs.EntropicTransport(c, a, b, 0.05).cost)
              for c in forms]  # fmt: skip
    sols += [rs.solve(rs.EntropicTransport(c, a, b, 0.05), Plain(), rtol=1e-4) for c in traced]
    for k, sol in enumerate(sols):
        digits = 1e-8 if k < 4 else 1e-3
        assert np.abs(np.asarray(sol.plan) - sols[0].plan).sum() <= digits
        assert sol.cost == pytest.approx(sols[0].cost, rel=digits)
        assert np.allclose(sol.apply(points), sols[0].apply(points), atol=digits)
        assert sol.certificate.details["gap"] < 1e-4


def test_bad_arguments_are_refused(sol):
    voice = r"(?s)^.+: given .+; needed .+\. .+"
    for call in (
        lambda: sol.apply(np.ones(7)),
        lambda: sol.apply(np.ones((5, 1, 1))),
        lambda: sol.sparse_plan(-1.0),
        lambda: sol.sparse_plan(np.nan),
    ):
        with pytest.raises(ValueError, match=voice):
            call()
    _, _, a, b = clouds()
    soft = rs.EntropicTransport(sol.x.problem.cost, a, b, 0.1, penalty=1.0)
    with pytest.raises(ValueError, match=voice):
        _ = Coupling(sol.x.f, sol.x.g, soft).rounded
    with pytest.raises(TypeError, match=voice):
        jax.jit(lambda f: Coupling(f, f[:5], sol.x.problem).gap)(jnp.zeros(7))


# ---------------------------------------------------------------- solutions


def test_solutions_hand_public_names_through_and_no_others(sol):
    assert {"plan", "apply", "cost", "potentials", "sparse_plan"} <= set(dir(sol))
    for name in ("no_such_name", "_each", "__array__", "__len__"):
        with pytest.raises(AttributeError):
            getattr(sol, name)
    linear = rs.solve(rs.LinearSystem(np.eye(2), np.ones(2)), rs.linear.CG())
    assert not hasattr(linear, "plan")
    assert not hasattr(linear, "shape")
    assert "shape" not in dir(linear)


def test_solutions_copy_save_and_map(sol, tmp_path):
    for other in (copy.copy(sol), copy.deepcopy(sol)):
        assert np.array_equal(other.plan, sol.plan)
    rs.save(tmp_path / "coupling.rs", sol.x)
    assert np.array_equal(rs.load(tmp_path / "coupling.rs").plan, sol.plan)
    mapped = jax.tree_util.tree_map(lambda leaf: leaf, sol)
    assert np.array_equal(mapped.plan, sol.plan)
    leaves, structure = jax.tree_util.tree_flatten(sol)
    empty = jax.tree_util.tree_unflatten(structure, [None] * len(leaves))
    assert type(empty).__name__ == "Solution"
    assert isinstance(hash(structure), int)


# ---------------------------------------------------------------- derivatives


def losses(C, a, b, epsilon, weights, penalty=None, rtol=1e-12):
    """One number in which cost, value, plan and potentials all take part."""
    problem = rs.EntropicTransport(C, a, b, epsilon, penalty=penalty)
    sol = rs.solve(problem, Plain(), rtol=rtol, max_steps=100_000)
    f, g = sol.potentials
    parts = (
        sol.cost,
        sol.value,
        jnp.vdot(weights, sol.plan),
        jnp.sin(3 * f).sum() + jnp.cos(2 * g).sum(),
    )
    return jnp.stack(parts)


def tangent(rng, size):
    direction = rng.standard_normal(size)
    return direction - direction.mean()


@pytest.mark.parametrize("penalty", [None, (0.3, None)], ids=["held", "soft"])
def test_derivatives_agree_with_differences(penalty):
    x, y, a, b = clouds(5, 4)
    C, h = squares(x, y), 1e-5
    rng = np.random.default_rng(4)
    weights = rng.standard_normal(C.shape)
    with jax.enable_x64(True):

        @jax.jit
        def run(*data):
            return losses(*data, weights, penalty)

        slopes = jax.jit(jax.jacrev(lambda *data: losses(*data, weights, penalty), (0, 1, 2, 3)))
        for epsilon in (0.05, 0.005):
            data = [jnp.asarray(one) for one in (C, a, b, epsilon)]
            found = slopes(*data)
            steps = [
                rng.standard_normal(C.shape),
                tangent(rng, 5) * a.mean(),
                tangent(rng, 4) * b.mean(),
                np.asarray(epsilon),
            ]
            for k, step in enumerate(steps):
                size = h * epsilon / max(1.0, np.abs(step).max()) if k == 0 else h
                there, back = list(data), list(data)
                there[k], back[k] = data[k] + size * step, data[k] - size * step
                rate = (run(*there) - run(*back)) / (2 * size)
                product = np.tensordot(np.asarray(found[k]), step, step.ndim)
                assert np.allclose(product, rate, rtol=1e-5, atol=1e-6 * np.abs(product).max())


def test_points_and_regularization_have_derivatives():
    x, y, a, b = clouds(5, 4)
    rng = np.random.default_rng(4)
    with jax.enable_x64(True):

        @jax.jit
        def run(x):
            problem = rs.EntropicTransport(PointCost(x, y), a, b, 0.02)
            return rs.solve(problem, Plain(), rtol=1e-12, max_steps=100_000).cost

        x, step = jnp.asarray(x), rng.standard_normal(x.shape)
        rate = (run(x + 1e-6 * step) - run(x - 1e-6 * step)) / 2e-6
        assert jnp.vdot(jax.grad(run)(x), step) == pytest.approx(float(rate), rel=1e-6)


def test_masses_that_are_zero_have_derivatives():
    x, y, a, b = clouds(5, 4)
    a[1] = 0.0
    a /= a.sum()
    C = squares(x, y)
    step = np.array([-0.5, 1.0, -0.5, 0.0, 0.0])
    with jax.enable_x64(True):

        @jax.jit
        def run(a):
            problem = rs.EntropicTransport(C, a, jnp.asarray(b), 0.05)
            sol = rs.solve(problem, Plain(), rtol=1e-13, max_steps=100_000, throw=False)
            return jnp.stack([sol.value, sol.cost])

        # One-sided differences, since no mass is below zero.
        h = 1e-5
        a = jnp.asarray(a)
        rate = (4 * run(a + h * step) - run(a + 2 * h * step) - 3 * run(a)) / (2 * h)
        slope = jax.jacrev(run)(a) @ step
        assert np.allclose(slope, rate, rtol=1e-5)


def test_larger_problems_are_differentiated_without_a_matrix():
    # 300 unknowns are above the limit of the direct solver; by the envelope theorem the slope of
    # the optimal value is the plan.
    x, y, a, b = clouds(150, 150)
    C = squares(x, y)
    with jax.enable_x64(True):

        def run(C):
            problem = rs.EntropicTransport(C, a, b, 0.02)
            sol = rs.solve(problem, Plain(), rtol=1e-9)
            return sol.value, sol.plan

        slope, plan = jax.jit(jax.grad(run, has_aux=True))(jnp.asarray(C))
        assert np.allclose(slope, plan, rtol=1e-5, atol=1e-9)


def test_a_solve_that_failed_has_no_derivative():
    x, y, a, b = (jnp.asarray(one) for one in clouds(5, 4))

    def run(C):
        problem = rs.EntropicTransport(C, a, b, 0.05)
        return rs.solve(problem, Plain(), rtol=1e-4, max_steps=1).cost

    assert np.isnan(jax.jit(jax.grad(run))(squares(x, y))).all()


def test_potentials_are_what_methods_iterate_on(sol):
    assert isinstance(sol.x.problem.as_point(sol.x), Potentials)
    start = sol.x.problem.start(None)
    assert isinstance(start, Potentials)
    assert np.array_equal(start.f, np.zeros(7))
