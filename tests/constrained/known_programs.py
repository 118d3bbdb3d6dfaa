"""Programs whose answers are known, shared by the tests of methods."""

import jax.numpy as jnp
import numpy as np

import resolvent as rs


def of_every_kind():
    """Problem 71 of Hock and Schittkowski."""
    return rs.ConstrainedProblem(
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2], lambda x: x @ x - 40,
        lambda x: 25 - x.prod(), (1.0, 5.0), x0=np.array([1.0, 5.0, 5.0, 1.0]),
    )  # fmt: skip


def linear_program():
    return rs.ConstrainedProblem(
        lambda x: -x[0] - 2 * x[1],
        inequalities=lambda x: jnp.stack([x[0] + x[1] - 4, x[0] + 3 * x[1] - 6]),
        bounds=(0.0, None), x0=np.ones(2),
    )  # fmt: skip
