"""Operators of the plane and others whose worst behaviour is known, and counted calls."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from suite.tally import Tally

import resolvent as rs
from resolvent.inclusion import AffineOperator

CALLS = {"operator": Tally(), "resolvent": Tally()}


def rotation(rho, L=1.0):
    """L times the turn of the plane that is as negatively comonotone as rho allows."""
    cosine = -rho * L
    sine = np.sqrt(1.0 - cosine**2)
    return L * np.array([[cosine, -sine], [sine, cosine]])


def turning(rho=0.0, L=1.0, **changes):
    """The inclusion of such a turn, from (1, 1)."""
    options = {"start": np.ones(2), "lipschitz": L, "comonotone": rho} | changes
    return rs.Inclusion(AffineOperator(rotation(rho, L)), **options)


def chained(n=30):
    """A bilinear saddle point, of norm 1, whose answer is far along a chain of variables."""
    turn = np.fliplr(np.eye(n)) - np.fliplr(np.eye(n, k=1))
    turn /= np.linalg.norm(turn, 2)
    M = np.block([[np.zeros((n, n)), -turn.T], [turn, np.zeros((n, n))]])
    q = np.r_[-np.eye(n)[-1] / 4, -np.ones(n) / 4]
    distance = np.linalg.norm(np.linalg.solve(M, q))
    return rs.Inclusion(AffineOperator(M, q), start=np.zeros(2 * n), lipschitz=1.0), distance


def strong(seed=1, n=6):
    """Strongly monotone and not symmetric, on a box that cuts off the answer without it."""
    rng = np.random.default_rng(seed)
    turn = rng.standard_normal((n, n)) / 2
    A: Any = np.eye(n) + turn - turn.T
    q: Any = rng.standard_normal(n)
    L = float(np.linalg.norm(A, 2)) * 1.0001
    problem = rs.Inclusion(
        AffineOperator(A, q), rs.functions.Box(-0.2, 0.3), start=np.zeros(n), lipschitz=L
    )
    return problem, A, q


def slope(values, first, last):
    """The exponent of the power law between two rounds, by least squares."""
    k = np.unique(np.geomspace(first, last, 200).astype(int))
    return np.polyfit(np.log(k), np.log(values[k - 1]), 1)[0]


def norms(gradients):
    return np.linalg.norm(np.asarray(gradients), axis=1)


class Counted(rs.Inclusion):
    """An inclusion that tells of every call, less those of certificates and exit tests."""

    def operator(self, x):
        jax.debug.callback(CALLS["operator"].add, jnp.zeros(()))
        return super().operator(x)

    def resolvent(self, x, step):
        jax.debug.callback(CALLS["resolvent"].add, jnp.zeros(()))
        return super().resolvent(x, step)

    def nearest(self, x):
        jax.debug.callback(CALLS["resolvent"].add, jnp.zeros(()))
        return super().nearest(x)

    def plain(self):
        value = object.__new__(rs.Inclusion)
        vars(value).update(vars(self))
        return value

    def merit(self, x, Fx):
        return self.plain().merit(x, Fx)

    def certify(self, x, witness=None):
        return self.plain().certify(x, witness)


def check_counters(method, problem, limit=5):
    """A method's numbers against calls that really happened, after no step and after some."""
    counted = object.__new__(Counted)
    vars(counted).update(vars(problem))
    for steps in (0, limit):
        for tally in CALLS.values():
            tally.count = 0
        sol = rs.solve(counted, method, rtol=1e-30, max_steps=steps, throw=False)
        jax.effects_barrier()
        assert sol.steps == steps
        assert sol.calls["operator"] == CALLS["operator"].count > 0
        assert sol.calls.get("resolvent", 0) == CALLS["resolvent"].count
