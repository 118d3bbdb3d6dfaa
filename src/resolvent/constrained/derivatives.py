"""Values and derivatives of an objective and its constraints, at points that are one vector."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


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


def local(problem: Any, v: Any) -> Local:
    """Values and first derivatives at the vector v."""
    value, gradient = jax.value_and_grad(problem.objective_at)(v)
    gradient = jnp.where(jnp.isfinite(value), gradient, jnp.nan)
    c, jacobian = _with_rows(problem.equalities_at, problem.equalities is None, v)
    h, slopes = _with_rows(problem.inequalities_at, problem.inequalities is None, v)
    return Local(value, gradient, c, jacobian, h, slopes)


def _with_rows(function: Any, absent: bool, v: Any) -> tuple[Any, Any]:
    """A vector of values and its Jacobian, in whichever direction is shorter."""
    if absent:
        return jnp.zeros(0, v.dtype), jnp.zeros((0, v.size), v.dtype)
    count = jax.eval_shape(function, v).size
    if count < v.size:
        values, pull = jax.vjp(function, v)
        return values, jax.vmap(lambda row: pull(row)[0])(jnp.eye(count, dtype=values.dtype))
    values, push = jax.linearize(function, v)
    return values, jax.vmap(push, out_axes=1)(jnp.eye(v.size, dtype=v.dtype))


def lagrangian(problem: Any, v: Any, y: Any, z: Any) -> Any:
    """f(x) + y^T c(x) + z^T h(x)."""
    total = problem.objective_at(v)
    if problem.equalities is not None:
        total = total + y @ problem.equalities_at(v)
    if problem.inequalities is not None:
        total = total + z @ problem.inequalities_at(v)
    return total


def hessian(problem: Any, v: Any, y: Any, z: Any) -> Any:
    """[n, n], the second derivative of the Lagrangian."""
    slope = jax.grad(lambda u: lagrangian(problem, u, y, z))
    _, push = jax.linearize(slope, v)
    found = jax.vmap(push)(jnp.eye(v.size, dtype=v.dtype))
    return 0.5 * (found + found.T)


def hessian_product(problem: Any, v: Any, y: Any, z: Any, direction: Any) -> Any:
    """The second derivative of the Lagrangian times a vector."""
    slope = jax.grad(lambda u: lagrangian(problem, u, y, z))
    return jax.jvp(slope, (v,), (direction,))[1]
