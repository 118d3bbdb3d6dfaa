"""Linear separation: closed forms, bounds of mistakes, proofs that nothing separates."""

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import linprog, nnls

import resolvent as rs
from resolvent.composite import BatchPerceptron, NormalizedLogisticGradient, Perceptron
from resolvent.papers.normalized_logistic_gd import lonely, normal_samples, walk

METHODS = [
    NormalizedLogisticGradient(), NormalizedLogisticGradient(normalized=False), BatchPerceptron(),
    BatchPerceptron(normalized=False), Perceptron(),
]  # fmt: skip
each = pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{vars(m)!s:.60}")


def noisy(n=120, d=4, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) + 0.3
    return X, np.sign(X[:, 0] + rng.standard_normal(n))


def feasible(X, y, intercept):
    """Whether a linear program finds y (X w + c) >= 1."""
    Z = y[:, None] * (np.column_stack([X, np.ones(len(X))]) if intercept else X)
    found = linprog(np.zeros(Z.shape[1]), A_ub=-Z, b_ub=-np.ones(len(Z)), bounds=(None, None))
    return found.status == 0


def test_one_sample_is_added_again_and_again():
    z = np.array([[3.0, -1.0]])
    points = list(walk(rs.LinearSeparation(z, [1]), NormalizedLogisticGradient(0.7), 4))
    for t, theta in enumerate(points, 1):
        assert np.allclose(theta, t * 0.7 * z[0], rtol=1e-14)
    assert rs.solve(rs.LinearSeparation(-z, [-1]), NormalizedLogisticGradient(0.7)).steps == 1


def test_large_steps_are_those_of_the_normalized_batch_perceptron():
    X, y = normal_samples(1)
    problem, Z = rs.LinearSeparation(X, y), y[:, None] * X
    theta = Z.mean(axis=0)
    for ours in walk(problem, NormalizedLogisticGradient(1e6), 12):
        assert np.allclose(ours / 1e6, theta, rtol=1e-9)
        wrong = Z @ theta <= 0
        if not wrong.any():
            break
        theta = theta + Z[wrong].mean(axis=0)


def test_another_unit_of_the_samples_leaves_margins_alone():
    X, y = normal_samples(2)
    plain = walk(rs.LinearSeparation(X, y), NormalizedLogisticGradient(2.0), 8)
    other = walk(rs.LinearSeparation(3.0 * X, y), NormalizedLogisticGradient(2.0 / 9.0), 8)
    for one, two in zip(plain, other, strict=True):
        assert np.allclose(X @ one, 3.0 * X @ two, rtol=1e-10)


def test_no_step_is_longer_than_the_longest_sample_allows():
    X, y = normal_samples(3)
    before, longest = np.zeros(10), np.linalg.norm(X, axis=1).max()
    for theta in walk(rs.LinearSeparation(X, y), NormalizedLogisticGradient(5.0), 30):
        assert np.linalg.norm(theta - before) <= 5.0 * longest * (1 + 1e-12)
        before = theta


@pytest.mark.parametrize("seed", range(3))
def test_the_perceptron_makes_no_more_mistakes_than_novikoff_allows(seed):
    X, y = normal_samples(seed)
    Z = y[:, None] * X
    shares, _ = nnls(np.vstack([Z.T, np.ones(len(Z))]), np.append(np.zeros(10), 1.0))
    mu = np.linalg.norm(Z.T @ shares) / shares.sum()
    order = np.random.default_rng(seed).permutation(len(y))
    for rows in (np.arange(len(y)), order):
        sol = rs.solve(rs.LinearSeparation(X[rows], y[rows]), Perceptron())
        assert 0 < sol.calls["update"] <= (np.linalg.norm(X, axis=1).max() / mu) ** 2
        assert 0 < sol.certificate.details["margin"] <= mu * (1 + 1e-12)


@each
@pytest.mark.parametrize("intercept", [False, True])
def test_margins_lie_between_the_bounds_of_an_answer(method, intercept):
    X, y = normal_samples(4)
    X = X[:60] + (0.5 if intercept else 0.0)
    y = y[:60]
    assert feasible(X, y, intercept)
    sol = rs.solve(rs.LinearSeparation(X, y, intercept=intercept), method)
    w, c = sol.x if intercept else (sol.x, 0.0)
    margins = y * (X @ w + c)
    unit = np.linalg.norm(X, axis=1).max()
    size = np.sqrt(w @ w + (c / unit) ** 2)
    details = sol.certificate.details
    assert details["margin"] == pytest.approx(margins.min() / size, rel=1e-9)
    assert details["margin"] <= details["margin bound"]


@each
@pytest.mark.parametrize("form", ["dense", "sparse", "intercept"])
def test_weights_prove_that_nothing_separates(method, form):
    X, y = noisy()
    intercept = form == "intercept"
    assert not feasible(X, y, intercept)
    data = scipy.sparse.csr_matrix(X) if form == "sparse" else X
    sol = rs.solve(rs.LinearSeparation(data, y, intercept=intercept), method, throw=False)
    assert sol.reason is rs.Reason.infeasible
    assert not sol.converged
    alpha = sol.witness
    assert alpha.min() >= 0
    assert alpha.sum() == pytest.approx(1.0)
    unit = np.linalg.norm(X, axis=1).max()
    rows = np.column_stack([X, np.full(len(X), unit)]) if intercept else X
    length = np.linalg.norm((y * alpha) @ rows)
    assert length <= 2e-8 * np.linalg.norm(rows, axis=1).max()
    assert sol.certificate.details["margin bound"] == pytest.approx(length, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("X", [[[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [0.0, 0.0]]])
@each
def test_hopeless_samples_are_seen_at_once(method, X):
    sol = rs.solve(rs.LinearSeparation(X, [1, -1]), method, throw=False)
    assert sol.reason is rs.Reason.infeasible
    assert sol.certificate.value >= 1.0


def test_a_sample_on_the_border_is_not_separated():
    X, y = np.array([[1.0, 1.0], [-1.0, 1.0]]), np.array([1, -1])
    problem = rs.LinearSeparation(X, y)
    assert problem.certify(np.array([0.0, 1.0])).value == 1.0
    assert problem.certify(np.array([1.0, 1.0])).value == 1.0
    assert problem.certify(np.array([1.0, 0.0])).value == 0.0
    assert problem.certify(np.full(2, np.nan)).value == 2.0
    assert problem.certify(np.zeros(2)).value == 2.0
    # A rounding error away from the border is on it.
    assert problem.certify(np.array([1.0 + 2e-16, 1.0])).value == 1.0
    bound = problem.certify(np.zeros(2), np.array([0.5, -0.1])).details["margin bound"]
    assert np.isnan(bound)


def test_exceptions_can_be_admitted():
    X, y = noisy()
    sol = rs.solve(rs.LinearSeparation(X, y), Perceptron(), atol=40.0, throw=False)
    assert sol.converged
    assert 0 < sol.certificate.value <= 40.0


def test_labels_and_units():
    X, y = normal_samples(5)
    named = np.where(y > 0, "yes", "no")
    plain = rs.solve(rs.LinearSeparation(X, y), Perceptron())
    assert np.array_equal(rs.solve(rs.LinearSeparation(X, named), Perceptron()).x, plain.x)
    # In any unit of X the intercept costs as much.
    steps = [
        rs.solve(rs.LinearSeparation(2.0**k * (X + 0.3), y, intercept=True)).steps
        for k in (-20, 0, 20)
    ]
    assert len(set(steps)) == 1


def test_sparse_samples_and_dense_ones_take_the_same_steps():
    X, y = normal_samples(6)
    X[np.abs(X) < 0.4] = 0.0
    for intercept in (False, True):
        for method in (Perceptron(), BatchPerceptron()):
            both = [
                rs.solve(rs.LinearSeparation(data, y, intercept=intercept), method, throw=False)
                for data in (X, scipy.sparse.csc_matrix(X))
            ]
            assert both[0].reason == both[1].reason
            assert both[0].steps == both[1].steps


def test_numbers_of_the_rare_class():
    problem = lonely(100)
    assert rs.solve(problem, BatchPerceptron(normalized=False)).steps == 31
    assert rs.solve(problem, NormalizedLogisticGradient(1.0)).steps == 11


@pytest.mark.parametrize(
    ("X", "y", "kind", "words"),
    [
        (np.eye(3), [1, 2, 3], ValueError, "3 classes"),
        (np.eye(3), [1, -1], ValueError, "one label a row"),
        (np.full((2, 2), np.nan), [1, -1], ValueError, "not finite"),
        (np.eye(2) * 1j, [1, -1], TypeError, "complex"),
        (np.eye(2), ["a", "a"], ValueError, "1 classes"),
    ],
)
def test_bad_data_are_refused(X, y, kind, words):
    with pytest.raises(kind, match=r"given .*needed") as caught:
        rs.LinearSeparation(X, y)
    assert words in str(caught.value)


def test_a_step_must_be_positive():
    with pytest.raises(ValueError, match="step_size: given 0"):
        NormalizedLogisticGradient(0.0)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_data_whose_squares_overflow_or_vanish_are_refused(unit):
    X = unit * np.array([[2.0, 1.0], [-1.0, 0.5]])
    for given in (X, scipy.sparse.csr_matrix(X)):
        with pytest.raises(ValueError, match="Divide X by its largest entry"):
            rs.LinearSeparation(given, [1, -1])


@each
def test_zeros_alone_cannot_be_separated(method):
    sol = rs.solve(rs.LinearSeparation(np.zeros((4, 2)), [1, 1, -1, -1]), method, throw=False)
    assert sol.reason == "infeasible"
    assert sol.certificate.details["margin bound"] == 0


def test_short_rows_beside_long_ones_have_a_length():
    X = np.array([[3e-200, 4e-200], [3.0, 4.0]])
    for given in (X, scipy.sparse.csr_matrix(X)):
        lengths = rs.LinearSeparation(given, [1, -1]).rows().lengths
        assert np.allclose(lengths, [5e-200, 5.0], rtol=1e-14, atol=0)
