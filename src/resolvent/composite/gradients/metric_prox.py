"""Proximal steps in the metric of an inverse that is never formed: by products with P alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from resolvent._core.line_search import repeated
from resolvent._core.norm import norm

_ROUNDED = 4.0  # units in the last place of x: no step is told apart from less


class MetricStep(NamedTuple):
    """A step, and what the quadratic model says of it."""

    z: Any
    """[n]: where the step leads, a value of the proximal operator."""
    u: Any
    """[n]: a subgradient of the second term there."""
    along: Any
    """<gradient of f, z - x>."""
    square: Any
    """The squared length of the step in the metric of P^-1, or less."""
    force: Any
    """The squared length of gradient and subgradient in the metric of P."""
    rounds: Any


class _Rounds(NamedTuple):
    z: Any
    u: Any
    ahead: Any
    image: Any
    """P (g + u)."""
    image_ahead: Any
    momentum: Any
    done: Any
    k: Any
    x: Any
    g: Any
    step: Any
    share: Any


def metric_step(
    prox: Callable[[Any, Any], Any], times: Callable[[Any], Any], x: Float[Any, " n"],
    g: Float[Any, " n"], u: Float[Any, " n"], step: Any, share: Any, limit: int,
) -> MetricStep:  # fmt: skip
    """About the minimizer of <g, z> + psi(z) + |z - x|^2 / (2 step), in the metric of P^-1.

    Its dual, over subgradients u of psi, has the smooth part step |g + u|^2 / 2 in the metric of P:
    accelerated proximal gradient steps on that take products with P and proximal operators of psi,
    one each. They end where z and x - step P (g + u), which are one in the limit, differ by a
    share of z - x, and the step's length by so much from what it is in the limit.

    Args:
        prox: that of psi, of a vector and a step.
        times: the product with P, whose eigenvalues are at most 1.
        x: where the step begins.
        g: the gradient of the smooth part there.
        u: the first guess of the subgradient.
        step: the length.
        share: of the step that may be left.
        limit: on the rounds.
    """

    def once(run: _Rounds) -> _Rounds:
        y = run.x - run.step * run.image_ahead
        z = prox(y + run.step * run.ahead, run.step)
        u = run.ahead + (y - z) / run.step
        image = times(run.g + u)
        apart, moved, w = norm(z - run.x + run.step * image), z - run.x, run.g + u
        square = run.step * (w @ image)
        near = apart <= run.share * norm(moved)
        alike = jnp.abs(moved @ w + square) <= run.share * square
        eps = jnp.finfo(x.dtype).eps
        nothing = apart <= _ROUNDED * eps * (norm(run.x) + run.step * norm(image))
        turn = u - run.u
        against = (run.ahead - u) @ turn > 0
        first = jnp.where(against, 1.0, run.momentum)
        momentum = 0.5 * (1 + jnp.sqrt(1 + 4 * first**2))
        factor = (first - 1) / momentum
        return run._replace(
            z=z, u=u, image=image, ahead=u + factor * turn,
            image_ahead=image + factor * (image - run.image), momentum=momentum,
            done=(near & alike) | nothing, k=run.k + 1,
        )  # fmt: skip

    image = times(g + u)
    start = _Rounds(
        x, u, u, image, image, jnp.ones((), x.dtype), jnp.asarray(False), jnp.zeros((), jnp.int32),
        x, g, jnp.asarray(step, x.dtype), jnp.asarray(share, x.dtype),
    )  # fmt: skip
    end = repeated(lambda run: ~run.done, once, start, limit)
    moved, w = end.z - x, g + end.u
    size, down = w @ end.image, moved @ w
    square = jnp.where(size > 0, down**2 / jnp.where(size > 0, size, 1), 0)
    return MetricStep(end.z, end.u, g @ moved, square, size, end.k)
