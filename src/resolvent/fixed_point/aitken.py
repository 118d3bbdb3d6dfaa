"""Aitken's delta-squared process, repeated as Steffensen did, by component and by vector."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent.fixed_point.cycles import Cycle


class Aitken(Cycle):
    """Aitken's delta-squared process in each component, restarted from what it gives.

    Solves `FixedPoint` problems: from x1 = T(x) and x2 = T(x1), each component goes to
    x2 - (x2 - x1)^2 / (x2 - 2 x1 + x), as if it converged by itself at a steady rate.

    Cost per iteration:
        Two evaluations of T.

    Convergence:
        Quadratic where each component of T(x) depends on that component of x alone, with a
        derivative other than 1 there. Otherwise nothing is known but that no step is taken whose
        residual is larger than that of T(x): at least as fast as a step of T for contractions.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.FixedPoint(jnp.cos, jnp.arange(3.0))
        sol = rs.solve(problem, rs.fixed_point.Aitken())
        assert sol.converged and sol.steps <= 5
        ```

    Reference:
        A. C. Aitken (1926), On Bernoulli's numerical solution of algebraic equations.
        J. F. Steffensen (1933), Remarks on iteration.
    """

    name: ClassVar[str] = "aitken"

    def _extrapolated(self, x2: Any, first: Any, second: Any) -> Any:
        def one(x: Any, r: Any, s: Any) -> Any:
            kind = jnp if isinstance(x, jax.Array) else np
            bend = s - r
            bends = bend != 0
            return x - kind.where(bends, s * (s / kind.where(bends, bend, 1)), 0)

        return trees.map_leaves(one, x2, first, second)


class Steffensen(Cycle):
    """Steffensen's method with one secant for the whole vector.

    Solves `FixedPoint` problems: from x1 = T(x) and x2 = T(x1), with r = x2 - x1 and
    v = x2 - 2 x1 + x, the next point is x2 - (r v / v v) r: the vector form of Aitken's process.

    Cost per iteration:
        Two evaluations of T.

    Convergence:
        Quadratic for one unknown whose T has a derivative other than 1 at the fixed point. For
        more unknowns linear, mostly faster than T itself by a factor that few of its Jacobian's
        eigenvalues make large; no step is taken whose residual is larger than that of T(x).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.FixedPoint(lambda x: jnp.exp(-x), jnp.ones(1))
        sol = rs.solve(problem, rs.fixed_point.Steffensen())
        assert sol.converged and sol.steps <= 4
        ```

    Reference:
        J. F. Steffensen (1933), Remarks on iteration. B. M. Irons, R. C. Tuck (1969), A version of
        the Aitken accelerator for computer iteration.
    """

    name: ClassVar[str] = "steffensen"

    def _extrapolated(self, x2: Any, first: Any, second: Any) -> Any:
        bend = trees.minus(second, first)
        square = trees.dot(bend, bend)
        # Without any bend there is nothing to extrapolate: 0 / 1.
        part = trees.dot(second, bend) / (square + (square == 0))
        return trees.plus(x2, -part, second)
