"""The Sinkhorn divergence: entropic transport without its bias towards spread measures."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.adjoint import Adjoint, Implicit
from resolvent._core.checks import is_traced, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate, Solution
from resolvent._core.solve import solve
from resolvent._core.value import Value
from resolvent.transport.costs import Cost, as_cost
from resolvent.transport.coupling import Coupling
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.symmetric import AveragedSinkhorn, check_symmetric, own_cost

_IMPLICIT = Implicit()


class Divergence(Value):
    """A Sinkhorn divergence with what is known about it.

    Attributes:
        value: the divergence, in the unit of the costs times mass: a float, or a JAX array under a
            transformation.
        bound: the divergence is at most so far from `value`, by the duality gaps of the three
            transports (rounding errors aside). Infinite under a transformation, where no gap is
            known, and where a solve failed.
        solutions: the solves of (a, b), (a, a) and (b, b).
    """

    value: Any
    bound: Any
    solutions: tuple[Solution, Solution, Solution]

    @property
    def certificates(self) -> tuple[Certificate, Certificate, Certificate]:
        """What was measured of the three transports."""
        first, second, third = self.solutions
        return first.certificate, second.certificate, third.certificate

    @property
    def converged(self) -> Any:
        """Whether all three certificates hold."""
        first, second, third = (one.holds for one in self.certificates)
        return first & second & third

    @property
    def calls(self) -> dict[str, Any]:
        """Oracle calls of the three solves together."""
        names = dict.fromkeys(name for one in self.solutions for name in one.calls)
        return {name: sum(one.calls.get(name, 0) for one in self.solutions) for name in names}


def sinkhorn_divergence(
    cost: Any,
    a: Float[Any, " n"],
    b: Float[Any, " m"],
    epsilon: float,
    method: Any = None,
    *,
    own: tuple[Any, Any] | None = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_steps: int | None = None,
    adjoint: Adjoint | None = _IMPLICIT,
    throw: bool = True,
) -> Divergence:
    """The Sinkhorn divergence of two measures, OT(a, b) - (OT(a, a) + OT(b, b)) / 2.

    OT is the optimum of `EntropicTransport`, <C, P> + epsilon KL(P | a b^T). Where the kernel
    exp(-C / epsilon) is positive definite (squared Euclidean, Euclidean and l1 costs) it is never
    negative, zero only for equal measures, and convex in either; for epsilon to 0 it becomes the
    transport cost, for epsilon to infinity a kernel distance.

    Under `jax.grad` it is differentiable with respect to costs, points, masses and epsilon, through
    the potentials by the implicit rule, to any order. Masses have a derivative along directions
    that keep the total.

    Args:
        cost: costs between both supports: a matrix of shape (n, m), or a `PointCost`, `GridCost`,
            `DenseCost`. Points tell their costs against themselves; a symmetric matrix or grid
            means that both measures have one support; otherwise give `own`.
        a: masses of the first measure, shape (n,), not negative.
        b: masses of the second, shape (m,), of the same total.
        epsilon: regularization > 0, in the unit of the costs.
        method: how the transport from a to b is solved; None for the family's default. Transport
            of a measure onto itself is solved by averaged symmetric Sinkhorn updates.
        own: the costs of the first support against itself, shape (n, n), and of the second.
        rtol: marginal error in l1 of each of the three plans, relative to the mass.
        atol: the same, absolute.
        max_steps: step limit of each solve.
        adjoint: how to differentiate (`Implicit`, `Unrolled` or None for not at all).
        throw: raise `NotConverged` when a solve misses its target.

    Returns:
        A `Divergence`: value, bound, certificates.

    Raises:
        ValueError: for data that `EntropicTransport` refuses, and where the costs of the supports
            against themselves are not known.
        TypeError: for data or options of a wrong type.
        NotConverged: if `throw` and a target was missed.

    Cost:
        That of a transport solve, and of two symmetric ones, which take some tens of passes.

    Convergence:
        As the method's. The error of `value` is at most `bound`, and of second order in the
        marginal errors.

    Example:
        ```python
        import numpy as np, resolvent as rs
        x = np.linspace(0, 1, 30)
        a, b = (np.exp(-((x - m) ** 2) / 0.02) for m in (0.4, 0.6))
        a, b = a / a.sum(), b / b.sum()
        found = rs.transport.sinkhorn_divergence(rs.transport.PointCost(x, x), a, b, 0.05)
        assert abs(found.value - 0.04) < 2e-3 and found.bound < 1e-5
        ```

    Reference:
        J. Feydy, T. Sejourne, F.-X. Vialard, S. Amari, A. Trouve, G. Peyre (2018), Interpolating
        between optimal transport and MMD using Sinkhorn divergences, arXiv:1810.08278.
    """
    cost = as_cost(cost)
    ours = _own_costs(cost, own)
    between = EntropicTransport(cost, a, b, epsilon)
    with scope(needs_double(between) and not is_traced(between)):
        # The masses as the first problem has them: of one dtype, and of one total.
        problems = (
            between,
            EntropicTransport(ours[0], between.a, between.a, between.epsilon),
            EntropicTransport(ours[1], between.b, between.b, between.epsilon),
        )
    options: dict[str, Any] = {
        "rtol": rtol, "atol": atol, "max_steps": max_steps, "adjoint": adjoint, "throw": throw
    }  # fmt: skip
    first = solve(between, method, **options)
    second, third = (solve(one, AveragedSinkhorn(), **options) for one in problems[1:])
    solutions = first, second, third
    if is_traced((problems, [one.x for one in solutions])):
        values = [one.x.value for one in solutions]
        value = values[0] - 0.5 * (values[1] + values[2])
        return Divergence(value, jnp.full_like(value, jnp.inf), solutions)
    values = [_dual(one.x) for one in solutions]
    gaps = [float(one.certificate.details.get("gap", math.inf)) for one in solutions]
    # Each optimum lies between its dual value and that plus its gap.
    bound = max(gaps[0], 0.5 * (gaps[1] + gaps[2]))
    return Divergence(values[0] - 0.5 * (values[1] + values[2]), bound, solutions)


def _own_costs(cost: Cost, own: Any) -> tuple[Cost, Cost]:
    if own is None:
        known = own_cost(cost), own_cost(cost.T)
        if known[0] is None or known[1] is None:
            refuse(
                ValueError, "own",
                given=f"None for a {cost.form} cost of shape {cost.shape}",
                needed="the costs of both supports against themselves, unless points or a known "
                "symmetric cost tell them",
                advice="Give own=(cost_aa, cost_bb), or points as a PointCost.",
            )  # fmt: skip
        return known[0], known[1]
    if not isinstance(own, list | tuple) or len(own) != 2:
        refuse(
            TypeError, "own", given=f"{type(own).__name__}",
            needed="a pair of costs, or None",
            advice="The first is of the support of a against itself.",
        )  # fmt: skip
    costs = as_cost(own[0]), as_cost(own[1])
    for side, (one, size) in enumerate(zip(costs, cost.shape, strict=True)):
        if one.shape != (size, size):
            refuse(
                ValueError, f"own[{side}]", given=f"costs of shape {one.shape}",
                needed=f"shape ({size}, {size})", advice="Both its sides are one support.",
            )  # fmt: skip
        check_symmetric(f"own[{side}]", one)
    return costs


def _dual(coupling: Coupling) -> float:
    """The dual value in double precision."""
    f, g = (np.asarray(part, np.float64) for part in coupling.potentials)
    return float(Coupling(f, g, coupling.problem.double()).value)
