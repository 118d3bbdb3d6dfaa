"""Descent along groups of coordinates on working sets, with Newton steps on the support."""

from typing import Any, ClassVar

import numpy as np

from resolvent.composite.descent.coordinate_descent import CoordinateDescent
from resolvent.composite.descent.group_model import ColumnModel, GramModel, minimized
from resolvent.composite.descent.grouped import Groups, grouped
from resolvent.composite.descent.working_set import Work, WorkingSet

_WORTH = 0.05  # of the square of a violation over a curvature: what an epoch must gain
_GROWTH = 1.0  # of the coordinates that are not zero: how many join a working set


class GroupDescent(CoordinateDescent):
    """Descent along one group of coordinates after the other, on the few that matter.

    Solves `GeneralizedLinear` problems with penalties that are sums of norms over groups: the group
    lasso, and as groups of one the lasso and the elastic net. One step adds to a working set the
    groups that violate optimality most, and minimizes the objective over the set, as well as the
    groups outside make worth while: by quadratic models of the loss with a line search (one model,
    exact, for least squares). Models are minimized on their Gram matrix by cyclic descent along
    groups, and after any few epochs by a Newton step on the groups that are not zero, where the
    penalty is smooth.

    Args:
        first: how many coordinates join the working set in a step, at least.
        model: "auto" or "gram"; there is no other.
        accelerated: whether there are Newton steps.
        working: the data as kernels take them; filled in by `bind`.

    Raises:
        ValueError: for a penalty that is no such sum, or a loss without a derivative.

    Cost per iteration:
        Two passes over the data, and the work on the k coordinates of the working set: n k^2 for
        their Gram matrix, k^2 an epoch, k^3 / 3 a Newton step.

    Convergence:
        The objective converges to the least one: each step minimizes over more than the support,
        and working sets grow while the gap is not closed. Newton steps converge quadratically as
        soon as the groups that are not zero are those of the answer.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((20, 60))
        penalty = rs.functions.GroupL2(np.repeat(np.arange(20), 3), 0.2)
        lasso = rs.GeneralizedLinear(X, X[:, :3].sum(axis=1), penalty=penalty)
        sol = rs.solve(lasso, rs.composite.GroupDescent(), rtol=1e-10)
        assert sol.converged and (sol.x[3:] == 0).mean() > 0.5
        ```

    Reference:
        M. Yuan, Y. Lin (2006), Model selection and estimation in regression with grouped variables.
        Q. Bertrand et al. (2022), Beyond L1: faster and better sparse models with skglm, arXiv
        2204.07826, for working sets.
    """

    name: ClassVar[str] = "group-descent"
    needs: ClassVar[tuple[str, ...]] = ("grouped", "curved")
    models: ClassVar[tuple[str, ...]] = ("auto", "gram")

    def bind(self, problem: Any) -> Any:
        if self.working is not None:
            return self.but(working=self.working.of(problem))
        return self.but(working=GroupWorkingSet(problem, self.model, self.accelerated))


class GroupWorkingSet(WorkingSet):
    """A problem as group descent sees it."""

    def terms(self, problem: Any) -> Groups:
        """The penalty as it is taken here."""
        found = grouped(problem.penalty, problem.design.shape[1], problem.design.dtype)
        assert found is not None, "the problem says what it lacks"
        return found

    def violations(self, w: Any, pulled: Any) -> Any:
        """For each coordinate, its part of the vector from optimality to the gradient."""
        groups, p = self.penalty, self.penalty.group.size
        slope = pulled[0] if self.problem.intercept else pulled
        slope = slope + groups.ridge * w[:p] if groups.ridge else slope
        lengths = np.sqrt(groups.sums(w[:p] * w[:p]))
        steep = np.sqrt(groups.sums(slope * slope))
        zero = lengths == 0
        shares = np.where(zero, 0.0, groups.bars / np.where(zero, 1.0, lengths))
        over = np.maximum(steep - groups.bars, 0.0)
        cuts = np.where(zero, over / np.where(steep > 0, steep, 1.0), 1.0)
        out = np.empty(w.size, w.dtype)
        out[:p] = cuts[groups.group] * slope + shares[groups.group] * w[:p]
        out[p:] = np.abs(pulled[1]) if self.problem.intercept else ()
        return out

    def worth(self, violations: Any, w: Any, before: Any, chosen: Any) -> float:
        """A part of what one step along the group that violates optimality most would gain."""
        p = self.penalty.group.size
        squares = self.penalty.sums(violations[:p] ** 2)
        most = int(squares.argmax())
        problem, bend = self.problem, float(self.problem.loss.smoothness)
        weights = problem.weights * (bend if np.isfinite(bend) else 1.0)
        columns = self.penalty.columns(np.array([most]))
        curvature = float(self.gram.squares(columns, weights).sum()) + self.penalty.ridge
        gain = float(squares[most]) / curvature if curvature > 0 else 0.0
        return _WORTH * max(gain, *(float(free) * float(free) for free in violations[p:]), 0.0)

    def suffices(self, w: Any, violations: Any, chosen: Any) -> bool:
        """Whether there are no other coordinates; minima on trial are too dear here."""
        return chosen.size == self.penalty.group.size

    def chosen(self, w: Any, g: Any, violations: Any, before: Any, first: int) -> Any:
        """The coordinates of before, and behind them the groups that violate optimality most."""
        groups, p = self.penalty, self.penalty.group.size
        alive = groups.sums(w[:p] != 0) > 0
        living = int(groups.sizes[alive].sum())
        more = max(first, int(_GROWTH * living))
        if before.size > 3 * living + first:
            before = groups.columns(np.flatnonzero(alive))
        scores = groups.sums(violations[:p] ** 2)
        scores[alive] = np.inf
        scores[groups.group[before]] = 0.0
        eager = np.flatnonzero(scores)
        eager = eager[np.argsort(-scores[eager], kind="stable")]
        enough = int(np.searchsorted(np.cumsum(groups.sizes[eager]), more)) + 1
        return np.append(before, groups.columns(eager[:enough]))

    def _minimized(
        self, penalty: Any, own: Any, slope: Any, weights: Any, least: float, exact: bool
    ) -> tuple[Any, Any, Work]:
        """The minimizer of a quadratic model, and how predictions change."""
        new, free = own.copy(), penalty.free
        if self.dense and self.model == "auto" and own.size > weights.size:
            fit = np.zeros_like(weights)
            model: Any = ColumnModel(penalty, self.gram.columns(), weights, slope, new, fit)
        else:
            g = slope.copy()
            g[free:] += penalty.ridge * own[free:]
            model = GramModel(penalty, self.gram.of(weights), g, new)
        epochs, systems = minimized(model, least, self.accelerated, exact)
        return new, self.gram.fit(new - own), Work(epochs, 1, systems)
