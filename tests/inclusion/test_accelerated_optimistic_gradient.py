"""The accelerated optimistic gradient method: its steps, rates, restarts, and players' regret."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inclusion.rotations import chained, check_counters, norms, slope, strong, turning

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.functions import Simplex
from resolvent.inclusion.accelerated_optimistic_gradient import (
    AcceleratedOptimisticGradient,
    OptimisticPlayer,
)
from resolvent.inclusion.optimistic_gradient import OptimisticGradient
from resolvent.inclusion.regret import dynamic_regret, external_regret, trajectory

PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])
UNEVEN = np.array([0.9, 0.1]), np.array([0.2, 0.8])


def pennies():
    return rs.MatrixGame(PENNIES).but(lipschitz=2.0)


def reference(problem, step, rounds, anchored=True):
    """The method on a box, written down again: plays and tangent residuals."""
    A, q = problem.F.A, problem.F.q
    q = np.zeros(len(A)) if q is None else q
    lower, upper = getattr(problem.G, "lower", -np.inf), getattr(problem.G, "upper", np.inf)
    first = x = np.clip(problem.first, lower, upper)
    V = A @ x + q
    plays, tangents = [], []
    for t in range(1, rounds + 1):
        a = (first - x) / (t + 1) if anchored else 0.0
        y = np.clip(x - step * V + a, lower, upper)
        c = (x - step * V + a - y) / step
        V = A @ y + q
        x = np.clip(x - step * V + a, lower, upper)
        plays.append(y)
        tangents.append(np.linalg.norm(V + c))
    return np.array(plays), np.array(tangents)


def states(problem, method, rounds, start=None):
    """The states after every round, stacked."""
    with jax.enable_x64(True):
        ready = problem.prepare("traced")
        x0 = ready.first if start is None else jax.tree_util.tree_map(jnp.asarray, start)

        @jax.jit
        def run(x0):
            def body(state, _):
                state = method.step(ready, state)
                return state, state

            return jax.lax.scan(body, method.init(ready, x0, Memory(), None), None, rounds)[1]

        return jax.tree_util.tree_map(np.asarray, run(x0))


def test_steps_on_a_box_and_the_tangent_residual():
    problem, _, _ = strong()
    step = 0.3 / problem.lipschitz
    found = states(problem, AcceleratedOptimisticGradient(step), 400)
    plays, tangents = reference(problem, step, 400)
    assert np.allclose(found.y, plays, rtol=1e-11, atol=1e-12)
    assert np.allclose(found.tangent, tangents, rtol=1e-6, atol=1e-12)
    assert (found.merit <= found.tangent * (1 + 1e-9) + 1e-14).all()
    # It falls like 1 / t here too, where others are faster: anchoring has its price.
    assert -1.3 < slope(found.tangent, 40, 400) < -0.7


def test_interior_answers_have_the_norm_as_tangent_residual():
    found = states(turning(), AcceleratedOptimisticGradient(0.3), 20)
    assert np.allclose(found.tangent, norms(found.Fy), rtol=1e-12)
    assert np.allclose(found.merit, found.tangent, rtol=1e-12)


def test_long_chain_has_the_fast_rate_that_others_miss():
    problem, distance = chained()
    _, fast = trajectory(problem, AcceleratedOptimisticGradient(0.408), 3000)
    _, slow = trajectory(problem, OptimisticGradient(1 / 3), 3000)
    t = np.arange(1, 3001)
    assert (norms(fast) * t <= 6.0 * distance).all()
    assert norms(fast)[-1] < norms(slow)[-1] / 5


@pytest.mark.parametrize("anchored", [True, False])
def test_a_player_alone_steps_like_the_method(anchored):
    problem, A, q = strong()
    step = 0.2
    player = OptimisticPlayer(
        problem.G, step_size=step, threshold=np.inf, anchored=anchored
    )  # fmt: skip
    plays = []
    with jax.enable_x64(True):
        state = player.start(problem.first)
        # The method knows F at its start, where a player plays a round.
        state = state._replace(gradient=A @ problem.first + q)
        state = state._replace(play=jnp.clip(state.x - step * state.gradient, -0.2, 0.3))
        for _ in range(8):
            plays.append(np.asarray(state.play))
            state = player.observe(state, A @ state.play + q)
    expected, _ = reference(problem, step, 8, anchored)
    assert np.allclose(plays, expected, rtol=1e-12, atol=1e-14)


def test_no_anchor_is_past_extragradient():
    problem, _, _ = strong()
    # Both see F once before they move; the other method moves with it at once.
    shifted, _ = trajectory(problem, OptimisticGradient(0.15), 8)
    state = np.clip(problem.first - 0.15 * problem.F.q, -0.2, 0.3)
    expected, _ = reference(problem.but(first=state), 0.15, 1, anchored=False)
    again = np.clip(state - 0.15 * (problem.F.A @ problem.first + problem.F.q), -0.2, 0.3)
    assert np.allclose(shifted[0], again, rtol=1e-12)
    assert not np.allclose(shifted[0], expected[0])
    A, q = problem.F.A, problem.F.q
    x, V = state, A @ problem.first + q
    for play in shifted:
        y = np.clip(x - 0.15 * V, -0.2, 0.3)
        V = A @ y + q
        x = np.clip(x - 0.15 * V, -0.2, 0.3)
        assert np.allclose(play, y, rtol=1e-11, atol=1e-13)


def test_nothing_moves_where_there_is_nothing_to_gain():
    problem, _, _ = strong()
    still = problem.but(F=problem.F.but(A=0 * problem.F.A, q=0 * problem.F.q))
    still = still.but(first=np.full(6, 0.1))
    plays, _ = trajectory(still, AcceleratedOptimisticGradient(0.1), 10)
    assert (plays == 0.1).all()
    plays, _ = trajectory(turning(start=np.zeros(2)), AcceleratedOptimisticGradient(0.2), 10)
    assert (plays == 0).all()


def test_tiny_steps_stay_near_the_start():
    step = 1e-4
    plays, values = trajectory(turning(), AcceleratedOptimisticGradient(step), 50)
    t = np.arange(1, 51)
    assert (norms(plays - 1.0) <= 2 * step * t * norms(values).max()).all()


@pytest.mark.slow
def test_restarts_bring_linear_convergence_back():
    fast = rs.solve(pennies(), AcceleratedOptimisticGradient(restart=True), x0=UNEVEN, rtol=1e-9)
    assert fast.converged
    assert fast.steps < 400
    plain = states(pennies(), AcceleratedOptimisticGradient(), 4000, UNEVEN)
    t = np.arange(1, 4001)
    assert 0.5 < (plain.tangent * t)[1000:].min() <= (plain.tangent * t)[1000:].max() < 10
    assert (plain.merit <= plain.tangent * np.sqrt(2) * 2).all()


def test_regret_of_both_methods_in_matching_pennies():
    rounds = 3000
    for method, least, most in (
        (AcceleratedOptimisticGradient(0.204), 3.9, 5.1), (OptimisticGradient(0.204), -1e-9, 0.1)
    ):  # fmt: skip
        plays, gradients = trajectory(pennies(), method, rounds, UNEVEN)
        regret = dynamic_regret(plays[0], gradients[0], Simplex())
        assert least < regret[2999] - regret[299] < most
        assert external_regret(plays[0], gradients[0], Simplex())[-1] <= regret[-1]


@pytest.mark.slow
def test_adaptive_steps_begin_against_an_adversary_and_not_among_friends():
    method = AcceleratedOptimisticGradient(robust=True)
    friends = states(pennies(), method, 300, UNEVEN)
    plain = states(pennies(), AcceleratedOptimisticGradient(), 300, UNEVEN)
    assert (friends.switched == 0).all()
    assert np.allclose(friends.y[0], plain.y[0], rtol=1e-12)
    sol = rs.solve(pennies(), method, x0=UNEVEN, rtol=1e-2)
    assert list(np.asarray(sol.memory.get("switches"))) == [0, 0]
    early = rs.solve(pennies(), method.but(threshold=0.0), x0=UNEVEN, max_steps=20, throw=False)
    assert list(np.asarray(early.memory.get("switches"))) == [1, 1]
    # Each player has the own sum: the first one of this game sees no gradient change at all.
    lone = rs.MatrixGame(np.array([[1.0], [-1.0]])).but(lipschitz=2.0)
    apart = states(lone, method.but(threshold=0.0), 30, (np.ones(2) / 2, np.ones(1)))
    assert (apart.steps[1:, 0] == 1.0).all()
    assert (apart.steps[1:, 1] < 0.8).all()


def test_adaptive_steps_keep_regret_at_the_root_of_the_rounds():
    rounds = 4000
    rng = np.random.default_rng(0)
    losses = rng.choice([-1.0, 1.0], (rounds, 5))
    losses[:, 0] -= 0.3

    def play(player):
        def body(state, g):
            return player.observe(state, g), state.play

        with jax.enable_x64(True):
            start = player.start(np.full(5, 0.2))
            _, plays = jax.lax.scan(body, start, jnp.asarray(losses))
        return external_regret(np.asarray(plays), losses, Simplex())[-1]

    adaptive = play(OptimisticPlayer(Simplex()))
    constant = play(OptimisticPlayer(Simplex(), step_size=0.3, threshold=np.inf))
    assert adaptive < 5 * np.sqrt(rounds)
    assert constant > 2 * adaptive


@pytest.mark.slow
@pytest.mark.parametrize("restart", [False, True])
def test_steps_are_found_without_the_constant(restart):
    problem, _, _ = strong()
    method = AcceleratedOptimisticGradient(restart=restart)
    sol = rs.solve(problem.but(lipschitz=None), method, rtol=1e-9 if restart else 1e-3)
    assert sol.converged
    assert sol.steps < 2000


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        (AcceleratedOptimisticGradient(0.41), {}, r"step_size < 0.408248 / L"),
        (AcceleratedOptimisticGradient(), {"rho": 0.1}, "negatively comonotone"),
        (AcceleratedOptimisticGradient(robust=True), {"lipschitz": None}, "step size"),
        (AcceleratedOptimisticGradient(robust=True), {}, "diameter is unknown"),
    ],
)
def test_what_theory_does_not_cover_is_refused(method, changes, message):
    with pytest.raises(ValueError, match=message):
        rs.solve(turning(**changes), method)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="robust=True"):
        AcceleratedOptimisticGradient(threshold=1.0)
    with pytest.raises(ValueError, match="threshold"):
        AcceleratedOptimisticGradient(robust=True, threshold=-1.0)
    with pytest.raises(ValueError, match="adaptive_size"):
        OptimisticPlayer(Simplex(), adaptive_size=0.0)
    with pytest.raises(TypeError, match="ConvexSet"):
        OptimisticPlayer(rs.functions.L1(1.0))  # pyright: ignore[reportArgumentType]


def test_a_wrong_constant_is_noticed():
    sol = rs.solve(turning(0.0, 3.0, lipschitz=1.0), AcceleratedOptimisticGradient(), throw=False)
    assert (sol.reason, sol.converged) == ("diverged", False)


@pytest.mark.parametrize("lipschitz", [True, False])
def test_calls_are_counted(lipschitz):
    problem, _, _ = strong()
    problem = problem if lipschitz else problem.but(lipschitz=None)
    check_counters(AcceleratedOptimisticGradient(), problem)
