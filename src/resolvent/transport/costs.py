"""What it costs to move a unit of mass: as a matrix, between points, or along the axes of a grid.

Every form has `shape`, `dtype`, `engine`, `form`, `T` (the cost of the way back), `rows(i0, i1)`
(a dense block), `largest()`, and `inner(u, v)` = u^T C v. Data are tree leaves, so that they are
arguments of compiled programs.
"""

import abc
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import finite, is_traced, one_of, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine
from resolvent._core.value import Value, static

KINDS = ("sqeuclidean", "euclidean", "l1")
_AXIS_KINDS = ("sqeuclidean", "l1")
_BLOCK = 1 << 18  # entries of a dense block on the host: two MB, which a cache holds
_FEW = 8  # coordinates up to which differences are cheaper than a matrix product


def namespace(array: Any) -> Any:
    """The array library that an array belongs to."""
    return np if isinstance(array, np.ndarray | np.generic) else jnp


class Cost(Value):
    """The cost of every pair, n x m, in whatever form it is known."""

    ranks: ClassVar[tuple[int, ...]]
    """How many axes each array has; one that has more is a batch."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int]:
        """(n, m)."""

    @property
    @abc.abstractmethod
    def dtype(self) -> Any:
        """The precision of the entries."""

    @property
    @abc.abstractmethod
    def T(self) -> Any:
        """The same costs with sources and targets exchanged; nothing is copied."""

    @property
    @abc.abstractmethod
    def form(self) -> str:
        """How the entries are known, in a word."""

    @abc.abstractmethod
    def rows(self, begin: int, end: int) -> Any:
        """Rows `begin` to `end` as a dense array, of shape (end - begin, m)."""

    @abc.abstractmethod
    def cast(self, numpy: bool, dtype: Any) -> Any:
        """The same costs as NumPy or as JAX arrays of a dtype."""

    @property
    def engine(self) -> Engine:
        """Where the data live: NumPy on the host, JAX traced."""
        arrays = jax.tree_util.tree_leaves(self)
        return "host" if all(isinstance(array, np.ndarray) for array in arrays) else "traced"

    def blocks(self) -> Iterator[tuple[int, int, Any]]:
        """The rows in pieces that fit into a cache, with their bounds."""
        n, m = self.shape
        step = max(1, _BLOCK // m)
        for begin in range(0, n, step):
            end = min(n, begin + step)
            yield begin, end, self.rows(begin, end)

    def largest(self) -> float:
        """The largest entry; costs are never negative."""
        with scope(needs_double(self)):
            return max(float(block.max()) for _, _, block in self.blocks())

    def inner(self, u: Any, v: Any) -> Any:
        """u^T C v, for u of shape (n,) and v of shape (m,)."""
        return sum(u[begin:end] @ (block @ v) for begin, end, block in self.blocks())


class DenseCost(Cost):
    """Costs as a matrix.

    Args:
        matrix: shape (n, m), in any unit, finite and not negative. A NumPy array runs on the host,
            a JAX array is traced.

    Raises:
        ValueError: for entries that are negative or not finite, a wrong shape, an empty matrix.
        TypeError: for complex, object and half-precision data.

    Example:
        ```python
        import numpy as np, resolvent as rs
        cost = rs.transport.DenseCost(np.array([[0.0, 1.0], [1.0, 0.0]]))
        assert cost.shape == (2, 2) and cost.largest() == 1.0
        ```
    """

    matrix: Any
    flipped: bool = static(default=False)
    ranks: ClassVar[tuple[int, ...]] = (2,)

    def __init__(self, matrix: Float[Any, "n m"]):
        matrix = real_array("cost", matrix)
        if matrix.ndim != 2 or 0 in matrix.shape:
            refuse(
                ValueError, "cost", given=f"an array of shape {matrix.shape}",
                needed="shape (n, m) with at least one entry",
                advice="Give the cost of every pair; points and grids go into PointCost, GridCost.",
            )  # fmt: skip
        flipped = False
        if isinstance(matrix, np.ndarray):
            if matrix.flags.f_contiguous and not matrix.flags.c_contiguous:
                matrix, flipped = matrix.T, True
            matrix = np.ascontiguousarray(matrix)
        # What lies between two numbers is a number; the rest says what is wrong.
        known = isinstance(matrix, np.ndarray)
        if not (known and matrix.min() >= 0 and matrix.max() < math.inf):
            finite("cost", matrix.T if flipped else matrix)
            _not_negative(matrix)
        vars(self).update(matrix=matrix, flipped=flipped)

    @property
    def shape(self) -> tuple[int, int]:
        n, m = self.matrix.shape
        return (m, n) if self.flipped else (n, m)

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    @property
    def T(self) -> "DenseCost":
        return self.but(flipped=not self.flipped)

    @property
    def form(self) -> str:
        return "dense"

    @property
    def array(self) -> Any:
        """The matrix, n x m."""
        return self.matrix.T if self.flipped else self.matrix

    def rows(self, begin: int, end: int) -> Any:
        return self.array[begin:end]

    def cast(self, numpy: bool, dtype: Any) -> "DenseCost":
        return self.but(matrix=_cast(self.matrix, numpy, dtype))

    def largest(self) -> float:
        with scope(needs_double(self)):
            return float(self.matrix.max())

    def inner(self, u: Any, v: Any) -> Any:
        return u @ (self.array @ v)


class PointCost(Cost):
    """Costs between points, evaluated when they are needed: nothing of size n x m is stored.

    Args:
        x: sources, shape (n, d), or (n,) on a line; finite.
        y: targets, shape (m, d), or (m,) on a line; finite.
        cost: `sqeuclidean` ||x - y||^2, `euclidean` ||x - y||, `l1` sum |x - y|, or a function of
            two points, shape (d,) each, written with `jax.numpy`, whose value is never negative.

    Raises:
        ValueError: for points that are not finite, dimensions that differ, costs that overflow or
            are negative.
        TypeError: for complex, object and half-precision data, or a cost that is no function.

    Example:
        ```python
        import numpy as np, resolvent as rs
        cost = rs.transport.PointCost(np.zeros((3, 2)), np.ones((5, 2)))
        assert cost.shape == (3, 5) and cost.largest() == 2.0
        ```
    """

    x: Any
    y: Any
    kind: str = static(default="sqeuclidean")
    function: Callable[[Any, Any], Any] | None = static(default=None)
    flipped: bool = static(default=False)
    ranks: ClassVar[tuple[int, ...]] = (2, 2)

    def __init__(
        self,
        x: Float[Any, "n d"] | Float[Any, " n"],
        y: Float[Any, "m d"] | Float[Any, " m"],
        cost: str | Callable[[Any, Any], Any] = "sqeuclidean",
    ):
        x, y = _points("x", x), _points("y", y)
        if x.shape[1] != y.shape[1]:
            refuse(
                ValueError, "y", given=f"points of dimension {y.shape[1]}",
                needed=f"the dimension of x, {x.shape[1]}",
                advice="Both clouds must lie in one space.",
            )  # fmt: skip
        numpy = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
        dtype = common_dtype((x, y))
        x, y = _cast(x, numpy, dtype), _cast(y, numpy, dtype)
        kind, function = (cost, None) if isinstance(cost, str) else ("function", cost)
        if function is None:
            one_of("cost", kind, KINDS)
        elif not callable(function):
            refuse(
                TypeError, "cost", given=f"a {type(function).__name__}",
                needed=f"one of {', '.join(KINDS)}, or a function of two points",
                advice="Matrices are no PointCost: pass them as they are.",
            )  # fmt: skip
        vars(self).update(x=x, y=y, kind=kind, function=function, flipped=False)
        self._check()

    def _check(self) -> None:
        if is_traced(self):
            return
        with np.errstate(all="ignore"), scope(needs_double(self)):
            if self.function is not None:
                for _, _, block in self.blocks():
                    if block.ndim != 2:
                        refuse(
                            ValueError, "cost",
                            given=f"a function whose value has shape {block.shape[2:]}",
                            needed="one number for two points",
                            advice="Sum over the coordinates in the function.",
                        )  # fmt: skip
                    finite("cost", block)
                    _not_negative(block)
                return
            low = np.minimum(np.asarray(self.x).min(0), np.asarray(self.y).min(0))
            high = np.maximum(np.asarray(self.x).max(0), np.asarray(self.y).max(0))
            far = np.sum((high - low) ** (1 if self.kind == "l1" else 2))
        if not math.isfinite(far):
            refuse(
                ValueError, "cost", given=f"points so far apart that {self.kind} costs overflow",
                needed=f"finite costs in {self.dtype}",
                advice="Give the points in another unit, or in float64.",
            )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.y.shape[0]

    @property
    def dtype(self) -> Any:
        return self.x.dtype

    @property
    def T(self) -> "PointCost":
        return self.but(x=self.y, y=self.x, flipped=not self.flipped)

    @property
    def form(self) -> str:
        return f"points, {self.kind}"

    def rows(self, begin: int, end: int) -> Any:
        return self.between(self.x[begin:end], self.y)

    def between(self, x: Any, y: Any) -> Any:
        """The costs of some sources and some targets, as a dense array."""
        if self.function is None:
            return _distances(self.kind, x, y, self._center())
        if isinstance(x, np.ndarray):
            with scope(needs_double(x)):
                return np.asarray(_pairs(self.function, self.flipped, x, y))
        return _pairs(self.function, self.flipped, x, y)

    @property
    def coordinatewise(self) -> bool:
        """Whether `rows` adds up coordinates in their order, and forms no matrix product."""
        return self.kind != "sqeuclidean" or self.x.shape[1] <= _FEW

    def _center(self) -> Any:
        # Both clouds move together, so the derivative does not see it.
        center = 0.5 * (self.x.mean(0) + self.y.mean(0))
        return center if isinstance(center, np.ndarray) else jax.lax.stop_gradient(center)

    def inner(self, u: Any, v: Any) -> Any:
        if self.kind != "sqeuclidean":
            return super().inner(u, v)
        center = self._center()
        x, y = self.x - center, self.y - center
        squares = (u @ (x * x).sum(1)) * v.sum() + u.sum() * ((y * y).sum(1) @ v)
        return squares - 2.0 * ((u @ x) @ (v @ y))

    def cast(self, numpy: bool, dtype: Any) -> "PointCost":
        return self.but(x=_cast(self.x, numpy, dtype), y=_cast(self.y, numpy, dtype))


class GridCost(Cost):
    """Costs between the points of two grids that are sums over the axes.

    With axes of n_1, n_2, ... points a pass costs n (n_1 + n_2 + ...) instead of n^2 operations.
    The points are numbered in C order, as `histogram.ravel()` numbers them.

    Args:
        axes: one item an axis: its coordinates, shape (n_k,), where both grids are the same, or a
            matrix of the costs along it, shape (n_k, m_k).
        cost: what coordinates mean: `sqeuclidean` (x - y)^2 or `l1` |x - y|.

    Raises:
        ValueError: for an empty grid, entries that are negative or not finite, wrong shapes.
        TypeError: for complex, object and half-precision data.

    Example:
        ```python
        import numpy as np, resolvent as rs
        cost = rs.transport.GridCost([np.linspace(0, 1, 28), np.linspace(0, 1, 28)])
        assert cost.shape == (784, 784) and cost.largest() == 2.0
        ```
    """

    axes: tuple[Any, ...]
    flipped: bool = static(default=False)

    def __init__(self, axes: Sequence[Any], cost: str = "sqeuclidean"):
        one_of("cost", cost, _AXIS_KINDS)
        if not isinstance(axes, list | tuple) or not axes:
            refuse(
                ValueError, "axes", given=f"{type(axes).__name__} {axes!r}"[:80],
                needed="a list with one item an axis",
                advice="Write [numpy.arange(28), numpy.arange(28)].",
            )  # fmt: skip
        matrices = [_axis(f"axes[{k}]", axis, cost) for k, axis in enumerate(axes)]
        numpy = all(isinstance(matrix, np.ndarray) for matrix in matrices)
        dtype = common_dtype(matrices)
        cast = tuple(_cast(matrix, numpy, dtype) for matrix in matrices)
        vars(self).update(axes=cast, flipped=False)

    @property
    def ranks(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return (2,) * len(self.axes)

    @property
    def matrices(self) -> tuple[Any, ...]:
        """The costs along each axis, n_k x m_k."""
        return tuple(axis.T for axis in self.axes) if self.flipped else self.axes

    @property
    def sides(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of the two grids."""
        shapes = [matrix.shape for matrix in self.matrices]
        return tuple(n for n, _ in shapes), tuple(m for _, m in shapes)

    @property
    def shape(self) -> tuple[int, int]:
        here, there = self.sides
        return math.prod(here), math.prod(there)

    @property
    def dtype(self) -> Any:
        return self.axes[0].dtype

    @property
    def T(self) -> "GridCost":
        return self.but(flipped=not self.flipped)

    @property
    def form(self) -> str:
        return "grid " + " x ".join(str(n) for n in self.sides[0])

    def rows(self, begin: int, end: int) -> Any:
        here, there = self.sides
        places = np.unravel_index(np.arange(begin, end), here)
        total: Any = 0.0
        for k, (matrix, place) in enumerate(zip(self.matrices, places, strict=True)):
            shape = [end - begin] + [1] * len(there)
            shape[k + 1] = there[k]
            total = total + matrix[place].reshape(shape)
        return total.reshape(end - begin, -1)

    def cast(self, numpy: bool, dtype: Any) -> "GridCost":
        return self.but(axes=tuple(_cast(axis, numpy, dtype) for axis in self.axes))

    def largest(self) -> float:
        with scope(needs_double(self)):
            return float(sum(float(axis.max()) for axis in self.axes))

    def inner(self, u: Any, v: Any) -> Any:
        here, there = self.sides
        u, v = u.reshape(here), v.reshape(there)
        total: Any = 0.0
        for k, matrix in enumerate(self.matrices):
            rest = tuple(axis for axis in range(len(here)) if axis != k)
            total = total + u.sum(rest) @ (matrix @ v.sum(rest))
        return total


def as_cost(cost: Any) -> Cost:
    """A cost as it is, or a matrix as one."""
    return cost if isinstance(cost, Cost) else DenseCost(cost)


def common_dtype(arrays: Sequence[Any]) -> Any:
    """The dtype of arrays that work together: JAX arrays decide where there are any."""
    ours = [array for array in arrays if not isinstance(array, np.ndarray)] or arrays
    return np.result_type(*(array.dtype for array in ours))


def _cast(array: Any, numpy: bool, dtype: Any) -> Any:
    if numpy:
        return np.ascontiguousarray(array, dtype)
    with scope(np.dtype(dtype) == np.float64 and not is_traced(array)):
        return jnp.asarray(array, dtype)


def _points(name: str, value: Any) -> Any:
    points = real_array(name, value)
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or 0 in points.shape:
        refuse(
            ValueError, name, given=f"an array of shape {points.shape}",
            needed="shape (n, d), or (n,) on a line, with at least one point",
            advice="One row a point.",
        )  # fmt: skip
    finite(name, points)
    return points


def _axis(name: str, value: Any, kind: str) -> Any:
    axis = real_array(name, value)
    if axis.ndim not in (1, 2) or 0 in axis.shape:
        refuse(
            ValueError, name, given=f"an array of shape {axis.shape}",
            needed="coordinates of shape (n_k,) or costs of shape (n_k, m_k)",
            advice="Give one axis after the other.",
        )  # fmt: skip
    finite(name, axis)
    if axis.ndim == 2:
        _not_negative(axis, name)
        return axis
    with np.errstate(over="ignore"):
        apart = abs(axis[:, None] - axis[None, :])
        matrix = apart * apart if kind == "sqeuclidean" else apart
    finite(name, matrix)
    return matrix


def _not_negative(matrix: Any, name: str = "cost") -> None:
    if is_traced(matrix):
        return
    least = np.asarray(matrix).min()  # under jit even known arrays become unknown
    if least >= 0:
        return
    refuse(
        ValueError, name, given=f"entries that are negative, the least {float(least):.3g}",
        needed="costs >= 0",
        advice="Add a constant to every cost: it changes no plan, and the total cost by that "
        "constant times the mass.",
    )  # fmt: skip


def _distances(kind: str, x: Any, y: Any, center: Any) -> Any:
    xp = namespace(x)
    if kind == "sqeuclidean" and x.shape[1] > _FEW:
        x, y = x - center, y - center
        square = (x * x).sum(1)[:, None] + (y * y).sum(1)[None, :] - 2.0 * (x @ y.T)
        return xp.maximum(square, 0.0)
    total: Any = 0.0
    for k in range(x.shape[1]):
        apart = x[:, k, None] - y[None, :, k]
        total = total + (xp.abs(apart) if kind == "l1" else apart * apart)
    if kind != "euclidean":
        return total
    if isinstance(total, np.ndarray):
        return np.sqrt(total)
    # The distance has no derivative where two points meet; zero is the one that does no harm.
    apart = total > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, total, 1.0)), 0.0)


@partial(jax.jit, static_argnums=(0, 1))
def _pairs(function: Callable[[Any, Any], Any], flipped: bool, x: Any, y: Any) -> Any:
    one = (lambda s, t: function(t, s)) if flipped else function
    return jax.vmap(lambda s: jax.vmap(lambda t: one(s, t))(y))(x)
