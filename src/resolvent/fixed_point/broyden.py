"""Broyden's methods with a limited memory."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import count, one_of
from resolvent._core.value import static
from resolvent.fixed_point.guarded import Guarded, replaced, silenced
from resolvent.fixed_point.infeasibility import either

_SKEW = 1e-10  # the cosine between a step and its prediction below which a pair teaches nothing


class BroydenHistory(NamedTuple):
    """The inverse Jacobian H = -I + sum of u v', as rows u and v; rows beyond `count` mean nothing.

    `Hf` is the product of H with the present residual.
    """

    u: Any
    v: Any
    Hf: Any
    count: Any


class Broyden(Guarded):
    """Broyden's quasi-Newton method for T(x) - x = 0, safeguarded.

    Solves `FixedPoint` problems by x <- x - H f, where f = T(x) - x and H, at first -I, is changed
    in rank one after each step s, so that H y = s for the change y of f: least in H itself
    (`bad`), or in its inverse (`good`).

    Args:
        window: how many changes are kept; the method begins afresh when there are so many.
        update: `good` or `bad`.
        safeguard: an accelerated step is taken back if the residual there is more than so many
            times the present one; None takes all.
        fallback: the weight of the averaged step that is taken then, and at first, in (0, 1].

    Raises:
        TypeError: for a window that is no integer.
        ValueError: for parameters outside the ranges above.

    Cost per iteration:
        One evaluation of T and O(window n) operations. A step that is taken back has cost one
        evaluation.

    Convergence:
        Locally superlinear where T is smooth, its Jacobian has no eigenvalue 1, and the window
        holds all steps; exact after 2 n steps for affine T (good update). For nonexpansive T with
        a fixed point, and a fallback below 1, the safeguard lets residuals of accelerated steps
        only be summable, as the averaged iteration needs it.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.FixedPoint(jnp.cos, jnp.arange(3.0))
        sol = rs.solve(problem, rs.fixed_point.Broyden())
        assert sol.converged and sol.steps < 16
        ```

    Reference:
        C. G. Broyden (1965), A class of methods for solving nonlinear simultaneous equations.
        C. T. Kelley (1995), Iterative methods for linear and nonlinear equations.
    """

    window: int = static(default=20)
    update: str = static(default="good")

    name: ClassVar[str] = "broyden"

    def __post_init__(self) -> None:
        super().__post_init__()
        count("window", self.window, least=1)
        one_of("update", self.update, ("good", "bad"))

    def _empty(self, x: Any) -> BroydenHistory:
        kind = jnp if isinstance(x, jax.Array) else np
        rows = kind.zeros((self.window, x.size), x.dtype)
        return BroydenHistory(rows, kind.zeros_like(rows), kind.zeros_like(x), 0)

    def _next(
        self, history: BroydenHistory, dx: Any, df: Any, f: Any, taken: Any, own: bool
    ) -> tuple[BroydenHistory, Any, Any]:
        kind = jnp if isinstance(f, jax.Array) else np
        u, v = history.u, history.v
        count = history.count * (history.count < self.window)
        known = (kind.arange(self.window) < count).astype(f.dtype)
        before = either(count > 0, history.Hf, df - f)
        Hf = (known * (v @ f)) @ u - f
        Hy = Hf - before
        if self.update == "good":
            direction = (known * (u @ dx)) @ v - dx
            curvature = dx @ Hy
            usable = abs(curvature) > _SKEW * (dx @ dx) ** 0.5 * (Hy @ Hy) ** 0.5
        else:
            direction, curvature = df, df @ df
            usable = curvature > 0
        usable = usable & taken
        row = (dx - Hy) / kind.where(usable, curvature, 1.0).astype(f.dtype)
        row, direction = silenced(usable, (row, direction))
        u, v = replaced(u, count, row, own), replaced(v, count, direction, own)
        Hf = Hf + row * (direction @ silenced(taken, f))
        count = (count + usable) * taken
        return BroydenHistory(u, v, Hf, count), -Hf, count > 0
