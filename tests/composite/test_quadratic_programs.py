# ruff: noqa: E741 -- l and I are what the field calls them
"""Quadratic programs: closed forms, degenerate data, proofs that there is no answer, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import linprog

import resolvent as rs
from resolvent.composite import ActiveSet, InteriorPoint, OperatorSplitting

METHODS = [ActiveSet(), OperatorSplitting(), InteriorPoint(), OperatorSplitting(polish=True)]
NAMES = ["active", "splitting", "interior", "polished"]
each = pytest.mark.parametrize("method", METHODS, ids=NAMES)
N, M = 6, 3


def data(seed=0, n=N, m=M):
    """A program with bounds on both sides of x and of rows; x = 0 meets them all."""
    rng = np.random.default_rng([seed, 17])
    root = rng.standard_normal((n, n))
    A = rng.standard_normal((m, n))
    l, u = -rng.uniform(0.1, 0.5, m), rng.uniform(0.1, 0.5, m)
    return root @ root.T / n + 0.1 * np.eye(n), 2 * rng.standard_normal(n), A, l, u


def check_conditions(P, q, A, l, u, low, high, sol, rtol=1e-7):
    """The conditions of optimality in NumPy, term by term."""
    x, y, z = sol.x, sol.witness.rows, sol.witness.bounds
    size = np.abs(q).max() + np.abs(P @ x).max()
    assert np.abs(P @ x + q + A.T @ y + z).max() <= rtol * size
    for value, multiplier, below, above in ((A @ x, y, l, u), (x, z, low, high)):
        assert (value >= below - rtol).all()
        assert (value <= above + rtol).all()
        assert (np.where(multiplier > rtol, above - value, 0) <= rtol).all()
        assert (np.where(multiplier < -rtol, value - below, 0) <= rtol).all()


@each
@pytest.mark.parametrize("seed", range(3))
def test_rows_and_bounds_meet_the_conditions_of_optimality(method, seed):
    P, q, A, l, u = data(seed)
    l[0] = u[0]
    low, high = np.full(N, -0.4), np.r_[np.full(N - 1, 0.6), np.inf]
    sol = rs.solve(rs.QuadraticProgram(P, q, A, l, u, lower=low, upper=high), method, rtol=1e-9)
    check_conditions(P, q, A, l, u, low, high, sol)
    assert np.abs(sol.witness.rows).max() > 1e-3
    assert sol.witness.ray.tolist() == [0.0] * N
    # The same written with all bounds as rows, and as sparse matrices.
    stacked = np.vstack([A, np.eye(N)])
    again = rs.QuadraticProgram(
        scipy.sparse.csc_matrix(P), q, scipy.sparse.csr_matrix(stacked), np.r_[l, low],
        np.r_[u, high],
    )  # fmt: skip
    assert np.allclose(rs.solve(again, method, rtol=1e-9).x, sol.x, atol=1e-6)


@each
def test_equations_have_the_closed_form(method):
    P, q, A, _, u = data()
    saddle = np.block([[P, A.T], [A, np.zeros((M, M))]])
    exact = np.linalg.solve(saddle, np.r_[-q, u])
    sol = rs.solve(rs.QuadraticProgram(P, q, A, u, u), method, rtol=1e-9)
    assert np.allclose(sol.x, exact[:N], atol=1e-7)
    assert np.allclose(sol.witness.rows, exact[N:], atol=1e-7)
    free = rs.solve(rs.QuadraticProgram(P, q), method, rtol=1e-9)
    assert np.allclose(free.x, -np.linalg.solve(P, q))


def test_equations_are_one_step_of_the_active_set_method():
    P, q, A, _, u = data()
    assert rs.solve(rs.QuadraticProgram(P, q, A, u, u), ActiveSet(), rtol=1e-7).steps == 1


@each
def test_the_projection_onto_the_simplex_is_a_program(method):
    point = np.array([0.9, 0.6, -0.2, 0.1])
    program = rs.QuadraticProgram(np.eye(4), -point, np.ones((1, 4)), 1.0, 1.0, lower=0.0)
    sol = rs.solve(program, method, rtol=1e-10)
    assert np.allclose(sol.x, [0.65, 0.35, 0.0, 0.0], atol=1e-8)


@each
def test_a_linear_program_agrees_with_scipy(method):
    rng = np.random.default_rng(4)
    A, c = rng.standard_normal((4, 5)), rng.uniform(0.1, 1.0, 5)
    u = A @ rng.uniform(0, 1, 5) - 0.1
    program = rs.QuadraticProgram(np.zeros((5, 5)), c, A, u=u, lower=0.0, upper=2.0)
    peer = linprog(c, A, u, bounds=(0, 2))
    sol = rs.solve(program, method, rtol=1e-7)
    assert program.objective(sol.x) == pytest.approx(peer.fun, rel=1e-5)


def degenerate(name):
    """A program that is harder than it looks, and its value."""
    I = np.eye(2)
    if name == "repeated rows":
        return (I, np.ones(2), np.ones((3, 2)), 1.0, [1.0, 1.0, 2.0]), [0.5, 0.5]
    if name == "zero row":
        return (I, np.ones(2), np.array([[0.0, 0.0], [1.0, 0.0]]), [-1.0, 0.5], 1.0), [0.5, -1.0]
    if name == "opposite rows":
        return (I, [-3.0, -1.0], np.array([[1.0, 0], [-1.0, 0]]), -np.inf, [1.0, -1.0]), [1.0, 1.0]
    if name == "a bound at the answer":
        return (I, [-1.0, 1.0], None, [0.0, -1.0], [1.0, 1.0]), [1.0, -1.0]
    if name == "singular":
        return (np.diag([1.0, 0.0]), [-2.0, 1.0], np.ones((1, 2)), 0.0, 5.0), [3.0, -3.0]
    if name == "no freedom":
        return (I, np.ones(2), None, [0.3, -0.2], [0.3, -0.2]), [0.3, -0.2]
    return (np.zeros((2, 2)), np.zeros(2), np.ones((1, 2)), -1.0, 1.0), [0.0, 0.0]


DEGENERATE = [
    "repeated rows", "zero row", "opposite rows", "a bound at the answer", "singular", "no freedom",
    "nothing to minimize",
]  # fmt: skip


@each
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_programs(name, method):
    given, answer = degenerate(name)
    sol = rs.solve(rs.QuadraticProgram(*given), method, rtol=1e-9)
    assert np.allclose(sol.x, answer, atol=1e-6)


def without_an_answer(name):
    """A program, and whether it is infeasible or unbounded."""
    I, one = np.eye(2), np.ones((1, 2))
    return {
        "rows apart": ((I, np.ones(2), np.ones((2, 2)), [2, -np.inf], [np.inf, 1.0]), {}),
        "row outside the box": ((I, np.ones(2), one, 3.0), {"lower": 0.0, "upper": 1.0}),
        "zero row": ((I, np.ones(2), 0 * one, 1.0, 2.0), {}),
        "linear, infeasible": ((0 * I, np.ones(2), one, -2.0, -1.0), {"lower": 0.0}),
        "flat": ((np.diag([1.0, 0.0]), [1.0, -1.0]), {"lower": 0.0}),
        "flat within rows": ((0 * I, [-1.0, -1.0], np.array([[1.0, -1.0]]), -1.0, 1.0), {}),
        "flat everywhere": ((0 * I, [1.0, 0.0]), {"upper": 3.0}),
    }[name]


INFEASIBLE = ["rows apart", "row outside the box", "zero row", "linear, infeasible"]


@each
@pytest.mark.parametrize("name", [*INFEASIBLE, "flat", "flat within rows", "flat everywhere"])
def test_programs_without_an_answer_are_proved_to_have_none(name, method):
    given, bounds = without_an_answer(name)
    program = rs.QuadraticProgram(*given, **bounds)
    sol = rs.solve(program, method, throw=False)
    assert sol.reason is rs.Reason.infeasible
    assert not sol.converged
    details = sol.certificate.details
    assert bool(details["infeasible"]) == (name in INFEASIBLE)
    assert bool(details["unbounded"]) == (name not in INFEASIBLE)
    low, high = program.lower, program.upper
    if name in INFEASIBLE:
        y = sol.witness.rows / np.abs(sol.witness.rows).max()
        slope = np.asarray(given[2]).T @ y
        # The least of slope' x over the box is above what the rows admit.
        ends = np.where(slope > 0, low, high)
        ends = np.where(np.isinf(ends), -1e9 * np.sign(slope), ends)
        least = np.where(np.abs(slope) > 1e-7, slope * ends, 0)
        admitted = np.where(y > 0, program.u, program.l)
        most = np.where(np.abs(y) > 1e-7, y * admitted, 0)
        assert least.sum() > most.sum()
        return
    d = sol.witness.ray / np.abs(sol.witness.ray).max()
    assert program.q @ d < -1e-3
    assert np.abs(program.P.matrix @ d).max() <= 1e-8
    assert (d[np.isfinite(low)] >= -1e-8).all()
    assert (d[np.isfinite(high)] <= 1e-8).all()
    if program.A is not None:
        assert np.abs(program.A.matrix @ d).max() <= 1e-8


@each
def test_programs_with_an_answer_far_away_are_not_called_unbounded(method):
    program = rs.QuadraticProgram(np.diag([1.0, 1e-5]), np.array([1.0, -1.0]))
    assert np.allclose(rs.solve(program, method, rtol=1e-8).x, [-1.0, 1e5], rtol=1e-4)
    # Also where the curvature that ends the fall is tiny beside the other.
    program = rs.QuadraticProgram(np.diag([1e6, 1e-4]), np.array([-1.0, -1.0]))
    assert np.allclose(rs.solve(program, method, rtol=1e-8).x, [1e-6, 1e4], rtol=1e-4)


@each
def test_rows_that_bound_nothing_change_nothing(method):
    P, q, A, l, u = data()
    l[1], u[1] = -np.inf, np.inf
    matrices = scipy.sparse.csc_matrix(P), scipy.sparse.csc_matrix(A)
    sol = rs.solve(rs.QuadraticProgram(matrices[0], q, matrices[1], l, u), method, rtol=1e-10)
    rest = [0, 2]
    less = rs.solve(rs.QuadraticProgram(P, q, A[rest], l[rest], u[rest]), method, rtol=1e-10)
    assert np.allclose(sol.x, less.x, atol=1e-8)
    assert sol.witness.rows[1] == 0


def test_singular_programs_in_single_precision():
    root = np.random.default_rng(0).standard_normal((40, 10)).astype("f")
    P, t = root @ root.T, np.random.default_rng(1).standard_normal(40).astype("f")
    sol = rs.solve(rs.QuadraticProgram(P, -P @ t), OperatorSplitting(), rtol=1e-3)
    assert np.allclose(P @ sol.x, P @ t, atol=1e-2 * np.abs(P @ t).max())


def test_false_witnesses_prove_nothing():
    P, q, A, l, u = data()
    program = rs.QuadraticProgram(P, q, A, l, u)
    sol = rs.solve(program, rtol=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(20):
        witness = sol.witness._replace(rows=rng.standard_normal(M), ray=rng.standard_normal(N))
        found = rs.certify(program, sol.x, witness)
        assert not found.details["infeasible"]
        assert not found.details["unbounded"]
        assert not found.holds
    assert rs.certify(program, sol.x, sol.witness).holds
    # Without a witness, least squares find the multipliers of a good point, and deny a bad one.
    assert rs.certify(program, sol.x).holds
    assert not rs.certify(program, sol.x + 1e-3).holds


@pytest.mark.parametrize("method", METHODS[:3], ids=NAMES[:3])
def test_memory_saves_steps(method):
    P, q, A, l, u = data(3, 12, 6)
    cold = rs.solve(rs.QuadraticProgram(P, q, A, l, u), method, rtol=1e-7)
    moved = rs.QuadraticProgram(P, q + 1e-4, A, l, u)
    warm = rs.solve(moved, method, rtol=1e-7, memory=cold.memory, x0=cold.x)
    assert warm.steps < rs.solve(moved, method, rtol=1e-7).steps
    assert set(cold.memory.entries) == set(method.reads)


@pytest.mark.slow
def test_a_batch_of_single_precision_equals_a_loop():
    programs, loop = [], []
    for seed in range(4):
        P, q, A, l, u = (jnp.asarray(part, jnp.float32) for part in data(seed))
        programs.append(rs.QuadraticProgram(P, q, A, l, u, lower=-0.5, upper=0.5))
        loop.append(rs.solve(programs[-1], ActiveSet(), rtol=1e-4))
    batch = rs.solve_batch(programs, ActiveSet(), rtol=1e-4)
    assert batch.converged.all()
    for x, one in zip(batch.x, loop, strict=True):
        assert one.x.dtype == jnp.float32
        assert np.allclose(x, one.x, atol=1e-4)


def test_derivatives_agree_with_finite_differences():
    P, q, A, l, u = data(1)
    rng = np.random.default_rng(2)
    directions = [0.1 * rng.standard_normal(np.shape(part)) for part in (P, q, A, l, u)]
    directions[0] = directions[0] + directions[0].T
    weights = rng.standard_normal(N)
    low = np.full(N, -0.35)

    with jax.enable_x64(True):

        @jax.jit
        @jax.grad
        def slope(parts):
            program = rs.QuadraticProgram(*parts, lower=low)
            return weights @ rs.solve(program, ActiveSet(), rtol=1e-10).x

        found = slope([jnp.asarray(part) for part in (P, q, A, l, u)])
    sol = rs.solve(rs.QuadraticProgram(P, q, A, l, u, lower=low), rtol=1e-10)
    assert (np.abs(sol.witness.rows) > 1e-3).any()
    assert (sol.witness.bounds < -1e-3).any()
    for index, turn in enumerate(directions):

        def along(t, index=index, turn=turn):
            moved = [P, q, A, l, u]
            moved[index] = moved[index] + t * turn
            return float(weights @ rs.solve(rs.QuadraticProgram(*moved, lower=low), rtol=1e-12).x)

        change = (along(1e-5) - along(-1e-5)) / 2e-5
        total = float((np.asarray(found[index]) * turn).sum())
        assert total == pytest.approx(change, rel=1e-5, abs=1e-9)


VOICE = r"(?s)^.+: given .+; needed .+\. .+"


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        ({"P": np.ones((2, 3))}, ValueError, "P"),
        ({"P": np.array([[1.0, 2.0], [0.0, 1.0]])}, ValueError, "P"),
        ({"P": np.diag([1.0, -1.0])}, ValueError, "P"),
        ({"P": np.array([[1.0, 2.0], [2.0, 1.0]])}, ValueError, "P"),
        ({"P": np.full((2, 2), np.nan)}, ValueError, "P"),
        ({"P": scipy.sparse.diags([1.0, -1.0])}, ValueError, "P"),
        ({"P": scipy.sparse.csc_matrix([[1.0, 2.0], [2.0, 1.0]])}, ValueError, "P"),
        ({"P": scipy.sparse.csc_matrix([[0.0, 2.0], [2.0, 0.0]])}, ValueError, "P"),
        ({"q": np.ones(3)}, ValueError, "P"),
        ({"q": np.array([1.0, np.inf])}, ValueError, "q"),
        ({"q": np.array([1.0, 1.0j])}, TypeError, "q"),
        ({"A": np.ones((1, 3))}, ValueError, "A"),
        ({"A": np.ones(2)}, ValueError, "A"),
        ({"l": np.ones(3)}, ValueError, "l"),
        ({"l": np.nan}, ValueError, "l"),
        ({"l": np.inf}, ValueError, "l"),
        ({"u": -np.inf}, ValueError, "u"),
        ({"l": 1.0, "u": 0.0}, ValueError, "l"),
        ({"lower": 1.0, "upper": [2.0, 0.0]}, ValueError, "lower"),
        ({"A": None, "lower": 0.0}, ValueError, "l"),
        ({"convex": False}, ValueError, "convex"),
        ({"start": np.ones(3)}, ValueError, "start"),
    ],
)
def test_bad_data_are_refused_in_words(change, kind, name):
    given = {"P": np.eye(2), "q": np.ones(2), "A": np.ones((1, 2)), "l": -1.0, "u": 1.0}
    with pytest.raises(kind, match=VOICE) as caught:
        rs.QuadraticProgram(**{**given, **change})
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (ActiveSet, {"patience": 0}),
        (OperatorSplitting, {"relaxation": 2.0}),
        (OperatorSplitting, {"penalty": 0.0}),
        (OperatorSplitting, {"every": 0}),
        (InteriorPoint, {"refinements": -1}),
        (InteriorPoint, {"closest": 1.0}),
    ],
)
def test_bad_parameters_are_refused_in_words(cls, options):
    with pytest.raises(ValueError, match=VOICE):
        cls(**options)
