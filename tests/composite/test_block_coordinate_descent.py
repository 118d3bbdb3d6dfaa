"""Block coordinate descent: laws of descent, forests, rules that agree where they must, KKT."""

import itertools

import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent import functions
from resolvent._core.memory import Memory
from resolvent.composite.blocks.forests import by_color, by_forest, forest
from resolvent.composite.blocks.partitions import Blocks, inverse
from resolvent.papers.block_coordinate_descent_data import lattice, two_moons

BCD = rs.composite.BlockCoordinateDescent
N, P = 24, 16


def data(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P)) * np.geomspace(0.3, 3.0, P)
    return X, X[:, 0] - 2 * X[:, 1] + 0.5 * rng.standard_normal(N)


X, Y = data()
H = X.T @ X + 0.1 * np.eye(P)
QUADRATIC = rs.composite.Quadratic(H, X.T @ Y)
LATTICE = lattice(9, 9, 6, 0)


def begun(problem, method, key=0):
    bound = method.bind(problem)
    return bound, bound.init(problem, problem.start(None), Memory(), np.random.default_rng(key))


def walked(problem, method, steps, key=0):
    """The points of some steps, and which coordinates each has moved."""
    bound, state = begun(problem, method, key)
    points = [state.x]
    for _ in range(steps):
        state = bound.step(problem, state)
        points.append(state.x)
    return bound, np.array(points)


OFTEN = ("order", "sort", "variable")  # the others in the long run
RULES = [
    pytest.param(partition, selection, marks=() if partition in OFTEN else pytest.mark.slow)
    for partition in ("order", "random", "average", "sort", "hsort", "havg", "variable")
    for selection in ("gs", "gsl", "gsd", "gsq", "mi", "random", "cyclic", "lipschitz")
    if partition != "variable" or selection not in ("gsl", "mi")
]


@pytest.mark.parametrize(("partition", "selection"), RULES)
def test_every_rule_descends_by_what_its_update_promises(partition, selection):
    """Gradient steps gain |g_b|^2 / (2 L_b) at least, matrix steps g_b^T H_b^-1 g_b / 2."""
    for update in ("gradient", "matrix"):
        method = BCD(partition, selection, update, block_size=3)
        _, points = walked(QUADRATIC, method, 8)
        for old, new in itertools.pairwise(points):
            g = H @ old - X.T @ Y
            b = np.flatnonzero(old != new)
            gain = float(QUADRATIC.smooth(old) - QUADRATIC.smooth(new))
            assert b.size <= 3
            assert b.size or selection in ("random", "lipschitz")
            if not b.size:  # the block of the step before was drawn again
                continue
            if update == "matrix":
                expected = 0.5 * g[b] @ np.linalg.solve(H[np.ix_(b, b)], g[b])
                assert gain == pytest.approx(expected, rel=1e-8, abs=1e-12)
            else:
                promised = g[b] @ g[b] / (2 * np.linalg.eigvalsh(H[np.ix_(b, b)])[-1])
                assert gain >= promised * (1 - 1e-9)


def test_all_coordinates_at_once_need_one_step():
    for update in ("matrix", "newton"):
        sol = rs.solve(QUADRATIC, BCD(update=update, block_size=P), rtol=1e-10)
        assert sol.steps == 1
        assert np.allclose(sol.x, np.linalg.solve(H, X.T @ Y))


def test_rules_agree_on_single_coordinates():
    paths = {
        rule: walked(QUADRATIC, BCD("order", rule, "matrix", block_size=1), 20)[1]
        for rule in ("gsl", "gsd", "gsq", "mi")
    }
    for path in paths.values():
        assert np.allclose(path, paths["gsl"])
    slopes = walked(QUADRATIC, BCD("order", "gs", "matrix", block_size=1), 20)[1]
    assert not np.allclose(slopes, paths["gsl"])


def test_the_largest_improvement_is_what_every_block_would_gain():
    _, points = walked(QUADRATIC, BCD("sort", "mi", "matrix", block_size=4), 6)
    bound, _ = begun(QUADRATIC, BCD("sort", "mi", "matrix", block_size=4))
    blocks = bound.working._blocks
    for old, new in itertools.pairwise(points):
        g = H @ old - X.T @ Y
        gains = [
            0.5 * g[b] @ np.linalg.solve(H[np.ix_(b, b)], g[b])
            for b in (np.sort(np.argsort(np.diag(H))[k : k + 4]) for k in range(0, P, 4))
        ]
        assert QUADRATIC.smooth(old) - QUADRATIC.smooth(new) == pytest.approx(max(gains))
    assert blocks is None or blocks.count == 4


def test_cyclic_exact_steps_are_gauss_seidel():
    _, points = walked(QUADRATIC, BCD("order", "cyclic", "matrix", block_size=1), 3 * P)
    x, lower = np.zeros(P), np.tril(H)
    for _ in range(3):
        x = x + np.linalg.solve(lower, X.T @ Y - H @ x)
    assert np.allclose(points[-1], x)


def test_greedy_steps_contract_as_strong_convexity_says():
    method = BCD("sort", "gsl", "gradient", block_size=4)
    bound, points = walked(QUADRATIC, method, 40)
    values = np.array([float(QUADRATIC.smooth(x)) for x in points])
    gaps = values - float(QUADRATIC.smooth(np.linalg.solve(H, X.T @ Y)))
    blocks = Blocks.made("sort", 4, bound.working.model)
    most = max(blocks.largest)
    factor = 1 - np.linalg.eigvalsh(H)[0] / (blocks.count * most)
    assert (gaps[1:] <= factor * gaps[:-1] + 1e-12).all()


class TestForests:
    def test_blocks_are_forests_and_colours(self):
        for A in (LATTICE.A, two_moons(150, 15, 0).A):
            order = np.argsort(-A.diagonal(), kind="stable")
            graph = scipy.sparse.csgraph.connected_components
            for labels in (by_forest(A, order), by_color(A, order)):
                for label in range(labels.max() + 1):
                    block = np.flatnonzero(labels == label)
                    own = A[block][:, block]
                    edges = (own.nnz - block.size) // 2
                    assert edges == block.size - graph(own, directed=False)[0]
            own = by_color(A, order)
            rows, columns = A.nonzero()
            assert (own[rows] != own[columns])[rows != columns].all()

    def test_a_greedy_forest_takes_all_that_close_no_cycle(self):
        A, rng = LATTICE.A, np.random.default_rng(0)
        order = rng.permutation(A.shape[0])
        block = forest(A, order)
        assert 0.5 * A.shape[0] < block.size < A.shape[0]
        components = scipy.sparse.csgraph.connected_components
        for node in np.setdiff1d(order, block):
            more = np.append(block, node)
            own = A[more][:, more]
            edges = (own.nnz - more.size) // 2
            assert edges > more.size - components(own, directed=False)[0]

    def test_combs_are_two_trees(self):
        first, second = rs.composite.lattice_combs(5, 6)
        assert np.array_equal(np.sort(np.r_[first, second]), np.arange(30))
        whole = lattice(5, 6, 0, 0).A
        for comb in (first, second):
            own = whole[comb][:, comb]
            assert scipy.sparse.csgraph.connected_components(own, directed=False)[0] == 1
            assert (own.nnz - comb.size) // 2 == comb.size - 1

    @pytest.mark.parametrize("ridge", [None, 0.7])
    def test_messages_solve_what_a_dense_solve_does(self, ridge):
        A, b = LATTICE.A, LATTICE.b
        g = None if ridge is None else functions.SquaredL2(ridge)
        problem = rs.composite.Quadratic(A, b, g)
        bound, state = begun(problem, BCD("forest", "gs", "matrix"))
        following = bound.step(problem, state)
        block = np.flatnonzero(following.x)
        own = A.toarray()[np.ix_(block, block)] + (ridge or 0.0) * np.eye(block.size)
        assert block.size > 40
        assert np.allclose(following.x[block], np.linalg.solve(own, b[block]), rtol=1e-13)

    @pytest.mark.parametrize("partition", ["coloring", "tree", "forest"])
    def test_label_propagation_is_solved(self, partition):
        problem = rs.composite.Quadratic(LATTICE.A, LATTICE.b)
        sol = rs.solve(problem, BCD(partition, "gs", "matrix"), rtol=1e-9)
        exact = scipy.sparse.linalg.spsolve(LATTICE.A, LATTICE.b)
        assert np.allclose(sol.x, exact, atol=1e-6)
        assert rs.certify(rs.LinearSystem(LATTICE.A, LATTICE.b), sol.x).value == pytest.approx(
            sol.certificate.value, rel=1e-6
        )

    def test_an_indefinite_forest_is_a_breakdown(self):
        A = np.eye(4) + 2 * (np.eye(4, k=1) + np.eye(4, k=-1))
        problem = rs.composite.Quadratic(np.eye(4), np.ones(4))
        problem = problem.but(design=problem.design.but(matrix=A))  # past the check of A
        sol = rs.solve(problem, BCD("tree", "cyclic"), throw=False)
        assert sol.reason is rs.Reason.breakdown
        assert not sol.converged


PENALTIES = {
    "l1": functions.L1(0.2),
    "elastic": functions.ElasticNet(0.2, 0.5),
    "nonnegative": functions.Nonnegative(),
    "box": functions.Box(-0.3, 0.4),
    "ridge in a cone": functions.SquaredL2(0.1, domain=functions.Nonnegative()),
}
UPDATES = [
    BCD("sort", "gsl", "gradient", block_size=4),
    BCD("variable", "gsq", "matrix", block_size=4),
    BCD("order", "cyclic", "newton", block_size=5),
    BCD("variable", "gs", "gradient", block_size=6, constants="searched"),
    BCD("sort", "gsq", "matrix", block_size=4),
    BCD("variable", "random", "newton", block_size=8),
    BCD("variable", "gsd", "two-metric", block_size=8),
]


@pytest.mark.parametrize("name", PENALTIES)
def test_every_update_meets_the_optimality_conditions(name):
    penalty = PENALTIES[name]
    even = X / np.geomspace(0.3, 3.0, P)
    problem = rs.GeneralizedLinear(even, Y, penalty=penalty)
    for method in UPDATES[:6] if name == "box" else UPDATES:
        sol = rs.solve(problem, method, rtol=1e-6, key=1)
        x, g = sol.x, even.T @ (even @ sol.x - Y) / N
        if name == "nonnegative":
            assert x.min() >= 0
            assert abs(np.minimum(x, g)).max() <= 1e-5
        elif name == "box":
            assert abs(x - np.clip(x - g, -0.3, 0.4)).max() <= 1e-2
        elif name == "l1":
            assert abs(g[x != 0] + 0.2 * np.sign(x[x != 0])).max() <= 1e-2
            assert abs(g[x == 0]).max() <= 0.2 + 1e-2
        assert sol.converged


@pytest.mark.parametrize(
    "name", [pytest.param("huber", marks=pytest.mark.slow), "logistic", "poisson", "classes"]
)
def test_other_losses(name):
    rng = np.random.default_rng(3)
    loss, y = {
        "logistic": (functions.Logistic(), Y > 0),
        "huber": (functions.Huber(0.5), Y),
        "poisson": (functions.Poisson(), rng.poisson(2.0, N)),
        "classes": (functions.MulticlassLogistic(), np.arange(N) % 3),
    }[name]
    problem = rs.GeneralizedLinear(X, y, loss, functions.ElasticNet(0.1, 0.5), intercept=True)
    rule = "gs" if name == "poisson" else "gsd"
    second = BCD("variable", rule, "newton", block_size=12)
    first = BCD("order", "cyclic", "gradient", block_size=3, constants="searched")
    one, two = (rs.solve(problem, method, rtol=1e-6) for method in (second, first))
    assert float(problem.objective(one.x)) == pytest.approx(float(problem.objective(two.x)), 1e-5)
    assert one.steps < two.steps
    if name == "poisson":
        with pytest.raises(ValueError, match="no bound"):
            rs.solve(problem, BCD("variable", "gs", "matrix"))


@pytest.mark.slow
@pytest.mark.parametrize("form", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix])
def test_sparse_matrices_take_the_steps_of_dense_ones(form):
    for method in UPDATES:
        for loss, y in ((None, Y), (functions.Logistic(), Y > 0)):
            penalty = functions.L1(0.05)
            one, two = (
                rs.solve(rs.GeneralizedLinear(A, y, loss, penalty), method, rtol=1e-8, key=1)
                for A in (X, form(X))
            )
            assert np.allclose(one.x, two.x, atol=1e-5)


def test_a_quadratic_is_its_least_squares():
    A = X.T @ X / N
    for g in (None, functions.L1(0.1), functions.Nonnegative()):
        dense = rs.solve(rs.composite.Quadratic(A, X.T @ Y / N, g), rtol=1e-10)
        other = rs.solve(
            rs.composite.Quadratic(scipy.sparse.csc_array(A), X.T @ Y / N, g), rtol=1e-10
        )
        linear = rs.solve(rs.GeneralizedLinear(X, Y, penalty=g), rtol=1e-12)
        assert np.allclose(dense.x, linear.x, atol=1e-6)
        assert np.allclose(other.x, linear.x, atol=1e-6)


@pytest.mark.slow
def test_traced_methods_solve_quadratics():
    A, b = X.T @ X / N, X.T @ Y / N
    for g in (None, functions.L1(0.1), functions.Nonnegative()):
        for form in (np.asarray, scipy.sparse.csc_array):
            problem = rs.composite.Quadratic(form(A), b, g)
            sol = rs.solve(problem, rs.composite.ProximalGradient(), rtol=1e-5)
            assert np.allclose(sol.x, rs.solve(problem, rtol=1e-10).x, atol=1e-2)


def test_the_support_is_found_and_then_the_answer():
    lasso = rs.GeneralizedLinear(X, Y, penalty=functions.L1(0.2))
    sol = rs.solve(lasso, BCD("variable", "gsd", "newton", block_size=P // 2), rtol=1e-12)
    found = sol.memory.get("active set")
    assert 0 < found["size"] == np.count_nonzero(sol.x) <= P // 2
    assert found["changed"] <= sol.steps <= found["changed"] + 2


def test_identification_bounds_hold():
    lasso = rs.GeneralizedLinear(X, Y, penalty=functions.L1(0.2))
    answer = rs.solve(lasso, BCD(block_size=P), rtol=1e-13).x
    rest = answer == 0
    g = X.T @ (X @ answer - Y) / N
    for rule, method in {
        "all": BCD("order", "cyclic", "gradient", block_size=P),
        "cyclic": BCD("order", "cyclic", "gradient", block_size=1),
        "greedy": BCD("order", "gsl", "gradient", block_size=1),
    }.items():
        size = P if rule == "all" else 1
        found = rs.composite.identification_bound(lasso, answer, rule=rule, block_size=size)
        assert found.margin == pytest.approx((0.2 - abs(g[rest])).min())
        assert np.array_equal(found.resting, rest)
        assert found.radius == pytest.approx(found.margin * N / 2 / np.linalg.eigvalsh(X.T @ X)[-1])
        _, points = walked(lasso, method, 300)
        wrong = np.flatnonzero((points[:, rest] != 0).any(axis=1))
        assert wrong.size == 0 or wrong[-1] < min(found.steps, 300)
    wide = rs.GeneralizedLinear(X[:5], Y[:5], penalty=functions.L1(0.2))
    assert rs.composite.identification_bound(wide, answer).steps == np.inf


@pytest.mark.parametrize("intercept", [False, True])
def test_the_gap_in_numpy_is_that_of_the_problem(intercept):
    rng = np.random.default_rng(5)
    for loss, y in ((None, Y), (functions.Logistic(), Y > 0)):
        for penalty in (*PENALTIES.values(), functions.WeightedL1(np.linspace(0.1, 0.2, P))):
            problem = rs.GeneralizedLinear(X, y, loss, penalty, intercept=intercept)
            if not problem.dual:
                continue
            bound, state = begun(problem, BCD("order", "cyclic", "newton", block_size=4))
            for scale in (0.0, 0.03, 0.3):
                terms = bound.working.model.terms
                x = np.clip(scale * rng.standard_normal(state.x.size), terms.lower, terms.upper)
                z = bound.working.model.predictions(x)
                own = bound.working.measured(problem, x, z, bound.working.model.gradient(x, z))
                truth = rs.certify(problem, bound.working.point(x)).value
                assert own == pytest.approx(truth, rel=1e-9)


def test_zero_and_equal_columns():
    wide = np.c_[X, np.zeros(N), X[:, :2]]
    for method in (BCD(block_size=6), BCD("sort", "gsl", "matrix", block_size=4)):
        for penalty in (functions.L1(0.2), None):
            sol = rs.solve(rs.GeneralizedLinear(wide, Y, penalty=penalty), method, rtol=1e-6)
            assert sol.x[P] == 0
    assert np.allclose(inverse(np.zeros((2, 2))), 0)


def test_separable_classes_without_penalty_are_never_solved():
    problem = rs.GeneralizedLinear(X, np.sign(X[:, 0]), functions.Logistic())
    sol = rs.solve(problem, BCD(), throw=False, max_steps=300)
    assert not sol.converged


BAD = {
    "name": (lambda: BCD("blocks"), "variable"),
    "size": (lambda: BCD(block_size=0), "block_size"),
    "blocks without a name": (lambda: BCD(blocks=[[0]]), "given"),
    "a name without blocks": (lambda: BCD("given"), "given"),
    "searched constants": (lambda: BCD(constants="searched"), "gradient"),
    "constants of all sets": (lambda: solved(BCD("variable", "gsl")), "fixed blocks"),
    "improvements of all sets": (lambda: solved(BCD("variable", "mi")), "gsq"),
    "a graph of samples": (lambda: solved(BCD("tree", "gs")), "Quadratic"),
    "gaps": (lambda: solved(BCD("given", "gs", blocks=[[0, 1]])), "exactly one block"),
    "a norm": (lambda: solved(BCD(), functions.L2(0.1)), "sum over coordinates"),
    "two metrics in a box": (
        lambda: solved(BCD(update="two-metric"), functions.Box(0.0, 1.0)), "bounds",
    ),
    "not symmetric": (lambda: rs.composite.Quadratic(X[:P] + 1.0, Y[:P]), "symmetric"),
    "not square": (lambda: rs.composite.Quadratic(X, Y), "square"),
    "not finite": (lambda: rs.composite.Quadratic(H * np.inf, Y[:P]), "finite"),
    "a curve downwards": (lambda: rs.composite.Quadratic(-H, Y[:P]), "negative diagonal"),
}  # fmt: skip


def solved(method, penalty=None):
    return rs.solve(rs.GeneralizedLinear(X, Y, penalty=penalty), method)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name):
    call, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        call()
