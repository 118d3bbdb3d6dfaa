"""Problems that every method of a family must solve, with a referee who knows no JAX.

Each type of problem has a house: it chooses problems by what a method needs, and judges answers in
plain NumPy. A type that enters the registry enters `HOUSES` too; a test says so if it does not.

A house's samples have `problem`, `answer` (as `solve` takes it as a first guess), `scale`,
`measure(x)`, `rounding(dtype)`, `error(x)`, `allowed(value)`, `view(x)`, `arrays` and `like`. What
else the tests ask of a house, `Linear` shows; tests of what not every house has, such as an
`effortless` problem, run for the `houses_with` it.
"""

import dataclasses
from typing import Any

import pytest
from suite.barycenters import Barycenters
from suite.bridges import Bridges
from suite.composites import Regressions
from suite.constrained import Ellipsoids
from suite.fixed_points import FixedPoints
from suite.fractional import Fractionals
from suite.inclusions import Inclusions
from suite.linear import Linear
from suite.metrics import Metrics
from suite.players import Players
from suite.quadratic_programs import Programs
from suite.saddles import Bilinear, Composites
from suite.separation import Separations
from suite.sequential import Sequential
from suite.smooth import Smooths
from suite.sparse import Recoveries
from suite.split import Rows, Splits
from suite.transport import Entropic

import resolvent as rs
from resolvent._core import registry
from resolvent.transport.schrodinger import SchrodingerBridge

HOUSES = {
    rs.LinearSystem: Linear(),
    rs.EntropicTransport: Entropic(),
    rs.EntropicBarycenter: Barycenters(),
    SchrodingerBridge: Bridges(),
    rs.FixedPoint: FixedPoints(),
    rs.SequentialSystem: Sequential(),
    rs.Recurrence: Sequential(),
    rs.QuadraticGame: Players(),
    rs.Inclusion: Inclusions(),
    rs.BilinearGame: Bilinear(),
    rs.CompositeSaddlePoint: Composites(),
    rs.Composite: Regressions(),
    rs.QuadraticProgram: Programs(),
    rs.GeneralizedLinear: Regressions(linear=True),
    rs.SplitComposite: Splits(),
    rs.TotalVariationDenoising: Rows(),
    rs.FractionalProgram: Fractionals(),
    rs.composite.Quadratic: Regressions(linear=True),
    rs.LinearSeparation: Separations(),
    rs.SparseRecovery: Recoveries(),
    rs.Minimize: Smooths(),
    rs.ConstrainedProblem: Ellipsoids(),
    rs.constrained.MetricNearness: Metrics(),
    rs.constrained.CorrelationClustering: Metrics(),
    rs.constrained.Separated: Metrics(),
}

# Their rules compare numbers that rounding alone can order, or divide by differences that are
# hardly more: a program that is compiled in another way may take other steps.
RULED_BY_ROUNDING = {"aitken", "golden-ratio", "proximal-point", "variance-reduced-resolvent"}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A method of a family on one of its engines."""

    family: str
    cls: Any
    engine: str

    @property
    def house(self) -> Any:
        house = HOUSES[self.cls.solves[0]]
        return house.suited(self.cls) if hasattr(house, "suited") else house

    @property
    def method(self) -> Any:
        return self.house.method(self.cls) if hasattr(self.house, "method") else self.cls()

    def __str__(self) -> str:
        return f"{self.cls.__name__}-{self.engine}"


PAIRS = [
    Pair(family, cls, engine)
    for family in registry.FAMILIES
    for cls in registry.methods(family).values()
    for engine in cls().runs_on()
]
TRACED = [pair for pair in PAIRS if pair.engine == "traced"]
HOST = [pair for pair in PAIRS if pair.engine == "host"]
LINEAR = [pair for pair in PAIRS if isinstance(pair.house, Linear)]
CLASSES = [cls for family in registry.FAMILIES for cls in registry.methods(family).values()]


def always(pairs: list[Pair] = PAIRS) -> list[Pair]:
    """One pair a house and engine, its `chief` where it names one, and those that read a memory.

    Of traced methods that read one, a chief stands for its house.
    """
    ordered = sorted(pairs, key=lambda pair: pair.cls.__name__ != _chief(pair))
    # Houses with one chief share it.
    first = {(_chief(pair) or type(pair.house), pair.engine): pair for pair in reversed(ordered)}
    return [
        pair for pair in pairs
        if pair in first.values()
        or (pair.cls.reads and not (pair.engine == "traced" and _chief(pair)))
    ]  # fmt: skip


def _chief(pair: Pair) -> str | None:
    return getattr(pair.house, "chief", None)


def in_full(pairs: list[Pair] = PAIRS) -> list[Any]:
    """All pairs, most of them for the long run alone: for what hardly depends on the method."""
    chosen = always(pairs)
    return [
        pair if pair in chosen else pytest.param(pair, marks=pytest.mark.slow) for pair in pairs
    ]


def a_family(pairs: list[Pair] = PAIRS) -> list[Any]:
    """All pairs, one a family for every run: for what the engine does alike for all of them."""
    first = {pair.family: pair for pair in reversed(always(pairs))}
    return [
        pair if pair in first.values() else pytest.param(pair, marks=pytest.mark.slow)
        for pair in pairs
    ]  # fmt: skip


def houses_with(attribute: str, pairs: list[Pair] = PAIRS) -> list[Pair]:
    """The pairs whose house has something that not every house has."""
    return [pair for pair in pairs if hasattr(pair.house, attribute)]


def near_answer(pair: Pair, sample: Any, x: Any, rtol: float) -> bool:
    """Whether x is as near to the answer as a solve with this tolerance promises."""
    slow = getattr(pair.house, "slow", False)
    return sample.error(x) <= (sample.allowed(rtol * sample.scale) if slow else 10 * rtol)


def same_steps(pair: Pair, one: Any, other: Any) -> bool:
    """Whether two solves took the same steps, as far as their method can."""
    room = max(1, 0.02 * int(other)) if pair.cls.name in RULED_BY_ROUNDING else 0
    return abs(int(one) - int(other)) <= room
