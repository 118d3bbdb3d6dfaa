"""Polynomials of the matrix as preconditioners: products with A and nothing else."""

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import count, is_traced, refuse
from resolvent._core.problem import Engine
from resolvent._core.symmetric_polynomials import elementary_symmetric
from resolvent._core.value import static
from resolvent.linear.preconditioners import Preconditioner
from resolvent.linear.spectrum import check_interval, lanczos_extremes, lanczos_steps
from resolvent.linear.traces import power_traces

HIGHEST_DEGREE = 5
_SAFETY = 1.05  # Ritz values lie inside the spectrum


class _MatrixPolynomial(Preconditioner):
    """A polynomial of a symmetric positive definite A, which `setup` stores as `operator`."""

    symmetric: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("symmetric", "positive_definite")

    @property
    def engines(self) -> tuple[Engine, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        # Once set up, it lives where its matrix lives.
        operator: Any = getattr(self, "operator", None)
        return ("traced", "host") if operator is None else (operator.engine,)

    @property
    def products(self) -> int:
        """Products with A of one application."""
        return 0


class PolynomialPreconditioner(_MatrixPolynomial):
    """The symmetric polynomial that cuts the largest eigenvalues without knowing them.

    With e_k the elementary symmetric polynomials of the spectrum of A, the family is P_0 = I,
    P_k = e_k I - A P_{k-1}. On the i-th eigenvector P_k has the eigenvalue e_k of all the others,
    which is positive; P_{n-1} = det(A) A^-1. What is applied is P_k / e_k. It pays where the
    spectrum has gaps behind a few eigenvalues at the top: when the first `degree` of them grow,
    the condition number of the preconditioned matrix stays below (sum of the others) /
    (smallest).

    Args:
        degree: the number of eigenvalues to cut, from 0 to 5.
        traces: (tr A, tr A^2, ..., tr A^degree), where the entries of A are not known. They must be
            exact up to rounding: estimates make the polynomial indefinite.

    Raises:
        ValueError: for a degree beyond 5, whose coefficients have no correct digits left; for
            traces that no positive definite matrix has.

    Cost per iteration:
        `degree` products with A. Set-up: degree 1 and 2 read the entries once, 3 and 4 multiply A
        with itself, 5 also by its square; the products are summed in blocks and never stored
        whole.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.diag([4000.0, 2000.0, 1000.0, *np.linspace(3.0, 1.0, 97)])
        problem = rs.LinearSystem(A, np.ones(100))
        method = rs.linear.CG(preconditioner=rs.linear.PolynomialPreconditioner(3))
        assert rs.solve(problem, method).steps < rs.solve(problem, rs.linear.CG()).steps
        ```

    Reference:
        N. Doikov, A. Rodomanov (2023), Polynomial Preconditioning for Gradient Methods,
        arXiv:2301.13194.
    """

    degree: int = static(default=2)
    traces: tuple[float, ...] | None = None
    operator: Any = None
    ratios: Any = None

    def __post_init__(self) -> None:
        count("degree", self.degree)
        if self.degree > HIGHEST_DEGREE:
            refuse(
                ValueError, "degree", given=f"{self.degree}",
                needed=f"at most {HIGHEST_DEGREE}: the sums behind the coefficients cancel, and "
                "beyond it no digit of them is correct",
                advice="Use ChebyshevPreconditioner or KrylovGradient for higher degrees.",
            )  # fmt: skip
        if self.traces is not None and len(self.traces) < self.degree:
            refuse(
                ValueError, "traces", given=f"{len(self.traces)} of them",
                needed=f"the traces of A, A^2, ..., A^{self.degree}",
                advice="Lower the degree, or leave traces out where the entries are known.",
            )  # fmt: skip

    @property
    def products(self) -> int:
        """Products with A of one application."""
        return self.degree if self.ratios is None else len(self.ratios)

    def setup(self, problem: Any) -> "PolynomialPreconditioner":
        if self.ratios is not None:
            return self
        operator = problem.operator
        # P_{n-1} is the inverse already, and e_n of n - 1 eigenvalues is zero.
        degree = min(self.degree, operator.n - 1)
        ratios = () if degree == 0 else self._ratios(operator, degree)
        return self.but(operator=operator, degree=len(ratios), ratios=ratios)

    def _ratios(self, operator: Any, degree: int) -> tuple[Any, ...]:
        """e_{j-1} / e_j: what one product is multiplied by."""
        n = operator.n
        if self.traces is not None:
            scale = self.traces[0] / n
            scaled = [trace / scale ** (i + 1) for i, trace in enumerate(self.traces[:degree])]
        else:
            scale = power_traces(operator, 1)[0] / n
            _require_positive(scale, "tr A")
            scaled = power_traces(operator, degree, scale)
        e = elementary_symmetric(scaled)
        dtype = operator.dtype
        if is_traced(e):
            return tuple((e[j - 1] / e[j] / scale).astype(dtype) for j in range(1, degree + 1))
        _require_positive(scale, "tr A")
        ratios = []
        for j in range(1, degree + 1):
            # The sums begin with terms of this size; what is left below its rounding is zero.
            size = abs(scaled[0]) ** j
            if abs(e[j]) <= 100 * np.finfo(np.float64).eps * size:
                break
            _require_positive(e[j], f"e_{j} of the spectrum, scaled to mean one,")
            ratios.append(np.asarray(e[j - 1] / e[j] / scale, dtype))
        if operator.engine == "traced":
            return tuple(jnp.asarray(ratio) for ratio in ratios)
        return tuple(ratio[()] for ratio in ratios)

    def apply(self, r: Any) -> Any:
        """P r / e_degree(A)."""
        if self.ratios is None:
            return super().apply(r)
        w = r
        for ratio in self.ratios:
            w = r - ratio * self.operator.mv(w)
        return w

    def __str__(self) -> str:
        return f"symmetric polynomial of degree {self.degree}"


class ChebyshevPreconditioner(_MatrixPolynomial):
    """The polynomial of A nearest to A^-1, in the Chebyshev sense, on an interval.

    z = q(A) r with 1 - t q(t) the polynomial of degree + 1 that is 1 at 0 and least in maximum on
    [low, high]; that is, `degree` further steps of Chebyshev iteration from zero. It saves inner
    products, not products with A: CG without it needs fewer of these.

    Args:
        degree: products with A of one application. An even degree is positive definite whatever
            the bounds are; an odd one only where no eigenvalue exceeds low + high.
        low: lower end of the spectrum, or None for an estimate by Lanczos steps.
        high: upper end, or None for an estimate by Lanczos steps with 5 % of safety.
        operator: after `setup`, A.
        spent: after `setup`, the products with A that the estimates cost.

    Raises:
        ValueError: if not 0 < low < high.

    Cost per iteration:
        `degree` products with A and twice as many vector updates. Set-up: 12 products, or none
        where both bounds are given.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.diag(np.linspace(1.0, 1000.0, 300))
        problem = rs.LinearSystem(A, np.ones(300))
        method = rs.linear.CG(preconditioner=rs.linear.ChebyshevPreconditioner(4))
        assert rs.solve(problem, method).steps < rs.solve(problem, rs.linear.CG()).steps / 3
        ```

    Reference:
        O. G. Johnson, C. A. Micchelli, G. Paul (1983), Polynomial preconditioners for conjugate
        gradient calculations.
    """

    degree: int = static(default=4)
    low: float | None = None
    high: float | None = None
    operator: Any = None
    spent: int = static(default=0)  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        count("degree", self.degree)
        check_interval(("low", "high"), self.low, self.high, "A")

    @property
    def products(self) -> int:
        """Products with A of one application."""
        return self.degree

    def setup(self, problem: Any) -> "ChebyshevPreconditioner":
        if self.operator is not None:
            # What was spent then is not spent again: the next solve must not count it.
            return self.but(spent=0) if self.spent else self
        operator = problem.operator
        low, high, spent = self.low, self.high, 0
        if low is None or high is None:
            spent = lanczos_steps(operator.n)
            b = problem.b if problem.b.ndim == 1 else problem.b[:, 0]
            least, most = lanczos_extremes(operator, None, b)
            high = _SAFETY * most if high is None else high
            _require_positive(high, "the largest eigenvalue")
            # A singular matrix has a smallest one of zero, which is no end of an interval.
            least = jnp.maximum(least, 1e-6 * high) if is_traced(least) else max(least, 1e-6 * high)
            low = least if low is None else low
            if not is_traced((low, high)) and not low < high:
                refuse(
                    ValueError, "low, high", given=f"low={low:g}, and {high:g} found for high",
                    needed="0 < low < high", advice="Leave both out, or give both.",
                )  # fmt: skip
        xp = jnp if operator.engine == "traced" else np
        low, high = xp.asarray(low, operator.dtype)[()], xp.asarray(high, operator.dtype)[()]
        return self.but(operator=operator, low=low, high=high, spent=spent)

    def apply(self, r: Any) -> Any:
        """q(A) r."""
        low, high, operator = self.low, self.high, self.operator
        if operator is None or low is None or high is None:
            return super().apply(r)
        theta, delta = (high + low) / 2, (high - low) / 2
        sigma = theta / delta
        rho = 1 / sigma
        d = r / theta
        z = d
        for _ in range(self.degree):
            following = 1 / (2 * sigma - rho)
            d = following * rho * d + 2 * following / delta * (r - operator.mv(z))
            z = z + d
            rho = following
        return z

    def __str__(self) -> str:
        return f"Chebyshev polynomial of degree {self.degree}"


def _require_positive(value: Any, what: str) -> None:
    if is_traced(value):
        return
    if not 0 < float(value) < np.inf:
        refuse(
            ValueError, "A", given=f"{what} is {float(value):g}",
            needed="a positive number, as of every positive definite matrix",
            advice="Check that A is positive definite and that given traces are exact.",
        )  # fmt: skip
