"""What each method of the family is by definition, and what it costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.fixed_point import (
    Aitken,
    Anderson,
    Broyden,
    FixedPoint,
    Halpern,
    KrasnoselskiiMann,
    Picard,
    Squarem,
    Steffensen,
)  # fmt: skip

METHODS = [
    Picard(), KrasnoselskiiMann(), Halpern(), Halpern(restart=None), Halpern(detect=True),
    Anderson(), Anderson(kind=1), Squarem(), Squarem(scheme=1), Aitken(), Steffensen(), Broyden(),
    Broyden(update="bad", window=3),
]  # fmt: skip


class Tally:
    count = 0

    def add(self, *_):
        self.count += 1


TALLY = Tally()


class Counted(FixedPoint):
    """A problem whose certificate is silent."""

    silent = False

    def certify(self, x, witness=None):
        quiet = FixedPoint.__new__(FixedPoint)
        vars(quiet).update(vars(self))
        vars(quiet)["fn"] = pure_numpy if self.fn is counted_numpy else pure
        return FixedPoint.certify(quiet, x, witness)


def pure(x, A):
    return jnp.tanh(A @ x) + 1.0


def counted(x, A):
    jax.debug.callback(TALLY.add, jnp.zeros(()))
    return pure(x, A)


def pure_numpy(x, A):
    return np.tanh(A @ np.array(x)) + 1.0


def counted_numpy(x, A):
    TALLY.add()
    return pure_numpy(x, A)


def matrix(factor=0.8, n=5):
    A = np.random.default_rng(0).standard_normal((n, n))
    return factor * A / np.linalg.norm(A, 2)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("numpy", [False, True], ids=["traced", "host"])
@pytest.mark.parametrize(("limit", "rtol"), [(None, 1e-4), (3, 1e-4), (0, 1e-4)])
def test_evaluations_are_counted(method, numpy, limit, rtol):
    A = matrix() if numpy else jnp.asarray(matrix(), jnp.float32)
    start = np.zeros(5) if numpy else jnp.zeros(5, jnp.float32)
    problem = Counted(counted_numpy if numpy else counted, start, A)
    TALLY.count = 0
    sol = rs.solve(problem, method, rtol=rtol, max_steps=limit, throw=False)
    jax.effects_barrier()
    assert sol.engine.startswith("host" if numpy else "traced")
    assert sol.calls == {"map": TALLY.count}


def run(method, problem, steps):
    """The states of some steps on the host."""
    states = [method.init(problem, problem.first, None, None)]
    for _ in range(steps):
        states.append(method.step(problem, states[-1]))
    return states


def problem_of(A, start=None):
    return FixedPoint(pure_numpy, np.zeros(len(A)) if start is None else start, A)


def test_halpern_is_its_formula_and_keeps_its_rate():
    theta = np.logspace(-2.5, 0.4, 20)
    turn = np.exp(1j * theta)

    def rotate(z):
        z = np.array(z)
        return np.stack([(turn * (z[0] + 1j * z[1])).real, (turn * (z[0] + 1j * z[1])).imag])

    start = np.random.default_rng(0).standard_normal((2, 20))
    problem = FixedPoint(rotate, start)
    x = start
    for k, state in enumerate(run(Halpern(restart=None), problem, 300)):
        assert np.allclose(state.x, x, rtol=1e-11, atol=1e-13)
        assert state.size <= 2 * np.linalg.norm(start) / (k + 1) * (1 + 1e-12)
        x = start / (k + 2) + (1 - 1 / (k + 2)) * rotate(x)
    restarted = rs.solve(problem, Halpern(), rtol=1e-3)
    assert restarted.steps <= 2 * np.linalg.norm(start) / 1e-3 / (1 - 0.2)


@pytest.mark.slow
def test_halpern_restarts_make_the_rate_linear():
    problem = problem_of(matrix(0.9))
    sol = rs.solve(problem, Halpern(), rtol=1e-11)
    assert sol.steps < 1000
    assert not rs.solve(problem, Halpern(restart=None), rtol=1e-7, throw=False).converged
    states = run(Halpern(restart=0.3), problem, 30)
    again = [i for i, state in enumerate(states) if i and state.since == 0]
    assert again
    for i in again:
        assert np.array_equal(states[i].anchor, states[i].x)
        assert states[i].size <= 0.3 * states[i - 1].size_then


def test_averaged_residuals_never_rise():
    theta = 0.5
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    problem = FixedPoint(lambda x: turn @ np.array(x), np.array([1.0, 2.0]))
    for method in (Picard(), KrasnoselskiiMann(), KrasnoselskiiMann(0.9)):
        sizes = [state.size for state in run(method, problem, 50)]
        assert (np.diff(sizes) <= 1e-14).all()
    sizes = np.array([state.size for state in run(KrasnoselskiiMann(), problem, 50)])
    k = np.arange(51)
    assert (sizes**2 <= 5.0 / (0.25 * (k + 1)) * (1 + 1e-12)).all()


def lengths(r, v):
    return -(r @ v) / (v @ v), -(r @ r) / (r @ v), np.linalg.norm(r) / np.linalg.norm(v)


@pytest.mark.parametrize("scheme", [1, 2, 3])
def test_squarem_is_its_formula(scheme):
    A = matrix()
    problem = problem_of(A + A.T)
    method = Squarem(scheme=scheme)
    for state, following in zip(*[iter(run(method, problem, 6))] * 2, strict=False):
        x, x1 = state.x, state.image
        x2 = pure_numpy(x1, A + A.T)
        r, v = x1 - x, x2 - 2 * x1 + x
        length = np.clip(lengths(r, v)[scheme - 1], 1.0, state.longest)
        far = x + 2 * length * r + length**2 * v
        image = pure_numpy(far, A + A.T)
        good = np.linalg.norm(image - far) <= np.linalg.norm(r)
        assert np.allclose(following.x, image if good else x2, rtol=1e-10)


@pytest.mark.parametrize("scheme", [1, 2, 3])
def test_squarem_accelerates_a_slow_em_algorithm(scheme):
    """Proportions of a mixture of two Poisson laws, the textbook case of slow EM."""
    counts = np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1], float)
    days = np.arange(10)
    factorial = np.cumprod(np.r_[1.0, days[1:]])

    def em(state):
        p, a, b = np.array(state)
        first = p * np.exp(-a) * a**days / factorial
        second = (1 - p) * np.exp(-b) * b**days / factorial
        part = first / (first + second)
        weighted, rest = counts * part, counts * (1 - part)
        return np.array([
            weighted.sum() / counts.sum(), (days * weighted).sum() / weighted.sum(),
            (days * rest).sum() / rest.sum(),
        ])  # fmt: skip

    problem = FixedPoint(em, np.array([0.3, 1.0, 2.5]))
    plain = rs.solve(problem, Picard(), rtol=1e-8)
    fast = rs.solve(problem, Squarem(scheme=scheme), rtol=1e-8)
    assert plain.calls["map"] > 1000
    assert fast.calls["map"] < plain.calls["map"] / 4
    # The values that are printed with these data: 0.3599, 1.256, 2.663.
    assert np.allclose(fast.x, [0.3599, 1.256, 2.663], atol=2e-3)


def test_aitken_is_newton_like_by_component():
    """One Steffensen step for x = cos x by hand, in each component."""
    start = np.array([0.1, 0.5, 1.2])
    problem = FixedPoint(lambda x: np.cos(np.array(x)), start)
    states = run(Aitken(), problem, 2)
    x1, x2 = np.cos(start), np.cos(np.cos(start))
    expected = start - (x1 - start) ** 2 / (x2 - 2 * x1 + start)
    assert np.allclose(states[1].x, expected, rtol=1e-10)
    root = 0.7390851332151607
    errors = [np.abs(state.x - root).max() for state in run(Aitken(), problem, 3)]
    # Quadratic: each error is at most a constant times the square of the one before.
    assert errors[2] <= errors[1] ** 2
    assert errors[3] <= max(errors[2] ** 2, 1e-15)


def test_steffensen_of_one_unknown_is_aitken():
    problem = FixedPoint(lambda x: np.exp(-np.array(x)), np.array([0.3]))
    for one, two in zip(run(Aitken(), problem, 3), run(Steffensen(), problem, 3), strict=True):
        assert np.allclose(one.x, two.x, rtol=1e-9)


def test_steffensen_gains_on_a_slow_map():
    rates = np.array([0.999, 0.3, 0.2])
    problem = FixedPoint(lambda x: rates * np.array(x) + 1.0, np.zeros(3))
    plain = rs.solve(problem, Picard(), rtol=1e-8)
    fast = rs.solve(problem, Steffensen(), rtol=1e-8)
    assert fast.calls["map"] < plain.calls["map"] / 3


@pytest.mark.parametrize("method", [Aitken(), Steffensen(), Squarem(), Squarem(scheme=2)])
def test_extrapolation_that_does_harm_is_not_taken(method):
    """Coupled components, each of which misleads: residuals fall all the same."""
    A = 0.95 * np.linalg.qr(np.random.default_rng(3).standard_normal((6, 6)))[0]
    problem = FixedPoint(lambda x: A @ np.array(x) + 1.0, np.zeros(6))
    sizes = [state.size for state in run(method, problem, 40)]
    assert (np.diff(sizes) <= 1e-12).all()
    assert rs.solve(problem, method, rtol=1e-9).converged


def secant(A, b, steps, update, first):
    """Broyden's method with full matrices, from zero."""
    x, f, H = np.zeros(b.size), b.copy(), -np.eye(b.size)
    points, s = [x], first * b
    for _ in range(steps):
        x = x + s
        points.append(x)
        new = A @ x + b - x
        y, f = new - f, new
        if update == "good":
            H = H + np.outer(s - H @ y, s @ H) / (s @ H @ y)
        else:
            H = H + np.outer(s - H @ y, y) / (y @ y)
        s = -H @ f
    return points


@pytest.mark.parametrize("update", ["good", "bad"])
def test_broyden_is_its_formula(update):
    A = matrix()
    b = np.random.default_rng(1).standard_normal(5)
    problem = FixedPoint(lambda x: A @ np.array(x) + b, np.zeros(5))
    method = Broyden(update=update, safeguard=None, fallback=0.7)
    for state, expected in zip(run(method, problem, 7), secant(A, b, 7, update, 0.7), strict=True):
        assert np.allclose(state.x, expected, rtol=1e-6, atol=1e-9)


def test_broyden_ends_after_twice_as_many_steps_as_unknowns():
    A = matrix(0.95)
    b = np.random.default_rng(1).standard_normal(5)
    problem = FixedPoint(lambda x: A @ np.array(x) + b, np.zeros(5))
    method = Broyden(safeguard=None, fallback=1.0)
    sizes = [state.size for state in run(method, problem, 11)]
    assert min(sizes) <= 1e-8 * sizes[0]


def test_broyden_begins_afresh_when_its_window_is_full():
    problem = problem_of(matrix(0.95, 20))
    counts = [int(state.history.count) for state in run(Broyden(window=4), problem, 12)]
    assert max(counts) == 4
    assert counts[:6] == [0, 1, 2, 3, 4, 1]
    assert rs.solve(problem, Broyden(window=4), rtol=1e-9).converged


@pytest.mark.parametrize("update", ["good", "bad"])
def test_broyden_survives_what_is_no_number(update):
    def pit(x):
        return jnp.where(jnp.abs(x) <= 2.0, 0.9 * x + 0.05 * x**3, jnp.nan)

    sol = rs.solve(FixedPoint(pit, np.array([1.2, -0.9])), Broyden(update=update), rtol=1e-9)
    # There are fixed points at 0 and at both roots of 2.
    assert np.allclose(np.asarray(pit(jnp.asarray(sol.x))), sol.x, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_map_that_grows_is_never_called_solved(method):
    problem = FixedPoint(lambda x: 2.0 * x + jnp.exp(jnp.abs(x)), np.ones(3))
    sol = rs.solve(problem, method, throw=False, max_steps=3000)
    assert not sol.converged
    assert sol.reason in (rs.Reason.diverged, rs.Reason.stalled, rs.Reason.max_steps)


@pytest.mark.parametrize(
    ("cls", "options", "kind"),
    [(Halpern, {"restart": 1.0}, ValueError), (Halpern, {"restart": "often"}, TypeError),
     (KrasnoselskiiMann, {"weight": 1.0}, ValueError), (Squarem, {"scheme": 4}, ValueError),
     (Squarem, {"safeguard": -1.0}, ValueError), (Broyden, {"update": "ugly"}, ValueError),
     (Broyden, {"window": 0}, ValueError), (Broyden, {"fallback": 0.0}, ValueError)],
)  # fmt: skip
def test_parameters_are_checked(cls, options, kind):
    with pytest.raises(kind, match=r"given .*needed"):
        cls(**options)
