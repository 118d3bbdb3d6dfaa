"""Fractional programs: the ratio of a convex numerator and a positive denominator."""

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import between, one_of, refuse
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem
from resolvent._core.value import static
from resolvent.composite.ratios.fractional_terms import (
    AffineTerm,
    Denominator,
    Line,
    Numerator,
    plain,
)
from resolvent.functions import L1, Box, Everything, Function, Nonnegative, WeightedL1

_EPS = float(np.finfo(np.float64).eps)


class Look(NamedTuple):
    """A point of a fractional program, and what is known of it."""

    top: float
    """f + h."""
    line: Line
    """g, as coordinate steps take it."""
    gradient: Any
    """That of f."""
    merit: float
    """The certificate's value."""

    @property
    def ratio(self) -> float:
        """The objective."""
        return self.top / self.line.bottom


class FractionalProgram(TreeProblem):
    """Minimize (f(x) + h(x)) / g(x), f quadratic and convex, h a sum over entries, g positive.

    Sparse recovery by ratios of norms, Rayleigh quotients, ratios of fourth moments and
    linear-fractional programs are such problems. Where g is affine, every critical point is a
    minimizer; where it is convex, critical points abound, and those at which no single coordinate
    can be moved to advantage are fewer and better.

    The certificate is one of three.
    With an affine g that is positive on a bounded box, a bound:
    F(x) - min F <= max over z of <grad f(x) - F(x) grad g, x - z> + h(x) - h(z), over min g.
    Otherwise the coordinate-wise residual max_i |t_i| sqrt((c_i + theta) / g(x)), where t_i is the
    global minimizer over t of f(x) + t df/dx_i + (c_i + theta) t^2 / 2 + h(x + t e_i), over
    g(x + t e_i), and c_i is the second derivative of f along i. Its square is of the unit of F.
    With stationarity="critical" the same for steps along the line that is tangent to g.
    Rounding errors of F are part of a bound.

    Args:
        f: `SquaredResidual` or `QuadraticTerm`.
        g: `AffineTerm`, `QuadraticTerm`, `LargestSum` or `QuarticNorm`.
        h: None, or `L1`, `WeightedL1`, `Box` or `Nonnegative` of `resolvent.functions`; f + h must
            not be negative.
        start: [n], the first guess, with g(start) > 0 once it is brought to where h is finite.
        theta: relative to the largest c_i, the proximal constant of coordinate steps.
        stationarity: "coordinate" or the weaker "critical".

    Raises:
        TypeError: for terms of other types, numbers that are not real.
        ValueError: for sizes that do not fit, a start where g is not positive, a theta outside
            (0, 1).

    Example:
        ```python
        import numpy as np, resolvent as rs
        Q, C = np.diag([1.0, 2.0, 3.0]), np.diag([1.0, 4.0, 1.0])
        terms = rs.composite.QuadraticTerm(Q), rs.composite.QuadraticTerm(C)
        sol = rs.solve(rs.composite.FractionalProgram(*terms, start=np.ones(3)), rtol=1e-6)
        assert np.isclose((sol.x @ Q @ sol.x) / (sol.x @ C @ sol.x), 0.5)
        ```
    """

    f: Any
    g: Any
    h: Any
    theta: float = static()
    stationarity: str = static()

    exact_forms: ClassVar[bool] = True

    def __init__(
        self,
        f: Numerator,
        g: Denominator,
        h: Function | None = None,
        *,
        start: Any,
        theta: float = 1e-6,
        stationarity: str = "coordinate",
    ):
        if not isinstance(f, Numerator):
            refuse(
                TypeError, "f", given=f"a {type(f).__name__}",
                needed="a SquaredResidual or a QuadraticTerm", advice="See resolvent.composite.",
            )  # fmt: skip
        if not isinstance(g, Denominator):
            refuse(
                TypeError, "g", given=f"a {type(g).__name__}",
                needed="an AffineTerm, QuadraticTerm, LargestSum or QuarticNorm",
                advice="See resolvent.composite.",
            )  # fmt: skip
        given = start
        start = plain("start", start)
        if start.shape != (f.n,) or g.n not in (None, f.n):
            refuse(
                ValueError, "start", given=f"shape {start.shape}, f of {f.n} unknowns, g of {g.n}",
                needed="one size", advice="Look at the shapes of the data.",
            )  # fmt: skip
        between("theta", theta, 0.0, 1.0, "It is a small share of the curvature.")
        one_of("stationarity", stationarity, ("coordinate", "critical"))
        dtype = f.curvatures().dtype
        vars(self).update(
            f=f, g=g, h=Everything() if h is None else h, first=start.astype(dtype),
            theta=float(theta), stationarity=stationarity, unit=1.0,
            numpy=isinstance(given, np.ndarray | list | tuple),
        )  # fmt: skip
        self._rows()
        self._positive("start", self.first)
        value = self.objective(self.nearest(self.first))
        unit = value if self.bounded else math.sqrt(abs(value))
        vars(self)["unit"] = unit if unit > 0 else 1.0

    def _rows(self) -> Any:
        """The l1 weight, the lower and the upper bound of each unknown, [3, n]."""
        rows, h = np.empty((3, self.f.n)), self.h
        rows[0], rows[1], rows[2] = 0.0, -math.inf, math.inf
        if isinstance(h, L1 | WeightedL1):
            rows[0] = np.asarray(h.weight if isinstance(h, L1) else h.weights)
        elif isinstance(h, Box):
            rows[1], rows[2] = np.asarray(h.lower), np.asarray(h.upper)
        elif isinstance(h, Nonnegative):
            rows[1] = 0.0
        elif not isinstance(h, Everything):
            refuse(
                TypeError, "h", given=f"a {type(h).__name__}",
                needed="None, L1, WeightedL1, Box or Nonnegative",
                advice="See resolvent.functions.",
            )  # fmt: skip
        return rows

    def rows(self) -> Any:
        """[4, n]: curvatures with the proximal constant, l1 weights, lower and upper bounds."""
        curvatures = np.asarray(self.f.curvatures(), np.float64)
        return np.concatenate([(curvatures + self.proximal(curvatures))[None], self._rows()])

    def proximal(self, curvatures: Any = None) -> float:
        """The proximal constant of coordinate steps."""
        curvatures = self.f.curvatures() if curvatures is None else curvatures
        return self.theta * (float(curvatures.max()) or 1.0)

    @property
    def bounded(self) -> bool:
        """Whether there is a bound of what the objective lacks."""
        if not isinstance(self.g, AffineTerm):
            return False
        _, low, high = self._rows()
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            return False
        return self.g.least(low, high) > 0

    def nearest(self, x: Any) -> Any:
        """x, brought to where h is finite."""
        _, low, high = self._rows()
        return np.clip(x, low, high).astype(self.first.dtype)

    def objective(self, x: Any) -> float:
        """(f + h) / g at x; infinite where h is, or where g is not positive."""
        x = np.asarray(x, np.float64)
        bars, low, high = self._rows()
        bottom = self.g.value(x)
        if not bottom > 0 or not ((low <= x) & (x <= high)).all():
            return math.inf
        return (self.f.value(x) + float(bars @ np.abs(x))) / bottom

    def look(self, x: Any, rows: Any) -> Look:
        """What coordinate steps and the certificate need of a point; `rows` is that of `rows()`."""
        x = np.array(x, np.float64)
        _, bars, low, high = rows
        line, gradient = self.g.line(x), self.f.gradient(x)
        top = self.f.value(x) + float(bars @ np.abs(x))
        inside = ((low <= x) & (x <= high)).all()
        if not (inside and line.bottom > 0 and math.isfinite(top)):
            # What is not a number stays none.
            merit = math.inf if math.isfinite(top) and math.isfinite(line.bottom) else math.nan
            return Look(top, line, gradient, merit)
        return Look(top, line, gradient, self._merit(x, rows, top, line, gradient))

    def _merit(self, x: Any, rows: Any, top: float, line: Line, gradient: Any) -> float:
        ratio = top / line.bottom
        own, bars, low, high = rows
        if self.bounded:
            v = gradient - ratio * self.g.gradient(x)
            ends = [v * low + bars * np.abs(low), v * high + bars * np.abs(high)]
            middle = np.where((low <= 0) & (high >= 0), 0.0, np.inf)
            excess = v * x + bars * np.abs(x) - np.minimum(np.minimum(*ends), middle)
            return float(excess.sum()) / self.g.least(low, high) + 8 * _EPS * abs(ratio)
        if self.stationarity == "critical":
            moved = self._tangent_steps(x, rows, gradient - ratio * self.g.gradient(x))
        else:
            moved = self.moves(x, rows, top, line, gradient)[0]
        return float((np.abs(moved) * np.sqrt(own / line.bottom)).max())

    def moves(self, x: Any, rows: Any, top: float, line: Line, gradient: Any) -> Any:
        """[2, n]: for each coordinate the global minimizer along it, and what it changes F by."""
        from resolvent.composite.ratios import kernels_fractional as kernels

        out = np.empty((2, x.size))
        if line.kind == kernels.QUARTIC:
            kernels.quartic_lines(line.matrix, line.product, line.vectors)
        kernels.moves(
            gradient, top, line.bottom, x, rows, line.kind, line.vectors, line.scalars, line.order,
            False, out,
        )  # fmt: skip
        return out

    def _tangent_steps(self, x: Any, rows: Any, v: Any) -> Any:
        """Proximal steps of the coordinates with g replaced by its tangent."""
        own, bars, low, high = rows
        u, cut = x - v / own, bars / own
        return np.clip(u - np.clip(u, -cut, cut), low, high) - x

    def residual(self, x: Any) -> Any:
        """Proximal steps of the coordinates with g replaced by its tangent: zero if critical."""
        x = np.asarray(x, np.float64)
        v = self.f.gradient(x) - self.objective(x) * self.g.gradient(x)
        return -self._tangent_steps(x, self.rows(), v)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """The bound, or the residual, of `x`."""
        problem = self.prepare("host")
        value = problem.look(x, problem.rows()).merit
        if self.bounded:
            return Certificate(
                value, self.unit, kind="bound", name="optimality gap",
                statement="F(x) - min F <= max(rtol F(start), atol)",
            )  # fmt: skip
        if self.stationarity == "critical":
            return Certificate(
                value, self.unit, name="critical point residual",
                statement="max_i |step_i| sqrt((c_i + theta) / g) "
                "<= max(rtol sqrt(F(start)), atol)",
            )  # fmt: skip
        return Certificate(
            value, self.unit, name="coordinate-wise residual",
            statement="max_i |t_i| sqrt((c_i + theta) / g) <= max(rtol sqrt(F(start)), atol)",
        )  # fmt: skip

    def admit(self, x0: Any, name: str = "x0") -> Any:
        """A user's point, at which g must be positive."""
        x0 = super().admit(x0, name)
        self._positive(name, x0)
        return x0

    def _positive(self, name: str, x: Any) -> None:
        value = self.g.value(np.asarray(self.nearest(np.asarray(x)), np.float64))
        if not 0 < value < math.inf:
            refuse(
                ValueError, name, given=f"a point with denominator {value}",
                needed="one where g is positive", advice="Begin elsewhere, for example not at 0.",
            )  # fmt: skip

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host."""
        return "host"

    def prepare(self, engine: Engine) -> Any:
        """The same problem with terms in double precision: points keep their own."""

        def double(term: Any) -> Any:
            changes = {
                name: np.array(value, np.float64, order="C")
                for name, value in vars(term).items()
                if isinstance(value, np.ndarray)
            }
            return term.but(**changes)

        return self.but(f=double(self.f), g=double(self.g))

    def form(self) -> str:
        return type(self.g).__name__

    def default_method(self) -> Any:
        """Coordinate descent."""
        from resolvent.composite.ratios.fractional_coordinate_descent import (
            FractionalCoordinateDescent,
        )

        return FractionalCoordinateDescent()

    def describe(self) -> str:
        """The unknowns and the terms."""
        names = (type(term).__name__ for term in (self.f, self.h, self.g))
        return f"FractionalProgram({self.f.n} unknowns, {', '.join(names)})"
