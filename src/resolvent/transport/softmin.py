"""Sums of exponentials over rows of a cost, for every form of cost and both engines.

The plan of two potentials is `P_ij = exp(log_a_i + log_b_j + (f_i + g_j - C_ij) / epsilon)`. Masses
come as logarithms: where there is none it is minus infinity, and drops out.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Float

from resolvent._core.checks import is_traced
from resolvent.transport.costs import Cost, DenseCost, GridCost, PointCost

_WHOLE = 1 << 22  # pairs up to which a traced program holds the costs of points in one array
_PIECE = 1 << 20  # pairs at a time beyond
_BLOCK = 1 << 17  # numbers that a step on the host works on: they fit into a cache


def softmin(
    cost: Cost, epsilon: Any, g: Float[Any, " m"], log_b: Float[Any, " m"]
) -> Float[Any, " n"]:
    """-epsilon log sum_j exp(log_b_j + (g_j - C_ij) / epsilon), a smooth minimum over each row.

    Args:
        cost: the costs, n x m.
        epsilon: regularization, in the unit of the costs.
        g: potential of the columns, in the unit of the costs.
        log_b: logarithms of the masses of the columns; minus infinity where there is none.

    Returns:
        One value a row, in the unit of the costs.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.transport.softmin import softmin
        cost = rs.transport.DenseCost(np.array([[0.0, 1.0]]))
        least = softmin(cost, 1e-3, np.zeros(2), np.log([0.5, 0.5]))
        assert abs(least[0]) < 1e-3
        ```
    """
    if isinstance(cost, GridCost):
        return -epsilon * _grid(cost, epsilon, log_b + g / epsilon)
    if _on_host(cost, g):
        return _softmin_host(cost, epsilon, g, log_b)
    return _rows(lambda c: -epsilon * logsumexp(log_b + (g - c) / epsilon), cost)


def marginals(
    cost: Cost, epsilon: Any, f: Any, g: Any, log_a: Any, log_b: Any
) -> tuple[Float[Any, " n"], Float[Any, " m"]]:
    """Row sums P 1 and column sums P^T 1 of the plan of two potentials."""
    if isinstance(cost, GridCost):
        xp = np if _on_host(cost, f) else jnp
        rows = xp.exp(log_a + (f - softmin(cost, epsilon, g, log_b)) / epsilon)
        columns = xp.exp(log_b + (g - softmin(cost.T, epsilon, f, log_a)) / epsilon)
        return rows, columns
    if _on_host(cost, f):
        return _marginals_host(cost, epsilon, f, g, log_a, log_b)
    if _is_whole(cost):
        P = plan(cost, epsilon, f, g, log_a, log_b)
        return P.sum(1), P.sum(0)

    def total(cost: Cost, f: Any, g: Any, log_a: Any, log_b: Any) -> Any:
        return _rows(
            lambda c, f, la: jnp.exp(la + log_b + (f + g - c) / epsilon).sum(), cost, f, log_a
        )

    return total(cost, f, g, log_a, log_b), total(cost.T, g, f, log_b, log_a)


def apply(
    cost: Cost, epsilon: Any, f: Any, g: Any, log_a: Any, log_b: Any, V: Any
) -> Float[Any, " n"] | Float[Any, "n k"]:
    """P V for the plan P of two potentials, and V of shape (m,) or (m, k)."""
    if isinstance(cost, GridCost):
        return _apply_grid(cost, epsilon, f, g, log_a, log_b, V)
    if _on_host(cost, f):
        dtype = np.result_type(cost.dtype, V.dtype)
        if (known := kernel_form(cost)) is not None and not known[1]:
            done = _kernels().apply(*known[0], epsilon, f, g, log_a, log_b, V)
            return done.astype(dtype, copy=False)
        out = np.empty((cost.shape[0], *V.shape[1:]), dtype)
        for begin, end, _, P in plan_blocks(cost, epsilon, f, g, log_a, log_b):
            out[begin:end] = P @ V
        return out
    return _rows(
        lambda c, f, la: jnp.exp(la + log_b + (f + g - c) / epsilon) @ V, cost, f, log_a
    )  # fmt: skip


def total_cost(cost: Cost, epsilon: Any, f: Any, g: Any, log_a: Any, log_b: Any) -> Any:
    """<C, P> for the plan P of two potentials."""
    if isinstance(cost, GridCost):
        return _total_grid(cost, epsilon, f, g, log_a, log_b)
    if _on_host(cost, f):
        if (known := kernel_form(cost)) is not None:
            from resolvent.transport import kernels_cost

            sides = (g, f, log_b, log_a) if known[1] else (f, g, log_a, log_b)
            arguments: Any = (*known[0], epsilon, *sides)
            with np.errstate(all="ignore"):
                return kernels_cost.total_cost(*arguments)
        blocks = plan_blocks(cost, epsilon, f, g, log_a, log_b)
        return float(sum(np.einsum("ij,ij->", C, P, dtype=np.float64) for _, _, C, P in blocks))
    return _rows(
        lambda c, f, la: jnp.exp(la + log_b + (f + g - c) / epsilon) @ c, cost, f, log_a
    ).sum()  # fmt: skip


def plan(cost: Cost, epsilon: Any, f: Any, g: Any, log_a: Any, log_b: Any) -> Float[Any, "n m"]:
    """The plan of two potentials as a dense array."""
    if _on_host(cost, f):
        P = np.empty(cost.shape, cost.dtype)
        for begin, end, _, block in plan_blocks(cost, epsilon, f, g, log_a, log_b):
            P[begin:end] = block
        return P
    C = cost.rows(0, cost.shape[0])
    return jnp.exp(log_a[:, None] + log_b[None, :] + (f[:, None] + g[None, :] - C) / epsilon)


def ratios(cost: Cost, epsilon: Any, f: Any, g: Any, b: Any) -> Float[Any, " n"]:
    """sum_j b_j exp((f_i + g_j - C_ij) / epsilon), traced, differentiable also where b is zero.

    At an answer each is one (balanced), so that nothing overflows there.
    """
    if isinstance(cost, GridCost):
        return jnp.exp(f / epsilon + _grid(cost, epsilon, soft_log(b) + g / epsilon))
    most = 0.5 * jnp.log(jnp.finfo(cost.dtype).max)
    return _rows(lambda c, f: jnp.exp(jnp.minimum((f + g - c) / epsilon, most)) @ b, cost, f)


def soft_log(mass: Any) -> Any:
    """The logarithm of masses whose derivative is right also at zero, where it stays finite."""
    # So little that no sum sees it, and so much that its reciprocal does not overflow.
    least = 1e-290 if mass.dtype == np.float64 else 1e-30
    return jnp.log(mass + least)


def hard_log(mass: Any) -> Any:
    """The logarithm of masses, minus infinity at zero, without a warning or a NaN derivative."""
    if isinstance(mass, np.ndarray):
        with np.errstate(divide="ignore"):
            return np.log(mass)
    there = mass > 0
    return jnp.where(there, jnp.log(jnp.where(there, mass, 1.0)), -jnp.inf)


def _on_host(cost: Cost, vector: Any) -> bool:
    return isinstance(vector, np.ndarray) and cost.engine == "host"


# ---------------------------------------------------------------- traced


def _is_whole(cost: Cost) -> bool:
    return isinstance(cost, DenseCost) or cost.shape[0] * cost.shape[1] <= _WHOLE


def _rows(function: Callable[..., Any], cost: Cost, *others: Any) -> Any:
    """`function` of each row of costs and of that row's entries in `others`."""
    if _is_whole(cost):
        return jax.vmap(function)(cost.rows(0, cost.shape[0]), *others)
    assert isinstance(cost, PointCost)

    # Recomputed in the derivative, or that would hold every pair after all.
    @jax.checkpoint
    def one(row: Any) -> Any:
        x, *rest = row
        return function(cost.between(x[None, :], cost.y)[0], *rest)

    step = max(1, _PIECE // cost.shape[1])
    return jax.lax.map(one, (cost.x, *others), batch_size=step)


# ---------------------------------------------------------------- host


@functools.lru_cache(maxsize=1)
def _kernels() -> Any:
    """The compiled kernels, loaded at first use."""
    from resolvent.transport import kernels_softmin

    return kernels_softmin


def kernel_form(cost: Cost) -> tuple[tuple[Any, ...], bool] | None:
    """A cost as the kernels read it, and whether they see it transposed; None for other forms."""
    empty = np.empty((0, 0))
    if isinstance(cost, DenseCost):
        return (_kernels().DENSE, cost.matrix, empty), cost.flipped
    if isinstance(cost, PointCost) and cost.function is None:
        kind = _kernels().KINDS[cost.kind]
        return (kind, np.ascontiguousarray(cost.x), np.ascontiguousarray(cost.y.T)), False
    return None


def rounds_alike(cost: Cost) -> bool:
    """Whether kernels can find the very numbers that the rows of a cost have in NumPy."""
    if isinstance(cost, PointCost):
        return cost.function is None and cost.coordinatewise
    return isinstance(cost, DenseCost)


def _softmin_host(cost: Cost, epsilon: float, g: Any, log_b: Any) -> Any:
    dtype = np.result_type(cost.dtype, g.dtype)
    if (known := kernel_form(cost)) is not None:
        form, flipped = known
        run = _kernels().softmin_columns if flipped else _kernels().softmin_rows
        return run(*form, epsilon, g, log_b).astype(dtype, copy=False)
    out = np.empty(cost.shape[0], dtype)
    with np.errstate(all="ignore"):
        for begin, end, C in cost.blocks():
            z = (g - C) / epsilon + log_b
            top = z.max(1)
            z -= top[:, None]
            out[begin:end] = -epsilon * (top + np.log(np.exp(z, out=z).sum(1)))
    return out


def _marginals_host(
    cost: Cost, epsilon: float, f: Any, g: Any, log_a: Any, log_b: Any
) -> tuple[Any, Any]:
    n, m = cost.shape
    dtype = np.result_type(cost.dtype, f.dtype)
    if (known := kernel_form(cost)) is not None:
        form, flipped = known
        sides: Any = (g, f, log_b, log_a) if flipped else (f, g, log_a, log_b)
        with np.errstate(all="ignore"):
            sums = _kernels().marginals(*form, epsilon, *sides)
            rows, columns = (one.astype(dtype, copy=False) for one in sums)
        return (columns, rows) if flipped else (rows, columns)
    rows, columns = np.empty(n, dtype), np.zeros(m, dtype)
    with np.errstate(all="ignore"):
        for begin, end, _, P in plan_blocks(cost, epsilon, f, g, log_a, log_b):
            rows[begin:end] = P.sum(1)
            columns += P.sum(0)
    return rows, columns


def exponent_blocks(
    cost: Cost, epsilon: float, f: Any, g: Any, log_a: Any, log_b: Any
) -> Iterator[tuple[int, int, Any, Any]]:
    """Logarithms of the plan in pieces of rows: bounds, costs, logarithms. NumPy only."""
    with np.errstate(all="ignore"):
        for begin, end, C in cost.blocks():
            z = f[begin:end, None] + g
            z -= C
            z /= epsilon
            z += log_a[begin:end, None]
            z += log_b
            yield begin, end, C, z


def plan_blocks(
    cost: Cost, epsilon: float, f: Any, g: Any, log_a: Any, log_b: Any
) -> Iterator[tuple[int, int, Any, Any]]:
    """The plan in pieces of rows: bounds, costs and entries. NumPy only."""
    for begin, end, C, z in exponent_blocks(cost, epsilon, f, g, log_a, log_b):
        yield begin, end, C, np.exp(z, out=z)


# ---------------------------------------------------------------- grids


def _grid(cost: GridCost, epsilon: Any, h: Any, special: int = -1) -> Any:
    """log sum_j exp(h_j - C_ij / epsilon), one axis after the other.

    Along the axis `special` the sum is weighted with the costs of that axis.
    """
    xp = np if isinstance(h, np.ndarray) and cost.engine == "host" else jnp
    there = cost.sides[1]
    h = h.reshape(there)
    with np.errstate(all="ignore"):
        for k, matrix in enumerate(cost.matrices):
            kernel = -matrix / epsilon
            if k == special:
                kernel = kernel + (hard_log if xp is np else soft_log)(matrix)
            h = xp.moveaxis(_log_product(xp, kernel, xp.moveaxis(h, k, 0)), 0, k)
    return h.reshape(-1)


def _log_product(xp: Any, kernel: Any, h: Any) -> Any:
    """log(exp(kernel) exp(h)) along the first axis of h, row by row of the kernel."""
    flat = h.reshape(h.shape[0], -1)
    if xp is np:
        out = np.empty((kernel.shape[0], flat.shape[1]), np.result_type(kernel, flat))
        step = max(1, _BLOCK // flat.size)
        for begin in range(0, kernel.shape[0], step):
            z = kernel[begin : begin + step, :, None] + flat
            top = z.max(1)
            top = np.where(np.isfinite(top), top, 0.0)
            z -= top[:, None]
            out[begin : begin + step] = top + np.log(np.exp(z, out=z).sum(1))
    else:
        out = jax.lax.map(lambda row: logsumexp(flat + row[:, None], axis=0), kernel)
    return out.reshape(kernel.shape[0], *h.shape[1:])


def _apply_grid(
    cost: GridCost, epsilon: Any, f: Any, g: Any, log_a: Any, log_b: Any, V: Any
) -> Any:
    xp = np if _on_host(cost, f) else jnp
    columns = V.reshape(V.shape[0], -1).T
    outer = log_a + f / epsilon

    def part(v: Any) -> Any:
        log_v = hard_log(v) if xp is np else soft_log(v)
        return xp.exp(outer + _grid(cost, epsilon, log_b + g / epsilon + log_v))

    with np.errstate(all="ignore"):
        # A logarithm has no sign: the parts of either sign go their own ways.
        done = [part(xp.maximum(v, 0)) - part(xp.maximum(-v, 0)) for v in columns]
    return xp.stack(done, axis=1).reshape(cost.shape[0], *V.shape[1:])


def _total_grid(cost: GridCost, epsilon: Any, f: Any, g: Any, log_a: Any, log_b: Any) -> Any:
    xp = np if _on_host(cost, f) else jnp
    outer, inner = log_a + f / epsilon, log_b + g / epsilon
    with np.errstate(all="ignore"):
        total: Any = 0.0
        for k in range(len(cost.axes)):
            total = total + xp.exp(outer + _grid(cost, epsilon, inner, k)).sum()
    return float(total) if xp is np and not is_traced(total) else total
