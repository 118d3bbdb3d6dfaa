"""What every term of an objective or inclusion offers."""

import abc
from typing import Any

from resolvent._core import trees
from resolvent._core.value import Value


class Function(Value):
    """A closed convex function g of a point, which may be a tree of arrays.

    Its subdifferential is the G of an inclusion; `prox` is that operator's resolvent.
    """

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

    @property
    def is_set(self) -> bool:
        """Whether the function is 0 or infinite everywhere."""
        return False

    def conjugate(self, v: Any) -> Any:
        """sup over x of <v, x> - g(x); of a set, its support function."""
        raise NotImplementedError(f"{type(self).__name__} has no conjugate in closed form")

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
