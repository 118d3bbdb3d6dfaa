"""Values and derivatives of an objective and its constraints, at points that are one vector."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent.constrained.sparse_rows import SparseRows


class Local(NamedTuple):
    """All that first derivatives tell of a problem at a point."""

    value: Any
    gradient: Any
    """[n], NaN where the value is not finite."""
    equalities: Any
    """[m]"""
    jacobian: Any
    """[m, n]"""
    inequalities: Any
    """[p]"""
    slopes: Any
    """[p, n]"""

    @property
    def is_sparse(self) -> bool:
        """Whether derivatives are kept as `SparseRows`."""
        return isinstance(self.jacobian, SparseRows) or isinstance(self.slopes, SparseRows)


def local(problem: Any, v: Any, sparse: bool = False) -> Local:
    """Values and first derivatives at the vector v, sparse ones where the problem has a pattern."""
    value, gradient = jax.value_and_grad(problem.objective_at)(v)
    gradient = jnp.where(jnp.isfinite(value), gradient, jnp.nan)
    given = zip(
        (problem.equalities_at, problem.inequalities_at),
        (problem.equalities is None, problem.inequalities is None), problem.patterns, strict=True,
    )  # fmt: skip
    (c, jacobian), (h, slopes) = (
        _with_rows(function, absent, v, pattern) for function, absent, pattern in given
    )
    if not sparse:
        jacobian, slopes = dense(jacobian), dense(slopes)
    return Local(value, gradient, c, jacobian, h, slopes)


def dense(rows: Any) -> Any:
    """Every entry of a Jacobian."""
    return rows.dense() if isinstance(rows, SparseRows) else rows


def _with_rows(function: Any, absent: bool, v: Any, pattern: Any) -> tuple[Any, Any]:
    """A vector of values and its Jacobian, in whichever direction takes fewer products."""
    if absent:
        return jnp.zeros(0, v.dtype), jnp.zeros((0, v.size), v.dtype)
    if pattern is not None:
        return pattern.jacobian(function, v)
    count = jax.eval_shape(function, v).size
    if count < v.size:
        values, pull = jax.vjp(function, v)
        return values, jax.vmap(lambda row: pull(row)[0])(jnp.eye(count, dtype=values.dtype))
    values, push = jax.linearize(function, v)
    return values, jax.vmap(push, out_axes=1)(jnp.eye(v.size, dtype=v.dtype))


def lagrangian(problem: Any, v: Any, y: Any, z: Any, weight: Any = 1.0) -> Any:
    """weight f(x) + y^T c(x) + z^T h(x)."""
    total = weight * problem.objective_at(v)
    if problem.equalities is not None:
        total = total + y @ problem.equalities_at(v)
    if problem.inequalities is not None:
        total = total + z @ problem.inequalities_at(v)
    return total


def hessian(problem: Any, v: Any, y: Any, z: Any, weight: Any = 1.0) -> Any:
    """[n, n], the second derivative of the Lagrangian, f taken `weight` times."""
    slope = jax.grad(lambda u: lagrangian(problem, u, y, z, weight))
    _, push = jax.linearize(slope, v)
    found = jax.vmap(push)(jnp.eye(v.size, dtype=v.dtype))
    return 0.5 * (found + found.T)


def hessian_product(problem: Any, v: Any, y: Any, z: Any, direction: Any) -> Any:
    """The second derivative of the Lagrangian times a vector."""
    slope = jax.grad(lambda u: lagrangian(problem, u, y, z))
    return jax.jvp(slope, (v,), (direction,))[1]
