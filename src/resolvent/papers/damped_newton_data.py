"""Problems and runs of the experiments on damped Newton steps."""

from typing import Any

import numpy as np


def logistic(x: Any, args: Any) -> Any:
    """The mean logistic loss with a ridge of 1e-3; `args` has rows y_i a_i."""
    import jax.numpy as jnp

    (D,) = args
    return jnp.logaddexp(0.0, -(D @ x)).mean() + 5e-4 * (x @ x)


def polytope(x: Any, args: Any) -> Any:
    """The sum of max(a_i x - b_i, 0)^3, zero where x is feasible."""
    import jax.numpy as jnp

    A, b = args
    return (jnp.maximum(A @ x - b, 0.0) ** 3).sum()


def quartic(x: Any, args: Any) -> Any:
    """A quarter of the sum of (a_i x)^4."""
    (A,) = args
    return 0.25 * ((A @ x) ** 4).sum()


def soft(x: Any, args: Any) -> Any:
    """The sum of log cosh(a_i x - b_i) with a ridge of 1e-8."""
    import jax.numpy as jnp

    A, b = args
    z = A @ x - b
    return (jnp.abs(z) + jnp.log1p(jnp.exp(-2 * jnp.abs(z)))).sum() + 5e-9 * (x @ x)


def problem(kind: str, seed: int, m: int, n: int) -> Any:
    """One of the four problems, m terms and n unknowns."""
    from resolvent import Minimize

    rng = np.random.default_rng([seed, m, n])
    if kind == "polytope":
        A = rng.uniform(-1.0, 1.0, (m, n))
        return Minimize(
            polytope, (A, A @ rng.uniform(-1.0, 1.0, n)), x0=np.zeros(n), convex=True
        )  # fmt: skip
    A = rng.standard_normal((m, n))
    if kind == "quartic":
        return Minimize(quartic, (A,), x0=np.ones(n), convex=True)
    if kind == "soft":
        b = 3 * rng.standard_normal(m)
        return Minimize(soft, (A / n**0.5, b), x0=np.full(n, 2.0), convex=True)
    labels = np.sign(A @ rng.standard_normal(n))
    return Minimize(logistic, (labels[:, None] * A,), x0=np.full(n, 0.5), convex=True)


def least(of: Any) -> float:
    """The least value, as well as rounding admits; 0 where f cannot be less and comes to it."""
    if of.f in (polytope, quartic):
        return 0.0
    import jax
    import jax.numpy as jnp

    from resolvent import solve
    from resolvent.smooth import TrustRegion

    x = solve(of, TrustRegion(), rtol=1e-14, max_steps=300, throw=False).x
    with jax.enable_x64(True):
        return float(of.prepare("traced").smooth(jnp.asarray(x)))


def run(of: Any, method: Any, steps: int) -> dict[str, Any]:
    """Values and gradients taken after 0, 1, ... steps."""
    from resolvent.papers import _stepwise

    return _stepwise.run(of, method, steps, ("value", "gradients"))


def reached(found: dict[str, Any], floor: float, share: float = 1e-9) -> float:
    """The first step with f - min f <= share (f(x0) - min f); infinity if there is none."""
    gaps = found["value"] - floor
    there = np.flatnonzero(gaps <= share * gaps[0])
    return float(there[0]) if there.size else np.inf


def methods(kind: str) -> dict[str, Any]:
    """The rules that a problem is solved with, by the names of the tables."""
    from resolvent.smooth import DampedNewton

    shared = {
        "full": DampedNewton("root", M=0.0),
        "UN": DampedNewton("universal", beta=1.0, sigma=1.0),
        "UN 2/3": DampedNewton("universal", beta=2 / 3, sigma=1.0),
        "GN": DampedNewton("greedy"),
    }
    if kind == "logistic":
        shared |= {
            f"RN {q:g}, M {M:g}": DampedNewton("root", q=q, M=M)
            for q in (2.0, 2.5, 3.0, 3.5, 4.0) for M in (0.1, 1.0)
        }  # fmt: skip
        shared |= {f"AICN {L:g}": DampedNewton("aicn", M=L) for L in (1.0, 10.0)}
    elif kind == "polytope":
        shared |= {
            "RN": DampedNewton("root", q=3.0, M=1e-4), "AICN": DampedNewton("aicn", M=0.01),
        }  # fmt: skip
    else:
        shared |= {"RN": DampedNewton("root", q=2.0, M=1e-3)}
    return shared
