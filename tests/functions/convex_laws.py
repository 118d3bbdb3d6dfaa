"""What holds for every convex penalty, as checks that test files share.

Each check is one program, of which the penalty is an argument: compilation is what takes time.
"""

import jax
import jax.numpy as jnp
import numpy as np

from resolvent.functions import Function


def in_double(program, *args):
    """A compiled program from and to NumPy's double precision."""
    with jax.enable_x64(True):
        found = program(*(arg if isinstance(arg, Function) else np.asarray(arg) for arg in args))
        return jax.tree_util.tree_map(np.asarray, found)


@jax.jit
def _everything(g, x, v, step):
    return {"prox": g.prox(x, step), "value": g.value(x), "conjugate": g.conjugate(v),
            "displacement": g.displacement(x, v),
            "subdifferential_distance": g.subdifferential_distance(x, v)}  # fmt: skip


def everything(g, x, v=None, step=0.6):
    """All functions of a penalty, in one program for each class and shape."""
    return in_double(_everything, g, x, x if v is None else v, step)


def prox_and_conjugate(g, x, y, step=0.6):
    """No point is better than the prox; Fenchel's inequality, and where it is an equality.

    g(u) + ||u - x||^2 / (2 step) is 1/step-strongly convex, with its least value at the prox.
    """
    here = everything(g, x, y, step)
    near = here["prox"]
    slope = (x - near) / step
    there = everything(g, near, slope)
    least = there["value"] + ((near - x) ** 2).sum() / (2 * step)
    for u in (y, near + 1e-3 * (y - near)):
        other = everything(g, u)["value"] + ((u - x) ** 2).sum() / (2 * step)
        assert other - least >= ((u - near) ** 2).sum() / (2 * step) - 1e-9
    # What prox takes away is a subgradient at the prox.
    gap = there["value"] + there["conjugate"] - (slope * near).sum()
    assert abs(gap) <= 1e-10 * (1 + np.abs(slope).max() ** 2)
    assert there["subdifferential_distance"] <= 1e-7
    assert (y * x).sum() <= here["value"] + here["conjugate"] + 1e-10
    moved = everything(g, x - y, step=1.0)["prox"]
    assert np.allclose(here["displacement"], x - moved, rtol=0, atol=1e-12)


def distance_is_the_limit_of_prox(g, x, v, t=1e-6, atol=1e-4):
    """(prox(x + t v, t) - x) / t tends to v less its projection to the subdifferential at x."""
    found = everything(g, x, v)["subdifferential_distance"]
    near = everything(g, x + t * v, step=t)["prox"]
    assert abs(found - np.linalg.norm((near - x) / t)) <= atol
    # What the base class would make of the prox is no more.
    assert np.linalg.norm(everything(g, x, -v)["displacement"]) <= found + 1e-10


@jax.jit
def _of_programs(g, x, turn, step, more):
    near, linear = jax.linearize(g.prox, x, step)
    both = jax.vmap(g.prox, (0, None))(jnp.stack([x, -0.5 * x]), step)
    return near, linear(turn, more), jax.linear_transpose(linear, x, step)(turn), both


def prox_has_the_derivatives_of_differences(g, x, step=0.6, e=1e-6):
    """Forwards, backwards and at zero; in a batch each point is alone."""
    turn = np.sin(1.0 + np.arange(x.size)).reshape(x.shape)
    near, slope, pulled, both = in_double(_of_programs, g, x, turn, step, 0.3)
    assert np.allclose(both[0], near, rtol=0, atol=1e-12)
    assert np.allclose(both[1], everything(g, -0.5 * x, step=step)["prox"], rtol=0, atol=1e-12)
    ahead = everything(g, x + e * turn, step=step + 0.3 * e)["prox"]
    behind = everything(g, x - e * turn, step=step - 0.3 * e)["prox"]
    assert np.allclose(slope, (ahead - behind) / (2 * e), rtol=0, atol=1e-7)
    back = (pulled[0] * turn).sum() + 0.3 * pulled[1]
    assert abs(back - (slope * turn).sum()) <= 1e-10
    _, slope, pulled, _ = in_double(_of_programs, g, 0.0 * x, turn, step, 0.3)
    assert np.isfinite(slope).all()
    assert np.isfinite(pulled[0]).all()
    # Without a step the prox is the point itself, and its derivative in x the identity.
    near, slope, _, _ = in_double(_of_programs, g, x, turn, 0.0, 0.0)
    assert np.allclose(near, x, rtol=0, atol=1e-12)
    assert np.allclose(slope, turn, rtol=0, atol=1e-12)


def nan_stays(g, shape):
    """One entry that is no number is seen in the prox, the distance and the value."""
    x = np.ones(shape)
    x.flat[0] = np.nan
    found = everything(g, x, np.zeros(shape))
    for which in ("prox", "value", "displacement", "subdifferential_distance"):
        assert np.isnan(found[which]).any(), which
    assert not everything(g, x, x)["conjugate"] < np.inf


def single_precision_stays(g, shape):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    for which, more in (("prox", 0.6), ("displacement", x), ("subdifferential_distance", x)):
        with jax.enable_x64(True):  # or nothing else is possible
            found = jax.eval_shape(getattr(g, which), x, more)
        assert found.dtype == jnp.float32, which


def scaled_conjugate_is_the_largest(g, v):
    """The conjugate is finite at s v, with the value that is told, and not beyond where s < 1."""

    @jax.jit
    def program(v):
        s, value = g.scaled_conjugate(v)
        return s, value, g.conjugate(s * v), g.conjugate(1.01 * s * v)

    for size in (1e-3, 1.0, 1e3):
        s, value, found, beyond = in_double(program, size * v)
        assert 0 < s <= 1
        assert found == value
        assert s == 1 or beyond == np.inf
    assert s < 1
    assert not in_double(program, np.full_like(v, np.nan))[0] <= 1


def scaled_conjugate_is_the_conjugate(g, v):
    """Where that is finite everywhere, there is nothing to scale."""
    s, value, found = in_double(
        jax.jit(lambda v: (*g.scaled_conjugate(v), g.conjugate(v))), 100.0 * v
    )
    assert s == 1
    assert value == found < np.inf
