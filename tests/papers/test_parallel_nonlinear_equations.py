"""The experiments on parallel evaluation: their parts, and the numbers they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.papers import Settings
from resolvent.papers import parallel_nonlinear_equations as paper


@pytest.fixture(scope="module")
def result(tiny_run):
    return tiny_run("parallel-nonlinear-equations").result


@pytest.mark.slow
def test_every_claim_is_measured_with_a_verdict(result):
    assert [row["claim"] for row in result["claims"]] == [1, 2]
    for row in result["claims"]:
        assert row["verdict"] in ("confirmed", "confirmed in part", "not confirmed")
        assert row["published"]
        assert row["measured"]


def test_counts_are_those_of_whole_computations(result):
    numbers = result["claims"][0]["numbers"]
    assert all(count <= paper.T for count in numbers["jacobi"])
    assert [row[-1] for row in numbers["outer"]] == [1] * len(numbers["outer"])
    assert 1 < numbers["sampling sweeps"] <= 65


def test_the_system_is_triangular_and_its_values_are_sequential():
    problem, truth = paper._system(3)
    assert rs.certify(problem, truth).value <= 1e-14
    assert rs.certify(problem, truth).details["certified prefix"] == paper.T


@pytest.mark.slow
def test_pixels_of_the_network_see_only_earlier_ones():
    weights, logits, _ = paper._network(Settings(tiny=True))
    slope = jax.jacobian(lambda x: logits(weights, x[:, None])[:, 0])(jnp.full(64, 0.5))
    assert not np.triu(slope).any()
    assert np.tril(slope, -1).any()


@pytest.mark.slow
def test_enough_sweeps_of_backpropagation_give_the_gradient():
    with jax.enable_x64(True):
        net = paper.Network(*map(jnp.asarray, paper._recurrent(5)))
        x = jnp.asarray(np.random.default_rng(0).random(20))
        loss, wanted = jax.value_and_grad(paper._loss)(net, x)
        again, found = paper._slope(net, x, 20)
        assert float(loss) == pytest.approx(float(again), rel=1e-12)
        for one, other in zip(found, wanted, strict=True):
            assert np.allclose(one, other, rtol=1e-10, atol=1e-15)
        few = paper._slope(net, x, 1)[1]
        assert not np.allclose(few.W, wanted.W, rtol=1e-3)


def test_a_worse_measurement_changes_the_verdict(monkeypatch):
    good = paper.Sweeps(24, np.r_[np.ones(23), np.full(37, 1e-16)], [22, 12, 6, 2, 1], [28, 40, 60])
    samples = paper.Samples(np.zeros((24, 64)), 64, 20, True, (3.0, 1.0), 10.0)
    found = {"runs": [good], "samples": samples}
    monkeypatch.setattr(paper, "_sweeps", lambda settings: found["runs"])
    monkeypatch.setattr(paper, "_samples", lambda settings: found["samples"])
    assert paper.claim_1(Settings()).verdict == "confirmed"
    found["samples"] = samples._replace(same=False)
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
    errors = np.array([1e-1, 1e-2, 1e-3, 1e-6, 1e-9, 1e-14])
    run = paper.Backward(errors, np.array([[1.0, 0.5], [1.0, 0.501]]), (1.0, 1.0))
    monkeypatch.setattr(paper, "_backward", lambda settings, hidden: run)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    run = run._replace(losses=np.array([[1.0, 0.5], [1.0, 0.6]]))
    result = paper.claim_2(Settings())
    assert result.verdict == "confirmed in part"
    assert "not met: training ends" in result.reason
