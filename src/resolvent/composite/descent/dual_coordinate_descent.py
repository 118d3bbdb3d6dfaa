"""Dual coordinate descent: losses with kinks, one sample after the other."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import count
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.value import static
from resolvent.composite.descent.dual_form import DualForm
from resolvent.composite.generalized_linear import GeneralizedLinear

_MOST = 2000  # entries of w up to which there are proximal steps
_FIRST = 0.1  # of the median distance to the targets: the first of their weights
_FALL, _RISE = 0.2, 5.0  # of weights


class DualState(NamedTuple):
    v: Any
    """[n], one dual variable a sample."""
    w: Any
    """The answer, which may be a better one than the w of v."""
    measure: float
    sigma: float
    """The weight of the next proximal step; 0 before the first."""
    seed: int
    k: int
    visits: int
    """Visits of as many samples as there are, in parts."""
    systems: int
    products: int


class DualCoordinateDescent(Method):
    """Ascent of the dual along one sample's variable after the other, in random order.

    Solves `GeneralizedLinear` problems with the penalty `SquaredL2` and a loss whose conjugate is
    quadratic on an interval: support vector machines (`Hinge`, `SquaredHinge`, `SmoothedHinge`),
    quantile regression, `Huber` and least squares. The dual is a quadratic on a box of one variable
    v_i a sample, and w follows from v. A step visits the samples whose variables are not held by a
    bound a few times in new random orders. From the second step on, where w has not too many
    entries, a step of the proximal point method on the dual follows, by Newton's method in w; for
    smooth losses it is exact and has no proximal term. The answer's `witness` is v:
    the certificate is the duality gap of w and v.

    Args:
        epochs: visits of each such sample in a step.
        accelerated: whether there are proximal steps.
        form: the data as kernels take them; filled in by `bind`.

    Raises:
        ValueError: for another penalty, another loss, or an intercept.

    Cost per iteration:
        Six passes over the data, one more for each visit of the samples that are not held, and for
        each of Newton's steps two and k p^2 + p^3 / 3 for the k variables between their bounds.

    Convergence:
        The dual objective converges linearly to the largest one, and the duality gap tends to zero
        with it. Proximal steps, whose weight falls from step to step, converge superlinearly.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.array([[1.0, 2.0], [2.0, 0.5], [-1.0, -1.0], [-2.0, 1.0]])
        machine = rs.GeneralizedLinear(
            X, [1, 1, -1, -1], rs.functions.Hinge(), rs.functions.SquaredL2(0.1)
        )
        sol = rs.solve(machine, rs.composite.DualCoordinateDescent(), rtol=1e-8)
        assert sol.converged and (np.sign(X @ sol.x) == [1, 1, -1, -1]).all()
        ```

    Reference:
        C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan (2008), A dual
        coordinate descent method for large-scale linear SVM, ICML. R. T. Rockafellar (1976),
        Augmented Lagrangians and applications of the proximal point algorithm in convex
        programming, for the proximal steps.
    """

    epochs: int = static(default=10)
    accelerated: bool = static(default=True)
    form: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "dual-coordinate-descent"
    solves: ClassVar = (GeneralizedLinear,)
    needs: ClassVar[tuple[str, ...]] = ("ridge", "dual box")
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    random: ClassVar[bool] = True
    monitored: ClassVar[int] = 100

    def __post_init__(self) -> None:
        count("epochs", self.epochs, least=1)

    def bind(self, problem: GeneralizedLinear) -> Any:
        return self.but(form=DualForm(problem))

    def init(self, problem: GeneralizedLinear, x0: Any, memory: Memory, key: Any) -> DualState:
        form, z = self.form, problem.predictions(x0)
        slopes = problem.loss.dual(z, problem.y)
        tries = [form.inside(slopes), form.inside(np.zeros_like(slopes))]
        best = max(tries, key=lambda v: form.objective(v, form.primal(v)))
        measure = float(problem.gap(x0, z, None, best))
        return DualState(best, x0.copy(), measure, 0.0, int(key.integers(2**31)), 0, 0, 0, 5)

    def step(self, problem: GeneralizedLinear, state: DualState) -> DualState:
        form, rng = self.form, np.random.default_rng([state.seed, state.k])
        v, systems, sigma = state.v.copy(), state.systems, state.sigma
        w = form.primal(v)
        order = form.eager(form.pull(form.X @ w, v), v)
        first = 0.0
        visits = state.visits
        for epoch in range(self.epochs):
            rng.shuffle(order)
            most = form.visit(order, v, w)
            visits += 1
            first = most if epoch == 0 else first
            if most <= 0.1 * first:
                break
        w = form.primal(v)
        z = problem.predictions(w)
        if self.accelerated and w.size <= _MOST and state.k:
            if sigma == 0.0 and not form.bend:
                sigma = _FIRST * float(np.median(np.abs(z - problem.y)))
            if sigma > 0.0 or form.bend:
                v, point, solved, ended = form.proximal_step(v, w, sigma)
                systems += solved
                # Where Newton's method does not get to the end, the next problem is an easier one.
                sigma *= _FALL if ended else _RISE
                # The w of v loses digits where the ridge is small beside the data.
                w = min((point, form.primal(v)), key=problem.objective)
                z = problem.predictions(w)
        measure = float(problem.gap(w, z, None, v))
        return DualState(
            v, w, measure, sigma, state.seed, state.k + 1, visits, systems, state.products + 6
        )

    def measure(self, problem: GeneralizedLinear, state: DualState) -> Any:
        return state.measure

    def iterate(self, problem: GeneralizedLinear, state: DualState) -> tuple[Any, Any]:
        return state.w, state.v

    def calls(self, problem: GeneralizedLinear, state: DualState) -> dict[str, Any]:
        return {"matvec": state.products, "epoch": state.visits, "solve": state.systems}
