"""Iterations that keep the s largest coefficients: thresholding, pursuit and CoSaMP."""

import abc
import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.problem import Engine
from resolvent.composite.sparse_recovery import SparseRecovery

_SAFE = 0.99  # of the longest step that cannot raise the residual
_HALVINGS = 60


class ThresholdState(NamedTuple):
    x: Any
    r: Any
    """b - A x."""
    measure: float
    products: int
    fits: int


class HardThresholding(Method):
    """What the iterations share: columns of length 1, the s largest coefficients, least squares."""

    matrix: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    solves: ClassVar = (SparseRecovery,)
    needs: ClassVar[tuple[str, ...]] = ("equations", "sparsity")
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    monitored: ClassVar[int] = 200

    def bind(self, problem: SparseRecovery) -> Any:
        lengths = problem.lengths()
        return self.but(matrix=(problem.A / lengths, lengths))

    def init(self, problem: SparseRecovery, x0: Any, memory: Memory, key: Any) -> ThresholdState:
        r = problem.b - problem.A @ x0
        return ThresholdState(x0.copy(), r, float(problem.shortfall(x0, r)), 1, 0)

    @abc.abstractmethod
    def moved(self, z: Any, r: Any, b: Any, s: int) -> tuple[Any, int, int]:
        """The next coefficients in units of columns of length 1, products and fits spent."""

    def step(self, problem: SparseRecovery, state: ThresholdState) -> ThresholdState:
        matrix, lengths = self.matrix
        z, products, fits = self.moved(
            state.x * lengths, state.r, problem.b, problem.sparsity
        )  # fmt: skip
        r = problem.b - matrix @ z
        x = z / lengths
        return ThresholdState(
            x, r, float(problem.shortfall(x, r)), state.products + products + 1, state.fits + fits
        )

    def measure(self, problem: SparseRecovery, state: ThresholdState) -> Any:
        return state.measure

    def iterate(self, problem: SparseRecovery, state: ThresholdState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: SparseRecovery, state: ThresholdState) -> dict[str, Any]:
        return {"matvec": state.products, "fit": state.fits}

    def _normalized(self, z: Any, gradient: Any, s: int) -> tuple[float, Any]:
        """The step that is best on the present support, and that support."""
        matrix, _ = self.matrix
        on = largest(z if z.any() else gradient, s)
        along = matrix[:, on] @ gradient[on]
        length = norm(along)
        share = norm(gradient[on]) / length if length > 0 else 1.0
        return share * share, on

    def _fitted(self, on: Any, target: Any) -> Any:
        """The least-squares fit on some columns."""
        matrix, _ = self.matrix
        z = np.zeros(matrix.shape[1], matrix.dtype)
        z[on] = np.linalg.lstsq(matrix[:, on], target, rcond=None)[0]
        return z


def largest(z: Any, s: int) -> Any:
    """The places of the s largest sizes, those of zeros left out."""
    size = np.abs(z)
    if s < z.size:
        chosen = np.sort(np.argpartition(-size, s - 1)[:s])
    else:
        chosen = np.arange(z.size)
    return chosen[size[chosen] > 0]


def kept(z: Any, s: int) -> Any:
    """z with nothing but its s largest entries."""
    out, on = np.zeros_like(z), largest(z, s)
    out[on] = z[on]
    return out


class IterativeHardThresholding(HardThresholding):
    """A step against the residual, of which the s largest coefficients stay.

    Solves `SparseRecovery` problems without a loss by z <- H_s(z + mu A^T (b - A z)), with columns
    of length 1. The step mu is the best one on the support of z; where the support changes it is
    halved until mu <= 0.99 ||d||^2 / ||A d||^2, d being the move, so that the residual never grows.

    Args:
        matrix: A with columns of length 1, and their lengths; filled in by `bind`.

    Raises:
        ValueError: for a problem with a loss, or without a stated sparsity.

    Cost per iteration:
        Three products with A or A^T, and one more each time the step is halved.

    Convergence:
        The residual norm falls, and limit points are fixed points of thresholding. Linear to the
        solution of s nonzeros where sets of 3 s columns are near to orthonormal (restricted
        isometry).

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        A, x = rng.standard_normal((40, 80)), np.zeros(80)
        x[[3, 50]] = [1.0, -2.0]
        problem = rs.SparseRecovery(A, A @ x, sparsity=2)
        sol = rs.solve(problem, rs.composite.IterativeHardThresholding(), rtol=1e-8)
        assert np.allclose(sol.x, x)
        ```

    Reference:
        T. Blumensath, M. Davies (2010), Normalized iterative hard thresholding: guaranteed
        stability and performance.
    """

    name: ClassVar[str] = "iterative-hard-thresholding"

    def moved(self, z: Any, r: Any, b: Any, s: int) -> tuple[Any, int, int]:
        matrix, _ = self.matrix
        products = 2
        if np.count_nonzero(z) > s:  # a first guess
            z = kept(z, s)
            r, products = b - matrix @ z, 3
        gradient = matrix.T @ r
        mu, on = self._normalized(z, gradient, s)
        new = kept(z + mu * gradient, s)
        for _ in range(_HALVINGS):
            if np.array_equal(np.flatnonzero(new), on):
                break
            move = new - z
            products += 1
            if mu**0.5 * norm(matrix @ move) <= _SAFE**0.5 * norm(move):
                break
            mu *= 0.5
            new = kept(z + mu * gradient, s)
        return new, products, 0


class HardThresholdingPursuit(HardThresholding):
    """A step against the residual says which s columns are fitted.

    Solves `SparseRecovery` problems without a loss: the support is that of the s largest entries of
    z + mu A^T (b - A z), with columns of length 1 and mu the best step on the present support, and
    the coefficients are its least-squares fit.

    Args:
        matrix: A with columns of length 1, and their lengths; filled in by `bind`.

    Raises:
        ValueError: for a problem with a loss, or without a stated sparsity.

    Cost per iteration:
        Three products with A or A^T, and a least-squares fit of s columns.

    Convergence:
        Exact after finitely many steps, once the support is that of the solution, where sets of 3 s
        columns are near to orthonormal (restricted isometry). Elsewhere supports may repeat.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        A, x = rng.standard_normal((40, 80)), np.zeros(80)
        x[[3, 50]] = [1.0, -2.0]
        problem = rs.SparseRecovery(A, A @ x, sparsity=2)
        sol = rs.solve(problem, rs.composite.HardThresholdingPursuit(), rtol=1e-12)
        assert np.allclose(sol.x, x)
        ```

    Reference:
        S. Foucart (2011), Hard thresholding pursuit: an algorithm for compressive sensing.
    """

    name: ClassVar[str] = "hard-thresholding-pursuit"

    def moved(self, z: Any, r: Any, b: Any, s: int) -> tuple[Any, int, int]:
        matrix, _ = self.matrix
        gradient = matrix.T @ r
        mu, _ = self._normalized(kept(z, s), gradient, s)
        return self._fitted(largest(z + mu * gradient, s), b), 2, 1


class CoSaMP(HardThresholding):
    """The columns of 2 s correlations join the support, are fitted, and s of them stay.

    Solves `SparseRecovery` problems without a loss (compressive sampling matching pursuit), with
    columns of length 1. Those that stay are fitted once more, so that what is returned is the best
    fit on its support with noise as well.

    Args:
        matrix: A with columns of length 1, and their lengths; filled in by `bind`.

    Raises:
        ValueError: for a problem with a loss, or without a stated sparsity.

    Cost per iteration:
        Two products with A or A^T, and least-squares fits of at most 3 s and of s columns.

    Convergence:
        The distance to a solution of s nonzeros halves in each step, at least, where sets of 4 s
        columns are near to orthonormal (restricted isometry); with noise, down to a multiple of
        it. Elsewhere it may run in circles.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        A, x = rng.standard_normal((40, 80)), np.zeros(80)
        x[[3, 50]] = [1.0, -2.0]
        problem = rs.SparseRecovery(A, A @ x, sparsity=2)
        sol = rs.solve(problem, rs.composite.CoSaMP(), rtol=1e-12)
        assert np.allclose(sol.x, x)
        ```

    Reference:
        D. Needell, J. Tropp (2008), CoSaMP: iterative signal recovery from incomplete and
        inaccurate samples, arXiv 0803.2392.
    """

    name: ClassVar[str] = "cosamp"

    def moved(self, z: Any, r: Any, b: Any, s: int) -> tuple[Any, int, int]:
        matrix, _ = self.matrix
        joined = np.union1d(largest(matrix.T @ r, 2 * s), largest(z, s))
        return self._fitted(largest(self._fitted(joined, b), s), b), 1, 2
