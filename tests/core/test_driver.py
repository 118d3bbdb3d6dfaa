"""The loop: judge, then advance; why it ends; what it gives back."""

import time

import numpy as np
import pytest
from core.toys import Halve, HostHalve, methods, problem

import resolvent as rs

engines = pytest.mark.parametrize("cls", [Halve, HostHalve], ids=["traced", "host"])


def solve(method, **options):
    return rs.solve(problem(), method, atol=1e-6, rtol=0.0, throw=False, **options)


@engines
def test_a_sound_method_converges_on_its_exact_step(cls):
    sol = solve(cls())
    # sqrt(2) 2^-k <= 1e-6 first holds at k = 21, its largest entry 2^-k at k = 20.
    assert sol.steps == 21
    assert sol.converged
    assert solve(cls(), max_steps=21).converged
    assert solve(cls(), max_steps=21).reason is rs.Reason.target
    assert solve(cls(), max_steps=20).reason is rs.Reason.max_steps


@engines
@pytest.mark.parametrize("limit", [0, 1, 2, 7, 19])
def test_step_limit(cls, limit):
    sol = solve(cls(), max_steps=limit)
    assert sol.steps == limit
    assert sol.calls == {"map": limit}
    assert sol.reason is rs.Reason.max_steps
    assert np.allclose(sol.x, 3.0 + 0.5**limit, rtol=1e-15)


@engines
def test_a_liar_is_found_out(cls):
    sol = solve(cls(mood="liar"))
    assert not sol.converged
    assert sol.reason is rs.Reason.stalled
    assert sol.certificate.value > 1e-6


@engines
def test_a_boaster_is_made_to_go_on(cls):
    sol = solve(cls(mood="boaster"))
    assert sol.converged
    assert sol.certificate.value <= 1e-6
    assert sol.reason is rs.Reason.target


@engines
@pytest.mark.parametrize("mood", ["nan", "infinite"])
def test_numbers_that_are_not_finite_are_divergence(cls, mood):
    sol = solve(cls(mood=mood))
    assert sol.reason is rs.Reason.diverged
    assert not sol.converged
    assert sol.steps == 6


@engines
def test_nan_on_the_last_allowed_step_is_divergence(cls):
    sol = solve(cls(mood="nan"), max_steps=6)
    assert sol.reason is rs.Reason.diverged
    assert not sol.converged


@engines
def test_growth_is_divergence(cls):
    sol = solve(cls(factor=10.0), max_steps=10_000)
    assert sol.reason is rs.Reason.diverged
    assert not sol.converged
    assert sol.steps < 400


@engines
@pytest.mark.parametrize("mood", ["stuck", "rebound"])
def test_no_progress_is_a_stall(cls, mood):
    sol = solve(cls(mood=mood), max_steps=100_000)
    assert sol.reason is rs.Reason.stalled
    assert sol.steps <= 3 * Halve.monitored


@engines
def test_breakdown_is_reported_where_it_happens(cls):
    sol = solve(cls(mood="breakdown"))
    assert sol.reason is rs.Reason.breakdown
    assert sol.steps == 6


@engines
def test_a_breakdown_at_the_answer_is_a_success(cls):
    sol = solve(cls(mood="breakdown", after=30))
    assert sol.converged
    happy = solve(cls(mood="breakdown", after=20))
    assert happy.steps == 21
    assert happy.converged
    assert happy.reason is rs.Reason.target


@engines
def test_the_best_point_comes_back(cls):
    sol = solve(cls(mood="rebound"), max_steps=500)
    assert sol.certificate.value == pytest.approx(np.linalg.norm(sol.x - 3.0))
    # After five good steps it lives at distance one and more; it was much nearer before.
    assert sol.certificate.value <= 2.0 * np.sqrt(2)


@engines
def test_nan_is_never_the_best_point(cls):
    sol = solve(cls(mood="nan"))
    assert np.isfinite(sol.x).all()
    assert sol.certificate.value <= np.sqrt(2)


def test_ctrl_c_inside_a_host_step_keeps_the_steps_before_it():
    sol = solve(HostHalve(mood="interrupt"))
    assert sol.reason is rs.Reason.interrupted
    assert not sol.converged
    assert sol.steps == 5
    assert np.allclose(sol.x, 3.0 + 0.5**5)
    assert sol.certificate.value == pytest.approx(np.sqrt(2) * 0.5**5)


@engines
def test_ctrl_c_between_chunks(cls):
    def stop(report):
        raise KeyboardInterrupt

    sol = solve(cls(factor=0.999), callback=stop)
    assert sol.reason is rs.Reason.interrupted
    assert sol.steps > 0
    assert np.allclose(sol.x, 3.0 + 0.999**sol.steps)


@engines
def test_an_interrupted_solve_does_not_raise(cls):
    def stop(report):
        raise KeyboardInterrupt

    sol = rs.solve(problem(), cls(factor=0.999), rtol=1e-9, callback=stop)
    assert sol.reason is rs.Reason.interrupted


@engines
def test_a_true_callback_ends_the_solve_and_sees_the_truth(cls):
    reports = []

    def look(report):
        reports.append((report.steps, report.measure, report.target, report.seconds))
        assert np.allclose(np.asarray(report.point()), 3.0 + 0.999**report.steps)
        return len(reports) == 2

    sol = solve(cls(factor=0.999), callback=look)
    assert sol.reason is rs.Reason.interrupted
    assert sol.steps == reports[-1][0]
    steps, measures, targets, seconds = zip(*reports, strict=True)
    assert steps[0] < steps[1]
    assert measures == pytest.approx([0.999**k for k in steps])
    assert set(targets) == {1e-6}
    assert seconds[0] <= seconds[1]


@engines
def test_an_error_in_the_callback_is_the_users_own(cls):
    def fail(report):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        solve(cls(factor=0.999), callback=fail)


def test_time_limit_with_slow_steps():
    class Slow(HostHalve):
        def step(self, problem, state):
            time.sleep(0.02)
            return super().step(problem, state)

    began = time.perf_counter()
    sol = solve(Slow(factor=0.999), seconds=0.2)
    passed = time.perf_counter() - began
    assert sol.reason is rs.Reason.time
    assert sol.steps >= 1
    assert 0.2 <= passed < 1.0


def test_time_limit_of_a_compiled_loop():
    solve(Halve(factor=0.999), max_steps=200)  # compiled beforehand: the limit is for solving
    sol = solve(Halve(factor=1 - 1e-12), seconds=0.3, max_steps=2_000_000_000)
    assert sol.reason in (rs.Reason.time, rs.Reason.stalled)
    assert sol.seconds < 5.0


@engines
def test_no_time_at_all(cls):
    sol = solve(cls(factor=0.999), seconds=0.0)
    assert sol.reason is rs.Reason.time
    assert not sol.converged


@engines
def test_throw_carries_the_solution(cls):
    with pytest.raises(rs.NotConverged, match=r"max_steps.*raise max_steps") as caught:
        rs.solve(problem(), cls(), rtol=1e-6, max_steps=2)
    assert caught.value.solution.steps == 2


@engines
def test_the_answer_does_not_depend_on_the_clock(cls, monkeypatch):
    from resolvent._core import driver

    plain = solve(cls(factor=0.9))
    monkeypatch.setattr(driver, "_LOOK", 1e-9)  # a machine so slow that it looks at every step
    careful = solve(cls(factor=0.9))
    assert plain.steps == careful.steps
    assert np.array_equal(plain.x, careful.x)


@pytest.mark.parametrize("method", methods(factor=0.9999), ids=["traced", "host"])
def test_long_histories_stay_small(method):
    sol = rs.solve(
        problem(), method, atol=1e-20, rtol=0.0, max_steps=30_000, throw=False,
    )  # fmt: skip
    history = sol.history
    assert len(history) <= 2048
    assert history.steps[-1] == sol.steps
    assert (np.diff(history.steps) > 0).all()
    assert history.measures == pytest.approx(0.9999**history.steps, rel=1e-9)
