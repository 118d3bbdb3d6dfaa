"""Sequences: streaming, memory, checkpoints, executors."""

import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from core.toys import Halve, HostHalve, Shrink, methods

import resolvent as rs

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


def problems(count=4, n=2):
    return [Shrink(np.full(n, 1.0 + i)) for i in range(count)]


@pytest.mark.parametrize("method", methods(mood="remembers"), ids=["traced", "host"])
def test_members_come_in_order_with_memory(method):
    sols = list(rs.solve_sequence(problems(), method, rtol=1e-8))
    assert [sol.index for sol in sols] == [0, 1, 2, 3]
    for i, sol in enumerate(sols):
        assert sol.converged
        assert np.allclose(sol.x, 1.0 + i, rtol=1e-7)
        assert "best" in sol.memory


def test_a_stream_is_pulled_one_at_a_time():
    pulled = []

    def stream():
        for i in range(1000):
            pulled.append(i)
            yield Shrink(np.full(2, float(i)))

    sols = rs.solve_sequence(stream(), HostHalve(), rtol=1e-6)
    assert pulled == []
    for sol in sols:
        assert len(pulled) == sol.index + 1
        if sol.index == 3:
            break
    assert pulled == [0, 1, 2, 3]


def test_a_stream_is_not_kept():
    import gc
    import weakref

    alive = []

    def stream():
        for i in range(6):
            data = np.full(2, float(i))
            alive.append(weakref.ref(data))
            yield Shrink(data)
            del data

    for _sol in rs.solve_sequence(stream(), HostHalve(), rtol=1e-6):
        pass
    del _sol
    gc.collect()
    assert sum(ref() is not None for ref in alive) <= 1


def test_same_key_same_answers_and_members_differ_in_theirs():
    keys = []

    class Keyed(HostHalve):
        random = True

        def init(self, problem, x0, memory, key):
            keys.append(key.random())
            return super().init(problem, x0, memory, key)

    list(rs.solve_sequence(problems(3), Keyed(), key=5))
    list(rs.solve_sequence(problems(3), Keyed(), key=5))
    list(rs.solve_sequence(problems(3), Keyed(), key=6))
    assert keys[:3] == keys[3:6]
    assert len(set(keys[:3])) == 3
    assert set(keys[:3]).isdisjoint(keys[6:])


def test_order_is_followed():
    sols = list(rs.solve_sequence(problems(), HostHalve(), order=[2, 0, 3, 1], rtol=1e-8))
    assert [sol.index for sol in sols] == [2, 0, 3, 1]
    assert [round(float(sol.x[0])) for sol in sols] == [3, 1, 4, 2]


def test_failures_are_reported_or_raised():
    many = problems(3)
    sols = list(rs.solve_sequence(many, HostHalve(), max_steps=2))
    assert [sol.converged for sol in sols] == [False] * 3
    with pytest.raises(rs.NotConverged):
        list(rs.solve_sequence(many, HostHalve(), max_steps=2, throw=True))


def test_a_callback_can_end_it():
    sols = list(rs.solve_sequence(problems(5), HostHalve(), callback=lambda sol: sol.index == 1))
    assert len(sols) == 2


def test_an_empty_sequence_is_empty(tmp_path):
    assert list(rs.solve_sequence([], HostHalve())) == []
    assert list(rs.solve_sequence(iter(()), HostHalve(), checkpoint=tmp_path / "c")) == []
    with ThreadPoolExecutor(1) as pool:
        assert list(rs.solve_sequence([], HostHalve(), executor=pool, pieces=3)) == []


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        ({"tolerance": 1e-3}, TypeError, "solve_sequence"),
        ({"pieces": 2}, ValueError, "pieces"),
        ({"pieces": 0}, ValueError, "pieces"),
        ({"pieces": 1.5}, TypeError, "pieces"),
        ({"order": [0, 0, 1, 2]}, ValueError, "order"),
        ({"order": [0, 1]}, ValueError, "order"),
        ({"order": [0, 1, 2, 9]}, ValueError, "order"),
        ({"order": [0.5, 1, 2, 3]}, (TypeError, ValueError), "order"),
        ({"warm_start": "previous"}, TypeError, "warm_start"),
        ({"executor": 3}, TypeError, "executor"),
        ({"memory": {}}, TypeError, "memory"),
        ({"callback": 3}, TypeError, "callback"),
        ({"rtol": -1.0}, ValueError, "rtol"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, kind, name):
    with pytest.raises(kind, match=VOICE) as caught:
        list(rs.solve_sequence(problems(), HostHalve(), **options))
    assert str(caught.value).startswith(name)


def test_bad_options_are_refused_at_the_call():
    """Not at the first `next`, which may be far away from the mistake."""
    with pytest.raises(TypeError, match="tolerance"):
        rs.solve_sequence(problems(), HostHalve(), tolerance=1e-3)


def test_order_needs_a_list():
    with pytest.raises(TypeError, match="problems: given a generator"):
        list(rs.solve_sequence((p for p in problems()), HostHalve(), order=[0, 1, 2, 3]))
    with pytest.raises(TypeError, match=VOICE):
        list(rs.solve_sequence(Shrink(np.ones(2)), HostHalve()))


def test_a_member_that_is_no_problem_is_named():
    with pytest.raises(TypeError, match="problem: given"):
        list(rs.solve_sequence([np.eye(2)], HostHalve()))


def test_warm_starts_are_used_only_where_they_help():
    class Far(rs.Previous):
        def propose(self, problem, solutions):
            return solutions[-1] + 1e6

    cold = list(rs.solve_sequence(problems(), HostHalve(), rtol=1e-8))
    far = list(rs.solve_sequence(problems(), HostHalve(), rtol=1e-8, warm_start=Far()))
    assert [sol.steps for sol in far] == [sol.steps for sol in cold]

    class Sick(rs.Previous):
        def propose(self, problem, solutions):
            return solutions[-1] * np.nan

    sick = list(rs.solve_sequence(problems(), HostHalve(), rtol=1e-8, warm_start=Sick()))
    assert all(sol.converged for sol in sick)


def test_extrapolation_is_exact_on_polynomials():
    many = [Shrink(np.array([1.0 + t, 2.0 - 3.0 * t])) for t in range(5)]
    sols = list(
        rs.solve_sequence(many, HostHalve(), warm_start=rs.Extrapolated(1), rtol=0, atol=1e-12)
    )
    # The problem's own start is at distance sqrt 2; from two exact points on, none is left.
    plain = list(rs.solve_sequence(many, HostHalve(), rtol=0, atol=1e-12))
    assert all(sol.steps <= 4 for sol in sols[2:])
    assert all(sol.steps >= 40 for sol in plain)
    assert all(sol.converged for sol in sols)


@pytest.mark.parametrize("spoiled", [np.full(2, np.nan), np.ones(3), "text", (), None, {}])
@pytest.mark.parametrize("warm_start", [rs.Previous(), rs.Extrapolated(2)], ids=str)
def test_spoiled_solutions_in_memory_do_no_harm(spoiled, warm_start):
    for value in ((spoiled,), spoiled):
        memory = rs.Memory({"solutions": rs.Entry(value, depends=())})
        sols = list(
            rs.solve_sequence(
                problems(3), HostHalve(), warm_start=warm_start, memory=memory, rtol=1e-8
            )
        )
        assert all(sol.converged for sol in sols)


def test_sizes_may_change_along_the_way():
    many = [Shrink(np.full(n, 2.0)) for n in (2, 2, 3, 3, 2)]
    sols = list(rs.solve_sequence(many, HostHalve(), warm_start=rs.Extrapolated(1), rtol=1e-8))
    assert all(sol.converged for sol in sols)
    assert [sol.x.size for sol in sols] == [2, 2, 3, 3, 2]


class TestCheckpoint:
    def test_finished_members_are_not_redone(self, tmp_path):
        steps = []

        class Watched(HostHalve):
            def step(self, problem, state):
                steps.append(1)
                return super().step(problem, state)

        first = list(rs.solve_sequence(problems(3), Watched(), checkpoint=tmp_path / "c"))
        done = len(steps)
        again = list(rs.solve_sequence(problems(5), Watched(), checkpoint=tmp_path / "c"))
        assert len(steps) == done * 5 // 3
        for one, two in zip(first, again, strict=False):
            assert np.array_equal(one.x, two.x)
            assert two.converged
            assert two.steps == one.steps
            assert two.calls == one.calls
            assert any("read from the checkpoint" in note for note in two.notes)

    def test_a_tighter_tolerance_is_honoured(self, tmp_path):
        list(rs.solve_sequence(problems(2), HostHalve(), rtol=1e-2, checkpoint=tmp_path / "c"))
        tight = list(
            rs.solve_sequence(problems(2), HostHalve(), rtol=1e-9, checkpoint=tmp_path / "c")
        )
        for i, sol in enumerate(tight):
            assert sol.converged
            assert abs(sol.x - (1.0 + i)).max() <= 1e-9
            assert sol.certificate.target == pytest.approx(1e-9)

    def test_a_damaged_member_is_solved_again(self, tmp_path):
        first = list(rs.solve_sequence(problems(3), HostHalve(), checkpoint=tmp_path))
        place = sorted(tmp_path.glob("*.rs"))[1]
        place.write_bytes(place.read_bytes()[:40])
        again = list(rs.solve_sequence(problems(3), HostHalve(), checkpoint=tmp_path))
        assert [bool(sol.notes) for sol in again] == [True, False, True]
        assert all(np.array_equal(a.x, b.x) for a, b in zip(first, again, strict=True))
        whole = list(rs.solve_sequence(problems(3), HostHalve(), checkpoint=tmp_path))
        assert all(sol.notes for sol in whole)

    def test_another_sequence_is_refused(self, tmp_path):
        list(rs.solve_sequence(problems(2), HostHalve(), checkpoint=tmp_path))
        other = [Shrink(np.full(2, 7.5))]
        with pytest.raises(ValueError, match=VOICE) as caught:
            list(rs.solve_sequence(other, HostHalve(), checkpoint=tmp_path))
        assert "another problem" in str(caught.value)

    def test_what_the_mark_cannot_see_is_measured(self, tmp_path):
        class Hidden(Shrink):
            """Its data are not in its tree, as with a function."""

            shift: float = rs._core.value.static(0.0)

            def residual(self, x):
                return x - self.answer - self.shift

        class Go(HostHalve):
            def step(self, problem, state):
                goal = problem.answer + problem.shift
                return state._replace(x=goal + 0.5 * (state.x - goal), steps=state.steps + 1)

        data = np.ones(2)
        list(rs.solve_sequence([Hidden(data)], Go(), checkpoint=tmp_path))
        (sol,) = rs.solve_sequence([Hidden(data, shift=5.0)], Go(), checkpoint=tmp_path)
        assert sol.converged
        assert np.allclose(sol.x, 6.0, atol=1e-5)

    def test_unfinished_members_are_tried_again(self, tmp_path):
        list(rs.solve_sequence(problems(2), HostHalve(), max_steps=2, checkpoint=tmp_path))
        sols = list(rs.solve_sequence(problems(2), HostHalve(), checkpoint=tmp_path))
        assert all(sol.converged for sol in sols)

    def test_jax_solutions_come_back_as_jax(self, tmp_path):
        import jax
        import jax.numpy as jnp

        many = [Shrink(jnp.full(2, 3.0))]
        list(rs.solve_sequence(many, Halve(), checkpoint=tmp_path, rtol=1e-4))
        (sol,) = rs.solve_sequence(many, Halve(), checkpoint=tmp_path, rtol=1e-4)
        assert isinstance(sol.x, jax.Array)
        assert sol.x.dtype == jnp.float32


KILLED = """
import os, signal, sys
import numpy as np
import scipy.sparse as sparse
import resolvent as rs

folder, last = sys.argv[1], int(sys.argv[2])

def problems():
    for i in range(6):
        print("pulled", i, flush=True)
        n = 30
        A = sparse.diags_array(
            [-np.ones(n - 1), np.full(n, 2.1 + 0.1 * i), -np.ones(n - 1)], offsets=[-1, 0, 1]
        )
        yield rs.LinearSystem(A, np.ones(n))
        if i == last:
            os.kill(os.getpid(), signal.SIGKILL)

sols = rs.solve_sequence(
    problems(), rs.linear.CG(), warm_start=rs.Previous(), checkpoint=folder, rtol=1e-10
)
for sol in sols:
    again = any("checkpoint" in note for note in sol.notes)
    print("done", sol.index, sol.steps, again, float(sol.x.sum()).hex(), flush=True)
"""


def test_a_killed_sequence_resumes_to_the_same_solutions(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(KILLED))

    def run(folder, last):
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path / folder), str(last)],
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        rows = [line.split() for line in done.stdout.splitlines() if line.startswith("done")]
        return done.returncode, rows

    code, whole = run("straight", -1)
    assert code == 0
    assert len(whole) == 6
    code, begun = run("killed", 3)
    assert code == -signal.SIGKILL
    assert 0 < len(begun) < 6
    code, resumed = run("killed", -1)
    assert code == 0
    # Index, steps and the last bit of the answers agree; what was finished is read, not redone.
    assert [row[:3] + row[4:] for row in resumed] == [row[:3] + row[4:] for row in whole]
    assert [row[3] for row in resumed[: len(begun)]] == ["True"] * len(begun)
    assert resumed[-1][3] == "False"


class TestExecutor:
    def test_threads_give_the_same_solutions(self):
        plain = list(rs.solve_sequence(problems(5), HostHalve(), rtol=1e-8))
        with ThreadPoolExecutor(2) as pool:
            sols = list(
                rs.solve_sequence(problems(5), HostHalve(), rtol=1e-8, executor=pool, pieces=2)
            )
        assert [sol.index for sol in sols] == list(range(5))
        for one, two in zip(plain, sols, strict=True):
            assert two.converged
            assert np.allclose(one.x, two.x, rtol=1e-7)

    def test_more_pieces_than_problems(self):
        with ThreadPoolExecutor(2) as pool:
            sols = list(rs.solve_sequence(problems(2), HostHalve(), executor=pool, pieces=7))
        assert [sol.index for sol in sols] == [0, 1]

    def test_an_error_in_a_piece_comes_through(self):
        many = [*problems(2), np.eye(2)]
        with ThreadPoolExecutor(2) as pool, pytest.raises(TypeError, match="problem: given"):
            list(rs.solve_sequence(many, HostHalve(), executor=pool, pieces=2))

    @pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
    def test_processes_with_a_checkpoint(self, tmp_path):
        import multiprocessing

        import scipy.sparse as sparse

        many = [
            rs.LinearSystem(sparse.diags_array(np.arange(1.0, 6.0) + i), np.ones(5))
            for i in range(4)
        ]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            sols = list(
                rs.solve_sequence(
                    many, rs.linear.CG(), executor=pool, pieces=2, checkpoint=tmp_path, rtol=1e-9
                )
            )
        assert [sol.index for sol in sols] == [0, 1, 2, 3]
        assert all(sol.converged for sol in sols)
        again = list(rs.solve_sequence(many, rs.linear.CG(), checkpoint=tmp_path, rtol=1e-9))
        assert all(any("checkpoint" in note for note in sol.notes) for sol in again)
