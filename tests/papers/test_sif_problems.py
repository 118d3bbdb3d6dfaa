"""Problems of CUTEst in the forms of this package: functions, bounds and signs of the set."""

import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.papers._sif_catalogue import catalogue
from resolvent.papers._sif_senses import AT_MOST, WIDTHS
from resolvent.papers.sif_problems import sif_least, sif_names, sif_problem

# Not importorskip: the package sets JAX to double precision for everybody when it is imported.
if importlib.util.find_spec("sif2jax") is None:
    pytest.skip("sif2jax is not installed", allow_module_level=True)


def test_names_are_sorted_by_kind():
    found = {kind: sif_names(kind) for kind in ("unconstrained", "bounded", "constrained")}
    assert "ROSENBR" in found["unconstrained"]
    assert "HS4" in found["bounded"]
    assert "HS71" in found["constrained"]
    assert sum(map(len, found.values())) + len(sif_names("equations")) == len(catalogue())
    assert found["constrained"] == sorted(found["constrained"])


def test_another_kind_or_name_is_refused():
    with pytest.raises(ValueError, match="kind"):
        sif_names("linear")
    with pytest.raises(ValueError, match="sif_names"):
        sif_problem("HS1000")


def test_reading_a_problem_leaves_the_package_unread():
    before = {name for name in sys.modules if name.startswith("sif2jax")}
    sif_problem("HS6")
    assert {name for name in sys.modules if name.startswith("sif2jax")} == before


def test_an_unconstrained_problem_is_that_of_the_set():
    problem = sif_problem("ROSENBR")
    assert isinstance(problem, rs.Minimize)
    assert problem.first.dtype == np.float64
    np.testing.assert_array_equal(problem.first, [-1.2, 1.0])
    with jax.enable_x64(True):
        value = float(problem.f(jnp.array([0.3, -0.7]), problem.args))
    assert value == pytest.approx(100 * (-0.7 - 0.09) ** 2 + 0.49, rel=1e-14)


def test_inequalities_change_their_sign_and_bounds_stay():
    # HS71: x1 x4 (x1 + x2 + x3) + x3, 25 <= the product of all, their squares make 40, 1 <= x <= 5.
    problem = sif_problem("HS71")
    assert problem.counts() == (1, 1)
    np.testing.assert_array_equal(problem.lower, np.ones(4))
    np.testing.assert_array_equal(problem.upper, np.full(4, 5.0))
    x = np.array([1.0, 2.0, 3.0, 4.0])
    with jax.enable_x64(True):
        assert problem.inequalities_at(jnp.asarray(x))[0] == pytest.approx(25 - 24)
        assert problem.equalities_at(jnp.asarray(x))[0] == pytest.approx(30 - 40)
        assert problem.objective_at(jnp.asarray(x)) == pytest.approx(4 * 6 + 3)


def test_solves_in_double_precision_to_the_known_value():
    problem = sif_problem("HS71")
    sol = rs.solve(problem, rs.constrained.AugmentedLagrangian(), rtol=1e-9)
    assert sol.x.dtype == np.float64
    with jax.enable_x64(True):
        value = float(problem.objective_at(jnp.asarray(sol.x)))
    # The set prints nine digits.
    assert value == pytest.approx(sif_least("HS71"), rel=1e-8)
    assert np.all((sol.x >= 1 - 1e-9) & (sol.x <= 5 + 1e-9))


def test_bounds_alone_make_no_equations():
    problem = sif_problem("HS4")
    assert problem.counts() == (0, 0)
    np.testing.assert_array_equal(problem.lower, [1.0, 0.0])


def inequalities(name, x):
    problem = sif_problem(name)
    with jax.enable_x64(True):
        return np.asarray(problem.inequalities_at(jnp.asarray(x, float)))


def test_rows_with_an_upper_limit_are_read_as_the_set_means_them():
    # CHACONN1: all rows are functions of x less u, at most 0.
    want = [1 + 1e-4, 1 + 2.1**2, 2 * np.exp(-1.1)]
    np.testing.assert_allclose(inequalities("CHACONN1", [1.0, -0.1, 0.0]), want, rtol=1e-14)
    # HS76: two rows at most 5 and 4, one at least 1.5.
    np.testing.assert_allclose(inequalities("HS76", [1.0, 2, 0, 0]), [0, 1, -0.5], atol=1e-14)
    # HS64: 4 / x1 + 32 / x2 + 120 / x3 <= 1.
    np.testing.assert_allclose(inequalities("HS64", [4.0, 32, 120]), [2.0], rtol=1e-14)


def test_rows_with_two_limits_have_both():
    # BIGGSC4: sums of pairs between 2.5 and 7.5, 2 and 7, 1.5 and 6.5; the sum of all at least 5.
    pairs, least = np.array([1.0, 1, 1, 0, 0, 0]), np.array([2.5, 2.5, 2.5, 2, 2, 1.5])
    want = [*(least - pairs), 4, *(pairs - least - 5)]
    np.testing.assert_allclose(inequalities("BIGGSC4", [1.0, 0, 0, 0]), want, rtol=1e-14)
    # HS104: 1 <= f <= 4.2.
    problem = sif_problem("HS104")
    h = inequalities("HS104", problem.first)
    with jax.enable_x64(True):
        value = float(problem.objective_at(jnp.asarray(problem.first)))
    np.testing.assert_allclose(h[4:], [1 - value, value - 4.2], rtol=1e-13)


def test_the_lists_of_such_rows_name_problems():
    assert (set(AT_MOST) | set(WIDTHS)) <= set(sif_names("constrained"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CHACONN1", "HS64", "HS104"])
def test_least_values_are_those_that_the_set_knows(name):
    problem = sif_problem(name)
    sol = rs.solve(problem, rs.constrained.PrimalDualInteriorPoint(), rtol=1e-7)
    with jax.enable_x64(True):
        value = float(problem.objective_at(jnp.asarray(sol.x)))
    assert value == pytest.approx(sif_least(name), rel=1e-5)
