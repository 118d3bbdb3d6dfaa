"""Functions in NumPy with given derivatives, as functions that JAX can differentiate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from resolvent._core.checks import count, refuse


class HostFunction:
    """A function of one vector that is known on the host alone, with its derivatives.

    It may stand for the objective and the constraints of a `ConstrainedProblem` whose x0 is one
    vector, and which has no `args`. Compiled programs call back to Python for each value and
    derivative; batches call one after another.

    Args:
        value: of a NumPy vector [n]: a number, or an array [values].
        jacobian: [n] for a number, else [values, n]; SciPy's sparse matrices are admitted.
        hessian: [n, n] for a number, else [values, n, n]; None for functions whose second
            derivative is zero, as those of affine functions are.
        values: how many there are; None for a number.

    Raises:
        TypeError: if a function cannot be called.
        RuntimeError: during a solve, if what a function returns has another shape.

    Example:
        ```python
        import numpy as np, resolvent as rs
        f = rs.constrained.HostFunction(
            lambda x: float(x @ x), lambda x: 2 * x, lambda x: 2 * np.eye(2)
        )
        c = rs.constrained.HostFunction(
            lambda x: np.array([x[0] + x[1] - 1]), lambda x: np.ones((1, 2)), values=1
        )
        sol = rs.solve(rs.ConstrainedProblem(f, c, x0=np.zeros(2)), rtol=1e-8, atol=1e-8)
        assert np.allclose(sol.x, 0.5)
        ```
    """

    def __init__(
        self,
        value: Callable[[np.ndarray], Any],
        jacobian: Callable[[np.ndarray], Any],
        hessian: Callable[[np.ndarray], Any] | None = None,
        *,
        values: int | None = None,
    ):
        given = {"value": value, "jacobian": jacobian, "hessian": hessian}
        for name, function in given.items():
            if not callable(function) and (function is not None or name != "hessian"):
                refuse(
                    TypeError, name, given=f"a {type(function).__name__}",
                    needed="a function of a NumPy vector", advice="Pass a function.",
                )  # fmt: skip
        shape = () if values is None else (count("values", values),)
        bend = None if hessian is None else _host("hessian", hessian, shape, 2)
        slope = _differentiable(_host("jacobian", jacobian, shape, 1), bend)
        self._called = _differentiable(_host("value", value, shape, 0), slope)

    def __call__(self, x: Any) -> Any:
        """The value at x, [n]."""
        return self._called(x)


def _host(name: str, function: Any, shape: tuple[int, ...], order: int) -> Any:
    """A function of NumPy's as one of JAX's, its values of `shape` and so many times [n]."""

    def call(x: Any) -> Any:
        dtype, size = x.dtype, x.size
        wanted = (*shape, *[size] * order)

        def run(words: Any) -> np.ndarray:
            found = function(np.array(words).view(dtype).reshape(size))
            found = np.asarray(found.toarray() if scipy.sparse.issparse(found) else found)
            if found.shape != wanted:
                refuse(
                    ValueError, name, given=f"values of shape {found.shape}",
                    needed=f"shape {wanted}", advice="Look at what it returns.",
                )  # fmt: skip
            return found.astype(dtype)[..., None].view(np.uint32)

        # As words of 32 bits: JAX calls back from a thread that is not told of double precision.
        out = jax.ShapeDtypeStruct((*wanted, dtype.itemsize // 4), np.uint32)
        words = jax.lax.bitcast_convert_type(x, jnp.uint32)
        found = jax.pure_callback(run, out, words, vmap_method="sequential")
        return jax.lax.bitcast_convert_type(found[..., 0] if dtype.itemsize == 4 else found, dtype)

    return call


def _differentiable(call: Any, slope: Any) -> Any:
    """`call` with its derivative: that of a constant where there is none."""

    @jax.custom_jvp
    def function(x: Any) -> Any:
        return call(x)

    @function.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (x,), (direction,) = primals, tangents
        value = function(x)
        # A product with x keeps zero a function of the direction, which transposing asks for.
        if slope is None:
            return value, jnp.zeros_like(value) * direction.sum()
        return value, jnp.tensordot(slope(x), direction, axes=1)

    return function
