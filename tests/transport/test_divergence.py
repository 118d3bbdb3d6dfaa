"""Sinkhorn divergences against closed forms, their own definition and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transport.test_bad_input import refused
from transport.toys import clouds, squares

import resolvent as rs
from resolvent.transport import DenseCost, GridCost, PointCost
from resolvent.transport.divergence import sinkhorn_divergence
from resolvent.transport.symmetric import AveragedSinkhorn, is_symmetric, own_cost

LINE = np.linspace(-8, 8, 161)


def gauss(mean, variance):
    p = np.exp(-((LINE - mean) ** 2) / (2 * variance))
    return p / p.sum()


def found(*given, **options):
    return sinkhorn_divergence(*given, **{"rtol": 1e-11, **options})


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 5.0])
def test_shifted_gaussians_are_as_far_apart_as_their_means(epsilon):
    one = found(PointCost(LINE, LINE), gauss(-1, 0.5), gauss(1, 0.5), epsilon)
    assert one.value == pytest.approx(4.0, abs=1e-6)
    assert one.bound < 1e-8


def test_gaussians_of_different_width():
    # OT of centered Gaussians: s + t - 2c - epsilon/2 log(1 - c^2 / st), c the plan's covariance.
    s, t, epsilon = 0.4, 1.2, 0.6

    def transport(s, t):
        c = (-epsilon / 2 + np.sqrt(epsilon**2 / 4 + 4 * s * t)) / 2
        return s + t - 2 * c - epsilon / 2 * np.log(1 - c * c / (s * t))

    want = transport(s, t) - (transport(s, s) + transport(t, t)) / 2
    one = found(GridCost([LINE]), gauss(0, s), gauss(0, t), epsilon)
    assert one.value == pytest.approx(want, abs=1e-8)


def test_point_masses_are_as_far_apart_as_the_points():
    one = found(PointCost([0.0], [3.0], "l1"), [2.0], [2.0], 0.7)
    # KL(P | a b^T) of mass 2 against mass 4 is the same in all three.
    assert one.value == pytest.approx(6.0, rel=1e-12)


def test_large_epsilon_gives_the_kernel_distance():
    x, y, a, b = clouds(8, 6)
    kernels = [squares(*pair) for pair in ((x, y), (x, x), (y, y))]
    want = a @ kernels[0] @ b - (a @ kernels[1] @ a + b @ kernels[2] @ b) / 2
    one = found(PointCost(x, y), a, b, 1e6)
    assert one.value == pytest.approx(want, rel=1e-4)


# ---------------------------------------------------------------- what a divergence is


@given(seed=st.integers(0, 50), kind=st.sampled_from(["sqeuclidean", "euclidean", "l1"]))
@settings(max_examples=20)
def test_never_negative_and_symmetric(seed, kind):
    x, y, a, b = clouds(6, 5, seed)
    there = found(PointCost(x, y, kind), a, b, 0.1)
    back = found(PointCost(y, x, kind), b, a, 0.1)
    assert there.value > 1e-6
    assert there.value == pytest.approx(back.value, rel=1e-9)


@pytest.mark.parametrize("epsilon", [0.01, 1.0])
@pytest.mark.parametrize("form", ["points", "dense", "grid"])
def test_zero_for_equal_measures(form, epsilon):
    x, _, a, _ = clouds(9, 9, d=1)
    a[2] = 0.0
    a = a / a.sum()
    cost = {"points": PointCost(x, x), "dense": squares(x, x), "grid": GridCost([x[:, 0]])}[form]
    one = found(cost, a, a, epsilon)
    assert abs(one.value) <= one.bound + 1e-13
    assert one.bound < 1e-9
    # The same measure in another order.
    assert abs(found(PointCost(x, x[::-1]), a, a[::-1], epsilon).value) < 1e-9


def test_it_is_what_its_definition_says():
    x, y, a, b = clouds(8, 6)
    values = [
        rs.solve(rs.EntropicTransport(squares(s, t), p, q, 0.05), rtol=1e-12).value
        for s, t, p, q in ((x, y, a, b), (x, x, a, a), (y, y, b, b))
    ]
    one = found(squares(x, y), a, b, 0.05, own=(squares(x, x), squares(y, y)))
    assert one.value == pytest.approx(values[0] - (values[1] + values[2]) / 2, abs=1e-11)
    assert one.value == pytest.approx(found(PointCost(x, y), a, b, 0.05).value, abs=1e-11)


@pytest.mark.parametrize("rtol", [1e-1, 1e-2, 1e-4])
def test_bound_holds(rtol):
    for seed in range(5):
        x, y, a, b = clouds(12, 10, seed)
        best = found(PointCost(x, y), a, b, 0.02)
        loose = found(PointCost(x, y), a, b, 0.02, rtol=rtol)
        assert abs(loose.value - best.value) <= loose.bound + best.bound + 1e-14
        assert loose.bound < rtol


def test_certificates_counters_and_method():
    x, y, a, b = clouds(8, 6)
    one = found(PointCost(x, y), a, b, 0.05, method=rs.transport.Sinkhorn())
    assert one.converged
    assert len(one.certificates) == 3
    assert all(c.value <= 1e-11 for c in one.certificates)
    assert one.solutions[0].method == "sinkhorn"
    assert one.calls["kernel"] == sum(sol.calls["kernel"] for sol in one.solutions)


def test_a_missed_target_is_told():
    x, y, a, b = clouds(8, 6)
    with pytest.raises(rs.NotConverged):
        found(PointCost(x, y), a, b, 0.01, max_steps=1)
    one = found(PointCost(x, y), a, b, 0.01, max_steps=1, throw=False)
    assert not one.converged
    best = found(PointCost(x, y), a, b, 0.01)
    assert abs(one.value - best.value) <= one.bound + best.bound


@pytest.mark.slow
def test_single_precision():
    x, y, a, b = clouds(8, 6)
    data = [part.astype(np.float32) for part in (x, y, a, b)]
    want = found(PointCost(x, y), a, b, 0.05).value
    for kind in (np.asarray, jnp.asarray):
        x, y, a, b = map(kind, data)
        one = sinkhorn_divergence(PointCost(x, y), a, b, 0.05, rtol=1e-5)
        assert one.value == pytest.approx(want, abs=1e-5)
        assert isinstance(one.value, float)


# ---------------------------------------------------------------- the symmetric solve


@pytest.mark.parametrize("kind", ["sqeuclidean", "euclidean", "l1"])
@pytest.mark.parametrize("epsilon", [1.0, 0.01, 0.0001])
def test_averaged_updates_halve_the_error(kind, epsilon):
    x, _, a, _ = clouds(30, 5)
    problem = rs.EntropicTransport(PointCost(x, x, kind), a, a, epsilon)
    sol = rs.solve(problem, AveragedSinkhorn(), rtol=1e-10)
    assert sol.steps <= 45
    assert sol.calls == {"kernel": sol.steps + 1}
    assert np.abs(sol.plan.sum(1) - a).sum() <= 1e-10
    assert np.array_equal(sol.x.f, sol.x.g)


def test_averaged_updates_refuse_other_problems():
    x, y, a, b = clouds(5, 5)
    for cost, first, second, options in (
        (squares(x, y), a, a, {}),
        (squares(x, x), a, b, {}),
        (squares(x, x), a, a, {"penalty": 1.0}),
    ):
        problem = rs.EntropicTransport(cost, first, second, 0.1, **options)
        refused(lambda problem=problem: rs.solve(problem, AveragedSinkhorn()))


def test_which_costs_are_symmetric():
    x, y, _, _ = clouds(5, 5)
    C = squares(x, x)
    assert is_symmetric(DenseCost(C))
    assert not is_symmetric(DenseCost(squares(x, y)))
    assert is_symmetric(PointCost(x, x))
    assert not is_symmetric(PointCost(x, y))
    assert is_symmetric(PointCost(x, x, lambda s, t: jnp.abs(s - t).sum()))
    assert not is_symmetric(PointCost(x, x, lambda s, t: jnp.abs(s).sum()))
    assert is_symmetric(GridCost([np.arange(3.0), np.arange(2.0)]))
    assert not is_symmetric(GridCost([np.triu(np.ones((3, 3)))]))
    assert own_cost(PointCost(x, y)).shape == (5, 5)
    assert np.array_equal(own_cost(PointCost(x, y).T).rows(0, 5), squares(y, y))


# ---------------------------------------------------------------- transformations


@pytest.mark.parametrize("n", [5, pytest.param(140, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "argument",
    [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)],
)
def test_gradients_against_finite_differences(argument, n):
    rng = np.random.default_rng([argument, n])
    x, y, a, b = clouds(n, 6)
    move = [rng.standard_normal(x.shape), rng.standard_normal(n) * a, 1.0][argument]
    if argument == 1:
        move = move - a * move.sum()
    values = [x, a, 0.1]

    def along(t):
        changed = [*values]
        changed[argument] = values[argument] + t * move
        return changed

    def plain(t):
        x, a, epsilon = along(t)
        return found(PointCost(x, y), a, b, epsilon, rtol=1e-12).value

    def traced(t):
        x, a, epsilon = along(t)
        cost = PointCost(jnp.asarray(x), jnp.asarray(y))
        return found(cost, jnp.asarray(a), jnp.asarray(b), epsilon).value

    step = 1e-3
    near, far = (plain(k * step) - plain(-k * step) for k in (1, 2))
    wide = (8 * near - far) / (12 * step)
    with jax.enable_x64(True):
        slope = float(jax.jit(jax.grad(traced))(0.0))
    assert slope == pytest.approx(wide, rel=1e-6, abs=1e-8)


@pytest.mark.slow
def test_second_derivative_against_finite_differences():
    x, y, a, b = clouds(5, 6)
    move = np.random.default_rng(0).standard_normal(x.shape)

    def traced(t):
        cost = PointCost(jnp.asarray(x) + t * move, jnp.asarray(y))
        return found(cost, jnp.asarray(a), jnp.asarray(b), 0.1, rtol=1e-12).value

    with jax.enable_x64(True):
        curve = float(jax.jit(jax.grad(jax.grad(traced)))(0.0))
        slope = jax.jit(jax.grad(traced))
        wide = float(slope(1e-4) - slope(-1e-4)) / 2e-4
    assert curve == pytest.approx(wide, rel=1e-5)


@pytest.mark.slow
def test_gradient_is_zero_where_the_measures_are_equal():
    x, _, a, _ = clouds(6, 6)

    def traced(z):
        return found(PointCost(z, jnp.asarray(x)), jnp.asarray(a), jnp.asarray(a), 0.1).value

    with jax.enable_x64(True):
        slope = jax.grad(traced)(jnp.asarray(x))
    assert np.abs(slope).max() < 1e-8


def test_jit_and_vmap():
    x, y, a, b = clouds(6, 5)

    def one(shift):
        made = found(PointCost(jnp.asarray(x) + shift, jnp.asarray(y)), a, b, 0.1, rtol=1e-10)
        return made.value, made.converged, made.bound

    with jax.enable_x64(True):
        values, converged, bounds = jax.jit(jax.vmap(one))(jnp.array([0.0, 0.5, 2.0]))
    assert converged.all()
    assert np.isinf(bounds).all()
    for value, shift in zip(values, (0.0, 0.5, 2.0), strict=True):
        assert float(value) == pytest.approx(found(PointCost(x + shift, y), a, b, 0.1).value)


# ---------------------------------------------------------------- bad input


def test_refusals_say_what_is_wrong():
    x, y, a, b = clouds(5, 5)
    C, xx, yy = squares(x, y), squares(x, x), squares(y, y)
    for word, arguments, options in (
        ("own", (C, a, b, 0.1), {}),
        ("own", (C[:4], a[:4], b, 0.1), {}),
        ("own", (C, a, b, 0.1), {"own": xx}),
        ("own", (C, a, b, 0.1), {"own": (xx,)}),
        ("own[1]", (C, a, b, 0.1), {"own": (xx, C)}),
        ("own[0]", (C, a, b, 0.1), {"own": (xx[:4, :4], yy)}),
        ("b:", (PointCost(x, y), a, 2 * b, 0.1), {}),
        ("a:", (PointCost(x, y), -a, b, 0.1), {}),
        ("epsilon", (PointCost(x, y), a, b, 0.0), {}),
        ("rtol", (PointCost(x, y), a, b, 0.1), {"rtol": -1.0}),
        ("method", (PointCost(x, y), a, b, 0.1), {"method": "fast"}),
    ):
        message = refused(lambda g=arguments, o=options: sinkhorn_divergence(*g, **o))
        assert word in message, message


def test_a_traced_matrix_does_not_tell_its_symmetry():
    x, _, a, _ = clouds(4, 4)

    def divergence(C, own=None):
        return sinkhorn_divergence(C, a, a, 0.1, own=own).value

    C = jnp.asarray(squares(x, x), jnp.float32)
    assert "known" in refused(lambda: jax.jit(divergence)(C))
    assert abs(float(jax.jit(lambda C: divergence(C, (C, C)))(C))) < 1e-6
