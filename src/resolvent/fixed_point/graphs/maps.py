"""Affine maps over graphs that contract by construction, and their fixed points."""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from resolvent._core import trees
from resolvent._core.checks import between, finite, is_traced, one_of, real_array, refuse
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.fixed_point.picard import Picard
from resolvent.fixed_point.problem import FixedPoint

Normalization = Literal["clip", "sigmoid", "softmax"]
Rows = Literal["senders", "receivers"]

_SLACK = 1e-6


def head_weights(
    logits: Float[Any, "E heads"],
    rows: Int[Any, " E"],
    n: int,
    real: Any = None,
    normalization: Normalization = "clip",
) -> Any:
    """Nonnegative entries of matrices whose row sums are at most 1, whatever the logits.

    Args:
        logits: one number for each edge and head.
        rows: the row of each edge's entry.
        n: how many rows.
        real: which edges count; all when absent.
        normalization: `clip` is clip(logit, 0, 1) / degree, with the number of edges in the row as
            degree; `sigmoid` is sigmoid(logit) / degree, with a slope everywhere; `softmax` is the
            softmax over the row, whose sum is 1.

    Returns:
        The entries, in the shape of the logits; 0 at edges that do not count.
    """
    real = jnp.ones(logits.shape[0], bool) if real is None else real
    if normalization == "softmax":
        return softmax_over(logits, rows, n, real)
    values = jnp.clip(logits, 0.0, 1.0) if normalization == "clip" else jax.nn.sigmoid(logits)
    degree = jax.ops.segment_sum(real.astype(logits.dtype), rows, n)
    return jnp.where(real[:, None], values / jnp.maximum(degree, 1.0)[rows][:, None], 0.0)


def softmax_over(logits: Any, groups: Any, n: int, real: Any) -> Any:
    """Softmax over the edges of each group; 0 at edges that do not count."""
    low = jnp.finfo(logits.dtype).min
    logits = jnp.where(real[:, None], logits, low)
    top = jax.lax.stop_gradient(jax.ops.segment_max(logits, groups, n))
    powers = jnp.where(real[:, None], jnp.exp(logits - top[groups]), 0.0)
    total = jax.ops.segment_sum(powers, groups, n)
    return powers / jnp.where(total > 0, total, 1.0)[groups]


class GraphFixedPoint(FixedPoint):
    """Find h with h = act(q A h + b) in each of several heads, A sparse with row sums at most 1.

    The map contracts by q in the maximum norm, so that there is one h for every A and b. The
    certificate is the bound `max |T(h) - h| / (1 - q s)` of the largest error of an entry, where
    s <= 1 is the largest row sum, found from the data.

    Args:
        weights: entries of A, shape (E, heads).
        rows: the row of each entry, shape (E,).
        columns: the column of each entry, shape (E,).
        bias: b, shape (n, heads).
        contraction: q, from 0 to below 1. With 0 the answer is act(b).
        activation: act: `identity`, `tanh`, `relu` or `leaky_relu`; none steepens.
        start: the first guess; zero when absent.

    Raises:
        ValueError: for shapes that do not fit, numbers that are not finite, row sums above 1 or q
            outside [0, 1).
        TypeError: for what holds no real numbers.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.fixed_point.graphs import GraphFixedPoint
        ring = np.arange(5)
        problem = GraphFixedPoint(np.ones((5, 1)), ring, (ring + 1) % 5, np.ones((5, 1)), 0.5)
        sol = rs.solve(problem, rs.fixed_point.Picard(), rtol=1e-10)
        assert np.allclose(sol.x, 2.0)
        ```

    Reference:
        J. Park, J. Choo, J. Park (2022), Convergent Graph Solvers, arXiv 2106.01680.
    """

    size: int = static()

    def __init__(
        self,
        weights: Float[Any, "E heads"],
        rows: Int[Any, " E"],
        columns: Int[Any, " E"],
        bias: Float[Any, "n heads"],
        contraction: float = 0.5,
        *,
        activation: str = "identity",
        start: Any = None,
    ):
        one_of("activation", activation, _MAPS)
        if not is_traced(contraction) and contraction != 0.0:
            between("contraction", contraction, 0.0, 1.0, "T is no contraction otherwise.")
        weights, bias = real_array("weights", weights), real_array("bias", bias)
        if bias.ndim != 2 or weights.shape != (np.shape(rows)[0], bias.shape[1]):
            refuse(
                ValueError, "weights", given=f"shape {weights.shape}, a bias of shape {bias.shape}",
                needed=f"shapes ({np.shape(rows)[0]}, heads) and (n, heads)",
                advice="One weight for each edge and head, one bias for each node and head.",
            )  # fmt: skip
        n = bias.shape[0]
        finite("bias", bias)
        if not is_traced((weights, rows, columns)):
            _check_rows(weights, rows, columns, n)
        given = (weights, bias) if start is None else (weights, bias, start)
        kind = np if not any(isinstance(one, jax.Array) for one in given) else jnp
        args = (weights, bias, rows, columns, contraction)
        # Its own check would trace the map at every batch of a training.
        vars(self).update(
            fn=_MAPS[activation], first=kind.zeros_like(bias), args=args, contraction=contraction,
            unit=1.0, verify=None, numpy=kind is np, traceable=True, size=n,
        )  # fmt: skip
        if start is not None:
            vars(self).update(first=self.admit(start, "start"))

    def norm(self, residual: Any) -> Any:
        """The largest entry of any head."""
        return trees.largest(residual)

    def scale(self, x: Any) -> Any:
        """max |b| / (1 - q), which no entry of h exceeds."""
        return trees.largest(self.args[1]) / (1.0 - self.contraction)

    def row_sum(self) -> Any:
        """The largest row sum of a head's |A|."""
        weights, _, rows, *_ = self.args
        sums = jax.ops.segment_sum(abs(jnp.asarray(weights)), jnp.asarray(rows), self.size)
        return sums.max() if sums.size else jnp.zeros((), sums.dtype)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`max |h - h*| <= max |T(h) - h| / (1 - q s) <= max(rtol max|b| / (1 - q), atol)`."""
        residual = self.norm(self.residual(x))
        factor = self.contraction * self.row_sum()
        safe = factor < 1.0
        value = jnp.where(safe, residual / jnp.where(safe, 1.0 - factor, 1.0), jnp.inf)
        return Certificate(
            value, self.scale(x), kind="bound", name="largest error of an entry",
            details={"residual": residual, "contraction": factor},
            statement="max |h - h*| <= max |T(h) - h| / (1 - q s) <= max(rtol max|b| / (1 - q), "
            "atol)",
        )  # fmt: skip

    def slope_solver(self, x: Any) -> Callable[[Any, bool], Any]:
        """The same kind of iteration for the derivative: J contracts by q in the maximum norm,
        its transpose in the sum of absolute values of a head."""
        _, push = jax.linearize(self.residual, x)

        def solve(target: Any, transposed: bool) -> Any:
            pull = jax.linear_transpose(push, x)
            product = (lambda v: pull(v)[0]) if transposed else push
            return _slope(product, target, self.contraction, transposed)

        return solve

    def default_method(self) -> Any:
        """Picard's iteration."""
        return Picard()

    def describe(self) -> str:
        """Nodes, edges and heads."""
        edges, heads = self.args[0].shape
        return f"GraphFixedPoint({self.size} nodes, {edges} edges, {heads} heads)"


def sweeps_needed(contraction: float, rtol: float) -> int:
    """Sweeps from zero after which the certificate holds, in exact arithmetic."""
    if contraction == 0.0:
        return 1
    return max(1, math.ceil(math.log(rtol) / math.log(contraction)))


def within_rounding(rtol: float, contraction: float, dtype: Any) -> float:
    """The tolerance, or the smallest that arithmetic in this precision can prove."""
    return max(rtol, 8.0 * float(jnp.finfo(dtype).eps) / (1.0 - contraction))


def _slope(product: Any, target: Any, contraction: Any, transposed: bool) -> Any:
    """u = (J - I) u + u - c, for J or its transpose; NaN where it could not be certified."""

    def size(u: Any) -> Any:
        return abs(u).sum(axis=0).max() if transposed else trees.largest(u)

    # Inside a solve of the front door the factor is one of the program's arguments.
    rtol, steps = 1e-6, 10_000
    if not is_traced(contraction):
        rtol = within_rounding(rtol, float(contraction), target.dtype)
        steps = 2 * sweeps_needed(float(contraction), rtol) + 10
    goal = rtol * size(target)

    def on(carry: Any) -> Any:
        _, change, k = carry
        return (change > goal) & (k < steps)

    def sweep(carry: Any) -> Any:
        u, _, k = carry
        moved = product(u) - target
        return u + moved, size(moved), k + 1

    start = -target, size(target), jnp.zeros((), jnp.int32)
    u, change, _ = jax.lax.while_loop(on, sweep, start)
    return jnp.where(change <= goal, u, jnp.nan)


def _affine(h: Any, args: Any) -> Any:
    weights, bias, rows, columns, contraction = (jnp.asarray(arg) for arg in args)
    pulled = jax.ops.segment_sum(weights * h[columns], rows, bias.shape[0])
    return contraction.astype(bias.dtype) * pulled + bias


def _tanh(h: Any, args: Any) -> Any:
    return jnp.tanh(_affine(h, args))


def _relu(h: Any, args: Any) -> Any:
    return jax.nn.relu(_affine(h, args))


def _leaky_relu(h: Any, args: Any) -> Any:
    return jax.nn.leaky_relu(_affine(h, args))


# Functions of this module, so that compiled programs know them again.
_MAPS = {"identity": _affine, "tanh": _tanh, "relu": _relu, "leaky_relu": _leaky_relu}


def _check_rows(weights: Any, rows: Any, columns: Any, n: int) -> None:
    finite("weights", weights)
    rows, columns = np.asarray(rows), np.asarray(columns)
    for name, found in (("rows", rows), ("columns", columns)):
        if found.shape != rows.shape or found.dtype.kind not in "iu":
            refuse(
                ValueError, name, given=f"{found.dtype} of shape {found.shape}",
                needed=f"integers of shape {rows.shape}", advice="One for each edge.",
            )  # fmt: skip
        if found.size and not 0 <= found.min() <= found.max() < n:
            refuse(
                ValueError, name, given=f"numbers from {found.min()} to {found.max()}",
                needed=f"numbers of nodes, from 0 to {n - 1}", advice="Nodes count from 0.",
            )  # fmt: skip
    sums = np.zeros((n, weights.shape[1]))
    np.add.at(sums, rows, np.abs(np.asarray(weights, np.float64)))
    if sums.size and not sums.max() <= 1.0 + _SLACK:
        refuse(
            ValueError, "weights", given=f"a row sum of {sums.max():.6g}", needed="row sums <= 1",
            advice="Divide by the number of edges in the row, as head_weights does.",
        )  # fmt: skip
