"""Ordinary differential equations on a grid, as systems for all its points at once."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent._core.traced import join, split
from resolvent._core.tree_problem import TreeProblem, first_guess
from resolvent._core.value import static
from resolvent.fixed_point.linear_recurrence import solved
from resolvent.fixed_point.stages import (
    cast,
    check_alike,
    check_callable,
    checked_inputs,
    common_length,
    rows,
    stage_norms,
    unrows,
)

_TERMS = 12  # of the series, for matrices of norm 1/2 at most
_DOUBLINGS = 24  # enough for a norm of 10^7


class InitialValueProblem(TreeProblem):
    """Find y at the points of a grid where dy/dt = f(y, x) and y(t_0) is given.

    The equation is that of an exponential integrator of second order, whose matrices come from the
    values at both ends of an interval of length d: with J = df/dy, Jm the mean of J, and zm the
    mean of f - J y at the ends,
    `y_{i+1} = exp(Jm d) y_i + phi(Jm d) zm d`, phi(a) = (exp(a) - 1) / a. It is exact for linear
    equations with constant coefficients and inputs. The certificate is the largest defect
    of these equations; how well they approximate the flow is a matter of the grid.

    Args:
        fn: f, called as `fn(y, x)`, or `fn(y, x, args)` where `args` is given.
        times: [T + 1], increasing, the first of them that of `start`.
        start: y(t_0), an array or a tree of arrays.
        inputs: x at all times, an array [T + 1, ...] or a tree of them; None where f has none, and
            then it is called with x = None.
        args: a tree of arrays that f depends on.
        unit: what a relative tolerance refers to, in the unit of y.

    Raises:
        TypeError: if `fn` cannot be called or numbers are not real.
        ValueError: if f(y, x) does not look like y, times do not increase, inputs do not fit, or
            numbers are not finite.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import DEER, InitialValueProblem

        problem = InitialValueProblem(lambda y, x: -y, jnp.linspace(0.0, 1.0, 11), jnp.ones(1))
        sol = rs.solve(problem, DEER(), rtol=1e-5)
        assert abs(float(sol.x[-1, 0]) - 0.367879) < 1e-5
        ```
    """

    fn: Any
    times: Any
    inputs: Any
    args: Any
    length: int = static()

    explicit = False
    """Each equation holds values at both ends of its interval."""

    def __init__(
        self,
        fn: Callable[..., Any],
        times: Any,
        start: Any,
        inputs: Any = None,
        args: Any = None,
        *,
        unit: float = 1.0,
    ):
        check_callable("fn", fn, "a function (y, x) -> f(y, x)")
        start, numpy = first_guess("start", start)
        times = real_array("times", times)
        if times.ndim != 1 or times.size < 2:
            refuse(
                ValueError, "times", given=f"shape {times.shape}", needed="[T + 1], T at least 1",
                advice="Give the time of the start and at least one later.",
            )  # fmt: skip
        finite("times", times)
        if not is_traced(times) and not np.greater(np.diff(np.asarray(times)), 0.0).all():
            refuse(
                ValueError, "times", given="times that do not increase", needed="increasing times",
                advice="Sort them and drop what is there twice.",
            )  # fmt: skip
        inputs = checked_inputs(inputs)
        if trees.leaves(inputs) and (found := common_length("inputs", inputs)) != times.size:
            refuse(
                ValueError, "inputs", given=f"{found} of them for {times.size} times",
                needed="one a time, that of the start included", advice="Look at their lengths.",
            )  # fmt: skip
        between("unit", unit, 0.0, math.inf, "It is a size of y.")
        vars(self).update(
            fn=fn, times=times, first=start, inputs=inputs, args=args, unit=unit, numpy=numpy,
            length=times.size - 1,
        )  # fmt: skip
        data = (start, inputs, args)
        with scope(needs_double(data) and not is_traced(data)):
            x = trees.map_leaves(lambda leaf: leaf[0], inputs)
            rest = () if args is None else (args,)
            check_alike("fn", jax.eval_shape(fn, start, x, *rest), start)

    def _call(self, y: Any, x: Any) -> Any:
        return self.fn(y, x) if self.args is None else self.fn(y, x, self.args)

    def start(self, key: Any) -> Any:
        """y(t_0) at all times."""
        xp = jnp if any(isinstance(leaf, jax.Array) for leaf in trees.leaves(self.first)) else np
        return trees.map_leaves(
            lambda leaf: xp.broadcast_to(leaf, (self.length, *leaf.shape)), self.first
        )

    def flow(self, s: Any) -> tuple[Any, Any]:
        """E_i and c_i of the equations y_{i+1} = E_i y_i + c_i at values s."""
        like = self.first
        y = jnp.concatenate([rows(trees.map_leaves(lambda leaf: leaf[None], like)), rows(s)])

        def flat(v: Any, x: Any) -> Any:
            y = trees.unraveled(v, like)
            return trees.raveled(cast(self._call(y, x), y))

        f = jax.vmap(flat)(y, self.inputs)
        J = jax.vmap(jax.jacfwd(flat))(y, self.inputs)
        z = f - jnp.einsum("tij,tj->ti", J, y)
        d = (self.times[1:] - self.times[:-1]).astype(y.dtype)[:, None]
        a = 0.5 * (J[1:] + J[:-1]) * d[:, :, None]
        E, phi = jax.vmap(_exponential)(a)
        return E, jnp.einsum("tij,tj->ti", phi, 0.5 * d * (z[1:] + z[:-1]))

    def _before(self, s: Any) -> Any:
        first = trees.map_leaves(lambda leaf: jnp.asarray(leaf)[None], self.first)
        return jnp.concatenate([rows(first), rows(s)[:-1]])

    def sweep(self, s: Any) -> Any:
        """The right-hand sides of all equations at values s."""
        return self.linearized(s)[0]

    def linearized(self, s: Any, diagonal: bool = False) -> tuple[Any, Any]:
        """The sweep of s, and the matrices E_i that belong to it."""
        E, c = self.flow(s)
        return unrows(jnp.einsum("tij,tj->ti", E, self._before(s)) + c, s), E

    def affine(self, s: Any, image: Any, A: Any) -> tuple[Any, Any]:
        """The equations with matrices A, as a recurrence from 0."""
        values = rows(image)
        b = values - jnp.einsum("tij,tj->ti", A, self._before(s))
        return A.at[0].set(0.0), b.at[0].set(values[0])

    def scale(self, x: Any) -> Any:
        """The unit of y."""
        return self.unit

    def residual(self, x: Any) -> Any:
        """The defects of all equations."""
        return trees.minus(self.sweep(x), x)

    def merit(self, s: Any, image: Any) -> Any:
        """The certificate's value at values whose sweep is known."""
        return stage_norms(trees.minus(image, s)).max()

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`max_i ||exp(Jm d) y_i + phi(Jm d) zm d - y_{i+1}|| <= max(rtol unit, atol)`."""
        if is_traced((self, x)):
            value = self._judged(x)
        else:
            value = _compiled(*split((self, trees.map_leaves(jnp.asarray, x))))
        return Certificate(
            value, self.unit, name="largest defect of an interval",
            statement="max over i of ||exp(Jm d) y_i + phi(Jm d) zm d - y_{i+1}|| "
            "<= max(rtol unit, atol)",
        )  # fmt: skip

    def _judged(self, x: Any) -> Any:
        return self.merit(x, self.sweep(x))

    def slope_solver(self, x: Any) -> Callable[[Any, bool], Any]:
        """One pass through the equations, linearized at both ends of the intervals."""
        y = jnp.concatenate([self._before(x)[:1], rows(x)])

        def defect(ends: Any, times: Any, inputs: Any) -> Any:
            one = self.but(times=times, inputs=inputs, length=1)
            one = one.but(first=trees.unraveled(ends[0], self.first))
            like = trees.map_leaves(lambda leaf: leaf[None], one.first)
            s = unrows(ends[1:], like)
            return rows(one.residual(s))[0]

        pairs = jnp.stack([y[:-1], y[1:]], axis=1)
        ends = trees.map_leaves(
            lambda leaf: jnp.stack([leaf[:-1], leaf[1:]], axis=1), (self.times, self.inputs)
        )
        slopes = jax.vmap(jax.jacfwd(defect))(pairs, *ends)
        left, right = slopes[:, :, 0], slopes[:, :, 1]

        def solve(target: Any, transposed: bool) -> Any:
            # right_i v_i + left_i v_{i-1} = target_i.
            c = rows(target)
            A = -jnp.linalg.solve(right, left)
            if transposed:
                w = solved(A, c, True)
                w = jnp.linalg.solve(jnp.swapaxes(right, 1, 2), w[:, :, None])[:, :, 0]
            else:
                w = solved(A, jnp.linalg.solve(right, c[:, :, None])[:, :, 0], False)
            return unrows(w, target)

        return solve

    def form(self) -> str:
        return "grid"

    def default_method(self) -> Any:
        """Newton's method by scans."""
        from resolvent.fixed_point.deer import DEER

        return DEER()

    def describe(self) -> str:
        """Number of intervals and size of y."""
        return f"InitialValueProblem({self.length} intervals of {self.unknowns()})"


@partial(jax.jit, static_argnums=0)
def _compiled(known: Any, dynamic: list[Any]) -> Any:
    problem, x = join(known, dynamic)
    return problem._judged(x)


def _exponential(a: Any) -> tuple[Any, Any]:
    """exp(a) and phi(a) = (exp(a) - 1) / a of a matrix: a series near zero, and doublings."""
    one = jnp.eye(a.shape[0], dtype=a.dtype)
    size = jax.lax.stop_gradient(jnp.abs(a).sum(1).max())
    doublings = jnp.ceil(jnp.log2(jnp.maximum(2.0 * size, 1.0)))
    small = a * jnp.exp2(-doublings)
    phi = jax.lax.fori_loop(0, _TERMS, lambda i, phi: one + (small / (_TERMS + 1.0 - i)) @ phi, one)

    def doubled(i: Any, pair: Any) -> Any:
        E, phi = pair
        more = E @ E, 0.5 * (phi + phi @ E)
        return jax.tree_util.tree_map(
            lambda new, old: jnp.where(i < doublings, new, old), more, pair
        )

    pair = jax.lax.fori_loop(0, _DOUBLINGS, doubled, (one + small @ phi, phi))
    # Matrices beyond the doublings are none that the result is right for.
    return jax.tree_util.tree_map(
        lambda part: jnp.where(doublings <= _DOUBLINGS, part, jnp.nan), pair
    )
