"""How a solution is differentiated: by the implicit rule, through the loop, or not at all."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.value import Value, static

_DENSE = 256  # unknowns up to which the derivative's system is factorized


class Adjoint(Value):
    """A rule for the derivative of a solution with respect to the problem's arrays."""

    @abc.abstractmethod
    def needs_bound(self) -> bool:
        """Whether the loop must have a step limit known beforehand."""


class Implicit(Adjoint):
    """Differentiate `residual(x) = 0` at the solution; costs one linear solve, no loop history.

    Where the forward solve missed its target, or the linear solve of the derivative failed, the
    derivative is NaN: a wrong number never looks like a right one.

    Args:
        solver: a lineax solver for the derivative's system; None picks the problem's own, where it
            has one, else a dense factorization for up to 256 unknowns and GMRES beyond.
        rtol: relative tolerance of that GMRES.

    Example:
        ```python
        import jax, jax.numpy as jnp, resolvent as rs

        def total(d):
            problem = rs.LinearSystem(jnp.diag(d), jnp.ones(3))
            return rs.solve(problem, rs.linear.CG(), adjoint=rs.Implicit()).x.sum()

        gradient = jax.grad(total)(jnp.array([1.0, 2.0, 4.0]))
        ```
    """

    solver: Any = None
    rtol: float = static(default=1e-8)

    def needs_bound(self) -> bool:
        return False


class Unrolled(Adjoint):
    """Differentiate every step of the loop; needs `max_steps`, and memory for a state per step.

    Use it to train a method's own parameters, where the iteration, not only its limit, matters.
    """

    def needs_bound(self) -> bool:
        return True


def attach(problem: Any, x: Any, certified: Any, rule: Implicit) -> Any:
    """`x` with the derivative that the implicit function theorem gives it."""
    import equinox as eqx

    arrays, rest = eqx.partition(problem, eqx.is_inexact_array)

    @jax.custom_jvp
    def solution(arrays: Any, x: Any, trust: Any) -> Any:
        return x

    @solution.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        arrays, x, trust = primals
        # Through the rule itself, so that derivatives of any order see how x moves.
        x = solution(arrays, x, trust)
        _, drift = jax.jvp(lambda a: eqx.combine(a, rest).optimality(x), (arrays,), (tangents[0],))
        # Through one vector: JAX takes a part that does not move for a constant, which it cannot
        # transpose beside parts that do.
        drift = trees.unraveled(trees.raveled(drift), drift)
        _, slope = jax.linearize(lambda y: eqx.combine(arrays, rest).optimality(y), x)
        # Both directions of differentiation pass through a solve that reports its failure as NaN.
        own = eqx.combine(arrays, rest).slope_solver(x) if rule.solver is None else None

        def solve(mv: Any, target: Any, transposed: bool) -> Any:
            return _solve(rule, mv, target) if own is None else own(target, transposed)

        moved = jax.lax.custom_linear_solve(
            slope, drift, partial(solve, transposed=False), partial(solve, transposed=True)
        )
        return x, jax.tree_util.tree_map(lambda leaf: -leaf * trust.astype(leaf.dtype), moved)

    trust = jnp.where(jnp.asarray(certified), 1.0, jnp.nan)
    still = jax.tree_util.tree_map(jax.lax.stop_gradient, (x, trust))
    return solution(arrays, *still)


def _solve(rule: Implicit, product: Callable[[Any], Any], target: Any) -> Any:
    import lineax as lx

    shape = jax.eval_shape(lambda: target)
    operator = lx.FunctionLinearOperator(product, shape)
    size = sum(leaf.size for leaf in jax.tree_util.tree_leaves(target))
    solver = rule.solver
    if solver is None and size > _DENSE:
        return minimal_residuals(operator, target, rule.rtol)
    if solver is None:
        operator = lx.materialise(operator)
        solver = lx.AutoLinearSolver(well_posed=True)
    result = lx.linear_solve(operator, target, solver, throw=False)
    good = result.result == lx.RESULTS.successful
    return jax.tree_util.tree_map(lambda leaf: jnp.where(good, leaf, jnp.nan), result.value)


def minimal_residuals(operator: Any, target: Any, rtol: float) -> Any:
    """The solution of a lineax operator's system by GMRES, NaN where that fails."""
    import lineax as lx

    unit = trees.norm(target)
    floor = 10 * float(jnp.finfo(unit.dtype).eps)
    rtol = max(rtol, floor)
    # Tolerances hold entry by entry there, and entries that are zero have none of their own: they
    # would end the iteration at its first look.
    target = trees.times(1 / jnp.where(unit > 0, unit, 1), target)
    size = sum(leaf.size for leaf in trees.leaves(target))
    solver = lx.GMRES(rtol=rtol, atol=rtol, max_steps=10 * size, restart=min(size, 50))
    result = lx.linear_solve(operator, target, solver, throw=False)
    left = trees.norm(trees.minus(operator.mv(result.value), target))
    good = (result.result == lx.RESULTS.successful) & (left <= rtol**0.5)
    return trees.map_leaves(
        lambda leaf: unit.astype(leaf.dtype) * jnp.where(good, leaf, jnp.nan), result.value
    )
