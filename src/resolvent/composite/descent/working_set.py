"""Minimizing a generalized linear model over a few of its coordinates."""

import copy
from typing import Any, NamedTuple

import numpy as np

from resolvent.composite.descent import kernels_descent as kernels
from resolvent.composite.descent.gram import DenseGram, SparseGram
from resolvent.composite.descent.quadratic_model import Columns, by_columns, by_gram
from resolvent.composite.descent.separable import Separable, separable
from resolvent.composite.design import DenseDesign, same_leaves
from resolvent.functions import LeastSquares

_MODELS = 20  # quadratic models on one working set
_SHARE = 0.1  # of what is aimed at: how far a model may stay above its minimum
_FINE = 1e-4  # the same by epochs alone, of a quadratic loss, which has no other model to come
_DECREASE, _HALVINGS = 1e-4, 40
_FLAT = 1e-2, 0.1  # of the largest curvature: the least of the first model, and its factor then
_LEAST_WORTH, _WORTH = 0.1, 0.3  # parts of what steps along single coordinates gain
_GROWTH = 0.5  # of the coordinates that are not zero: how many join a working set
_FEW = 1 / 8  # of the columns: how many are picked out to be multiplied
_GRAM = 3000  # coordinates up to which a Gram matrix is formed
_SPARSE_GRAM = 300  # the same where columns are short
_CHEAP = 0.2  # of a pass over the data: an epoch for which minima are sought on trial
_ENOUGH = 0.5  # of the goal: what may be left on a working set
_FINER = 1e-2  # a model's share of what is aimed at, after one that was not fine enough


class Work(NamedTuple):
    """What was spent."""

    epochs: int = 0
    models: int = 0
    systems: int = 0


class Seen:
    """The last point whose predictions and gradient are known."""

    point: Any = None

    def note(self, w: Any, z: Any, pulled: Any) -> None:
        """Remember it."""
        self.point = w, z, pulled

    def recall(self, w: Any) -> Any:
        """Predictions and gradient at w, or None."""
        if self.point is None or not np.array_equal(self.point[0], w):
            return None
        return self.point[1:]


class _Chosen(NamedTuple):
    """A matrix of which nothing but the chosen columns is looked at."""

    gram: Any
    whole: Any

    def transposed_times(self, v: Any) -> Any:
        """X^T v, zero outside."""
        out = np.zeros(self.whole.shape[1], v.dtype)
        out[self.gram.chosen] = self.gram.pulled_back(v)[self.gram.free :]
        return out

    @property
    def dtype(self) -> Any:
        return self.whole.dtype


class WorkingSet:
    """A problem as coordinate descent sees it.

    Args:
        problem: a `GeneralizedLinear` with NumPy's data and a separable penalty.
        model: "gram", "columns" or "auto".
        accelerated: whether to step to minimizers on supports, and to extrapolate.
    """

    def __init__(self, problem: Any, model: str, accelerated: bool):
        self.problem, self.model, self.accelerated = problem, model, accelerated
        design = problem.design
        self.penalty = self.terms(problem)
        self.quadratic = isinstance(problem.loss, LeastSquares)
        dense = isinstance(design, DenseDesign)
        self.dense = dense
        gram = DenseGram if dense else SparseGram
        self.gram = gram(problem, self.penalty.ridge, self.quadratic)
        self.seen = Seen()

    def of(self, problem: Any) -> "WorkingSet":
        """That of another problem; what is known of the data stays if the penalty alone differs."""
        mine = self.problem
        given, known = ((one.design, one.y, one.weights, one.loss) for one in (problem, mine))
        if problem.intercept != mine.intercept or not same_leaves(given, known):
            return type(self)(problem, self.model, self.accelerated)
        other = copy.copy(self)
        other.problem, other.penalty = problem, self.terms(problem)
        other.gram.regularize(other.penalty.ridge)
        return other

    def terms(self, problem: Any) -> Any:
        """The penalty as it is taken here."""
        found = separable(problem.penalty, problem.design.shape[1], problem.design.dtype)
        assert found is not None, "the problem says what it lacks"
        return found

    def predictions(self, w: Any) -> Any:
        """X w + c, by the columns whose coefficient is not zero where these are few."""
        problem, p = self.problem, self.problem.design.shape[1]
        on = np.flatnonzero(w[:p] != 0)
        if not self.dense or on.size > _FEW * p:
            return problem.predictions((w[:p], w[p]) if problem.intercept else w)
        z = problem.design.matrix[:, on] @ w[on]
        return z + w[p] if problem.intercept else z

    def objective(self, w: Any, z: Any) -> float:
        """The objective at w, whose predictions are z."""
        problem, p = self.problem, self.problem.design.shape[1]
        with problem.precision(w):
            return float(problem.mean_loss(z)) + float(problem.penalty.value(w[:p]))

    def violations(self, w: Any, pulled: Any) -> Any:
        """How far each coordinate is from optimality, where the mean loss has a gradient."""
        p = self.penalty.bars.size
        slope = pulled[0] if self.problem.intercept else pulled
        slope = slope + self.penalty.ridge * w[:p] if self.penalty.ridge else slope
        out = np.empty(w.size, w.dtype)
        kernels.violations(
            self.penalty.kind, w[:p], slope, self.penalty.bars, self.penalty.gamma, out[:p]
        )
        out[p:] = np.abs(pulled[1]) if self.problem.intercept else ()
        return out

    def worth(self, violations: Any, w: Any, before: Any, chosen: Any) -> float:
        """What an epoch on the chosen coordinates must gain to be worth more than a step.

        A part of what a single step along the worst coordinate gains. Where epochs cost no less
        than a step's pass over the data, a part of what all steps along coordinates gain together
        that were not chosen before.
        """
        problem, p = self.problem, self.problem.design.shape[1]
        bend = float(problem.loss.smoothness)
        weights = problem.weights * (bend if np.isfinite(bend) else 1.0)
        most = int(violations[:p].argmax())
        curvature = float(self.gram.squares(np.array([most]), weights)[0]) + self.penalty.ridge
        worst = float(violations[most])
        gain = worst * (worst / curvature) if curvature > 0 else 0.0
        gain = 0.5 * max(gain, *(float(free) * float(free) for free in violations[p:]), 0.0)
        if not worst > 0:
            return _LEAST_WORTH * gain
        shares = violations[:p] / worst
        shares[before] = 0.0
        price = self._price(w, chosen)
        shares *= shares  # and added up without BLAS, whose threads wait busily afterwards
        return max(_LEAST_WORTH, _WORTH * price * float(shares.sum())) * gain

    def suffices(self, w: Any, violations: Any, chosen: Any) -> bool:
        """Whether a minimum on the chosen coordinates may be the answer, and is cheap to find.

        So it is where no other coordinate violates optimality, and epochs cost little beside a pass
        over the data. Warm starts come here at once.
        """
        p = self.problem.design.shape[1]
        if chosen.size == p:
            return True
        all_in = np.count_nonzero(violations[chosen]) == np.count_nonzero(violations[:p])
        return all_in and self._price(w, chosen) <= _CHEAP

    def _price(self, w: Any, chosen: Any) -> float:
        """What an epoch costs, in passes over the data."""
        size = chosen.size
        if self._takes_gram(size):
            epoch = size * max(np.count_nonzero(w != 0), size // 2)
        else:
            # Read twice, and not one behind the other.
            epoch = 2 * self.gram.entries(chosen)
        return epoch / max(self.gram.entries(None), 1)

    def chosen(self, w: Any, g: Any, violations: Any, before: Any, first: int) -> Any:
        """The coordinates of before, and behind them those that violate optimality most.

        If there is room they are followed by those that may violate it soon. Where most of the old
        ones have become idle it begins anew. `g` is the gradient of the mean loss.
        """
        p = self.penalty.bars.size
        alive = w[:p] != 0
        more = max(first, int(_GROWTH * np.count_nonzero(alive)))
        if before.size > 3 * np.count_nonzero(alive) + first:
            before = np.flatnonzero(alive)
        outside = alive.copy()
        outside[before] = False
        more += np.count_nonzero(outside)
        if before.size + more >= p:
            rest = np.ones(p, bool)
            rest[before] = False
            return np.append(before, np.flatnonzero(rest))
        scores = violations[:p].copy()
        scores[alive] = np.inf
        scores[before] = 0.0
        eager = np.flatnonzero(scores != 0)
        if eager.size > more:
            eager = eager[np.argpartition(scores[eager], eager.size - more)[-more:]]
        elif eager.size < more:
            soon = self._soon(w, g, violations, before, int(more - eager.size))
            eager = np.append(eager, soon)
        return np.append(before, eager)

    def _soon(self, w: Any, g: Any, violations: Any, before: Any, most: int) -> Any:
        """Coordinates at zero that are no farther from leaving it than the worst is beyond.

        So far, at least, the gradient will still move.
        """
        penalty, p = self.penalty, self.penalty.bars.size
        reach = float(violations[:p].max())
        slack = np.empty(p, w.dtype)
        kernels.slack(penalty.kind, w[:p], g[:p], penalty.bars, slack)
        slack[before] = np.inf
        near = np.flatnonzero(slack <= reach)
        if near.size > most:
            near = near[np.argpartition(slack[near], most)[:most]]
        return near

    def improved(
        self, w: Any, z: Any, g: Any, chosen: Any, aim: float, exact: bool, goal: float
    ) -> tuple[Any, Any, Work]:
        """A lower point on the chosen coordinates, its predictions, and the work.

        `g` is the gradient of the mean loss at w; `aim` is how far above the minimum on these
        coordinates the objective may stay, and `exact` says that this is what remains to be done:
        then it goes on until their certificate is below the goal, if that is positive.
        """
        problem, p = self.problem, self.problem.design.shape[1]
        free = int(problem.intercept)
        self.gram.adopt(chosen)
        penalty = self.penalty.of(chosen, free)
        at = np.append(p, chosen) if free else chosen
        own, slope = w[at], g[at]
        epochs = models = systems = 0
        floor = 4 * np.finfo(w.dtype).eps * float(abs(problem.unit)) / chosen.size
        fine = self.quadratic and not self._takes_gram(own.size)
        least = max((_FINE if fine else _SHARE) * aim if exact else aim, floor)
        before = None if self.quadratic else self._objective(penalty, own, z)
        majorized, known, seen = False, exact and goal > 0 and self.quadratic, np.inf
        while True:
            weights = problem.weights
            if majorized:
                weights = weights * float(problem.loss.smoothness)
            elif not self.quadratic:
                curvature = problem.loss.curvature(z, problem.y)
                least_bend = _FLAT[0] * _FLAT[1] ** models * self._most(curvature)
                weights = weights * np.maximum(curvature, least_bend)
            new, fit, spent = self._minimized(penalty, own, slope, weights, least, exact)
            models, epochs, systems = models + 1, epochs + spent.epochs, systems + spent.systems
            if self.quadratic:
                own, z, settled = new, z + fit, True
            else:
                own, moved, after, expected = self._searched(
                    penalty, own, new, z, fit, slope, before
                )
                if after is None:
                    # Along a line into a concave penalty the objective may rise at first: a model
                    # that lies above the loss never does.
                    if majorized or penalty.convex or not np.isfinite(problem.loss.smoothness):
                        break
                    majorized = True
                    continue
                z, before, majorized = moved, after, False
                settled = expected <= max(aim, least)
            if models >= _MODELS or (settled and (spent.systems or not known)):
                break
            slope = self.gram.pulled_back(problem.weights * problem.loss.slope(z, problem.y))
            if known:
                # The objective hides a square root: small gains say little about a gap.
                left = self._left(w, at, own, z, slope)
                if left <= _ENOUGH * goal or (settled and not (least > floor and left < seen)):
                    break
                if settled:
                    seen, least = left, max(_FINER * least, floor)
        w = w.copy()
        w[at] = own
        return w, z, Work(epochs, models, systems)

    def _left(self, w: Any, at: Any, own: Any, z: Any, slope: Any) -> float:
        """The certificate's value if no other coordinate than those at `at` could move."""
        problem, p = self.problem, self.problem.design.shape[1]
        x, pulled = w.copy(), np.zeros_like(w)
        x[at], pulled[at] = own, slope
        if not problem.dual:
            parts = (pulled[:p], pulled[p]) if problem.intercept else pulled
            return float(np.linalg.norm(self.violations(x, parts)))
        if not problem.intercept:
            return float(problem.gap(x, z, pulled))
        chosen = problem.but(design=_Chosen(self.gram, problem.design))
        return float(chosen.gap((x[:p], x[p]), z))

    def _most(self, curvature: Any) -> float:
        """The largest curvature, of the loss where it has one."""
        most = float(self.problem.loss.smoothness)
        return most if np.isfinite(most) else float(curvature.max())

    def _objective(self, penalty: Separable, own: Any, z: Any) -> float:
        size = own[penalty.free :]
        ridge = 0.5 * penalty.ridge * float(size @ size)
        return float(self.problem.mean_loss(z)) + penalty.value(own) + ridge

    def _minimized(
        self, penalty: Separable, own: Any, slope: Any, weights: Any, least: float, exact: bool
    ) -> tuple[Any, Any, Work]:
        """The minimizer of a quadratic model, and how predictions change."""
        new, free = own.copy(), penalty.free
        if self._takes_gram(own.size):
            g = slope.copy()
            g[free:] += penalty.ridge * own[free:]
            gram = self.gram.of(weights)
            epochs, systems = by_gram(penalty, gram, g, new, least, self.accelerated, exact)
            return new, self.gram.fit(new - own), Work(epochs, 1, systems)
        fit = np.zeros_like(weights)
        columns = Columns(
            self.gram.columns(), self.gram.chosen, self.gram.own_squares(weights), weights,
            penalty.ridge, free,
        )  # fmt: skip
        epochs = by_columns(columns, penalty, slope, new, fit, least, self.accelerated)
        return new, fit, Work(epochs, 1, 0)

    def _takes_gram(self, size: int) -> bool:
        if self.model != "auto":
            return self.model == "gram"
        return size <= (_GRAM if self.dense else _SPARSE_GRAM)

    def _searched(
        self, penalty: Separable, old: Any, new: Any, z: Any, fit: Any, slope: Any, before: Any
    ) -> tuple[Any, Any, float | None, float]:
        """The longest of the halved steps that lowers the objective enough."""
        move = new - old
        own = move[penalty.free :]
        ridge = penalty.ridge * ((old[penalty.free :] + 0.5 * own) @ own)
        # Entry by entry: near the answer slopes and penalties cancel there.
        terms = slope * move + penalty.change(old, new)
        expected = -float(terms.sum() + ridge)
        if not expected > 0:
            return old, z, None, 0.0
        # Where no more is expected than rounding errors, the objective cannot tell a good step.
        rounding = 4 * np.finfo(old.dtype).eps * abs(before)
        rounding = rounding if expected < 1e3 * rounding else 0.0
        length = 1.0
        for _ in range(_HALVINGS):
            trial, moved = old + length * move, z + length * fit
            after = self._objective(penalty, trial, moved)
            if after <= before - _DECREASE * length * expected + rounding:
                return trial, moved, after, expected
            length *= 0.5
        return old, z, None, expected
