"""No false success: directions that lead down, data of any unit, answers that are not there."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent import functions
from resolvent.composite.design import as_design

SADDLE = np.array([[1.0, 2.0], [2.0, 1.0]])  # eigenvalues 3 and -1


def squares(x, args):
    A, b = args
    return 0.5 * ((A @ x - b) ** 2).sum()


@pytest.mark.parametrize(
    "form", [np.asarray, scipy.sparse.csr_array, jnp.asarray], ids=["dense", "sparse", "jax"]
)
def test_quadratics_that_lead_down_are_refused(form):
    with pytest.raises(ValueError, match="eigenvalue below 0"):
        rs.composite.Quadratic(form(SADDLE), np.ones(2))


def test_large_quadratics_that_lead_down_are_refused():
    n = 3000
    spread = scipy.sparse.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(n, n))
    with pytest.raises(ValueError, match="eigenvalue below 0"):
        rs.composite.Quadratic(spread, np.ones(n))
    laplacian = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    assert rs.composite.Quadratic(laplacian, np.ones(n)).b.size == n


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_singular_quadratics_are_welcome(scale, dtype):
    if dtype == np.float32:
        scale = scale**0.1
    for n in (3, 40):
        half = np.random.default_rng(0).standard_normal((n // 2, n))
        A = (scale * half.T @ half).astype(dtype)
        A = (A + A.T) / 2
        problem = rs.composite.Quadratic(A, A @ np.ones(n, dtype))
        assert np.isfinite(rs.certify(problem, np.ones(n)).value)
        null = np.linalg.svd(half)[2][-1].astype(dtype)
        assert np.isfinite(rs.certify(problem, null).value)


def test_a_saddle_that_nobody_saw_is_no_answer():
    problem = rs.composite.Quadratic(np.eye(2), np.array([1.0, -1.0]))
    problem = problem.but(design=as_design("A", SADDLE))
    saddle = np.linalg.solve(SADDLE, [1.0, -1.0])
    assert saddle @ SADDLE @ saddle < 0
    assert rs.certify(problem, saddle).value == np.inf


@pytest.mark.parametrize("power", [-40, 40])
def test_the_unit_of_the_data_does_not_count(power):
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((12, 6)), rng.standard_normal(12)

    def made(scale):
        return rs.Composite(
            squares, functions.L1(0.3 * scale), start=np.zeros(6), args=(A, scale * b)
        )  # fmt: skip

    plain, other = (rs.solve(made(scale), rtol=1e-8) for scale in (1.0, 2.0**power))
    assert other.steps > 0
    assert np.allclose(plain.x, other.x / 2.0**power, rtol=0, atol=1e-6)
    assert plain.certificate.scale == pytest.approx(float(np.linalg.norm(A.T @ b)))


@pytest.mark.parametrize("power", [-40, 40])
def test_the_unit_of_the_data_does_not_count_where_terms_are_split(power):
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((8, 5)), rng.standard_normal(8)

    def made(scale):
        return rs.SplitComposite(
            functions.L1(0.3 * scale), np.diff(np.eye(5), axis=0), f=squares, args=(A, scale * b),
            start=np.zeros(5),
        )  # fmt: skip

    assert not made(1.0).gapped
    plain, other = (rs.solve(made(scale), rtol=1e-8) for scale in (1.0, 2.0**power))
    assert other.steps > 0
    assert np.allclose(plain.x[0], other.x[0] / 2.0**power, rtol=0, atol=1e-6)


def test_a_start_that_is_the_answer_is_one():
    b = np.array([1e-12, -2e-12])
    here = rs.Composite(squares, start=b, args=(np.eye(2), b))
    sol = rs.solve(here, rtol=1e-8)
    assert sol.steps == 0
    assert sol.converged
    beside = rs.Composite(squares, functions.L1(1e-13), start=b, args=(np.eye(2), b))
    sol = rs.solve(beside, rtol=1e-8)
    assert np.allclose(sol.x, [9e-13, -1.9e-12], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-100, 1e100, 1e-200, 1e200])
@pytest.mark.parametrize("where", ["numerator", "denominator"])
def test_ratios_of_numbers_without_powers_are_refused(scale, where):
    top, bottom = (scale, 1.0) if where == "numerator" else (1.0, scale)
    with np.errstate(all="ignore"):
        f = rs.composite.SquaredResidual(top * np.array([[2.0, 1.0], [0.0, 1.0]]), top * np.ones(2))
        g = rs.composite.AffineTerm(bottom * np.ones(2), bottom)
        program = rs.composite.FractionalProgram(
            f, g, functions.Box(0.0, 1.0), start=np.zeros(2)
        )  # fmt: skip
    with pytest.raises(ValueError, match="rounded"):
        rs.solve(program, rs.composite.FractionalCoordinateDescent())


@pytest.mark.parametrize("penalty", [functions.MCP(0.05, 3.0), functions.SCAD(0.05, 3.7)], ids=str)
@pytest.mark.parametrize("intercept", [False, True])
def test_classes_that_a_bounded_penalty_lets_apart_have_no_answer(penalty, intercept):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    y = np.where(X[:, 0] > 0, 1, -1)
    X[:, 0] += y
    problem = rs.GeneralizedLinear(X, y, functions.Logistic(), penalty, intercept=intercept)
    sol = rs.solve(problem, rtol=1e-10, throw=False)
    assert not sol.converged
    assert sol.reason is rs.Reason.diverged
    assert sol.steps < 1000
