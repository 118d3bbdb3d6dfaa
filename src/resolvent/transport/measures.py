"""Lists of measures, their costs and their weights, checked."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent.transport.costs import Cost, as_cost
from resolvent.transport.problem import _masses as masses_of
from resolvent.transport.problem import _positive as positive
from resolvent.transport.symmetric import check_symmetric, own_cost

__all__ = [
    "check_totals", "cost_list", "debiasing", "listed", "masses_of", "positive", "scaled",
    "stacked", "weights_of",
]  # fmt: skip

_SAME = 1e-6, 1e-9  # how far two totals may differ, relatively, in single and double precision


def listed(masses: Any) -> list[Any]:
    """The measures one by one, given as a list of arrays or as rows."""
    rows = isinstance(masses, np.ndarray | jax.Array) and masses.ndim == 2
    if not (rows or isinstance(masses, list | tuple)) or not len(masses):
        refuse(
            ValueError, "masses",
            given=f"an array of shape {np.shape(masses)}" if hasattr(masses, "shape") else
            f"{type(masses).__name__} {masses!r}"[:80],
            needed="a list of measures, or an array with one a row",
            advice="Put even a single measure into a list.",
        )  # fmt: skip
    return [masses[k] for k in range(len(masses))]


def cost_list(costs: Any, count: int) -> tuple[Cost, ...]:
    """The one common cost, or the cost of each measure."""
    several = isinstance(costs, list | tuple) and any(
        isinstance(one, Cost) or np.ndim(one) != 1 for one in costs
    )
    several = several or (isinstance(costs, np.ndarray | jax.Array) and costs.ndim == 3)
    if not several:
        return (as_cost(costs),)
    if len(costs) != count:
        refuse(
            ValueError, "costs", given=f"{len(costs)} costs for {count} measures",
            needed="one cost for all of them, or one for each",
            advice="A cost that all share is given by itself, not in a list.",
        )  # fmt: skip
    if all(one is costs[0] for one in costs):
        return (as_cost(costs[0]),)
    many = tuple(as_cost(costs[k]) for k in range(count))
    sizes = [cost.shape[0] for cost in many]
    if len(set(sizes)) > 1:
        refuse(
            ValueError, "costs", given=f"costs with {sizes} rows",
            needed="one number of rows, the points of the barycenter's support",
            advice="Rows belong to the support, columns to the measure.",
        )  # fmt: skip
    return many


def check_totals(measures: Sequence[Any]) -> None:
    """Refuse measures of different mass; traced ones pass."""
    if is_traced(tuple(measures)):
        return
    totals = [float(np.asarray(one).sum(dtype=np.float64)) for one in measures]
    near = _SAME[all(one.dtype == np.float64 for one in measures)]
    for k, total in enumerate(totals):
        if abs(total - totals[0]) > near * totals[0]:
            refuse(
                ValueError, f"masses[{k}]", given=f"masses of total {total:.12g} where those of "
                f"masses[0] have total {totals[0]:.12g}", needed="equal totals",
                advice="Divide each measure by its sum.",
            )  # fmt: skip


def weights_of(weights: Any, count: int) -> Any:
    """The weights of the measures as an array."""
    weights = real_array("weights", weights)
    if weights.shape != (count,):
        refuse(
            ValueError, "weights", given=f"shape {weights.shape} for {count} measures",
            needed=f"shape ({count},)", advice="Give one weight a measure, or None.",
        )  # fmt: skip
    finite("weights", weights)
    if not is_traced(weights):
        least, most = np.asarray(weights).min(), np.asarray(weights).max()
        if least < 0 or most == 0:
            refuse(
                ValueError, "weights", given=f"weights from {float(least):.3g} to "
                f"{float(most):.3g}", needed="weights >= 0, and one of them positive",
                advice="Only their ratios matter.",
            )  # fmt: skip
    return weights


def debiasing(debias: Any, costs: tuple[Cost, ...]) -> Cost | None:
    """The cost of the support against itself, or None for a barycenter that is not debiased."""
    n = costs[0].shape[0]
    if isinstance(debias, bool | np.bool_):
        if not debias:
            return None
        own = own_cost(costs[0]) if len(costs) == 1 else None
        if own is None:
            refuse(
                ValueError, "debias",
                given=f"True with {len(costs)} costs, the first {costs[0].form} of shape "
                f"{costs[0].shape}",
                needed="one cost for all measures, of points or symmetric, and with known numbers",
                advice="Give the cost of the support against itself: debias=cost.",
            )  # fmt: skip
        return own
    own = as_cost(debias)
    if own.shape != (n, n):
        refuse(
            ValueError, "debias", given=f"a cost of shape {own.shape}", needed=f"shape ({n}, {n})",
            advice="It is the cost of the barycenter's support against itself.",
        )  # fmt: skip
    check_symmetric("debias", own)
    return own


def scaled(parts: Sequence[Any], xp: Any) -> list[Any]:
    """Measures of exactly one total, weights of sum one, and the reference of that total."""
    *measures, weights, reference = parts
    total = measures[0].sum()
    same = [measures[0]]
    for one in measures[1:]:
        sum_of_it = one.sum()
        fitted = one if xp is np and sum_of_it == total else one * (total / sum_of_it)
        if is_traced((one, measures[0])):
            # Unknown now: masses that do not fit become NaN, which never counts as solved.
            near = _SAME[one.dtype == np.float64]
            fitted = jnp.where(abs(sum_of_it - total) <= near * total, fitted, jnp.nan)
        same.append(fitted)
    return [*same, weights / weights.sum(), reference * (total / reference.sum())]


def stacked(problems: Sequence[Any]) -> Any:
    """Problems of one structure as one, with a leading axis where their data differ."""

    def together(*leaves: Any) -> Any:
        first = leaves[0]
        plain = isinstance(first, float)
        if all(leaf is first or (plain and leaf == first) for leaf in leaves):
            return first
        return (jnp if isinstance(first, jax.Array) else np).stack(leaves)

    return jax.tree_util.tree_map(together, *problems)
