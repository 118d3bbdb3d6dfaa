"""Whatever a user passes as a transport problem is solved, or refused in words."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from transport.toys import Plain, clouds, solve, squares

import resolvent as rs
from resolvent.transport import DenseCost, GridCost, PointCost

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
REFUSED = (ValueError, TypeError)
THIRDS = np.full(3, 1 / 3)


def refused(call, *, kind=REFUSED):
    """The message of a refusal; anything but the library's own voice fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind, match=VOICE) as caught:
            call()
    assert caught.value.__cause__ is None
    return str(caught.value)


def in_words(error):
    """Whether it is the library that speaks."""
    assert "; needed " in str(error), f"not the library's voice: {error!r}"


def problem(cost=None, a=THIRDS, b=THIRDS, epsilon=0.1, **options):
    return rs.EntropicTransport(np.ones((3, 3)) if cost is None else cost, a, b, epsilon, **options)


# ---------------------------------------------------------------- shapes


SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@given(of_cost=SHAPES, of_a=SHAPES, of_b=SHAPES)
@settings(max_examples=150)
def test_only_matching_shapes_pass(of_cost, of_a, of_b):
    cost, a, b = np.ones(of_cost), np.ones(of_a), np.ones(of_b)
    fits = len(of_cost) == 2 and 0 not in of_cost
    fits = fits and of_a == of_cost[:1] and of_b == of_cost[1:]
    if fits:
        a, b = a / a.size, b / b.size
        assert problem(cost, a, b).shape == of_cost
        return
    message = refused(lambda: problem(cost, a, b), kind=ValueError)
    assert any(str(shape) in message for shape in (of_cost, of_a, of_b))


@given(of_x=SHAPES, of_y=SHAPES)
def test_only_matching_points_pass(of_x, of_y):
    fits = {1, 2} >= {len(of_x), len(of_y)} and 0 not in (*of_x, *of_y)
    d = [shape[1] if len(shape) == 2 else 1 for shape in (of_x, of_y)]
    if fits and d[0] == d[1]:
        assert PointCost(np.ones(of_x), np.ones(of_y)).shape == (of_x[0], of_y[0])
    else:
        refused(lambda: PointCost(np.ones(of_x), np.ones(of_y)), kind=ValueError)


@pytest.mark.parametrize(
    "axes", [[], np.arange(3.0), [np.ones((0, 2))], [np.ones((2, 2, 2))], [1.0], None, "grid"]
)
def test_grids_without_axes(axes):
    refused(lambda: GridCost(axes))


def test_rows_and_columns_exchanged_say_which_is_which():
    message = refused(lambda: problem(np.ones((3, 2)), np.ones(2), np.ones(3)))
    assert "(3, 2)" in message
    assert "a" in message.split(":")[0]


# ---------------------------------------------------------------- numbers


BAD = [np.nan, np.inf, -np.inf, -1.0, -1e-300]


@given(
    bad=st.sampled_from(BAD), place=st.integers(0, 8), single=st.booleans(), on_jax=st.booleans()
)
def test_costs_that_are_no_costs(bad, place, single, on_jax):
    cost = np.ones(9, np.float32 if single or on_jax else np.float64)
    if cost.dtype == np.float32 and bad == -1e-300:
        bad = -1e-30
    cost[place] = bad
    cost = jnp.asarray(cost.reshape(3, 3)) if on_jax else cost.reshape(3, 3)
    assert refused(lambda: problem(cost), kind=ValueError).startswith("cost")
    refused(lambda: GridCost([cost]), kind=ValueError)


@given(bad=st.sampled_from(BAD), place=st.integers(0, 2), side=st.sampled_from("ab"))
def test_masses_that_are_no_masses(bad, place, side):
    masses = THIRDS.copy()
    masses[place] = bad
    message = refused(lambda: problem(**{side: masses}), kind=ValueError)
    assert message.startswith(side)


@given(size=st.floats(1e-8, 1e8), share=st.floats(1e-7, 10))
def test_totals_that_differ_are_both_printed(size, share):
    a, b = size * THIRDS, size * (1 + share) * THIRDS
    message = refused(lambda: problem(a=a, b=b), kind=ValueError)
    assert message.startswith("b")
    assert f"{a.sum():.12g}" in message
    assert f"{b.sum():.12g}" in message


@pytest.mark.parametrize("side", ["a", "b"])
def test_no_mass_at_all(side):
    assert "zero" in refused(lambda: problem(**{side: np.zeros(3)}), kind=ValueError)


@pytest.mark.parametrize("name", ["epsilon", "penalty"])
@pytest.mark.parametrize("value", [0, 0.0, -1.0, np.nan, -np.inf, np.float32(0), jnp.asarray(-1.0)])
def test_regularization_must_be_positive(name, value):
    assert refused(lambda: problem(**{name: value}), kind=ValueError).startswith(name)


@pytest.mark.parametrize("name", ["epsilon", "penalty"])
@pytest.mark.parametrize("value", ["small", True, np.ones(3), 1j])
def test_regularization_must_be_a_number(name, value):
    assert refused(lambda: problem(**{name: value})).startswith(name)


def test_regularization_may_be_any_kind_of_number():
    for epsilon in (1, 0.5, np.float32(0.5), np.asarray(0.5), np.int64(2), jnp.asarray(0.5)):
        assert problem(epsilon=epsilon).epsilon == float(epsilon)
    refused(lambda: problem(epsilon=None))
    refused(lambda: problem(epsilon=np.inf))
    refused(lambda: problem(penalty=(1.0, 2.0, 3.0)))
    assert problem(penalty=(np.inf, 2.0)).penalty == (None, 2.0)


DTYPES = [complex, object, np.float16, "datetime64[s]", str]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["cost", "a", "b"])
def test_numbers_of_a_wrong_kind(name, dtype):
    shape = (3, 3) if name == "cost" else (3,)
    value = np.full(shape, None) if dtype is object else np.zeros(shape, dtype)
    assert refused(lambda: problem(**{name: value}), kind=TypeError).startswith(name)
    if name == "cost":
        refused(lambda: PointCost(value, value), kind=TypeError)
        refused(lambda: GridCost([value]), kind=TypeError)


def test_costs_of_a_wrong_kind():
    refused(lambda: PointCost(np.ones(3), np.ones(3), "cosine"), kind=ValueError)
    refused(lambda: PointCost(np.ones(3), np.ones(3), np.ones((3, 3))), kind=TypeError)
    refused(lambda: GridCost([np.ones(3)], cost="euclidean"), kind=ValueError)
    refused(lambda: PointCost(np.ones(3), np.ones(3), lambda s, t: -1.0 + 0 * s[0]))
    refused(lambda: PointCost(np.ones(3), np.ones(3), lambda s, t: s[0] / 0))
    refused(lambda: PointCost(np.ones((3, 2)), np.ones((3, 2)), lambda s, t: abs(s - t)))
    refused(lambda: PointCost(1e200 * np.ones(3), -1e200 * np.ones(3)), kind=ValueError)
    refused(lambda: GridCost([1e200 * np.arange(3.0)]), kind=ValueError)


def test_context_must_be_a_number():
    assert problem(context=2).context == 2.0
    refused(lambda: problem(context=np.nan))
    refused(lambda: problem(context="late"))


# ---------------------------------------------------------------- what must work


def test_integers_and_lists_are_numbers():
    plain = problem([[0, 1], [1, 0]], [1, 1], [1, 1], 1)
    assert plain.dtype == np.float64
    assert solve(plain).plan.sum() == pytest.approx(2.0)


@pytest.mark.parametrize("form", ["matrix", "points", "grid"])
def test_one_point(form):
    cost = {"matrix": [[2.0]], "points": PointCost([0.0], [1.0]), "grid": GridCost([[[3.0]]])}
    sol = solve(problem(cost[form], [1.5], [1.5], 0.1))
    assert sol.plan[0, 0] == pytest.approx(1.5)
    assert sol.certificate.details["gap"] == pytest.approx(0.0, abs=1e-12)
    many = solve(problem(np.arange(3.0)[None], [1.0], THIRDS, 1e-3))
    assert np.allclose(many.plan, [THIRDS])


def test_rows_without_cost():
    cost = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [3.0, 0.0, 1.0]])
    assert solve(problem(cost)).converged
    free = solve(problem(np.zeros((3, 3))))
    assert np.allclose(free.plan, 1 / 9)
    assert free.cost == 0.0


def test_points_that_meet():
    x = np.repeat(np.random.default_rng(0).random((2, 2)), 3, axis=0)
    sixths = np.full(6, 1 / 6)
    for kind in ("sqeuclidean", "euclidean", "l1"):
        sol = solve(problem(PointCost(x, x, kind), sixths, sixths, 0.05), rtol=1e-11)
        assert sol.plan[0, 0] == pytest.approx(sol.plan[2, 1], rel=1e-9)


@pytest.mark.parametrize("size", [1e-12, 1e12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_and_large_costs(size, dtype):
    x, y, a, b = (one.astype(dtype) for one in clouds())
    C = (size * squares(x, y)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cost in (C, jnp.asarray(C)):
            sol = rs.solve(problem(cost, a, b, 0.05 * size), Plain(), rtol=1e-5)
            one = rs.solve(problem(squares(x, y), a, b, 0.05), Plain(), rtol=1e-5)
            assert np.allclose(sol.plan, one.plan, rtol=1e-2, atol=1e-6)


MASSES = st.one_of(st.just(0.0), st.floats(1e-100, 1e10))


@given(
    C=arrays.arrays(np.float64, (3, 4), elements=st.floats(0, 1e300, allow_subnormal=False)),
    a=arrays.arrays(np.float64, 3, elements=MASSES),
    b=arrays.arrays(np.float64, 4, elements=MASSES),
    epsilon=st.floats(1e-300, 1e300),
    tau=st.sampled_from([None, 1.0]),
)
def test_any_data_are_solved_or_end_in_words(C, a, b, epsilon, tau):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            if tau is None and a.sum() > 0 and b.sum() > 0:
                b = b * (a.sum() / b.sum())
            task = problem(C, a, b, epsilon, penalty=tau)
        except REFUSED as error:
            in_words(error)
            return
        sol = rs.solve(task, Plain(), rtol=1e-6, throw=False, max_steps=30)
        assert sol.certificate.value >= 0
        if sol.converged and tau is None:
            assert np.abs(sol.plan.sum(1) - task.a).sum() <= 1.1e-6 * a.sum()
            assert np.abs(sol.plan.sum(0) - task.b).sum() <= 1.1e-6 * a.sum()


# ---------------------------------------------------------------- first guesses


def guesses():
    f, g = np.zeros(3), np.zeros(3)
    return {
        "one array": np.zeros(6),
        "one potential": (f,),
        "three": (f, g, f),
        "short": (f[:2], g),
        "exchanged shape": (f[:, None], g),
        "nan": (np.full(3, np.nan), g),
        "infinite": (f, np.full(3, np.inf)),
        "complex": (f + 0j, g),
        "text": "zero",
        "nothing": (None, None),
        "number": 1.0,
    }


@pytest.mark.parametrize("name", guesses())
def test_first_guesses(name):
    guess = guesses()[name]
    assert refused(lambda: rs.solve(problem(), Plain(), x0=guess)).startswith("x0")
    assert refused(lambda: rs.certify(problem(), guess)).startswith("x")


def test_dense_costs_may_be_given_as_such():
    assert problem(DenseCost(np.ones((3, 3)))).cost.form == "dense"
