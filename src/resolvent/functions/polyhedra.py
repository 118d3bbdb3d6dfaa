"""Polyhedra that are given by inequalities."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent.functions.iterated import IteratedSet, in_precision


class Polyhedron(IteratedSet):
    """lower <= A x <= upper.

    The multipliers of the rows solve a problem of their own, as small as the rows are few, by the
    alternating direction method of multipliers. After 1, 2, 4, ... of its steps the rows that it
    holds at their bounds are taken for those of the answer: one linear system gives that answer to
    the last digits, and it ends the iteration where it satisfies the optimality conditions. One row
    needs one step.

    Args:
        A: [m, n].
        lower: [m] or a number; -inf where there is no bound. Equations have lower = upper.
        upper: the same, with inf.
        rtol: positive; None for the rounding error to the power 2/3: 4e-11 or 2e-5.
        max_steps: limit of ADMM's steps. On an empty polyhedron they all are made, and the value
            of the point that comes back is infinite.

    Raises:
        ValueError: for shapes that do not fit, a matrix that is not finite, bounds of NaN or in the
            wrong order, rows of zeros, and a tolerance or limit out of range.

    Cost: A A^T and an eigendecomposition of it once; three products with A a projection, a product
        [m, m] a step, and an eigendecomposition whenever the steps have doubled.

    Derivatives are those of the projection onto the face, with respect to A and the bounds too.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        A = jnp.array([[1.0, 1.0], [1.0, -1.0]])
        diamond = rs.functions.Polyhedron(A, -1.0, 1.0)
        assert jnp.allclose(diamond.project(jnp.array([3.0, 0.0])), jnp.array([1.0, 0.0]))
        ```

    Reference: S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein (2011), Distributed optimization
    and statistical learning via the alternating direction method of multipliers.
    """

    A: Any
    lower: Any
    upper: Any
    gram: Any
    solver: Any
    penalty: Any

    def __init__(
        self,
        A: Float[Any, "m n"],
        lower: Any = -np.inf,
        upper: Any = np.inf,
        *,
        rtol: Any = None,
        max_steps: int = 10_000,
    ):
        A = real_array("A", A)
        bounds = [real_array(name, b) for name, b in (("lower", lower), ("upper", upper))]
        if A.ndim != 2 or not A.size or any(b.shape not in ((), A.shape[:1]) for b in bounds):
            refuse(
                ValueError, "A", given=f"shape {A.shape} beside bounds of shapes "
                f"{bounds[0].shape} and {bounds[1].shape}",
                needed="a matrix [m, n] and bounds [m]", advice="One bound a row of A.",
            )  # fmt: skip
        finite("A", A)
        # Written so that NaN is caught.
        if not is_traced(bounds) and not np.all(np.asarray(bounds[0]) <= np.asarray(bounds[1])):
            refuse(
                ValueError, "lower", given="a lower bound that is not at most its upper bound",
                needed="lower <= upper everywhere", advice="The set is empty, or a bound NaN.",
            )  # fmt: skip
        if not is_traced(A) and not np.asarray(A).any(axis=1).all():
            refuse(
                ValueError, "A", given="a row of zeros", needed="rows that are not zero",
                advice="Drop the row: it asks nothing of x.",
            )  # fmt: skip
        lower, upper = (np.broadcast_to(b, A.shape[:1]) if type(b) is np.ndarray else
                        jnp.broadcast_to(b, A.shape[:1]) for b in bounds)  # fmt: skip
        names = "A", "lower", "upper", "gram", "solver", "penalty"
        vars(self).update(zip(names, (A, lower, upper, *_factored(A)), strict=True))
        vars(self).update(rtol=rtol, max_steps=max_steps)
        self._check_limits()

    def violation(self, x: Any) -> Any:
        A, lower, upper = (jnp.asarray(part, x.dtype) for part in (self.A, self.lower, self.upper))
        reached = A @ x
        return jnp.abs((reached - jnp.clip(reached, lower, upper)) / _lengths(A)).max()

    def project(self, x: Any) -> Any:
        return _projected(in_precision(self, x.dtype), x)

    def check(self, point: Any) -> None:
        if getattr(point, "shape", None) != self.A.shape[1:]:
            refuse(
                ValueError, "set", given=f"A with {self.A.shape[1]} columns for a point of shape "
                f"{getattr(point, 'shape', None)}",
                needed="the same number", advice="Give the set the dimension of the unknown.",
            )  # fmt: skip


def _lengths(A: Any) -> Any:
    return (A * A).sum(axis=1) ** 0.5


def _factored(A: Any) -> tuple[Any, Any, Any]:
    """The products of the unit rows, the inverse that ADMM needs, and its penalty."""
    np_or_jnp = np if type(A) is np.ndarray else jnp
    # Their derivatives are those of A, and taken where the answer is.
    rows = A / _lengths(A)[:, None] if np_or_jnp is np else jax.lax.stop_gradient(
        A / _lengths(A)[:, None]
    )  # fmt: skip
    gram = rows @ rows.T
    values, vectors = np_or_jnp.linalg.eigh(gram)
    least = np_or_jnp.where(values > _cut(values), values, values[-1]).min()
    penalty = 1 / (least * values[-1]) ** 0.5
    return gram, (vectors / (np_or_jnp.maximum(values, 0) + 1 / penalty)) @ vectors.T, penalty


def _cut(values: Any) -> Any:
    """Below it, an eigenvalue is a rounding error."""
    return 10 * values.size * np.finfo(values.dtype).eps * abs(values).max()


@jax.jit
def _projected(polyhedron: Polyhedron, x: Any) -> Any:
    A, lower, upper, *factors = (getattr(polyhedron, name) for name in polyhedron.children)
    limits = polyhedron.tolerance(x.dtype), polyhedron.max_steps
    return x - _multipliers(limits, factors, A, lower, upper, x) @ A


def _on_face(active: Any, gram: Any, right: Any) -> Any:
    """The least multipliers of active rows with gram @ multipliers = right in these rows."""
    masked = jnp.where(active[:, None] & active, gram, 0)
    values, vectors = jnp.linalg.eigh(masked)
    inverse = jnp.where(values > _cut(values), 1 / values, 0)

    def solved(right: Any) -> Any:
        return jnp.where(active, vectors @ (inverse * (jnp.where(active, right, 0) @ vectors)), 0)

    near = solved(right)
    return near + solved(right - masked @ near)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _multipliers(limits: Any, factors: Any, A: Any, lower: Any, upper: Any, x: Any) -> Any:
    rtol, max_steps = limits
    gram, solver, penalty = factors
    lengths = _lengths(A)
    start, lower, upper = A @ x / lengths, lower / lengths, upper / lengths
    length = trees.norm(x)

    def judged(multipliers: Any) -> Any:
        reached = start - gram @ multipliers
        wrong = jnp.abs(reached - jnp.clip(reached + multipliers, lower, upper)).max()
        # Relative to the point x - A^T multipliers, less the rounding errors of x.
        square = length**2 - multipliers @ (start + reached)
        most = rtol * (1 + jnp.sqrt(jnp.maximum(square, 0)))
        rounding = 4 * jnp.finfo(x.dtype).eps * length
        return wrong / jnp.maximum(most, rounding), multipliers

    def better(one: Any, other: Any) -> Any:
        # The other also where the first is NaN.
        return jax.tree_util.tree_map(lambda a, b: jnp.where(one[0] <= other[0], a, b), one, other)

    def advance(_: Any, state: Any) -> Any:
        slack, scaled = state
        right = start - slack + scaled
        moved = slack + (solver @ right) / penalty
        slack = jnp.clip(moved, lower, upper)
        return slack, moved - slack

    def goes_on(carry: Any) -> Any:
        steps, _, best = carry
        return (steps <= max_steps) & (best[0] > 1)

    def doubled(carry: Any) -> Any:
        steps, state, best = carry
        slack, scaled = jax.lax.fori_loop(0, steps, advance, state)
        best = better(judged(penalty * scaled), best)
        active = (scaled != 0) | (lower == upper)
        bound = jnp.where(scaled > 0, upper, lower)
        polished = _on_face(active, gram, start - jnp.where(active, bound, 0))
        return 2 * steps, (slack, scaled), better(judged(polished), best)

    inside = judged(jnp.zeros_like(start))
    first = jnp.clip(start, lower, upper), jnp.zeros_like(start)
    return jax.lax.while_loop(goes_on, doubled, (1, first, inside))[2][1] / lengths


@_multipliers.defjvp
def _(limits: Any, primals: Any, tangents: Any) -> Any:
    """Where rows meet their bounds, A (x - A^T multipliers) = bound goes on to hold."""
    factors, A, lower, upper, x = primals
    _, more, lower_moves, upper_moves, moved = tangents
    found = _multipliers(limits, *primals)
    lengths = _lengths(A)
    active = (found != 0) | (lower == upper)
    bound = jnp.where(found > 0, upper_moves, lower_moves)
    right = more @ (x - found @ A) + A @ (moved - found @ more)
    right = right - jnp.where(active, bound, 0)
    return found, _on_face(active, factors[0], right / lengths) / lengths
