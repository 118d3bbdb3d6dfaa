"""The watch of separation methods for weights that prove that nothing separates the samples."""

from typing import Any, NamedTuple

import numpy as np

from resolvent._core.solution import Reason
from resolvent.composite.separation.signed_rows import SignedRows

_FIRST = 64  # steps of the first window
_BETTER = 0.9  # of the last bound: what a new one must be


class Watch(NamedTuple):
    """What steps have added to theta since an anchor: theta - anchor = sum of shares_i z_i."""

    anchor: Any
    shares: Any
    due: int
    """The step at which the next window begins."""
    alpha: Any
    """The best weights so far, or None."""
    bound: float
    """The length of the sum of alpha_i z_i, which no margin exceeds."""
    code: int


def watch(rows: SignedRows, theta: Any) -> Watch:
    """The watch at the beginning."""
    return Watch(theta, np.zeros(rows.y.size), _FIRST, None, np.inf, 0)


def watched(
    rows: SignedRows, before: Watch, theta: Any, added: Any, k: int, pulled: Any = None
) -> Watch:
    """The watch after step k, which has led to theta by adding the sum of added_i z_i.

    `pulled` is that sum, where it is known. All margins are at most the length of the sum over a
    window, or over this step alone, with weights of sum 1.
    """
    shares = before.shares + added
    alpha, bound = before.alpha, before.bound
    tries = [(shares, theta - before.anchor)]
    if pulled is not None:
        tries.append((added, pulled))
    for weights, total in tries:
        mass = float(weights.sum())
        length = float(np.linalg.norm(total)) / mass if mass > 0 else np.inf
        if length < _BETTER * bound:
            alpha, bound = weights / mass, length
    anchor, due = before.anchor, before.due
    if k >= due:
        found = rows.completed(shares)
        if found is not None:
            length = rows.margin_bound(found)
            if length < _BETTER * bound:
                alpha, bound = found, length
        anchor, shares, due = theta, np.zeros_like(shares), 2 * k
    code = Reason.infeasible.code if bound <= rows.least else 0
    return Watch(anchor, shares, due, alpha, bound, code)
