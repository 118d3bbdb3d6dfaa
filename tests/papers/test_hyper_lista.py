"""The experiments on HyperLISTA: signals, FISTA, verdicts that can fail."""

import numpy as np
import pytest

from resolvent.composite import HyperLISTA
from resolvent.papers import Settings
from resolvent.papers import hyper_lista as paper
from resolvent.papers import hyper_lista_data as data


def test_signals_are_what_they_say():
    A = data.matrix(30, 60)
    assert np.allclose(np.linalg.norm(A, axis=0), 1.0)
    found = data.signals(A, 400, 1, share=0.1, mean=2.0, snr=20.0)
    on = found.x != 0
    assert on.any(1).all()
    assert abs(on.mean() - 0.1) < 0.01
    assert abs(found.x[on].mean() - 2.0) < 0.1
    away = np.linalg.norm(found.b - found.x @ A.T, axis=1)
    assert np.allclose(away, 0.1 * np.linalg.norm(found.x @ A.T, axis=1))
    plain, twice = data.signals(A, 5, 1), data.signals(A, 5, 1, sigma=2.0)
    assert np.array_equal(2 * plain.x, twice.x)
    assert np.allclose(plain.levels(0.9 * plain.x), -20.0)
    assert plain.level(0 * plain.x) == pytest.approx(0.0)


def test_fista_finds_the_lasso():
    found = data.signals(data.matrix(20, 40), 3, 1)
    x = data.fista(found, 0.1, 3000)
    gradient = (x @ found.A.T - found.b) @ found.A
    assert (np.abs(gradient) <= 0.1 + 1e-6).all()
    assert np.allclose(gradient[x != 0], -0.1 * np.sign(x[x != 0]), atol=1e-6)
    assert np.allclose(
        data.fista(found, 0.0, 1), found.b @ found.A / np.linalg.norm(found.A, 2) ** 2
    )


@pytest.fixture
def scene(monkeypatch):
    """Points that are set by hand: levels by method, and what FISTA leaves."""
    tests = data.signals(data.matrix(10, 20), 6, 2)
    levels = {"all": -60.0, "no momentum": -50.0, "no selection": -5.0, "fista": -10.0}
    methods = {name: HyperLISTA(c1) for name, c1 in zip(levels, (0.1, 0.2, 0.3), strict=False)}
    known = {method.c1: name for name, method in methods.items()}
    methods = {name: method.but(c2=0.0) for name, method in methods.items()}

    def depths(found, method):
        share = 10 ** (levels[known[method.c1]] / 20)
        return np.stack([found.x * (1 - share)] * paper.LAYERS)

    def fista(found, bar, steps):
        return found.x * (1 - 10 ** (levels["fista"] / 20))

    for name, value in (("_tuned", methods), ("_samples", tests), ("_tests", tests), ("_bar", 0.1)):
        monkeypatch.setattr(paper, name, lambda settings, value=value: value)
    monkeypatch.setattr(paper, "_matrix", lambda settings: tests.A)
    monkeypatch.setattr(paper, "_depths", depths)
    monkeypatch.setattr(data, "fista", fista)
    return levels


def test_levels_change_the_verdicts(scene):
    tiny = Settings(tiny=True)
    # Trained networks were not measured: that is no whole confirmation.
    assert paper.claim_1(tiny).verdict == "confirmed in part"
    assert "not met" not in paper.claim_1(tiny).reason
    assert [one(tiny).verdict for one in (paper.claim_2, paper.claim_3)] == ["confirmed"] * 2
    assert "not met" not in paper.claim_4(tiny).reason
    scene.update({"no momentum": -59.5, "no selection": -55.0, "fista": -58.0})
    assert "not met: median at least 15 dB" in paper.claim_1(tiny).reason
    assert [one(tiny).verdict for one in (paper.claim_2, paper.claim_3)] == ["not confirmed"] * 2
    assert paper.claim_4(tiny).verdict == "not confirmed"


def test_a_slow_finish_changes_the_verdict(monkeypatch):
    tests = data.signals(data.matrix(10, 20), 10, 2, share=0.3)
    assert (np.count_nonzero(tests.x, axis=1) >= 2).all()
    plain = np.tile(10.0 ** -np.arange(0, 13), (10, 1))
    errors, running = plain.copy(), np.zeros(plain.shape, bool)
    errors[:, 5:] = [1e-6, 1e-12, 1e-12, 1e-12, 1e-12, 1e-12, 1e-12, 1e-12]
    running[:, 4:6] = True
    monkeypatch.setattr(data, "signals", lambda *args: tests)
    monkeypatch.setattr(paper, "_matrix", lambda settings: tests.A)
    monkeypatch.setattr(paper, "_finishes", lambda settings: (plain, errors, running))
    assert paper.claim_5(Settings()).verdict == "confirmed"
    errors[:, 5] = 1e-9  # as much at first as later
    assert paper.claim_5(Settings()).verdict == "confirmed in part"
    errors[:] = plain
    running[:] = False
    assert paper.claim_5(Settings()).verdict == "not confirmed"
