"""Numerators and denominators of fractional programs, as coordinate steps and certificates ask."""

import abc
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float

from resolvent._core.checks import between, count, finite, is_traced, real_array, refuse
from resolvent._core.value import Value, static


class Line(NamedTuple):
    """A denominator at a point, as the kernels of fractional programs take it."""

    kind: int
    """SMOOTH, LARGEST or QUARTIC."""
    bottom: float
    matrix: Any
    """Transposed: row i belongs to coordinate i."""
    product: Any
    vectors: Any
    scalars: Any
    order: Any


class Numerator(Value):
    """A smooth convex quadratic f of n unknowns."""

    @property
    @abc.abstractmethod
    def n(self) -> int:
        """The number of unknowns."""

    @abc.abstractmethod
    def value(self, x: Any) -> float:
        """f(x)."""

    @abc.abstractmethod
    def gradient(self, x: Any) -> Any:
        """The gradient of f at x."""

    @abc.abstractmethod
    def curvatures(self) -> Any:
        """[n], the second derivatives along the coordinates."""

    @abc.abstractmethod
    def hessian(self) -> Any:
        """[n, n]."""


class SquaredResidual(Numerator):
    """||A x - b||^2 / 2 + offset.

    Args:
        A: [m, n].
        b: [m].
        offset: not negative.

    Raises:
        ValueError: for shapes that do not fit, and numbers that are not finite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        f = rs.composite.SquaredResidual(np.eye(2), np.array([1.0, 2.0]))
        assert f.value(np.zeros(2)) == 2.5
        ```
    """

    A: Any
    b: Any
    offset: float = 0.0

    def __init__(self, A: Float[Any, "m n"], b: Float[Any, " m"], offset: float = 0.0):
        A = _matrix("A", A)
        b = _vector("b", b, A.shape[0], A.dtype)
        vars(self).update(A=A, b=b, offset=_offset(offset))

    @property
    def n(self) -> int:
        return self.A.shape[1]

    def value(self, x: Any) -> float:
        r = self.A @ x - self.b
        return 0.5 * float(r @ r) + self.offset

    def gradient(self, x: Any) -> Any:
        return self.A.T @ (self.A @ x - self.b)

    def curvatures(self) -> Any:
        return np.einsum("ij,ij->j", self.A, self.A)

    def hessian(self) -> Any:
        return self.A.T @ self.A


class QuadraticTerm(Numerator):
    """x^T Q x / 2 + q^T x + offset, as a numerator or as a denominator.

    Args:
        Q: [n, n], symmetric and positive semidefinite.
        q: [n], None for zero.
        offset: not negative.

    Raises:
        ValueError: for a Q that is no such matrix, shapes that do not fit, numbers that are not
            finite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        assert rs.composite.QuadraticTerm(np.eye(2)).value(np.ones(2)) == 1.0
        ```
    """

    Q: Any
    q: Any = None
    offset: float = 0.0

    concave: ClassVar[bool] = False

    def __init__(
        self, Q: Float[Any, "n n"], q: Float[Any, " n"] | None = None, offset: float = 0.0
    ):
        Q = _matrix("Q", Q)
        n, eps = Q.shape[1], np.finfo(Q.dtype).eps
        if Q.shape[0] != n or np.abs(Q - Q.T).max() > 100 * eps * np.abs(Q).max():
            refuse(
                ValueError, "Q", given=f"shape {Q.shape}, symmetric or not",
                needed="a symmetric matrix", advice="Write (Q + Q.T) / 2.",
            )  # fmt: skip
        values = np.linalg.eigvalsh(Q)
        if values[0] < -100 * n * eps * max(abs(values[-1]), abs(values[0])):
            refuse(
                ValueError, "Q", given=f"an eigenvalue {values[0]:.3g}",
                needed="a positive semidefinite matrix", advice="Both terms must be convex.",
            )  # fmt: skip
        q = np.zeros(n, Q.dtype) if q is None else _vector("q", q, n, Q.dtype)
        vars(self).update(Q=Q, q=q, offset=_offset(offset))

    @property
    def n(self) -> int:
        return self.Q.shape[1]

    def value(self, x: Any) -> float:
        return float(x @ (0.5 * (self.Q @ x) + self.q)) + self.offset

    def gradient(self, x: Any) -> Any:
        return self.Q @ x + self.q

    def curvatures(self) -> Any:
        return np.diag(self.Q).copy()

    def hessian(self) -> Any:
        return self.Q

    def line(self, x: Any) -> Line:
        """As a denominator."""
        vectors = np.stack([self.gradient(x), self.curvatures()])
        return Line(0, self.value(x), self.Q, _NONE, vectors, np.ones(2), _NO_ORDER)


class AffineTerm(Value):
    """d^T x + offset, a denominator: positive where it is used.

    Args:
        d: [n].
        offset: any number.

    Raises:
        ValueError: for numbers that are not finite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        assert rs.composite.AffineTerm(np.ones(2), 1.0).value(np.ones(2)) == 3.0
        ```
    """

    d: Any
    offset: float = 0.0

    concave: ClassVar[bool] = True

    def __init__(self, d: Float[Any, " n"], offset: float = 0.0):
        vars(self).update(d=_vector("d", d, None, None), offset=_number("offset", offset))

    @property
    def n(self) -> int:
        """The number of unknowns."""
        return self.d.size

    def value(self, x: Any) -> float:
        """d^T x + offset."""
        return float(self.d @ x) + self.offset

    def gradient(self, x: Any) -> Any:
        """d."""
        return self.d

    def least(self, low: Any, high: Any) -> float:
        """The least value in a box."""
        ends = np.where(self.d > 0, low, np.where(self.d < 0, high, 0.0))
        return float(self.d @ ends) + self.offset

    def line(self, x: Any) -> Line:
        """As a denominator."""
        vectors = np.stack([self.d, np.zeros_like(self.d)])
        return Line(0, self.value(x), _EMPTY, _NONE, vectors, np.ones(2), _NO_ORDER)


class LargestSum(Value):
    """weight times the sum of the s largest |x_i|, a denominator.

    Args:
        s: at least 1.
        weight: positive.

    Raises:
        ValueError: for other numbers.

    Example:
        ```python
        import numpy as np, resolvent as rs
        assert rs.composite.LargestSum(2).value(np.array([1.0, -3.0, 2.0])) == 5.0
        ```
    """

    s: int = static()
    weight: float = 1.0

    concave: ClassVar[bool] = False

    def __post_init__(self) -> None:
        count("s", self.s, least=1)
        between("weight", self.weight, 0.0, math.inf, "It multiplies a norm.")

    @property
    def n(self) -> None:
        """Any number of unknowns."""
        return

    def value(self, x: Any) -> float:
        """The weighted sum."""
        return self.weight * float(np.sort(np.abs(x))[::-1][: self.s].sum())

    def gradient(self, x: Any) -> Any:
        """A subgradient: of equal entries the first ones count."""
        own = np.zeros_like(x)
        chosen = np.argsort(-np.abs(x), kind="stable")[: self.s]
        own[chosen] = self.weight * np.sign(x[chosen])
        return own

    def line(self, x: Any) -> Line:
        """As a denominator."""
        order = np.empty((2, x.size), np.int64)
        order[0] = np.argsort(-np.abs(x), kind="stable")
        order[1, order[0]] = np.arange(x.size)
        scalars = np.array([self.weight, float(min(self.s, x.size))])
        return Line(1, self.value(x), _EMPTY, _NONE, _EMPTY, scalars, order)


class QuarticNorm(Value):
    """||G x||_4^2, the square root of the sum of (G x)_i^4, a denominator.

    Args:
        G: [m, n].

    Raises:
        ValueError: for what is no finite matrix.

    Example:
        ```python
        import numpy as np, resolvent as rs
        assert rs.composite.QuarticNorm(np.eye(2)).value(np.array([2.0, 0.0])) == 4.0
        ```
    """

    G: Any

    concave: ClassVar[bool] = False

    def __init__(self, G: Float[Any, "m n"]):
        vars(self).update(G=_matrix("G", G))

    @property
    def n(self) -> int:
        """The number of unknowns."""
        return self.G.shape[1]

    def value(self, x: Any) -> float:
        """||G x||_4^2."""
        squares = (self.G @ x) ** 2
        return float(squares @ squares) ** 0.5

    def gradient(self, x: Any) -> Any:
        """The gradient, where it is not zero."""
        u = self.G @ x
        return 2.0 * (self.G.T @ u**3) / self.value(x)

    def line(self, x: Any) -> Line:
        """As a denominator."""
        G = np.ascontiguousarray(self.G.T)
        lines = np.zeros((5, x.size))
        return Line(2, self.value(x), G, self.G @ x, lines, np.ones(2), _NO_ORDER)


Denominator = QuadraticTerm | AffineTerm | LargestSum | QuarticNorm

_EMPTY = np.zeros((0, 0))
_NONE = np.zeros(0)
_NO_ORDER = np.zeros((2, 0), np.int64)


def plain(name: str, value: Any) -> np.ndarray:
    """Finite real numbers as a NumPy array."""
    array = real_array(name, value)
    if is_traced(array):
        refuse(
            TypeError, name, given="an abstract value of a JAX transformation",
            needed="numbers", advice="Fractional programs are solved on the host: outside of jit.",
        )  # fmt: skip
    finite(name, array)
    return np.asarray(array)


def _matrix(name: str, value: Any) -> np.ndarray:
    array = plain(name, value)
    if array.ndim != 2 or 0 in array.shape:
        refuse(
            ValueError, name, given=f"shape {array.shape}", needed="a matrix",
            advice="Write value[None] for one row.",
        )  # fmt: skip
    return array


def _vector(name: str, value: Any, size: int | None, dtype: Any) -> np.ndarray:
    array = plain(name, value)
    if array.ndim != 1 or not array.size or size not in (None, array.size):
        refuse(
            ValueError, name, given=f"shape {array.shape}",
            needed="a vector" if size is None else f"{size} numbers",
            advice="Look at the shapes of the data.",
        )  # fmt: skip
    return array if dtype is None else array.astype(dtype)


def _offset(value: Any) -> float:
    value = _number("offset", value)
    if value < 0:
        refuse(
            ValueError, "offset", given=f"{value}", needed="a number >= 0",
            advice="Numerators must not be negative.",
        )  # fmt: skip
    return value


def _number(name: str, value: Any) -> float:
    array = plain(name, value)
    if array.ndim:
        refuse(
            ValueError, name, given=f"shape {array.shape}", needed="one number",
            advice="Pass a Python float.",
        )  # fmt: skip
    return float(array)
