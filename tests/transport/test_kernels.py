"""The kernels against SciPy's log-sum-exp, and their promise that threads change nothing."""

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from resolvent.transport import DenseCost, PointCost
from resolvent.transport import kernels_rounding as rounding
from resolvent.transport import kernels_scaling as scaling
from resolvent.transport import kernels_softmin as kernels
from resolvent.transport import kernels_storing as storing
from resolvent.transport.softmin import exponent_blocks, kernel_form

EMPTY = np.empty((0, 0))


def clouds(kind, dtype, n=70, m=301, d=3):
    rng = np.random.default_rng(1)
    x, y = rng.random((n, d)).astype(dtype), rng.random((m, d)).astype(dtype)
    step = np.abs(x[:, None].astype(float) - y[None].astype(float))
    if kind == kernels.L1:
        C = step.sum(2)
    else:
        C = (step**2).sum(2)
        C = np.sqrt(C) if kind == kernels.EUCLIDEAN else C
    return (kind, x, np.ascontiguousarray(y.T)), C


def cases(dtype):
    rng = np.random.default_rng(0)
    C = rng.random((70, 301)).astype(dtype)
    yield (kernels.DENSE, C, EMPTY), C.astype(float)
    for kind in kernels.KINDS.values():
        yield clouds(kind, dtype)


def potentials(epsilon, n=70, m=301):
    rng = np.random.default_rng(2)
    a, b = rng.random(n), rng.random(m)
    a[[0, 5]] = 0
    b[[3, 300]] = 0
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a / a.sum()), np.log(b / b.sum())
    return rng.random(n), rng.random(m), log_a, log_b


@pytest.mark.parametrize("epsilon", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_soft_minima_are_log_sum_exps(epsilon, dtype):
    f, g, log_a, log_b = potentials(epsilon)
    for cost, C in cases(dtype):
        rows = kernels.softmin_rows(*cost, epsilon, g, log_b)
        columns = kernels.softmin_columns(*cost, epsilon, f, log_a)
        want = -epsilon * logsumexp(log_b + (g - C) / epsilon, axis=1)
        np.testing.assert_allclose(rows, want, rtol=0, atol=1e-14)
        want = -epsilon * logsumexp(log_a[:, None] + (f[:, None] - C) / epsilon, axis=0)
        np.testing.assert_allclose(columns, want, rtol=0, atol=1e-14)


def test_marginals_and_products_are_those_of_the_plan():
    epsilon = 0.05
    f, g, log_a, log_b = potentials(epsilon)
    V = np.random.default_rng(3).standard_normal((301, 4))
    for cost, C in cases(np.float64):
        P = np.exp(log_a[:, None] + log_b + (f[:, None] + g - C) / epsilon)
        rows, columns = kernels.marginals(*cost, epsilon, f, g, log_a, log_b)
        np.testing.assert_allclose(rows, P.sum(1), rtol=1e-13)
        np.testing.assert_allclose(columns, P.sum(0), rtol=1e-13)
        product = kernels.apply(*cost, epsilon, f, g, log_a, log_b, V)
        np.testing.assert_allclose(product, P @ V, rtol=0, atol=1e-13 * P.sum(1).max())
        product = kernels.apply(*cost, epsilon, f, g, log_a, log_b, V[:, 0])
        np.testing.assert_allclose(product, P @ V[:, 0], rtol=0, atol=1e-13 * P.sum(1).max())


def sides_of(f, g, log_a, log_b, epsilon):
    return f, g, log_a, log_b, f / epsilon + log_a, g / epsilon + log_b


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_judges_a_plan_is_summed_over_it(exact, dtype):
    epsilon = 0.05
    f, g, log_a, log_b = potentials(epsilon)
    rng = np.random.default_rng(3)
    v, rest = rng.random(301), rng.random(301)
    for cost, C in cases(dtype):
        P = np.exp(log_a[:, None] + log_b + (f[:, None] + g - C) / epsilon)
        wanted = P.sum(1) * rng.uniform(0.5, 1.5, 70)
        u = np.minimum(1.0, np.divide(wanted, P.sum(1), out=np.ones(70), where=wanted > 0))
        sides = sides_of(f, g, log_a, log_b, epsilon)
        rows, columns, excess, expenses = rounding.judge(cost, exact, epsilon, sides, wanted)
        np.testing.assert_allclose(rows, P.sum(1), rtol=1e-13)
        np.testing.assert_allclose(columns, P.sum(0), rtol=1e-13)
        np.testing.assert_allclose(excess, P.T @ (1.0 - u), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(expenses, (C * P).sum(1), rtol=1e-13)
        sums, moved, spread = rounding.shrink(cost, exact, epsilon, sides, v, rest)
        np.testing.assert_allclose(sums, P @ v, rtol=1e-13)
        np.testing.assert_allclose(moved, (C * P) @ v, rtol=1e-13)
        np.testing.assert_allclose(spread, C @ rest, rtol=1e-13)
        assert (rounding.shrink(cost, exact, epsilon, sides, None, rest)[2] == spread).all()


@pytest.mark.parametrize("kind", ["matrix", *kernels.KINDS])
def test_large_exponents_are_rounded_as_in_numpy(kind):
    epsilon = 1e-9
    rng = np.random.default_rng(6)
    x, y = rng.random((9, 3)), rng.random((40, 3))
    cost = DenseCost(rng.random((9, 40))) if kind == "matrix" else PointCost(x, y, kind)
    f, g = rng.random(9), rng.random(40)
    log_a, log_b = np.log(rng.random(9)), np.log(rng.random(40))
    ((_, _, C, wanted),) = exponent_blocks(cost, epsilon, f, g, log_a, log_b)
    form, _ = kernel_form(cost)
    sides = sides_of(f, g, log_a, log_b, epsilon)
    c, e = np.empty(40), np.empty(40)
    for i in range(9):
        rounding._plain_row(*form, epsilon, sides, i, c, e)
        assert (c == C[i]).all()
        assert (e == wanted[i]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_plan_is_stored_with_its_sums(dtype):
    epsilon = 0.05
    f, g, log_a, log_b = potentials(epsilon)
    *_, base, head = sides_of(f, g, log_a, log_b, epsilon)
    for cost, C in cases(dtype):
        K = np.empty((70, 301), dtype)
        rows, columns = storing.build_dense(*cost, epsilon, base, head, K)
        P = np.exp(base[:, None] + head - C / epsilon)
        np.testing.assert_allclose(K, P, rtol=1e-13 if dtype == np.float64 else 1e-6)
        np.testing.assert_allclose(rows, K.sum(1, dtype=float), rtol=1e-13)
        np.testing.assert_allclose(columns, K.sum(0, dtype=float), rtol=1e-13)


def test_exponentials_are_accurate_and_tame_at_the_ends():
    x = np.linspace(-708, 709, 20_001)
    ours = np.array([kernels.exp(value) for value in x])
    np.testing.assert_allclose(ours, np.exp(x), rtol=5e-16)
    assert kernels.exp(0.0) == 1.0
    assert kernels.exp(-709.0) == 0.0
    assert kernels.exp(-np.inf) == 0.0
    assert np.isnan(kernels.exp(np.nan))


def test_logarithms_are_accurate():
    x = np.exp(np.concatenate([np.linspace(-690, 690, 5001), np.linspace(-1e-6, 1e-6, 1001)]))
    ours = np.array([scaling.log(value) for value in x])
    np.testing.assert_allclose(ours, np.log(x), rtol=1e-15, atol=0)


def test_garbage_potentials_give_infinite_marginals_without_a_warning():
    n, m = 3, 4
    zero = np.zeros(m)
    C = np.zeros((n, m))
    with np.errstate(all="raise"):
        rows, _ = kernels.marginals(
            kernels.DENSE, C, EMPTY, 1e-3, np.full(n, 1e5), zero, np.zeros(n), zero
        )  # fmt: skip
    assert np.isinf(rows).all()


@pytest.mark.slow  # the kernels with threads compile for long
def test_threads_change_no_bit():
    rng = np.random.default_rng(4)
    n, m = 150, 700
    C, mass, other = rng.random((n, m)), np.full(n, 1 / n), np.full(m, 1 / m)
    head = rng.random(m) / 0.01
    one, another = np.empty(n), np.empty(n)
    kernels._rows_alone(0, C, EMPTY, 0.01, head, one)
    kernels._rows_threads(0, C, EMPTY, 0.01, head, another)
    assert (one == another).all()
    one, another = np.empty(m), np.empty(m)
    kernels._columns_alone(0, C, EMPTY, 0.01, head[:n].copy(), one)
    kernels._columns_threads(0, C, EMPTY, 0.01, head[:n].copy(), another)
    assert (one == another).all()
    results = []
    sweeps: tuple[Any, ...] = (scaling._dense_alone, scaling._dense_threads)
    for sweep in sweeps:
        K = np.exp(-C / 0.1) / n / m
        u, v = np.ones(n), np.ones(m)
        rows, columns = K.sum(1), K.sum(0)
        partial, trace = np.empty((kernels.block_count(n), m)), np.empty(5)
        sides = [(side, np.ones(len(side)), np.ones(len(side)), (1.0, 0.0)) for side in
                 (mass, other)]  # fmt: skip
        sweep(K, *sides, (u, v, rows, columns, partial), 1.0, 1e40, 5, -1.0, trace)
        results.append((u, v, columns, trace))
    for one, another in zip(*results, strict=True):
        assert (one == another).all()


def test_a_second_caller_runs_alone():
    with kernels.threads(1 << 24) as first, kernels.threads(1 << 24) as second:
        assert first
        assert not second


def test_left_out_entries_are_the_small_ones():
    rng = np.random.default_rng(5)
    n, m = 90, 60
    C = rng.random((n, m))
    base, head = -np.log(n) * np.ones(n), -np.log(m) * np.ones(m)
    row_least, column_least = np.full(n, np.log(1e-10 / n)), np.full(m, np.inf)
    which = (0, C, EMPTY, 0.02, base, head, row_least, column_least)
    data, indices, indptr = storing.build_sparse(which, np.float64)
    K = np.exp(base[:, None] + head - C / 0.02)
    kept = np.where(np.log(K) >= row_least[:, None], K, 0.0)
    dense = np.zeros((n, m))
    for i in range(n):
        dense[i, indices[indptr[i] : indptr[i + 1]]] = data[indptr[i] : indptr[i + 1]]
    assert 0 < len(data) < n * m
    np.testing.assert_allclose(dense, kept, rtol=1e-12)
    values, rows, ends = storing.transposed(data, indices, indptr, m)
    dense[:] = 0
    for j in range(m):
        dense[rows[ends[j] : ends[j + 1]], j] = values[ends[j] : ends[j + 1]]
    np.testing.assert_allclose(dense, kept, rtol=1e-12)
