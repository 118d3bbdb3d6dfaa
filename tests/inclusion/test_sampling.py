"""Draws of components: generator, coins, batches, importance; and the sums they are drawn of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from resolvent.inclusion import FiniteSum, sampling
from resolvent.inclusion.sampling import batch_size, words_of

WORDS = words_of(jax.random.key(7))
dice = jax.jit(sampling.dice, static_argnums=2)
heads = jax.jit(sampling.heads)


@pytest.mark.parametrize(("step", "number"), [(0, 6), (3, 7), (2**31 - 1, 1)])
def test_dice_are_those_of_the_known_generator(step, number):
    lanes = (number + 1) // 2
    counts = np.r_[np.arange(lanes), np.full(lanes, step)].astype(np.uint32)
    expected = np.asarray(threefry_2x32(WORDS, jnp.asarray(counts))).reshape(2, lanes).T.ravel()
    assert np.array_equal(dice(WORDS, step, number), expected[:number])


def test_every_key_and_step_has_its_own_dice():
    rows = [np.asarray(dice(WORDS, step, 4)) for step in range(3)]
    rows.append(np.asarray(dice(words_of(jax.random.key(8)), 0, 4)))
    assert len({tuple(row) for row in rows}) == 4
    wide = jax.random.key(7, impl="rbg")
    assert words_of(wide).shape == (2,)
    many = jax.vmap(lambda step: dice(WORDS, step, 4))(jnp.arange(3))
    assert np.array_equal(many, np.stack(rows[:3]))


@pytest.mark.parametrize("p", [0.0, 0.003, 0.25, 1.0])
def test_heads_come_as_often_as_they_should(p):
    words = dice(WORDS, 0, 200_000)
    mean = float(heads(words, p).mean())
    assert abs(mean - p) <= 5 * np.sqrt(p * (1 - p) / 200_000)
    extremes = jnp.array([0, 2**32 - 1], jnp.uint32)
    if p in (0.0, 1.0):
        assert (heads(extremes, p) == bool(p)).all()


@pytest.mark.parametrize("n", [2, 3, 1000, 65_536, 100_003, 2**31 - 1])
def test_uniform_draws_are_scaled_words(n):
    words = np.r_[np.asarray(dice(WORDS, 1, 50)), 0, 2**32 - 1].astype(np.uint32)
    F = sized(n) if n > 100_003 else FiniteSum(lambda x, s: s * x, jnp.ones(n))
    # As many words as components, or more, stand for all of them.
    some = words[: min(len(words), n - 1)]
    indices, weights = sampling.draw(F, jnp.asarray(some))
    assert weights is None
    assert [int(i) for i in indices] == [int(word) * n // 2**32 for word in some]


def sized(n):
    """A sum that only says how many components it has."""
    F = FiniteSum(lambda x, s: s * x, jnp.ones(1))

    class Many:
        components, probabilities = n, F.probabilities

    return Many()


def test_as_many_draws_as_components_are_all_of_them():
    F = FiniteSum(lambda x, s: s * x, jnp.arange(5.0))
    for number in (5, 9):
        assert sampling.draw(F, dice(WORDS, 0, number)) == (None, None)
    assert [batch_size(None, 10), batch_size(3, 10), batch_size(30, 10)] == [4, 3, 10]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_importance_draws_are_unbiased(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        data = jnp.asarray([1.0, -4.0, 0.5, 9.0, 2.0], dtype)
        F = FiniteSum(lambda x, s: s * x, data, probabilities=jnp.abs(data))
        assert F.probabilities.dtype == dtype
        indices, weights = sampling.draw(F, dice(WORDS, 0, 100_000))
        often = np.bincount(indices, minlength=5) / 100_000
        p = np.asarray(F.probabilities, float)
        assert np.isclose(p.sum(), 1.0)
        assert (np.abs(often - p) <= 5 * np.sqrt(p * (1 - p) / 100_000)).all()
        # The mean over draws is exactly that of the sum.
        exact = np.array([p[i] * float(data[i]) / (5 * p[i]) for i in range(5)]).sum()
        assert np.isclose(exact, float(data.mean()), rtol=1e-6)
        assert np.allclose(weights, 1 / (5 * p[np.asarray(indices)]), rtol=1e-5)
        moved = F.change(jnp.ones((), dtype), jnp.zeros((), dtype), indices, weights)
        spread = np.std(np.asarray(data)[np.asarray(indices)] * np.asarray(weights))
        assert abs(float(moved) - float(data.mean())) <= 5 * spread / np.sqrt(100_000)
        last = sampling.draw(F, jnp.full(3, 2**32 - 1, jnp.uint32))[0]
        assert (last == 4).all()


@pytest.mark.parametrize("size", [3, 70], ids=["small", "large"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [1, 4])
def test_changes_are_means_over_components(size, weighted, count):
    rng = np.random.default_rng(size)
    A, b = rng.standard_normal((6, size, size)), rng.standard_normal((6, size))
    x, y = ({"u": rng.standard_normal(size)} for _ in range(2))
    indices = np.array([4, 0, 4, 5])[:count]
    weights = rng.uniform(0.5, 2.0, count) if weighted else None

    def one(x, data):
        return {"u": data[0] @ x["u"] - data[1]}

    with jax.enable_x64(True):
        # The components of the larger size are read one after the other.
        F = FiniteSum(one, (jnp.asarray(A), jnp.asarray(b)))
        given = [jax.tree_util.tree_map(jnp.asarray, part) for part in (x, y, indices, weights)]
        moved = jax.jit(F.change)(*given)["u"]
        every = F.change(*given[:2], None)["u"]
        assert np.allclose(F(given[0])["u"], A.mean(0) @ x["u"] - b.mean(0))
    parts = np.array([A[i] @ (x["u"] - y["u"]) for i in indices])
    expected = (parts * (1.0 if weights is None else weights[:, None])).mean(0)
    assert np.allclose(moved, expected, rtol=1e-12)
    assert np.allclose(every, A.mean(0) @ (x["u"] - y["u"]), rtol=1e-12)


def test_a_cheaper_whole_is_used_and_precision_stays():
    F = FiniteSum(lambda x, s: s * x, jnp.arange(3.0), whole=lambda x: 10.0 * x)
    assert F(jnp.ones(())) == 10.0
    assert F.change(jnp.ones(()), jnp.zeros(()), None) == 10.0
    with jax.enable_x64(True):
        F = FiniteSum(lambda x, s: s * x, jnp.arange(3.0))
        point = jnp.ones(2, jnp.float32)
        assert F.change(point, 0 * point, jnp.array([1])).dtype == jnp.float32
        assert F.change(point, 0 * point, jnp.array([1, 2])).dtype == jnp.float32


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (np.ones(0), {}, "leading axes"),
        ((np.ones(3), np.ones(4)), {}, "leading axes"),
        (np.float64(1.0), {}, "leading axes"),
        (np.array([1.0, np.nan]), {}, "not finite"),
        (np.ones(3), {"probabilities": np.ones(2)}, "shape"),
        (np.ones(3), {"probabilities": np.array([1.0, 0.0, 1.0])}, "never drawn"),
        (np.ones(3), {"probabilities": np.array([1.0, -1.0, 1.0])}, "never drawn"),
        (np.ones(3), {"probabilities": np.array([1.0, np.inf, 1.0])}, "not finite"),
        (np.ones(3), {"cocoercive": 0.0}, "cocoercive"),
        (np.ones(3), {"lipschitz": -1.0}, "lipschitz"),
    ],
)
def test_bad_sums_are_refused(data, options, words):
    with pytest.raises(ValueError, match=words):
        FiniteSum(lambda x, s: s * x, data, **options)
