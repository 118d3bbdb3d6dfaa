"""Polyhedra of which an oracle knows the rows: other solvers, counted calls, proofs, refusals."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent.constrained import ProjectAndForget, Separated
from resolvent.constrained.metric.bregman import FUNCTIONS
from resolvent.constrained.metric.rows import RowMultipliers

slow = pytest.mark.slow


def polyhedron(m, n, seed=0):
    """Random rows around a ball that has 0 inside, and a centre outside."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)), 0.5 * rng.random(m), rng.standard_normal(n)


class Asked:
    """An oracle that returns the three worst rows, and counts how often it is asked."""

    def __init__(self, A, b):
        self.A, self.b, self.count = A, b, 0

    def __call__(self, x):
        self.count += 1
        excess = self.A @ x - self.b
        worst = np.argsort(excess)[-3:]
        worst = worst[excess[worst] > 0]
        return (self.A[worst], self.b[worst]) if worst.size else None


def by_program(A, b, c, **bounds):
    program = rs.QuadraticProgram(np.eye(c.size), -c, A, None, b, **bounds)
    return rs.solve(program, rs.composite.InteriorPoint(), rtol=1e-11)


@pytest.mark.parametrize("method", [
    ProjectAndForget(),
    ProjectAndForget(sweeps=1, at_once=True),
    ProjectAndForget(oracle="sampled", samples=40),
    ProjectAndForget(forget=False),
], ids=["plain", "at-once", "sampled", "all-kept"])  # fmt: skip
def test_written_rows_give_the_projection(method):
    A, b, c = polyhedron(100, 8)
    expected = by_program(A, b, c)
    sol = rs.solve(Separated(c, scipy.sparse.csr_array(A), b), method, rtol=1e-10)
    assert np.abs(sol.x - expected.x).max() <= 1e-8
    assert np.abs(sol.witness.written - expected.witness.rows).max() <= 1e-7
    assert rs.certify(Separated(c, A, b), sol.x, rtol=1e-8).holds


def test_an_oracle_gives_the_projection_and_its_calls_are_counted():
    A, b, c = polyhedron(100, 8, 1)
    asked = Asked(A, b)
    problem = Separated(c, oracle=asked, lower=-0.2, upper=0.2)
    sol = rs.solve(problem, rtol=1e-10)
    expected = by_program(A, b, c, lower=-0.2, upper=0.2)
    assert np.abs(sol.x - expected.x).max() <= 1e-8
    # One call more is the certificate's.
    assert asked.count == sol.calls["oracle"] + 1
    assert 0 < sol.witness.values.size < 20
    assert sol.witness.written.size == 16
    # Rows of an oracle may not hold for the next one: they are not remembered.
    assert len(sol.memory) == 0


def test_written_rows_are_remembered():
    A, b, c = polyhedron(100, 8)
    first = rs.solve(Separated(c, A, b), rtol=1e-8)
    cold = rs.solve(Separated(c + 1e-5, A, b), rtol=1e-8)
    warm = rs.solve(Separated(c + 1e-5, A, b), rtol=1e-8, memory=first.memory)
    assert warm.steps < cold.steps
    assert np.abs(warm.x - cold.x).max() <= 1e-6
    assert rs.solve(Separated(c, A, b), rtol=1e-7, memory=first.memory).steps == 0


def test_entropies_give_bregman_projections():
    rng = np.random.default_rng(0)
    c, w, A = rng.random(8) + 0.1, rng.random(8) + 0.5, rng.standard_normal((30, 8))
    b = A @ (0.5 * c) + 0.05
    problem = Separated(c, A, b, weights=w, function="entropy")
    sol = rs.solve(problem, rtol=1e-11)
    # The conditions of optimality, which are all there is for a convex problem.
    z, slack = sol.witness.written, b - A @ sol.x
    assert (z >= 0).all()
    assert (z > 1e-3).sum() >= 3
    assert slack.min() >= -1e-10
    assert np.abs(z * slack).max() <= 1e-9
    assert np.abs(w * np.log(sol.x / c) + A.T @ z).max() <= 1e-12
    value = (w * (sol.x * np.log(sol.x / c) - sol.x + c)).sum()
    assert sol.certificate.details["objective"] == pytest.approx(value, rel=1e-12)
    assert rs.certify(problem, sol.x, rtol=1e-8).holds


def test_scaling_of_marginals_is_one_of_them():
    """Transport with marginals as equations, two rows each: the plan is diag(u) K diag(v)."""
    rng = np.random.default_rng(1)
    p, q, K = rng.random(4), rng.random(5), np.exp(-rng.random((4, 5)))
    p, q = p / p.sum(), q / q.sum()
    sums = np.vstack([np.kron(np.eye(4), np.ones(5)), np.kron(np.ones(4), np.eye(5))])
    A, b = np.vstack([sums, -sums]), np.r_[p, q, -p, -q]
    sol = rs.solve(Separated(K.ravel(), A, b, function="entropy"), rtol=1e-10)
    plan = sol.x.reshape(4, 5)
    assert np.allclose(plan.sum(1), p, rtol=0, atol=1e-9)
    ratio = np.log(plan / K)
    assert np.abs(ratio - ratio[:1] - ratio[:, :1] + ratio[0, 0]).max() <= 1e-12


def test_what_nothing_meets_is_proved():
    A = np.vstack([np.eye(3), -np.ones((1, 3))])
    b = np.r_[np.zeros(3), -1.0]
    problem = Separated(np.array([1.0, 2.0, 0.5]), A, b)
    sol = rs.solve(problem, throw=False)
    assert sol.certificate.details["infeasible"]
    z = sol.witness.written
    assert (z >= 0).all()
    assert z @ b < -0.1 * z.sum()
    assert np.abs(A.T @ z).max() <= 1e-6 * z.sum()
    assert sol.reason is rs.Reason.infeasible
    assert not sol.converged
    sums = np.vstack([np.ones((1, 3)), -np.ones((1, 3))])
    entropy = Separated(np.ones(3), sums, np.array([1.0, -2.0]), function="entropy")
    sol = rs.solve(entropy, throw=False)
    assert sol.reason is rs.Reason.infeasible
    assert sol.certificate.details["infeasible"]
    # One row alone may exclude the whole domain.
    entropy = Separated(np.ones(3), sums[:1], np.array([-1.0]), function="entropy")
    assert rs.solve(entropy, throw=False).reason is rs.Reason.infeasible
    # A row that is far away, but met there, is no proof.
    far = Separated(np.zeros(2), np.array([[1.0, 1e-3], [-1.0, 0.0]]), np.array([0.0, -1.0]))
    sol = rs.solve(far, max_steps=200, throw=False)
    assert sol.reason is not rs.Reason.infeasible
    assert not sol.certificate.details["infeasible"]


def test_the_log_determinant_agrees_with_its_derivatives():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((2, 3, 3))
    C, X = (part @ part.T + np.eye(3) for part in A)
    f, one = FUNCTIONS["logdet"], np.ones(9)
    expected = np.trace(np.linalg.solve(C, X)) - np.log(np.linalg.det(X) / np.linalg.det(C)) - 3
    assert f.value(C.ravel(), one, X.ravel()) == pytest.approx(expected, rel=1e-12)
    # The pull that makes X optimal leads back to it.
    pull = f.force(C.ravel(), one, X.ravel())
    assert np.allclose(pull.reshape(3, 3), np.linalg.inv(X) - np.linalg.inv(C))
    assert np.allclose(f.minimizer(C.ravel(), one, pull), X.ravel(), atol=1e-12)
    near = C + 1e-9 * X
    square = np.linalg.eigvalsh(np.linalg.solve(np.linalg.cholesky(C), 1e-9 * X) @ np.linalg.inv(
        np.linalg.cholesky(C).T)) ** 2  # fmt: skip
    assert f.value(C.ravel(), one, near.ravel()) == pytest.approx(0.5 * square.sum(), rel=1e-6)
    # Outside of the domain.
    assert f.value(C.ravel(), one, -X.ravel()) == np.inf
    assert np.isnan(f.minimizer(C.ravel(), one, -10 * np.linalg.inv(C).ravel())).all()


@slow
def test_one_row_shrinks_or_stretches_along_its_vector():
    v = np.array([1.0, -2.0, 0.5])
    p, one = v @ v, np.eye(3).ravel()
    for sign, bound in ((1.0, 0.3), (-1.0, -9.0)):
        rows = sign * np.outer(v, v).reshape(1, -1)
        sol = rs.solve(Separated(one, rows, bound, function="logdet"), rtol=1e-12)
        expected = np.eye(3) - (1 - abs(bound) / p) / p * np.outer(v, v)
        assert np.allclose(sol.x.reshape(3, 3), expected, atol=1e-13)
        # M^-1 = 1 + z a.
        assert sol.witness.written[0] == pytest.approx(sign * (1 / abs(bound) - 1 / p), rel=1e-10)
    met = Separated(one, np.outer(v, v).reshape(1, -1), 6.0, function="logdet")
    assert rs.solve(met, rtol=1e-12).steps == 0


@slow
@pytest.mark.parametrize("rank", ["one", "any"])
def test_log_determinants_meet_the_conditions_of_optimality(rank):
    """Which are all there is for a convex problem."""
    rng = np.random.default_rng(5)
    d, m = 4, 12
    if rank == "one":
        v = rng.standard_normal((m, d))
        A = np.einsum("pi,pj->pij", v, v)
        A, b = A.reshape(m, -1), 0.3 * np.einsum("pii->p", A)
    else:
        # Some point is inside, and rows are not symmetric as they are written.
        A = rng.standard_normal((m, d * d))
        b = A @ (0.5 * np.eye(d).ravel()) + 0.05
    C = np.diag([1.0, 2.0, 0.5, 1.0])
    problem = Separated(C.ravel(), A, b, function="logdet")
    sol = rs.solve(problem, rtol=1e-11)
    X, z, slack = sol.x.reshape(d, d), sol.witness.written, b - A @ sol.x
    pull = (z @ A).reshape(d, d)
    assert (z >= 0).all()
    assert (z > 1e-3).sum() >= 2
    assert slack.min() >= -1e-9
    assert np.abs(z * slack).max() <= 1e-8
    assert np.allclose(np.linalg.inv(X), np.linalg.inv(C) + 0.5 * (pull + pull.T), atol=1e-8)
    assert rs.certify(problem, sol.x, rtol=1e-7).holds
    # In other coordinates it is the same problem.
    T = rng.standard_normal((d, d))
    U = np.linalg.inv(T)
    turned = Separated(
        (T @ C @ T.T).ravel(), np.array([(U.T @ a.reshape(d, d) @ U).ravel() for a in A]), b,
        function="logdet",
    )  # fmt: skip
    other = rs.solve(turned, rtol=1e-11).x.reshape(d, d)
    assert np.allclose(U @ other @ U.T, X, atol=1e-7 * np.abs(X).max())


@slow
def test_no_matrix_in_reach_ends_in_words():
    one = np.eye(3).ravel()
    both = Separated(one, np.stack([one, -one]), np.array([1.0, -2.0]), function="logdet")
    sol = rs.solve(both, throw=False)
    assert sol.reason is rs.Reason.infeasible
    assert sol.certificate.details["infeasible"]
    negative = Separated(one, one[None], -1.0, function="logdet")
    assert rs.solve(negative, throw=False).reason is rs.Reason.infeasible
    # Multipliers whose Lagrangian has no least value prove nothing.
    apart = rs.certify(both, one, RowMultipliers(np.array([0.0, 5.0]), *[np.zeros(1, int)], *[
        np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0)]), rtol=1e-3)  # fmt: skip
    assert not apart.holds


@slow
def test_support_vectors_and_regularized_transport_are_projections():
    rng = np.random.default_rng(4)
    # |w|^2 / 2 + c |s|^2 / 2 with y <x, w> >= 1 - s: weights are 1 and c.
    m, n, c = 30, 3, 2.0
    X, y = rng.standard_normal((m, n)), np.where(rng.random(m) < 0.5, 1.0, -1.0)
    A, weights = -np.hstack([y[:, None] * X, np.eye(m)]), np.r_[np.ones(n), np.full(m, c)]
    sol = rs.solve(Separated(np.zeros(n + m), A, -1.0, weights=weights), rtol=1e-9)
    w = sol.x[:n]
    short = np.maximum(1 - y * (X @ w), 0)
    assert np.abs(w - c * (short * y) @ X).max() <= 1e-6
    # <C, P> + g |P|^2 / 2 over plans: P = max(0, (u + v - C) / g).
    p, q, C, g = np.full(4, 0.25), np.full(5, 0.2), rng.random((4, 5)), 0.5
    sums = np.vstack([np.kron(np.eye(4), np.ones(5)), np.kron(np.ones(4), np.eye(5))])
    b = np.r_[p, q, -p, -q]
    plans = Separated(-C.ravel() / g, np.vstack([sums, -sums]), b, lower=0.0)
    sol = rs.solve(plans, rtol=1e-9)
    z = sol.witness.written[:18]
    force = ((z[9:] - z[:9]) @ sums).reshape(4, 5)
    assert np.allclose(sol.x.reshape(4, 5), np.maximum(force - C / g, 0), atol=1e-7)
    assert np.allclose(sums @ sol.x, np.r_[p, q], atol=1e-7)


ONE = np.ones(2)
WRONG: Any = 3
BAD = {
    "no-row": (lambda: Separated(ONE, np.zeros((1, 2)), 1.0), ValueError, "without entries"),
    "no-bound": (lambda: Separated(ONE, np.ones((1, 2))), ValueError, "one bound a row"),
    "no-matrix": (lambda: Separated(ONE, b=1.0), ValueError, "without rows"),
    "columns": (lambda: Separated(ONE, np.ones((1, 3)), 1.0), ValueError, "column"),
    "nan-bound": (lambda: Separated(ONE, np.ones((1, 2)), np.nan), ValueError, "NaN"),
    "nan-centre": (lambda: Separated(ONE * np.nan), ValueError, "finite"),
    "matrix-centre": (lambda: Separated(np.eye(2)), ValueError, "vector"),
    "weights": (lambda: Separated(ONE, weights=0.0), ValueError, "positive"),
    "domain": (lambda: Separated(-ONE, function="entropy"), ValueError, "positive"),
    "no square": (lambda: Separated(ONE, function="logdet"), ValueError, "d^2"),
    "no covariance": (
        lambda: Separated(np.r_[1.0, 2, 2, 1], function="logdet"), ValueError, "definite",
    ),
    "weighted": (
        lambda: Separated(np.ones(1), weights=np.ones(1), function="logdet"), ValueError, "weights",
    ),
    "antisymmetric": (
        lambda: Separated(np.r_[1.0, 0, 0, 1], np.array([[0.0, 1, -1, 0]]), 1.0, function="logdet"),
        ValueError, "symmetric part",
    ),
    "function": (lambda: Separated(ONE, function="cubes"), ValueError, "squares"),
    "oracle": (lambda: Separated(ONE, oracle=WRONG), TypeError, "function of x"),
    "crossed": (lambda: Separated(ONE, lower=1.0, upper=0.0), ValueError, "lower <= upper"),
    "answer": (lambda: rs.solve(Separated(ONE, oracle=lambda x: 3.0)), TypeError, "a pair"),
    "rows": (
        lambda: rs.solve(Separated(ONE, oracle=lambda x: (np.ones((1, 3)), 0.0))),
        ValueError, "column",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_refused(name):
    make, kind, words = BAD[name]
    with pytest.raises(kind, match=r"(?s)given .+; needed .+\. .+") as caught:
        make()
    assert words in str(caught.value)


def test_rows_that_no_oracle_can_have_given_prove_nothing():
    problem = rs.constrained.Separated(np.zeros(2), lower=np.ones(2))
    invented = RowMultipliers(
        np.zeros(2), np.array([0, 2]), np.array([0, 1]), np.array([-1.0, -1.0]),
        np.array([-10.0]), np.array([5.0]),
    )  # fmt: skip
    assert not rs.certify(problem, np.array([5.0, 5.0]), invented, rtol=1e-2).holds


def test_how_rows_are_written_does_not_decide_what_is_proved():
    def proofs(A, b, z, x):
        witness = RowMultipliers(z, np.zeros(1, int), np.zeros(0, int), *np.zeros((3, 0)))
        return bool(rs.certify(Separated(np.zeros(2), A, b), x, witness).details["infeasible"])

    def leaning(slope):
        return np.array([[-1.0, slope], [1.0, 0.0]]), np.array([-1.0, 0.0])

    here, factors = np.array([-0.5, 0.0]), np.array([1e7, 1e-5])
    # Points so far away that they count as none meet the second; those of the third count.
    for slope, proved in ((0.0, True), (1e-7, True), (1e-2, False)):
        A, b = leaning(slope)
        assert proofs(A, b, np.ones(2), here) is proved
        assert proofs(factors[:, None] * A, factors * b, 1 / factors, here) is proved
    # What meets all rows disproves it, however far it is.
    assert not proofs(*leaning(1e-7), np.ones(2), np.array([0.0, -2e7]))


def test_entropies_are_projected_on_the_boundary_of_their_domain():
    """No finite multiplier makes an unknown vanish: it comes to be rounding beside the others."""
    c = np.array([0.5, 0.25, 1.0])
    problem = Separated(c, np.array([[1.0, 1.0, 0.0]]), 0.0, function="entropy")
    sol = rs.solve(problem, rtol=1e-10)
    assert (sol.x > 0).all()
    assert np.allclose(sol.x, [0.0, 0.0, 1.0], rtol=0, atol=1e-16)
    below = Separated(c, np.array([[1.0, 1.0, 0.0]]), -1e-6, function="entropy")
    assert rs.solve(below, throw=False).reason is rs.Reason.infeasible


@pytest.mark.parametrize("weight", [1e-20, 1.0, 1e20])
def test_the_size_of_weights_does_not_decide_what_an_entropy_can_meet(weight):
    problem = Separated(
        np.full(2, 0.5), np.ones((1, 2)), 1e-3, weights=np.full(2, weight), function="entropy"
    )
    sol = rs.solve(problem, rtol=1e-10)
    assert np.allclose(sol.x, 5e-4, rtol=1e-9)
