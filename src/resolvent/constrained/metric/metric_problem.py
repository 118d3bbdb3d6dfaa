"""What problems over metrics share: a weighted square, cycle inequalities and a box."""

import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import finite, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine, Problem
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.constrained.metric.cycles import (
    CycleList,
    CycleMultipliers,
    admitted,
    closure,
    forgotten,
    no_cycles,
    violated,
)
from resolvent.constrained.metric.graph import Graph
from resolvent.constrained.metric.lagrangian import Measured

_ROUNDS, _SWEEPS = 30, 200  # of projections that look for the multipliers of a point
_NEARBY = 0.5  # the part of the way from a point to the centre that they begin at
_EXACT = 1e-12  # the violation at which they have found what they look for


class MetricProblem(Problem):
    """Minimize sum_e w_e (x_e - c_e)^2 / 2 over metrics x on a graph, within a box.

    Its arrays are in double precision, and in a unit of length that brings them near 1.
    """

    centre: Any
    weights: Any
    """[m], or empty where all are 1."""
    graph: Graph
    length: Any
    """The unit of violations."""
    value: Any
    """The unit of duality gaps."""
    exponent: int = static()
    """The unit of lengths is 2 to this."""
    heaviness: int = static()
    """That of weights is 2 to this."""
    dtype: str = static()
    numpy: bool = static()

    exact_forms: ClassVar[bool] = True
    lower: ClassVar[float] = 0.0
    upper: ClassVar[float] = np.inf

    # Points as the user knows them, and as edge lengths in the problem's unit.

    @property
    def edges(self) -> Any:
        """[m, 2], the two nodes of each edge."""
        return np.stack([self.graph.heads, self.graph.tails], axis=1)

    @property
    def inverse(self) -> Any:
        """One over the weights; empty where all are 1."""
        return 1.0 / self.weights if self.weights.size else self.weights

    def lengths(self, x: Any) -> Any:
        """The edge lengths of a user's point, in the problem's unit."""
        x = np.asarray(x)
        part = x[self.graph.heads, self.graph.tails] if self.graph.complete else x
        return np.ldexp(part.astype(np.float64), -self.exponent)

    def point(self, lengths: Any) -> Any:
        """The point with these edge lengths."""
        v = np.ldexp(lengths, self.exponent).astype(self.dtype)
        return self.graph.matrix(v) if self.graph.complete else v

    def start(self, key: Any) -> Any:
        """The centre, or what the box has nearest to it."""
        return self.point(np.clip(self.centre, self.lower, self.upper))

    def admit(self, x0: Any, name: str = "x0") -> Any:
        """A matrix for a complete graph, else one length an edge."""
        x = np.asarray(real_array(name, x0))
        n, m = self.graph.nodes, self.graph.edges
        shape = (n, n) if self.graph.complete else (m,)
        if x.shape != shape:
            refuse(
                ValueError, name, given=f"shape {x.shape}", needed=f"shape {shape}",
                advice="Give a symmetric matrix for a complete graph, else a length for each of "
                "the problem's `edges`.",
            )  # fmt: skip
        finite(name, x)
        if self.graph.complete and not (np.array_equal(x, x.T) and not x.diagonal().any()):
            refuse(
                ValueError, name, given="a matrix that is not symmetric, or has a diagonal",
                needed="lengths of pairs", advice="Give it the form of the answer.",
            )  # fmt: skip
        return x.astype(self.dtype)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host."""
        return "host"

    def restore(self, x: Any) -> Any:
        """NumPy where the data were NumPy's, else JAX."""
        if self.numpy:
            return np.array(x)
        with scope(needs_double(x)):
            return jnp.asarray(x)

    def form(self) -> str:
        return "complete graph" if self.graph.complete else "sparse graph"

    def witness(self, rows: CycleList) -> CycleMultipliers:
        """Multipliers in the user's units."""
        return rows.multipliers(self.exponent + self.heaviness)

    def admitted(self, witness: Any) -> CycleList | None:
        """Such multipliers as a list; None unless they are of cycles of this graph."""
        rows = admitted(witness, self.graph)
        if rows is None:
            return None
        z = np.ldexp(rows.z, -self.exponent - self.heaviness)
        return rows._replace(z=z) if np.isfinite(z).all() else None

    # The function and its constraints, at edge lengths.

    def objective(self, lengths: Any) -> float:
        """Half the weighted sum of squares of differences from the centre."""
        apart = lengths - self.centre
        return 0.5 * float((self._weighted(apart) * apart).sum())

    def _weighted(self, v: Any) -> Any:
        return self.weights * v if self.weights.size else v

    def free_minimizer(self, rows: CycleList) -> Any:
        """Where the Lagrangian is least without the box."""
        from resolvent.constrained.metric import kernels_cycles as kernels

        pull = np.zeros(self.graph.edges)
        kernels.pulled(rows.starts, rows.edges, rows.z, pull)
        return self.centre - (pull / self.weights if self.weights.size else pull)

    def dual_value(self, rows: CycleList) -> float:
        """The least value of the Lagrangian within the box."""
        free = self.free_minimizer(rows)
        least = np.clip(free, self.lower, self.upper)
        return self.objective(least) + float((self._weighted(self.centre - free) * least).sum())

    def closed(self, lengths: Any) -> Any:
        """The largest metric below, within the box."""
        return closure(self.graph, np.minimum(lengths, self.upper))

    def measured(self, lengths: Any, feasible: Any, rows: CycleList) -> Measured:
        """Lengths, their closure and multipliers against the conditions of optimality."""
        from resolvent.constrained.metric import kernels_cycles as kernels

        slack = kernels.slackness(rows.starts, rows.edges, rows.z, feasible)
        return self.measured_at(lengths, feasible, self.free_minimizer(rows), slack)

    def measured_at(self, lengths: Any, feasible: Any, free: Any, slackness: float) -> Measured:
        """The same for the minimizer without the box, and the sum of multipliers times slacks."""
        least = np.clip(free, self.lower, self.upper)
        apart = feasible - least
        gap = 0.5 * float((self._weighted(apart) * apart).sum())
        # Within the box the Lagrangian rises along what the box has cut off.
        gap += float((self._weighted(least - free) * apart).sum())
        outside = max(0.0, float((-lengths).max()), float((lengths - feasible).max()))
        far = float(np.abs(lengths - least).max())
        return Measured(outside, far, gap + slackness, float(self.length), float(self.value))

    def residual(self, x: Any) -> Any:
        """The difference from the minimizer of the Lagrangian, whose multipliers fit x best."""
        lengths = self.lengths(x)
        return self.point(lengths - self._least(self.multipliers_at(lengths)))

    def _least(self, rows: CycleList) -> Any:
        return np.clip(self.free_minimizer(rows), self.lower, self.upper)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """max(violation, stationarity, gap), each relative, `<= max(rtol, atol)`."""
        lengths = self.lengths(x)
        rows = None if witness is None else self.admitted(witness)
        rows = self.multipliers_at(lengths) if rows is None else rows
        feasible = self.closed(lengths)
        found = self.measured(lengths, feasible, rows)
        apart = math.sqrt(found.gap / found.value) if found.value > 0 else 0.0
        return found.certificate(distance=apart, **self.details(feasible, rows))

    def details(self, feasible: Any, rows: CycleList) -> dict[str, Any]:
        """What else the certificate tells of the closure of a point."""
        scale = 2 * self.exponent + self.heaviness
        return {"objective": float(np.ldexp(self.objective(feasible), scale))}

    def multipliers_at(self, lengths: Any) -> CycleList:
        """Multipliers with which these lengths are optimal, if there are any.

        The part of the way to the centre that constraints keep a point from going is what its
        multipliers pull it back: projections of a point a little along this way find them.
        """
        from resolvent.constrained.metric import kernels_cycles as kernels

        rows = no_cycles()
        if np.array_equal(lengths, np.clip(self.centre, self.lower, self.upper)):
            return rows
        x = lengths + _NEARBY * (self.centre - lengths)
        inverse = self.inverse
        low, high = self.box()
        for _ in range(_ROUNDS):
            shortest, fresh = violated(self.graph, x, inverse, rows)
            if float((x - shortest).max()) <= _EXACT * self.length:
                break
            rows = rows.joined(fresh)
            kernels.sweeps(
                _SWEEPS, rows.starts, rows.edges, rows.z, x, inverse, low, high, self.lower,
                self.upper,
            )  # fmt: skip
            rows = forgotten(rows, 0.0)
        return rows._replace(z=rows.z / _NEARBY)

    def box(self) -> tuple[Any, Any]:
        """Multipliers of 0 for the sides of the box that cycles do not imply."""
        m, none = self.graph.edges, np.empty(0)
        low = none if self.graph.complete and self.graph.nodes > 2 else np.zeros(m)
        return low, np.zeros(m) if self.upper < np.inf else none

    def default_method(self) -> Any:
        """Project and Forget."""
        from resolvent.constrained.metric.project_and_forget import ProjectAndForget

        return ProjectAndForget()

    def describe(self) -> str:
        """How large it is."""
        size = f"{self.graph.nodes} nodes, {self.graph.edges} edges"
        return f"{type(self).__name__}({size})"
