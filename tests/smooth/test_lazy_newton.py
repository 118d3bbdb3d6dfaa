"""Lazy Hessians: against the same in NumPy, and against what is true of cycles."""

import math

import jax
import numpy as np
import pytest
import scipy.optimize
from smooth.functions import (
    definite,
    quadratic,
    rosenbrock,
    saddle,
    soft,
    soft_constant,
    states,
)

import resolvent as rs
from resolvent.smooth import LazyNewton

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
n = 5
MS = np.int32(1), np.int32(3)  # NumPy's integers: one program


class Reference:
    """The method as its paper writes it, in NumPy, with roots by bisection."""

    def __init__(self, gradient, value, x, variant, m, M, early):
        self.f, self.gradient, self.x = value, gradient, np.array(x)
        self.variant, self.m, self.M, self.early = variant, m, M, early
        self.hessians, self.rejected, self.path, self.constants = 0, 0, [self.x], [M]

    def hessian(self, x):
        self.hessians += 1
        return scipy.optimize.rosen_hess(x)

    def step(self, values, vectors, g):
        c, low = vectors.T @ g, values[0]
        if self.variant == "regularized":
            return -vectors @ (c / (values + math.sqrt(self.M * np.linalg.norm(g))))
        # In r = ||h||, from the least that the model admits.
        left = max(0.0, -2 * low / self.M) * (1 + 1e-14)
        right = left + 1.0
        while np.linalg.norm(c / (values + self.M * right / 2)) > right:
            right *= 2
        for _ in range(200):
            r = 0.5 * (left + right)
            if np.linalg.norm(c / (values + self.M * r / 2)) > r:
                left = r
            else:
                right = r
        return -vectors @ (c / (values + self.M * right / 2))

    def run(self, steps):
        begin, place, total, fresh = self.x, 0, 0.0, True
        for _ in range(steps):
            if fresh:
                values, vectors = np.linalg.eigh(self.hessian(self.x))
            self.x = self.x + self.step(values, vectors, self.gradient(self.x))
            place, total = place + 1, total + np.linalg.norm(self.gradient(self.x)) ** 1.5
            fall = self.f(begin) - self.f(self.x)
            good, fresh = fall >= 0, False
            if self.variant == "adaptive":
                good = fall >= 0.2 * total / math.sqrt(self.M)
            if not good and (place == self.m or self.early):
                self.x, place, total = begin, 0, 0.0
                self.M, self.rejected = 2 * self.M, self.rejected + 1
            elif place == self.m:
                begin, place, total, fresh = self.x, 0, 0.0, True
                self.M = self.M / 4 if self.variant == "adaptive" else self.M
            self.path.append(self.x)
            self.constants.append(self.M)
        return np.array(self.path)


CASES = {
    "cubic, every step": ("cubic", 1, 30.0, False),
    "cubic": ("cubic", 3, 300.0, False),
    "adaptive": ("adaptive", 3, 1.0, False),
    "adaptive, early": ("adaptive", 4, 1e-3, True),
    "regularized": ("regularized", 2, 3000.0, False),
}


@pytest.mark.parametrize(
    "case",
    ["cubic", "adaptive, early"]
    + [
        pytest.param(one, marks=pytest.mark.slow)
        for one in CASES
        if one not in ("cubic", "adaptive, early")
    ],
)
def test_steps_are_those_of_the_paper(case):
    """Rejected cycles, indefinite Hessians and all."""
    variant, m, M, early = CASES[case]
    start = np.array([-1.2, 1.0, 0.3, -0.5, 2.0])
    known = Reference(scipy.optimize.rosen_der, scipy.optimize.rosen, start, variant, m, M, early)
    path = known.run(25)
    problem = rs.Minimize(rosenbrock, x0=start, convex=variant == "regularized")
    with jax.enable_x64(True):
        found = states(problem, LazyNewton(variant, m, M, early or variant != "adaptive"), 25)
        assert np.allclose(found.x, path, rtol=1e-10, atol=1e-10)
        assert np.allclose(found.M, known.constants)
        assert found.hessians[-1] == known.hessians
        assert found.rejected[-1] == known.rejected
    if variant == "adaptive":
        assert known.rejected > 0


def test_rejected_cycles_cost_no_hessian():
    problem = rs.Minimize(rosenbrock, x0=np.array([-1.2, 1.0, 0.3, -0.5, 2.0]))
    with jax.enable_x64(True):
        # The program of a reference case.
        found = states(problem, LazyNewton("adaptive", 4, 1e-3, True), 25)
    rejected, hessians = found.rejected, found.hessians
    again = 1 + np.flatnonzero(np.diff(rejected))[:-1]
    assert again.size > 2
    assert (hessians[again + 1] == hessians[again]).all()
    highest = found.M.max()
    assert rejected[-1] <= math.log2(highest / 1e-3) + 2 * hessians[-1]


def test_a_quadratic_takes_one_step_and_no_notice_of_m():
    A, b = definite()
    answer = np.linalg.solve(A, b)
    problem = rs.Minimize(quadratic, (A, b), x0=np.zeros(n), convex=True)
    sol = rs.solve(problem, LazyNewton("regularized", 3, M=0.0), rtol=1e-12)
    assert sol.steps == 1
    assert np.allclose(sol.x, answer)
    # The model is as good with an old Hessian: to the last digit the path is the same.
    with jax.enable_x64(True):
        paths = [states(problem, LazyNewton("cubic", m, M=2.0), 7).x for m in MS]
    assert np.abs(paths[0][1] - answer).max() > 0.1
    assert np.allclose(*paths, rtol=0, atol=1e-13)


def test_hessians_are_counted():
    A, b = definite()
    problem = rs.Minimize(quadratic, (A, b), x0=np.zeros(n), convex=True)
    for m, steps in ((1, 3), (4, 1), (4, 4), (4, 5), (4, 9)):
        method = LazyNewton("cubic", np.int32(m), M=50.0)
        sol = rs.solve(problem, method, rtol=1e-14, max_steps=steps, throw=False)
        assert sol.calls["hessian"] == sol.calls["factorization"] == math.ceil(steps / m)
        assert sol.calls["gradient"] == steps + 1
        assert sol.witness["rejected"] == 0


def soft_problem(convex=True):
    A = np.random.default_rng(2).standard_normal((20, n))
    return rs.Minimize(
        soft, (A,), x0=np.full(n, 2.0), convex=convex, hessian_lipschitz=soft_constant(A)
    )


def test_values_fall_with_the_constant_of_the_theory():
    problem, m = soft_problem(), 3
    method = LazyNewton("cubic", m)
    with jax.enable_x64(True):
        found = states(problem, method, 60)
    assert float(found.M[0]) == pytest.approx(6 * m * problem.hessian_lipschitz)
    values = found.value
    assert (np.diff(values) <= 1e-14).all()
    assert values[-1] < values[0] - 0.1
    assert found.rejected[-1] == 0


@pytest.mark.slow
def test_a_constant_that_is_too_small_is_doubled():
    """With it, steps of a convex function go astray."""
    problem = soft_problem()
    sol = rs.solve(problem, LazyNewton("regularized", 3, M=1e-8), rtol=1e-9)
    assert sol.converged
    assert sol.witness["rejected"] > 0
    assert float(sol.witness["M"]) == pytest.approx(1e-8 * 2.0 ** int(sol.witness["rejected"]))


@pytest.mark.parametrize("m", [1, 2, 3])
def test_old_hessians_near_the_answer_give_orders_above_two(m):
    """A cycle of m steps of Newton's method with one Hessian has order m + 1."""
    (A,), answer = soft_problem().args, np.zeros(n)
    for _ in range(50):
        bent = np.tanh(A @ answer)
        turned = A.T @ bent / 20 - 0.3 * np.eye(n)[0]
        answer = answer - np.linalg.solve((A.T * (1 - bent**2)) @ A / 20, turned)
    assert np.linalg.norm(turned) <= 1e-14
    with jax.enable_x64(True):
        problem = soft_problem().but(first=answer + 0.05)
        found = states(problem, LazyNewton("newton", np.int32(m)), 9)
        errors = np.linalg.norm(found.x[: 3 * m + 1 : m] - answer, axis=1)
    orders = np.log(errors[2:]) / np.log(errors[1:-1])
    # Constants count, too; what follows is below all rounding.
    seen = errors[2:] > 1e-13
    assert seen.any() or errors[2] <= 1e-13
    assert (orders[seen] >= m + 0.6).all()
    assert errors[1] < errors[0] ** 1.5


@pytest.mark.parametrize("variant", ["cubic", pytest.param("regularized", marks=pytest.mark.slow)])
def test_flat_minima_are_approached_as_fast_as_the_theory_says(variant):
    def quartic(x):
        return (x**4).sum()

    problem = rs.Minimize(quartic, x0=np.linspace(0.5, 1.0, n), convex=True)
    with jax.enable_x64(True):
        values = states(problem, LazyNewton(variant, 2, M=300.0), 160).value
    k = np.array([20, 40, 80, 160])
    assert (np.diff(np.log(values[k])) / np.diff(np.log(k)) <= -2).all()


def test_a_metric_is_a_change_of_unknowns():
    A = np.random.default_rng(2).standard_normal((20, n))
    B = np.diag(np.linspace(1.0, 4.0, n)) + 0.3
    root = np.linalg.cholesky(B)
    # With x = root^-T z lengths of x in the norm of B are those of z.
    inverse = np.linalg.inv(root).T
    start = np.full(n, 2.0)

    def changed(z, args):
        A, inverse = args
        return soft(inverse @ z, (A,))

    with jax.enable_x64(True):
        one = states(
            rs.Minimize(soft, (A,), x0=start), LazyNewton("adaptive", 3, M=1e-3, metric=B), 12
        )
        two = states(
            rs.Minimize(changed, (A, inverse), x0=root.T @ start),
            LazyNewton("adaptive", 3, M=1e-3), 12,
        )  # fmt: skip
    assert np.allclose(one.x, two.x @ inverse.T, rtol=1e-9, atol=1e-12)
    assert np.allclose(one.M, two.M)


@pytest.mark.slow
def test_slow_steps_end_a_cycle():
    problem = soft_problem()
    lasting = rs.solve(problem, LazyNewton("adaptive", 50, M=1e-2), rtol=1e-10)
    renewed = rs.solve(problem, LazyNewton("adaptive", 50, M=1e-2, slow=0.1), rtol=1e-10)
    assert renewed.calls["hessian"] > lasting.calls["hessian"]
    assert renewed.calls["gradient"] < lasting.calls["gradient"]


@pytest.mark.slow
def test_the_first_constant_has_the_unit_of_the_data():
    """In other units of f and x, all that differs is the unit."""
    A = np.random.default_rng(2).standard_normal((20, n))
    start, s, w = np.full(n, 2.0), 2.0**9, 2.0**-12

    def weighted(x, args):
        A, s, w = args
        return w * soft(x / s, (A,))

    with jax.enable_x64(True):
        one, two = (
            states(rs.Minimize(weighted, (A, *unit), x0=unit[0] * start), LazyNewton(), 12)
            for unit in ((1.0, 1.0), (s, w))
        )
    assert np.allclose(s * one.x, two.x, rtol=1e-9)
    assert np.allclose(one.M * w / s**3, two.M, rtol=1e-9)


@pytest.mark.slow
def test_long_valleys_are_followed_to_their_end():
    """For more than a thousand steps f falls without a new low of the gradient."""
    problem = rs.Minimize(rosenbrock, x0=np.tile([-1.2, 1.0], 50))
    sol = rs.solve(problem, LazyNewton(), rtol=1e-8)
    assert sol.steps > 1000
    assert np.allclose(sol.x, 1.0, atol=1e-6)


BAD = {
    "variant": ({"variant": "cubical"}, "variant"),
    "m": ({"m": 0}, "m"),
    "M": ({"M": -1.0}, "M"),
    "no cubic term": ({"variant": "cubic", "M": 0.0}, "M"),
    "Newton's method": ({"variant": "newton", "M": 1.0}, "M"),
    "slow": ({"slow": 1.0}, "slow"),
    "early": ({"variant": "cubic", "M": 1.0, "early": False}, "early"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused(case):
    given, name = BAD[case]
    with pytest.raises(ValueError, match=VOICE) as caught:
        LazyNewton(**given)
    assert str(caught.value).startswith(name)


def test_the_last_constant_may_be_the_first_of_another_solve():
    sol = rs.solve(soft_problem(), LazyNewton("cubic", np.int32(1)), rtol=1e-6)
    assert LazyNewton("cubic", M=sol.witness["M"]).M is not None


def test_what_a_problem_does_not_admit_is_refused():
    problem = rs.Minimize(saddle, x0=np.zeros(2))
    skew = np.array([[1.0, 1.0], [0.0, 1.0]])
    for given, name in (
        ({"variant": "cubic"}, "M"),
        ({"variant": "regularized", "M": 1.0}, "variant"),
        ({"metric": np.eye(3)}, "metric"),
        ({"metric": -np.eye(2)}, "metric"),
        ({"metric": skew}, "metric"),
        ({"metric": np.full((2, 2), np.nan)}, "metric"),
    ):
        with pytest.raises(ValueError, match=VOICE) as caught:
            rs.solve(problem, LazyNewton(**given))
        assert str(caught.value).startswith(name)


def test_metrics_of_whole_numbers_are_judged_as_matrices():
    problem = rs.Minimize(saddle, x0=np.zeros(2))
    LazyNewton(metric=np.array([[2, 1], [1, 2]])).check(problem)
    with pytest.raises(ValueError, match=r"^metric: given a matrix with the least eigenvalue"):
        LazyNewton(metric=np.array([[1, 2], [2, 1]])).check(problem)
    with pytest.raises(TypeError, match=r"^metric: given numbers of the kind complex128"):
        LazyNewton(metric=np.eye(2) + 0j).check(problem)
    with pytest.raises(ValueError, match=r"^metric: given a matrix"):
        LazyNewton(metric=np.full((2, 2), np.inf)).check(problem)
