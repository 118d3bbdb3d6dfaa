"""Loopless variance reduction for B + eta G with B = eta F + shift (. - center).

A snapshot w carries B(w); a component at the present point and at the snapshot corrects it; after
each step a coin decides whether the present point becomes the snapshot.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.sampling import dice, draw, heads


class Loop(NamedTuple):
    """State.

    Attributes:
        v: the present point.
        w: the snapshot.
        behind: the snapshot before.
        Fw: F(w).
        pull: (z - w) / tau, an element of eta G(w), where w = J(z).
        merit: of w.
        fresh: whether the last step has made w.
        words: the key.
        steps: so far.
        wholes: evaluations of all of F so far.
    """

    v: Any
    w: Any
    behind: Any
    Fw: Any
    pull: Any
    merit: Any
    fresh: Any
    words: Any
    steps: Any
    wholes: Any


class Reduction(NamedTuple):
    """The parameters of the iteration; `extragradient` or forward-reflected-backward."""

    extragradient: bool
    eta: Any
    shift: float
    tau: Any
    p: float
    batch: int

    def calls(self, problem: Inclusion, loop: Loop) -> dict[str, Any]:
        """Components and resolvents of so many steps and snapshots."""
        components = 2 * self.batch * loop.steps + problem.F.components * loop.wholes
        return {"component": components, "resolvent": (1 + self.extragradient) * loop.steps}


def chance(batch: int, components: int) -> float:
    """Of a new snapshot: one in as many steps as all components take; a snapshot a step is no use.

    With p = 1 the steps that theory allows would be zero.
    """
    return min(0.5, batch / components)


def theory(extragradient: bool, p: float) -> float:
    """The step size, times the Lipschitz constant on average."""
    return 0.99 * math.sqrt(p) if extragradient else 0.5 * math.sqrt(p * (1.0 - p))


def begun(x: Any, Fx: Any, merit: Any, words: Any) -> Loop:
    """The state at a point whose F is known."""
    zero = jnp.zeros((), jnp.int32)
    return Loop(x, x, x, Fx, trees.zeros(x), merit, jnp.asarray(True), words, zero, zero)


def begun_anew(loop: Loop, x: Any, Fx: Any, merit: Any) -> Loop:
    """The state at another such point, draws and counts going on."""
    return loop._replace(
        v=x, w=x, behind=x, Fw=Fx, pull=trees.zeros(x), merit=merit, wholes=loop.wholes + 1
    )


def shifted(rule: Reduction, center: Any, x: Any, Fx: Any) -> Any:
    """B(x)."""
    value = trees.times(rule.eta, Fx)
    return trees.plus(value, rule.shift, trees.minus(x, center)) if rule.shift else value


def one_step(problem: Inclusion, rule: Reduction, center: Any, loop: Loop) -> Loop:
    """One step, and the coin."""
    F: Any = problem.F
    words = dice(loop.words, loop.steps, 1 + rule.batch)
    chosen = draw(F, words[1:])
    alpha, tau = 1.0 - rule.p, rule.tau
    weight = rule.eta * tau
    middle = trees.combined((alpha, loop.v), (1.0 - alpha, loop.w))
    at_snapshot = shifted(rule, center, loop.w, loop.Fw)
    point, other = loop.v, loop.behind
    if rule.extragradient:
        point, other = problem.resolvent(trees.plus(middle, -tau, at_snapshot), weight), loop.w
    change = trees.times(rule.eta, F.change(point, other, *chosen))
    if rule.shift:
        change = trees.plus(change, rule.shift, trees.minus(point, other))
    z = trees.combined((1.0, middle), (-tau, at_snapshot), (-tau, change))
    v = problem.resolvent(z, weight)

    def renewed(_: Any) -> Any:
        Fv = problem.operator(v)
        merit = jnp.asarray(problem.merit(v, Fv), loop.merit.dtype)
        return v, Fv, trees.times(1.0 / tau, trees.minus(z, v)), merit

    def kept(_: Any) -> Any:
        return loop.w, loop.Fw, loop.pull, loop.merit

    fresh = heads(words[0], rule.p)
    w, Fw, pull, merit = jax.lax.cond(fresh, renewed, kept, None)
    return Loop(
        v, w, loop.w, Fw, pull, merit, fresh, loop.words, loop.steps + 1, loop.wholes + fresh
    )
