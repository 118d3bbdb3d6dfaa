"""The experiments on small-gain certificates: their parts, and verdicts that can fail."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resolvent.papers import Settings
from resolvent.papers import small_gain_nash as paper
from resolvent.papers import small_gain_nash_data as data


def test_the_flagship_game_couples_by_a_rotation():
    H = data.flagship(0.7, n=4)
    first, second = H[:4, 4:] / (0.7 * data.A), H[4:, :4] / (0.7 * data.B)
    assert np.allclose(first @ first.T, np.eye(4))
    assert np.allclose(second, first.T)
    mixed = data.random_game(0.5, seed=1, n=6)
    assert np.isclose(np.linalg.norm(mixed[:6, 6:], 2), 0.5 * data.A)
    assert np.isclose(np.linalg.norm(mixed[6:, :6], 2), 0.5 * data.B)
    assert np.linalg.eigvalsh(mixed[:6, :6])[0] >= 1.0


@pytest.mark.parametrize("eigenvalues", [[1.0, 3.0], [0.5 + 2j, 0.5 - 2j], [0.01 + 1j, 4.0]])
def test_limits_are_where_steps_stop_being_stable(eigenvalues):
    values = np.array(eigenvalues)
    longest = data.euler_limit(values)
    assert np.isclose(np.abs(1 - longest * values).max(), 1.0)
    longest = data.rk4_limit(values)
    assert data.rk4_radius(values, 0.999 * longest) < 1.0 < data.rk4_radius(values, 1.001 * longest)
    if values[0] == 1.0:
        assert np.isclose(longest, 2.785293563405282 / 3.0)
    assert data.euler_limit(-values) == data.rk4_limit(-values) == 0.0


@pytest.fixture(scope="module")
def markov():
    with jax.enable_x64(True):
        yield data.markov_game().prepare("traced")


def test_markov_costs_are_those_of_simulated_play(markov):
    rng = np.random.default_rng(3)
    x = 0.7 * rng.standard_normal(8)
    policies = [np.exp(part) / np.exp(part).sum(1, keepdims=True) for part in x.reshape(2, 2, 2)]
    stay = np.array([[0.9, 0.5], [0.5, 0.1]])
    state, reward = np.array([1.0, 0.0]), 0.0
    for t in range(400):
        both = np.einsum("s,sa,sb->sab", state, *policies)
        reward += (
            0.1 * 0.9**t * (both[:, 0, 0] + both[:, 1, 1] - both[:, 0, 1] - both[:, 1, 0]).sum()
        )
        first = (both.sum(0) * stay).sum()
        state = np.array([first, 1.0 - first])
    losses, point = markov.F.losses, tuple(jnp.asarray(part) for part in x.reshape(2, 4))
    for loss, policy in zip(losses, policies, strict=True):
        assert np.isclose(loss(point), -reward + (policy * np.log(policy)).sum(), rtol=1e-12)


def test_natural_gradients_are_those_of_the_fisher_metric(markov):
    x = np.random.default_rng(4).standard_normal(8)
    directions, sizes = data.fisher(x)
    metric = directions @ np.diag(sizes) @ directions.T
    for k in range(4):
        p = np.exp(x[2 * k : 2 * k + 2]) / np.exp(x[2 * k : 2 * k + 2]).sum()
        block = metric[2 * k : 2 * k + 2, 2 * k : 2 * k + 2]
        assert np.allclose(block, np.diag(p) - np.outer(p, p))

    operator = jax.jit(markov.operator)

    def F(x):
        return np.concatenate(operator((jnp.asarray(x[:4]), jnp.asarray(x[4:]))))

    norms = data.natural_gradient(markov, x[None], np.array([0.3]), 2)[0, 0]
    natural = np.linalg.pinv(metric) @ F(x)
    after = x - 0.3 * natural
    directions, sizes = data.fisher(after)
    other = directions @ np.diag(1 / sizes) @ directions.T @ F(after)
    assert np.allclose(norms, [np.linalg.norm(natural), np.linalg.norm(other)], rtol=1e-10)
    uniform = np.repeat([0.3, -0.2, 0.0, 1.0], 2)
    assert np.linalg.norm(F(uniform)) < 1e-14
    own = data.fisher_jacobians(markov, uniform[None])[0]
    assert np.allclose(np.diag(own), data.ENTROPY)
    assert np.allclose(own, own.T)


def rows(**changes):
    known = {
        lam: paper.Row(*map(float, texts), float(texts[1])) for lam, texts in paper.KNOWN.items()
    }
    margin = float(paper.BEYOND_MARGIN)
    known[paper.BEYOND] = paper.Row(-6.1, margin, 2.0, 0.0, 0.0, 0.0, 0.0, margin)
    known[0.1] = known[0.1]._replace(**changes)
    ends = {"monotone": 2 / 10.05, "certified": 2**0.5, "stable": 2**0.5}
    return {"rows": known, "ends": ends, "falls": {0.1: True}, "radii": {0.1: 0.9}}


def test_other_margins_change_the_verdict(monkeypatch):
    found = rows()
    monkeypatch.setattr(paper, "_flagship", lambda settings: found)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    found["falls"][0.5] = False
    result = paper.claim_1(Settings())
    assert result.verdict == "confirmed in part"
    assert "not met: certified Euler steps" in result.reason
    found = rows(alpha=0.94) | {"ends": {"monotone": 0.3, "certified": 1.0, "stable": 1.4}}
    found |= {"falls": {0.1: False}, "radii": {0.1: 1.1}}
    assert paper.claim_1(Settings()).verdict == "not confirmed"


def test_an_unstable_step_refutes(monkeypatch):
    good = paper.Row(-1.0, 0.5, 1.0, 1.0, 2.0, 2.5, 2.6, 0.5)
    found = {0.0: [good] * 3, 1.0: [good, good, good._replace(alpha=-1.0)]}
    monkeypatch.setattr(paper, "_ensemble", lambda settings: found)
    assert paper.claim_4(Settings()).verdict == "confirmed"
    found[1.0][0] = good._replace(euler=2.1)
    assert paper.claim_4(Settings()).verdict == "not confirmed"


def test_starts_that_do_not_arrive_change_the_verdict(monkeypatch):
    norms = np.full((2, 3, 5), 1e-12)
    norms[1, 0] = 1.0
    found = {"alpha": 0.5, "beta": 1.0, "ratio": 1.0, "longest": 1.0,
             "multiples": np.array([0.5, 4.0]), "norms": norms}  # fmt: skip
    monkeypatch.setattr(paper, "_markov", lambda settings: found)
    assert paper.claim_5(Settings()).verdict == "confirmed"
    norms[0, 1] = np.nan
    assert paper.claim_5(Settings()).verdict == "confirmed in part"
