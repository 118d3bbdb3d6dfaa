"""Coordinate descent on ratios, each coordinate to the global minimum of its own."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.fractional import FractionalProgram, Look
from resolvent.composite.ratios.fractional_terms import SquaredResidual

_RISE = 1e-9  # what rounding may raise the objective by in a sweep, relative
_RISE_SINGLE = 1e-4
_FAR = 1e60  # coefficients beyond it, or below its inverse, have powers that are no numbers


class FractionalState(NamedTuple):
    x: Any
    look: Look
    words: Any
    """What random orders are made of."""
    sweeps: int
    status: int


class FractionalCoordinateDescent(Method):
    """One coordinate after the other to the global minimum of a model of the ratio along it.

    Solves `FractionalProgram` problems. Along coordinate i the smooth part f of the numerator is
    replaced by f(x) + t df/dx_i + (c_i + theta) t^2 / 2, which is exact but for theta. The step is
    the global minimizer of that ratio, or ("parametric") of its numerator less F(x) times its
    denominator. It is found among the breakpoints and the stationary points of all pieces. One
    step of a solve is a sweep of n coordinate steps.

    Args:
        selection: "random" (uniform, with replacement), "cyclic", or "greedy" (the coordinate that
            lowers the ratio most).
        subproblem: "ratio", or "parametric"; where the latter is unbounded, the ratio is taken.
        work: the data as kernels take them; filled in by `bind`.

    Raises:
        ValueError: for other words; by `solve`, for data so far from 1 that powers of them
            overflow or vanish.

    Cost per iteration:
        Two passes over the columns of the data and n searches along a line, n^2 of them where
        selection is greedy; and the certificate, which costs one more pass and n more searches.

    Convergence:
        The objective falls by theta t^2 / (2 g) at least with each coordinate step. Limit points
        are coordinate-wise stationary, which is more than critical where g is convex; where g is
        affine they are minimizers.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        f = rs.composite.SquaredResidual(rng.standard_normal((8, 4)), np.ones(8), offset=1.0)
        g = rs.composite.AffineTerm(np.ones(4), 1.0)
        box = rs.functions.Box(0.0, 1.0)
        program = rs.composite.FractionalProgram(f, g, box, start=np.zeros(4))
        sol = rs.solve(program, rs.composite.FractionalCoordinateDescent(), rtol=1e-8)
        assert sol.certificate.kind == "bound" and sol.converged
        ```

    Reference:
        G. Yuan (2022), Coordinate descent methods for fractional minimization, arXiv 2201.12691.
    """

    selection: str = static(default="random")
    subproblem: str = static(default="ratio")
    work: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "fractional-coordinate-descent"
    solves: ClassVar = (FractionalProgram,)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    random: ClassVar[bool] = True
    in_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("selection", self.selection, ("random", "cyclic", "greedy"))
        one_of("subproblem", self.subproblem, ("ratio", "parametric"))

    def check(self, problem: FractionalProgram) -> None:
        x = np.asarray(problem.nearest(problem.first), np.float64)
        with np.errstate(all="ignore"):
            sizes = {
                "the curvature of f": float(np.max(problem.f.curvatures())),
                "f + h at the start": problem.objective(x) * problem.g.value(x),
                "g at the start": problem.g.value(x),
            }
        for name, size in sizes.items():
            # A zero is as good as any number, unless it is what has vanished.
            if size == 0 and not (name == "the curvature of f" and _vanished(problem.f)):
                continue
            if not 1 / _FAR <= size <= _FAR:
                refuse(
                    ValueError, "problem", given=f"data by which {name} is {size:.1e}, rounded",
                    needed=f"sizes between {1 / _FAR:.0e} and {_FAR:.0e}",
                    advice="Divide the data of f and h, and those of g, by a size of their own.",
                )  # fmt: skip

    def bind(self, problem: FractionalProgram) -> Any:
        columns = isinstance(problem.f, SquaredResidual) and self.selection != "greedy"
        if columns:
            matrix = np.ascontiguousarray(problem.f.A.T)
        else:
            # The gradient is kept, and one row of the Hessian changes it.
            matrix = np.ascontiguousarray(problem.f.hessian())
        return self.but(work=(problem.rows(), columns, matrix))

    def init(
        self, problem: FractionalProgram, x0: Any, memory: Memory, key: Any
    ) -> FractionalState:
        x = problem.nearest(x0)
        words = key.integers(0, 2**64, 2, dtype=np.uint64)
        return FractionalState(x, problem.look(x, self.work[0]), words, 0, 0)

    def step(self, problem: FractionalProgram, state: FractionalState) -> FractionalState:
        from resolvent.composite.ratios import kernels_fractional as kernels

        rows, columns, matrix = self.work
        look, x = state.look, np.array(state.x, np.float64)
        r = problem.f.A @ x - problem.f.b if columns else look.gradient.copy()
        line = look.line
        kernels.sweep(
            self._picks(state, x.size), self.selection == "greedy", problem.proximal(), look.top,
            line.bottom, x, rows, columns, matrix, r, line.kind, line.matrix, line.product.copy(),
            line.vectors.copy(), line.scalars, line.order.copy(), self.subproblem == "parametric",
        )  # fmt: skip
        x = x.astype(state.x.dtype)
        new = problem.look(x, rows)
        room = _RISE if x.dtype == np.float64 else _RISE_SINGLE
        fell = new.ratio <= look.ratio + room * abs(look.ratio)
        status = 0 if fell and math.isfinite(new.ratio) else Reason.breakdown.code
        return FractionalState(x, new, state.words, state.sweeps + 1, status)

    def _picks(self, state: FractionalState, n: int) -> Any:
        """The coordinates of a sweep, which depend on the key and its number alone."""
        if self.selection != "random":
            return np.arange(n)
        counter = [0, 0, 0, state.sweeps]
        random = np.random.Generator(np.random.Philox(key=state.words, counter=counter))
        return random.integers(n, size=n)

    def measure(self, problem: FractionalProgram, state: FractionalState) -> Any:
        return state.look.merit

    def status(self, state: FractionalState) -> Any:
        return state.status

    def iterate(self, problem: FractionalProgram, state: FractionalState) -> tuple[Any, Any]:
        return state.x, None

    def calls(self, problem: FractionalProgram, state: FractionalState) -> dict[str, Any]:
        return {"coordinate": state.sweeps * problem.f.n, "gradient": state.sweeps + 1}


def _vanished(f: Any) -> bool:
    """Whether second derivatives that should be there have been rounded to zero."""
    return isinstance(f, SquaredResidual) and bool(np.any(f.A))
