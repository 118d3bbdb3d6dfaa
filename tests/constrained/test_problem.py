"""Constrained problems: the certificate, multipliers, derivatives, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import Bounds, nnls
from scipy.sparse import csr_array

import resolvent as rs
from resolvent.constrained import Multipliers
from resolvent.constrained.conditions import nonnegative_solution

VOICE = r"(?s)^{}: given .+; needed .+\. .+"
HERE = np.array([1.5, -0.5, 0.25])


def objective(x):
    return jnp.sin(x[0]) * x[1] + x[2] ** 4


def sphere(x):
    return jnp.stack([x @ x - 1, x[0] * x[2]])


def wedge(x):
    return jnp.stack([x[0] - x[1] - 1, -x[2]])


PROBLEM = rs.ConstrainedProblem(
    objective, sphere, wedge, (-2.0, np.array([2.0, 1.0, 1.0])), x0=HERE
)


def by_hand(x, y, z):
    """The three parts of the error, in NumPy."""
    gradient = np.array([np.cos(x[0]) * x[1], np.sin(x[0]), 4 * x[2] ** 3])
    G = np.array([2 * x, [x[2], 0, x[0]]])
    slopes = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
    force = gradient + y @ G + z @ slopes
    h = np.array([x[0] - x[1] - 1, -x[2]])
    return (
        x - np.clip(x - force, -2, [2, 1, 1]),
        np.array([x @ x - 1, x[0] * x[2]]),
        np.minimum(z, -h),
        np.maximum(h, 0),
    )


def in_one_unit(x, y, z, unit):
    """The error whose parts are all in the unit of the gradient, in NumPy."""
    gradient = np.array([np.cos(x[0]) * x[1], np.sin(x[0]), 4 * x[2] ** 3])
    G, slopes = np.array([2 * x, [x[2], 0, x[0]]]), np.array([[1.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
    c, h = np.array([x @ x - 1, x[0] * x[2]]), np.array([x[0] - x[1] - 1, -x[2]])
    lengths, low, high = np.maximum(np.abs(x), 1), -2 * np.ones(3), np.array([2.0, 1.0, 1.0])
    step = np.minimum(high - low, lengths) / unit
    still = (x - np.clip(x - step * (gradient + y @ G + z @ slopes), low, high)) / step
    far_c = unit * c / (np.abs(G) @ lengths + np.abs(c))
    far_h = unit * h / (np.abs(slopes) @ lengths + np.abs(h))
    slack = np.minimum(z * np.linalg.norm(slopes, axis=1), -far_h)
    whole = np.linalg.norm(np.r_[still, far_c, slack])
    stakes = np.r_[y * c, z * h, (gradient + y @ G + z @ slopes) * still * step]
    return max(whole, np.abs(stakes).sum() / max(np.linalg.norm(x), 1))


def test_certificate_is_the_norm_of_three_parts():
    """By hand, for a witness that is better than least squares and one that is worse."""
    x = np.array([0.9, 0.3, 0.05])
    problem = rs.ConstrainedProblem(
        objective, sphere, wedge, (-2.0, np.array([2.0, 1.0, 1.0])), x0=x
    )
    least = problem.multipliers(x)
    unit = float(np.linalg.norm([np.cos(0.9) * 0.3, np.sin(0.9), 4 * 0.05**3]))

    def value(y, z):
        still, c, slack, _ = by_hand(x, y, z)
        return max(np.linalg.norm(np.r_[still, c, slack]), in_one_unit(x, y, z, unit))

    own = [np.asarray(part) for part in least]
    # Least squares minimize h z where the error has min(z, -h).
    near = [[own[0], share * own[1]] for share in (0.5, 0.9, 1.1, 1.5)]
    better = min(near, key=lambda pair: value(*pair))
    worse = [own[0] + 1.0, own[1]]
    assert value(*better) < value(*own) < value(*worse)
    for witness, counts in ((better, better), (worse, own), (None, own)):
        given = None if witness is None else Multipliers(*witness)
        found = rs.certify(problem, x, given)
        assert float(found.value) == pytest.approx(value(*counts), rel=1e-12)
        still, c, slack, over = by_hand(x, *counts)
        parts = {"stationarity": still, "violation": np.r_[c, over], "complementarity": slack}
        for name, part in parts.items():
            assert float(found.details[name]) == pytest.approx(np.linalg.norm(part), abs=1e-12)


@pytest.mark.parametrize("kind", ["equality", "inequality", "bound"])
def test_what_is_nearly_met_does_not_count_as_met_where_the_value_depends_on_it(kind):
    """A height of 1e-7 over the ground, where f falls by a million for each unit of height."""
    sign, given = {
        "equality": (-1, {"equalities": lambda x: x[1]}),
        "inequality": (-1, {"inequalities": lambda x: x[1]}),
        "bound": (1, {"bounds": (0.0, 1.0)}),
    }[kind]
    problem = rs.ConstrainedProblem(
        lambda x: 1e6 * sign * x[1] + x[0] ** 2 - x[0], x0=np.ones(2), unit=1.0, **given
    )
    low, met = (rs.certify(problem, np.array([0.5, a]), rtol=1e-3) for a in (1e-7, 0.0))
    assert not low.holds
    assert float(low.value) == pytest.approx(0.1, rel=1e-6)
    assert met.holds


def test_a_witness_that_is_better_than_least_squares_counts():
    # Far from the boundary least squares damp the multiplier; the witness meets the conditions.
    problem = rs.ConstrainedProblem(
        lambda x: x[0], inequalities=lambda x: -x[0] + 0 * x[1], x0=np.array([0.0, 0.0])
    )
    right = rs.certify(problem, np.zeros(2), Multipliers(np.zeros(0), np.ones(1)))
    wrong = rs.certify(problem, np.zeros(2), Multipliers(np.zeros(0), np.array([-7.0])))
    assert right.value <= 1e-14
    assert wrong.value <= 1e-14  # a wrong witness does no harm
    away = rs.certify(problem, np.array([-0.5, 0.0]))
    assert away.value >= 0.5


@pytest.mark.parametrize("away", [0.0, 1e-9])
def test_bounds_hold_by_the_slope_of_the_lagrangian(away):
    """x_0 + x_1 = 1 with the multiplier 2 presses x_0 on the bound that f itself pulls it from."""
    problem = rs.ConstrainedProblem(
        lambda x: -x[0] - 2 * x[1] + x[2] ** 2, lambda x: x[:2].sum() - 1, bounds=(0.0, 5.0),
        x0=np.ones(3),
    )  # fmt: skip
    x = np.array([away, 1 - away, away])
    assert problem.multipliers(x).equalities == pytest.approx([2.0], rel=1e-12)
    assert rs.certify(problem, x).value <= 4 * away + 1e-14
    # Where no multiplier will do, none is found.
    assert rs.certify(problem, np.array([0.3, 0.7, 0.0])).value >= 0.3


def test_multipliers_do_not_depend_on_units_and_not_on_gradients_that_may_be_rounding():
    found = []
    for unit in (1.0, 1e-9, 1e9):
        problem = rs.ConstrainedProblem(
            lambda x, u: x @ x,
            lambda x, u: jnp.stack([u * (x.sum() - 3), x[0] - x[1], 1 + 1e-16 * x[0]]),
            args=np.array(unit), x0=np.ones(2),
        )  # fmt: skip
        y = np.asarray(problem.multipliers(np.ones(2)).equalities)
        found.append(y * [unit, 1, 1])
    assert np.allclose(found, [[-2.0, 0.0, 0.0]] * 3, atol=1e-9)


def test_multipliers_are_those_of_nonnegative_least_squares():
    rng = np.random.default_rng(1)
    solve = jax.jit(nonnegative_solution, static_argnums=2)
    with jax.enable_x64(True):
        for _ in range(20):
            A, b = rng.standard_normal((9, 6)), rng.standard_normal(9)
            found = np.asarray(solve(jnp.asarray(A.T @ A), jnp.asarray(A.T @ b), 2))
            # Entries of any sign are differences of nonnegative ones.
            wanted = nnls(np.hstack([A, -A[:, :2]]), b)[0]
            wanted[:2] -= wanted[6:]
            assert np.allclose(found, wanted[:6], atol=1e-10)


@pytest.mark.slow
def test_of_many_inequalities_the_nearest_have_multipliers():
    """A regular polygon around a circle, at a corner of it: two of its sides hold."""
    turn = 2 * np.pi / 100
    sides = np.stack([np.cos(turn * np.arange(100)), np.sin(turn * np.arange(100))], axis=1)
    corner = np.array([1.0, np.tan(turn / 2)])
    problem = rs.ConstrainedProblem(
        lambda x, args: args[0] @ x, None, lambda x, args: args[1] @ x - 1,
        args=(-sides[0] - 2 * sides[1], sides), x0=corner,
    )  # fmt: skip
    found = rs.certify(problem, corner, rtol=1e-8)
    assert found.holds
    away = rs.certify(problem, corner + 1e-3 * corner, rtol=1e-8)
    assert not away.holds


def test_a_first_gradient_of_rounding_is_no_unit():
    def quadratic(x, least):
        return least + ((x - 0.1 * 3) ** 2).sum()

    for x0, unit in ((0.3, 1.0), (0.3 + 1e-9, 2e-9)):
        problem = rs.ConstrainedProblem(
            quadratic, lambda x, _: x - x, args=np.array(1e3), x0=np.array([x0])
        )
        with jax.enable_x64(True):
            assert float(problem.scale(problem.first)) == pytest.approx(unit, rel=1e-6)


def test_derivatives_agree_with_differences():
    direction, step = np.array([0.3, -1.0, 0.7]), 1e-6
    pair = Multipliers(np.array([0.3, -0.2]), np.array([0.1, 0.4]))
    with jax.enable_x64(True):

        def along(function):
            ends = [np.asarray(function(jnp.asarray(HERE + s * direction))) for s in (step, -step)]
            return (ends[0] - ends[1]) / (2 * step)

        def slope(x):
            return jax.grad(lambda u: objective(u) + pair[0] @ sphere(u) + pair[1] @ wedge(u))(x)

        x = jnp.asarray(HERE)
        assert np.allclose(PROBLEM.gradient(x) @ direction, along(objective), atol=1e-8)
        assert np.allclose(PROBLEM.jacobian(x) @ direction, along(sphere), atol=1e-8)
        assert np.allclose(PROBLEM.jacobian_product(x, direction), along(sphere), atol=1e-8)
        bent = along(slope)
        assert np.allclose(PROBLEM.hessian(x, pair) @ direction, bent, atol=1e-8)
        assert np.allclose(PROBLEM.hessian_product(x, direction, pair), bent, atol=1e-8)


def test_the_condition_of_second_order_tells_saddles_from_minimizers():
    def problem(sign):
        return rs.ConstrainedProblem(
            lambda x: x[0] ** 2 + sign * x[1] ** 2, bounds=(None, np.array([np.inf, 1.0])),
            x0=np.zeros(2),
        )  # fmt: skip

    saddle = rs.constrained.second_order(problem(-1.0), np.zeros(2))
    assert (saddle.positive, saddle.negative) == (1, 1)
    assert not saddle.minimizer
    held = rs.constrained.second_order(problem(-1.0), np.array([0.0, 1.0]))
    assert held.minimizer
    assert (held.positive, held.negative, held.least) == (1, 0, pytest.approx(2.0))
    flat = rs.constrained.second_order(problem(0.0), np.zeros(2))
    assert flat.zero == 1
    assert not flat.minimizer


def test_a_bound_holds_only_what_pushes_against_it():
    problem = rs.ConstrainedProblem(lambda x: x.sum(), bounds=(0.0, 1.0), x0=np.full(2, 0.5))
    least, most = (rs.constrained.second_order(problem, x) for x in (np.zeros(2), np.ones(2)))
    assert least.minimizer
    assert not most.minimizer
    assert not most.stationary
    # What pulls away from an inequality is no multiplier either.
    wall = rs.ConstrainedProblem(lambda x: -x[0], inequalities=lambda x: -x[0], x0=np.ones(1))
    pulled = Multipliers(np.zeros(0), np.array([-1.0]))
    assert not rs.constrained.second_order(wall, np.zeros(1), pulled).minimizer


@pytest.mark.parametrize(
    ("bend", "sign"), [(-1e-3, "negative"), (-1e-7, "zero"), (1e-3, "positive")]
)
def test_what_counts_as_curvature_is_linear_in_the_tolerance(bend, sign):
    problem = rs.ConstrainedProblem(
        lambda x, b: x[0] ** 2 + b * x[1] ** 2, args=bend, x0=np.ones(2)
    )
    found = rs.constrained.second_order(problem, np.zeros(2), tolerance=1e-6)
    assert getattr(found, sign) == (2 if sign == "positive" else 1)
    assert found.minimizer == (sign == "positive")


REFUSED = {
    "no function": (TypeError, {"f": 3.0}),
    "vector objective": (ValueError, {"f": lambda x: x}),
    "comparison": (TypeError, {"equalities": lambda x: x[0] > 1}),
    "decision": (TypeError, {"inequalities": lambda x: 1.0 if x[0] > 1 else 0.0}),
    "integers": (TypeError, {"equalities": lambda x: jnp.arange(2)}),
    "complex": (TypeError, {"equalities": lambda x: 1j * x[0]}),
    "crossed bounds": (ValueError, {"bounds": (1.0, 0.0)}),
    "NaN bound": (ValueError, {"bounds": (np.nan, 1.0)}),
    "infinite lower bound": (ValueError, {"bounds": (np.inf, None)}),
    "long bounds": (ValueError, {"bounds": (np.zeros(4), None)}),
    "one bound": (TypeError, {"bounds": 1.0}),
    "bounds of another tree": (ValueError, {"bounds": ({"a": 1.0}, None)}),
    "zero unit": (ValueError, {"unit": 0.0}),
    "a pair a number": (TypeError, {"bounds": [(0.0, 1.0), (0.0, 1.0)]}),
    "three pairs": (TypeError, {"bounds": [(0.0, 1.0)] * 3}),
    "functions of NumPy": (TypeError, {"f": lambda x: np.log(x[0])}),
    "args that are not given": (TypeError, {"equalities": lambda x, args: x[0] - args}),
    "args that are not taken": (TypeError, {"f": lambda x: x @ x, "args": 1.0}),
    "NaN start": (ValueError, {"x0": np.array([np.nan, 0.0])}),
    "empty start": (ValueError, {"x0": np.zeros(0)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_problems_are_refused(name):
    kind, given = REFUSED[name]
    argument = next(iter(given))
    good = {"f": lambda x: x @ x, "x0": np.ones(2)}
    with pytest.raises(kind, match=VOICE.format(argument)):
        rs.ConstrainedProblem(**{**good, **given})


def test_multipliers_that_are_given_have_the_shapes_of_the_constraints():
    for wrong in ((np.zeros(3), np.zeros(2)), (np.zeros(2),)):
        with pytest.raises(ValueError, match=VOICE.format("multipliers")):
            rs.certify(PROBLEM, HERE, wrong)
        with pytest.raises(ValueError, match=VOICE.format("multipliers")):
            rs.constrained.second_order(PROBLEM, HERE, wrong)
    with pytest.raises(ValueError, match=VOICE.format("tolerance")):
        rs.constrained.second_order(PROBLEM, HERE, tolerance=-1.0)


def test_numbers_in_python_and_bounds_of_scipy_are_understood():
    """A system of equations as a problem whose objective is constant."""
    problem = rs.ConstrainedProblem(
        lambda x: 0.0, lambda x: [x[0] * x[1] - 2, 0.0], bounds=Bounds(1.0, [1.5, 3.0]),
        x0=np.array([1.5, 2.0]),
    )  # fmt: skip
    assert problem.counts() == (2, 0)
    assert np.array_equal(problem.gradient(np.ones(2)), [0.0, 0.0])
    assert np.array_equal(problem.jacobian(np.ones(2)), [[1.0, 1.0], [0.0, 0.0]])
    assert np.array_equal(problem.lower, [1.0, 1.0])
    assert np.array_equal(problem.upper, [1.5, 3.0])
    assert rs.ConstrainedProblem(lambda x: x @ x, bounds=(None, None), x0=HERE).lower is None


def test_what_is_left_of_the_gradient_is_what_bounds_bear():
    problem = rs.ConstrainedProblem(
        lambda x: (x - 2) @ (x - 2), lambda x: x[0] - x[1], bounds=(None, 1.0), x0=np.zeros(2)
    )
    left = problem.lagrangian_gradient(np.ones(2), Multipliers(np.array([0.5]), np.zeros(0)))
    assert np.allclose(left, [-1.5, -2.5])


@pytest.mark.parametrize("unit", [1e-7, 1.0, 1e7])
def test_the_condition_of_second_order_does_not_depend_on_what_rows_are_measured_in(unit):
    """The nearest point of a half space, and one within it that touches nothing."""
    for side, strict in ((0.5, True), (1.5, True)):
        problem = rs.ConstrainedProblem(
            lambda x, side: (x - side) @ (x - side),
            inequalities=lambda x, side: unit * (2 - x.sum()),
            args=side,
            x0=np.zeros(2),
        )
        answer = np.full(2, max(side, 1.0))
        pair = Multipliers(np.zeros(0), np.array([max(2 - 2 * side, 0.0) / unit]))
        found = rs.constrained.second_order(problem, answer, pair)
        assert found.minimizer
        assert (found.strict, found.positive) == (strict, 1 if side < 1 else 2)


def test_methods_for_equations_refuse_the_rest_in_words():
    mixed = rs.ConstrainedProblem(
        lambda x: x @ x, inequalities=lambda x: x, bounds=(0.0, None), x0=np.ones(2)
    )
    many = rs.ConstrainedProblem(lambda x: x @ x, lambda x: jnp.append(x, x.sum()), x0=np.ones(2))
    for method in (rs.constrained.SketchedNewton(), rs.constrained.L1SQP()):
        with pytest.raises(ValueError, match="there are 2 inequalities and bounds.*augmented-lag"):
            rs.solve(mixed, method)
        with pytest.raises(ValueError, match="3 equations for 2 unknowns.*augmented-lagrangian"):
            rs.solve(many, method)
        single = rs.ConstrainedProblem(lambda x: x @ x, lambda x: x[0], x0=np.ones(2))
        with pytest.raises(ValueError, match=r"multipliers: given shape \(3,\)"):
            rs.solve(single, type(method)(multipliers=np.ones(3)))
    assert isinstance(mixed.default_method(), rs.constrained.PrimalDualInteriorPoint)
    assert isinstance(many.default_method(), rs.constrained.PrimalDualInteriorPoint)
    large = rs.ConstrainedProblem(lambda x: x @ x, inequalities=lambda x: x[0], x0=np.ones(2001))
    assert isinstance(large.default_method(), rs.constrained.AugmentedLagrangian)
    bent = rs.ConstrainedProblem(lambda x: x @ x, lambda x: x[0] ** 2 - 1, x0=np.ones(2000))
    assert isinstance(bent.default_method(), rs.constrained.AugmentedLagrangian)
    free = rs.ConstrainedProblem(lambda x: x @ x, x0=np.ones(2001))
    assert isinstance(free.default_method(), rs.constrained.ProjectedNewton)
    boxed = rs.ConstrainedProblem(lambda x: x @ x, bounds=(0.0, None), x0=np.ones(2))
    assert isinstance(boxed.default_method(), rs.constrained.ProjectedNewton)


@pytest.mark.slow
def test_a_start_outside_the_domain_is_refused():
    problem = rs.ConstrainedProblem(lambda x: jnp.log(x[0]), lambda x: x[0] - 2, x0=-np.ones(1))
    with pytest.raises(ValueError, match=VOICE.format("x0")):
        rs.solve(problem)


def test_functions_of_numpy_stand_for_those_of_jax():
    """The curve of HS7, in double precision in spite of the callbacks."""
    calls = []

    def value(x):
        calls.append(x.dtype)
        return np.log(1 + x[0] ** 2) - x[1]

    s = lambda x: 1 + x[0] ** 2  # noqa: E731
    f = rs.constrained.HostFunction(
        value, lambda x: np.array([2 * x[0] / s(x), -1.0]),
        lambda x: np.diag([2 / s(x) - 4 * x[0] ** 2 / s(x) ** 2, 0.0]),
    )  # fmt: skip
    c = rs.constrained.HostFunction(
        lambda x: np.array([s(x) ** 2 + x[1] ** 2 - 4]),
        lambda x: csr_array([[4 * x[0] * s(x), 2 * x[1]]]),
        lambda x: np.array([np.diag([4 * s(x) + 8 * x[0] ** 2, 2.0])]), values=1,
    )  # fmt: skip
    problem = rs.ConstrainedProblem(f, c, x0=np.array([2.0, 2.0]))
    sol = rs.solve(problem, rs.constrained.L1SQP("tests"), rtol=1e-12)
    assert np.allclose(sol.x, [0.0, 3**0.5], atol=1e-11)
    assert set(calls) == {np.dtype(np.float64)}
    bad = rs.ConstrainedProblem(
        rs.constrained.HostFunction(value, lambda x: np.ones(1)), x0=np.ones(2)
    )
    with pytest.raises(RuntimeError, match=r"jacobian: given values of shape \(1,\)"):
        bad.gradient(np.ones(2))


@pytest.mark.parametrize(
    ("f", "given", "x0", "answer", "rtol"),
    [
        (lambda x: (1e8 * (x - 2) ** 2).sum(), {"equalities": lambda x: x - 1}, [0.0], [1.0], 1e-6),
        (lambda x: (1e8 * (x - 2) ** 2).sum(), {"equalities": lambda x: x - 1}, [2.0], [1.0], 1e-6),
        (lambda x: 1e4 * x.sum(), {"bounds": (0.0, 1.0)}, [0.5, 0.5], [0.0, 0.0], 1e-6),
        # Relative to the gradient at the first guess, 5e6, which the answer is far away from.
        (
            lambda x: (x**4).sum(),
            {"equalities": lambda x: x[0] * x[1] - 1},
            [9e1, 1e2],
            [1.0, 1.0],
            1e-9,
        ),
        (lambda x: (x**2).sum(), {"equalities": lambda x: jnp.exp(x) - 1}, [20.0], [0.0], 1e-6),
    ],
    ids=["steep", "at its own minimizer", "box", "far", "steep far away"],
)
def test_a_steep_function_does_not_hide_what_is_violated(f, given, x0, answer, rtol):
    problem = rs.ConstrainedProblem(f, x0=np.array(x0), **given)
    assert not rs.certify(problem, np.array(x0), rtol=1e-4).holds
    sol = rs.solve(problem, rs.constrained.AugmentedLagrangian(), rtol=rtol)
    np.testing.assert_allclose(sol.x, answer, atol=1e-5)
