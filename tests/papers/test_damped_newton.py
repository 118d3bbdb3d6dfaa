"""The experiments on damped Newton steps: problems, and verdicts that can fail."""

import numpy as np
import pytest

from resolvent.papers import Settings
from resolvent.papers import damped_newton as paper
from resolvent.papers import damped_newton_data as data


def test_problems_are_what_they_say():
    polytope = data.problem("polytope", 0, 20, 5)
    A, b = polytope.args
    assert np.abs(A).max() <= 1.0
    # b = A x for some x, which is feasible, and the start is not.
    assert np.allclose(A @ np.linalg.lstsq(A, b, rcond=None)[0], b)
    assert (b < 0).any()
    assert data.least(polytope) == 0.0
    (D,) = data.problem("logistic", 0, 20, 5).args
    assert not np.allclose(D, data.problem("logistic", 1, 20, 5).args[0])


def test_the_first_step_below_a_gap_is_found():
    found = {"value": np.array([1.0, 0.5, 1e-3, 1e-12])}
    assert data.reached(found, 0.0) == 3.0
    assert data.reached(found, 0.0, 1e-2) == 2.0
    assert data.reached({"value": np.array([1.0, np.nan, 0.5])}, 0.0) == np.inf


def race(steps):
    """What a race finds when all draws take so many steps."""
    return {
        name: {
            "steps": [count], "trials": [count], "gaps": [np.logspace(0, -9, 10)],
            "contraction": [(2 / 3) ** min(count, 60.0)],
        }
        for name, count in steps.items()
    }  # fmt: skip


def test_slow_rules_change_the_verdict(monkeypatch):
    steps = dict.fromkeys(data.methods("logistic"), np.inf) | paper.LOGISTIC
    steps |= {"RN 2, M 1": 61, "UN": 10, "GN": 6}
    found = race(steps)
    monkeypatch.setattr(paper, "_logistic", lambda settings: found)
    first = paper.claim_1(Settings())
    # The counts were known when the conditions were written: that is no whole confirmation.
    assert first.verdict == "confirmed in part"
    assert "not met" not in first.reason
    found["UN"]["steps"] = [13]
    assert "not met: UN takes" in paper.claim_1(Settings()).reason
    found["RN 4, M 1"]["steps"] = [np.inf]
    found["RN 3.5, M 1"]["steps"] = [np.inf]
    assert paper.claim_1(Settings()).verdict == "not confirmed"


@pytest.mark.parametrize("claim", [2, 3])
def test_other_counts_change_the_verdict(claim, monkeypatch):
    known = paper.POLYTOPE | {"UN 2/3": 18} if claim == 2 else paper.QUARTIC | {"GN": 1}
    found = race({name: float(count) for name, count in known.items()})
    monkeypatch.setattr(paper, "_polytope" if claim == 2 else "_quartic", lambda settings: found)
    measure = getattr(paper, f"claim_{claim}")
    first = measure(Settings())
    assert first.verdict == "confirmed in part"
    assert "not met" not in first.reason
    found["UN"]["steps"] = [np.inf]
    assert "not met: " in measure(Settings()).reason


def test_rates_that_are_missed_change_the_verdict(monkeypatch):
    k = np.arange(41.0)
    k[0] = 1.0
    found = {
        "M": dict.fromkeys(paper.QS, 1.0), "rises": dict.fromkeys(paper.QS, False),
        "gaps": {q: [k ** (0.5 - q)] for q in paper.QS} | {"UN": [k**-3.5]},
    }  # fmt: skip
    monkeypatch.setattr(paper, "_rates", lambda settings: found)
    result = paper.claim_4(Settings())
    assert result.verdict == "confirmed in part"
    assert "not met" not in result.reason
    found["gaps"][4.0] = [k**-2.0]
    found["rises"][3.0] = True
    result = paper.claim_4(Settings())
    assert "not met: q = 3: f never rises (M = 1); q = 4: the gap" in result.reason
