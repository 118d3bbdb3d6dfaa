"""The traced engine: chunks are compiled loops; under a transformation the whole solve is one.

Everything that may vary between two solves of one shape (data, parameters, tolerances, limits) is
an argument of the compiled functions, so a second solve compiles nothing.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.host import Chunk
from resolvent._core.memory import Memory
from resolvent._core.randomness import jax_key
from resolvent._core.solution import Reason

_SLOTS = 64  # trace points of one chunk


class _Static(NamedTuple):
    tree: Any
    rest: tuple[Any, ...]


class _Dynamic:
    """Marks, among the static leaves, the place of an argument."""

    def __repr__(self) -> str:
        return "<array>"


_HERE = _Dynamic()


def split(tree: Any) -> tuple[_Static, list[Any]]:
    """Arrays and real parameters apart from what a compiled function must know beforehand."""
    leaves, structure = jax.tree_util.tree_flatten(tree)
    dynamic = [leaf for leaf in leaves if isinstance(leaf, _ARGUMENTS)]
    rest = tuple(_HERE if isinstance(leaf, _ARGUMENTS) else leaf for leaf in leaves)
    return _Static(structure, rest), dynamic


_ARGUMENTS = (jax.Array, np.ndarray, np.generic, float)


def join(static: _Static, dynamic: list[Any]) -> Any:
    """What `split` took apart."""
    arguments = iter(dynamic)
    leaves = [next(arguments) if leaf is _HERE else leaf for leaf in static.rest]
    return jax.tree_util.tree_unflatten(static.tree, leaves)


def _norm_target(certificate_scale: Any, rtol: Any, atol: Any) -> Any:
    return jnp.maximum(rtol * certificate_scale, atol)


def _chunk(problem: Any, method: Any, state: Any, goal: Any, steps: Any, record: bool) -> Any:
    """Up to `steps` iterations; stops on the goal, a status or a number that is not finite."""
    measure = jnp.asarray(method.measure(problem, state))
    stride = jnp.maximum(1, -(-steps // _SLOTS))
    trace = jnp.full(_SLOTS if record else 0, jnp.nan, measure.dtype)

    def goes_on(carry: Any) -> Any:
        state, k, measure, _, _ = carry
        fine = jnp.isfinite(measure) & (jnp.asarray(method.status(state)) == 0)
        return (k < steps) & fine & ~(measure <= goal)

    def body(carry: Any) -> Any:
        state, k, _, best, trace = carry
        state = method.step(problem, state)
        measure = jnp.asarray(method.measure(problem, state), trace.dtype)
        if record:
            trace = trace.at[k // stride].set(measure)
        return state, k + 1, measure, jnp.minimum(best, measure), trace

    carry = (state, jnp.zeros((), jnp.int32), measure, measure, trace)
    state, done, measure, best, trace = jax.lax.while_loop(goes_on, body, carry)
    return state, (done, measure, jnp.asarray(method.status(state)), best, trace)


def _view(problem: Any, method: Any, state: Any) -> Any:
    x, witness = method.iterate(problem, state)
    return x, witness, problem.certify(x, witness), method.calls(problem, state)


@partial(jax.jit, static_argnums=0)
def _launch(static: _Static, dynamic: list[Any], rtol: Any, atol: Any, steps: Any) -> Any:
    problem, method, x0, memory, key, given = join(static, dynamic)
    x0 = problem.start(key) if x0 is None else x0
    target = _norm_target(problem.scale(x0), rtol, atol)
    state = method.init(problem, x0, memory, key) if given is None else given
    state, report = _chunk(problem, method, state, target, steps, True)
    x, witness, certificate, calls = _view(problem, method, state)
    return state, x, witness, (target, report, certificate, calls)


@partial(jax.jit, static_argnums=0)
def _proceed(
    static: _Static, dynamic: list[Any], state: Any, goal: Any, steps: Any, refresh: Any
) -> Any:
    problem, method = join(static, dynamic)
    state = jax.lax.cond(refresh, partial(method.refresh, problem), lambda s: s, state)
    state, report = _chunk(problem, method, state, goal, steps, True)
    x, witness, certificate, calls = _view(problem, method, state)
    return state, x, witness, (goal, report, certificate, calls)


def compilations() -> int:
    """How many programs the traced engine has compiled in this process."""
    programs: tuple[Any, ...] = (_launch, _proceed, _batched)
    return sum(program._cache_size() for program in programs)


class TracedStepper:
    """Runs a method as compiled chunks with plain Python between them."""

    def __init__(self, problem: Any, method: Any):
        self.problem, self.method = problem, method
        self.state: Any = None

    def first(
        self, x0: Any, memory: Memory, key: Any, rtol: float, atol: float, steps: int, state: Any
    ) -> Chunk:
        """Make the state (or take a saved one) and run the first chunk, in one program."""
        key = jax_key(key) if self.method.random else None
        static, dynamic = split((self.problem, self.method, x0, memory, key, state))
        out = _launch(static, dynamic, rtol, atol, steps)
        return self._chunk(steps, *out, first=True)

    def next(self, steps: int, tighten: float, refresh: bool) -> Chunk:
        """Run up to `steps` more, towards `tighten` times the target."""
        static, dynamic = split((self.problem, self.method))
        out = _proceed(static, dynamic, self.state, tighten * self._target, steps, refresh)
        return self._chunk(steps, *out, first=False)

    def _chunk(
        self, steps: int, state: Any, x: Any, witness: Any, facts: Any, first: bool
    ) -> Chunk:
        # One transfer for all the small things that Python looks at.
        target, report, certificate, calls = jax.device_get(facts)
        done, measure, status, best, trace = report
        if first:
            self._target = float(target)
        self.state, self._point = state, (x, witness)
        self._certificate, self._calls = certificate.as_numbers(), calls
        done = int(done)
        stride = max(1, -(-steps // _SLOTS))
        slots = -(-done // stride)
        ends = np.minimum(np.arange(1, slots + 1) * stride, done)
        return Chunk(
            done, float(measure), int(status), self._target, float(best), ends, trace[:slots]
        )

    def judge(self) -> Any:
        """The problem's own view of the present point."""
        return self._certificate

    def point(self) -> tuple[Any, Any]:
        """The present point and its witness."""
        return self._point

    def calls(self) -> dict[str, int]:
        """Oracle calls so far."""
        return {name: int(count) for name, count in self._calls.items()}

    def remember(self) -> Any:
        """Memory entries of the method."""
        return self.method.remember(self.problem, self.state)


_ROUNDS = 4  # judged rounds of a solve that runs inside a transformation


def pure(
    problem: Any,
    method: Any,
    x0: Any,
    memory: Memory,
    key: Any,
    rtol: Any,
    atol: Any,
    max_steps: Any,
) -> Any:
    """A whole solve as one traceable function: judge, refresh, go on, at most `_ROUNDS` times."""
    target = _norm_target(problem.scale(x0), rtol, atol)
    state = method.init(problem, x0, memory, key)

    def certificate_of(state: Any) -> Any:
        return problem.certify(*method.iterate(problem, state)).against(rtol, atol)

    def round_of(carry: Any) -> Any:
        state, done, tighten, number, _ = carry
        state = jax.lax.cond(number > 0, partial(method.refresh, problem), lambda s: s, state)
        state, (more, measure, *_) = _chunk(
            problem, method, state, tighten * target, max_steps - done, False
        )
        return state, done + more, tighten * 0.5, number + 1, measure

    def goes_on(carry: Any) -> Any:
        state, done, _, number, measure = carry
        open_ = ~jnp.asarray(certificate_of(state).holds) & jnp.isfinite(measure)
        fine = jnp.asarray(method.status(state)) == 0
        return (number == 0) | ((number < _ROUNDS) & open_ & fine & (done < max_steps))

    measure = jnp.asarray(method.measure(problem, state))
    zero = jnp.zeros((), jnp.int32)
    one = jnp.ones((), jnp.result_type(target, jnp.float32))
    state, done, _, _, measure = jax.lax.while_loop(
        goes_on, round_of, (state, zero, one, zero, measure)
    )
    certificate = certificate_of(state)
    status = jnp.asarray(method.status(state))
    reason = jnp.where(
        jnp.asarray(certificate.holds), Reason.target.code,
        jnp.where(status > 0, status,
        jnp.where(~jnp.isfinite(measure), Reason.diverged.code,
        jnp.where(done >= max_steps, Reason.max_steps.code, Reason.stalled.code))),
    )  # fmt: skip
    x, witness = method.iterate(problem, state)
    return x, witness, certificate, reason, done, method.calls(problem, state), state


def unrolled(
    problem: Any,
    method: Any,
    x0: Any,
    memory: Memory,
    key: Any,
    rtol: Any,
    atol: Any,
    max_steps: int,
) -> Any:
    """A solve whose steps can be differentiated in reverse: a scan that idles once it is done."""
    target = _norm_target(problem.scale(x0), rtol, atol)
    state = method.init(problem, x0, memory, key)
    step = jax.checkpoint(lambda state: method.step(problem, state))

    def body(carry: Any, _: Any) -> Any:
        state, done = carry
        measure = jax.lax.stop_gradient(jnp.asarray(method.measure(problem, state)))
        fine = jnp.isfinite(measure) & (jnp.asarray(method.status(state)) == 0)
        active = fine & ~(measure <= target)
        state = jax.lax.cond(active, step, lambda s: s, state)
        return (state, done + active), None

    carry = (state, jnp.zeros((), jnp.int32))
    (state, done), _ = jax.lax.scan(body, carry, length=max_steps)
    x, witness = method.iterate(problem, state)
    certificate = problem.certify(x, witness).against(rtol, atol)
    status = jnp.asarray(method.status(state))
    reason = jnp.where(
        jnp.asarray(certificate.holds), Reason.target.code,
        jnp.where(status > 0, status, Reason.max_steps.code),
    )  # fmt: skip
    return x, witness, certificate, reason, done, method.calls(problem, state), state


@partial(jax.jit, static_argnums=(0, 1))
def _batched(
    static: _Static,
    axes: tuple[int | None, ...],
    dynamic: list[Any],
    rtol: Any,
    atol: Any,
    max_steps: Any,
) -> Any:
    def one(dynamic: list[Any]) -> Any:
        problem, method, x0, memory, key = join(static, dynamic)
        *result, _ = pure(problem, method, x0, memory, key, rtol, atol, max_steps)
        return result

    return jax.vmap(one, in_axes=(list(axes),))(dynamic)


def finite_or_inf(value: float) -> float:
    """NaN as infinity, for comparisons that must not pass on NaN."""
    return value if not math.isnan(value) else math.inf
