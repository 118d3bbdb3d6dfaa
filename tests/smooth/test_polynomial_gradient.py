"""Polynomials of the curvature: against their eigenvalues, and steps against closed forms."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from smooth.functions import definite, quadratic, soft, states

import resolvent as rs
from resolvent._core.curvature import of_matrix, preconditioned
from resolvent.smooth import PolynomialGradient

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
n = 5
B, b = definite()
GAPS = np.array([300.0, 150.0, 75.0, *np.linspace(3.0, 1.0, 9)])


def gapped():
    """A quadratic with three eigenvalues apart."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((GAPS.size, GAPS.size)))[0]
    matrix = (Q * GAPS) @ Q.T
    matrix = 0.5 * (matrix + matrix.T)
    return matrix, rng.standard_normal(GAPS.size)


def parabola(**options):
    return rs.Minimize(quadratic, (B, b), x0=np.zeros(n), convex=True, **options)


def path(of, method, steps):
    with jax.enable_x64(True):
        return states(of, method, steps)


def applied(matrix, degree):
    """P_degree / e_degree as a matrix."""
    ratios = of_matrix(matrix, degree)
    with jax.enable_x64(True):
        columns = [
            preconditioned(ratios, lambda v: jnp.asarray(matrix) @ v, jnp.asarray(column))
            for column in np.eye(len(matrix))
        ]
        return np.array(columns).T


def symmetric(values, k):
    return sum(math.prod(some) for some in itertools.combinations(values, k))


@pytest.mark.parametrize("degree", range(n))
def test_polynomials_have_the_symmetric_functions_of_the_other_eigenvalues(degree):
    values, vectors = np.linalg.eigh(B)
    inside = [symmetric(np.delete(values, i), degree) for i in range(n)]
    expected = (vectors * np.array(inside)) @ vectors.T / symmetric(values, degree)
    P = applied(B, degree)
    assert np.allclose(P, expected, rtol=0, atol=1e-10 * np.abs(P).max())
    # In another unit of B only that of P differs, and here P has none.
    assert np.allclose(applied(1e6 * B, degree), P, rtol=0, atol=1e-10)
    alike = applied(np.diag(np.full(n, 3.0)), degree)
    assert np.allclose(alike, alike[0, 0] * np.eye(n))


def test_the_last_polynomial_is_the_inverse_and_a_rank_ends_the_family():
    P = applied(B, n - 1) @ B
    assert np.allclose(P, P[0, 0] * np.eye(n))
    assert np.allclose(applied(B, n + 3) @ B, P)
    flat = np.outer(b, b)
    assert np.allclose(applied(flat, 3), applied(flat, 1))


def test_conditions_tend_to_what_the_theory_says():
    values = np.array([3e6, 1.5e6, 0.75e6, *GAPS[3:]])
    inside = np.diag(applied(np.diag(values), 3)) * values
    assert inside.max() / inside.min() == pytest.approx(GAPS[3:].sum(), rel=1e-3)


def test_steps_are_those_of_the_paper():
    """With M known; degree 0 is gradient descent."""
    largest = float(np.linalg.eigvalsh(B)[-1])
    found = path(parabola(), PolynomialGradient(0, curvature=B, largest=largest), 6)
    x = np.zeros(n)
    for k in range(6):
        x = x - (B @ x - b) / largest
        assert np.allclose(found.x[k + 1], x)
    P = applied(B, 2)
    largest = float(np.linalg.eigvals(P @ B).real.max())
    found = path(parabola(), PolynomialGradient(2, curvature=B, largest=largest), 6)
    x = np.zeros(n)
    for k in range(6):
        x = x - P @ (B @ x - b) / largest
        assert np.allclose(found.x[k + 1], x)
    assert found.gradients[-1] == 7
    assert found.products[-1] == 12


def test_fast_steps_are_those_of_the_paper():
    inside = np.linalg.eigvals(applied(B, 2) @ B).real
    known = {"largest": float(inside.max()), "smallest": float(inside.min())}
    found = path(parabola(), PolynomialGradient(2, "fast", curvature=B, **known), 6)
    s = (known["smallest"] / known["largest"]) ** 0.5
    x = ahead = np.zeros(n)
    for k in range(6):
        new = ahead - applied(B, 2) @ (B @ ahead - b) / known["largest"]
        x, ahead = new, new + (1 - s) / (1 + s) * (new - x)
        assert np.allclose(found.x[k + 1], x)
        assert np.allclose(found.ahead[k + 1], ahead)
    assert found.gradients[-1] == 7


@pytest.mark.parametrize("degree", [0, 2, n - 1])
def test_krylov_steps_on_quadratics_are_those_of_cg(degree):
    """degree + 1 of them from each x, and all that there are at once solve it."""
    found = path(parabola(), PolynomialGradient(degree, "krylov", curvature=B, largest=1.0), 2)
    x = np.zeros(n)
    for k in range(2):
        move, _ = scipy.sparse.linalg.cg(B, b - B @ x, rtol=0.0, atol=1e-12, maxiter=degree + 1)
        x = x + move
        assert np.allclose(found.x[k + 1], x, rtol=1e-8)
    assert found.products[-1] == 2 * (degree + 1)
    if degree == 0:
        g = -b
        assert np.allclose(found.x[1], -(g @ g) / (g @ B @ g) * g)
    if degree == n - 1:
        assert np.allclose(found.x[1], np.linalg.solve(B, b))


A = np.random.default_rng(2).standard_normal((20, n))


def fit():
    return rs.Minimize(soft, (A,), x0=np.linspace(1.0, -0.5, n), convex=True)


@pytest.mark.parametrize(
    "variant", [pytest.param("gradient", marks=pytest.mark.slow), "fast", "krylov"]
)
def test_searches_find_a_constant_that_is_large_enough(variant):
    method = PolynomialGradient(2, variant, curvature=A.T @ A / 20)
    sol = rs.solve(fit(), method, rtol=1e-9)
    assert sol.converged
    found = path(fit(), method, 20)
    tries = np.diff(found.values if variant == "fast" else found.gradients)
    assert tries.sum() <= 3 * 20
    assert (tries >= 1).all()
    # Steps were halved once for each try that was refused.
    growth = np.log2(found.step_size[1:] / found.step_size[:-1])
    assert np.allclose(growth, (1 if variant == "fast" else 2) - tries)
    if variant != "fast":
        assert (np.diff(found.value) <= 1e-15).all()


def test_cutting_gaps_saves_steps():
    matrix, right = gapped()
    of = rs.Minimize(quadratic, (matrix, right), x0=np.zeros(GAPS.size), convex=True)
    plain, cut, krylov = (
        rs.solve(of, PolynomialGradient(*given, curvature=matrix), rtol=1e-6)
        for given in ((0,), (3,), (3, "krylov"))
    )
    # Of 300 times the smallest, and of the sum of those that are left.
    assert cut.steps < plain.steps / 4
    assert krylov.steps < cut.steps / 4
    assert krylov.calls["product"] == 1 + 4 * (krylov.steps + 1)


def times(matrix, v):
    return matrix @ v


@pytest.mark.parametrize("variant", ["gradient", pytest.param("krylov", marks=pytest.mark.slow)])
def test_a_function_or_the_first_hessian_serve_as_well_as_the_matrix(variant):
    H = (A.T / np.cosh(A @ fit().first) ** 2) @ A / len(A)
    given = {"traces": (H.trace(), (H * H).sum())} if variant == "gradient" else {}
    product = jax.tree_util.Partial(times, H)
    paths = [
        path(fit(), PolynomialGradient(2, variant, **how), 5).x
        for how in ({"curvature": H}, {"curvature": product, **given}, {})
    ]
    assert np.abs(np.diff(paths[0], axis=0)).max() > 0.1
    for other in paths[1:]:
        assert np.allclose(paths[0], other, rtol=1e-9)


@pytest.mark.slow
def test_trees_in_single_precision_are_solved_in_batches():
    def f(x, A):
        z = A @ jnp.concatenate([x["a"], x["b"]])
        return jnp.logaddexp(0.0, z).mean() + 0.05 * (z @ z)

    start = {"a": jnp.ones(2), "b": jnp.zeros(3)}
    data = [jnp.asarray(A, jnp.float32), jnp.asarray(2 * A[::-1], jnp.float32)]
    problems = [rs.Minimize(f, one, x0=start, convex=True) for one in data]
    method = PolynomialGradient(2)
    batch = rs.solve_batch(problems, method, rtol=1e-3)
    assert batch.converged.all()
    one = rs.solve(problems[1], method, rtol=1e-3)
    assert np.allclose(batch.x["b"][1], one.x["b"], atol=1e-2)


def test_indefinite_curvature_ends_in_words():
    product = jax.tree_util.Partial(times, -B)
    method = PolynomialGradient(1, "krylov", curvature=product)
    sol = rs.solve(parabola(), method, rtol=1e-9, throw=False)
    assert sol.reason is rs.Reason.breakdown
    for matrix in (-B, B + np.triu(B, 1), B[:3], np.full((n, n), np.nan), 0 * B):
        with pytest.raises(ValueError, match=VOICE) as caught:
            rs.solve(parabola(), PolynomialGradient(1, curvature=matrix))
        assert str(caught.value).startswith("curvature")


BAD = {
    "variant": ({"variant": "newton"}, "variant"),
    "degree": ({"degree": -1}, "degree"),
    "high degree": ({"degree": 6}, "degree"),
    "no traces": ({"curvature": times}, "traces"),
    "few traces": ({"curvature": times, "traces": (1.0,)}, "traces"),
    "ignored traces": ({"curvature": B, "traces": (1.0, 1.0)}, "traces"),
    "no traces at all": ({"degree": 1, "curvature": times, "traces": (0.0,)}, "traces"),
    "NaN": ({"degree": 1, "curvature": times, "traces": (math.nan,)}, "traces"),
    "largest": ({"largest": 0.0}, "largest"),
    "ignored smallest": ({"smallest": 1.0}, "smallest"),
    "smallest": ({"variant": "fast", "smallest": 2.0, "largest": 1.0}, "smallest"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused(case):
    given, name = BAD[case]
    with pytest.raises(ValueError, match=VOICE) as caught:
        PolynomialGradient(**given)
    assert str(caught.value).startswith(name)


def test_curvature_may_be_rows_in_lists_but_not_sparse():
    rows = PolynomialGradient(1, curvature=[[1, 0], [0, 2]])
    assert np.array_equal(rows.curvature, np.diag([1.0, 2.0]))
    with pytest.raises(TypeError, match=r"^curvature: given a sparse matrix .*a function v -> B v"):
        PolynomialGradient(1, curvature=scipy.sparse.eye(3))
    PolynomialGradient(0, "fast", largest=1.0, smallest=1.0)


def test_semidefinite_curvature_is_admitted_to_rounding():
    flat = np.outer(b, b)
    PolynomialGradient(1, curvature=flat).check(parabola())
    with pytest.raises(ValueError, match=r"^curvature: given a matrix with the least eigenvalue"):
        PolynomialGradient(1, curvature=flat - 1e-9 * np.eye(n)).check(parabola())
