"""Coefficients that a gap proves to be zero are zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression

import resolvent as rs
from resolvent import functions
from resolvent.composite import largest_weight, proved_zeros

N, P = 30, 40
RNG = np.random.default_rng(8)
X = RNG.standard_normal((N, P))
Y = X[:, 0] - 2 * X[:, 1] + 0.3 * RNG.standard_normal(N)
TOP = float(np.abs(X.T @ Y).max()) / N


def points(problem):
    """Points of all qualities: on the way from zero to the answer."""
    answer = rs.solve(problem, rtol=1e-13, throw=False).x
    for share in (0.0, 0.7, 0.99, 0.9999, 1.0):
        yield jax.tree_util.tree_map(lambda leaf, share=share: share * leaf, answer)


@pytest.mark.parametrize("ratio", [1.0, 0.7])
def test_they_are_zero_in_the_answers_of_scikit_learn(ratio):
    weight = 0.2 * TOP
    penalty = functions.L1(weight) if ratio == 1 else functions.ElasticNet(weight, ratio)
    peer = Lasso(weight, fit_intercept=False, tol=1e-15, max_iter=100_000)
    if ratio < 1:
        peer = ElasticNet(weight, l1_ratio=ratio, fit_intercept=False, tol=1e-15, max_iter=100_000)
    answer = peer.fit(X, Y).coef_
    problem = rs.GeneralizedLinear(X, Y, penalty=penalty)
    found = [proved_zeros(problem, x) for x in points(problem)]
    for one in found:
        assert not answer[one.mask].any()
        assert one.number == one.mask.sum()
    # The smaller the gap, the more is proved: in the end all that is zero.
    assert found[-1].gap < found[1].gap < found[0].gap
    assert found[-1].number > found[1].number
    assert found[-1].number == np.count_nonzero(answer == 0)


def test_they_are_zero_in_sparse_logistic_regression_with_an_intercept():
    labels = np.sign(Y + 0.5)
    weight = 0.05
    problem = rs.GeneralizedLinear(
        X, labels, functions.Logistic(), functions.L1(weight), intercept=True
    )
    peer = LogisticRegression(
        l1_ratio=1, solver="saga", C=1 / (weight * N), tol=1e-12, max_iter=100_000
    ).fit(X, labels)
    found = [proved_zeros(problem, x) for x in points(problem)]
    for one in found:
        assert not peer.coef_[0][one.mask].any()
    assert 0 < found[-1].number == np.count_nonzero(peer.coef_ == 0)


LOSSES = {
    "squares": functions.LeastSquares(), "huber": functions.Huber(0.5),
    "logistic": functions.Logistic(), "squared hinge": functions.SquaredHinge(),
}  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), loss=st.sampled_from(sorted(LOSSES)),
    kind=st.sampled_from(["l1", "elastic", "weighted"]), share=st.floats(0.05, 0.9),
    intercept=st.booleans(), weighted=st.booleans(), far=st.sampled_from([0.0, 1e-4, 1e-2, 1.0]),
)  # fmt: skip
def test_they_are_zero_whatever_the_data(seed, loss, kind, share, intercept, weighted, far):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((12, 9)) * rng.uniform(0.2, 3.0, 9)
    y = A[:, 0] - A[:, 1] + rng.standard_normal(12)
    y = y if loss in ("squares", "huber") else np.where(y > np.median(y), 1.0, -1.0)
    penalty = {
        "l1": functions.L1(1.0), "elastic": functions.ElasticNet(1.0, 0.6),
        "weighted": functions.WeightedL1(rng.uniform(0.5, 2.0, 9)),
    }[kind]  # fmt: skip
    weights = rng.uniform(0.1, 2.0, 12) if weighted else None
    problem = rs.GeneralizedLinear(
        A, y, LOSSES[loss], penalty, intercept=intercept, weights=weights
    )
    most = share * largest_weight(problem)
    penalty = (
        functions.WeightedL1(most * penalty.weights)
        if kind == "weighted"
        else penalty.but(weight=most)
    )
    problem = problem.penalized(penalty)
    answer = rs.solve(problem, rtol=1e-13, throw=False)
    w = answer.x[0] if intercept else answer.x
    away = w + far * rng.standard_normal(9)
    found = proved_zeros(problem, (away, answer.x[1]) if intercept else away)
    assert not w[found.mask].any()


def test_every_kind_of_data():
    penalty = functions.L1(0.2 * TOP)
    dense = rs.GeneralizedLinear(X, Y, penalty=penalty)
    x = rs.solve(dense, rtol=1e-8).x
    mask = proved_zeros(dense, x).mask
    assert 0 < np.count_nonzero(mask) < P
    sparse = rs.GeneralizedLinear(scipy.sparse.csr_matrix(X), Y, penalty=penalty)
    assert np.array_equal(proved_zeros(sparse, x).mask, mask)
    single = rs.GeneralizedLinear(
        jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32), penalty=penalty
    )
    found = proved_zeros(single, jnp.asarray(x, jnp.float32))
    assert not (found.mask & ~mask).any()
    assert found.number > 0


def test_a_column_of_zeros_is_never_needed():
    wide = np.c_[X, np.zeros(N)]
    problem = rs.GeneralizedLinear(wide, Y, penalty=functions.L1(0.2 * TOP))
    assert proved_zeros(problem, np.zeros(P + 1)).mask[P]


def test_refusals():
    with pytest.raises(ValueError, match="L1, WeightedL1 or ElasticNet"):
        proved_zeros(rs.GeneralizedLinear(X, Y, penalty=functions.MCP(0.1, 3.0)), np.zeros(P))
    groups = functions.GroupL2(np.repeat(np.arange(20), 2), 0.1)
    with pytest.raises(ValueError, match="L1, WeightedL1 or ElasticNet"):
        proved_zeros(rs.GeneralizedLinear(X, Y, penalty=groups), np.zeros(P))
    counts = np.abs(np.round(Y))
    with pytest.raises(ValueError, match="curvature is bounded"):
        proved_zeros(
            rs.GeneralizedLinear(X, counts, functions.Poisson(), functions.L1(0.1)), np.zeros(P)
        )
    with pytest.raises(ValueError, match="shape"):
        proved_zeros(rs.GeneralizedLinear(X, Y, penalty=functions.L1(0.1)), np.zeros(3))
