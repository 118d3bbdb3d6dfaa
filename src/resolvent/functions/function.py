"""What every term of an objective or inclusion offers."""

import abc
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import is_traced
from resolvent._core.value import Value
from resolvent.functions.own_kind import own_kind

_OF_POINTS = (
    "value", "prox", "project", "nearest", "displacement", "subdifferential_distance", "conjugate",
    "scaled_conjugate", "support", "response",
)  # fmt: skip


class Function(Value):
    """A closed function g of a point, which may be a tree of arrays; convex unless it says not.

    Its subdifferential is the G of an inclusion; `prox` is that operator's resolvent. At NumPy's
    points in double precision its numbers are NumPy's, and double too, whatever JAX is set to.
    """

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        own_kind(cls, _OF_POINTS)

    convex: ClassVar[bool] = True
    """Whether g is convex: then `prox` is single-valued and stationary points are minimizers."""

    @abc.abstractmethod
    def value(self, x: Any) -> Any:
        """g(x), infinite outside of its domain."""

    @abc.abstractmethod
    def prox(self, x: Any, step: Any) -> Any:
        """The y that minimizes g(y) + ||y - x||^2 / (2 step)."""

    def nearest(self, x: Any) -> Any:
        """The nearest point where the value is finite: x itself, unless there is a constraint."""
        return x

    def displacement(self, x: Any, v: Any) -> Any:
        """x - prox(x - v, 1), which is zero exactly where -v is a subgradient at x.

        Where a difference of points near each other would lose the digits of a small v, it is
        computed in another way.
        """
        return trees.minus(x, self.prox(trees.minus(x, v), 1.0))

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        """How far v is from being a subgradient at x; zero exactly where it is one.

        The Euclidean distance from v to the subdifferential where a class knows it in closed form;
        otherwise `||x - prox(x + v, 1)||`, which is at most that distance for convex g.
        """
        return trees.norm(self.displacement(x, trees.times(-1.0, v)))

    @property
    def is_set(self) -> bool:
        """Whether the function is 0 or infinite everywhere."""
        return False

    def conjugate(self, v: Any) -> Any:
        """sup over x of <v, x> - g(x); of a set, its support function."""
        raise NotImplementedError(f"{type(self).__name__} has no conjugate in closed form")

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        """The largest s <= 1 for which the conjugate at s v is finite, and its value there.

        Lower bounds of objectives are made of it. None where it is not known, or of no use because
        only v = 0 has a finite conjugate.
        """
        return None

    def level(self, x: Any) -> Any:
        """Whether the value is known to be the same at all t x with t >= 1."""
        return False

    def response(self, v: Any) -> Any:
        """An x at which <v, x> - g(x) is largest."""
        raise NotImplementedError(f"{type(self).__name__} has no best response in closed form")

    def check(self, point: Any) -> None:
        """Refuse a point whose shape does not fit."""


class ConvexSet(Function):
    """A closed convex set as a function: 0 inside, infinite outside."""

    @property
    def is_set(self) -> bool:
        return True

    @abc.abstractmethod
    def project(self, x: Any) -> Any:
        """The nearest point of the set."""

    def prox(self, x: Any, step: Any) -> Any:
        return self.project(x)

    def nearest(self, x: Any) -> Any:
        return self.project(x)

    def diameter(self) -> Any:
        """The largest distance of two of its points; infinite where it is unbounded."""
        return float("inf")

    def support(self, v: Any) -> Any:
        """sup over x in the set of <v, x>."""
        return self.conjugate(v)

    def response(self, v: Any) -> Any:
        # The slope of the support function; a mean of several best points is one too.
        v = trees.map_leaves(jnp.asarray, v)
        return jax.grad(lambda turn: jnp.asarray(self.conjugate(turn)))(v)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        if not self.bounded():
            return None
        try:
            return 1.0, self.conjugate(v)
        except NotImplementedError:
            return None

    def bounded(self) -> bool:
        """Whether it is known to have a diameter."""
        diameter = self.diameter()
        return is_traced(diameter) or math.isfinite(diameter)


def within(size: Any, most: Any) -> tuple[Any, Any]:
    """`scaled_conjugate` of a norm: the scale that brings a dual norm down to `most`, and 0."""
    xp = jnp if isinstance(size, jax.Array) or isinstance(most, jax.Array) else np
    # Written so that NaN stays: no bound follows from it.
    fits = size <= most
    return xp.where(fits, 1, most / xp.where(fits, 1, size)), 0.0
