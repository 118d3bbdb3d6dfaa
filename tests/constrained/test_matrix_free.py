"""Newton's method by products alone: MINRES as SciPy has it, no matrix, the same answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, minres

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.constrained import L1SQP, short_recurrences


def field(N, sparse=True, cubic=1.0):
    """The control z of a field w on a grid: L w - cubic w^3 + z = 0."""
    m, ones = N * N, np.ones(N)

    def f(x, wanted):
        away = x[:m] - wanted
        return 0.5 * (away @ away) + 0.05 * (x[m:] @ x[m:])

    def c(x, wanted):
        w = x[:m].reshape(N, N)
        wide = jnp.pad(w, 1)
        around = wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]
        return ((around - 4 * w) * (N + 1) ** 2 - cubic * w**3).ravel() + x[m:]

    line = sp.diags_array([ones] * 3, offsets=[-1, 0, 1], shape=(N, N))
    near = sp.kron(line, sp.eye_array(N)) + sp.kron(sp.eye_array(N), line)
    marks = sp.hstack([near, sp.eye_array(m)]) if sparse else None
    wanted = np.sin(np.arange(m) / N)
    return rs.ConstrainedProblem(f, c, args=wanted, x0=np.ones(2 * m), pattern=marks)


def test_minres_steps_as_scipys():
    rng = np.random.default_rng(0)
    n = 12
    K = rng.standard_normal((n, n))
    K, scales = K + K.T, rng.uniform(0.5, 2.0, n)
    b = rng.standard_normal(n)
    M = LinearOperator((n, n), matvec=lambda r: r / scales)
    with jax.enable_x64(True):
        parts = jnp.asarray(K), jnp.asarray(scales)

        def product(v):
            return parts[0] @ v

        def precondition(r):
            return r / parts[1]

        state = short_recurrences.begun(precondition, jnp.asarray(b))
        step = jax.jit(lambda state: short_recurrences.stepped(product, precondition, state))
        for k in range(1, n + 1):
            state = step(state)
            z = np.asarray(state.z)
            np.testing.assert_allclose(np.asarray(state.r), b - K @ z, atol=1e-9)
            if k < n - 1:
                theirs, _ = minres(K, b, M=M, maxiter=k, rtol=1e-14)
                np.testing.assert_allclose(z, theirs, atol=1e-8)
        np.testing.assert_allclose(K @ z, b, atol=1e-7)


def sizes(jaxpr):
    """The sizes of all arrays that a program computes."""
    for equation in jaxpr.eqns:
        for out in equation.outvars:
            yield int(np.prod(getattr(out.aval, "shape", ())))
        for value in jax.tree_util.tree_leaves(
            equation.params, is_leaf=lambda part: hasattr(part, "jaxpr") or hasattr(part, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from sizes(inner)


@pytest.mark.slow
def test_no_matrix_is_formed():
    """The largest array is one of compressed products: colours times equations."""
    problem = field(20)
    method = L1SQP(solver="minres")
    with jax.enable_x64(True):
        prepared = problem.prepare("traced")
        begin = method.recall(prepared, Memory())

        def run(x):
            state = method.step(prepared, method.init(prepared, x, begin, None))
            return prepared.certify(*method.iterate(prepared, state)).value

        largest = max(sizes(jax.make_jaxpr(run)(prepared.first).jaxpr))
    pattern = problem.patterns[0]
    assert largest <= pattern.count * max(problem.unknowns(), pattern.columns.shape[0])
    assert pattern.count < 10


@pytest.mark.slow
def test_products_find_what_factorizations_do():
    one = rs.solve(field(5), L1SQP(solver="minres"), rtol=1e-8)
    two = rs.solve(field(5, sparse=False), L1SQP(solver="exact"), rtol=1e-8)
    np.testing.assert_allclose(one.x, two.x, atol=1e-5)
    assert one.calls["hessian"] == 0
    assert one.calls["inner_step"] > two.calls["inner_step"]


@pytest.mark.slow
def test_a_preconditioner_makes_steps_independent_of_the_grid():
    counts = []
    for N in (6, 12, 24):
        m = N * N
        line = (np.eye(N, k=1) + np.eye(N, k=-1) - 2 * np.eye(N)) * (N + 1) ** 2
        values, sines = np.linalg.eigh(line)

        def inverse(x, force, c, wanted, N=N, m=m, values=values, sines=sines):
            V, size = jnp.asarray(sines, c.dtype), (values[:, None] + values) ** 2 + 10
            middle = V @ ((V.T @ c.reshape(N, N) @ V) / size) @ V.T
            return jnp.concatenate([force[:m], 10 * force[m:]]), middle.ravel()

        sol = rs.solve(field(N), L1SQP(solver="minres", preconditioner=inverse), rtol=1e-8)
        counts.append(sol.calls["inner_step"])
    assert max(counts) <= 60
    plain = rs.solve(field(12), L1SQP(solver="minres"), rtol=1e-8, throw=False)
    assert plain.calls["inner_step"] > 10 * counts[1]


@pytest.mark.slow
def test_a_direction_of_negative_curvature_is_not_taken():
    """From where the equation holds, Newton's step alone goes to x[0] = 0, uphill."""
    problem = rs.ConstrainedProblem(
        lambda x: x[0] ** 4 - x[0] ** 2 + x[1] ** 2, lambda x: x[1] + x[2] - 1,
        x0=np.array([0.3, 0.0, 1.0]),
    )  # fmt: skip
    sol = rs.solve(problem, L1SQP(solver="minres"), rtol=1e-8)
    np.testing.assert_allclose(np.abs(sol.x), [0.5**0.5, 0.0, 1.0], atol=1e-6)
    assert rs.constrained.second_order(problem, sol.x, sol.witness).minimizer


@pytest.mark.parametrize(
    "given",
    [{"preconditioner": lambda x, r, s: (r, s)}, {"solver": "minres", "rule": "tests"}],
    ids=["preconditioner", "rule"],
)
def test_what_would_be_ignored_is_refused(given):
    with pytest.raises(ValueError, match=r"(?s)(preconditioner|rule): given .+; needed .+\. .+"):
        L1SQP(**given)
