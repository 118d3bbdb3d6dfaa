"""Quadratic models on few coordinates, minimized with norms of groups as a penalty."""

from typing import Any

import numpy as np

from resolvent.composite.descent import kernels_groups as kernels
from resolvent.composite.descent.grouped import Grouped
from resolvent.composite.descent.kernels_descent import substituted
from resolvent.composite.descent.quadratic_model import solved

_EPOCHS = 5  # between two looks at the support
_BATCHES = 40  # of epochs between two Newton steps, at most
_SPEED = 90.0  # of factorizations against epochs, which wait for memory
_ROUNDS = 50
_HALVINGS = 10
_FLAT = 1e-7  # of the mean curvature: what is added where penalties have none


class GramModel:
    """w^T gram w / 2 plus the penalty, with the gradient g kept beside w; both in place."""

    def __init__(self, penalty: Grouped, gram: Any, g: Any, w: Any):
        self.penalty, self.gram, self.g, self.w = penalty, gram, g, w
        self.curvatures = np.empty(penalty.bars.size, w.dtype)
        kernels.bounds(gram, penalty.starts, self.curvatures)

    def epochs(self, number: int, least: float) -> float:
        """Some epochs of descent; the gain of the last one."""
        penalty = self.penalty
        return kernels.group_epochs(
            self.gram, self.g, self.w, penalty.starts, penalty.bars, self.curvatures, number, least
        )

    def gradient(self) -> Any:
        """That of the quadratic at w."""
        return self.g

    def price(self) -> float:
        """About how many epochs cost as much as a Newton step."""
        alive = float(np.count_nonzero(self.w))
        return alive**3 / (_SPEED * self.w.size**2)

    def turn(self, support: Any, right: Any, bends: Any) -> Any:
        """The solution on the support of the system with the penalty's second derivative."""
        whole = support.size == self.w.size
        system = self.gram.copy() if whole else self.gram[np.ix_(support, support)]
        system[np.diag_indices(support.size)] += bends[support]
        at = self.penalty.free
        for begin, end, unit in _units(self.penalty, self.w, bends):
            block = slice(at, at + end - begin)
            system[block, block] -= bends[begin] * np.outer(unit, unit)
            at += end - begin
        return solved(system, right)

    def tried(self, move: Any) -> tuple[Any, float]:
        """What a move changes, and how much the quadratic rises."""
        change = self.gram @ move
        return change, float((self.g + 0.5 * change) @ move)

    def accept(self, new: Any, change: Any) -> None:
        """Go to a new point."""
        self.w[:] = new
        self.g += change


class ColumnModel:
    """g . (w - base) + sum of weights (X (w - base))^2 / 2 + ridge |w|^2 / 2 plus the penalty.

    X are dense columns [n, k]; `fit` = X (w - base) is kept beside w, both in place.
    """

    def __init__(self, penalty: Grouped, block: Any, weights: Any, g: Any, w: Any, fit: Any):
        self.penalty, self.block, self.weights = penalty, block, weights
        self.base, self.w, self.fit = g, w, fit
        self.curvatures = np.empty(penalty.bars.size, w.dtype)
        kernels.block_bounds(
            block, weights, penalty.ridge, penalty.starts, penalty.free, self.curvatures
        )

    def epochs(self, number: int, least: float) -> float:
        """Some epochs of descent; the gain of the last one."""
        penalty = self.penalty
        return kernels.column_epochs(
            self.block, self.curvatures, penalty.ridge, self.weights, self.fit, self.base, self.w,
            penalty.starts, penalty.bars, number, least,
        )  # fmt: skip

    def gradient(self) -> Any:
        """That of the quadratic at w."""
        pull = self.weights * self.fit
        out = self.base.copy()
        out[self.penalty.free :] += pull @ self.block + self.penalty.ridge * self._own(self.w)
        if self.penalty.free:
            out[0] += pull.sum()
        return out

    def price(self) -> float:
        """About how many epochs cost as much as a Newton step."""
        n, k = self.block.shape
        return n * (np.count_nonzero(self.w) + n / 3) / (8.0 * k)

    def turn(self, support: Any, right: Any, bends: Any) -> Any:
        """The solution on the support of the system with the penalty's second derivative.

        By the smaller system of samples: that of the penalty alone is solved group by group, made
        regular by a small multiple of the identity.
        """
        free, ridge = self.penalty.free, self.penalty.ridge
        flat = ridge + _FLAT * float(self.curvatures.mean())
        root = np.sqrt(self.weights)
        columns = root[:, None] * self.block[:, support[free:] - free]
        across = 1.0 / (bends[support] + flat)
        units = np.zeros(support.size, right.dtype)
        ends, at = [free], free
        for begin, end, unit in _units(self.penalty, self.w, bends):
            units[at : at + end - begin] = unit
            at += end - begin
            ends.append(at)
        along = 1.0 / flat - across

        def inverse(r: Any) -> Any:
            parts = np.add.reduceat(units * r, ends[:-1])
            near = across * r
            near[free:] += (along * units)[free:] * np.repeat(parts, np.diff(ends))
            return near

        spread = np.add.reduceat(columns * units[free:], np.array(ends[:-1]) - free, axis=1)
        spread *= np.sqrt(along[np.array(ends[:-1])])
        wide = columns * np.sqrt(across[free:])
        system = wide @ wide.T
        system += spread @ spread.T
        if free:
            system += across[0] * np.outer(root, root)
        system[np.diag_indices(root.size)] += 1.0
        first = inverse(right)
        inner = columns @ first[free:]
        if free:
            inner += root * first[0]
        try:
            factor = np.linalg.cholesky(system)
        except np.linalg.LinAlgError:
            return None
        substituted(factor, inner)
        back = columns.T @ inner
        back = np.append(root @ inner, back) if free else back
        found = first - inverse(back)
        return found if np.isfinite(found).all() else None

    def tried(self, move: Any) -> tuple[Any, float]:
        """What a move changes, and how much the quadratic rises."""
        own = self._own(move)
        change = self.block @ own
        if self.penalty.free:
            change += move[0]
        bend = self.weights @ (change * change) + self.penalty.ridge * (own @ own)
        return change, float(self.gradient() @ move + 0.5 * bend)

    def accept(self, new: Any, change: Any) -> None:
        """Go to a new point."""
        self.w[:] = new
        self.fit += change

    def _own(self, w: Any) -> Any:
        return w[self.penalty.free :]


def _units(penalty: Grouped, w: Any, bends: Any) -> Any:
    """Begin, end and direction of each group on the support; zero where it has no penalty."""
    for begin, end in zip(penalty.starts[:-1], penalty.starts[1:], strict=True):
        part = w[begin:end]
        length = float(np.sqrt(part @ part))
        if length > 0:
            yield begin, end, part / length if bends[begin] > 0 else np.zeros_like(part)


def minimized(model: Any, least: float, newton: bool, exact: bool) -> tuple[int, int]:
    """Minimize a model in place.

    Descends by epochs until the same groups stay zero and a Newton step on the others is cheaper
    than the epochs that seem to be left, takes it, and so on. Ends when an epoch gains no more than
    `least`, but where the minimum is to be `exact` not before a Newton step. Returns the numbers of
    epochs and of systems solved.
    """
    penalty, w = model.penalty, model.w
    epochs = systems = 0
    for _ in range(_ROUNDS):
        gain = np.inf
        for _ in range(_BATCHES):
            support = penalty.lengths(w) > 0
            before, gain = gain, model.epochs(_EPOCHS, least)
            epochs += _EPOCHS
            if gain <= least:
                break
            same = np.array_equal(support, penalty.lengths(w) > 0)
            if newton and same and _epochs_left(before, gain, least) > _EPOCHS + model.price():
                break
        if gain <= least and (systems or not (newton and exact)):
            break
        if newton:
            systems += 1
            newton = _newton_step(model)
    return epochs, systems


def _epochs_left(before: float, gain: float, least: float) -> float:
    """How many epochs are to come if gains go on to fall as they did."""
    if before == np.inf:
        return 0.0
    rate = (gain / before) ** (1.0 / _EPOCHS)
    if not 0.0 < rate < 1.0:
        return np.inf
    return float(np.log(max(least, np.finfo(float).tiny) / gain) / np.log(rate))


def _newton_step(model: Any) -> bool:
    """A Newton step on the groups that are not zero, shortened until it descends; False if it
    fails."""
    penalty, w = model.penalty, model.w
    lengths = penalty.lengths(w)
    alive = lengths > 0
    support = np.flatnonzero(penalty.spread(alive, w.size))
    support = np.append(np.arange(penalty.free), support).astype(np.intp)
    if not alive.any():
        return True
    slopes = np.divide(penalty.bars, lengths, out=np.zeros_like(lengths), where=alive)
    bends = penalty.spread(slopes, w.size)
    turn = model.turn(support, -(model.gradient() + bends * w)[support], bends)
    if turn is None:
        return False
    before, whole = penalty.value(w), np.zeros_like(w)
    whole[support] = turn
    for halving in range(_HALVINGS):
        new = _kept_sides(penalty, w, w + 0.5**halving * whole)
        change, rise = model.tried(new - w)
        if rise + penalty.value(new) <= before:
            model.accept(new, change)
            return True
    return True


def _kept_sides(penalty: Grouped, old: Any, new: Any) -> Any:
    """The new values, but zero for groups that have passed to the other side of zero."""
    products = np.add.reduceat(old * new, penalty.starts[:-1])
    passed = (products < 0) & (penalty.bars > 0)
    return np.where(penalty.spread(passed, old.size) > 0, 0.0, new) if passed.any() else new
