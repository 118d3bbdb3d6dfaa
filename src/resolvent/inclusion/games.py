"""Saddle points and games as inclusions, their operators built by automatic differentiation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from resolvent._core import trees
from resolvent._core.checks import refuse
from resolvent.functions import Function, Product
from resolvent.functions.sets import Everything
from resolvent.inclusion.operators import Operator
from resolvent.inclusion.problem import Inclusion


class _SaddleOperator(Operator):
    """(grad_x L, -grad_y L)."""

    L: Any
    args: Any = None

    def __call__(self, x: Any) -> Any:
        loss = self.L if self.args is None else lambda u, v: self.L(u, v, self.args)
        of_x, of_y = jax.grad(loss, argnums=(0, 1))(*x)
        return of_x, trees.times(-1.0, of_y)


class SaddlePoint(Inclusion):
    """min over x in X of max over y in Y of L(x, y).

    Args:
        L: convex in x and concave in y, called as `L(x, y)`, or `L(x, y, args)` where `args` is
            given; JAX differentiates it.
        X: a `Function` for x, or None.
        Y: a `Function` for y, or None.
        start: the pair of first guesses.
        args: a tree of arrays that L depends on.
        lipschitz: as in `Inclusion`.
        strong: as in `Inclusion`.
        comonotone: as in `Inclusion`.
        unit: as in `Inclusion`.

    Raises:
        ValueError: if `start` is no pair, or what `Inclusion` refuses.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.SaddlePoint(
            lambda x, y: x @ y + 0.5 * x @ x, start=(jnp.ones(2), jnp.ones(2))
        )
        assert rs.solve(problem, rs.inclusion.Extragradient()).converged
        ```
    """

    def __init__(
        self,
        L: Callable[..., Any],
        X: Function | None = None,
        Y: Function | None = None,
        *,
        start: Any,
        args: Any = None,
        lipschitz: float | None = None,
        strong: float | None = None,
        comonotone: float = 0.0,
        unit: float = 1.0,
    ):
        if not isinstance(start, tuple | list) or len(start) != 2:
            refuse(
                ValueError, "start", given=f"a {type(start).__name__}", needed="a pair (x, y)",
                advice="Give a first guess of both variables.",
            )  # fmt: skip
        fields = self._fields(
            _SaddleOperator(L, args), _product((X, Y)), tuple(start), lipschitz, strong,
            comonotone, unit,
        )  # fmt: skip
        vars(self).update(fields)


class _PseudoGradient(Operator):
    """Each player's gradient of the own loss in the own variable."""

    losses: tuple[Any, ...]
    args: Any = None

    def __call__(self, x: Any) -> Any:
        rest = () if self.args is None else (self.args,)

        def of(i: int) -> Any:
            return jax.grad(lambda own: self.losses[i]((*x[:i], own, *x[i + 1 :]), *rest))(x[i])

        return tuple(of(i) for i in range(len(self.losses)))


class Game(Inclusion):
    """A Nash equilibrium: no player gains by changing the own variable alone.

    Args:
        losses: one function a player, of the tuple of all players' variables (and `args` where
            given), convex in the own variable.
        sets: one `Function` a player, or None for no constraints.
        start: the tuple of first guesses.
        args: a tree of arrays that the losses depend on.
        lipschitz: as in `Inclusion`.
        strong: as in `Inclusion`.
        comonotone: as in `Inclusion`.
        unit: as in `Inclusion`.

    Raises:
        ValueError: for fewer than two players, or where numbers of losses, sets and guesses
            differ.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        losses = (lambda x: x[0] @ x[0] + x[0] @ x[1], lambda x: x[1] @ x[1] - x[0] @ x[1])
        problem = rs.Game(losses, start=(jnp.ones(2), jnp.ones(2)))
        assert rs.solve(problem, rs.inclusion.Extragradient()).converged
        ```
    """

    def __init__(
        self,
        losses: Sequence[Callable[..., Any]],
        sets: Sequence[Function | None] | None = None,
        *,
        start: Any,
        args: Any = None,
        lipschitz: float | None = None,
        strong: float | None = None,
        comonotone: float = 0.0,
        unit: float = 1.0,
    ):
        if callable(losses) or not all(callable(loss) for loss in losses):
            refuse(
                TypeError, "losses", given="what is no sequence of functions",
                needed="one function a player, called with the tuple of all points",
                advice="Write (loss_1, loss_2, ...).",
            )  # fmt: skip
        losses, start = tuple(losses), tuple(start)
        sets = (None,) * len(losses) if sets is None else tuple(sets)
        if len(losses) < 2:
            refuse(
                ValueError, "losses", given=f"{len(losses)} of them", needed="two players or more",
                advice="With one player this is a minimization.",
            )  # fmt: skip
        if not len(losses) == len(sets) == len(start):
            refuse(
                ValueError, "losses",
                given=f"{len(losses)} losses, {len(sets)} sets, {len(start)} first guesses",
                needed="one of each a player", advice="None stands for no constraint.",
            )  # fmt: skip
        fields = self._fields(
            _PseudoGradient(losses, args), _product(sets), start, lipschitz, strong, comonotone,
            unit,
        )  # fmt: skip
        vars(self).update(fields)


def _product(sets: Sequence[Function | None]) -> Product:
    return Product(tuple(Everything() if part is None else part for part in sets))
