"""Computations that go stage by stage, as systems that can be solved for all stages at once."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, count, is_traced, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent._core.traced import join, split
from resolvent._core.tree_problem import TreeProblem, first_guess
from resolvent._core.value import static
from resolvent.fixed_point import linear_recurrence
from resolvent.fixed_point.stages import (
    cast,
    check_alike,
    check_callable,
    checked_inputs,
    common_length,
    rows,
    stage_norms,
    taken,
    unrows,
)  # fmt: skip

_SMALL = 16  # unknowns of a stage up to which its matrices are worth their products
_ROUNDING = 8  # units in the last place that two programs may differ by in one stage


class SequentialSystem(TreeProblem):
    """Find s_1, ..., s_T with s_t = h_t(s_1, ..., s_{t-1}).

    The one solution is what evaluating stage after stage gives: the layers of a network, the pixels
    of a sampler, the steps of a recurrence. The certificate is the largest defect of a stage,
    `max_t ||s_t - h_t(s_1, ..., s_{t-1})||`; its `details` count the leading stages whose defects
    are rounding alone (`certified prefix`): where stages do not amplify it, they are what
    sequential evaluation gives.

    Args:
        sweep: all stages at once from old values, called as `sweep(s)`, or `sweep(s, args)` where
            `args` is given: entry t of the result is h_t of the entries before t. Randomness must
            come as data, the same in every sweep.
        start: the first guess of all stages, an array [T, ...] or a tree of them.
        args: a tree of arrays that the stages depend on.
        stage: one stage, called as `stage(t, s)` or `stage(t, s, args)` with t from 0, for methods
            that go through stages one after another.
        unit: what a relative tolerance refers to, in the unit of s.

    Raises:
        TypeError: if functions cannot be called or `start` holds what is no real number.
        ValueError: if shapes do not fit, or numbers are not finite.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import JacobiSweeps, SequentialSystem

        W = jnp.tril(jnp.full((9, 9), 0.2), -1)
        problem = SequentialSystem(lambda s, W: jnp.tanh(W @ s + 1.0), jnp.zeros(9), W)
        sol = rs.solve(problem, JacobiSweeps())
        assert sol.steps <= 9
        ```
    """

    fn: Any
    stage: Any
    args: Any
    length: int = static()

    explicit = True
    """Whether a stage is a function of earlier stages alone."""

    def __init__(
        self,
        sweep: Callable[..., Any],
        start: Any,
        args: Any = None,
        *,
        stage: Callable[..., Any] | None = None,
        unit: float = 1.0,
    ):
        check_callable("sweep", sweep, "a function of all stages")
        if stage is not None:
            check_callable("stage", stage, "a function of a stage's number and all stages")
        start, numpy = first_guess("start", start)
        length = common_length("start", start)
        between("unit", unit, 0.0, math.inf, "It is a size of s.")
        vars(self).update(
            fn=sweep, stage=stage, first=start, args=args, unit=unit, numpy=numpy, length=length
        )
        with scope(needs_double((start, args)) and not is_traced((start, args))):
            rest = () if args is None else (args,)
            check_alike("sweep", jax.eval_shape(sweep, start, *rest), start)
            if stage is not None:
                one = jax.eval_shape(stage, np.int32(0), start, *rest)
                check_alike("stage", one, trees.map_leaves(lambda leaf: leaf[0], start))

    def _call(self, fn: Any, *values: Any) -> Any:
        return fn(*values) if self.args is None else fn(*values, self.args)

    def sweep(self, s: Any) -> Any:
        """All stages from the stages before them as they stand."""
        return cast(self._call(self.fn, s), s)

    def stages(self, begin: Any, size: int, s: Any) -> Any:
        """`size` stages from `begin` on, all from s as it stands; stages past the end repeat."""
        numbers = jnp.minimum(begin + jnp.arange(size), self.length - 1)
        found = jax.vmap(lambda t: self._call(self.stage, t, s))(numbers)
        return cast(found, s)

    def serial(self, begin: Any, size: int, s: Any) -> Any:
        """The same, one after another, each from what the ones before it have become."""

        def one(s: Any, i: Any) -> Any:
            value = self.stages(begin + i, 1, s)
            return self.replaced(s, begin + i, value), value

        _, values = jax.lax.scan(one, s, jnp.arange(size))
        return trees.map_leaves(lambda leaf: leaf[:, 0], values)

    def replaced(self, s: Any, begin: Any, values: Any) -> Any:
        """s with new values from stage `begin` on, less those past the end."""

        def one(leaf: Any, value: Any) -> Any:
            return leaf.at[begin + jnp.arange(value.shape[0])].set(value, mode="drop")

        return trees.map_leaves(one, s, values)

    def scale(self, x: Any) -> Any:
        """The unit of s."""
        return self.unit

    def residual(self, x: Any) -> Any:
        """h_t(s_1, ..., s_{t-1}) - s_t of all stages."""
        return trees.minus(self.sweep(x), x)

    def merit(self, s: Any, image: Any) -> Any:
        """The certificate's value at stages whose sweep is known."""
        return stage_norms(trees.minus(image, s)).max()

    def prefix(self, s: Any, image: Any) -> Any:
        """How many leading stages have no defect but rounding."""
        # A stage adds up what earlier stages are, and their rounding with it.
        size = jax.lax.cummax(stage_norms(s))
        exact = stage_norms(trees.minus(image, s)) <= _ROUNDING * jnp.finfo(size.dtype).eps * size
        return jnp.cumprod(exact).sum()

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`max_t ||h_t(s_1, ..., s_{t-1}) - s_t|| <= max(rtol unit, atol)`."""
        if is_traced((self, x)):
            value, prefix = self._judged(x)
        else:
            # One program: the stages of a first guess are many, and so are their operations.
            value, prefix = _compiled(*split((self, trees.map_leaves(jnp.asarray, x))))
        return Certificate(
            value, self.unit, name="largest defect of a stage",
            details={"certified prefix": prefix},
            statement="max over t of ||h_t(s) - s_t|| <= max(rtol unit, atol)",
        )  # fmt: skip

    def _judged(self, x: Any) -> Any:
        image = self.sweep(x)
        return self.merit(x, image), self.prefix(x, image)

    def slope_solver(self, x: Any) -> Callable[[Any, bool], Any]:
        """Sweeps of the linearized system, which are exact after T of them at the latest."""
        _, push = jax.linearize(self.residual, x)

        def solve(target: Any, transposed: bool) -> Any:
            pull = jax.linear_transpose(push, x)
            product = (lambda v: pull(v)[0]) if transposed else push
            return _nilpotent(product, target, self.length)

        return solve

    def lacks(self, need: str) -> str | None:
        """`stages`: there is no function for one stage alone."""
        if need == "stages" and self.stage is None:
            return "there is no function for one stage alone (`stage`)"
        return None

    def form(self) -> str:
        return "stages"

    def default_method(self) -> Any:
        """Jacobi sweeps."""
        from resolvent.fixed_point.jacobi_sweeps import JacobiSweeps

        return JacobiSweeps()

    def describe(self) -> str:
        """Number and size of the stages."""
        size = self.unknowns() // self.length
        return f"{type(self).__name__}({self.length} stages of {size})"


class Recurrence(SequentialSystem):
    """Find y_1, ..., y_T with y_t = f(y_{t-1}, x_t), all at once.

    The certificate is `max_t ||y_t - f(y_{t-1}, x_t)||`, with the certified prefix as in
    `SequentialSystem`. Derivatives of a solution cost one reversed pass through the recurrence.

    Args:
        fn: f, called as `fn(y, x)`, or `fn(y, x, args)` where `args` is given.
        inputs: x_1, ..., x_T, an array [T, ...] or a tree of them; None where f has none, and then
            it is called with x = None.
        start: y_0, an array or a tree of arrays.
        args: a tree of arrays that f depends on.
        length: T, where there are no inputs.
        unit: what a relative tolerance refers to, in the unit of y.

    Raises:
        TypeError: if `fn` cannot be called or `start` holds what is no real number.
        ValueError: if f(y_0, x_1) does not look like y_0, inputs differ in length, or numbers are
            not finite.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import DEER, Recurrence

        problem = Recurrence(lambda y, x: jnp.tanh(0.5 * y + x), jnp.ones((50, 2)), jnp.zeros(2))
        sol = rs.solve(problem, DEER())
        assert sol.x.shape == (50, 2) and sol.steps < 10
        ```
    """

    inputs: Any

    def __init__(
        self,
        fn: Callable[..., Any],
        inputs: Any,
        start: Any,
        args: Any = None,
        *,
        length: int | None = None,
        unit: float = 1.0,
    ):
        check_callable("fn", fn, "a function (y, x) -> f(y, x)")
        start, numpy = first_guess("start", start)
        if trees.leaves(inputs):
            inputs = checked_inputs(inputs)
            found = common_length("inputs", inputs)
            if length is not None and length != found:
                refuse(
                    ValueError, "length", given=f"{length} beside inputs of length {found}",
                    needed="one of them", advice="Leave it out.",
                )  # fmt: skip
            length = found
        elif length is None:
            refuse(
                ValueError, "length", given="neither inputs nor a length", needed="one of them",
                advice="Pass length=T.",
            )  # fmt: skip
        length = count("length", length, least=1)
        between("unit", unit, 0.0, math.inf, "It is a size of y.")
        vars(self).update(
            fn=fn, stage=None, first=start, args=args, unit=unit, numpy=numpy, length=length,
            inputs=inputs,
        )  # fmt: skip
        data = (start, inputs, args)
        with scope(needs_double(data) and not is_traced(data)):
            x = trees.map_leaves(lambda leaf: leaf[0], inputs)
            rest = () if args is None else (args,)
            check_alike("fn", jax.eval_shape(fn, start, x, *rest), start)

    def start(self, key: Any) -> Any:
        """y_0 at all stages."""
        xp = jnp if any(isinstance(leaf, jax.Array) for leaf in trees.leaves(self.first)) else np
        return trees.map_leaves(
            lambda leaf: xp.broadcast_to(leaf, (self.length, *leaf.shape)), self.first
        )

    def earlier(self, s: Any) -> Any:
        """y_0, ..., y_{T-1}."""
        return trees.map_leaves(
            lambda first, leaf: jnp.concatenate([jnp.asarray(first)[None], leaf[:-1]]),
            self.first, s,
        )  # fmt: skip

    def evaluated(self, y: Any, x: Any) -> Any:
        """f(y, x), in the precision of y."""
        return cast(self._call(self.fn, y, x), y)

    def sweep(self, s: Any) -> Any:
        return jax.vmap(self.evaluated)(self.earlier(s), self.inputs)

    def stages(self, begin: Any, size: int, s: Any) -> Any:
        numbers = begin + jnp.arange(size)
        before = jax.vmap(lambda t: self._before(t, s))(numbers)
        return jax.vmap(self.evaluated)(before, self._inputs(numbers))

    def serial(self, begin: Any, size: int, s: Any) -> Any:

        def one(y: Any, x: Any) -> Any:
            y = self.evaluated(y, x)
            return y, y

        inputs = self._inputs(begin + jnp.arange(size))
        _, values = jax.lax.scan(one, self._before(begin, s), inputs, length=size)
        return values

    def finished(self, begin: Any, s: Any) -> Any:
        """s with its stages from `begin` to the end evaluated one after another."""

        def one(carry: Any) -> Any:
            t, y, s = carry
            y = self.evaluated(y, self._inputs(t))
            return t + 1, y, trees.map_leaves(lambda leaf, part: leaf.at[t].set(part), s, y)

        # A loop and no branch: in a batch it costs nothing while no member needs it.
        carry = (jnp.asarray(begin, jnp.int32), self._before(begin, s), s)
        return jax.lax.while_loop(lambda carry: carry[0] < self.length, one, carry)[2]

    def _before(self, t: Any, s: Any) -> Any:
        """y_{t-1}, t counted from 0 as the rows of s are."""
        return trees.map_leaves(
            lambda first, leaf: jnp.where(t == 0, first, taken(leaf, t - 1)), self.first, s
        )

    def _inputs(self, numbers: Any) -> Any:
        return trees.map_leaves(lambda leaf: taken(leaf, numbers), self.inputs)

    def linearized(self, s: Any, diagonal: bool = False) -> tuple[Any, Any]:
        """The sweep of s, and the matrices df/dy that belong to it or their diagonals."""
        slope = partial(self._slope, diagonal=diagonal)
        A, values = jax.vmap(slope)(rows(self.earlier(s)), self.inputs)
        return unrows(values, s), A

    def affine(self, s: Any, image: Any, A: Any) -> tuple[Any, Any]:
        """A_t and b_t of a step: its y solves y_t = A_t y_{t-1} + b_t from 0.

        Stages that follow a stage which cannot change any more take their own value: with it the
        products of the scan do not reach across them.
        """
        before, values = rows(self.earlier(s)), rows(image)
        b = values - (A * before if A.ndim == 2 else jnp.einsum("tij,tj->ti", A, before))
        known = jnp.cumprod((values == rows(s)).all(1))
        known = jnp.concatenate([jnp.ones_like(known[:1]), known[:-1]])[:, None] == 1
        b = jnp.where(known, values, b)
        return jnp.where(known if A.ndim == 2 else known[:, :, None], 0.0, A), b

    def _slope(self, before: Any, x: Any, diagonal: bool = False) -> tuple[Any, Any]:
        """df/dy, or its diagonal, and f at one stage."""

        def flat(v: Any) -> Any:
            y = trees.raveled(self.evaluated(trees.unraveled(v, self.first), x))
            return y, y

        J, y = jax.jacfwd(flat, has_aux=True)(before)
        return (jnp.diagonal(J) if diagonal else J), y

    def slope_solver(self, x: Any) -> Callable[[Any, bool], Any]:
        """One pass through the linearized recurrence, backwards for the transpose."""
        before = self.earlier(x)

        def solve(target: Any, transposed: bool) -> Any:
            if self.unknowns() > _SMALL:
                return self._in_turn(before, target, transposed)
            return jax.lax.platform_dependent(
                before, target, cpu=partial(self._in_turn, transposed=transposed),
                default=partial(self._by_products, transposed=transposed),
            )  # fmt: skip

        return solve

    def _by_products(self, before: Any, target: Any, transposed: bool) -> Any:
        A, _ = jax.vmap(self._slope)(rows(before), self.inputs)
        return unrows(linear_recurrence.solved(A, -rows(target), transposed), target)

    def _in_turn(self, before: Any, target: Any, transposed: bool) -> Any:
        def one(v: Any, at: Any) -> Any:
            y, x, c = at
            if transposed:
                v = trees.minus(v, c)
                return jax.vjp(lambda y: self.evaluated(y, x), y)[1](v)[0], v
            v = jax.jvp(lambda y: self.evaluated(y, x), (y,), (v,))[1]
            v = trees.minus(v, c)
            return v, v

        zero = trees.map_leaves(lambda leaf: jnp.zeros_like(leaf[0]), target)
        return jax.lax.scan(one, zero, (before, self.inputs, target), reverse=transposed)[1]

    def lacks(self, need: str) -> str | None:
        """Nothing."""
        return None

    def default_method(self) -> Any:
        """Sequential evaluation on a CPU, which nothing beats there; else Newton's method where
        stages are small, and Jacobi sweeps where they are large."""
        from resolvent.fixed_point.deer import DEER
        from resolvent.fixed_point.gauss_seidel_sweep import GaussSeidelSweep
        from resolvent.fixed_point.jacobi_sweeps import JacobiSweeps

        if jax.default_backend() == "cpu":
            return GaussSeidelSweep()
        return DEER() if self.unknowns() <= _SMALL else JacobiSweeps()

    def describe(self) -> str:
        return f"Recurrence({self.length} stages of {self.unknowns()})"


@partial(jax.jit, static_argnums=0)
def _compiled(known: Any, dynamic: list[Any]) -> Any:
    problem, x = join(known, dynamic)
    return problem._judged(x)


def _nilpotent(product: Any, target: Any, length: int) -> Any:
    """v with (S - I) v = target for `product` = S - I with S nilpotent, by v <- S v - target."""

    def body(carry: Any) -> Any:
        v, _, k = carry
        new = trees.minus(trees.plus(product(v), 1.0, v), target)
        return new, trees.largest(trees.minus(new, v)), k + 1

    def goes_on(carry: Any) -> Any:
        v, change, k = carry
        floor = jnp.finfo(change.dtype).eps * trees.largest(v)
        return (k < length) & ~(change <= floor)

    v = trees.times(-1.0, target)
    change = jnp.full((), jnp.inf, trees.largest(v).dtype)
    return jax.lax.while_loop(goes_on, body, (v, change, 1))[0]
