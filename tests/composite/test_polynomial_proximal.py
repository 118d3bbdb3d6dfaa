"""Proximal steps in the metric of a polynomial: against direct solves, and methods they become."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import lsq_linear

import resolvent as rs
from resolvent._core.curvature import of_matrix, preconditioned
from resolvent.composite import PolynomialProximalGradient, ProximalGradient
from resolvent.composite.gradients.metric_prox import metric_step

slow = pytest.mark.slow
VOICE = r"(?s)^.+: given .+; needed .+\. .+"
n = 12
GAPS = np.array([300.0, 150.0, 75.0, *np.linspace(3.0, 1.0, n - 3)])


def gapped():
    """A matrix with three eigenvalues apart, and a vector."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    matrix = (Q * GAPS) @ Q.T
    return 0.5 * (matrix + matrix.T), rng.standard_normal(n)


B, b = gapped()


def polynomial(degree):
    """P of that degree as a matrix, by its recurrence."""
    P = np.eye(n)
    for ratio in of_matrix(B, degree):
        P = np.eye(n) - ratio * B @ P
    return P


def quadratic(x, data):
    return 0.5 * x @ (data[0] @ x) - data[1] @ x


def problem(g, dtype=np.float64):
    return rs.Composite(
        quadratic, g, start=np.zeros(n, dtype), args=(B.astype(dtype), (10 * b).astype(dtype))
    )


@pytest.mark.parametrize("degree", [2, pytest.param(3, marks=slow)])
def test_a_step_is_the_minimizer_in_its_metric(degree):
    """Bounded least squares, in the root of the inverse, knows it too."""
    ratios, step = of_matrix(B, degree), 0.7
    with jax.enable_x64(True):
        times = jnp.asarray(B)

        def image(v):
            return preconditioned(ratios, lambda w: times @ w, v)

        x = np.linspace(-0.3, 0.2, n)
        found = metric_step(
            lambda v, _: jnp.clip(v, -0.3, 0.3), image, jnp.asarray(x), jnp.asarray(3 * b),
            jnp.zeros(n), jnp.asarray(step), 1e-10, 100_000,
        )  # fmt: skip
    P = polynomial(degree)
    root = np.linalg.cholesky(np.linalg.inv(P))
    target = root.T @ (x - step * P @ (3 * b))
    exact = lsq_linear(root.T, target, bounds=(-0.3, 0.3), method="bvls", tol=1e-14).x
    assert 0 < (np.abs(exact) < 0.3).sum() < n
    assert np.allclose(found.z, exact, atol=1e-8)
    moved = exact - x
    assert found.square == pytest.approx(moved @ np.linalg.solve(P, moved), rel=1e-6)
    assert found.along == pytest.approx(3 * b @ moved, rel=1e-6)


def same_points(g, one, other, composite=True):
    given = problem(g)
    smooth = rs.Minimize(quadratic, given.args, x0=given.first, convex=True)
    for k in (1, 7):
        limits = {"max_steps": k, "throw": False, "rtol": 1e-14}
        x = rs.solve(given, one, **limits).x
        y = rs.solve(given if composite else smooth, other, **limits).x
        assert np.allclose(x, y, rtol=0, atol=1e-12 * np.abs(x).max())


@slow
@pytest.mark.parametrize("variant", ["gradient", "fast"])
def test_degree_zero_is_the_proximal_gradient_method(variant):
    known = {"fast": "fista", "gradient": "none"}[variant]
    same_points(
        rs.functions.L1(2.0), PolynomialProximalGradient(0, variant, largest=300.0),
        ProximalGradient(1 / 300.0, known),
    )  # fmt: skip


@slow
def test_without_a_second_term_it_is_the_preconditioned_gradient_method():
    same_points(
        None, PolynomialProximalGradient(3, curvature=B, largest=1.0),
        rs.smooth.PolynomialGradient(3, curvature=B, largest=1.0), composite=False,
    )  # fmt: skip


@slow
@pytest.mark.parametrize("variant", ["gradient", "fast"])
@pytest.mark.parametrize(
    "g", [rs.functions.L1(2.0), rs.functions.Box(-0.2, 0.3)], ids=["l1", "box"]
)
def test_gradients_saved_grow_with_the_degree(g, variant):
    given = problem(g)
    answer = rs.solve(given, ProximalGradient(1 / 300.0), rtol=1e-11).x
    counts = []
    for degree in (0, 3):
        sol = rs.solve(given, PolynomialProximalGradient(degree, variant), rtol=1e-9)
        assert np.allclose(sol.x, answer, atol=1e-6)
        counts.append(sol.calls["gradient"])
    assert counts[1] < 0.5 * counts[0]


@slow
def test_known_eigenvalues_are_used_and_functions_multiply():
    values = np.linalg.eigvals(polynomial(3) @ B).real
    largest, smallest = float(values.max()), float(values.min())
    given = problem(rs.functions.L1(2.0))
    traces = tuple(float((GAPS**k).sum()) for k in (1, 2, 3))
    product = jax.tree_util.Partial(lambda matrix, v: matrix @ v, B)
    sol = rs.solve(
        given, PolynomialProximalGradient(
            3, "fast", product, traces, largest * (1 + 1e-9), smallest * (1 - 1e-9), share=1e-3
        ), rtol=1e-8,
    )  # fmt: skip
    assert sol.calls["value"] == 0
    # 1e-8 of the gradient by a rate of 1 - 1 / sqrt(kappa) a step, to both sides of it.
    assert sol.steps <= 2 * np.sqrt(largest / smallest) * np.log(1e8 * largest / smallest)


@slow
def test_trees_and_batches_in_single_precision():
    def f(x, t):
        return 0.5 * ((x["a"] - t) ** 2 * jnp.array([50.0, 1.0])).sum() + x["b"] ** 2 - x["b"]

    problems = [
        rs.Composite(
            f, rs.functions.L1(0.3), start={"a": jnp.zeros(2), "b": jnp.zeros(())}, args=t
        ) for t in (jnp.array([1.0, -1.0]), jnp.array([-2.0, 0.1]))
    ]  # fmt: skip
    batch = rs.solve_batch(problems, PolynomialProximalGradient(1), rtol=1e-5)
    assert batch.converged.all()
    assert batch.x["a"].dtype == jnp.float32
    assert np.allclose(batch.x["a"], [[0.994, -0.7], [-1.994, 0.0]], atol=2e-3)
    assert np.allclose(batch.x["b"], 0.35, atol=2e-3)


@slow
def test_an_indefinite_polynomial_ends_in_words():
    product = jax.tree_util.Partial(lambda matrix, v: matrix @ v, B)
    wrong = PolynomialProximalGradient(1, curvature=product, traces=(100.0,))
    sol = rs.solve(problem(rs.functions.L1(2.0)), wrong, throw=False)
    assert not sol.converged
    assert sol.reason in (rs.Reason.breakdown, rs.Reason.diverged)


BAD = {
    "variant": ({"variant": "krylov"}, "variant"),
    "high degree": ({"degree": 6}, "degree"),
    "no traces": ({"curvature": lambda v: v}, "traces"),
    "ignored traces": ({"curvature": B, "traces": (1.0, 1.0)}, "traces"),
    "largest": ({"largest": 0.0}, "largest"),
    "ignored smallest": ({"smallest": 1.0}, "smallest"),
    "share": ({"share": 0.5}, "share"),
    "inner": ({"inner": 0}, "inner"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused(case):
    given, name = BAD[case]
    with pytest.raises(ValueError, match=VOICE) as caught:
        PolynomialProximalGradient(**given)
    assert str(caught.value).startswith(name)


def test_problems_and_matrices_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="MCP is not convex"):
        rs.solve(problem(rs.functions.MCP(1.0, 3.0)), PolynomialProximalGradient())
    for matrix in (-B, B[:3], np.full((n, n), np.nan)):
        with pytest.raises(ValueError, match="curvature: given"):
            rs.solve(problem(rs.functions.L1(1.0)), PolynomialProximalGradient(curvature=matrix))
