"""GCRO-DR as a method: memory, sequences, preconditioners that change, resuming."""

import numpy as np
import pytest
import scipy.sparse.linalg

import resolvent as rs
from resolvent._core.memory import Entry
from resolvent.linear import (
    GCRODR,
    GMRES,
    JacobiPreconditioner,
    SSORPreconditioner,
    recycling,
    sort_greedy,
)
from resolvent.papers.krylov_recycling_data import darcy_family

RTOL = 1e-8
METHOD = GCRODR(cycle=24, recycle=8)
SYSTEMS = darcy_family(np.random.default_rng(0), 22, 8)


def problems():
    return [rs.LinearSystem(system.matrix, system.rhs) for system in SYSTEMS]


def relative(problem, x):
    return np.linalg.norm(problem.b - problem.operator.mv(x)) / np.linalg.norm(problem.b)


def test_memory_survives_a_file(tmp_path):
    first, second = problems()[:2]
    memory = rs.solve(first, METHOD, rtol=RTOL).memory
    memory.save(tmp_path / "memory.rs")
    loaded = rs.Memory.load(tmp_path / "memory.rs")
    direct = rs.solve(second, METHOD, rtol=RTOL, memory=memory)
    again = rs.solve(second, METHOD, rtol=RTOL, memory=loaded)
    assert np.array_equal(direct.x, again.x)
    assert direct.steps == again.steps < rs.solve(second, METHOD, rtol=RTOL).steps


def test_memory_is_not_changed_by_the_solve_that_uses_it():
    first, second = problems()[:2]
    memory = rs.solve(first, METHOD, rtol=RTOL).memory
    before = {name: rows.copy() for name, rows in memory.get("recycled").items()}
    rs.solve(second, METHOD, rtol=RTOL, memory=memory)
    for name, rows in memory.get("recycled").items():
        assert np.array_equal(rows, before[name])


N = len(SYSTEMS[0].rhs)
ROWS = np.random.default_rng(1).standard_normal((8, N))


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"directions": ROWS},
        {"directions": ROWS, "images": ROWS[:3], "shadows": ROWS[:0]},
        {"directions": ROWS[:, :5], "images": ROWS[:, :5], "shadows": ROWS[:0, :5]},
        {"directions": ROWS, "images": ROWS, "shadows": ROWS[:0]},
        {"directions": ROWS * np.nan, "images": ROWS, "shadows": ROWS[:0]},
        {"directions": ROWS * 0.0, "images": ROWS, "shadows": ROWS[:0]},
        {"directions": np.ones((8, N)), "images": ROWS, "shadows": ROWS},
    ],
)
def test_garbage_in_memory_never_spoils_the_answer(value):
    problem = problems()[0]
    memory = rs.Memory({"recycled": Entry(value, depends=())})
    sol = rs.solve(problem, METHOD, rtol=RTOL, memory=memory)
    assert sol.converged
    assert relative(problem, sol.x) <= RTOL * (1 + 1e-6)


def skewed(matrix, count, seed=0):
    """A space with A U = C whose images are far from orthonormal."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, matrix.shape[0])) @ np.diag(
        np.geomspace(1.0, 30.0, matrix.shape[0])
    )
    images = np.ascontiguousarray((matrix @ directions.T).T)
    return {"directions": directions, "images": images, "shadows": ROWS[:0]}


def test_images_that_are_not_orthonormal_do_not_raise_the_residual():
    matrix, b = SYSTEMS[0].matrix, SYSTEMS[0].rhs
    value = skewed(matrix, 8)
    space = recycling.RecycledSpace(**value)
    state = recycling.begin(np.zeros(N), b, matrix.dot, cycle=24, recycle=8, space=space)
    assert state.recycled == 8
    assert state.products == 1  # the images themselves were right
    assert state.norm <= np.linalg.norm(b)
    C, U = state.basis[:8], state.directions[:8]
    assert np.abs(C @ C.T - np.eye(8)).max() <= 1e-13
    assert np.abs(matrix @ U.T - C.T).max() <= 1e-10
    assert np.abs(b - matrix @ state.x - state.residual).max() <= 1e-10 * np.linalg.norm(b)
    problem = rs.LinearSystem(matrix, b)
    memory = rs.Memory({"recycled": Entry(value, depends=())})
    cold = rs.solve(problem, METHOD, rtol=RTOL)
    sol = rs.solve(problem, METHOD, rtol=RTOL, memory=memory, max_steps=2 * cold.steps)
    assert sol.converged
    assert not any("rejected" in note for note in sol.notes)


def test_memory_of_another_size_is_dropped_with_a_note():
    small = darcy_family(np.random.default_rng(2), 12, 1)[0]
    memory = rs.solve(rs.LinearSystem(small.matrix, small.rhs), METHOD).memory
    sol = rs.solve(problems()[0], METHOD, rtol=RTOL, memory=memory)
    assert sol.converged
    assert any("recycled" in note for note in sol.notes)


@pytest.mark.parametrize("M", [None, SSORPreconditioner()])
def test_a_sequence_gets_cheaper_and_counts_its_set_up(M):
    method = METHOD.but(preconditioner=M)
    fresh = [rs.solve(problem, method, rtol=RTOL) for problem in problems()]
    sols = list(rs.solve_sequence(problems(), method, rtol=RTOL))
    assert sum(s.steps for s in sols[1:]) < 0.8 * sum(s.steps for s in fresh[1:])
    assert sum(s.calls["matvec"] for s in sols) < sum(s.calls["matvec"] for s in fresh)
    for problem, sol in zip(problems(), sols, strict=True):
        assert sol.converged
        assert relative(problem, sol.x) <= RTOL * (1 + 1e-6)
        if sol.index:
            assert 7 <= sol.calls["matvec"] - sol.steps <= 12
        if M is not None:
            assert sol.calls["precondition"] == sol.steps


def test_a_sorted_sequence_comes_in_its_order():
    order = sort_greedy(np.stack([system.parameters for system in SYSTEMS]))
    sols = list(rs.solve_sequence(problems(), METHOD, order=order, rtol=RTOL))
    assert [sol.index for sol in sols] == list(order)
    for sol in sols:
        assert relative(problems()[sol.index], sol.x) <= RTOL * (1 + 1e-6)


def test_warm_starts_and_recycling_go_together():
    matrix, b = SYSTEMS[0].matrix, SYSTEMS[0].rhs
    moving = [rs.LinearSystem(matrix, (1.0 + 0.1 * t) * b) for t in range(4)]
    sols = list(rs.solve_sequence(moving, METHOD, warm_start=rs.Extrapolated(1), rtol=RTOL))
    assert all(sol.converged for sol in sols)
    # The solutions lie on a line: what is left of the third and fourth is a few times the
    # tolerance, and the recycled space takes it.
    assert max(sols[2].steps, sols[3].steps) <= 6 < sols[0].steps
    assert {"recycled", "solutions"} <= set(sols[-1].memory.entries)


def test_the_preconditioner_may_change_from_system_to_system():
    memory = None
    choices = [SSORPreconditioner(), None, JacobiPreconditioner(), SSORPreconditioner(1.3)]
    for problem, M in zip(problems(), choices, strict=False):
        method = METHOD.but(preconditioner=M)
        cold = rs.solve(problem, method, rtol=RTOL)
        sol = rs.solve(problem, method, rtol=RTOL, memory=memory)
        assert sol.converged
        assert relative(problem, sol.x) <= RTOL * (1 + 1e-6)
        if memory is not None:
            assert sol.steps < cold.steps
        memory = sol.memory


def test_an_unchanged_matrix_costs_one_product_of_set_up():
    matrix, b = SYSTEMS[0].matrix, SYSTEMS[0].rhs
    memory = rs.solve(rs.LinearSystem(matrix, b), METHOD, rtol=RTOL).memory
    other = rs.LinearSystem(matrix, np.random.default_rng(3).standard_normal(len(b)))
    sol = rs.solve(other, METHOD, rtol=RTOL, memory=memory)
    assert sol.calls["matvec"] == sol.steps + 1


def test_a_sequence_resumes_from_its_folder(tmp_path):
    whole = list(rs.solve_sequence(problems(), METHOD, rtol=RTOL))
    started = rs.solve_sequence(problems(), METHOD, rtol=RTOL, checkpoint=tmp_path)
    for _ in range(3):
        next(started)
    started.close()
    resumed = list(rs.solve_sequence(problems(), METHOD, rtol=RTOL, checkpoint=tmp_path))
    assert ["read from the checkpoint" in sol.notes for sol in resumed] == [True] * 3 + [False] * 5
    for one, other in zip(whole, resumed, strict=True):
        assert one.steps == other.steps
        assert np.array_equal(one.x, other.x)


@pytest.mark.parametrize("method", [METHOD, GMRES(restart=24)])
@pytest.mark.parametrize("last", [10, 30, 49])
def test_an_interrupted_solve_resumes_where_it_was(tmp_path, method, last):
    matrix, b = SYSTEMS[0].matrix, SYSTEMS[0].rhs
    calls = [0]

    def product(v):
        calls[0] += 1
        if calls[0] == last:
            raise KeyboardInterrupt
        return matrix @ v

    operator = scipy.sparse.linalg.LinearOperator(matrix.shape, product, dtype=float)
    problem = rs.LinearSystem(operator, b)
    path = tmp_path / "solve.rs"
    broken = rs.solve(problem, method, rtol=RTOL, checkpoint=path)
    assert str(broken.reason) == "interrupted" or broken.reason.name == "interrupted"
    assert broken.steps == last - 1
    resumed = rs.solve(problem, method, rtol=RTOL, checkpoint=path)
    calls[0] = last
    whole = rs.solve(problem, method, rtol=RTOL)
    assert resumed.converged
    assert resumed.steps == whole.steps
    assert np.array_equal(resumed.x, whole.x)


def test_slow_progress_is_not_a_stall():
    # Three eigenvalues far apart and restarts after two steps: each cycle gains little, steadily.
    matrix = np.diag([1.0, 30.0, 1000.0])
    problem = rs.LinearSystem(matrix, np.array([1.0, 1.0, 1.0]))
    sol = rs.solve(problem, GMRES(restart=1), rtol=1e-6, max_steps=100_000, throw=False)
    assert sol.converged
    shift = np.roll(np.eye(20), 1, axis=0)
    sol = rs.solve(rs.LinearSystem(shift, np.eye(20)[0]), GMRES(restart=5), throw=False)
    assert not sol.converged
    assert sol.reason.name == "stalled"
    assert sol.steps == 5 * GMRES().patience


@pytest.mark.parametrize(
    "bad", [{"cycle": 0}, {"recycle": -1}, {"cycle": 10, "recycle": 10}, {"patience": 0}]
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValueError, match=r"cycle|recycle|patience"):
        GCRODR(**bad)


def test_a_rejected_space_counts_the_set_up_once():
    n, products = 40, [0]
    A = np.diag(np.linspace(1.0, 30.0, n))

    def product(x):
        products[0] += 1
        return A @ x

    operator = scipy.sparse.linalg.LinearOperator((n, n), matvec=product, dtype=float)
    problem = rs.LinearSystem(operator, np.ones(n), positive_definite=True)
    # Without bounds the set-up spends products; both tries end stalled at rounding.
    M = rs.linear.ChebyshevPreconditioner(2)
    method = rs.linear.GCRODR(cycle=10, recycle=4, preconditioner=M)
    memory = rs.solve(problem, method).memory
    products[0], judged = 0, []

    class Judged(rs.LinearSystem):
        def __init__(self, A, b):
            super().__init__(A, b, positive_definite=True)

        def residual(self, x):
            judged.append(1)
            return super().residual(x)

    problem = Judged(operator, np.ones(n))
    sol = rs.solve(problem, method, memory=memory, rtol=1e-30, throw=False)
    assert any("rejected" in note for note in sol.notes)
    # The certificate's products are not the method's: it measures by the residual alone.
    assert sol.calls["matvec"] == products[0] - len(judged)
