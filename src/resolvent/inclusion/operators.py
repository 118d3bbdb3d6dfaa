"""The single-valued part F of an inclusion: a function, an affine map, or a sum of components."""

import abc
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent._core.value import Value

_SMALL = 4096  # numbers of a component, up to which a batch is worth to be collected first


class Operator(Value):
    """F, called with a point; its value has the structure of the point."""

    @abc.abstractmethod
    def __call__(self, x: Any) -> Any:
        """F(x)."""

    @property
    def components(self) -> int:
        """Of how many components F is the mean."""
        return 1


class FunctionOperator(Operator):
    """F(x) = fn(x, args), or fn(x) where there are no args."""

    fn: Any
    args: Any = None

    def __call__(self, x: Any) -> Any:
        return self.fn(x) if self.args is None else self.fn(x, self.args)


class AffineOperator(Operator):
    """F(x) = A x + q on vectors.

    Args:
        A: [n, n].
        q: [n], or None for zero.

    Raises:
        ValueError: for shapes that do not fit or entries that are not finite.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        F = rs.inclusion.AffineOperator(jnp.eye(2), jnp.ones(2))
        assert (F(jnp.zeros(2)) == 1.0).all()
        ```
    """

    A: Any
    q: Any

    def __init__(self, A: Float[Any, "n n"], q: Float[Any, " n"] | None = None):
        A = real_array("A", A)
        if A.ndim != 2 or A.shape[0] != A.shape[1]:
            refuse(
                ValueError, "A", given=f"shape {A.shape}", needed="a square matrix",
                advice="An operator maps points to points of the same shape.",
            )  # fmt: skip
        finite("A", A)
        offset: Any = None if q is None else real_array("q", q)
        if offset is not None:
            if offset.shape != A.shape[:1]:
                refuse(
                    ValueError, "q", given=f"shape {offset.shape}", needed=f"shape {A.shape[:1]}",
                    advice="One entry a row of A.",
                )  # fmt: skip
            finite("q", offset)
        vars(self).update(A=A, q=offset)

    def __call__(self, x: Any) -> Any:
        return self.A @ x if self.q is None else self.A @ x + self.q


class FiniteSum(Operator):
    """F(x) = (1 / n) sum_i fn(x, data_i), whose components can be asked for one by one.

    Args:
        fn: a component, called with the point and one entry of the data.
        data: a tree of arrays with the same leading axis, one entry a component.
        whole: F itself, where there is a cheaper way to it than the mean of its components.
        probabilities: with which methods draw component i, relative to each other, shape [n]; a
            draw then counts as F_i / (n p_i). None draws uniformly.
        cocoercive: a number L with `E ||F_i(x) - F_i(y)||^2 <= L <F(x) - F(y), x - y>`, the mean
            being that over draws, if one is known.
        lipschitz: a number L with `E ||F_i(x) - F_i(y)||^2 <= L^2 ||x - y||^2`, if one is known.

    Raises:
        ValueError: for no components, leading axes that differ, probabilities that are not
            positive, or constants that are not.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        F = rs.inclusion.FiniteSum(lambda x, g: x - g, jnp.arange(4.0)[:, None])
        assert F(jnp.zeros(1))[0] == -1.5
        ```
    """

    fn: Any
    data: Any
    whole: Any
    probabilities: Any
    ladder: Any
    cocoercive: Any
    lipschitz: Any

    def __init__(
        self,
        fn: Callable[[Any, Any], Any],
        data: Any,
        *,
        whole: Callable[[Any], Any] | None = None,
        probabilities: Float[Any, " n"] | None = None,
        cocoercive: float | None = None,
        lipschitz: float | None = None,
    ):
        data = jax.tree_util.tree_map(real_or_index, data)
        lengths = {jnp.shape(leaf)[:1] for leaf in trees.leaves(data)}
        if len(lengths) != 1 or lengths in ({()}, {(0,)}):
            refuse(
                ValueError, "data", given=f"leading axes {sorted(lengths)}",
                needed="one axis of components, at least one, the same for all arrays",
                advice="Stack what the components differ in.",
            )  # fmt: skip
        for name, value in (("cocoercive", cocoercive), ("lipschitz", lipschitz)):
            if value is not None:
                between(name, value, 0.0, math.inf, "It is a positive constant of F.")
        chances: Any = None
        if probabilities is not None:
            chances = _distribution(probabilities, *lengths.pop())
        vars(self).update(
            fn=fn, data=data, whole=whole, probabilities=chances,
            ladder=None if chances is None else chances.cumsum(), cocoercive=cocoercive,
            lipschitz=lipschitz,
        )  # fmt: skip

    @property
    def components(self) -> int:
        return int(trees.leaves(self.data)[0].shape[0])

    def __call__(self, x: Any) -> Any:
        if self.whole is not None:
            return self.whole(x)
        return jax.tree_util.tree_map(lambda leaf: leaf.mean(axis=0), self.values(x, self.data))

    def values(self, x: Any, data: Any) -> Any:
        """The components with these data, along a leading axis."""
        return jax.vmap(self.fn, in_axes=(None, 0))(x, data)

    def change(self, x: Any, y: Any, indices: Any, weights: Any = None) -> Any:
        """The mean over some components of F_i(x) - F_i(y), times their weights.

        Args:
            x: a point.
            y: another point.
            indices: of the components, each as often as it is named; None for all, once.
            weights: one a component that is named, or None for 1.

        Returns:
            The mean, in the precision of x.

        Example:
            ```python
            import jax.numpy as jnp, resolvent as rs
            F = rs.inclusion.FiniteSum(lambda x, s: s * x, jnp.arange(4.0))
            moved = F.change(jnp.ones(1), jnp.zeros(1), jnp.array([1, 3]))
            assert moved[0] == 2.0
            ```
        """
        if indices is None:
            return _like(trees.minus(self(x), self(y)), x)
        count = indices.shape[0]
        if count > 1 and self._size() <= _SMALL:
            data = jax.tree_util.tree_map(lambda leaf: leaf[indices], self.data)
            parts = trees.minus(self.values(x, data), self.values(y, data))
            if weights is None:
                return _like(trees.map_leaves(lambda leaf: leaf.mean(axis=0), parts), x)
            return _like(
                trees.map_leaves(
                    lambda leaf: jnp.tensordot(weights.astype(leaf.dtype), leaf, 1) / count, parts
                ),
                x,
            )

        def one(position: Any) -> Any:
            index = indices[position]
            data = jax.tree_util.tree_map(
                lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), self.data
            )
            part = _like(trees.minus(self.fn(x, data), self.fn(y, data)), x)
            return part if weights is None else trees.times(weights[position], part)

        if count == 1:
            return one(0)
        # Large components are read where they are: to collect them first costs more than to
        # evaluate them.
        total, _ = jax.lax.scan(
            lambda total, position: (trees.plus(total, 1.0, one(position)), None),
            trees.zeros(x), jnp.arange(count),
        )  # fmt: skip
        return trees.times(1.0 / count, total)

    def _size(self) -> int:
        """Numbers that one component holds."""
        return sum(math.prod(leaf.shape[1:]) for leaf in trees.leaves(self.data))


def _like(value: Any, x: Any) -> Any:
    return jax.tree_util.tree_map(lambda leaf, like: jnp.asarray(leaf, like.dtype), value, x)


def _distribution(probabilities: Any, components: int) -> Any:
    """Probabilities that sum to 1; refuses those with which some component is never drawn."""
    probabilities = real_array("probabilities", probabilities)
    if probabilities.shape != (components,):
        refuse(
            ValueError, "probabilities", given=f"shape {probabilities.shape}",
            needed=f"shape {(components,)}", advice="Give one number a component.",
        )  # fmt: skip
    finite("probabilities", probabilities)
    if not is_traced(probabilities) and not bool((probabilities > 0).all()):
        refuse(
            ValueError, "probabilities", given=f"{float(probabilities.min()):.3g} as the least",
            needed="positive numbers",
            advice="A component that is never drawn makes the mean wrong: None draws uniformly.",
        )  # fmt: skip
    return probabilities / probabilities.sum()


def real_or_index(leaf: Any) -> Any:
    """Real numbers as they are; integers, which may be indices, too."""
    array = leaf if hasattr(leaf, "dtype") else real_array("data", leaf)
    if array.dtype.kind in "iu":
        return array
    array = real_array("data", array)
    finite("data", array)
    return array
