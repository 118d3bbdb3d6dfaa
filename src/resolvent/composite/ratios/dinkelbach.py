"""Dinkelbach's method: a ratio by minimizing numerators less multiples of denominators."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import count
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.fractional import FractionalProgram, Look

_EXACT = 1e-15  # of the size of the point: moves that end an inner solve


class DinkelbachState(NamedTuple):
    x: Any
    look: Look
    k: int
    epochs: int
    status: int


class Dinkelbach(Method):
    """The minimizer of f + h - F(x) g, then the same with its F; tangents where g is convex.

    Solves `FractionalProgram` problems. Where g is affine, x <- argmin f + h - F(x) g. Where it is
    convex, g is replaced by its tangent at x, so that every step minimizes a convex function. That
    is done by cyclic coordinate descent on the Hessian of f.

    Args:
        epochs: of the inner descent, at most.
        work: the data as they are used; filled in by `bind`.

    Raises:
        ValueError: if there is less than one epoch.

    Cost per iteration:
        n^2 operations an epoch of the inner solve, and one gradient.

    Convergence:
        The objective never rises. For affine g it converges to the minimum, superlinearly in the
        number of outer steps; for convex g limit points are critical. Without h, and where f is
        flat in a direction in which g grows, the inner problem has no minimum.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        f = rs.composite.SquaredResidual(rng.standard_normal((8, 4)), np.ones(8), offset=1.0)
        g, box = rs.composite.AffineTerm(np.ones(4), 1.0), rs.functions.Box(0.0, 1.0)
        program = rs.composite.FractionalProgram(f, g, box, start=np.zeros(4))
        assert rs.solve(program, rs.composite.Dinkelbach(), rtol=1e-8).steps < 10
        ```

    Reference:
        W. Dinkelbach (1967), On nonlinear fractional programming.
    """

    epochs: int = static(default=1000)
    work: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "dinkelbach"
    solves: ClassVar = (FractionalProgram,)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    in_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("epochs", self.epochs, least=1)

    def bind(self, problem: FractionalProgram) -> Any:
        rows = problem.rows()
        own = rows.copy()
        own[0] = np.maximum(own[0] - problem.proximal(), np.finfo(np.float64).tiny)
        hessian = np.ascontiguousarray(problem.f.hessian())
        return self.but(work=(rows, own, hessian))

    def init(
        self, problem: FractionalProgram, x0: Any, memory: Memory, key: Any
    ) -> DinkelbachState:
        x = problem.nearest(x0)
        return DinkelbachState(x, problem.look(x, self.work[0]), 0, 0, 0)

    def step(self, problem: FractionalProgram, state: DinkelbachState) -> DinkelbachState:
        from resolvent.composite.ratios import kernels_fractional as kernels

        rows, own, hessian = self.work
        look, x = state.look, np.array(state.x, np.float64)
        slope = look.gradient - look.ratio * problem.g.gradient(x)
        tolerance = _EXACT * float((np.abs(x) * np.sqrt(rows[0])).max())
        epochs = kernels.descend(hessian, slope, x, own, self.epochs, tolerance)
        x = x.astype(state.x.dtype)
        new = problem.look(x, rows)
        status = 0 if math.isfinite(new.ratio) else Reason.breakdown.code
        return DinkelbachState(x, new, state.k + 1, state.epochs + epochs, status)

    def measure(self, problem: FractionalProgram, state: DinkelbachState) -> Any:
        return state.look.merit

    def status(self, state: DinkelbachState) -> Any:
        return state.status

    def iterate(self, problem: FractionalProgram, state: DinkelbachState) -> tuple[Any, Any]:
        return state.x, None

    def calls(self, problem: FractionalProgram, state: DinkelbachState) -> dict[str, Any]:
        return {"epoch": state.epochs, "gradient": state.k + 1}
