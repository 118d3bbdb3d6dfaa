"""Metrics with one weight a block: how strongly monotone bounds of blocks prove F to be in them."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, refuse
from resolvent.inclusion.block_constants import BlockConstants, least_eigenvalue, spectral_norm

_FAINT = 1e-12  # what stands for no coupling where weights are balanced
_SQUARINGS = 60
_TRIALS = 161  # ratios of weights that are tried
_SPAN = 1e4  # of ratios, where theory does not end their range


def balanced_weights(curvature: Any, coupling: Any) -> Any:
    """The weights with the largest margin, the first of them 1.

    Args:
        curvature: mu_i, shape [players].
        coupling: L_ij >= 0, shape [players, players], with a zero diagonal.

    Returns:
        Weights, shape [players]. For two players w_2 / w_1 = L_12 / L_21.

    Example:
        ```python
        import numpy as np
        from resolvent.inclusion.block_metrics import balanced_weights
        weights = balanced_weights(np.ones(2), np.array([[0.0, 10.0], [0.05, 0.0]]))
        assert np.allclose(weights, [1.0, 200.0])
        ```
    """
    xp: Any = jnp if isinstance(coupling, jax.Array) else np
    players = curvature.shape[0]
    scale = xp.maximum(coupling.max(), curvature.max() - curvature.min())
    scale = xp.where(scale > 0, scale, 1.0)
    off = 1.0 - xp.eye(players, dtype=coupling.dtype)
    A = off * xp.maximum(coupling, _FAINT * scale)
    A = A + xp.diag(curvature.max() - curvature + scale)

    def squared(_: Any, A: Any) -> Any:
        A = A @ A
        return A / A.max()

    # High powers of a positive matrix are the product of its Perron vectors.
    if xp is jnp:
        A = jax.lax.fori_loop(0, _SQUARINGS, squared, A / A.max())
    else:
        for _ in range(_SQUARINGS):
            A = squared(None, A)
    weights = A.sum(axis=0) / A.sum(axis=1)
    return weights / weights[0]


def margin(curvature: Any, coupling: Any, weights: Any) -> Any:
    """alpha(w): the margin that bounds of blocks prove in the metric of these weights.

    Args:
        curvature: mu_i, shape [players].
        coupling: L_ij >= 0, shape [players, players], with a zero diagonal.
        weights: positive, shape [players].

    Returns:
        A number.

    Example:
        ```python
        import numpy as np
        from resolvent.inclusion.block_metrics import margin
        coupling = np.array([[0.0, 0.5], [0.5, 0.0]])
        assert np.isclose(margin(np.ones(2), coupling, np.ones(2)), 0.5)
        ```
    """
    xp: Any = jnp if isinstance(coupling, jax.Array) else np
    return least_eigenvalue(scaled(xp.diag(curvature) - coupling, weights))


def weighted(weights: Any, x: Any) -> Any:
    """The point whose Euclidean norm is the norm of x in the metric."""
    return tuple(trees.times(w**0.5, block) for w, block in zip(weights, x, strict=True))


def metric_lipschitz(constants: BlockConstants, weights: Any, sizes: tuple[int, ...]) -> Any:
    """The Lipschitz constant of F in the metric: of the derivatives, or a bound by blocks."""
    xp: Any = jnp if isinstance(constants.own, jax.Array) else np
    matrices = constants.jacobians
    if matrices is None:
        matrices = xp.diag(constants.own) + constants.coupling
    else:
        weights = spread_weights(weights, sizes)
    return spectral_norm(scaled(matrices, weights))


def spread_weights(weights: Any, sizes: tuple[int, ...]) -> Any:
    """One weight an unknown."""
    xp: Any = jnp if isinstance(weights, jax.Array) else np
    return xp.repeat(weights, np.array(sizes))


def scaled(matrices: Any, weights: Any) -> Any:
    """W^1/2 A W^-1/2."""
    xp: Any = jnp if isinstance(matrices, jax.Array) else np
    root = xp.sqrt(weights)
    return matrices * root[:, None] / root


def ratio_band(curvature: Any, coupling: Any, margin: float) -> tuple[float, float]:
    """The ratios w_2 / w_1 with this margin at least; two NaN where there are none."""
    curvature, coupling = np.asarray(curvature), np.asarray(coupling)
    first, second = curvature - margin
    own, product = first * second, coupling[0, 1] * coupling[1, 0]
    if not (min(first, second) > 0 and own >= product):
        return math.nan, math.nan
    sum_ = 2.0 * own - product + 2.0 * math.sqrt(own * (own - product))
    # The product of both ends is (L_12 / L_21)^2.
    high = math.inf if coupling[1, 0] == 0 else sum_ / coupling[1, 0] ** 2
    return float(coupling[0, 1] ** 2 / sum_), float(high)


def scanned_weights(
    constants: BlockConstants, weights: np.ndarray, sizes: tuple[int, ...], power: int
) -> np.ndarray:
    """Weights with a large alpha / beta^power, from those with the largest alpha."""

    def worth(trial: np.ndarray) -> float:
        alpha = float(margin(constants.curvature, constants.coupling, trial))
        beta = float(metric_lipschitz(constants, trial, sizes))
        return alpha / beta**power if alpha > 0 else -math.inf

    low, high = 1.0 / _SPAN, _SPAN
    rounds = 2
    if len(sizes) == 2:
        ends = np.array(ratio_band(constants.curvature, constants.coupling, 0.0)) / weights[1]
        if np.isnan(ends).any():
            return weights
        low, high, rounds = max(low, ends[0]), min(high, ends[1]), 1
    best, most = weights, worth(weights)
    for player in [*range(1, len(sizes))] * rounds:
        for ratio in np.geomspace(low, high, _TRIALS):
            trial = best.copy()
            trial[player] = weights[player] * ratio
            value = worth(trial)
            if value > most:
                best, most = trial, value
    return best


def checked_weights(weights: Any, players: int, aim: str) -> np.ndarray:
    """The user's weights; refuses what is no metric, and an aim beside them."""
    weights = np.asarray(weights, np.float64)
    if weights.shape != (players,):
        refuse(
            ValueError, "weights", given=f"shape {weights.shape}", needed=f"shape {(players,)}",
            advice="One number a player.",
        )  # fmt: skip
    for weight in weights:
        between("weights", float(weight), 0.0, math.inf, "A metric has positive weights.")
    if aim != "margin":
        refuse(
            ValueError, "aim", given=f"{aim!r} beside weights", needed="one of both",
            advice="With weights there is nothing to look for.",
        )  # fmt: skip
    return weights
