"""Paths of weights, the weight from which on they begin, and cross-validation."""

import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent import functions
from resolvent.composite import cross_validate, largest_weight, path

RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 12))
Y = X[:, 0] - 2 * X[:, 1] + 0.5 * X[:, 2] + 0.3 * RNG.standard_normal(40)
NOISY = np.where(RNG.random(40) < 0.2, -1, 1) * np.sign(Y)


def lasso(**given):
    return rs.GeneralizedLinear(X, Y, penalty=functions.L1(1.0), **given)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (functions.LeastSquares(), Y),
        (functions.Logistic(), NOISY),
        (functions.Huber(0.5), Y),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    "penalty",
    [
        functions.L1(3.0),
        functions.ElasticNet(3.0, 0.3),
        functions.WeightedL1(np.linspace(1.0, 2.0, 12)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_largest_weight_is_where_coefficients_appear(penalty, loss, targets, intercept):
    problem = rs.GeneralizedLinear(X, targets, loss, penalty, intercept=intercept)
    most = largest_weight(problem)
    found = path(problem, np.array([1 + 1e-7, 1 - 1e-4]) * most, rtol=1e-11)
    assert found.converged
    assert np.count_nonzero(found.coefficients[0]) == 0
    assert np.count_nonzero(found.coefficients[1]) == 1


def test_the_largest_weight_of_penalties_that_are_no_sums():
    slope = X.T @ Y / 40
    groups = np.repeat(np.arange(4), 3)
    group = rs.GeneralizedLinear(X, Y, penalty=functions.GroupL2(groups, 1.0))
    norms = [np.linalg.norm(slope[groups == each]) * 3**-0.5 for each in range(4)]
    assert largest_weight(group) == pytest.approx(max(norms), rel=1e-12)
    concave = rs.GeneralizedLinear(X, Y, penalty=functions.MCP(1.0, 3.0))
    assert largest_weight(concave) == np.abs(slope).max()
    labels = RNG.integers(0, 3, 40)
    several = rs.GeneralizedLinear(X, labels, functions.MulticlassLogistic(), functions.Nuclear())
    chances = np.bincount(labels, minlength=3) / 40
    pulled = X.T @ (1 / 3 - np.eye(3)[labels]) / 40
    assert largest_weight(several) == pytest.approx(np.linalg.norm(pulled, 2), rel=1e-9)
    free = several.but(intercept=True, first=(several.first, np.zeros(3)))
    pulled = X.T @ (chances - np.eye(3)[labels]) / 40
    assert largest_weight(free) == pytest.approx(np.linalg.norm(pulled, 2), rel=1e-6)


def test_no_influence_and_no_such_weight():
    assert largest_weight(rs.GeneralizedLinear(0 * X, Y, penalty=functions.L1(1.0))) == 0
    with pytest.raises(ValueError, match="the weights themselves"):
        largest_weight(rs.GeneralizedLinear(X, Y, penalty=functions.SquaredL2(1.0)))
    with pytest.raises(ValueError, match="features have an influence"):
        path(rs.GeneralizedLinear(0 * X, Y, penalty=functions.L1(1.0)), 5)


@pytest.mark.parametrize("storage", ["dense", "sparse"])
@pytest.mark.parametrize("penalty", [functions.L1(1.0), functions.ElasticNet(1.0, 0.5)])
def test_a_path_gives_the_answers_of_its_problems(storage, penalty):
    matrix = scipy.sparse.csr_matrix(X) if storage == "sparse" else X
    problem = rs.GeneralizedLinear(matrix, Y, penalty=penalty, intercept=True)
    found = path(problem, 8, smallest=1e-3, rtol=1e-12)
    assert found.converged
    assert len(found) == 8
    cold = [
        rs.solve(problem.penalized(penalty.but(weight=weight)), rtol=1e-12)
        for weight in found.lambdas
    ]
    # A gap hides errors of its square root.
    for index, one in enumerate(cold):
        assert np.allclose(found.coefficients[index], one.x[0], atol=5e-6)
        assert found.intercepts[index] == pytest.approx(float(one.x[1]), abs=5e-6)
    assert sum(each.calls["matvec"] for each in found.solutions) < sum(
        each.calls["matvec"] for each in cold
    )


@pytest.mark.parametrize(("dense", "intercept"), [(False, False), (True, False), (False, True)])
def test_a_path_costs_little_more_than_a_product_a_weight(dense, intercept):
    # Working sets hold what is needed before it is, and are left when their own gap is small.
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((2000, 1000), density=0.05, rng=rng, format="csc")
    w = rng.standard_normal(1000) * (rng.random(1000) < 0.03)
    y = X @ w + 0.1 * rng.standard_normal(2000)
    X = X.toarray() if dense else X
    lasso = rs.GeneralizedLinear(X, y, penalty=functions.L1(1.0), intercept=intercept)
    found = rs.composite.path(lasso, 40, rtol=1e-9)
    assert found.converged
    assert sum(each.calls["matvec"] for each in found.solutions) <= 1.5 * 40


def test_the_order_of_weights_is_free_and_a_path_may_end_early():
    up = path(lasso(), np.array([0.01, 0.1, 1.0]), rtol=1e-12)
    down = path(lasso(), np.array([1.0, 0.1, 0.01]), rtol=1e-12)
    assert np.allclose(up.coefficients, down.coefficients[::-1], atol=5e-6)
    short = path(lasso(), 30, stop=lambda sol: bool(np.count_nonzero(sol.x) >= 2))
    assert np.count_nonzero(short.coefficients[-1]) >= 2
    assert all(np.count_nonzero(each) < 2 for each in short.coefficients[:-1])
    assert len(short.lambdas) == len(short) < 30
    assert short[0] is short.solutions[0]


def test_a_traced_path_is_compiled_once(traces):
    import jax.numpy as jnp

    problem = rs.GeneralizedLinear(jnp.asarray(X), jnp.asarray(Y), penalty=functions.L1(1.0))
    weights = largest_weight(problem) * np.array([0.5, 0.3, 0.1])
    method = rs.composite.ProximalGradient()
    first = path(problem, weights, method=method, rtol=1e-4)
    before = traces()
    again = path(problem, weights / 2, method=method, rtol=1e-4)
    assert traces() == before
    assert first.converged
    assert again.converged


def test_summary_and_picture(tmp_path):
    found = path(lasso(), 6, rtol=1e-8)
    told = found.summary()
    assert told["nonzero"][0] == 0 < told["nonzero"][-1]
    assert all(told["converged"])
    axes = found.plot(names=[f"x{index}" for index in range(12)], path=str(tmp_path / "path.png"))
    assert axes.get_xscale() == "log"
    assert (tmp_path / "path.png").stat().st_size > 5000
    drawn = {tuple(line.get_ydata()) for line in axes.lines}
    assert tuple(found.coefficients[:, 1]) in drawn


def test_cross_validation_is_what_its_folds_say():
    tests = np.array_split(np.random.default_rng(1).permutation(40), 4)
    folds = [(np.setdiff1d(np.arange(40), test), test) for test in tests]
    found = cross_validate(lasso(intercept=True), 10, folds=folds, rtol=1e-12)
    for index, (train, test) in enumerate(folds):
        own = rs.GeneralizedLinear(
            X[train], Y[train], penalty=functions.L1(float(found.lambdas[4])), intercept=True
        )
        w, c = rs.solve(own, rtol=1e-12).x
        loss = 0.5 * np.mean((X[test] @ w + c - Y[test]) ** 2)
        assert found.losses[4, index] == pytest.approx(loss, rel=1e-5)
    assert found.best == found.losses.mean(axis=1).argmin()
    assert found.one_standard_error <= found.best
    assert found.solution.converged
    chosen = lasso(intercept=True).penalized(functions.L1(float(found.lambdas[found.best])))
    assert rs.certify(chosen, found.solution.x, rtol=1e-9).holds
    assert found.summary()["best"] == found.lambdas[found.best]


def test_a_perfect_fit_wants_the_least_weight():
    exact = rs.GeneralizedLinear(X, X[:, 0] - X[:, 1], penalty=functions.L1(1.0))
    found = cross_validate(exact, 5, folds=4, key=3)
    assert found.best == 4
    same = cross_validate(exact, 5, folds=4, key=3)
    assert np.array_equal(found.losses, same.losses)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"lambdas": [1.0, -1.0]}, ValueError, "positive weights"),
        ({"lambdas": [1.0, np.nan]}, ValueError, "finite"),
        ({"lambdas": [[1.0]]}, ValueError, "one row"),
        ({"lambdas": []}, ValueError, "positive weights"),
        ({"lambdas": 0}, ValueError, "lambdas"),
        ({"smallest": 1.5}, ValueError, "smallest"),
        ({"problem": rs.GeneralizedLinear(X, Y)}, TypeError, "with a weight"),
        ({"problem": None}, TypeError, "GeneralizedLinear"),
    ],
)
def test_refused_paths(given, error, words):
    with pytest.raises(error, match=words):
        path(**{"problem": lasso(), **given})


@pytest.mark.parametrize("folds", [1, 41, [(np.arange(50), [1])], [([0.5], [1])], [], [([], [1])]])
def test_refused_folds(folds):
    with pytest.raises(ValueError, match="folds"):
        cross_validate(lasso(), 5, folds=folds)


@pytest.mark.filterwarnings("ignore:(overflow|invalid)")
def test_products_that_overflow_do_not_pass_for_data_without_influence():
    with pytest.raises(ValueError, match="do not overflow"):
        largest_weight(rs.GeneralizedLinear(1e300 * X, 1e20 * Y, penalty=functions.L1(1.0)))


def test_losses_that_are_no_numbers_are_not_the_least():
    losses = np.array([[2.0, 3.0], [np.nan, 0.0], [1.0, 2.0]])
    sol = rs.solve(lasso())
    found = rs.composite.CrossValidation(np.array([3.0, 2.0, 1.0]), losses, sol)
    assert found.best == 2


@pytest.mark.filterwarnings("ignore:overflow")
def test_large_data_are_no_error_of_working_sets():
    """Violations whose squares overflow choose columns as others do."""
    data = 1e150 * X, 1e150 * Y
    weight = 0.1 * largest_weight(rs.GeneralizedLinear(*data, penalty=functions.L1(1.0)))
    problem = rs.GeneralizedLinear(*data, penalty=functions.L1(weight))
    sol = rs.solve(problem, rs.composite.CoordinateDescent(first=2), rtol=1e-8)
    assert sol.converged
