"""The system of an implicit derivative, solved by a fixed-point iteration of its own."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx

from resolvent._core import trees
from resolvent._core.checks import count, nonnegative


class FixedPointSolver(lx.AbstractLinearSolver[Any]):
    """A lineax solver for the derivative of a fixed point, by iteration.

    The derivative of x = T(x) is found from (J - I) u = c, or its transpose, where J is the
    Jacobian of T. That is the fixed point of u -> J u - c, which any traced method of this family
    solves with one product with J a step: `Picard()` sums the Neumann series, `Anderson()` is
    quicker. It converges where the Jacobian contracts, which T at a stable fixed point does.

    Pass it as `adjoint=resolvent.Implicit(solver=FixedPointSolver())`.

    Args:
        method: a traced method for fixed points; None takes `Anderson()`.
        rtol: tolerance of the residual, relative to c; at least ten units of the last place.
        max_steps: step limit.

    Raises:
        TypeError: if the limit is no integer, or the tolerance no number.
        ValueError: for a negative tolerance or no step.

    Example:
        ```python
        import jax, jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import FixedPointSolver

        def total(a):
            problem = rs.FixedPoint(lambda x, a: a * jnp.cos(x), jnp.ones(2), a)
            return rs.solve(problem, adjoint=rs.Implicit(solver=FixedPointSolver())).x.sum()

        assert jnp.isfinite(jax.grad(total)(jnp.array([0.5, 0.8]))).all()
        ```
    """

    method: Any
    rtol: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(self, method: Any = None, rtol: float = 1e-6, max_steps: int = 1000):
        from resolvent.fixed_point.anderson import Anderson

        self.method = Anderson() if method is None else method
        self.rtol = nonnegative("rtol", rtol)
        self.max_steps = count("max_steps", max_steps, least=1)

    def init(self, operator: Any, options: dict[str, Any]) -> Any:
        return lx.linearise(operator)

    def compute(self, state: Any, vector: Any, options: dict[str, Any]) -> Any:
        from resolvent._core.solve import solve
        from resolvent.fixed_point.problem import FixedPoint

        # Near length 1, so that tolerances are relative and squares do not vanish.
        size = trees.norm(vector)
        known = size > 0
        unit = trees.times(1.0 / jnp.where(known, size, 1.0), vector)
        problem = FixedPoint(
            lambda u: trees.minus(trees.plus(u, 1.0, state.mv(u)), unit), trees.times(-1.0, unit)
        )
        dtype = jnp.result_type(*jax.tree_util.tree_leaves(vector))
        rtol = max(self.rtol, 10 * float(jnp.finfo(dtype).eps))
        sol = solve(problem, self.method, rtol=rtol, max_steps=self.max_steps, adjoint=None)
        good = sol.certificate.holds
        result = lx.RESULTS.where(good, lx.RESULTS.successful, lx.RESULTS.max_steps_reached)
        answer = trees.times(jnp.where(known, size, 0.0), sol.x)
        return answer, result, {"num_steps": sol.steps, "max_steps": self.max_steps}

    def transpose(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return state.transpose(), {}

    def conj(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return lx.conj(state), {}

    def assume_full_rank(self) -> bool:
        return True
