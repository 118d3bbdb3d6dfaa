"""Gradient and fast gradient method with a polynomial preconditioner."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core.checks import refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.linear.krylov import namespace
from resolvent.linear.polynomial import PolynomialPreconditioner
from resolvent.linear.problem import LinearSystem
from resolvent.linear.spectrum import check_interval


class PolynomialGradientState(NamedTuple):
    """`h` is the last step, `change` = A h its effect on the residual, `t` Nesterov's number."""

    x: Any
    r: Any
    h: Any
    change: Any
    bound: Any
    t: Any
    norm: Any
    products: Any
    status: Any


class _Needs:
    """The class needs the entries too: nothing may offer it where they are unknown.

    An instance may have traces instead, or meet an operator that can give its matrix: set-up
    finds out.
    """

    def __get__(self, method: Any, owner: Any) -> tuple[str, ...]:
        own = ("symmetric", "positive_definite")
        return (*own, "entries") if method is None else own


class PolynomialGradient(Method):
    """Gradient descent, plain or accelerated, that cuts the largest eigenvalues.

    Solves A x = b, A symmetric positive definite, as the minimum of f(x) = x^T A x / 2 - b^T x by
    steps x + P (b - A x) / M with P the symmetric polynomial of `PolynomialPreconditioner`, scaled
    to P = I - A (...). CG needs fewer products on linear systems; this method is the
    paper's, and the one that carries over to other functions.

    Args:
        degree: how many eigenvalues to cut, from 0 (plain gradient descent) to 5.
        accelerated: take the step at an extrapolated point (Nesterov).
        largest: M, at least the largest eigenvalue of P A; None searches it by doubling (and
            halving, where not accelerated) until f decreases as much as it should.
        smallest: a lower bound of the smallest eigenvalue of P A, which fixes the momentum; None
            uses Nesterov's sequence, restarted when a step points uphill.
        traces: (tr A, tr A^2, ..., tr A^degree), where the entries of A are not known.
        polynomial: P itself, where it has been set up before; made from `degree` and `traces`
            otherwise.

    Raises:
        ValueError: if A is not symmetric or has a diagonal entry that is not positive, for
            a degree beyond 5, if not 0 < smallest < largest, or for `smallest` where
            nothing is accelerated.

    Cost per iteration:
        degree + 1 products with A; the search for M costs none.

    Convergence:
        With kappa the condition number of P A, O(kappa log 1/eps) steps, accelerated
        O(sqrt(kappa) log 1/eps). kappa = (lambda_1 / lambda_n) xi with xi <= 1 falling in the
        degree; as the first `degree` eigenvalues grow, kappa tends to the sum of the others
        over lambda_n. Where r^T P r <= 0, the traces are not exact or A is not positive
        definite, and the solve ends with reason `breakdown`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.diag([400.0, 200.0, *np.linspace(3.0, 1.0, 58)])
        problem = rs.LinearSystem(A, np.ones(60))
        steps = [rs.solve(problem, rs.linear.PolynomialGradient(k)).steps for k in (0, 2)]
        assert steps[1] < steps[0] / 2
        ```

    Reference:
        N. Doikov, A. Rodomanov (2023), Polynomial Preconditioning for Gradient Methods,
        arXiv:2301.13194.
    """

    degree: int = static(default=2)
    accelerated: bool = static(default=False)
    largest: float | None = None
    smallest: float | None = None
    traces: tuple[float, ...] | None = None
    polynomial: PolynomialPreconditioner | None = None

    name: ClassVar[str] = "polynomial-gradient"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[Any] = _Needs()

    def __post_init__(self) -> None:
        PolynomialPreconditioner(self.degree, self.traces)
        largest, smallest = self.largest, self.smallest
        if smallest is not None and not self.accelerated:
            refuse(
                ValueError, "smallest", given="a number for the method without acceleration",
                needed="None, for nothing uses it",
                advice="Pass accelerated=True, or leave it out.",
            )  # fmt: skip
        check_interval(("smallest", "largest"), smallest, largest, "P A")

    def runs_on(self) -> tuple[Engine, ...]:
        return self.engines if self.polynomial is None else self.polynomial.engines

    def bind(self, problem: LinearSystem) -> "PolynomialGradient":
        if self.polynomial is not None:
            return self
        polynomial = PolynomialPreconditioner(self.degree, self.traces)
        return self.but(polynomial=polynomial.setup(problem))

    def init(
        self, problem: LinearSystem, x0: Any, memory: Memory, key: Any
    ) -> PolynomialGradientState:
        xp = namespace(x0)
        bound = xp.asarray(0.0 if self.largest is None else self.largest, x0.dtype)
        return self._begin(problem, x0, bound, 1)

    def _begin(
        self, problem: LinearSystem, x: Any, bound: Any, products: Any
    ) -> PolynomialGradientState:
        r = problem.residual(x)
        xp = namespace(r)
        zero = xp.zeros_like(r)
        one = xp.ones((), r.dtype)
        norm = xp.sqrt(xp.vdot(r, r))
        return PolynomialGradientState(x, r, zero, zero, bound, one, norm, products, 0)

    def step(
        self, problem: LinearSystem, state: PolynomialGradientState
    ) -> PolynomialGradientState:
        assert self.polynomial is not None
        xp = namespace(state.x)
        dtype = state.r.dtype
        momentum, t = self._momentum(xp, state)
        momentum = momentum.astype(dtype)
        # The residual is linear: that of the extrapolated point costs no product.
        r = state.r - momentum * state.change
        d = self.polynomial.apply(r)
        product = problem.operator.mv(d)
        descent, curvature = xp.vdot(r, d), xp.vdot(d, product)
        # NaN must not pass as fine: it shows up in the norm and ends the loop as divergence.
        bad = ((descent <= 0) | (curvature <= 0)) & (state.norm > 0)
        bound = self._search(xp, state.bound, curvature / xp.where(descent == 0, 1.0, descent))
        bound = xp.where(bad, 1.0, bound).astype(dtype)
        length = xp.where(bad | (bound == 0), 0.0, 1.0 / xp.where(bound == 0, 1.0, bound))
        length = length.astype(dtype)
        h = momentum * state.h + length * d
        change = momentum * state.change + length * product
        h, change = xp.where(bad, 0.0, h).astype(dtype), xp.where(bad, 0.0, change).astype(dtype)
        # A step against the gradient it was taken for: the momentum has overshot.
        uphill = xp.vdot(r, h) < 0
        t = xp.where(uphill, 1.0, t).astype(dtype)
        x, r = state.x + h, state.r - change
        return PolynomialGradientState(
            x, r, h, change, bound, t, xp.sqrt(xp.vdot(r, r)),
            state.products + self.polynomial.products + 1,
            xp.where(bad, Reason.breakdown.code, 0),
        )  # fmt: skip

    def _momentum(self, xp: Any, state: PolynomialGradientState) -> tuple[Any, Any]:
        if not self.accelerated:
            return xp.zeros(()), state.t
        if self.smallest is not None:
            # Before the first step nothing is known of M, and there is nothing to extrapolate.
            known = state.bound > 0
            s = xp.sqrt(self.smallest / xp.where(known, state.bound, 1.0))
            return xp.where(known, (1 - s) / (1 + s), 0.0), state.t
        t = (1 + xp.sqrt(1 + 4 * state.t * state.t)) / 2
        return (state.t - 1) / t, t

    def _search(self, xp: Any, bound: Any, quotient: Any) -> Any:
        """The M of this step. On a quadratic function the decrease of f is as demanded exactly
        when M is at least the Rayleigh quotient of the direction, so that all trials are one."""
        if self.largest is not None:
            return bound
        if not self.accelerated:
            bound = bound / 2
        fresh = bound == 0
        ratio = quotient / xp.where(fresh, 1.0, bound)
        doublings = xp.ceil(xp.log2(xp.where(ratio > 1, ratio, 1.0)))
        return xp.where(fresh, quotient, bound * xp.exp2(doublings))

    def measure(self, problem: LinearSystem, state: PolynomialGradientState) -> Any:
        return state.norm

    def status(self, state: PolynomialGradientState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: PolynomialGradientState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(
        self, problem: LinearSystem, state: PolynomialGradientState
    ) -> PolynomialGradientState:
        return self._begin(problem, state.x, state.bound, state.products + 1)

    def calls(self, problem: LinearSystem, state: PolynomialGradientState) -> dict[str, Any]:
        return {"matvec": state.products}

    def __str__(self) -> str:
        kind = "accelerated, " if self.accelerated else ""
        return f"{self.name} ({kind}degree {self.degree})"
