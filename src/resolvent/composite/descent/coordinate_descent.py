"""Coordinate descent on working sets, with Newton steps on the support."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import count, one_of
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.descent.recall import packed, unpacked
from resolvent.composite.descent.working_set import WorkingSet
from resolvent.composite.generalized_linear import GeneralizedLinear

_QUIET = 50  # steps without a better measure that end a solve
_LEVEL = 1e-12  # of their sizes: the sum of slopes that is taken for zero
_STUCK = 10  # for how many of them one counts that had nothing left to do


class DescentState(NamedTuple):
    w: Any
    """[p], and the intercept behind it where there is one."""
    z: Any
    """The predictions of w."""
    g: Any
    """The gradient of the mean loss at w."""
    chosen: Any
    """The working set, in the order of its growth."""
    measure: Any
    best: Any
    quiet: int
    """Steps since the measure was lower than ever before, those without a move counted more."""
    slow: int
    """Steps that came as near to the minimum as was asked for, and not near enough."""
    epochs: int
    models: int
    systems: int
    products: int


class CoordinateDescent(Method):
    """Descent along one coordinate after the other, on the few that matter.

    Solves `GeneralizedLinear` problems with penalties that are sums over coordinates. One step adds
    to a working set the coordinates that violate optimality most, half as many as are not zero, and
    in what room they leave those that come nearest to it. Then it minimizes the objective over the
    set, as well as the coordinates outside make worth while, and where none of these violates
    optimality until the set's own gap is small (least squares): by quadratic models of the loss
    with a line search (exact ones, without it, for least squares). Models
    are minimized by cyclic coordinate descent on their Gram matrix, with a step to the minimizer on
    the present support and signs after any few epochs, or without that matrix by epochs whose
    iterates are extrapolated.

    Its memory are the coefficients: where the penalty is convex, the next solve begins there if the
    objective is lower than at its first guess, however many samples there are by then.

    Args:
        first: how many coordinates join the working set in a step, at least.
        model: "gram", "columns", or "auto" for what is quicker for the data.
        accelerated: whether there are steps on the support, and extrapolations.
        working: the data as kernels take them; filled in by `bind`.

    Raises:
        ValueError: for a penalty that is no such sum, or a loss without a derivative.

    Cost per iteration:
        Two passes over the data, and the work on the coordinates of the working set: n k^2 for the
        Gram matrix of k dense columns, k^2 an epoch, k^3 / 3 a step on the support.

    Convergence:
        For convex penalties the objective converges to the least one: each step minimizes over more
        than the support, and working sets grow while the gap is not closed. Steps on the support
        are exact there for least squares as soon as the signs are those of the answer. For other
        penalties limit points are stationary in every coordinate.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((20, 50))
        lasso = rs.GeneralizedLinear(X, X[:, 0] - X[:, 1], penalty=rs.functions.L1(0.1))
        sol = rs.solve(lasso, rs.composite.CoordinateDescent(), rtol=1e-10)
        assert sol.converged and (sol.x != 0).sum() < 10
        ```

    Reference:
        M. Massias, A. Gramfort, J. Salmon (2018), Celer: a fast solver for the lasso with dual
        extrapolation, arXiv 1802.07481. Q. Bertrand et al. (2022), Beyond L1: faster and better
        sparse models with skglm, arXiv 2204.07826. J. Nutini, I. Laradji, M. Schmidt (2022), Let's
        make block coordinate descent converge faster, arXiv 1712.08859, for the steps on the
        support.
    """

    first: int = static(default=100)
    model: str = static(default="auto")
    accelerated: bool = static(default=True)
    working: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "coordinate-descent"
    solves: ClassVar = (GeneralizedLinear,)
    needs: ClassVar[tuple[str, ...]] = ("separable", "curved")
    models: ClassVar[tuple[str, ...]] = ("auto", "gram", "columns")
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    monitored: ClassVar[int] = 100
    in_order: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("coefficients",)

    def __post_init__(self) -> None:
        count("first", self.first, least=1)
        one_of("model", self.model, self.models)

    def bind(self, problem: GeneralizedLinear) -> Any:
        if self.working is not None:
            return self.but(working=self.working.of(problem))
        return self.but(working=WorkingSet(problem, self.model, self.accelerated))

    def init(self, problem: GeneralizedLinear, x0: Any, memory: Memory, key: Any) -> DescentState:
        working = self.working
        w = np.append(*x0) if problem.intercept else x0.copy()
        known = working.seen.recall(w)
        z, pulled = (working.predictions(w), None) if known is None else known
        # Zeros cost no product.
        spent = int(known is None and bool(w.any()))
        # Where the penalty is not convex, what is found depends on where one begins.
        other = unpacked(memory.get("coefficients"), w) if problem.penalty.convex else None
        if other is not None and not np.array_equal(other, w):
            seen, spent = working.predictions(other), spent + 1
            # Written so that NaN is never the better one.
            if working.objective(other, seen) < working.objective(w, z):
                w, z, pulled = other, seen, None
        state = DescentState(
            w, z, w, working.gram.chosen, np.inf, np.inf, 0, 0, 0, 0, 0, spent
        )  # fmt: skip
        return self._seen(problem, state, pulled)

    def _seen(
        self, problem: GeneralizedLinear, state: DescentState, pulled: Any = None
    ) -> DescentState:
        """The state with the gradient, where it is not known, and its certificate's value."""
        x, z, fresh = _point(problem, state.w), state.z, pulled is None
        w = x[0] if problem.intercept else x
        if fresh:
            pulled = problem.pulled_back(problem.loss.slope(z, problem.y))
            self.working.seen.note(state.w, z, pulled)
        known = self._balanced(problem, z, pulled)
        if problem.dual:
            measure = float(problem.gap(x, z, known))
        else:
            violations = self.working.violations(state.w, pulled)
            measure = float(np.linalg.norm(violations) + problem.endless(z, w))
        quiet = 0 if measure < state.best else state.quiet
        g = np.append(*pulled) if problem.intercept else pulled
        return state._replace(
            g=g, measure=measure, best=min(measure, state.best), quiet=quiet,
            products=state.products + fresh + (problem.dual and known is None),
        )  # fmt: skip

    def _balanced(self, problem: GeneralizedLinear, z: Any, pulled: Any) -> Any:
        """The gradient in w, or None where there is an intercept and slopes do not sum to zero, as
        those of a dual point must."""
        if not problem.intercept:
            return pulled
        sizes = problem.weights * abs(problem.loss.slope(z, problem.y))
        # Behind a minimum over the intercept rounding errors are left.
        return pulled[0] if abs(pulled[1]) <= _LEVEL * sizes.sum() else None

    def step(self, problem: GeneralizedLinear, state: DescentState) -> DescentState:
        return self.advance(problem, state, 1, -1.0)[0]

    def advance(
        self, problem: GeneralizedLinear, state: DescentState, steps: int, goal: float
    ) -> tuple[DescentState, Any]:
        trace = []
        while len(trace) < steps and not state.measure <= goal and not self.status(state):
            state = self._improved(problem, state, goal)
            trace.append(state.measure)
            if not np.isfinite(state.measure):
                break
        return state, np.array(trace)

    def _improved(
        self, problem: GeneralizedLinear, state: DescentState, goal: float
    ) -> DescentState:
        working = self.working
        pulled = _point(problem, state.g)
        violations = working.violations(state.w, pulled)
        chosen = working.chosen(state.w, state.g, violations, state.chosen, self.first)
        # While other coordinates have more to give, it is enough to come near to what these can
        # reach. Then the gap counts, which is larger than what the objective lacks.
        least = 0.1 * goal * 0.01**state.slow if problem.dual and goal > 0 else 0.0
        whole = working.suffices(state.w, violations, chosen)
        share = 0.0 if whole else working.worth(violations, state.w, state.chosen, chosen)
        exact = whole or share < least
        w, z, work = working.improved(
            state.w, state.z, state.g, chosen, max(share, least), exact, goal
        )  # fmt: skip
        return self._seen(
            problem,
            state._replace(
                w=w, z=z, chosen=chosen, slow=state.slow + exact,
                quiet=state.quiet + (_STUCK if exact or np.array_equal(w, state.w) else 1),
                epochs=state.epochs + work.epochs, models=state.models + work.models,
                systems=state.systems + work.systems,
            ),
        )  # fmt: skip

    def measure(self, problem: GeneralizedLinear, state: DescentState) -> Any:
        return state.measure

    def status(self, state: DescentState) -> Any:
        return Reason.stalled.code if state.quiet >= _QUIET else 0

    def iterate(self, problem: GeneralizedLinear, state: DescentState) -> tuple[Any, Any]:
        return _point(problem, state.w), None

    def refresh(self, problem: GeneralizedLinear, state: DescentState) -> DescentState:
        z = problem.predictions(_point(problem, state.w))
        return self._seen(problem, state._replace(z=z, products=state.products + 1))

    def remember(self, problem: GeneralizedLinear, state: DescentState) -> dict[str, Entry]:
        # How many samples there were is of no importance to coefficients.
        return {"coefficients": Entry(packed(state.w), depends=())}

    def calls(self, problem: GeneralizedLinear, state: DescentState) -> dict[str, Any]:
        return {
            "matvec": state.products, "model": state.models, "epoch": state.epochs,
            "solve": state.systems,
        }  # fmt: skip


def _point(problem: GeneralizedLinear, w: Any) -> Any:
    """A vector as the problem's unknown."""
    return (w[:-1], w[-1]) if problem.intercept else w
