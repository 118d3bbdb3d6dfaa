"""Group lasso on the host: optimality by hand, all ways through the code, peers."""

import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent.composite import GroupDescent
from resolvent.composite.descent.group_model import ColumnModel, GramModel, minimized
from resolvent.composite.descent.grouped import Groups


def data(n=60, seed=0, sizes=(3, 5, 1, 4, 2) * 8):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.standard_normal((n, groups.size)) + 0.5 * rng.standard_normal((n, 1))
    w = np.where(groups < 4, rng.standard_normal(groups.size), 0.0)
    return X, X @ w + 0.3 * rng.standard_normal(n), groups


def violation(slope, w, groups, bars):
    """The largest distance of -slope from the subdifferential, group by group, by hand."""
    worst = 0.0
    for b, bar in enumerate(bars):
        own, pull = w[groups == b], slope[groups == b]
        size = np.linalg.norm(own)
        if size > 0:
            worst = max(worst, np.linalg.norm(pull + bar * own / size))
        else:
            worst = max(worst, np.linalg.norm(pull) - bar)
    return worst


def group_weight(X, y, groups, share):
    pulled = X.T @ y / len(y)
    sizes = np.bincount(groups)
    return share * max(
        np.linalg.norm(pulled[groups == b]) / np.sqrt(size) for b, size in enumerate(sizes)
    )


@pytest.mark.parametrize("share", [0.5, 0.005])
@pytest.mark.parametrize("intercept", [False, True])
def test_answers_are_optimal_group_by_group(share, intercept):
    X, y, groups = data()
    weight = group_weight(X, y, groups, share)
    problem = rs.GeneralizedLinear(
        X, y + 2.0, penalty=rs.functions.GroupL2(groups, weight), intercept=intercept
    )
    assert isinstance(problem.default_method(), GroupDescent)
    sol = rs.solve(problem, rtol=1e-13)
    w, c = sol.x if intercept else (sol.x, 0.0)
    slopes = X @ w + c - y - 2.0
    bars = weight * np.sqrt(np.bincount(groups))
    assert violation(X.T @ slopes / len(y), w, groups, bars) <= 1e-6
    assert not intercept or abs(slopes.mean()) <= 1e-7


def test_more_columns_than_samples_and_groups_out_of_order():
    X, y, groups = data(n=25)
    order = np.random.default_rng(1).permutation(groups.size)
    weight = group_weight(X, y, groups, 0.01)
    plain = rs.GeneralizedLinear(X, y, penalty=rs.functions.GroupL2(groups, weight))
    mixed = rs.GeneralizedLinear(
        X[:, order], y, penalty=rs.functions.GroupL2(groups[order], weight)
    )
    methods = GroupDescent(), GroupDescent(model="gram"), GroupDescent(accelerated=False)
    answers = [rs.solve(plain, method, rtol=1e-12).x for method in methods]
    answers.append(np.empty(order.size))
    answers[-1][order] = rs.solve(mixed, rtol=1e-12).x
    slope = X.T @ (X @ answers[0] - y) / len(y)
    bars = weight * np.sqrt(np.bincount(groups))
    assert violation(slope, answers[0], groups, bars) <= 1e-6
    for other in answers[1:]:
        assert np.allclose(other, answers[0], atol=1e-4 * np.abs(answers[0]).max())
        assert np.array_equal(other != 0, answers[0] != 0)


@pytest.mark.parametrize("form", ["dense", "sparse", "weighted"])
def test_logistic_regression_with_groups(form):
    X, y, groups = data(n=150)
    labels = np.sign(y)
    shares = np.full(150, 1 / 150)
    if form == "weighted":
        shares = np.random.default_rng(2).uniform(0, 1, 150)
        shares /= shares.sum()
    X = np.where(np.abs(X) > 0.7, X, 0.0) if form == "sparse" else X
    given = scipy.sparse.csr_matrix(X) if form == "sparse" else X
    factors = np.linspace(1.0, 2.0, groups.max() + 1)
    penalty = rs.functions.GroupL2(groups, 0.02, factors)
    problem = rs.GeneralizedLinear(
        given, labels, rs.functions.Logistic(), penalty, intercept=True, weights=shares
    )
    sol = rs.solve(problem, rtol=1e-12)
    w, c = sol.x
    pull = -labels * shares / (1 + np.exp(labels * (X @ w + c)))
    assert violation(X.T @ pull, w, groups, 0.02 * factors) <= 1e-6
    assert abs(pull.sum()) <= 1e-6
    assert 0 < np.count_nonzero(w) < w.size


def test_groups_of_one_are_the_lasso():
    X, y, _ = data(n=40)
    for penalty in (rs.functions.L1(0.1), rs.functions.ElasticNet(0.1, 0.8)):
        problem = rs.GeneralizedLinear(X, y, penalty=penalty)
        one = rs.solve(problem, GroupDescent(), rtol=1e-12).x
        other = rs.solve(problem, rs.composite.CoordinateDescent(), rtol=1e-12).x
        assert np.allclose(one, other, atol=1e-6)


def test_a_group_without_a_penalty_is_fitted_freely():
    X, y, groups = data()
    factors = np.ones(groups.max() + 1)
    factors[7] = 0.0
    problem = rs.GeneralizedLinear(X, y, penalty=rs.functions.GroupL2(groups, 0.3, factors))
    sol = rs.solve(problem, GroupDescent(), rtol=1e-9)
    slope = X.T @ (X @ sol.x - y) / len(y)
    assert sol.converged
    assert violation(slope, sol.x, groups, 0.3 * factors) <= 1e-7


@pytest.mark.parametrize("free", [0, 1])
def test_both_forms_of_a_model_have_one_minimizer(free):
    rng = np.random.default_rng(4)
    groups = Groups(np.repeat(np.arange(8), 4), np.full(8, 0.4), 0.05)
    block = np.asfortranarray(rng.standard_normal((20, 32)))
    weights, slope = rng.uniform(0.5, 1.5, 20) / 20, rng.standard_normal(32 + free)
    start = 0.1 * rng.standard_normal(32 + free)
    penalty = groups.of(np.arange(32), free)
    whole = np.column_stack([np.ones((20, free)), block])
    gram = whole.T @ (weights[:, None] * whole)
    own = np.arange(free, 32 + free)
    gram[own, own] += 0.05
    g = slope.copy()
    g[free:] += 0.05 * start[free:]
    one, two, fit = start.copy(), start.copy(), np.zeros(20)
    _, systems = minimized(GramModel(penalty, gram, g, one), 1e-28, True, True)
    assert systems > 0
    _, systems = minimized(ColumnModel(penalty, block, weights, slope, two, fit), 1e-28, True, True)
    assert systems > 0
    assert np.allclose(one, two, atol=1e-10)
    assert np.allclose(fit, whole @ (two - start), atol=1e-12)
    assert np.allclose(
        g, slope + gram @ (one - start) + np.append(np.zeros(free), 0.05 * start[free:])
    )
    assert violation(g[free:], one[free:], groups.group, groups.bars) <= 1e-9


def test_other_penalties_are_refused():
    X, y, groups = data()
    with pytest.raises(ValueError, match="no sum of norms"):
        rs.solve(rs.GeneralizedLinear(X, y, penalty=rs.functions.MCP(0.1, 3.0)), GroupDescent())
    penalty = rs.functions.SparseGroup(groups, 0.1, 0.5)
    with pytest.raises(ValueError, match="no sum of norms"):
        rs.solve(rs.GeneralizedLinear(X, y, penalty=penalty), GroupDescent())


def test_a_model_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="model"):
        rs.composite.GroupDescent(model="columns")
