"""Methods for constrained problems: known answers, limits that agree, ends in the right words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from constrained.known_programs import linear_program, of_every_kind

import resolvent as rs
from resolvent.constrained import L1SQP, AugmentedLagrangian, SketchedNewton

slow = pytest.mark.slow


def three_inequalities():
    """Problem 43 of Hock and Schittkowski."""

    def h(x):
        return jnp.stack([
            x @ x + x[0] - x[1] + x[2] - x[3] - 8,
            x @ x + x[1] ** 2 + x[3] ** 2 - x[0] - x[3] - 10,
            x @ x + x[0] ** 2 - x[3] ** 2 + 2 * x[0] - x[1] - x[3] - 5,
        ])  # fmt: skip

    def f(x):
        return x @ x + x[2] ** 2 - 5 * x[0] - 5 * x[1] - 21 * x[2] + 7 * x[3]

    return rs.ConstrainedProblem(f, inequalities=h, x0=np.zeros(4))


KNOWN = {
    "every kind": (of_every_kind, [1.0, 4.7429994, 3.8211503, 1.3794082]),
    "three inequalities": (three_inequalities, [0.0, 1.0, 2.0, -1.0]),
    "linear program": (linear_program, [3.0, 1.0]),
}


@slow
@pytest.mark.parametrize("name", KNOWN)
def test_the_augmented_lagrangian_finds_known_answers(name):
    problem, answer = KNOWN[name]
    problem = problem()
    sol = rs.solve(problem, AugmentedLagrangian(), rtol=1e-7)
    assert np.allclose(sol.x, answer, rtol=0, atol=3e-6)
    assert (sol.witness.inequalities >= 0).all()
    # Anybody can see that it is one, without the multipliers.
    assert rs.certify(problem, sol.x, rtol=1e-6).holds
    assert rs.constrained.second_order(problem, sol.x, sol.witness).minimizer


@slow
@pytest.mark.parametrize("name", KNOWN)
def test_bounds_and_inequalities_are_differentiated_implicitly(name):
    """The answer of a problem with a tilted objective, along the tilt, by differences."""
    base = KNOWN[name][0]()
    tilt = np.linspace(0.3, -0.2, base.first.size)

    def answer(t):
        problem = rs.ConstrainedProblem(
            lambda x, t: base.f(x) + t * (tilt @ x), base.equalities and
            (lambda x, t: base.equalities(x)), base.inequalities and
            (lambda x, t: base.inequalities(x)),
            None if base.lower is None else (base.lower, base.upper), args=t, x0=base.first,
        )  # fmt: skip
        return rs.solve(problem, AugmentedLagrangian(), rtol=1e-10, atol=1e-9).x

    with jax.enable_x64(True):
        slope = np.asarray(jax.jacfwd(answer)(jnp.asarray(0.0)))
        ends = [np.asarray(answer(jnp.asarray(t))) for t in (1e-4, -1e-4)]
    assert np.allclose(slope, (ends[0] - ends[1]) / 2e-4, atol=1e-4)


def contradiction(x):
    return jnp.stack([x @ x - 1, x.sum() - 5])


def repetition(x):
    return jnp.stack([x.sum() - 1, 2 * x.sum() - 2])


def curved_repetition(x):
    return jnp.stack([x @ x - 1, (x @ x) ** 2 - 1])


def almost_repetition(x):
    return jnp.stack([x.sum() - 1, 2 * x.sum() - 3])


NEWTON = [
    pytest.param(SketchedNewton("exact"), id="SketchedNewton"),
    pytest.param(L1SQP(solver="exact"), id="L1SQP", marks=slow),
]


@pytest.mark.parametrize("c", [contradiction, pytest.param(almost_repetition, marks=slow)])
@pytest.mark.parametrize("method", NEWTON)
def test_equations_without_an_answer_end_in_words(c, method):
    problem = rs.ConstrainedProblem(lambda x: x @ x, c, x0=np.array([2.0, 1.0]))
    sol = rs.solve(problem, method, throw=False)
    assert sol.reason is rs.Reason.infeasible
    assert not sol.converged
    details = sol.certificate.details
    assert details["violation_slope"] <= 1e-5
    if c is almost_repetition:
        # (t - 1)^2 + (2 t - 3)^2 is least at t = 7 / 5.
        assert sol.x.sum() == pytest.approx(1.4)
        return
    # Both gradients point along (1, 1) where x = (a, a): 4 a (2 a^2 - 1) + 2 (2 a - 5) = 0.
    a = np.roots([8, 0, 0, -10])
    a = float(a[np.isreal(a)].real[0])
    assert np.allclose(sol.x, a, atol=1e-5)
    assert details["violation"] == pytest.approx(np.hypot(2 * a * a - 1, 2 * a - 5), rel=1e-6)


AWAY = np.array([1.0, 2.0, 3.0])
REPEATED = {
    "lines": (repetition, AWAY - 5 / 3),
    "spheres": (curved_repetition, AWAY / np.linalg.norm(AWAY)),
}


@pytest.mark.parametrize(
    "method",
    [
        SketchedNewton("exact"),
        *(pytest.param(other, marks=slow) for other in (L1SQP(), AugmentedLagrangian())),
    ],
    ids=lambda method: type(method).__name__,
)
@pytest.mark.parametrize(("level", "reason"), [(1.0, "target"), (-1.0, "infeasible")])
def test_saddles_of_the_violation_are_left_and_its_minimizers_are_not(method, level, reason):
    """At zero no change of first order makes either violation less."""

    def c(x, level):
        return jnp.where(level > 0, x[0] * x[1], x @ x) - level

    problem = rs.ConstrainedProblem(lambda x, _: x @ x, c, args=np.array(level), x0=np.zeros(2))
    sol = rs.solve(problem, method, rtol=1e-8, throw=False)
    assert sol.reason is rs.Reason[reason]
    size = sol.certificate.details["violation"]
    if level > 0:
        assert np.allclose(np.abs(sol.x), 1.0, atol=1e-6)
    else:
        assert size == pytest.approx(1.0, rel=1e-9)
        assert np.allclose(sol.x, 0.0, atol=1e-6)


@pytest.mark.parametrize("case", [pytest.param("lines", marks=slow), "spheres"])
@pytest.mark.parametrize(
    "method", [None, *NEWTON[1:], pytest.param(SketchedNewton("gaussian"), id="G", marks=slow),
               pytest.param(L1SQP(), id="GMRES", marks=slow)]
)  # fmt: skip
def test_equations_that_repeat_others_do_no_harm(case, method):
    c, answer = REPEATED[case]
    problem = rs.ConstrainedProblem(lambda x: ((x - AWAY) ** 2).sum(), c, x0=np.full(3, 2.0))
    sol = rs.solve(problem, method, rtol=1e-8)
    assert np.allclose(sol.x, answer, atol=1e-7)
    force = 2 * (sol.x - AWAY) + sol.witness.equalities @ np.asarray(problem.jacobian(sol.x))
    assert np.abs(force).max() <= 1e-6


@slow
def test_answers_under_repeated_equations_are_differentiated():
    def answer(t):
        problem = rs.ConstrainedProblem(
            lambda x, t: ((x - AWAY) ** 2).sum(),
            lambda x, t: jnp.stack([x @ x - t, (x @ x) ** 2 - t**2]), args=t, x0=jnp.full(3, 2.0),
        )  # fmt: skip
        return rs.solve(problem, rtol=1e-12, atol=1e-11).x

    with jax.enable_x64(True):
        slope = np.asarray(jax.jacfwd(answer)(jnp.asarray(1.0)))
    # The answer is sqrt(t) times a unit vector.
    assert np.allclose(slope, 0.5 * AWAY / np.linalg.norm(AWAY), atol=1e-8)


@pytest.mark.parametrize(
    "method", [None, pytest.param(L1SQP(scaled=True), id="L1SQP", marks=slow),
               pytest.param(AugmentedLagrangian(), id="AugmentedLagrangian", marks=slow)]
)  # fmt: skip
def test_what_constraints_are_measured_in_does_not_decide(method):
    sols = []
    for factor in (1.0, 1e-8, 1e6):
        problem = rs.ConstrainedProblem(
            lambda x, a: ((x - AWAY) ** 2).sum(),
            lambda x, a: jnp.stack([a * (x @ x - 1), x[0] - x[1]]), args=np.array(factor),
            x0=np.full(3, 2.0),
        )  # fmt: skip
        sols.append(rs.solve(problem, method, rtol=1e-7))
        assert np.allclose(sols[-1].x, np.array([1.5, 1.5, 3]) / np.sqrt(13.5), atol=1e-6)
    assert max(sol.steps for sol in sols) <= 2 * min(sol.steps for sol in sols)
    y = [sol.witness.equalities[0] * a for sol, a in zip(sols, (1.0, 1e-8, 1e6), strict=True)]
    assert np.allclose(y, y[0], rtol=1e-4)


@slow
@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("contradicting", rs.Reason.infeasible),
        ("repeated", rs.Reason.target),
        ("bounds", rs.Reason.infeasible),
        ("unbounded", rs.Reason.diverged),
    ],
)
def test_the_augmented_lagrangian_ends_in_words(case, reason):
    f, c, h, bounds = (lambda x: x @ x), None, None, None
    if case == "contradicting":
        c = contradiction
    elif case == "repeated":
        c = repetition
    elif case == "bounds":
        h, bounds = (lambda x: 10 - x.sum()), (0.0, 1.0)
    else:
        f, c = (lambda x: -(x[1] ** 2)), (lambda x: x[0] - 1)
    problem = rs.ConstrainedProblem(f, c, h, bounds, x0=np.array([2.0, 1.0]))
    sol = rs.solve(problem, AugmentedLagrangian(), throw=False)
    assert sol.reason is reason
    assert sol.converged == (reason is rs.Reason.target)
    if case == "bounds":
        assert sol.certificate.details["violation"] == pytest.approx(8.0)


@slow
def test_trees_and_batches_are_solved():
    """A tree of unknowns, and many problems at once, each with its own bound."""

    def f(x, t):
        return (x["a"] ** 2).sum() + (x["b"] - 3) ** 2

    def c(x, t):
        return {"sum": x["a"].sum() - t}

    start = {"a": jnp.zeros(2), "b": jnp.zeros(())}
    problems = [
        rs.ConstrainedProblem(f, c, bounds=(None, {"a": np.inf, "b": 1.0 + t}), args=t, x0=start)
        for t in (jnp.asarray(1.0), jnp.asarray(4.0))
    ]
    batch = rs.solve_batch(problems, AugmentedLagrangian(), rtol=1e-4)
    assert batch.converged.all()
    assert np.allclose(batch.x["a"], [[0.5, 0.5], [2.0, 2.0]], atol=1e-3)
    assert np.allclose(batch.x["b"], [2.0, 3.0], atol=1e-3)


def hs7():
    return rs.ConstrainedProblem(
        lambda x: jnp.log(1 + x[0] ** 2) - x[1], lambda x: (1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4,
        x0=np.array([2.0, 2.0]),
    )  # fmt: skip


VARIANTS = [
    L1SQP("adaptive"), L1SQP("tests"), SketchedNewton("krylov"), SketchedNewton("count", block=2),
    SketchedNewton("gaussian", block=2), SketchedNewton("weighted-kaczmarz", inverse="estimate"),
    SketchedNewton("gaussian", inverse="relative", theta="residual", least_delta=1e-3),
    SketchedNewton("kaczmarz", block=2, theta="power"),
]  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=() if i == 0 else slow, id=str(i)) for i, m in enumerate(VARIANTS)],
)
def test_every_variant_finds_the_answer_of_hs7(method):
    sol = rs.solve(hs7(), method.but(multipliers=0.0), rtol=1e-8)
    assert np.allclose(sol.x, [0.0, 3**0.5], atol=1e-7)


@slow
def test_no_minimizer_is_called_none():
    """Newton's steps go on for ever, and do not come to a stationary point."""
    problem = rs.ConstrainedProblem(lambda x: x[1], lambda x: x[0] - 1, x0=np.ones(2))
    for method in (SketchedNewton("exact"), L1SQP()):
        sol = rs.solve(problem, method, throw=False)
        assert not sol.converged
        assert sol.reason in (rs.Reason.stalled, rs.Reason.diverged)


ENDLESS = {
    "line": (lambda x: x[1], lambda x: x[0] - 1),
    "concave": (lambda x: -(x[1] ** 2), lambda x: x[0] - 1),
}


@slow
@pytest.mark.parametrize("case", ENDLESS)
@pytest.mark.parametrize(
    "method", [SketchedNewton("exact", stretch=2.0), L1SQP(stretch=2.0), AugmentedLagrangian()],
    ids=["SketchedNewton", "L1SQP", "AugmentedLagrangian"],
)  # fmt: skip
def test_functions_without_a_minimizer_diverge_for_every_method(case, method):
    f, c = ENDLESS[case]
    sol = rs.solve(rs.ConstrainedProblem(f, c, x0=np.ones(2)), method, throw=False)
    assert sol.reason is rs.Reason.diverged
    assert not sol.converged


@slow
def test_multipliers_of_shortened_steps_do_not_run_away():
    """Along a band of equations, the first of whose Jacobians are nearly singular."""
    problem = rs.ConstrainedProblem(
        lambda x: 0.5 * ((x - 1.5) ** 2).sum(),
        lambda x: x[1:] ** 2 - x[:-1] * x[1:] + jnp.sin(x[:-1]), x0=np.linspace(1.0, 2.0, 12),
    )  # fmt: skip
    sol = rs.solve(problem, L1SQP(solver="exact"), rtol=1e-9)
    assert sol.steps <= 30
    assert rs.constrained.second_order(problem, sol.x, sol.witness).stationary
    assert np.abs(sol.witness.equalities).max() <= 10


VALLEYS = {"narrow": ([-1.2, 1.0], 2.0), "wide": ([-15.0, 15.0], 20.0)}


@pytest.mark.parametrize("case", [pytest.param("narrow", marks=slow), "wide"])
def test_a_curved_valley_in_a_box_is_followed_to_its_end(case):
    x0, size = VALLEYS[case]
    problem = rs.ConstrainedProblem(
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, bounds=(-size, size),
        x0=np.array(x0),
    )  # fmt: skip
    sol = rs.solve(problem, AugmentedLagrangian(), rtol=1e-9)
    assert np.allclose(sol.x, 1.0, atol=1e-2)
