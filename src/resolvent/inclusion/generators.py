"""Examples of inclusions and games that papers and tests measure methods on."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, count, finite, real_array, refuse
from resolvent.functions import Everything, Nonnegative, Product, Simplex
from resolvent.inclusion.bilinear import MatrixGame
from resolvent.inclusion.games import SaddlePoint
from resolvent.inclusion.operators import AffineOperator
from resolvent.inclusion.problem import Inclusion


def policeman_and_burglar(n: int, *, decay: float = 0.8, seed: int = 0) -> MatrixGame:
    """A burglar picks a house of n in a row, and a policeman where to wait.

    The house j holds w_j = |N(0, 1)|; from house i the policeman lets the burglar of house j get
    away with the probability 1 - exp(-decay |i - j|).

    Args:
        n: houses.
        decay: positive.
        seed: of the houses' worth.

    Returns:
        The zero-sum game, the policeman first: A_ij = w_j (1 - exp(-decay |i - j|)).

    Raises:
        ValueError: for fewer than two houses, or a decay that is not positive.

    Example:
        ```python
        import resolvent as rs
        game = rs.inclusion.policeman_and_burglar(20)
        assert rs.solve(game, rs.inclusion.PrimalDual(), rtol=1e-4).converged
        ```
    """
    n = count("n", n, least=2)
    between("decay", decay, 0.0, math.inf, "A policeman sees the houses that are near.")
    worth = np.abs(np.random.RandomState(seed).standard_normal(n))
    distance = np.abs(np.arange(n)[:, None] - np.arange(n))
    return MatrixGame(worth * -np.expm1(-decay * distance))


def constrained_quadratic(n: int = 200) -> Inclusion:
    """A quadratic program whose saddle points are as hard for first-order methods as can be.

    min x^T H x / 2 - h^T x subject to A x = b, with A anti-bidiagonal, A[i, n-1-i] = 1/4 and
    A[i, n-2-i] = -1/4, H = 2 A^T A, b = 1/4 in every entry and h = 1/4 in the last one.

    Args:
        n: unknowns, and constraints.

    Returns:
        The inclusion of (x, y), y the multipliers, with F(x, y) = (H x - h - A^T y, A x - b).

    Raises:
        ValueError: for fewer than two unknowns.

    Example:
        ```python
        import resolvent as rs
        problem = rs.inclusion.constrained_quadratic(4)
        sol = rs.solve(problem, rs.inclusion.Extragradient(), rtol=1e-4)
        assert sol.converged and sol.x.shape == (8,)
        ```
    """
    n = count("n", n, least=2)
    A = (np.eye(n) - np.eye(n, k=1))[:, ::-1] / 4.0
    H = 2.0 * A.T @ A
    b, h = np.full(n, 0.25), np.zeros(n)
    h[-1] = 0.25
    matrix = np.block([[H, -A.T], [A, np.zeros((n, n))]])
    F = AffineOperator(matrix, np.concatenate([-h, -b]))
    norm = float(np.linalg.norm(matrix, 2)) * (1 + 1e-12)
    return Inclusion(F, start=np.zeros(2 * n), lipschitz=norm)


def markov_game(
    states: int = 4,
    actions: tuple[int, int] = (3, 3),
    *,
    discount: float = 0.9,
    seed: int = 0,
) -> SaddlePoint:
    """A discounted zero-sum game over states, whose first player alone moves the state.

    min over occupations x(s, a) >= 0 of max over the mixtures y(. | s) and the values v of
    sum x(s, a) C(s, a, b) y(b | s) + sum_s v(s) (m(s) + discount sum P(s | s', a) x(s', a) -
    sum_a x(s, a)), a monotone saddle point. m is uniform with total 1 - discount, costs are
    uniform in [0, 1], transitions random.

    Args:
        states: number of states.
        actions: of the first player and of the second.
        discount: in (0, 1).
        seed: of costs and transitions.

    Returns:
        The saddle point of x [states, actions[0]] and (y [states, actions[1]], v [states]).

    Raises:
        ValueError: for no states or actions, or a discount outside (0, 1).

    Example:
        ```python
        import resolvent as rs
        game = rs.inclusion.markov_game(3, (2, 2), discount=0.5)
        sol = rs.solve(game, rs.inclusion.Extragradient(), rtol=1e-6)
        occupation, (mixture, value) = sol.x
        assert abs(occupation.sum() - 1) < 1e-4 and abs(mixture.sum() - 3) < 1e-4
        ```
    """
    states = count("states", states, least=1)
    first, second = (count("actions", number, least=1) for number in actions)
    between("discount", discount, 0.0, 1.0, "Discounted costs must have a finite sum.")
    rng = np.random.default_rng(seed)
    costs = rng.random((states, first, second))
    moves = rng.exponential(size=(states, first, states))
    moves /= moves.sum(-1, keepdims=True)
    begin = np.full(states, (1.0 - discount) / states)
    start = np.full((states, first), 1.0 / (states * first)), (
        np.full((states, second), 1.0 / second), np.zeros(states),
    )  # fmt: skip
    return SaddlePoint(
        _occupied, Nonnegative(), Product((Simplex(), Everything())), start=start,
        args=(costs, moves, begin, np.array(discount)),
    )  # fmt: skip


def _occupied(x: Any, other: Any, args: Any) -> Any:
    """The costs of occupations, and the multipliers of their flow."""
    (y, v), (costs, moves, begin, discount) = other, args
    paid = jnp.einsum("sa,sab,sb->", x, costs, y)
    flow = begin + discount * jnp.einsum("sa,sat->t", x, moves) - x.sum(-1)
    return paid + v @ flow


def shared_market(
    costs: Any,
    *,
    price: float = 10.0,
    slope: float = 1.0,
    capacity: float = 1.0,
) -> Inclusion:
    """Firms that sell into one market through one channel: a generalized Nash equilibrium.

    Firm i sells x_i >= 0 at the price `price - slope sum x` and pays costs_i a unit; together they
    cannot sell more than `capacity`. Of the equilibria of the game with this shared constraint
    the variational one has one multiplier for all: the fee for the channel.

    Args:
        costs: [firms], of a unit.
        price: of the first unit.
        slope: positive, by which a unit lowers it.
        capacity: positive.

    Returns:
        The inclusion of (x [firms], fee [1]) with F(x, fee) = (slope (x_i + sum x) + costs_i -
        price + fee, capacity - sum x), both not negative.

    Raises:
        ValueError: for fewer than two firms, costs that are not finite, or a slope or capacity
            that is not positive.

    Example:
        ```python
        import numpy as np, resolvent as rs
        market = rs.inclusion.shared_market(np.array([1.0, 1.0]), capacity=2.0)
        sol = rs.solve(market, rs.inclusion.Extragradient(), rtol=1e-8)
        amounts, fee = sol.x
        assert np.allclose(amounts, 1.0) and np.allclose(fee, 10 - 1 - 3)
        ```
    """
    costs = real_array("costs", costs)
    if costs.ndim != 1 or costs.shape[0] < 2:
        refuse(
            ValueError, "costs", given=f"shape {costs.shape}", needed="two firms or more",
            advice="One entry a firm.",
        )  # fmt: skip
    finite("costs", costs)
    between("price", price, -math.inf, math.inf, "It is a number.")
    between("slope", slope, 0.0, math.inf, "More on the market lowers the price.")
    between("capacity", capacity, 0.0, math.inf, "Something must fit through.")
    start = 0 * costs, 0 * costs[:1]
    args = (costs, np.array(price), np.array(slope), np.array(capacity))
    # The matrix is slope (I + 1 1^T) beside a column and row of ones.
    firms = costs.shape[0]
    matrix = np.ones((firms + 1, firms + 1))
    matrix[:-1, :-1] = slope * (np.eye(firms) + 1.0)
    matrix[-1, :-1], matrix[-1, -1] = -1.0, 0.0
    norm = float(np.linalg.norm(matrix, 2)) * (1 + 1e-12)
    return Inclusion(
        _market, Product((Nonnegative(), Nonnegative())), start=start, args=args, lipschitz=norm
    )


def _market(point: Any, args: Any) -> Any:
    (x, fee), (costs, price, slope, capacity) = point, args
    return slope * (x + x.sum()) + costs - price + fee, capacity - x.sum() + 0 * fee
