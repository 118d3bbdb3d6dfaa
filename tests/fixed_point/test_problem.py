"""The problem: what it takes, what it refuses, what it certifies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.fixed_point import Anderson, FixedPoint, Picard

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


def half(x):
    return 0.5 * x + 1.0


def test_numpy_in_numpy_out_and_jax_in_jax_out():
    sol = rs.solve(FixedPoint(half, np.zeros(2)), Picard(), rtol=1e-12)
    assert isinstance(sol.x, np.ndarray)
    assert sol.x.dtype == np.float64
    assert np.allclose(sol.x, 2.0, rtol=1e-11)
    assert sol.engine == "traced, map"
    sol = rs.solve(FixedPoint(half, jnp.zeros(2)), Picard(), rtol=1e-5)
    assert isinstance(sol.x, jax.Array)
    assert sol.x.dtype == jnp.float32


def test_maps_for_numpy_run_on_the_host():
    sol = rs.solve(FixedPoint(lambda x: half(np.array(x)), np.zeros(2)), rtol=1e-12)
    assert sol.engine == "host, map"
    assert np.allclose(sol.x, 2.0, rtol=1e-11)
    with pytest.raises(jax.errors.JAXTypeError):
        FixedPoint(lambda x: half(np.array(x)), jnp.zeros(2))


@pytest.mark.slow
def test_lists_and_integers_are_taken():
    assert np.allclose(rs.solve(FixedPoint(half, np.arange(3))).x, 2.0, atol=1e-5)
    sol = rs.solve(FixedPoint(lambda x: [half(x[0]), half(x[1])], [1, np.ones(2)]))
    assert isinstance(sol.x, list)
    assert sol.x[0].shape == ()


def test_the_certificate_is_the_residual_or_the_distance():
    problem = FixedPoint(half, np.zeros(4), unit=3.0)
    certificate = rs.certify(problem, np.full(4, 2.5), rtol=0.1)
    assert certificate.kind == "residual"
    assert certificate.value == pytest.approx(0.5)
    assert certificate.target == pytest.approx(0.3)
    assert not certificate.holds
    known = FixedPoint(half, np.zeros(4), contraction=0.5)
    certificate = rs.certify(known, np.full(4, 2.5), rtol=0.1)
    assert certificate.kind == "bound"
    assert certificate.value == pytest.approx(1.0)
    assert certificate.details == {"residual": pytest.approx(0.5)}
    # The bound is that of the true distance, and met by this map.
    assert certificate.value >= np.linalg.norm(np.full(4, 2.5) - 2.0) - 1e-12


def test_a_solve_ends_on_the_bound_where_there_is_one():
    loose = rs.solve(FixedPoint(half, np.zeros(1)), Picard(), rtol=1e-6)
    tight = rs.solve(FixedPoint(half, np.zeros(1), contraction=0.5), Picard(), rtol=1e-6)
    assert tight.steps == loose.steps + 1
    assert abs(tight.x[0] - 2.0) <= 1e-6


def test_arguments_compile_nothing_anew(traces):
    def fn(x, a):
        return a * jnp.cos(x)

    def run(a):
        return rs.solve(FixedPoint(fn, jnp.ones(2), jnp.asarray(a)), Picard())

    run(0.5)
    before = traces()
    assert run(0.25).converged
    assert traces() == before


def test_a_problem_in_the_form_of_its_engine_is_taken_as_it_is():
    problem = FixedPoint(half, jnp.zeros(2))
    assert problem.prepare("traced") is problem
    host = FixedPoint(lambda x: half(np.array(x)), np.zeros(2))
    assert host.prepare("host") is host
    assert isinstance(FixedPoint(half, np.zeros(2)).prepare("traced").first, jax.Array)


@pytest.mark.parametrize(
    ("fn", "start", "options", "kind", "name"),
    [
        ("cos", np.ones(1), {}, TypeError, "fn"),
        (half, "one", {}, TypeError, "start"),
        (half, np.ones(1, complex), {}, TypeError, "start"),
        (half, np.ones(1, np.float16), {}, TypeError, "start"),
        (half, np.array([1.0, np.nan]), {}, ValueError, "start"),
        (half, (), {}, ValueError, "start"),
        (half, None, {}, ValueError, "start"),
        (lambda x: x[:-1], np.ones(3), {}, ValueError, "fn"),
        (lambda x: (x, x), np.ones(3), {}, ValueError, "fn"),
        (lambda x: np.array(x)[:-1], np.ones(3), {}, ValueError, "fn"),
        (lambda x: x + 1j, np.ones(3), {}, ValueError, "fn"),
        (lambda x: "x", np.ones(3), {}, ValueError, "fn"),
        (half, np.ones(1), {"contraction": 1.0}, ValueError, "contraction"),
        (half, np.ones(1), {"contraction": -0.5}, ValueError, "contraction"),
        (half, np.ones(1), {"contraction": "small"}, TypeError, "contraction"),
        (half, np.ones(1), {"unit": 0.0}, ValueError, "unit"),
        (half, np.ones(1), {"unit": np.nan}, ValueError, "unit"),
    ],
)
def test_bad_input_is_refused(fn, start, options, kind, name):
    with pytest.raises(kind, match=VOICE) as caught:
        FixedPoint(fn, start, **options)
    assert str(caught.value).startswith(name)


def test_values_that_are_not_finite_at_the_start_are_refused():
    for fn in (lambda x: x * jnp.nan, lambda x: np.array(x) * np.nan):
        for method in (Picard(), Anderson()):
            with pytest.raises(ValueError, match="x0: given a point at which the fixed-point"):
                rs.solve(FixedPoint(fn, np.ones(2)), method, throw=False)


def test_values_that_are_not_finite_later_end_in_words():
    for fn in (lambda x: jnp.log(x - 1.0), lambda x: np.log(np.array(x) - 1.0)):
        sol = rs.solve(FixedPoint(fn, np.full(2, 3.0)), Picard(), throw=False)
        assert sol.reason is rs.Reason.diverged
        assert not sol.converged
        assert np.isfinite(sol.x).all()


def test_the_default_is_anderson_and_the_description_has_a_size():
    sol = rs.solve(FixedPoint(lambda x: (half(x[0]), half(x[1])), (np.zeros(2), np.zeros((2, 3)))))
    assert sol.method == "anderson"
    assert sol.problem == "FixedPoint(8 unknowns)"
