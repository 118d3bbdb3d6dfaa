"""The answer: certified against NumPy, exact in its limits, equivariant, reproducible."""

import numpy as np
import pytest
from suite.problems import HOUSES, PAIRS, RTOL

import resolvent as rs
from resolvent._core import registry

DTYPES = [np.float64, np.float32]
# Their sweeps follow the order of the unknowns, or their bounds of the spectrum come from a fixed
# first vector: a permutation gives other iterates and the same answer.
IN_ORDER = {
    "chebyshev", "sor", "ssor", "gauss-seidel", "symmetric-gauss-seidel", "kaczmarz",
    "learned-relaxation",
}  # fmt: skip

each = pytest.mark.parametrize("pair", PAIRS, ids=str)
both = pytest.mark.parametrize("dtype", DTYPES, ids=["double", "single"])


def test_every_family_has_problems():
    assert set(HOUSES) == set(registry.FAMILIES)


@each
@both
def test_certificate_agrees_with_numpy(pair, dtype):
    for kind in pair.house.kinds(pair.cls):
        sample = pair.house.sample(pair.engine, dtype, kind)
        sol = rs.solve(sample.problem, pair.method, rtol=RTOL[dtype])
        value, rounding = sample.measure(sol.x), sample.rounding(dtype)
        assert sol.converged
        assert sol.reason is rs.Reason.target
        assert sol.engine.startswith(pair.engine)
        assert abs(sol.certificate.value - value) <= rounding
        assert value <= RTOL[dtype] * np.linalg.norm(sample.rhs) + rounding
        assert sol.certificate.target == pytest.approx(
            RTOL[dtype] * np.linalg.norm(sample.rhs), rel=1e-5
        )
        amplification = np.linalg.norm(np.linalg.inv(sample.matrix), 2)
        allowed = amplification * (value + rounding) / np.linalg.norm(sample.answer)
        assert sample.error(sol.x) <= allowed


@each
@both
def test_precision_and_kind_are_kept(pair, dtype):
    sample = pair.house.sample(pair.engine, dtype)
    sol = rs.solve(sample.problem, pair.method, rtol=RTOL[dtype])
    assert type(sol.x) is type(sample.problem.b) or isinstance(sol.x, type(sample.problem.b))
    assert isinstance(sol.x, np.ndarray) == isinstance(sample.problem.b, np.ndarray)
    assert sol.x.dtype == dtype
    assert sol.x.shape == sample.problem.b.shape


@each
def test_starting_at_the_answer_costs_no_step(pair):
    sample = pair.house.sample(pair.engine)
    answer = sample.answer
    sol = rs.solve(sample.problem, pair.method, x0=answer, rtol=1e-9)
    assert sol.steps == 0
    assert sol.converged
    assert np.array_equal(sol.x, answer)


@each
def test_first_guess_is_left_alone(pair):
    sample = pair.house.sample(pair.engine)
    guess = np.linspace(-1.0, 1.0, sample.rhs.size)
    kept, rhs = guess.copy(), np.asarray(sample.problem.b).copy()
    matrix = sample.problem.operator.matrix.toarray()
    sol = rs.solve(sample.problem, pair.method, x0=guess, rtol=1e-9)
    assert sol.converged
    assert np.array_equal(guess, kept)
    assert np.array_equal(sample.problem.b, rhs)
    assert np.array_equal(sample.problem.operator.matrix.toarray(), matrix)
    assert not np.shares_memory(sol.x, guess)


@each
def test_step_limit_is_exact(pair):
    sample = pair.house.sample(pair.engine)

    def run(limit):
        return rs.solve(sample.problem, pair.method, rtol=1e-9, max_steps=limit, throw=False, key=1)

    whole = run(None)
    last = int(whole.steps)
    assert whole.converged
    assert last > 1
    for limit in (0, 1, last - 1):
        sol = run(limit)
        assert sol.steps == limit
        assert not sol.converged
        assert sol.reason is rs.Reason.max_steps
        assert np.isfinite(sol.x).all()
    on_the_last = run(last)
    assert on_the_last.converged
    assert on_the_last.reason is rs.Reason.target
    assert on_the_last.steps == last


@each
def test_missed_target_raises_with_the_solution(pair):
    sample = pair.house.sample(pair.engine)
    with pytest.raises(rs.NotConverged, match=r"given .*needed .*What to do") as caught:
        rs.solve(sample.problem, pair.method, rtol=1e-9, max_steps=1)
    assert caught.value.solution.steps == 1
    assert not caught.value.solution.converged


@each
def test_the_best_point_is_no_worse_than_the_start(pair):
    sample = pair.house.sample(pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-9, max_steps=3, throw=False)
    assert sol.certificate.value == pytest.approx(sample.measure(sol.x), rel=1e-6)


@each
def test_zero_right_hand_side_is_answered_at_once(pair):
    matrix, rhs = pair.house.data()
    sample = pair.house.wrap(matrix, 0 * rhs, pair.engine)
    for guess in (None, np.ones(rhs.size)):
        sol = rs.solve(sample.problem, pair.method, x0=guess)
        assert sol.converged
        assert sol.steps == 0
        assert not np.asarray(sol.x).any()


@each
@pytest.mark.parametrize("value", [3.0, 1e-5, 4e6])
def test_one_unknown(pair, value):
    sample = pair.house.wrap(np.array([[value]]), np.array([6.0]), pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-12)
    assert sol.x == pytest.approx(np.array([6.0 / value]), rel=1e-11)


@each
@pytest.mark.parametrize(("matrix_scale", "rhs_scale"), [(2.0**-20, 2.0**9), (2.0**12, 2.0**-30)])
def test_scaling_by_powers_of_two_scales_the_iterates(pair, matrix_scale, rhs_scale):
    matrix, rhs = pair.house.data()
    plain = pair.house.wrap(matrix, rhs, pair.engine)
    scaled = pair.house.wrap(matrix_scale * matrix, rhs_scale * rhs, pair.engine)
    one = rs.solve(plain.problem, pair.method, rtol=1e-9, key=5)
    two = rs.solve(scaled.problem, pair.method, rtol=1e-9, key=5)
    assert one.steps == two.steps
    assert np.allclose(two.x * (matrix_scale / rhs_scale), one.x, rtol=1e-10, atol=0)


@each
def test_permuting_the_unknowns_permutes_the_answer(pair):
    dtype = np.float64 if pair.engine == "host" else np.float32
    matrix, rhs = pair.house.data()
    order = np.random.default_rng(3).permutation(rhs.size)
    plain = pair.house.wrap(matrix, rhs, pair.engine, dtype)
    mixed = pair.house.wrap(matrix[np.ix_(order, order)], rhs[order], pair.engine, dtype)
    rtol = RTOL[dtype]
    one = rs.solve(plain.problem, pair.method, rtol=rtol, key=5)
    two = rs.solve(mixed.problem, pair.method, rtol=rtol, key=5)
    near = 20 * rtol * np.linalg.norm(plain.answer)
    assert np.linalg.norm(np.asarray(two.x) - np.asarray(one.x)[order]) <= near
    if pair.cls.name not in IN_ORDER:
        assert one.steps == two.steps


@each
def test_same_key_same_bits(pair):
    sample = pair.house.sample(pair.engine)
    first, second, other = (
        rs.solve(sample.problem, pair.method, rtol=1e-9, key=key) for key in (11, 11, 12)
    )
    assert np.array_equal(first.x, second.x)
    assert first.steps == second.steps
    assert first.calls == second.calls
    assert first.certificate.value == second.certificate.value
    if pair.cls.random:
        assert not np.array_equal(first.x, other.x)
    else:
        assert np.array_equal(first.x, other.x)


@each
def test_tolerance_below_the_precision_ends_in_words(pair):
    sample = pair.house.sample(pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-30, throw=False)
    assert not sol.converged
    assert sol.reason in (rs.Reason.stalled, rs.Reason.breakdown)
    assert sol.certificate.relative <= 1e-12


@each
def test_history_falls_to_the_certificate(pair):
    sample = pair.house.sample(pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-9)
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
    first = rs.solve(sample.problem, pair.method, rtol=1e-9, key=2)
    again = rs.solve(sample.problem, method, rtol=1e-9, key=2)
    assert np.array_equal(first.x, again.x)


@each
def test_solve_survives_an_interruption(pair, tmp_path):
    sample = pair.house.sample(pair.engine)
    place = tmp_path / "solve.rs"
    whole = rs.solve(sample.problem, pair.method, rtol=1e-9, key=4)

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
    more = rs.solve(sample.problem, pair.method, rtol=1e-9, key=4, checkpoint=place)
    assert more.converged
    assert any("resumed" in note for note in more.notes)
    assert sample.error(more.x) <= 1e-8
    assert sample.error(whole.x) <= 1e-8
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
