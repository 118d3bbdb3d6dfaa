"""HyperLISTA: its weights, its layers against NumPy, tuning, the finish."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.composite.recovery.hyper_lista import depths, layer_of

M, N = 20, 40
LAYERS = 6
THREE = 0.13, 0.03, 0.2
# One program each for all tests.
matrices = jax.jit(layer_of, static_argnums=1)
run = jax.jit(depths, static_argnums=4)


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def A():
    return np.random.default_rng(0).standard_normal((M, N))


def signals(A, count=10, s=2, seed=1):
    rng = np.random.default_rng(seed)
    x = np.zeros((count, A.shape[1]))
    for row in x:
        row[rng.choice(A.shape[1], s, replace=False)] = rng.choice([-1, 1], s) * (1 + rng.random(s))
    return x, x @ A.T


def test_weights_are_the_nearest_to_an_inverse(A):
    layer = matrices(jnp.asarray(A), "analytic")
    unit = A / np.linalg.norm(A, axis=0)
    W = np.asarray(layer.pull).T
    assert np.allclose(np.einsum("mi,mi->i", W, unit), 1.0)
    inverse = np.linalg.inv(unit @ unit.T)
    for i in range(N):
        w = inverse @ unit[:, i]
        assert np.allclose(W[:, i], w / (unit[:, i] @ w))
    # Of all moves that keep the products with a_j, none makes W^T A more like I.
    rng, least = np.random.default_rng(2), np.linalg.norm(W.T @ unit - np.eye(N))
    for _ in range(20):
        move = rng.standard_normal(W.shape)
        move -= unit * np.einsum("mi,mi->i", move, unit)
        for t in (-0.01, 0.01):
            assert np.linalg.norm((W + t * move).T @ unit - np.eye(N)) > least
    assert np.allclose(layer.pulled(jnp.ones(M))[1], np.linalg.pinv(unit) @ np.ones(M))


def test_symmetric_weights_are_less_coherent(A):
    layer = matrices(jnp.asarray(A), "symmetric")
    unit = A / np.linalg.norm(A, axis=0)
    # W^T A in the layer's units is B^T B.
    gram = np.asarray(layer.pull) @ np.asarray(layer.columns)
    assert np.allclose(gram, gram.T)
    assert np.allclose(np.diag(gram), 1.0)
    off = gram - np.eye(N)
    assert np.linalg.norm(off) < np.linalg.norm(unit.T @ unit - np.eye(N))
    assert np.allclose(np.asarray(layer.columns) * np.asarray(layer.units), A)


def by_hand(A, b, three, layers):
    """The layers in NumPy, one entry after the other."""
    c1, c2, c3 = three
    lengths = np.linalg.norm(A, axis=0)
    unit = A / lengths
    inverse = np.linalg.pinv(unit)
    W = inverse.T / np.diag(inverse @ unit)
    x = before = np.zeros(A.shape[1])
    points = []
    for _ in range(layers):
        r = unit @ x - b
        e = np.abs(inverse @ r).sum()
        passing = round(min(max(c3 * np.log(np.abs(inverse @ b).sum() / e), 0), 1) * x.size)
        z = x - W.T @ r + min(c2 * np.count_nonzero(x), 0.9) * (x - before)
        new = np.sign(z) * np.maximum(np.abs(z) - c1 * e, 0)
        for j in np.argsort(-np.abs(z))[:passing]:
            if abs(z[j]) >= c1 * e:
                new[j] = z[j]
        x, before = new, x
        points.append(x / lengths)
    return np.array(points)


def test_layers_are_those_of_numpy(A):
    _, b = signals(A, count=1, s=3)
    problem = rs.SparseRecovery(A, b[0])
    method = rs.composite.HyperLISTA(*THREE).bind(problem.prepare("traced"))
    for three in (THREE, (0.05, 0.5, 2.0), (0.1, 0.0, 0.0)):
        found = run(problem.prepare("traced"), method.layer, jnp.asarray(b[0]), three, LAYERS)
        assert np.allclose(found, by_hand(A, b[0], three, LAYERS), atol=1e-10)
    sol = rs.solve(problem, method, max_steps=LAYERS, rtol=0.0, throw=False)
    assert np.allclose(sol.x, by_hand(A, b[0], THREE, LAYERS)[-1], atol=1e-10)
    # The first layer shrinks all entries: nothing is known of the support yet.
    first = by_hand(A, b[0], (0.13, 0.03, 5.0), 1)
    assert np.allclose(first, by_hand(A, b[0], (0.13, 0.03, 0.0), 1))


def test_signals_of_another_size_are_the_same(A):
    _, b = signals(A, count=1)
    sols = [
        rs.solve(
            rs.SparseRecovery(A, scale * b[0]), rs.composite.HyperLISTA(*THREE),
            max_steps=LAYERS, rtol=0.0, throw=False,
        ).x
        for scale in (1.0, 4.0)
    ]  # fmt: skip
    assert np.array_equal(4 * sols[0], sols[1])


def test_large_thresholds_find_nothing_false(A):
    """No entry off the support, with c1 above the coherence over what e is of the distance."""
    x, b = signals(A, count=5, s=1)
    unit = A / np.linalg.norm(A, axis=0)
    layer = matrices(jnp.asarray(A), "analytic")
    products = np.abs(np.asarray(layer.pull) @ unit - np.eye(N))
    problem = rs.SparseRecovery(A, b[0]).prepare("traced")
    for truth, one in zip(x, b, strict=True):
        # One column's error d a_j has e = d ||A^+ a_j||_1, which the threshold is a share of.
        j = np.flatnonzero(truth)
        share = float(np.abs(np.linalg.pinv(unit) @ unit[:, j]).sum())
        three = (1.001 * products[:, j].max() / share, 0.0, 0.0)
        found = np.asarray(run(problem, layer, jnp.asarray(one), three, LAYERS))
        assert not found[:, truth == 0].any()
        assert abs(found[-1] - truth).max() < abs(found[0] - truth).max()


def test_fit_takes_the_best_of_the_grid(A):
    x, b = signals(A)
    problems = [rs.SparseRecovery(A, one) for one in b]
    grid = np.array([0.03, 0.15, 0.4]), np.array([0.0, 0.05]), np.array([0.2])
    for answers in (x, None):
        method = rs.composite.HyperLISTA().fit(
            problems, answers=answers, layers=LAYERS, grid=grid, refine=0
        )
        errors = {}
        for c1 in grid[0]:
            for c2 in grid[1]:
                last = np.array([by_hand(A, one, (c1, c2, 0.2), LAYERS)[-1] for one in b])
                left = last @ A.T - b
                worth = np.sort(np.abs(last) * np.linalg.norm(A, axis=0), axis=1)
                sizes = np.linalg.norm(left, axis=1) + worth[:, : N - 10].sum(1)
                wrong = ((last - x) ** 2).sum() if answers is not None else (sizes**2).sum()
                errors[c1, c2] = wrong
        assert (method.c1, method.c2) == min(errors, key=errors.__getitem__)
    other = rs.SparseRecovery(2 * A, b[0])
    with pytest.raises(ValueError, match="different matrices"):
        method.fit([problems[0], other])
    with pytest.raises(ValueError, match="problems: given none"):
        method.fit([])
    with pytest.raises(ValueError, match="answers"):
        method.fit(problems, answers=x[:2])
    # Matrices of another problem are not used.
    assert method.bind(other.prepare("traced")).layer is not method.layer
    assert method.bind(problems[1].prepare("traced")).layer is method.layer


def test_the_finish_needs_few_steps(A):
    x, b = signals(A, count=1, s=3)
    problem = rs.SparseRecovery(A, b[0])
    plain = rs.solve(problem, rs.composite.HyperLISTA(*THREE), rtol=1e-12)
    sol = rs.solve(problem, rs.composite.HyperLISTA(*THREE, finish=True), rtol=1e-12)
    assert np.allclose(sol.x, x[0])
    assert sol.steps < plain.steps


@pytest.mark.slow
def test_a_wrong_support_is_no_dead_end(A):
    """Conjugate gradients on a support that is not that of an answer give way to layers again."""
    _, b = signals(A, count=12, s=5, seed=4)
    problems = [rs.SparseRecovery(A, one) for one in b]
    plain = rs.solve_batch(problems, rs.composite.HyperLISTA(), rtol=1e-8, max_steps=300)
    both = rs.solve_batch(problems, rs.composite.HyperLISTA(finish=True), rtol=1e-8, max_steps=300)
    assert both.converged.sum() >= plain.converged.sum()


@pytest.mark.parametrize(
    "options",
    [{"c1": -0.1}, {"c2": np.nan}, {"c3": np.inf}, {"weights": "learned"}, {"c3": None}],
)
def test_what_is_refused(options):
    with pytest.raises((ValueError, TypeError), match=r"given .*needed "):
        rs.composite.HyperLISTA(**options)
