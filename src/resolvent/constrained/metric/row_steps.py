"""What Project and Forget does with rows <a, x> <= b."""

import math
from typing import Any

import numpy as np

from resolvent.constrained.metric.lagrangian import ROUNDED
from resolvent.constrained.metric.rows import RowList, foreign_keys, rows_of
from resolvent.constrained.metric.separated import Separated, fresh_rows


class RowSteps:
    """Sweeps and looks for the rows of a problem.

    Args:
        problem: a `Separated` problem.
        at_once: whether x moves onto rows as they are found.
    """

    def __init__(self, problem: Separated, at_once: bool):
        self.problem, self.at_once = problem, at_once
        self.slack = ROUNDED * float(np.abs(problem.centre).max())

    def empty(self) -> RowList:
        """The rows that are always kept."""
        kept = 0 if self.problem.oracle is None else self.problem.b.size
        return rows_of(
            self.problem.A[:kept], self.problem.b[:kept], np.arange(1, kept + 1), always=True
        )

    def box(self) -> tuple[Any, Any]:
        """None: bounds are rows."""
        return np.empty(0), np.empty(0)

    def position(self, rows: RowList, low: Any, high: Any) -> Any:
        """Where the Lagrangian is least for these multipliers."""
        problem = self.problem
        pull = rows.matrix(problem.n).T @ rows.z
        return problem.bregman.minimizer(problem.centre, problem.inverse, pull)

    def sweep(self, many: int, rows: RowList, x: Any, low: Any, high: Any) -> bool:
        """Project onto every row, in place; False where one of them excludes all points."""
        if self.problem.function == "logdet":
            from resolvent.constrained.metric import kernels_determinants

            d = math.isqrt(x.size)
            return kernels_determinants.sweeps(
                many, rows.starts, rows.columns, rows.coefficients, rows.bounds, rows.z,
                x.reshape(d, d),
            )  # fmt: skip
        from resolvent.constrained.metric import kernels_rows as kernels

        return kernels.sweeps(
            many, rows.starts, rows.columns, rows.coefficients, rows.bounds, rows.z, x,
            self.problem.inverse, self.problem.function == "entropy",
            float(np.abs(self.problem.centre).max()),
        )  # fmt: skip

    def forget(self, rows: RowList) -> RowList:
        """The rows with positive multipliers, and those that are always kept."""
        return rows.where(rows.always | (rows.z > 0))

    def look(self, x: Any, rows: RowList) -> tuple[RowList, float, int]:
        """The violated rows that are new, the error at x, and that the oracle was asked once."""
        problem = self.problem
        if problem.oracle is None:
            asked = None
            fresh = self._fresh(x, rows, np.arange(problem.b.size))
        else:
            asked = problem.asked(x)
            fresh = fresh_rows(*asked, foreign_keys(*asked), x, rows, self.slack)
        error = problem.measured(x, rows, asked).error
        return self._moved(fresh, x), error, 1

    def _fresh(self, x: Any, rows: RowList, some: Any) -> RowList:
        problem = self.problem
        keys = (some + 1).astype(np.uint64)
        return fresh_rows(problem.A[some], problem.b[some], keys, x, rows, self.slack)

    def _moved(self, fresh: RowList, x: Any) -> RowList:
        if self.at_once and fresh.z.size:
            self.sweep(1, fresh, x, None, None)
        return fresh

    def sample(self, x: Any, rows: RowList, many: int, rng: Any) -> RowList:
        """The violated rows among some, each as likely as any other."""
        some = rng.integers(0, self.problem.b.size, many)
        return self._moved(self._fresh(x, rows, np.unique(some)), x)

    def warm(self, value: Any) -> RowList | None:
        """A list from a memory, where it is a better beginning than nothing."""
        rows = self.problem.admitted(value)
        if rows is None or not (rows.z > 0).any():
            return None
        return rows if self._dual_value(rows) > 0 else None

    def _dual_value(self, rows: RowList) -> float:
        problem = self.problem
        x = self.position(rows, None, None)
        slack = rows.bounds - rows.matrix(problem.n) @ x
        return problem.bregman.value(problem.centre, problem.inverse, x) - float(rows.z @ slack)

    def infeasible(self, rows: RowList, before: RowList) -> RowList | None:
        """What multipliers have grown by, where that proves that no point meets all rows."""
        old = dict(zip(before.keys.tolist(), before.z.tolist(), strict=True))
        z = [old.get(key, 0.0) for key in rows.keys.tolist()]
        drift = rows._replace(z=np.maximum(rows.z - np.array(z), 0.0))
        return drift if self.problem.proves_infeasible(drift) else None
