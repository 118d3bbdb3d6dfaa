"""The interior point method: few steps whatever the data are, and programs at the edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import linprog

import resolvent as rs
from resolvent.composite import InteriorPoint

METHOD = InteriorPoint()


def parts(seed, n=30, m=12, rank=None):
    """P, q, A and bounds of rows on one side or both, or equal; x = 0 meets them all."""
    rng = np.random.default_rng([seed, 23])
    root = rng.standard_normal((n, n if rank is None else rank))
    A = rng.standard_normal((m, n))
    low, high = -rng.uniform(0.05, 0.5, m), rng.uniform(0.05, 0.5, m)
    low[: m // 3] = -np.inf
    low[m // 3 : m // 2] = high[m // 3 : m // 2]
    return root @ root.T / n, 2 * rng.standard_normal(n), A, low, high


def duality_gap(program, sol):
    """The value of x less what the multipliers prove to be the least, in NumPy."""
    y, z = sol.witness.rows, sol.witness.bounds
    P, q, A = program.P.matrix, program.q, program.A.matrix
    assert np.abs(P @ sol.x + q + A.T @ y + z).max() <= 1e-8 * np.abs(q).max()
    borne = 0.0
    for force, low, high in ((y, program.l, program.u), (z, program.lower, program.upper)):
        used = np.where(force > 0, high, low)
        borne += np.where(force != 0, force * np.where(force != 0, used, 0), 0).sum()
    return program.objective(sol.x) + 0.5 * sol.x @ P @ sol.x + borne


@pytest.mark.parametrize("rank", [None, 10, 1])
@pytest.mark.parametrize("seed", range(2))
def test_steps_hardly_depend_on_the_data(seed, rank):
    P, q, A, low, high = parts(seed, rank=rank)
    program = rs.QuadraticProgram(P, q, A, low, high, lower=-1.0, upper=1.0)
    sol = rs.solve(program, METHOD, rtol=1e-10)
    assert sol.steps <= 20
    assert abs(duality_gap(program, sol)) <= 1e-8 * abs(program.objective(sol.x))
    assert np.maximum(A @ sol.x - high, low - A @ sol.x).max() <= 1e-9


def test_it_is_the_default_where_rows_or_nothing_curved_make_others_slow():
    P, q, A, low, high = parts(0, rank=1)
    several = rs.QuadraticProgram(P, q, A, low, high, lower=-1.0, upper=1.0)
    linear = rs.QuadraticProgram(0 * P, q, lower=-1.0, upper=1.0)
    for program in (several, linear):
        assert rs.solve(program).method == "interior-point"
    assert rs.solve(rs.QuadraticProgram(P, q, lower=-1.0, upper=1.0)).method == "active-set"


@pytest.mark.parametrize("seed", range(4))
def test_linear_programs_agree_with_scipy(seed):
    _, c, A, low, high = parts(seed)
    sol = rs.solve(
        rs.QuadraticProgram(np.zeros((30, 30)), c, A, low, high, lower=-1.0, upper=2.0), METHOD,
        rtol=1e-9,
    )  # fmt: skip
    equal, some = low == high, low > -np.inf
    rows = np.vstack([A[~equal], -A[some & ~equal]])
    limits = np.r_[high[~equal], -low[some & ~equal]]
    peer = linprog(c, rows, limits, A[equal], high[equal], (-1.0, 2.0))
    assert c @ sol.x == pytest.approx(peer.fun, rel=1e-7)
    assert sol.steps <= 40


def test_units_of_unknowns_and_rows_do_not_matter():
    """Steps are those of the same program in other units, up to the proximal terms."""
    P, q, A, low, high = parts(1)
    plain = rs.solve(rs.QuadraticProgram(P, q, A, low, high, lower=-1.0, upper=1.0), METHOD)
    rng = np.random.default_rng(0)
    d, e = 10.0 ** rng.uniform(-3, 3, 30), 10.0 ** rng.uniform(-3, 3, 12)
    other = rs.QuadraticProgram(
        d[:, None] * P * d, d * q, e[:, None] * A * d, e * low, e * high, lower=-1 / d, upper=1 / d
    )
    sol = rs.solve(other, METHOD, rtol=1e-9)
    assert np.allclose(d * sol.x, plain.x, atol=1e-3)
    assert sol.steps <= 3 * plain.steps


def test_narrow_boxes_fixed_unknowns_and_rows_that_repeat():
    P, q, A, low, high = parts(2, rank=10)
    lower, upper = np.full(30, -1.0), np.full(30, 1.0)
    upper[:5] = lower[:5] + 1e-9
    upper[5:10] = lower[5:10]
    lower[10:15] = -np.inf
    low, high = np.r_[low, low, -np.inf] - 50.0, np.r_[high, high, np.inf] + 50.0
    low[4:6] = high[4:6] = low[16:18] = high[16:18] = 0.1
    program = rs.QuadraticProgram(
        P, q, np.vstack([A, A, A[:1]]), low, high, lower=lower, upper=upper
    )  # fmt: skip
    sol = rs.solve(program, METHOD, rtol=1e-9)
    assert (sol.x >= lower).all()
    assert (sol.x <= upper).all()
    image = program.A.matrix @ sol.x
    assert np.maximum(image - high, low - image).max() <= 1e-8
    assert abs(duality_gap(program, sol)) <= 1e-7 * abs(program.objective(sol.x))


def test_large_sparse_programs_are_factorized_as_such():
    n = 3000
    second = scipy.sparse.diags([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], [-1, 0, 1])
    rows = scipy.sparse.identity(n, format="csc")[::10]
    program = rs.QuadraticProgram(
        second.tocsc(), np.full(n, -1e-3), rows, -np.inf, 0.5, lower=0.0, upper=1.0
    )  # fmt: skip
    sol = rs.solve(program, METHOD, rtol=1e-9)
    assert sol.converged
    assert sol.steps <= 30
    assert sol.x[::10].max() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("dtype", "rtol", "near"),
    [(np.float64, 1e-9, 1e-7), pytest.param(np.float32, 1e-4, 1e-3, marks=pytest.mark.slow)],
)
def test_a_batch_equals_a_loop(dtype, rtol, near):
    with jax.enable_x64(dtype == np.float64):
        traced, host = [], []
        for seed in range(3):
            P, q, A, low, high = (part.astype(dtype) for part in parts(seed, 8, 6))
            P = P + dtype(0.1) * np.eye(8, dtype=dtype)
            given = P, q, A, low, high
            host.append(rs.QuadraticProgram(*given, lower=-1.0, upper=1.0))
            traced.append(rs.QuadraticProgram(*map(jnp.asarray, given), lower=-1.0, upper=1.0))
        batch = rs.solve_batch(traced, METHOD, rtol=rtol)
    assert batch.converged.all()
    for x, program in zip(batch.x, host, strict=True):
        one = rs.solve(program, METHOD, rtol=rtol)
        assert x.dtype == one.x.dtype == dtype
        assert np.allclose(x, one.x, atol=near)
