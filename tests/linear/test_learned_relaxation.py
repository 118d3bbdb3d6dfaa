"""Learned relaxation: what is drawn, what is told to the learner, what is kept and what is not."""

import numpy as np
import pytest
import scipy.sparse as sparse

import resolvent as rs
from resolvent._core.randomness import generator
from resolvent.linear.bandit import BinnedTsallisINF, ChebCB, TsallisINF
from resolvent.linear.cg import CG
from resolvent.linear.incomplete import IncompleteCholesky
from resolvent.linear.learned_relaxation import LearnedRelaxation, Relaxation
from resolvent.linear.minres import MINRES
from resolvent.linear.preconditioners import JacobiPreconditioner, SSORPreconditioner
from resolvent.linear.relaxation import SOR, SSOR, GaussSeidel, Jacobi

LEARNERS = [TsallisINF(), BinnedTsallisINF(low=0.0, high=1.0), ChebCB(low=0.0, high=1.0)]
METHODS = [
    SOR(),
    SOR(sweep="backward"),
    SSOR(),
    CG(preconditioner=SSORPreconditioner()),
    MINRES(preconditioner=SSORPreconditioner()),
]


def laplacian(side=7):
    line = sparse.diags_array(
        [-np.ones(side - 1), 2.0 * np.ones(side), -np.ones(side - 1)], offsets=[-1, 0, 1]
    )
    eye = sparse.eye_array(side)
    return (sparse.kron(line, eye) + sparse.kron(eye, line)).tocsr()


def systems(count, seed=0, side=7):
    rng = np.random.default_rng(seed)
    A = laplacian(side)
    for shift in rng.random(count):
        shifted = (A + shift * sparse.eye_array(side * side)).tocsr()
        yield rs.LinearSystem(shifted, rng.standard_normal(side * side), context=shift)


def with_omega(method, omega):
    if isinstance(method, SOR):
        return SOR(omega, sweep=method.sweep)
    if isinstance(method, SSOR):
        return SSOR(omega)
    return type(method)(preconditioner=SSORPreconditioner(omega))


def test_it_is_made_without_arguments():
    sol = rs.solve(next(systems(1)), LearnedRelaxation())
    assert sol.converged


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_a_solve_is_that_of_the_method_with_the_drawn_omega(method, learner):
    learned = LearnedRelaxation(method, learner)
    for key, problem in enumerate(systems(4)):
        sol = rs.solve(problem, learned, rtol=1e-8, key=key)
        told = sol.memory.get("relaxation")
        plain = rs.solve(problem, with_omega(method, told.omega), rtol=1e-8)
        assert told.omega == learner.grid[told.arm]
        assert told.cost == sol.steps == plain.steps
        assert np.array_equal(sol.x, plain.x)
        assert sol.calls == plain.calls


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda one: type(one).__name__)
def test_the_learner_is_told_every_cost_once(learner):
    method = LearnedRelaxation(SOR(), learner)
    state = learner.start()
    for i, (problem, sol) in enumerate(
        zip(systems(12), rs.solve_sequence(systems(12), method, rtol=1e-8, key=3), strict=True)
    ):
        rng = generator((3, i))
        rng.bit_generator.advance(i)
        choice = learner.choose(state, problem.context, rng)
        state = learner.update(state, choice, problem.context, sol.steps)
        told = sol.memory.get("relaxation")
        assert told.arm == choice.arm
        assert told.probability == choice.probabilities[choice.arm]
        for ours, theirs in zip(told.state, state, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert learner.rounds(state) == 12


def test_the_same_key_draws_anew_once_something_was_learned():
    memory, arms = None, set()
    for problem in systems(12):
        sol = rs.solve(problem, LearnedRelaxation(SOR()), memory=memory)
        memory = sol.memory
        arms.add(memory.get("relaxation").arm)
    assert len(arms) > 4


def test_a_sequence_gets_cheaper():
    method = LearnedRelaxation(SOR(), TsallisINF(grid=(1.0, 1.3, 1.6, 1.9)))
    steps = [sol.steps for sol in rs.solve_sequence(systems(600), method, rtol=1e-8, key=0)]
    assert np.mean(steps[-200:]) < 0.85 * np.mean(steps[:100])


def test_a_solve_without_a_step_teaches_nothing():
    problem = next(systems(1))
    first = rs.solve(problem, LearnedRelaxation(), rtol=1e-8)
    again = rs.solve(problem, LearnedRelaxation(), rtol=1e-6, x0=first.x, memory=first.memory)
    assert again.steps == 0
    told = again.memory.get("relaxation")
    assert told.cost == 0
    assert told.learner.rounds(told.state) == 1


def test_a_step_limit_is_the_cost_of_a_solve_that_reached_it():
    problem = next(systems(1))
    sol = rs.solve(problem, LearnedRelaxation(SOR()), rtol=1e-8, max_steps=4, throw=False)
    told = sol.memory.get("relaxation")
    assert told.cost == 4
    assert told.state.excess[0] == 3.0


def test_a_breakdown_costs_as_much_as_the_limit():
    A = np.diag([1.0, 2.0, 3.0])
    A[0, 1] = A[1, 0] = 5.0  # positive diagonal, indefinite
    method = LearnedRelaxation()
    problem = rs.LinearSystem(sparse.csr_array(A), np.array([1.0, -1.0, 1.0]))
    sol = rs.solve(problem, method, throw=False)
    assert sol.reason is rs.Reason.breakdown
    told = sol.memory.get("relaxation")
    assert told.cost in (0, method.limit(problem))
    assert (told.cost == 0) == (sol.steps == 0)


def test_memory_passes_on_to_another_size():
    sol = rs.solve(next(systems(1)), LearnedRelaxation())
    other = rs.solve(next(systems(1, side=5)), LearnedRelaxation(), memory=sol.memory)
    told = other.memory.get("relaxation")
    assert told.learner.rounds(told.state) == 2
    assert not other.notes


@pytest.mark.parametrize(
    "other",
    [
        LearnedRelaxation(SOR(), TsallisINF(grid=np.linspace(0.5, 1.5, 20))),
        LearnedRelaxation(SOR(), TsallisINF(grid=(1.0, 1.5))),
        LearnedRelaxation(SOR(), ChebCB(low=0.0, high=1.0)),
        LearnedRelaxation(SOR(sweep="backward")),
        LearnedRelaxation(),
    ],
    ids=["values", "length", "learner", "sweep", "solver"],
)
def test_what_another_method_learned_is_not_used(other):
    problem = next(systems(1))
    sol = rs.solve(problem, LearnedRelaxation(SOR()))
    after = rs.solve(problem, other, memory=sol.memory).memory.get("relaxation")
    assert after.learner.rounds(after.state) == 1
    assert after.learner == other.learner


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: tuple(state),
        lambda state: None,
        lambda state: state._replace(estimates=state.estimates[:, :-1]),
        lambda state: state._replace(estimates=state.estimates.astype(np.float32)),
        lambda state: state._replace(estimates="many"),
        lambda state: state._replace(flagged=-1),
        lambda state: state._replace(flagged=np.zeros(3)),
    ],
)
def test_a_state_that_does_not_fit_is_begun_anew(spoil):
    problem = next(systems(1))
    sol = rs.solve(problem, LearnedRelaxation())
    kept = sol.memory.get("relaxation")
    broken = rs.Memory({"relaxation": rs.Entry(kept.but(state=spoil(kept.state)), depends=())})
    after = rs.solve(problem, LearnedRelaxation(), memory=broken).memory.get("relaxation")
    assert after.learner.rounds(after.state) == 1


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda one: type(one).__name__)
def test_what_was_learned_survives_a_file(learner, tmp_path):
    method = LearnedRelaxation(learner=learner)
    *_, sol = rs.solve_sequence(systems(6), method, key=1)
    sol.memory.save(tmp_path / "memory.rs")
    loaded = rs.Memory.load(tmp_path / "memory.rs")
    kept, found = sol.memory.get("relaxation"), loaded.get("relaxation")
    assert isinstance(found, Relaxation)
    assert found.learner == learner
    problem = next(systems(1, seed=8))
    one = rs.solve(problem, method, key=2, memory=sol.memory).memory.get("relaxation")
    two = rs.solve(problem, method, key=2, memory=loaded).memory.get("relaxation")
    assert (one.arm, one.cost) == (two.arm, two.cost)
    for ours, theirs in zip(one.state, two.state, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert learner.rounds(kept.state) == 6


def test_chunks_and_steps_count_alike():
    problem = next(systems(1)).prepare("host")
    method = LearnedRelaxation(SOR()).bind(problem)
    x0, rng = problem.start(None), np.random.default_rng(0)
    state = method.init(problem, x0, rs.Memory(), rng)
    whole, trace = method.advance(problem, state, 10, -1.0)
    state = method.init(problem, x0, rs.Memory(), np.random.default_rng(0))
    for _ in range(10):
        state = method.step(problem, state)
    assert whole.steps == state.steps == len(trace) == 10
    np.testing.assert_allclose(
        method.iterate(problem, whole)[0], method.iterate(problem, state)[0], rtol=1e-14
    )


@pytest.mark.parametrize("learner", LEARNERS[1:], ids=lambda one: type(one).__name__)
def test_a_missing_context_is_refused_in_words(learner):
    problem = rs.LinearSystem(laplacian(), np.ones(49))
    with pytest.raises(ValueError, match=r"^context: given none .*; needed .*context=c"):
        rs.solve(problem, LearnedRelaxation(learner=learner))


@pytest.mark.parametrize(
    "method",
    [
        CG(),
        CG(preconditioner=JacobiPreconditioner()),
        CG(preconditioner=IncompleteCholesky()),
        GaussSeidel(),
        Jacobi(),
        "sor",
        SOR,
    ],
    ids=str,
)
def test_a_method_without_a_parameter_to_learn_is_refused(method):
    with pytest.raises(TypeError, match="^method: given"):
        LearnedRelaxation(method)


@pytest.mark.parametrize("learner", ["chebcb", ChebCB, None])
def test_something_else_than_a_learner_is_refused(learner):
    with pytest.raises(TypeError, match="^learner: given"):
        LearnedRelaxation(learner=learner)
