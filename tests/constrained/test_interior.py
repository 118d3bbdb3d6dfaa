"""The interior point method: known answers, what guards its steps, ends in the right words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from constrained.drawn_programs import by_simplex, drawn, solved
from constrained.known_programs import linear_program, of_every_kind

import resolvent as rs
from resolvent.constrained import PrimalDualInteriorPoint
from resolvent.constrained.interior import barrier, newton_step
from resolvent.constrained.interior import filter as filters

slow = pytest.mark.slow


def on_a_wall():
    """The objective has no value at the first guess, which lies on a bound."""
    return rs.ConstrainedProblem(
        lambda x: -jnp.log(x).sum(), lambda x: x @ jnp.array([1.0, 2.0]) - 4,
        bounds=(0.0, None), x0=np.zeros(2),
    )  # fmt: skip


def repeated():
    return rs.ConstrainedProblem(
        lambda x: x @ x, lambda x: jnp.stack([x.sum() - 1, 2 * x.sum() - 2]),
        x0=np.array([2.0, 1.0]),
    )  # fmt: skip


def no_way_along_lines():
    """Newton steps cut short of the bounds never reach the equations of this one (Waechter and
    Biegler, 2000)."""
    return rs.ConstrainedProblem(
        lambda x: x[0], lambda x: jnp.stack([x[0] ** 2 - x[1] - 1, x[0] - x[2] - 0.5]),
        bounds=(np.array([-np.inf, 0, 0]), None), x0=np.array([-2.0, 3.0, 1.0]),
    )  # fmt: skip


def fixed_unknown():
    return rs.ConstrainedProblem(
        lambda x: ((x - 2) ** 2).sum(), inequalities=lambda x: x.sum() - 3,
        bounds=(np.array([0.5, -np.inf, -np.inf]), np.array([0.5, np.inf, np.inf])),
        x0=np.zeros(3),
    )  # fmt: skip


KNOWN = {
    "every kind": (of_every_kind, [1.0, 4.7429994, 3.8211503, 1.3794082]),
    "linear program": (linear_program, [3.0, 1.0]),
    "on a wall": (on_a_wall, [2.0, 1.0]),
    "repeated": (repeated, [0.5, 0.5]),
    "no way along lines": (no_way_along_lines, [1.0, 0.0, 0.5]),
    "fixed unknown": (fixed_unknown, [0.5, 1.25, 1.25]),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "every kind" else slow) for n in KNOWN]
)
def test_known_answers_are_found(name):
    problem, answer = KNOWN[name]
    problem = problem()
    sol = rs.solve(problem, PrimalDualInteriorPoint(), rtol=1e-8)
    assert np.allclose(sol.x, answer, rtol=0, atol=1e-6)
    assert (sol.witness.inequalities >= 0).all()
    assert rs.certify(problem, sol.x, sol.witness, rtol=1e-8).holds
    assert rs.constrained.second_order(problem, sol.x, sol.witness).minimizer


def contradicting():
    return rs.ConstrainedProblem(
        lambda x: x @ x, lambda x: jnp.stack([x @ x - 1, x.sum() - 5]), x0=np.array([2.0, 1.0])
    )  # fmt: skip


def too_far():
    return rs.ConstrainedProblem(
        lambda x: x @ x, None, lambda x: 10 - x.sum(), (0.0, 1.0), x0=np.array([2.0, 1.0])
    )  # fmt: skip


def in_other_units():
    """The least violation depends on what rows are measured in: here the first counts most."""
    return rs.ConstrainedProblem(
        lambda x: x[0] ** 2, lambda x: jnp.stack([1e4 * (x[0] - 1), x[0] - 2]), x0=np.zeros(1)
    )  # fmt: skip


def bottomless():
    return rs.ConstrainedProblem(lambda x: -(x[1] ** 2), lambda x: x[0] - 1, x0=np.array([2.0, 1]))


ENDS = {
    "contradicting": (contradicting, rs.Reason.infeasible),
    "too far": (too_far, rs.Reason.infeasible),
    "in other units": (in_other_units, rs.Reason.infeasible),
    "bottomless": (bottomless, rs.Reason.diverged),
}


@slow
@pytest.mark.parametrize("name", ENDS)
def test_where_there_is_no_answer_that_is_said(name):
    problem, reason = ENDS[name]
    sol = rs.solve(problem(), PrimalDualInteriorPoint(), throw=False)
    assert sol.reason is reason
    assert not sol.converged
    if name == "contradicting":
        # Both gradients point along (1, 1) where x = (a, a): 4 a (2 a^2 - 1) + 2 (2 a - 5) = 0.
        a = np.roots([8, 0, 0, -10])
        assert np.allclose(sol.x, float(a[np.isreal(a)].real[0]), atol=1e-5)
    elif name == "too far":
        assert sol.certificate.details["violation"] == pytest.approx(8.0)
    elif name == "in other units":
        assert np.allclose(sol.x, (1e8 + 2) / (1e8 + 1), atol=1e-12)
    if reason is rs.Reason.infeasible:
        details = sol.certificate.details
        assert details["violation_slope"] <= 1e-6 * 1e8 ** (name == "in other units")


@pytest.mark.parametrize(
    ("linear", "quadratic"),
    [
        ((0, 4, 33, 39, 45, 148), (1, 2, 5, 9, 11, 121)),
        pytest.param((25,), (22,), marks=slow, id="in hundreds of steps"),
    ],
)
def test_programs_are_solved_or_infeasible_as_the_simplex_method_says(linear, quadratic):
    kinds = []
    for seed in (*linear, *quadratic):
        parts, bend = drawn(seed), float(seed in quadratic)
        known = by_simplex(parts, bend)
        sol = solved(parts, bend, PrimalDualInteriorPoint())
        kinds.append(known.status)
        if known.status == 2:
            assert sol.reason is rs.Reason.infeasible, seed
            assert sol.certificate.details["violation"] > 0.1, seed
            assert sol.certificate.details["violation_slope"] <= 1e-6, seed
        else:
            assert known.status == 0
            assert sol.converged, seed
            g, A, b, H, d = parts[:5]
            assert max(np.abs(A @ sol.x - b).max(), (H @ sol.x - d).max()) <= 1e-5, seed
            # What meets the conditions of a convex program minimizes it.
            assert bend or g @ sol.x == pytest.approx(known.fun, abs=1e-4), seed
    assert set(kinds) == {0, 2}


@slow
def test_steps_leave_where_curvature_is_negative():
    """x = 0 is stationary, and a maximizer of what the bounds leave free."""
    problem = rs.ConstrainedProblem(
        lambda x: -(x[0] ** 2) + (x[1] - 1) ** 2, bounds=(-1.0, 2.0), x0=np.array([0.1, 0.0])
    )
    sol = rs.solve(problem, PrimalDualInteriorPoint(), rtol=1e-8)
    assert np.allclose(sol.x, [2.0, 1.0], atol=1e-6)
    assert rs.constrained.second_order(problem, sol.x, sol.witness).minimizer


@slow
def test_corrections_keep_steps_long():
    """On this circle full steps raise both the objective and the violation (Maratos)."""
    angle = 0.8
    problem = rs.ConstrainedProblem(
        lambda x: 2 * (x @ x - 1) - x[0], lambda x: x @ x - 1,
        x0=np.array([np.cos(angle), np.sin(angle)]),
    )  # fmt: skip
    sol = rs.solve(problem, PrimalDualInteriorPoint(), rtol=1e-12, atol=1e-12)
    assert np.allclose(sol.x, [1.0, 0.0], atol=1e-10)
    assert sol.steps <= 7


@slow
def test_single_precision_and_batches():
    """Each problem of a batch with its own bound, in single precision, at once."""

    def f(x, t):
        return x[0] * x[3] * x[:3].sum() + x[2]

    def h(x, t):
        return 25 - x.prod() + t

    def c(x, t):
        return x @ x - 40

    start = jnp.array([1.0, 5.0, 5.0, 1.0])
    problems = [
        rs.ConstrainedProblem(f, c, h, (1.0, 5.0), args=jnp.asarray(t), x0=start)
        for t in (0.0, 1.0)
    ]
    batch = rs.solve_batch(problems, PrimalDualInteriorPoint(), rtol=1e-4)
    assert batch.converged.all()
    assert batch.x.dtype == jnp.float32
    for x, one in zip(batch.x, problems, strict=True):
        alone = rs.solve(one, PrimalDualInteriorPoint(), rtol=1e-4)
        assert np.allclose(x, alone.x, atol=1e-4)
    assert np.allclose(batch.x[0], [1.0, 4.743, 3.8211, 1.3794], atol=2e-3)


@slow
@pytest.mark.parametrize("seed", range(3))
def test_shifts_give_the_matrix_its_eigenvalues(seed):
    """As many positive ones as unknowns, negative ones as rows, and never without need."""
    rng = np.random.default_rng(seed)
    n, m = 6, 3
    H = rng.standard_normal((n, n))
    H, J = H + H.T, rng.standard_normal((m, n))
    J[2] = J[0] + J[1] if seed == 2 else J[2]
    with jax.enable_x64(True):
        one = jnp.ones(n)
        curved = newton_step.Curved(jnp.asarray(H), jnp.asarray(J), 1e-9 * one, None, one)
        curved = curved._replace(give=newton_step.yielding(*curved[:3]))
        shift, _ = newton_step.shift_for(curved, jnp.asarray(0.0), jnp.asarray(0.0))
        K = np.asarray(newton_step.matrix(newton_step.solver(curved, shift)))
        shift = float(shift)
    along = np.linalg.svd(J)[2][np.linalg.matrix_rank(J) :]
    least = np.linalg.eigvalsh(along @ H @ along.T)[0]
    values = np.linalg.eigvalsh(K)
    assert (values > 0).sum() == n
    assert (values < 0).sum() == m
    assert (shift == 0) == (least > 0)
    assert shift <= max(0, 200 * -least)


@slow
@pytest.mark.parametrize("bend", [1e-7, -1e-7])
def test_curvature_that_rounding_hides_behind_rows_is_seen(bend):
    """Along (1, -1) only the curvature counts, 1e-15 of what the row adds elsewhere."""
    with jax.enable_x64(True):
        two, J = jnp.ones(2), jnp.ones((1, 2))
        curved = newton_step.Curved(bend * jnp.eye(2), J, 0 * two, 1e-8 * jnp.ones(1), two)
        shift, _ = newton_step.shift_for(curved, jnp.asarray(0.0), jnp.asarray(0.0))
        shift = float(shift)
    assert (shift == 0) if bend > 0 else (shift > -bend)


@slow
def test_inequalities_that_outnumber_unknowns_are_eliminated():
    """The smaller system has the solution of the whole one, however stiff slacks are."""
    rng = np.random.default_rng(0)
    n, m, p = 3, 1, 7
    H = rng.standard_normal((n, n))
    H, J = H @ H.T, rng.standard_normal((m + p, n))
    stiff, give = np.exp(rng.uniform(-12, 12, n + p)), np.full(m + p, 1e-8)
    with jax.enable_x64(True):
        curved = newton_step.Curved(*map(jnp.asarray, (H, J, stiff, give, np.ones(n))))
        system = newton_step.solver(curved, jnp.asarray(0.1))
        assert newton_step.matrix(system).shape == (n + m, n + m)
        b = rng.standard_normal(n + m + p)
        z = np.asarray(newton_step.solution(system, jnp.asarray(b)))
    give[m:] += 1 / (stiff[n:] + 0.1)
    K = np.block([[H + np.diag(stiff[:n] + 0.1), J.T], [J, -np.diag(give)]])
    assert np.allclose(K @ z, b, rtol=0, atol=1e-13 * np.abs(K) @ np.abs(z))


@slow
def test_logarithms_push_as_they_slope_and_end_to_grow():
    """Far from a bound without another opposite, what ties points to it weighs more."""
    low, high = np.array([0.0, 0, -np.inf, -np.inf]), np.array([1.0, np.inf, 2, np.inf])
    with jax.enable_x64(True):
        box = barrier.box(jnp.asarray(low), jnp.asarray(high))
        w = jnp.array([0.3, 4.0, -5.0, 6.0])
        slope = jax.grad(lambda w: barrier.logarithms(box, w))(w)
        assert np.allclose(barrier.push(box, w, 0.1), 0.1 * slope, rtol=1e-14)
        near, far = (barrier.logarithms(box, w.at[1].set(away)) for away in (1e5, 1e7))
        assert far < near


def test_the_filter_admits_what_is_better_in_one_of_both():
    kept = filters.with_pair(filters.empty(jnp.asarray(100.0)), 2.0, 5.0, True)
    kept = filters.with_pair(kept, 1.0, 7.0, True)
    assert filters.admits(kept, 1.5, 4.0)
    assert filters.admits(kept, 0.5, 9.0)
    assert filters.admits(kept, 1.5, 6.0)
    assert not filters.admits(kept, 2.5, 6.0)
    assert not filters.admits(kept, 1.5, 8.0)
    assert not filters.admits(kept, 101.0, 0.0)
    assert not filters.admits(kept, 1.0, float("nan"))
    # A pair that makes others needless takes the place of one.
    assert jnp.isfinite(filters.with_pair(kept, 0.5, 1.0, True).values).sum() == 2


def test_parameters_out_of_range_are_refused():
    for given in ({"mu": 0.0}, {"fall": 1.0}, {"power": 2.0}, {"centered": -1.0}, {"closest": 0}):
        with pytest.raises(ValueError, match=next(iter(given))):
            PrimalDualInteriorPoint(**given)
