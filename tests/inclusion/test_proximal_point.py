"""The proximal point method: exact resolvents, inner iterations, the range of its step."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inclusion.rotations import check_counters, norms, rotation, slope, strong, turning

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.inclusion import AffineOperator
from resolvent.inclusion.proximal_point import ProximalPoint
from resolvent.inclusion.regret import trajectory

START = np.ones(2)


def worst(rho, step, rounds):
    """The turn of the plane on which the method is slowest after so many rounds."""
    cosine = -rho / np.sqrt(rounds * step * (step - 2 * rho))
    sine = np.sqrt(1 - cosine**2)
    M = -cosine / rho * np.array([[cosine, -sine], [sine, cosine]])
    assert np.abs(np.linalg.eigvalsh((M + M.T) / 2 + rho * M.T @ M)).max() < 1e-14
    return rs.Inclusion(AffineOperator(M), start=np.array([1.0, 0.0]), comonotone=rho)


@pytest.mark.parametrize(("step", "rounds"), [(3.0, 1), (3.0, 20), (2.05, 200)])
def test_worst_turns_are_as_slow_as_known(step, rounds):
    _, values = trajectory(worst(1.0, step, rounds), ProximalPoint(step), rounds + 1)
    last = norms(values)[-1] ** 2
    expected = 1.0 / (step * (step - 2.0) * rounds * (1 + 1 / rounds) ** (rounds + 1))
    assert last == pytest.approx(expected, rel=1e-12)
    assert last <= 1.0 / (step * (step - 2.0) * (rounds + 1))
    if rounds == 20:
        assert last == pytest.approx(5.98237274e-3, rel=1e-8)


@pytest.mark.parametrize(("step", "factor"), [(1.9, -1.1111), (2.0, -1.0), (2.1, -0.9091)])
def test_shorter_steps_than_twice_rho_do_not_contract(step, factor):
    problem = rs.Inclusion(AffineOperator(-np.eye(1)), start=np.ones(1))
    plays, _ = trajectory(problem, ProximalPoint(step), 3)
    assert np.allclose(plays[:, 0], factor ** np.arange(1, 4), rtol=1e-3)
    with pytest.raises(ValueError, match=r"2.0 < step_size < inf.*2 rho"):
        rs.solve(problem.but(comonotone=1.0), ProximalPoint(2.0))


def test_resolvents_average_conically():
    rho, step = 0.3, 1.0
    rng = np.random.default_rng(0)
    J = np.linalg.inv(np.eye(2) + step * rotation(rho))
    for x in rng.standard_normal((20, 2)):
        moved, rest = J @ x, x - J @ x
        assert moved @ moved <= x @ x - (1 - 2 * rho / step) * rest @ rest + 1e-14
    plays, _ = trajectory(turning(rho), ProximalPoint(step), 5)
    powers = [np.linalg.matrix_power(J, k) @ START for k in range(1, 6)]
    assert np.allclose(plays, powers, rtol=1e-13)


def test_newton_and_a_given_resolvent_agree_with_the_factorization():
    problem, A, q = strong()
    free = problem.but(G=rs.functions.Everything())
    step = 0.7

    def resolvent(x, step):
        return jnp.linalg.solve(jnp.eye(6) + step * jnp.asarray(A), x - step * jnp.asarray(q))

    plays = [
        trajectory(free, method, 8)[0]
        for method in (
            ProximalPoint(step), ProximalPoint(step, "newton"),
            ProximalPoint(step, resolvent=resolvent),
        )
    ]  # fmt: skip
    assert np.allclose(plays[0], plays[1], rtol=1e-12, atol=1e-13)
    assert np.allclose(plays[0], plays[2], rtol=1e-12, atol=1e-13)
    factor = np.linalg.norm(np.linalg.inv(np.eye(6) + step * A), 2)
    away = norms(plays[0] + np.linalg.solve(A, q))
    assert (away[1:] <= factor * away[:-1] + 1e-15).all()


def test_newton_solves_what_is_not_affine():
    problem = rs.Inclusion(
        lambda x: 0.1 * x + x**3 + jnp.roll(x, 1) - jnp.roll(x, -1), start=np.ones(3)
    )
    sol = rs.solve(problem, ProximalPoint(2.0, "newton"), rtol=1e-10)
    assert sol.converged
    assert sol.calls["solve"] < sol.steps <= 5 * sol.calls["solve"]


@pytest.mark.slow
@pytest.mark.parametrize("lipschitz", [True, False])
def test_inner_iterations_are_exact_enough(lipschitz):
    problem, A, q = strong()
    problem = problem if lipschitz else problem.but(lipschitz=None)
    sol = rs.solve(problem, ProximalPoint(1.5), rtol=1e-11)
    assert np.allclose(np.clip(sol.x - (A @ sol.x + q), -0.2, 0.3), sol.x, atol=1e-10)
    assert 5 < sol.calls["solve"] < sol.steps
    assert sol.reason == "target"


def test_inner_errors_are_summable():
    """The centers against exact resolvents of the centers before, found by projecting long."""
    problem, A, q = strong()
    step = 1.5
    centers, seen = _centers(problem, ProximalPoint(step), 120)
    whole = np.eye(6) + step * A
    short = 1 / np.linalg.norm(whole, 2) ** 2
    first = np.linalg.norm(centers[1] - centers[0])
    assert seen > 6
    for k, (before, after) in enumerate(itertools.pairwise(centers[:8])):
        exact = before
        for _ in range(600):
            exact = np.clip(exact - short * (whole @ exact + step * q - before), -0.2, 0.3)
        allowed = min(np.linalg.norm(after - before), first) / (k + 1) ** 2
        assert np.linalg.norm(after - exact) <= allowed + 1e-12


def _centers(problem, method, steps):
    """The centers of an inexact run, one after the other."""
    with jax.enable_x64(True):
        ready = problem.prepare("traced")
        state = method.init(ready, ready.first, Memory(), None)
        step = jax.jit(lambda state: method.step(ready, state))
        found = [np.asarray(state.center)]
        for _ in range(steps):
            index, state = int(state.index), step(state)
            if int(state.index) > index:
                found.append(np.asarray(state.center))
    return found, len(found) - 1


def test_residual_of_a_skew_operator_falls_at_the_known_rate():
    # Half the bound of ||F(x_k)|| is its rate of 1 / sqrt(k), reached by many slow turns together.
    turns = 2.0 ** -np.arange(12)
    M = np.kron(np.diag(turns), np.array([[0.0, 1.0], [-1.0, 0.0]]))
    problem = rs.Inclusion(AffineOperator(M), start=np.ones(24))
    _, values = trajectory(problem, ProximalPoint(1.0), 2000)
    size, k = norms(values), np.arange(1, 2001)
    assert (size**2 <= 24.0 / k).all()
    assert -1.3 < slope(size, 10, 2000) < -0.5


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        (ProximalPoint(inner="dense"), {"G": rs.functions.Box(0.0, 2.0)}, "problem without G"),
        (ProximalPoint(inner="newton"), {"G": rs.functions.Box(0.0, 2.0)}, "problem without G"),
        (ProximalPoint(inner="extragradient"), {"rho": 0.1}, "monotone F"),
    ],
)
def test_inner_methods_say_what_they_need(method, changes, message):
    with pytest.raises(ValueError, match=message):
        rs.solve(turning(**changes), method)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="an AffineOperator"):
        rs.solve(rs.Inclusion(lambda x: x, start=np.ones(2)), ProximalPoint(inner="dense"))
    with pytest.raises(ValueError, match="'newton'"):
        ProximalPoint(inner="cg")
    with pytest.raises(TypeError, match="function of"):
        ProximalPoint(resolvent=3.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="one of both"):
        ProximalPoint(inner="newton", resolvent=lambda x, step: x)
    with pytest.raises(ValueError, match="inner_steps"):
        ProximalPoint(inner_steps=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "newton", "extragradient", "unknown constant"])
def test_calls_are_counted(kind):
    problem, _, _ = strong()
    if kind in ("dense", "newton"):
        problem = problem.but(G=rs.functions.Everything())
    inner = kind if kind != "unknown constant" else None
    check_counters(ProximalPoint(1.0, inner), problem.but(lipschitz=None if inner is None else 2.0))
