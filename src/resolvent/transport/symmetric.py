"""Transport of a measure onto itself: its cost, and the iteration that suits it."""

from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from resolvent._core.checks import is_traced, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.transport.costs import Cost, DenseCost, GridCost, PointCost, namespace
from resolvent.transport.coupling import Potentials
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.softmin import softmin

_SAME = {"f": 1e-5, "d": 1e-9}  # how far a cost and its way back may differ, relatively


def own_cost(cost: Cost) -> Cost | None:
    """The cost of the sources against themselves, as far as `cost` tells it.

    Points tell it always. A matrix or a grid does where it is symmetric: both sides are one
    support then. None where it is not told, or not known because the numbers are traced.
    """
    if isinstance(cost, PointCost):
        return cost.but(y=cost.x)
    return cost if is_symmetric(cost) else None


def is_symmetric(cost: Cost) -> bool:
    """Whether the way back costs the same, as far as known numbers show it."""
    n, m = cost.shape
    if n != m or is_traced(cost):
        return False
    near = _SAME[np.dtype(cost.dtype).char]
    if isinstance(cost, GridCost):
        return all(_is_its_transpose(np.asarray(axis), near) for axis in cost.axes)
    if isinstance(cost, DenseCost):
        return _is_its_transpose(np.asarray(cost.matrix), near)
    host = cost.cast(True, cost.dtype)
    if isinstance(host, PointCost) and host.function is None:
        return np.array_equal(host.x, host.y)
    most = host.largest()
    return all(
        bool((abs(block - host.T.rows(begin, end)) <= near * most).all())
        for begin, end, block in host.blocks()
    )


def check_symmetric(name: str, cost: Cost) -> None:
    """Refuse a cost that cannot be that of points against themselves; traced numbers pass."""
    n, m = cost.shape
    if n == m and (is_traced(cost) or is_symmetric(cost)):
        return
    refuse(
        ValueError, name,
        given=f"costs of shape {cost.shape}" if n != m else "costs that differ on the way back",
        needed="costs of points against themselves, C = C^T",
        advice="Give PointCost(x, x), or the symmetric matrix of these costs.",
    )  # fmt: skip


def _is_its_transpose(matrix: np.ndarray, near: float) -> bool:
    if matrix.shape[0] != matrix.shape[1]:
        return False
    return bool((abs(matrix - matrix.T) <= near * matrix.max()).all())


class AveragedState(NamedTuple):
    """State of the averaged updates: a potential and its soft minimum."""

    f: Any
    image: Any
    error: Any
    passes: Any


class AveragedSinkhorn(Method):
    """Sinkhorn's update for transport of a measure onto itself, averaged with its argument.

    Solves entropic transport with a = b, C = C^T and no penalties, whose two potentials are one:
    f <- (f + softmin(f)) / 2.

    Raises:
        ValueError: for a problem that is not symmetric.

    Cost per iteration:
        One pass over the n x n costs, counted as a `kernel` call.

    Convergence:
        Linear. Near the answer an error is multiplied by (1 - mu) / 2 with mu an eigenvalue of the
        plan with rows that sum to 1: at most 1/2 a step where exp(-C / epsilon) is positive
        semidefinite, as for squared Euclidean, Euclidean and l1 costs.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.transport.symmetric import AveragedSinkhorn
        x, mass = np.linspace(0, 1, 30), np.full(30, 1 / 30)
        problem = rs.EntropicTransport(rs.transport.PointCost(x, x), mass, mass, 0.01)
        assert rs.solve(problem, AveragedSinkhorn(), rtol=1e-9).steps < 40
        ```

    Reference:
        J. Feydy, T. Sejourne, F.-X. Vialard, S. Amari, A. Trouve, G. Peyre (2018), Interpolating
        between optimal transport and MMD using Sinkhorn divergences, arXiv:1810.08278.
    """

    name: ClassVar[str] = "averaged-sinkhorn"
    solves: ClassVar = (EntropicTransport,)

    def check(self, problem: Any) -> None:
        check_symmetric("cost", problem.cost)
        same = problem.shape[0] == problem.shape[1] and (
            is_traced((problem.a, problem.b))
            or np.array_equal(np.asarray(problem.a), np.asarray(problem.b))
        )
        if not same or not problem.balanced:
            refuse(
                ValueError, "problem",
                given="masses that differ" if not same else "a penalty on the marginals",
                needed="one measure on both sides, and its marginals held exactly",
                advice="Use Sinkhorn() for other problems.",
            )  # fmt: skip

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> AveragedState:
        # Half of what the constant between two potentials may be belongs to either.
        return self._at(problem, 0.5 * (x0.f + x0.g), 0)

    def step(self, problem: Any, state: AveragedState) -> AveragedState:
        return self._at(problem, 0.5 * (state.f + state.image), state.passes)

    def measure(self, problem: Any, state: AveragedState) -> Any:
        return state.error

    def iterate(self, problem: Any, state: AveragedState) -> tuple[Any, Any]:
        return Potentials(state.f, state.f), None

    def refresh(self, problem: Any, state: AveragedState) -> AveragedState:
        return self._at(problem, state.f, state.passes)

    def calls(self, problem: Any, state: AveragedState) -> dict[str, Any]:
        return {"kernel": state.passes}

    def _at(self, problem: Any, f: Any, passes: Any) -> AveragedState:
        xp, a = namespace(f), problem.a
        image = softmin(problem.cost, problem.epsilon, f, problem.log_a)
        totals = xp.exp((f - image) / problem.epsilon)
        error = 2.0 * xp.where(a > 0, a * xp.abs(1.0 - totals), 0.0).sum()
        if isinstance(error, jax.Array):
            error = error.astype(f.dtype)
        return AveragedState(f, image, error, passes + 1)
