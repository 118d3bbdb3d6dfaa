"""Passes over all pairs of a transport problem, for methods that eliminate one potential."""

import math
from typing import Any, NamedTuple

import numpy as np

from resolvent.transport.coupling import Potentials
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.sinkhorn_host import Data, Side, Sweeps
from resolvent.transport.softmin import hard_log, kernel_form

PRODUCT = 0.5  # what a product with the Hessian costs a kept entry, a pair of a pass being 1
_SWEEP = 0.15  # what a sweep on a stored plan costs, in passes
_OVERHEAD = 10.0  # pairs of a pass that a row of a sweep on kept entries costs besides these
_SAMPLE = 16  # rows from which the number of kept entries is predicted
_ROOM = 48  # entries a row for which there is room at first
_MOST = 1 << 23  # entries that a Hessian may keep: 100 MB, and as much while they are collected
_WHOLE = 1 << 24  # pairs up to which costs without a kernel are written out once


class Kept(NamedTuple):
    """Large entries of a plan, by rows."""

    indptr: Any
    indices: Any
    values: Any


class Passes:
    """A problem as the kernels read it: masses, costs, and what passes over all pairs give.

    Rows are the side whose potential is eliminated. They are the columns of the problem where its
    cost is stored the other way round.
    """

    def __init__(self, problem: EntropicTransport, density: float | None):
        form = kernel_form(problem.cost)
        self.flipped = form is not None and form[1]
        problem = problem.T if self.flipped else problem
        self.cost, self.density = problem.cost, density
        self.form: Any = None if form is None else form[0]
        if form is None and math.prod(problem.shape) <= _WHOLE:
            whole = np.ascontiguousarray(problem.cost.rows(0, problem.shape[0]))
            self.form = (0, whole, np.empty((0, 0)))
        self.a, self.b = (np.asarray(mass, np.float64) for mass in (problem.a, problem.b))
        self.log_a, self.log_b = hard_log(self.a), hard_log(self.b)
        self.tau_a, self.tau_b = problem.penalty
        self.epsilon, self.mass = float(problem.epsilon), float(self.a.sum())
        self.balanced = problem.balanced
        n, m = problem.shape
        self.entries = n * m
        self.roots = np.sqrt(self.a), np.sqrt(self.b)
        self.room = _ROOM
        self._ones = np.ones(n), np.ones(m)
        self._last = 0.0
        self._largest: float | None = None

    def inward(self, x: Potentials) -> tuple[Any, Any]:
        """The potentials of rows and columns."""
        return (x.g, x.f) if self.flipped else (x.f, x.g)

    def outward(self, f: Any, g: Any) -> Potentials:
        """The potentials of sources and targets."""
        return Potentials(g, f) if self.flipped else Potentials(f, g)

    def largest(self) -> float:
        """The largest cost."""
        if self._largest is None:
            self._largest = float(self.cost.largest())
        return self._largest

    def wanted(self, g: Any) -> Any:
        """What the column sums should be."""
        return self.b if self.tau_b is None else np.exp(self.log_b - g / self.tau_b)

    def at(
        self, g: Any, epsilon: float, cut: float | None
    ) -> tuple[Any, Any, Any, Kept | None, int]:
        """f(g), row and column sums, the entries above the cut, and how many passes it took."""
        n = len(self.a)
        with np.errstate(all="ignore"):
            head = g / epsilon + self.log_b
        damping = 1.0 if self.tau_a is None else self.tau_a / (self.tau_a + epsilon)
        f, rows = np.empty(n), np.empty(n)
        if cut is None:
            columns, _ = self._run(head, epsilon, damping, f, rows, None)
            return f, rows, columns, None, 1
        if self.density is None:
            columns, kept = self._run(head, epsilon, damping, f, rows, (cut, *self.roots))
            return f, rows, columns, kept, self._taken
        wanted = min(self.entries, math.ceil(self.density * self.entries))
        lowest, taken = 1e-2 * self._last, 0
        while True:
            keep = (lowest if wanted < self.entries else 0.0, *self._ones)
            columns, kept = self._run(head, epsilon, damping, f, rows, keep)
            taken += self._taken
            if len(kept.values) >= wanted or lowest == 0.0:
                break
            lowest = 0.0
        kept, self._last = _largest(kept, wanted)
        return f, rows, columns, kept, taken

    def _run(
        self, head: Any, epsilon: float, damping: float, f: Any, rows: Any, keep: Any
    ) -> tuple[Any, Any]:
        """One pass over all blocks of rows; `_taken` passes where room was missing."""
        from resolvent.transport import kernels_newton

        self._taken = 1
        pieces, columns = [], np.zeros(len(head))
        for begin, end, form in self._forms():
            part = slice(begin, end)
            ours = None if keep is None else (keep[0], keep[1][part], keep[2])
            run = (form, epsilon, head, self.a[part], damping, f[part], rows[part], ours)
            sums, kept, room = kernels_newton.plan_pass(*run, self.room)
            while kept is None and ours is not None:
                if self.density is None and room * len(self.a) > 2 * _MOST:
                    # The prediction was wrong: what does not fit is left out.
                    ours = (4.0 * ours[0], *ours[1:])
                    keep = (ours[0], *self.roots)
                    sums, kept, room = kernels_newton.plan_pass(*run[:-1], ours, self.room)
                    self._taken += 1
                    continue
                self.room = int(1.25 * room) + 1
                sums, kept, room = kernels_newton.plan_pass(*run[:-1], ours, self.room)
                self._taken += 1
            columns += sums
            pieces.append(kept)
        if keep is None:
            return columns, None
        if len(pieces) == 1:
            return columns, Kept(*pieces[0])
        starts = np.cumsum([0] + [len(piece[2]) for piece in pieces])
        indptr = [piece[0][:-1] + start for piece, start in zip(pieces, starts, strict=False)]
        joined = np.concatenate([*indptr, starts[-1:]])
        return columns, Kept(joined, *(np.concatenate([p[k] for p in pieces]) for k in (1, 2)))

    def _forms(self) -> Any:
        if self.form is not None:
            yield 0, len(self.a), self.form
            return
        for begin, end, block in self.cost.blocks():
            yield begin, end, (0, np.ascontiguousarray(block), np.empty((0, 0)))

    def sweeps(self, epsilon: float, relaxation: float | None) -> Sweeps | None:
        """Sinkhorn's iteration at an epsilon, or None where costs are only known by blocks."""
        if self.form is None:
            return None
        sides = Side(self.a, self.log_a, self.tau_a), Side(self.b, self.log_b, self.tau_b)
        data = Data(self.form, sides, epsilon, False, self.largest())
        return Sweeps(data, "auto", relaxation, 0, None)

    def sweep_cost(self, stored: tuple[Any, ...]) -> float:
        """What a sweep costs, in passes, on a plan that is stored in this way."""
        if len(stored) == 2:
            overhead = _OVERHEAD * sum(self.cost.shape)
            return (2.0 * len(stored[0][-1]) + overhead) / self.entries
        return _SWEEP if stored else 1.0

    def share(self, f: Any, g: Any, epsilon: float, cut: float) -> float:
        """The share of the pairs that the Hessian would keep, from a sample of rows."""
        if self.density is not None:
            return self.density
        if f is None:
            return 1.0
        n = len(self.a)
        chosen = np.unique(np.linspace(0, n - 1, _SAMPLE).astype(int))
        total = 0
        with np.errstate(all="ignore"):
            bar = math.log(cut) - 0.5 * self.log_b
            for i in chosen:
                row = self.cost.rows(i, i + 1)[0]
                total += int(((f[i] + g - row) / epsilon + 0.5 * self.log_a[i] > bar).sum())
        return total / (len(chosen) * len(self.b))

    def affordable(self, f: Any, g: Any, epsilon: float, cut: float) -> float:
        """The cut, raised until the entries above it fit into memory."""
        if self.density is None and self.entries > _MOST:
            while cut < 1.0 and self.share(f, g, epsilon, cut) * self.entries > 0.7 * _MOST:
                cut *= 4.0
        return cut

    def dual(self, f: Any, g: Any, rows: Any, epsilon: float) -> float:
        """The dual objective up to a constant."""
        if self.balanced:
            return float(self.a @ f + self.b @ g)
        value = -epsilon * float(rows.sum())
        with np.errstate(over="ignore"):
            for mass, tau, x in ((self.a, self.tau_a, f), (self.b, self.tau_b, g)):
                part = mass @ x if tau is None else -tau * (mass @ np.expm1(-x / tau))
                value += float(part)
        return value

    def noise(self, f: Any, g: Any, epsilon: float) -> float:
        """How much of the dual objective is rounding."""
        size = self.a @ np.abs(f) + self.b @ np.abs(g) + epsilon * self.mass
        return 1e-14 * float(size)

    def diagonal(self, g: Any, columns: Any, epsilon: float) -> Any:
        """Diagonal of the Hessian in g, times epsilon; 1 where there is no mass."""
        diagonal = columns.copy()
        if self.tau_b is not None:
            diagonal += epsilon / self.tau_b * self.wanted(g)
        return np.where(diagonal > 0, diagonal, np.where(self.b > 0, 1e-300, 1.0))

    def solve(
        self,
        kept: Kept,
        rows: Any,
        diagonal: Any,
        gradient: Any,
        target: float,
        epsilon: float,
        reach: float = math.inf,
    ) -> tuple[Any, int]:
        """The Newton step in g / epsilon, and the products that it took."""
        from resolvent.transport import kernels_newton

        full = rows if self.tau_a is None else rows * (1.0 + epsilon / self.tau_a)
        inverse = np.divide(1.0, full, out=np.zeros_like(full), where=full > 0)
        move = np.empty_like(gradient)
        limit = 10 * sum(self.cost.shape)
        done, _ = kernels_newton.cg(*kept, inverse, diagonal, gradient, target, limit, reach, move)
        if self.balanced:
            # Both potentials may exchange a constant: the step that changes it least.
            move -= self.b @ move / self.mass
        return move, done


def _largest(kept: Kept, wanted: int) -> tuple[Kept, float]:
    """Exactly the largest entries; of equal ones, those of the first rows."""
    values = kept.values
    surplus = len(values) - wanted
    if surplus <= 0:
        return kept, float(values.min(initial=math.inf)) if wanted else 0.0
    least = float(np.partition(values, surplus)[surplus])
    chosen = values > least
    equal = np.flatnonzero(values == least)
    chosen[equal[: wanted - int(chosen.sum())]] = True
    before = np.concatenate([[0], np.cumsum(chosen)])
    return Kept(before[kept.indptr], kept.indices[chosen], values[chosen]), least
