"""Smooth problems: their derivatives, certificates and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smooth.functions import definite, quadratic, rosenbrock, saddle

import resolvent as rs
from resolvent.smooth.product_blocks import largest

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


def test_hessians_are_those_of_the_function():
    x = np.linspace(-1.0, 0.7, 5)
    problem = rs.Minimize(rosenbrock, x0=x)
    with jax.enable_x64(True):
        prepared = problem.prepare("traced")
        H = np.asarray(jax.jit(prepared.hessian)(jnp.asarray(x)))
        step, v = 1e-6, np.arange(5.0)
        change = prepared.gradient(jnp.asarray(x + step * v))
        change = (change - prepared.gradient(jnp.asarray(x - step * v))) / (2 * step)
        product = prepared.hessian_product(jnp.asarray(x), jnp.asarray(v))
    assert (H == H.T).all()
    assert np.allclose(H @ v, change, rtol=1e-6)
    assert np.allclose(product, H @ v)


def test_hessians_of_many_samples_are_made_in_blocks():
    """All products at once would have eight times the numbers of one."""

    def f(x, A):
        return jnp.log(jnp.cosh(A @ x)).mean()

    A = np.random.default_rng(5).standard_normal((2**18, 8))
    problem = rs.Minimize(f, A, x0=np.zeros(8))
    with jax.enable_x64(True):
        prepared, x = problem.prepare("traced"), jnp.linspace(-1.0, 0.7, 8)
        program = jax.make_jaxpr(prepared.hessian)(x)
        H = np.asarray(prepared.hessian(x))
    assert 2**18 <= largest(program.eqns) <= 2**20
    slope = np.cosh(A @ np.asarray(x)) ** -2
    assert np.allclose(H, (A.T * slope) @ A / len(A), rtol=1e-10, atol=1e-12)


def test_trees_have_their_entries_in_order():
    def f(x):
        return (x["a"] ** 4).sum() + x["a"][0] * x["b"].sum() + (x["b"] ** 2).sum()

    start = {"a": np.array([1.0, 2.0]), "b": np.ones((2, 1))}
    problem = rs.Minimize(f, x0=start)
    with jax.enable_x64(True):
        H = problem.prepare("traced").hessian(jax.tree_util.tree_map(jnp.asarray, start))
    assert np.allclose(H, [[12, 0, 1, 1], [0, 48, 0, 0], [1, 0, 2, 0], [1, 0, 0, 2]])
    sol = rs.solve(problem, rs.smooth.TrustRegion("truncated"), rtol=1e-9)
    assert sol.x["b"].shape == (2, 1)
    gradient = 4 * sol.x["a"] ** 3 + np.array([sol.x["b"].sum(), 0.0])
    assert np.abs(gradient).max() <= 1e-7
    assert np.abs(2 * sol.x["b"] + sol.x["a"][0]).max() <= 1e-7


def test_the_bound_of_the_gap_is_one():
    A, b = definite()
    answer = np.linalg.solve(A, b)
    strong = float(np.linalg.eigvalsh(A)[0])
    problem = rs.Minimize(quadratic, (A, b), x0=np.zeros(5), strong=strong)

    def value(x):
        return 0.5 * x @ A @ x - b @ x

    for x in np.random.default_rng(3).standard_normal((20, 5)):
        found = rs.certify(problem, x)
        assert found.kind == "bound"
        assert found.value >= value(x) - value(answer)
    # Along the flattest direction the bound is met.
    flat = answer + np.linalg.eigh(A)[1][:, 0]
    assert rs.certify(problem, flat).value == pytest.approx(value(flat) - value(answer))
    # A tolerance is one of the function's value then.
    sol = rs.solve(problem, rs.smooth.LBFGS(), rtol=0.0, atol=1e-6)
    assert 0 <= value(sol.x) - value(answer) <= 1e-6


@pytest.mark.slow
def test_gradient_methods_of_composite_problems_solve_it():
    methods = rs.smooth.LBFGS(), rs.smooth.NonlinearCG(), rs.composite.LBFGSB()
    for method in methods:
        sol = rs.solve(rs.Minimize(rosenbrock, x0=np.zeros(4)), method, rtol=1e-8)
        assert np.allclose(sol.x, 1.0, atol=1e-6)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(rs.smooth.TrustRegion(), id="TrustRegion", marks=pytest.mark.slow),
        pytest.param(rs.smooth.LazyNewton(m=2), id="LazyNewton"),
    ],
)
def test_saddle_points_are_left_where_second_order_points_are_asked_for(method):
    start = np.zeros(2)
    # To the first order, a saddle point is stationary.
    assert rs.solve(rs.Minimize(saddle, x0=start), method).steps == 0
    problem = rs.Minimize(saddle, x0=start, second_order=True)
    at_start = rs.certify(problem, start)
    assert not at_start.holds
    assert at_start.details["least eigenvalue"] == pytest.approx(-4.0)
    sol = rs.solve(problem, method, rtol=1e-8)
    assert np.allclose(np.abs(sol.x), [1.0, 0.0], atol=1e-7)
    assert sol.certificate.details["least eigenvalue"] > 0


@pytest.mark.slow
def test_a_method_that_stays_at_a_saddle_is_never_called_done():
    problem = rs.Minimize(saddle, x0=np.zeros(2), second_order=True)
    sol = rs.solve(problem, rs.smooth.LBFGS(), rtol=1e-6, max_steps=50, throw=False)
    assert not sol.converged
    assert sol.certificate.value == pytest.approx(4.0)


def test_no_absolute_tolerance_of_the_gradient_admits_a_saddle():
    """At the start the gradient is smaller than the tolerance, and so is the unit."""
    problem = rs.Minimize(saddle, x0=np.array([1e-7, 0.0]), second_order=True)
    assert not rs.certify(problem, problem.first, atol=1e-6).holds
    sol = rs.solve(problem, atol=1e-6)
    assert np.allclose(sol.x, [1.0, 0.0], atol=1e-6)
    assert sol.certificate.details["least eigenvalue"] > 0


def test_what_a_problem_computes_has_the_precision_of_its_data():
    """Outside of solves too, whatever JAX's setting is."""
    x = np.array([1.1, 2.3])
    problem = rs.Minimize(lambda x, a: a * (x**4).sum(), np.array(0.1), x0=x)
    slope = 0.4 * x**3
    for found in (problem.gradient(x), problem.residual(x)):
        assert np.allclose(np.asarray(found), slope, rtol=1e-14)
    assert np.allclose(np.asarray(problem.hessian(x)), np.diag(1.2 * x**2), rtol=1e-14)
    product = np.asarray(problem.hessian_product(x, x))
    assert np.allclose(product, 3 * slope, rtol=1e-14)
    for certificate in (problem.certify(x), rs.certify(problem, x)):
        assert float(certificate.value) == pytest.approx(np.linalg.norm(slope), rel=1e-14)


def test_a_slope_that_is_rounding_is_no_unit():
    A, b = definite()
    answer = np.linalg.solve(A, b)
    problem = rs.Minimize(quadratic, (A, b), x0=answer)
    assert 0 < np.linalg.norm(A @ answer - b) < 1e-14
    assert float(rs.certify(problem, answer).scale) == 1.0
    assert rs.solve(problem).steps == 0
    near = rs.Minimize(quadratic, (A, b), x0=answer + 1e-6)
    assert float(rs.certify(near, answer).scale) < 1e-4


TWO = np.ones(2)
BAD = {
    "f": ({"f": 3}, TypeError, "f"),
    "a vector": ({"f": lambda x: x}, ValueError, "f"),
    "an integer": ({"f": lambda x: 1}, TypeError, "f: given values of dtype int"),
    "NumPy": ({"f": lambda x: np.sum(np.asarray(x) ** 2)}, TypeError, "f: given a function that c"),
    "if": ({"f": lambda x: x.sum() if x[0] > 0 else x[1]}, TypeError, "f: given a function that d"),
    "no args": ({"f": quadratic}, TypeError, "f: given a function that cannot be called with x"),
    "too strong": ({"strong": 10.0, "lipschitz": 1.0}, ValueError, "strong"),
    "NaN": ({"x0": np.array([1.0, np.nan])}, ValueError, "x0"),
    "nothing": ({"x0": np.ones(0)}, ValueError, "x0"),
    "complex": ({"x0": np.ones(2, complex)}, TypeError, "x0"),
    "strong": ({"strong": 0.0}, ValueError, "strong"),
    "constant": ({"hessian_lipschitz": -1.0}, ValueError, "hessian_lipschitz"),
    "convex": ({"convex": True, "second_order": True}, ValueError, "second_order"),
    "size": ({"x0": np.ones(6000), "second_order": True}, ValueError, "x0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_problems_are_refused(case):
    given, kind, name = BAD[case]
    with pytest.raises(kind, match=VOICE) as caught:
        rs.Minimize(**{"f": rosenbrock, "x0": TWO, **given})
    assert str(caught.value).startswith(name)


def test_a_constant_may_be_minimized():
    sol = rs.solve(rs.Minimize(lambda x: 3.0, x0=TWO))
    assert sol.steps == 0
    assert (sol.x == TWO).all()


def test_whole_numbers_are_the_same_program_as_others():
    problem = rs.Minimize(rosenbrock, x0=TWO, lipschitz=3, strong=1, unit=2)
    assert [type(one) for one in (problem.lipschitz, problem.strong, problem.unit)] == [float] * 3
    smooth = rs.smooth
    methods = (
        smooth.TrustRegion(radius=1), smooth.LazyNewton(M=2), smooth.DampedNewton("root", 3, 1),
        smooth.PolynomialGradient(1, largest=2),
    )  # fmt: skip
    for method in methods:
        numbers = [getattr(method, name, 1.0) for name in ("radius", "M", "q", "largest")]
        assert all(one is None or type(one) is float for one in numbers)


METHODS = {
    "trust region": rs.smooth.TrustRegion(),
    "lazy": rs.smooth.LazyNewton(),
    "truncated": rs.smooth.TrustRegion("truncated"),
}
each = pytest.mark.parametrize(
    "method",
    [pytest.param(one, id=key, marks=pytest.mark.slow if key == "truncated" else ())
     for key, one in METHODS.items()],
)  # fmt: skip


# Weights of a logarithm, a line, a cube, a kink and a square.
BARRIER, LINE, CUBE = (-1.0, 10.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0, 0, 0), (0.0, -1.0, 1.0, 0, 0)
KINK = (0.0, 0.0, 0.0, 1.0, 0.1)


def hostile(x, weights):
    """Functions without a value, without a least value, or without a gradient, in one program."""
    log, line, cube, kink, square = weights
    logarithm = jnp.log(jnp.where(log == 0, 1.0, x))
    rest = line * x + cube * x**3 + kink * jnp.abs(x - 0.3) + square * x**2
    return (log * logarithm + rest).sum()


def solved(method, weights, *start):
    problem = rs.Minimize(hostile, np.array(weights), x0=np.array(start))
    return rs.solve(problem, method, rtol=1e-6, throw=False)


@each
def test_a_start_outside_of_the_domain_is_refused(method):
    with pytest.raises(ValueError, match=r"^x0: given a point .*nan; needed"):
        solved(method, BARRIER, -1.0, 2.0)
    with pytest.raises(ValueError, match=r"^args: given 1 entries that are NaN"):
        solved(method, (np.nan, *BARRIER[1:]), 1.0, 2.0)


@each
def test_steps_out_of_the_domain_are_taken_back(method):
    """There is no logarithm beyond 0, where steps from far away lead."""
    assert np.allclose(solved(method, BARRIER, 3.0, 3.0).x, 0.1)


@each
def test_unbounded_functions_end_in_words(method):
    line, cube = solved(method, LINE, -1.0, -1.0), solved(method, CUBE, -1.0, -1.0)
    assert not line.converged
    assert not cube.converged
    assert cube.reason is rs.Reason.diverged
    # Along the line the cube overflows, though it does not count.
    assert line.reason in (rs.Reason.diverged, rs.Reason.stalled)
    assert line.steps < 1000


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(rs.smooth.LazyNewton(), id="LazyNewton"),
        pytest.param(rs.smooth.TrustRegion(), id="TrustRegion", marks=pytest.mark.slow),
        pytest.param(rs.smooth.TrustRegion("truncated"), id="truncated", marks=pytest.mark.slow),
        pytest.param(rs.smooth.PolynomialGradient(0), id="gradient", marks=pytest.mark.slow),
        pytest.param(rs.smooth.LBFGS(), id="LBFGS"),
        pytest.param(rs.smooth.NonlinearCG(), id="NonlinearCG", marks=pytest.mark.slow),
    ],
)
def test_steps_down_a_line_grow_without_bound(method):
    sol = rs.solve(rs.Minimize(jnp.sum, x0=jnp.zeros(2)), method, throw=False)
    assert sol.reason is rs.Reason.diverged
    assert sol.steps < 200  # of single precision


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(rs.smooth.LBFGS(), id="LBFGS"),
        pytest.param(rs.smooth.NonlinearCG(), id="NonlinearCG", marks=pytest.mark.slow),
    ],
)
def test_an_answer_far_away_is_no_divergence(method):
    """In units of atoms, say, with a first guess of none."""

    def f(x, far):
        return ((x - far) ** 2 * jnp.array([1.0, 3.0])).sum()

    sol = rs.solve(rs.Minimize(f, np.array(1e20), x0=np.zeros(2)), method)
    assert np.allclose(sol.x / 1e20, 1.0, rtol=1e-5)


def test_low_values_in_single_precision_are_no_divergence():
    """Beyond the root of the largest number."""

    def deep(x):
        return 1e16 * ((x - 1.0) ** 2).sum() - 4e19

    sol = rs.solve(rs.Minimize(deep, x0=jnp.zeros(2)), rs.smooth.TrustRegion(), rtol=1e-4)
    assert sol.x.dtype == np.float32
    assert np.allclose(sol.x, 1.0, atol=1e-3)


@each
def test_a_kink_is_no_answer(method):
    """Gradients stay large however near the least value is."""
    sol = solved(method, KINK, 2.0, -1.0)
    assert not sol.converged
    assert sol.reason in (rs.Reason.stalled, rs.Reason.breakdown)
    assert sol.certificate.value > 0.5
