"""Polynomial preconditioners and gradient methods against closed forms."""

import itertools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from scipy.sparse.linalg import LinearOperator

import resolvent as rs
from resolvent._core.krylov_space import best_in_krylov_space
from resolvent._core.symmetric_polynomials import elementary_symmetric
from resolvent.linear.cg import CG
from resolvent.linear.krylov_gradient import KrylovGradient
from resolvent.linear.operators import traced_form
from resolvent.linear.polynomial import ChebyshevPreconditioner, PolynomialPreconditioner
from resolvent.linear.polynomial_gradient import PolynomialGradient
from resolvent.linear.problem import LinearSystem
from resolvent.linear.traces import power_traces

GAPS = np.array([300.0, 150.0, 75.0, *np.linspace(3.0, 1.0, 27)])


def spd(eigenvalues, seed=0):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues), len(eigenvalues))))
    B = (Q * eigenvalues) @ Q.T
    return (B + B.T) / 2


def system(eigenvalues, seed=0):
    B = spd(eigenvalues, seed)
    return LinearSystem(B, B @ np.random.default_rng(seed + 1).standard_normal(len(eigenvalues)))


def symmetric_without(eigenvalues, left_out, degree):
    """e_degree of all eigenvalues but one: sums of positive terms, hence exact."""
    e = [1.0] + [0.0] * degree
    for value in np.delete(eigenvalues, left_out):
        for j in range(degree, 0, -1):
            e[j] += value * e[j - 1]
    return e[degree]


def recurrence(B, degree):
    """P_k = (1/k) sum (-1)^(i-1) P_{k-i} (tr(B^i) I - B^i)."""
    eye = np.eye(len(B))
    powers = [np.linalg.matrix_power(B, i) for i in range(degree + 1)]
    U = [np.trace(power) * eye - power for power in powers]
    P = [eye]
    for k in range(1, degree + 1):
        P.append(sum((-1) ** (i - 1) * P[k - i] @ U[i] for i in range(1, k + 1)) / k)
    return P[degree]


def polynomial(B, degree):
    """P_degree as a matrix, from the preconditioner, whose scale is 1 / e_degree."""
    n = len(B)
    M = PolynomialPreconditioner(degree).setup(LinearSystem(B, np.ones(n)))
    e = elementary_symmetric([np.trace(np.linalg.matrix_power(B, i + 1)) for i in range(degree)])
    return e[degree] * np.stack([M.apply(column) for column in np.eye(n)], axis=1)


def relative(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


# --- the symmetric polynomials ------------------------------------------------------------------


@pytest.mark.parametrize(("n", "tolerance"), [(2, 1e-13), (3, 1e-13), (4, 1e-12), (6, 1e-9)])
def test_highest_polynomial_is_the_adjugate(n, tolerance):
    B = spd(np.linspace(1.0, 3.0, n))
    adjugate = np.linalg.det(B) * np.linalg.inv(B)
    assert relative(polynomial(B, n - 1), adjugate) <= tolerance


@pytest.mark.parametrize(("degree", "tolerance"), [(0, 0), (1, 1e-13), (2, 1e-13), (3, 1e-12)])
def test_newton_equals_recurrence_equals_eigenvalue_form(degree, tolerance):
    B = spd(GAPS)
    P = polynomial(B, degree)
    assert relative(P, recurrence(B, degree)) <= tolerance
    expected = [symmetric_without(GAPS, i, degree) for i in range(len(GAPS))]
    values = np.linalg.eigvalsh(P)
    assert np.abs(values - np.sort(expected)).max() <= max(tolerance, 1e-15) * max(expected)


@pytest.mark.parametrize("degree", [4, 5])
def test_high_degrees_are_positive_where_the_spectrum_has_gaps(degree):
    values = np.linalg.eigvalsh(polynomial(spd(GAPS), degree))
    expected = np.sort([symmetric_without(GAPS, i, degree) for i in range(len(GAPS))])
    assert np.abs(values - expected).max() <= 1e-9 * expected[-1]
    assert values[0] > 0


@pytest.mark.parametrize("degree", range(6))
def test_equal_eigenvalues_give_a_multiple_of_the_identity(degree):
    n, value = 20, 7.0
    M = PolynomialPreconditioner(degree).setup(LinearSystem(value * np.eye(n), np.ones(n)))
    r = np.random.default_rng(0).standard_normal(n)
    # e_k of n - 1 equal eigenvalues over e_k of n.
    np.testing.assert_allclose(M.apply(r), (n - degree) / n * r, rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.floats(-8, 8), st.integers(0, 5))
def test_scaling_the_matrix_changes_nothing_but_the_unit(exponent, degree):
    c = 10.0**exponent
    B, r = spd(GAPS), np.random.default_rng(3).standard_normal(len(GAPS))
    plain = PolynomialPreconditioner(degree).setup(LinearSystem(B, r))
    scaled = PolynomialPreconditioner(degree).setup(LinearSystem(c * B, r))
    np.testing.assert_allclose(scaled.apply(r), plain.apply(r), rtol=1e-8, atol=1e-9)


def test_condition_number_falls_to_its_limit():
    def condition(degree, eigenvalues):
        problem = LinearSystem(np.diag(eigenvalues), np.ones(len(eigenvalues)))
        inside = eigenvalues * PolynomialPreconditioner(degree).setup(problem).apply(problem.b)
        return inside.max() / inside.min()

    conditions = [condition(degree, GAPS) for degree in range(5)]
    assert all(low < high for high, low in itertools.pairwise(conditions))
    far = np.array([1e6, 5e5, 2.5e5, *GAPS[3:]])
    assert condition(3, far) == pytest.approx(GAPS[3:].sum() / GAPS[-1], rel=1e-3)


# --- traces -------------------------------------------------------------------------------------


def random_sparse(n, density, seed):
    rng = np.random.default_rng(seed)
    A = sp.random_array((n, n), density=density, rng=rng, format="csr")
    return (A + A.T + sp.diags_array(rng.random(n) + 2.0)).tocsr()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(0, 1000), st.integers(1, 5))
def test_traces_of_every_form_are_those_of_the_powers(n, seed, count):
    A = random_sparse(n, 0.15, seed)
    dense = A.toarray()
    expected = [np.trace(np.linalg.matrix_power(dense, i)) for i in range(1, count + 1)]
    forms = [A, dense, traced_form(A, True)]
    for form in forms:
        operator = LinearSystem(form, np.ones(n)).operator
        # Outside a solve JAX stores the diagonals in single precision.
        rtol = 1e-12 if operator.dtype == np.float64 else 1e-5
        np.testing.assert_allclose(power_traces(operator, count), expected, rtol=rtol)


def test_traces_in_blocks_of_rows(monkeypatch):
    from resolvent.linear import traces

    A = random_sparse(60, 0.1, 5)
    whole = power_traces(LinearSystem(A, np.ones(60)).operator, 5)
    monkeypatch.setattr(traces, "_BLOCK", 50)
    np.testing.assert_allclose(power_traces(LinearSystem(A, np.ones(60)).operator, 5), whole)


def test_traces_under_a_transformation():
    A = sp.diags_array([[-1.0] * 19, np.linspace(2, 9, 20), [-1.0] * 19], offsets=[-1, 0, 1])
    expected = power_traces(LinearSystem(A, np.ones(20)).operator, 5)
    with jax.enable_x64(True):
        dense, diagonals = jnp.asarray(A.toarray()), traced_form(A.tocsr(), True)
        found = jax.jit(lambda A: power_traces(LinearSystem(A, jnp.ones(20)).operator, 5))(dense)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        # What lies beside the matrix means nothing.
        garbage = diagonals.values.at[0, 0].set(99.0).at[2, -1].set(99.0)
        operator = type(diagonals)(garbage, diagonals.offsets)
        found = jax.jit(lambda operator: power_traces(operator, 5))(operator)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8))
def test_newton_identities(eigenvalues):
    values = np.array(eigenvalues)
    count = min(len(values), 4)
    e = elementary_symmetric([(values**i).sum() for i in range(1, count + 1)])
    # The coefficients of the characteristic polynomial are the same numbers.
    np.testing.assert_allclose(
        e, np.abs(np.poly(values))[: count + 1], rtol=1e-9, atol=1e-11 * values.sum() ** count
    )


# --- as preconditioners -------------------------------------------------------------------------

PRECONDITIONERS = [
    *(PolynomialPreconditioner(degree) for degree in (0, 1, 3, 5)),
    *(ChebyshevPreconditioner(degree) for degree in (0, 1, 4)),
    ChebyshevPreconditioner(3, low=1.0, high=300.0),
]


@pytest.mark.slow
@pytest.mark.parametrize("M", PRECONDITIONERS, ids=str)
def test_cg_with_it_solves_on_both_engines(M):
    problem = system(GAPS)
    host = rs.solve(problem, CG(preconditioner=M), rtol=1e-10)
    assert host.engine.startswith("host")
    traced = rs.solve(
        LinearSystem(sp.csr_array(problem.operator.matrix), problem.b, storage="diagonals"),
        CG(preconditioner=M), rtol=1e-10,
    )  # fmt: skip
    assert traced.engine.startswith("traced")
    np.testing.assert_allclose(host.x, traced.x, rtol=1e-7, atol=1e-9)
    assert abs(host.steps - traced.steps) <= 2


@pytest.mark.parametrize("M", PRECONDITIONERS, ids=str)
def test_it_is_symmetric_and_positive_definite(M):
    problem = system(GAPS)
    ready = M.setup(problem)
    matrix = np.stack([ready.apply(column) for column in np.eye(problem.n)], axis=1)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12 * np.abs(matrix).max())
    assert np.linalg.eigvalsh(matrix)[0] > 0


@pytest.mark.parametrize("M", PRECONDITIONERS, ids=str)
def test_applications_cost_the_products_they_say(M):
    problem = system(GAPS)
    ready = M.setup(problem)
    calls = []

    class Counting:
        engine = "host"

        def mv(self, x):
            calls.append(1)
            return problem.operator.mv(x)

    ready.but(operator=Counting()).apply(problem.b)
    assert len(calls) == ready.products == M.products == M.degree


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([0, 2, 4, 6]), st.floats(0.05, 0.9), st.floats(0.01, 0.04))
def test_an_even_chebyshev_degree_survives_wrong_bounds(degree, high, low):
    eigenvalues = np.linspace(0.001, 1.0, 400)
    problem = LinearSystem(sp.diags_array(eigenvalues).tocsr(), np.ones(400))
    M = ChebyshevPreconditioner(degree, low=low, high=high).setup(problem)
    assert (M.apply(np.ones(400)) > 0).all()


def test_chebyshev_is_the_polynomial_of_its_definition():
    low, high, degree = 0.5, 4.0, 3
    eigenvalues = np.linspace(low, high, 50)
    problem = LinearSystem(sp.diags_array(eigenvalues).tocsr(), np.ones(50))
    M = ChebyshevPreconditioner(degree, low=low, high=high).setup(problem)
    T = np.polynomial.chebyshev.Chebyshev.basis(degree + 1)
    center, radius = (high + low) / 2, (high - low) / 2
    expected = T((center - eigenvalues) / radius) / T(center / radius)
    np.testing.assert_allclose(1 - eigenvalues * M.apply(problem.b), expected, atol=1e-13)


def test_chebyshev_saves_steps_in_proportion():
    problem = LinearSystem(np.diag(np.linspace(1.0, 1000.0, 300)), np.ones(300))
    plain = rs.solve(problem, CG(), rtol=1e-8).steps
    assert rs.solve(problem, CG(preconditioner=ChebyshevPreconditioner(4)), rtol=1e-8).steps < (
        plain / 3
    )


def test_traces_may_be_given_where_the_entries_are_not_known():
    B = spd(GAPS)
    traces = tuple(float(np.trace(np.linalg.matrix_power(B, i))) for i in (1, 2, 3))
    matrix = jnp.asarray(B)
    problem = LinearSystem(
        lambda x, A: A @ x, jnp.ones(len(B)), args=matrix, positive_definite=True
    )
    M = PolynomialPreconditioner(3, traces=traces)
    assert rs.solve(problem, CG(preconditioner=M), rtol=1e-4).converged
    assert rs.solve(problem, PolynomialGradient(3, traces=traces), rtol=1e-4).converged
    with pytest.raises(ValueError, match="or traces=\\(tr A, tr A\\^2"):
        rs.solve(problem, CG(preconditioner=PolynomialPreconditioner(3)))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("degree", [0, 2, 5])
def test_small_systems(n, degree):
    problem = system(np.arange(1.0, n + 1))
    for method in (
        CG(preconditioner=PolynomialPreconditioner(degree)),
        CG(preconditioner=ChebyshevPreconditioner(degree)),
        PolynomialGradient(degree), PolynomialGradient(degree, accelerated=True),
        KrylovGradient(degree),
    ):  # fmt: skip
        assert rs.solve(problem, method, rtol=1e-10).converged, method


def test_what_is_refused():
    with pytest.raises(ValueError, match="degree: given 6; needed at most 5.*cancel"):
        PolynomialPreconditioner(6)
    with pytest.raises(ValueError, match="degree: given -1"):
        KrylovGradient(-1)
    with pytest.raises(ValueError, match="traces: given 1 of them"):
        PolynomialPreconditioner(2, traces=(1.0,))
    with pytest.raises(ValueError, match="0 < low < high"):
        ChebyshevPreconditioner(2, low=3.0, high=1.0)
    with pytest.raises(ValueError, match="0 < smallest < largest"):
        PolynomialGradient(1, accelerated=True, smallest=3.0, largest=1.0)
    with pytest.raises(ValueError, match="nothing uses it"):
        PolynomialGradient(1, smallest=3.0)
    with pytest.raises(RuntimeError, match="setup"):
        PolynomialPreconditioner(1).apply(np.ones(2))
    with pytest.raises(RuntimeError, match="setup"):
        ChebyshevPreconditioner(1).apply(np.ones(2))
    wrong = PolynomialPreconditioner(2, traces=(10.0, 1000.0))
    with pytest.raises(ValueError, match="given traces are exact"):
        rs.solve(system(GAPS), CG(preconditioner=wrong))


# --- gradient methods ---------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1, 2, 4])
def test_krylov_step_is_cg_restarted(degree):
    # Not the spectrum with gaps: there CG loses the digits that the comparison is about.
    problem = system(np.linspace(1.0, 10.0, 30))
    x = np.zeros(problem.n)
    method = KrylovGradient(degree)
    state = method.init(problem, x, rs.Memory(), None)
    for _ in range(3):
        state = method.step(problem, state)
        x = rs.solve(problem, CG(), x0=x, max_steps=degree + 1, rtol=0.0, throw=False).x
        np.testing.assert_allclose(state.x, x, rtol=1e-8, atol=1e-10 * np.abs(x).max())
    assert state.products == 1 + 3 * (degree + 1)


def test_highest_degree_solves_in_one_step():
    problem = system(np.linspace(1.0, 4.0, 8))
    assert rs.solve(problem, KrylovGradient(7), rtol=1e-10).steps == 1


def test_an_invariant_space_ends_the_basis():
    # Three different eigenvalues: the space has dimension three, whatever the degree.
    problem = LinearSystem(np.diag([1.0, 1.0, 2.0, 2.0, 5.0, 5.0]), np.arange(1.0, 7.0))
    sol = rs.solve(problem, KrylovGradient(5), rtol=1e-12)
    assert sol.steps == 1
    assert sol.calls["matvec"] == 1 + 3
    with jax.enable_x64(True):
        h, image, bad, _ = best_in_krylov_space(
            lambda v: jnp.asarray(np.diag([1.0, 1.0, 2.0, 2.0, 5.0, 5.0])) @ v,
            jnp.asarray(problem.b), jnp.linalg.norm(jnp.asarray(problem.b)), 6,
        )  # fmt: skip
        np.testing.assert_allclose(h, sol.x, rtol=1e-12)
        np.testing.assert_allclose(image, problem.b, rtol=1e-12)
        assert not bad


def test_degree_zero_is_steepest_descent_with_exact_line_search():
    problem = system(GAPS)
    x = np.random.default_rng(2).standard_normal(problem.n)
    method = KrylovGradient(0)
    state = method.step(problem, method.init(problem, x, rs.Memory(), None))
    r = problem.residual(x)
    expected = x + (r @ r) / (r @ problem.operator.mv(r)) * r
    np.testing.assert_allclose(state.x, expected, rtol=1e-13)


def test_polynomial_degree_zero_is_gradient_descent():
    problem = system(GAPS)
    x = np.zeros(problem.n)
    method = PolynomialGradient(0, largest=300.0).bind(problem)
    state = method.init(problem, x, rs.Memory(), None)
    fast = PolynomialGradient(0, accelerated=True, largest=300.0, smallest=1.0).bind(problem)
    quick = fast.init(problem, x, rs.Memory(), None)
    before, point = x, x
    share = (1 - 300**-0.5) / (1 + 300**-0.5)
    for _ in range(5):
        state, quick = method.step(problem, state), fast.step(problem, quick)
        x = x + problem.residual(x) / 300.0
        y = point + share * (point - before)
        before, point = point, y + problem.residual(y) / 300.0
        np.testing.assert_allclose(state.x, x, rtol=1e-12)
        np.testing.assert_allclose(quick.x, point, rtol=1e-11)


@pytest.mark.parametrize("degree", range(4))
def test_the_searched_step_never_misses_the_demanded_decrease(degree):
    problem = system(GAPS)
    method = PolynomialGradient(degree).bind(problem)
    state = method.init(problem, np.zeros(problem.n), rs.Memory(), None)

    def f(x):
        return 0.5 * x @ problem.operator.mv(x) - problem.b @ x

    for _ in range(30):
        r = problem.residual(state.x)
        decrease = r @ method.polynomial.apply(r)
        following = method.step(problem, state)
        demanded = decrease / (2 * float(following.bound))
        assert f(following.x) <= f(state.x) - demanded + 1e-10 * abs(f(state.x))
        state = following


METHODS = [
    *(KrylovGradient(degree) for degree in (1, 2, 3)),
    *(PolynomialGradient(degree) for degree in (0, 2)),
    *(PolynomialGradient(degree, accelerated=True) for degree in (0, 3)),
    PolynomialGradient(0, accelerated=True, smallest=1.0),
]


# One of each kind; the others compile as much again for the same few lines.
@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=() if i in (1, 4, 6) else pytest.mark.slow)
        for i, method in enumerate(METHODS)
    ],
    ids=repr,
)
def test_engines_agree_and_products_are_counted(method):
    problem = system(GAPS)
    host = rs.solve(problem, method, rtol=1e-8)
    calls = []

    def product(x):
        calls.append(1)
        return problem.operator.mv(x)

    operator = sp.linalg.LinearOperator(problem.operator.matrix.shape, product, dtype=np.float64)
    if isinstance(method, PolynomialGradient):
        traces = tuple(power_traces(problem.operator, max(1, method.degree)).tolist())
        counted = method.but(traces=traces)
    else:
        counted = method
    sol = rs.solve(LinearSystem(operator, problem.b, positive_definite=True), counted, rtol=1e-8)
    # The certificate looks once at the end, beside the method's own products.
    assert len(calls) - sol.calls["matvec"] in (1, 2)
    assert abs(sol.steps - host.steps) <= 0.02 * host.steps + 1
    traced = rs.solve(
        LinearSystem(sp.csr_array(problem.operator.matrix), problem.b, storage="diagonals"),
        method, rtol=1e-8,
    )  # fmt: skip
    np.testing.assert_allclose(host.x, traced.x, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_jit_and_vmap_equal_the_eager_solve(method):
    matrices = np.stack([spd(GAPS, seed) for seed in range(3)]).astype(np.float32)
    rights = np.ones((3, len(GAPS)), np.float32)

    def run(A, b):
        return rs.solve(LinearSystem(A, b, symmetric=True), method, rtol=1e-3).x

    batch = jax.jit(jax.vmap(run))(jnp.asarray(matrices), jnp.asarray(rights))
    assert batch.dtype == jnp.float32
    for A, b, x in zip(matrices, rights, batch, strict=True):
        assert rs.certify(LinearSystem(A, b), np.asarray(x), rtol=1.5e-3).holds


@pytest.mark.parametrize("method", METHODS[1:5], ids=repr)
def test_an_indefinite_matrix_is_never_solved_by_mistake(method):
    B = spd(np.array([5.0, 4.0, 3.0, 2.0, 1.0, -0.5]))
    assert B.diagonal().min() > 0
    sol = rs.solve(LinearSystem(B, np.ones(6)), method, throw=False, max_steps=2000)
    assert sol.converged == (np.linalg.norm(np.ones(6) - B @ sol.x) <= 1e-6 * np.sqrt(6))
    assert sol.converged or sol.reason in ("breakdown", "diverged", "stalled")


def test_negative_curvature_is_a_breakdown():
    problem = LinearSystem(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, -1.0]))
    sol = rs.solve(problem, KrylovGradient(1), throw=False)
    assert not sol.converged
    assert sol.reason == "breakdown"
    sol = rs.solve(problem, PolynomialGradient(0), throw=False)
    assert sol.reason == "breakdown"


def test_nan_in_a_product_is_never_success():
    problem = LinearSystem(lambda x: jnp.nan * x, jnp.ones(4), positive_definite=True)
    for method in (KrylovGradient(1), PolynomialGradient(0)):
        sol = rs.solve(problem, method, throw=False)
        assert not sol.converged
        assert sol.reason == "diverged"


@pytest.mark.parametrize("method", [KrylovGradient(2), PolynomialGradient(2)], ids=str)
def test_float32_stays_float32(method):
    B, b = spd(np.linspace(1.0, 4.0, 20)).astype(np.float32), np.ones(20, np.float32)
    sol = rs.solve(LinearSystem(B, b), method, rtol=1e-4)
    assert sol.x.dtype == np.float32
    assert rs.solve(LinearSystem(jnp.asarray(B), jnp.asarray(b)), method, rtol=1e-4).converged


def test_a_preconditioner_that_is_set_up_stays_with_its_engine():
    problem = system(GAPS)
    ready = PolynomialPreconditioner(2).setup(problem)
    assert ready.setup(problem) is ready
    assert ready.engines == ("host",)
    assert rs.solve(problem, CG(preconditioner=ready)).engine.startswith("host")


def test_the_gradient_is_not_offered_where_the_entries_are_unknown():
    assert "entries" in rs.linear.PolynomialGradient.needs
    A = np.diag(np.linspace(1.0, 4.0, 12))
    problem = rs.LinearSystem(LinearOperator(A.shape, lambda x: A @ x, dtype=float), np.ones(12))
    with pytest.raises(ValueError, match="the entries of A are not known") as caught:
        rs.solve(problem, rs.linear.GaussSeidel())
    assert "conjugate" in str(caught.value) or "cg" in str(caught.value)
    assert "polynomial-gradient" not in str(caught.value)
    # With traces, or where nothing is cut, products alone will do.
    traces = (np.trace(A), np.trace(A @ A))
    for method in (
        rs.linear.PolynomialGradient(2, traces=traces),
        rs.linear.PolynomialGradient(0),
    ):
        assert rs.solve(problem, method).converged
    with pytest.raises(ValueError, match=r"needed the entries of A, or traces"):
        rs.solve(problem, rs.linear.PolynomialGradient(2))


def test_products_of_the_gradient_are_counted_on_the_host():
    A = np.diag(np.linspace(1.0, 4.0, 12))
    calls = [0]

    def product(x):
        calls[0] += 1
        return A @ x

    problem = rs.LinearSystem(LinearOperator(A.shape, product, dtype=float), np.ones(12))
    traces = (np.trace(A), np.trace(A @ A))
    method = rs.linear.PolynomialGradient(2, traces=traces)
    for steps in (0, 1, 4):
        calls[0] = 0
        sol = rs.solve(problem, method, rtol=1e-12, max_steps=steps, throw=False)
        # The certificate of the answer and of the start are products of the referee.
        assert 0 <= calls[0] - sol.calls["matvec"] <= 2
        assert sol.calls["matvec"] == 1 + 3 * steps
