"""Derivatives of answers on their support, and what a weight does to a held-out loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent import functions
from resolvent.composite.problem import Composite

N, P, FEW = 40, 300, 12  # samples, features, and about as many entries that move


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, P))
    return X, X @ sparse() + 0.1 * rng.standard_normal(N)


def sparse():
    x = np.zeros(P)
    x[np.random.default_rng(1).permutation(P)[:FEW]] = 1.0
    return x


def smooth(x, args):
    X, y = args
    return 0.5 * ((X @ x - y) ** 2).mean()


def linear(penalty, loss=None, **options):
    def make(X, y):
        return rs.GeneralizedLinear(X, y, loss, penalty, **options)

    return make


def composite(g):
    return lambda X, y: rs.Composite(smooth, g, start=np.zeros(P), args=(X, y))


GROUPS = np.arange(P) // 4
PROBLEMS = {
    "lasso": linear(functions.L1(0.55)),
    "elastic net": linear(functions.ElasticNet(0.6, 0.9)),
    "intercept": linear(functions.L1(0.55), intercept=True),
    "logistic": lambda X, y: linear(functions.L1(0.28), functions.Logistic())(X, np.sign(y)),
    "concave": linear(functions.MCP(0.5, 3.0)),
    "groups": linear(functions.GroupL2(GROUPS, 0.36)),
    "sparse": lambda X, y: linear(functions.L1(0.55))(scipy.sparse.csr_array(X), y),
    "box of a function": composite(functions.Box(-0.01, 0.01)),
    "groups of a function": composite(functions.GroupL2(GROUPS, 0.36)),
    "weights": lambda X, y: rs.composite.Quadratic(X.T @ X / N, X.T @ y / N, functions.L1(0.55)),
    "sparse quadratic": lambda X, y: rs.composite.Quadratic(
        scipy.sparse.csr_array(X.T @ X / N), X.T @ y / N, functions.L1(0.55)
    ),
}


USUAL = {("intercept", True), ("box of a function", True)}


def point(problem):
    """A point at which few entries move, and all others rest."""
    x = sparse()
    if isinstance(problem.g, functions.Box):
        # At bounds to which the gradient pushes, but for a few.
        x = np.where(x == 0, -np.sign(problem.slope(jnp.zeros(P))[1]) * 0.01, 0.0)
    return (jnp.asarray(x), jnp.zeros(())) if isinstance(problem.first, tuple) else jnp.asarray(x)


def flat(x):
    return np.concatenate([np.ravel(part) for part in jax.tree_util.tree_leaves(x)])


@pytest.mark.parametrize(
    ("name", "compiled"),
    [
        pytest.param(name, compiled, marks=() if (name, compiled) in USUAL else pytest.mark.slow)
        for name in PROBLEMS
        for compiled in (True, False)
    ],
)
def test_the_system_on_the_support_is_that_of_all_unknowns(name, compiled, data):
    with jax.enable_x64(True):
        problem = PROBLEMS[name](*data).prepare("traced")
        x = point(problem)
        target = jax.tree_util.tree_map(
            lambda leaf: jnp.asarray(np.random.default_rng(2).standard_normal(leaf.shape)), x
        )

        def solved(x, target):
            solve = problem.slope_solver(x)
            return solve(target, False), solve(target, True)

        forward, backward = (jax.jit(solved) if compiled else solved)(x, target)
        whole = jax.jacfwd(problem.optimality)(x)
        if isinstance(x, tuple):
            whole = [np.column_stack([np.reshape(b, (np.size(a), -1)) for b in row])
                     for a, row in zip(x, whole, strict=True)]  # fmt: skip
            whole = np.vstack(whole)
        whole = np.asarray(whole)
        moving = ~(whole == np.eye(len(whole))).all(axis=1)
        assert 1 <= moving.sum() < 100
        for found, matrix in ((forward, whole), (backward, whole.T)):
            left = matrix @ flat(found) - flat(target)
            assert np.linalg.norm(left) <= 1e-8 * np.linalg.norm(flat(target)), moving.sum()


@pytest.mark.slow
def test_supports_without_room_are_solved_by_conjugate_gradients(data):
    X, y = data
    with jax.enable_x64(True):
        problem = linear(functions.ElasticNet(1.0, 0.1))(X, y).prepare("traced")
        x, target = jnp.ones(P), jnp.asarray(np.random.default_rng(2).standard_normal(P))
        found = np.asarray(jax.jit(lambda x, t: problem.slope_solver(x)(t, False))(x, target))
        whole = np.asarray(jax.jacfwd(problem.optimality)(x))
    assert (~(whole == np.eye(P)).all(axis=1)).sum() > 256
    left = whole @ found - np.asarray(target)
    assert np.linalg.norm(left) <= 1e-8 * np.linalg.norm(np.asarray(target))


@pytest.mark.slow
def test_a_singular_system_on_the_support_is_nan(data):
    X, y = data
    X = np.column_stack([X[:, :-1], X[:, 0]])  # the first and the last feature are one
    with jax.enable_x64(True):
        problem = PROBLEMS["lasso"](X, y).prepare("traced")
        x = np.zeros(P)
        x[[0, 1, P - 1]] = 1.0
        found = problem.slope_solver(jnp.asarray(x))(jnp.ones(P), False)
    assert np.isnan(found).all()


@pytest.mark.parametrize("kind", ["model", pytest.param("function", marks=pytest.mark.slow)])
def test_a_held_out_loss_is_differentiated_in_the_weight_and_the_targets(kind, data):
    X, _ = data
    rng = np.random.default_rng(3)
    others, turn = rng.standard_normal((30, P)), rng.standard_normal(N)
    truth = np.zeros(P)
    truth[:5] = 1.0
    y, wanted = X @ truth + 0.1 * rng.standard_normal(N), others @ truth

    def answer(weight, y):
        lasso = rs.GeneralizedLinear(X, y, penalty=functions.L1(weight))
        return rs.solve(lasso, rtol=1e-15, throw=False).x

    def missed(weight, y):
        return 0.5 * ((others @ answer(weight, y) - wanted) ** 2).mean()

    guess = answer(0.1, y)
    assert 5 <= np.count_nonzero(guess) < 40
    with jax.enable_x64(True):

        @jax.jit
        def held_out(weight, shift, rtol):
            targets = jnp.asarray(y) + shift * jnp.asarray(turn)
            if kind == "model":
                lasso = rs.GeneralizedLinear(jnp.asarray(X), targets, penalty=functions.L1(weight))
            else:
                lasso = rs.Composite(
                    smooth, functions.L1(weight), start=jnp.zeros(P),
                    args=(jnp.asarray(X), targets),
                )  # fmt: skip
            x = rs.solve(lasso, x0=guess, rtol=rtol).x
            return 0.5 * ((others @ x - wanted) ** 2).mean()

        slopes = jax.jit(jax.grad(held_out, argnums=(0, 1)))
        found = slopes(0.1, 0.0, 1e-10)
        failed = slopes(0.1, 0.0, -1.0)
    h = 1e-6
    by_weight = (missed(0.1 + h, y) - missed(0.1 - h, y)) / (2 * h)
    by_shift = (missed(0.1, y + h * turn) - missed(0.1, y - h * turn)) / (2 * h)
    assert np.allclose(found, [by_weight, by_shift], rtol=1e-6)
    assert np.isnan(failed).all()


def test_problems_of_few_unknowns_have_no_system_of_their_own(data):
    X, y = data
    small = Composite(smooth, start=np.zeros(3), args=(X[:, :3], y))
    assert small.slope_solver(jnp.zeros(3)) is None
