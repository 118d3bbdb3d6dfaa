"""Proximal gradients of the numerator with subgradients of the denominator."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent.composite.fractional import FractionalProgram, Look


class SubgradientState(NamedTuple):
    x: Any
    look: Look
    k: int
    status: int


class ProximalGradientSubgradient(Method):
    """A proximal gradient step on f + h - F(x) g, with g replaced by its tangent.

    Solves `FractionalProgram` problems by x <- prox(x - (grad f(x) - F(x) s) / L), prox being that
    of h / L, s a subgradient of g at x and L the largest eigenvalue of the Hessian of f.

    Args:
        work: the data as they are used; filled in by `bind`.

    Cost per iteration:
        One gradient of f and one subgradient of g; n searches along a line for the coordinate-wise
        certificate.

    Convergence:
        The objective never rises, and limit points are critical. Where g is convex they may be
        points that coordinate steps would leave: then only stationarity="critical" of the problem
        accepts them.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        f = rs.composite.SquaredResidual(rng.standard_normal((8, 4)), np.ones(8), offset=1.0)
        g, box = rs.composite.AffineTerm(np.ones(4), 1.0), rs.functions.Box(0.0, 1.0)
        program = rs.composite.FractionalProgram(f, g, box, start=np.zeros(4))
        assert rs.solve(program, rs.composite.ProximalGradientSubgradient(), rtol=1e-8).converged
        ```

    Reference:
        N. Zhang, Q. Li (2022), First-order algorithms for a class of fractional optimization
        problems, arXiv 2005.06207.
    """

    work: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "proximal-gradient-subgradient"
    solves: ClassVar = (FractionalProgram,)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)

    def bind(self, problem: FractionalProgram) -> Any:
        values = np.linalg.eigvalsh(problem.f.hessian())
        return self.but(work=(problem.rows(), float(values[-1]) or 1.0))

    def init(
        self, problem: FractionalProgram, x0: Any, memory: Memory, key: Any
    ) -> SubgradientState:
        x = problem.nearest(x0)
        return SubgradientState(x, problem.look(x, self.work[0]), 0, 0)

    def step(self, problem: FractionalProgram, state: SubgradientState) -> SubgradientState:
        rows, lipschitz = self.work
        _, bars, low, high = rows
        look, x = state.look, np.asarray(state.x, np.float64)
        moved = x - (look.gradient - look.ratio * problem.g.gradient(x)) / lipschitz
        cut = bars / lipschitz
        x = np.clip(moved - np.clip(moved, -cut, cut), low, high).astype(state.x.dtype)
        new = problem.look(x, rows)
        status = 0 if math.isfinite(new.ratio) else Reason.breakdown.code
        return SubgradientState(x, new, state.k + 1, status)

    def measure(self, problem: FractionalProgram, state: SubgradientState) -> Any:
        return state.look.merit

    def status(self, state: SubgradientState) -> Any:
        return state.status

    def iterate(self, problem: FractionalProgram, state: SubgradientState) -> tuple[Any, Any]:
        return state.x, None

    def calls(self, problem: FractionalProgram, state: SubgradientState) -> dict[str, Any]:
        return {"gradient": state.k + 1, "subgradient": state.k, "prox": state.k}
