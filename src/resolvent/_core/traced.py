"""The traced engine: chunks are compiled loops; under a transformation the whole solve is one.

Everything that may vary between two solves of one shape (data, parameters, tolerances, limits) is
an argument of the compiled functions, so a second solve compiles nothing.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.compiling import program
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
    state = method.aim(state, goal)
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


def _facts(problem: Any, method: Any, state: Any, target: Any, report: Any) -> Any:
    """The point, and all that Python looks at in two arrays: each transfer costs as much as a few
    steps of a small solve."""
    x, witness = method.iterate(problem, state)
    certificate = problem.certify(x, witness)
    calls = method.calls(problem, state)
    done, measure, status, best, trace = report
    numbers = [target, measure, best]
    if jnp.ndim(certificate.value) == 0 and jnp.ndim(certificate.scale) == 0:
        numbers += [certificate.value, certificate.scale]
    dtype = measure.dtype
    floats = jnp.concatenate([jnp.stack([jnp.asarray(n, dtype) for n in numbers]), trace])
    # A dictionary comes out of a compiled program with its keys sorted.
    counts = [calls[name] for name in sorted(calls)]
    integers = jnp.stack([jnp.asarray(number, int) for number in (done, status, *counts)])
    return x, witness, certificate, dict.fromkeys(calls, 0), floats, integers


@program(0)
def _launch(static: _Static, dynamic: list[Any], rtol: Any, atol: Any, steps: Any) -> Any:
    problem, method, x0, memory, key, given = join(static, dynamic)
    target = _norm_target(problem.scale(x0), rtol, atol)
    state = method.init(problem, x0, memory, key) if given is None else given
    state, report = _chunk(problem, method, state, target, steps, True)
    return state, *_facts(problem, method, state, target, report)


@program(0)
def _proceed(
    static: _Static, dynamic: list[Any], state: Any, goal: Any, steps: Any, refresh: Any
) -> Any:
    problem, method = join(static, dynamic)
    state = jax.lax.cond(refresh, partial(method.refresh, problem), lambda s: s, state)
    state, report = _chunk(problem, method, state, goal, steps, True)
    return state, *_facts(problem, method, state, goal, report)


@program(0, 1)
def _call(function: Any, static: _Static, dynamic: list[Any]) -> Any:
    return function(*join(static, dynamic))


def called(function: Any, *values: Any) -> Any:
    """`function(*values)` as one compiled program for all problems and arrays of a shape.

    Operation by operation, loops would be compiled anew each time. The function is one of a module.
    """
    return _call(function, *split(values))


def judged(problem: Any, x: Any, witness: Any = None) -> Any:
    """`problem.certify(x, witness)`."""
    return problem.certify(x, witness)


def compilations() -> int:
    """How many programs the traced engine has compiled in this process."""
    return sum(one.compilations() for one in (_launch, _proceed, _call, _batched))


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
        self,
        steps: int,
        state: Any,
        x: Any,
        witness: Any,
        certificate: Any,
        calls: Any,
        floats: Any,
        integers: Any,
        first: bool,
    ) -> Chunk:
        floats, integers = np.asarray(floats), np.asarray(integers).tolist()
        target, measure, best = floats[:3].tolist()
        rest = floats.size - _SLOTS
        done, status, *counts = integers
        if first:
            self._target = target
        self.state, self._point = state, (x, witness)
        self._calls = dict(zip(calls, counts, strict=True))
        if rest == 5 and not certificate.details:
            value, scale = floats[3:5].tolist()
            self._certificate = certificate.with_numbers(value, scale)
        else:
            self._certificate = certificate.as_numbers()
        stride = max(1, -(-steps // _SLOTS))
        slots = -(-done // stride)
        ends = np.minimum(np.arange(1, slots + 1) * stride, done)
        return Chunk(done, measure, status, self._target, best, ends, floats[rest : rest + slots])

    def judge(self) -> Any:
        """The problem's own view of the present point."""
        return self._certificate

    def known(self, x: Any) -> Any:
        """The problem's view of another point."""
        return called(judged, self.problem, x)

    def point(self) -> tuple[Any, Any]:
        """The present point and its witness."""
        return self._point

    def calls(self) -> dict[str, int]:
        """Oracle calls so far."""
        return self._calls

    def remember(self) -> Any:
        """Memory entries of the method."""
        return self.method.remember(self.problem, self.state)


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
    """A whole solve as one traceable function, with the decisions of the eager driver."""
    monitored = method.monitored
    target = _norm_target(problem.scale(x0), rtol, atol)
    state = method.init(problem, x0, memory, key)
    # A scale that is a plain number has no precision of its own: the measure's counts.
    dtype = jnp.asarray(method.measure(problem, state)).dtype
    target = jnp.asarray(target, dtype)
    goal_floor = jnp.maximum(target, jnp.finfo(dtype).tiny)

    def certificate_of(state: Any) -> Any:
        return problem.certify(*method.iterate(problem, state)).against(rtol, atol)

    def round_of(carry: Any) -> Any:
        state, done, tighten, strikes, last, before, window, refresh, _ = carry
        state = jax.lax.cond(refresh, partial(method.refresh, problem), lambda s: s, state)
        steps = jnp.minimum(monitored - done % monitored, max_steps - done)
        state, (more, measure, status, best, _) = _chunk(
            problem, method, state, tighten * target, steps, False
        )
        done, window = done + more, jnp.minimum(window, best)
        certificate = certificate_of(state)
        ratio = jnp.max(certificate.value / goal_floor).astype(dtype)
        ratio = jnp.where(jnp.isnan(ratio), jnp.inf, ratio)
        claim = measure <= tighten * target
        good = claim & jnp.all(certificate.holds)
        watched = ~claim & (done % monitored == 0) & (more > 0)
        drifted = watched & (jnp.max(certificate.value) > 10.0 * measure)
        doubt = (claim & ~good) | drifted
        strikes = jnp.where(doubt, jnp.where(ratio < 0.7 * last, 0, strikes + 1), strikes)
        last = jnp.where(doubt, jnp.minimum(last, ratio), last)
        stalled = (doubt & (strikes >= 2)) | (watched & ~(window < before))
        reason = jnp.where(
            good, Reason.target.code,
            jnp.where(~claim & (status > 0), status,
            jnp.where(~jnp.isfinite(measure), Reason.diverged.code,
            jnp.where(stalled, Reason.stalled.code,
            jnp.where(done >= max_steps, Reason.max_steps.code, 0)))),
        )  # fmt: skip
        before = jnp.where(watched, window, before)
        window = jnp.where(watched, jnp.inf, window)
        tighten = jnp.where(claim & ~good, 0.5 * tighten, tighten)
        return state, done, tighten, strikes, last, before, window, doubt, reason.astype(jnp.int32)

    zero = jnp.zeros((), jnp.int32)
    one = jnp.ones_like(target)
    inf = jnp.full_like(jnp.asarray(method.measure(problem, state)), jnp.inf)
    begin = (
        state,
        zero,
        one,
        zero,
        inf.astype(goal_floor.dtype),
        inf,
        inf,
        jnp.asarray(False),
        zero,
    )
    state, done, *_, reason = jax.lax.while_loop(lambda c: c[-1] == 0, round_of, begin)
    return _ended(problem, method, x0, state, done, reason, certificate_of(state), rtol, atol)


def _ended(
    problem: Any,
    method: Any,
    x0: Any,
    state: Any,
    done: Any,
    reason: Any,
    certificate: Any,
    rtol: Any,
    atol: Any,
) -> Any:
    """The result of a pure solve: no answer is worse than its start."""
    x, witness = method.iterate(problem, state)
    reason = jnp.where(jnp.all(certificate.holds), Reason.target.code, reason)
    start = problem.certify(x0, witness).against(rtol, atol)
    worse = ~(jnp.max(certificate.value) <= jnp.max(start.value))
    worse = worse & (reason != Reason.infeasible.code)
    x, certificate = jax.tree_util.tree_map(
        lambda first, now: jnp.where(worse, first, now), (x0, start), (x, certificate)
    )
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
    state = method.aim(state, jax.lax.stop_gradient(target))
    step = jax.checkpoint(lambda state: method.step(problem, state))
    # A loop lets plain numbers of the first state become what a step makes of them; no branch does.
    state = jax.tree_util.tree_map(
        lambda first, later: jnp.asarray(first, later.dtype), state, jax.eval_shape(step, state)
    )

    def body(carry: Any, _: Any) -> Any:
        state, done = carry
        measure = jax.lax.stop_gradient(jnp.asarray(method.measure(problem, state)))
        fine = jnp.isfinite(measure) & (jnp.asarray(method.status(state)) == 0)
        active = fine & ~(measure <= target)
        state = jax.lax.cond(active, step, lambda s: s, state)
        return (state, done + active), None

    carry = (state, jnp.zeros((), jnp.int32))
    (state, done), _ = jax.lax.scan(body, carry, length=max_steps)
    certificate = problem.certify(*method.iterate(problem, state)).against(rtol, atol)
    status, measure = jnp.asarray(method.status(state)), jnp.asarray(method.measure(problem, state))
    reason = jnp.where(
        status > 0, status,
        jnp.where(~jnp.isfinite(measure), Reason.diverged.code,
        jnp.where(done >= max_steps, Reason.max_steps.code, Reason.stalled.code)),
    )  # fmt: skip
    return _ended(problem, method, x0, state, done, reason, certificate, rtol, atol)


@program(0, 1)
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
