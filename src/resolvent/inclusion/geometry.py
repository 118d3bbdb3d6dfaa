"""Mirror maps: the geometries in which a step from a point is measured."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import one_of, refuse
from resolvent._core.value import Value, static
from resolvent.functions import Product, Simplex

_LEAST = 1e-8  # of a uniform mixture, given to entries that a first guess has at zero


class Geometry(Value):
    """A distance for each block: entropy on simplices, or half the Euclidean square.

    Points of entropic blocks are kept as their logarithms, so that no entry is ever lost.

    Args:
        entropic: one truth value for each part of a `Product`, or a single one.
    """

    entropic: tuple[bool, ...] = static()

    def enter(self, G: Any, x: Any) -> Any:
        """The dual form of a point of the domain."""
        return self._blocks(_logarithm, lambda part, block: block, G, x)

    def leave(self, G: Any, dual: Any) -> Any:
        """The point of a dual form."""
        return self._blocks(_mixture, lambda part, block: block, G, dual)

    def move(self, G: Any, dual: Any, step: Any, v: Any) -> Any:
        """The dual form of argmin over u of step (<v, u> + G(u)) + D(u, x)."""
        moved = trees.plus(dual, -step, v)
        return self._blocks(_centred, lambda part, block: part.prox(block, step), G, moved)

    def length(self, x: Any) -> Any:
        """The norm of a difference of points: sums of |x_i| in entropic blocks."""
        return self._norm(x, lambda leaf: jnp.abs(leaf).sum())

    def dual_length(self, v: Any) -> Any:
        """The dual norm, of a difference of values of F."""
        return self._norm(v, lambda leaf: jnp.abs(leaf).max())

    def _blocks(self, on_simplex: Any, elsewhere: Any, G: Any, x: Any) -> Any:
        if not isinstance(G, Product):
            return (on_simplex if self.entropic[0] else elsewhere)(G, x)
        return tuple(
            (on_simplex if entropic else elsewhere)(part, block)
            for entropic, part, block in zip(self.entropic, G.parts, x, strict=True)
        )

    def _norm(self, x: Any, of_entropic: Any) -> Any:
        blocks = (x,) if len(self.entropic) == 1 else x
        parts = []
        for entropic, block in zip(self.entropic, blocks, strict=True):
            leaves = trees.leaves(block)
            parts += [of_entropic(leaf) if entropic else trees.norm(leaf) for leaf in leaves]
        return trees.norm(jnp.stack(parts))


def geometry_of(G: Any, wish: str = "auto") -> Geometry:
    """The geometry that suits G, or the one that is wished for.

    Args:
        G: a `Function`, or a `Product` of them.
        wish: "auto" and "entropy" take entropy on every `Simplex`, "euclidean" takes none.

    Returns:
        The geometry.

    Raises:
        ValueError: for another word, and for "entropy" where there is no simplex.

    Example:
        ```python
        import resolvent as rs
        from resolvent.inclusion.geometry import geometry_of
        assert geometry_of(rs.functions.Simplex()).entropic == (True,)
        ```
    """
    one_of("geometry", wish, ("auto", "entropy", "euclidean"))
    parts = G.parts if isinstance(G, Product) else (G,)
    entropic = tuple(wish != "euclidean" and isinstance(part, Simplex) for part in parts)
    if wish == "entropy" and not any(entropic):
        refuse(
            ValueError, "geometry", given="'entropy' where no block is a Simplex",
            needed="mixed strategies", advice="Use 'auto' or 'euclidean'.",
        )  # fmt: skip
    return Geometry(entropic)


def _logarithm(part: Simplex, x: Any) -> Any:
    def one(leaf: Any) -> Any:
        positive = jnp.maximum(leaf, _LEAST * part.total / leaf.shape[-1])
        return _shifted(jnp.log(positive))

    return jax.tree_util.tree_map(one, x)


def _mixture(part: Simplex, dual: Any) -> Any:
    total = part.total
    return jax.tree_util.tree_map(
        lambda leaf: jnp.asarray(total, leaf.dtype) * jax.nn.softmax(leaf, axis=-1), dual
    )


def _centred(part: Simplex, dual: Any) -> Any:
    return jax.tree_util.tree_map(_shifted, dual)


def _shifted(leaf: Any) -> Any:
    return leaf - jax.lax.stop_gradient(leaf.max(axis=-1, keepdims=True))
