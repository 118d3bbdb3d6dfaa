"""The answer: certified against NumPy, exact in its limits, equivariant, reproducible."""

import numpy as np
import pytest
from suite.problems import (
    CLASSES,
    HOST,
    HOUSES,
    PAIRS,
    TRACED,
    a_family,
    always,
    houses_with,
    in_full,
    near_answer,
    same_steps,
)

import resolvent as rs

each = pytest.mark.parametrize("pair", PAIRS, ids=str)
# Traced pairs compile anew for it: one a house is in every run, all of them in the long one.
each_on_host = pytest.mark.parametrize("pair", [*HOST, *in_full(TRACED)], ids=str)
each_family = pytest.mark.parametrize("pair", [*a_family(HOST), *a_family(TRACED)], ids=str)
# Single precision is a program of its own: one pair a house and engine has it in every run, all of
# them in the long one.
ALWAYS = always()
each_precision = pytest.mark.parametrize(
    ("dtype", "pair"),
    [
        (dtype, pair)
        if dtype == np.float64 or pair in ALWAYS
        else pytest.param(dtype, pair, marks=pytest.mark.slow)
        for pair in PAIRS
        for dtype in pair.house.dtypes
    ],
    ids=lambda value: {np.float64: "double", np.float32: "single"}.get(value, str(value)),
)


def same(pair, one, other):
    """Whether two answers agree to the bit."""
    parts = zip(pair.house.parts(one), pair.house.parts(other), strict=True)
    return all(np.array_equal(first, second) for first, second in parts)


def test_every_family_has_problems():
    solved = {problem for cls in CLASSES for problem in cls.solves}
    # The equations of a flow have tests of their own: none of its stages is explicit.
    assert set(HOUSES) == solved - {rs.InitialValueProblem}


def check_certificate(pair, dtype, kind):
    """The certificate and the answer of one solve, against the house's referee."""
    sample = pair.house.sample(pair.engine, dtype, kind)
    sol = rs.solve(sample.problem, pair.method, rtol=pair.house.rtol(dtype))
    value, rounding = sample.measure(sol.x), sample.rounding(dtype)
    assert sol.converged
    assert sol.reason is rs.Reason.target
    assert sol.engine.startswith(pair.engine)
    assert abs(sol.certificate.value - value) <= rounding
    assert value <= pair.house.rtol(dtype) * sample.scale + rounding
    assert sol.certificate.target == pytest.approx(pair.house.rtol(dtype) * sample.scale, rel=1e-5)
    assert sample.error(sol.x) <= sample.allowed(value + rounding)


def kinds_apart(pair):
    """The kinds of problems of a pair that are seen to one by one: others are no other numbers."""
    kinds = pair.house.kinds(pair.cls)
    return kinds[:1] if getattr(pair.house, "alike", False) else kinds


@each_precision
def test_certificate_agrees_with_numpy(dtype, pair):
    for kind in kinds_apart(pair):
        check_certificate(pair, dtype, kind)


@pytest.mark.parametrize("pair", in_full(), ids=str)
def test_a_problem_written_in_another_way_has_the_same_answer(pair):
    for kind in pair.house.kinds(pair.cls)[len(kinds_apart(pair)) :]:
        check_certificate(pair, np.float64, kind)


@each_precision
def test_precision_and_kind_are_kept(dtype, pair):
    sample = pair.house.sample(pair.engine, dtype)
    sol = rs.solve(sample.problem, pair.method, rtol=pair.house.rtol(dtype))
    for part, like in zip(pair.house.parts(sol.x), sample.like, strict=True):
        assert type(part) is type(like) or isinstance(part, type(like))
        assert isinstance(part, np.ndarray) == isinstance(like, np.ndarray)
        assert part.dtype == dtype
        assert part.shape == like.shape


@each
def test_starting_at_the_answer_costs_no_step(pair):
    sample = pair.house.sample(pair.engine)
    answer = sample.answer
    sol = rs.solve(sample.problem, pair.method, x0=answer, rtol=pair.house.tight)
    assert sol.steps == 0
    assert sol.converged
    if pair.house.returns_guesses:
        assert same(pair, sol.x, answer)
    assert sample.error(sol.x) <= 1e-12


@each
def test_first_guess_is_left_alone(pair):
    sample = pair.house.sample(pair.engine)
    guess, kept, arrays = pair.house.guess(), pair.house.guess(), sample.arrays
    sol = rs.solve(sample.problem, pair.method, x0=guess, rtol=pair.house.tight)
    assert sol.converged
    assert same(pair, guess, kept)
    for now, before in zip(sample.arrays, arrays, strict=True):
        assert np.array_equal(now, before)
    for part, old in zip(pair.house.parts(sol.x), pair.house.parts(guess), strict=True):
        assert not np.shares_memory(part, old)


@each
def test_step_limit_is_exact(pair):
    sample = pair.house.sample(pair.engine)

    def run(limit):
        return rs.solve(
            sample.problem, pair.method, rtol=pair.house.tight, max_steps=limit, throw=False, key=1
        )

    whole = run(None)
    last = int(whole.steps)
    assert whole.converged
    assert last > 1
    for limit in (0, 1, last - 1):
        sol = run(limit)
        assert sol.steps == limit
        if pair.cls.ahead:
            truth = sample.measure(sol.x) <= pair.house.tight * sample.scale
            assert sol.converged == truth
            assert not (truth and limit < last - 1)
        else:
            assert not sol.converged
        assert sol.reason is (rs.Reason.target if sol.converged else rs.Reason.max_steps)
        assert all(np.isfinite(part).all() for part in pair.house.parts(sol.x))
    on_the_last = run(last)
    assert on_the_last.converged
    assert on_the_last.reason is rs.Reason.target
    assert on_the_last.steps == last


@each
def test_missed_target_raises_with_the_solution(pair):
    sample = pair.house.sample(pair.engine)
    with pytest.raises(rs.NotConverged, match=r"given .*needed .*What to do") as caught:
        rs.solve(sample.problem, pair.method, rtol=pair.house.tight, max_steps=1)
    assert caught.value.solution.steps == 1
    assert not caught.value.solution.converged


@each
def test_the_best_point_is_no_worse_than_the_start(pair):
    sample = pair.house.sample(pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, max_steps=3, throw=False)
    assert sol.certificate.value == pytest.approx(sample.measure(sol.x), rel=1e-6)


@pytest.mark.parametrize("pair", houses_with("effortless"), ids=str)
def test_the_effortless_problem_is_answered_at_once(pair):
    sample, guesses = pair.house.effortless(pair.engine)
    for guess in guesses:
        sol = rs.solve(sample.problem, pair.method, x0=guess)
        assert sol.converged
        assert sol.steps == 0
        answer = sample.view(sample.answer)
        assert np.allclose(sample.view(sol.x), answer, rtol=0, atol=1e-15 * np.abs(answer).max())


@pytest.mark.parametrize("pair", [*HOST, *a_family(TRACED)], ids=str)
@pytest.mark.parametrize("value", [3.0, 1e-5, 4e6])
def test_one_unknown(pair, value):
    sample = pair.house.one_unknown(value, pair.engine)
    rtol = getattr(pair.house, "sharpest", 1e-12)
    sol = rs.solve(sample.problem, pair.method, rtol=rtol)
    rel = 1e-11 if rtol == 1e-12 else sample.allowed(rtol * sample.scale)
    assert sample.view(sol.x) == pytest.approx(sample.view(sample.answer), rel=rel)


@pytest.mark.parametrize(
    ("pair", "index"),
    [
        pytest.param(pair, i, marks=pytest.mark.slow) if i and pair in TRACED else (pair, i)
        for pair in PAIRS
        for i in range(pair.house.scalings)
    ],
    ids=str,
)
def test_scaling_by_powers_of_two_scales_the_iterates(pair, index):
    plain, scaled, back = pair.house.scaled(index, pair.engine)
    one = rs.solve(plain.problem, pair.method, rtol=pair.house.tight, key=5)
    two = rs.solve(scaled.problem, pair.method, rtol=pair.house.tight, key=5)
    assert one.steps == two.steps
    returned = scaled.view(two.x) * back
    assert np.allclose(returned, plain.view(one.x), rtol=1e-10, atol=0)


@each
def test_permuting_the_unknowns_permutes_the_answer(pair):
    plain, mixed, follow = pair.house.permuted(pair.engine, np.float64)
    # Traced methods that draw or decide by rounding errors go apart in long solves.
    rtol = pair.house.rtol(np.float64 if pair.engine == "host" else np.float32)
    one = rs.solve(plain.problem, pair.method, rtol=rtol, key=5)
    two = rs.solve(mixed.problem, pair.method, rtol=rtol, key=5)
    size = pair.house.size_of
    near = 20 * rtol * size(plain.view(plain.answer))
    assert size(mixed.view(two.x) - follow(plain.view(one.x))) <= near
    if not pair.cls.in_order:
        assert same_steps(pair, one.steps, two.steps)


@each
def test_same_key_same_bits(pair):
    sample = pair.house.sample(pair.engine)
    first, second, other = (
        rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=key)
        for key in (11, 11, 12)
    )
    assert same(pair, first.x, second.x)
    assert first.steps == second.steps
    assert first.calls == second.calls
    assert first.certificate.value == second.certificate.value
    if pair.cls.random:
        assert not same(pair, first.x, other.x)
    else:
        assert same(pair, first.x, other.x)


@each_on_host
def test_tolerance_below_the_precision_ends_in_words(pair):
    sample = pair.house.sample(pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-30, throw=False)
    if sol.converged and getattr(pair.house, "exact", False):
        assert sol.certificate.value == 0.0
        assert sample.measure(sol.x) <= sample.rounding(np.float64)
        return
    assert not sol.converged
    ends = [rs.Reason.stalled, rs.Reason.breakdown]
    if getattr(pair.house, "endless", False):
        ends.append(rs.Reason.max_steps)
    assert sol.reason in ends
    assert sol.certificate.relative <= pair.house.floor


@each
def test_history_falls_to_the_certificate(pair):
    sample = pair.house.sample(pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=pair.house.tight)
    history = sol.history
    assert history.steps[-1] == sol.steps
    assert (np.diff(history.steps) > 0).all()
    assert (np.diff(history.calls) >= 0).all()
    assert (np.diff(history.seconds) >= 0).all()
    assert history.measures[-1] <= sol.certificate.target
    assert history.calls[-1] == sum(sol.calls.values())


@each
def test_method_survives_a_file(pair, tmp_path):
    sample = pair.house.sample(pair.engine)
    rs.save(tmp_path / "method.rs", pair.method)
    method = rs.load(tmp_path / "method.rs")
    assert type(method) is pair.cls
    first = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=2)
    again = rs.solve(sample.problem, method, rtol=pair.house.tight, key=2)
    assert same(pair, first.x, again.x)


@each_family
def test_solve_survives_an_interruption(pair, tmp_path):
    sample = pair.house.sample(pair.engine)
    place = tmp_path / "solve.rs"
    whole = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=4)

    def stop(report):
        raise KeyboardInterrupt

    # Room for one chunk only: the callback is reached before the target is.
    half = rs.solve(
        sample.problem, pair.method, rtol=1e-30, key=4, callback=stop, checkpoint=place,
        throw=False,
    )  # fmt: skip
    if half.reason is not rs.Reason.interrupted:
        return  # it came to its end within its first chunk
    assert half.certificate.value == pytest.approx(sample.measure(half.x), rel=1e-3, abs=1e-13)
    more = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=4, checkpoint=place)
    assert more.converged
    assert any("resumed" in note for note in more.notes)
    assert near_answer(pair, sample, more.x, pair.house.tight)
    assert near_answer(pair, sample, whole.x, pair.house.tight)
    assert not place.exists()


@each
def test_summary_is_plain(pair):
    import json

    sample = pair.house.sample(pair.engine)
    sol = rs.solve(sample.problem, pair.method)
    facts = json.loads(json.dumps(sol.summary()))
    assert facts["converged"] is True
    assert facts["steps"] == sol.steps
    assert facts["certificate"]["value"] <= facts["certificate"]["target"]
    assert str(sol)
    assert "<table>" in sol._repr_html_()
