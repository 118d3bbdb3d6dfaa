"""Regret of players along their trajectories: what playing otherwise would have saved."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import count, refuse
from resolvent._core.memory import Memory
from resolvent._core.precision import needs_double, scope
from resolvent._core.traced import join, split
from resolvent.functions import ConvexSet


def trajectory(problem: Any, method: Any, rounds: int, x0: Any = None) -> tuple[Any, Any]:
    """What players of a method play in a game, round after round, and the gradients they see.

    Args:
        problem: an `Inclusion`, such as a `Game` or `MatrixGame`.
        method: a traced method whose iterates are the players' plays, such as
            `AcceleratedOptimisticGradient` or `OptimisticGradient`.
        rounds: how many.
        x0: the first guess; None for the problem's own. It is no round.

    Returns:
        Plays and gradients, each of the structure of a point with a leading axis of rounds.

    Raises:
        ValueError: for fewer than one round, or a first guess that does not fit.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.inclusion.regret import dynamic_regret, trajectory
        game = rs.MatrixGame(np.array([[1.0, -1.0], [-1.0, 1.0]]))
        method = rs.inclusion.OptimisticGradient(step_size=0.2)
        x0 = np.array([0.9, 0.1]), np.array([0.2, 0.8])
        plays, gradients = trajectory(game, method, 100, x0)
        assert dynamic_regret(plays[0], gradients[0], rs.functions.Simplex())[-1] > 0
        ```
    """
    count("rounds", rounds, least=1)
    method.check(problem)
    if x0 is not None:
        x0 = problem.admit(x0)
    with scope(needs_double(problem)):
        x0 = None if x0 is None else _arrays(x0)
        prepared = problem.prepare("traced")
        plays, gradients = _played(*_arguments(prepared, method, x0, rounds))
        return problem.restore(plays), problem.restore(gradients)


def external_regret(plays: Any, gradients: Any, domain: ConvexSet) -> Any:
    """Regret against the best fixed point in hindsight, after every round.

    `sum_t <g_t, x_t> - min over x in the set of sum_t <g_t, x>`: exact for losses that are linear
    in the player's variable, a bound from above for convex ones.

    Args:
        plays: x_t, with a leading axis of rounds.
        gradients: g_t, of the player's losses at the plays, likewise.
        domain: the player's set.

    Returns:
        One number a round, shape (rounds,).

    Raises:
        TypeError: for a domain that is no ConvexSet.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.inclusion.regret import external_regret
        losses = jnp.array([[1.0, 0.0], [1.0, 0.0]])
        plays = jnp.array([[0.5, 0.5], [0.0, 1.0]])
        assert external_regret(plays, losses, rs.functions.Simplex())[-1] == 0.5
        ```
    """
    _check_domain(domain)
    numpy = _all_numpy((plays, gradients))
    with scope(needs_double((plays, gradients))):
        plays, gradients = _arrays((plays, gradients))
        sums = trees.map_leaves(lambda leaf: jnp.cumsum(leaf, axis=0), gradients)
        paid = jnp.cumsum(jax.vmap(trees.dot)(gradients, plays))
        regret = paid + jax.vmap(lambda g: domain.support(trees.times(-1.0, g)))(sums)
        return np.asarray(regret) if numpy else regret


def dynamic_regret(plays: Any, gradients: Any, domain: ConvexSet) -> Any:
    """Regret against the best point of every single round, after every round.

    `sum_t (<g_t, x_t> - min over x in the set of <g_t, x>)`: the individual dynamic regret for
    losses that are linear in the player's variable, a bound from above for convex ones.

    Args:
        plays: x_t, with a leading axis of rounds.
        gradients: g_t, of the player's losses at the plays, likewise.
        domain: the player's set.

    Returns:
        One number a round, shape (rounds,); it never falls.

    Raises:
        TypeError: for a domain that is no ConvexSet.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.inclusion.regret import dynamic_regret
        losses = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        plays = jnp.full((2, 2), 0.5)
        assert dynamic_regret(plays, losses, rs.functions.Simplex())[-1] == 1.0
        ```
    """
    _check_domain(domain)
    numpy = _all_numpy((plays, gradients))
    with scope(needs_double((plays, gradients))):
        plays, gradients = _arrays((plays, gradients))

        def gap(play: Any, gradient: Any) -> Any:
            return trees.dot(gradient, play) + domain.support(trees.times(-1.0, gradient))

        regret = jnp.cumsum(jax.vmap(gap)(plays, gradients))
        return np.asarray(regret) if numpy else regret


@partial(jax.jit, static_argnums=(0, 1))
def _played(static: Any, rounds: int, dynamic: list[Any]) -> tuple[Any, Any]:
    problem, method, x0 = join(static, dynamic)
    x0 = problem.start(None) if x0 is None else x0

    def body(state: Any, _: Any) -> Any:
        state = method.step(problem, state)
        y, _ = method.iterate(problem, state)
        return state, (y, problem.operator(y))

    state = method.init(problem, x0, Memory(), None)
    # The types of the carry are those of a state after a step.
    after = jax.eval_shape(lambda state: body(state, None)[0], state)
    state = jax.tree_util.tree_map(lambda leaf, like: jnp.asarray(leaf, like.dtype), state, after)
    return jax.lax.scan(body, state, None, length=rounds)[1]


def _arguments(problem: Any, method: Any, x0: Any, rounds: int) -> tuple[Any, int, list[Any]]:
    static, dynamic = split((problem, method.bind(problem), x0))
    return static, rounds, dynamic


def _all_numpy(tree: Any) -> bool:
    return all(isinstance(leaf, np.ndarray) for leaf in trees.leaves(tree))


def _arrays(tree: Any) -> Any:
    return jax.tree_util.tree_map(jnp.asarray, tree)


def _check_domain(domain: Any) -> None:
    if not getattr(domain, "is_set", False):
        refuse(
            TypeError, "domain", given=f"a {type(domain).__name__}", needed="a ConvexSet",
            advice="See resolvent.functions.",
        )  # fmt: skip
