"""The games of the small-gain experiments: couplings by a rotation, and two players who meet."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

A, B = 10.0, 0.05  # how strongly the first player feels the second, and the other way round
DISCOUNT, ENTROPY = 0.9, 1.0
NULL = 1e-5  # curvatures of that size belong to directions in which policies do not change


def flagship(strength: float, n: int = 32, seed: int = 12345) -> np.ndarray:
    """The pseudo-gradient's matrix of two players of n unknowns, coupled by a rotation."""
    turn, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    turn = turn * np.sign(np.diag(r))
    own = np.eye(n)
    return np.block([[own, strength * A * turn], [strength * B * turn.T, own]])


def random_game(strength: float, seed: int, n: int = 32) -> np.ndarray:
    """The same with random own blocks, of curvature 1 and more, and a random coupling of norm 1."""
    rng = np.random.default_rng([seed, 2512])
    first, second, coupling = rng.standard_normal((3, n, n))
    coupling /= np.linalg.norm(coupling, 2)
    own = [root.T @ root + np.eye(n) for root in (first, second)]
    return np.block(
        [[own[0], strength * A * coupling], [strength * B * coupling.T, own[1]]]
    )  # fmt: skip


def euler_limit(eigenvalues: np.ndarray) -> float:
    """The length up to which all Euler steps are stable; 0 where none is."""
    return max(0.0, float((2.0 * np.real(eigenvalues) / np.abs(eigenvalues) ** 2).min()))


def rk4_radius(eigenvalues: np.ndarray, step: Any) -> Any:
    """The spectral radius of a step of the classical Runge-Kutta method, or of several."""
    z = -np.multiply.outer(step, eigenvalues)
    return np.abs(1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24).max(axis=-1)


def rk4_limit(eigenvalues: np.ndarray) -> float:
    """The length up to which all Runge-Kutta steps are stable; 0 where none is."""
    steps = np.linspace(0.0, 3.0 / np.abs(eigenvalues).min(), 3001)[1:]
    unstable = rk4_radius(eigenvalues, steps) >= 1.0
    first = int(np.argmax(unstable))
    if unstable[0] or not unstable[first]:
        return 0.0
    low, high = steps[first - 1], steps[first]
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rk4_radius(eigenvalues, middle) < 1.0 else (low, middle)
    return float(low)


def _markov_losses() -> tuple[Any, Any]:
    """Costs of two players, of two actions in two states, who both like to do the same.

    An action for each state has a logit. Meeting in action 0 leads to state 0 with probability
    0.9, meeting in action 1 to state 1; otherwise chance decides.
    """
    reward = jnp.array([[1.0, -1.0], [-1.0, 1.0]])
    to_first = jnp.array([[0.9, 0.5], [0.5, 0.1]])
    moves = jnp.stack([to_first, 1.0 - to_first], axis=-1)

    def cost(player: int, x: Any) -> Any:
        first, second = (jax.nn.softmax(logits.reshape(2, 2), axis=-1) for logits in x)
        both = first[:, :, None] * second[:, None, :]
        chain = jnp.einsum("sab,abt->st", both, moves)
        begin = jnp.array([1.0 - DISCOUNT, 0.0])
        visits = jnp.linalg.solve(jnp.eye(2) - DISCOUNT * chain.T, begin)
        policy = (first, second)[player]
        entropy = -(policy * jnp.log(policy)).sum()
        return -(jnp.einsum("s,sab,ab->", visits, both, reward) + ENTROPY * entropy)

    return (lambda x: cost(0, x)), (lambda x: cost(1, x))


def markov_game() -> Any:
    """The game in logits, started away from its equilibrium."""
    from resolvent import Game

    rng = np.random.default_rng(1)
    return Game(_markov_losses(), start=tuple(0.5 * rng.standard_normal((2, 4))))


def equilibrium(game: Any, steps: int = 5000) -> np.ndarray:
    """Where Adam at the rate 0.01 takes ||F||^2 below 1e-10, flat."""
    import optax

    def merit(x: Any) -> Any:
        return (jnp.concatenate(game.operator((x[:4], x[4:]))) ** 2).sum()

    adam = optax.adam(0.01)

    def goes_on(carry: Any) -> Any:
        return (carry[2] < steps) & (merit(carry[0]) > 1e-10)

    def step(carry: Any) -> Any:
        x, state, k = carry
        updates, state = adam.update(jax.grad(merit)(x), state)
        return optax.apply_updates(x, updates), state, k + 1

    x = jnp.concatenate([jnp.asarray(part) for part in game.first])
    run = jax.jit(lambda x: jax.lax.while_loop(goes_on, step, (x, adam.init(x), 0))[0])
    return np.asarray(run(x))


class Fisher(NamedTuple):
    """Policies of two actions change along one direction a state; the metric gives it a length."""

    directions: np.ndarray
    sizes: np.ndarray


def fisher(x: np.ndarray) -> Fisher:
    """The Fisher metric at flat logits: directions [8, 4], and the metric's eigenvalue for each."""
    first = 1.0 / (1.0 + np.exp(x[1::2] - x[::2]))
    directions = np.kron(np.eye(4), np.array([[1.0], [-1.0]]) / np.sqrt(2.0))
    return Fisher(directions, 2.0 * first * (1.0 - first))


def fisher_jacobians(game: Any, points: np.ndarray) -> np.ndarray:
    """Phi^-1/2 DF Phi^-1/2 at flat points, without the directions that change no policy."""

    def flat(x: Any) -> Any:
        return jnp.concatenate(game.operator((x[:4], x[4:])))

    found, slopes = [], jax.jit(jax.vmap(jax.jacfwd(flat)))(points)
    for x, J in zip(points, np.asarray(slopes), strict=True):
        basis, sizes = fisher(x)
        # What is left out is nothing: F is the same along it, and has no part in it.
        assert np.abs(J - basis @ basis.T @ J @ basis @ basis.T).max() < NULL
        found.append((basis.T @ J @ basis) / np.sqrt(np.outer(sizes, sizes)))
    return np.array(found)


def natural_gradient(game: Any, starts: np.ndarray, steps: np.ndarray, rounds: int) -> np.ndarray:
    """Norms of the natural gradient along its descent, [steps, starts, rounds].

    Unlike those of F they do not vanish where a policy becomes pure.
    """

    def run(x: Any, step: Any) -> Any:
        def body(x: Any, _: Any) -> Any:
            F = jnp.concatenate(game.operator((x[:4], x[4:])))
            first = jax.nn.sigmoid(x[::2] - x[1::2])
            along = (F[::2] - F[1::2]) / (4.0 * first * (1.0 - first))
            move = jnp.stack([along, -along], axis=1).ravel()
            return x - step * move, jnp.linalg.norm(move)

        return jax.lax.scan(body, x, None, length=rounds)[1]

    each = jax.vmap(jax.vmap(run, in_axes=(0, None)), in_axes=(None, 0))
    return np.asarray(jax.jit(each)(jnp.asarray(starts), jnp.asarray(steps)))
