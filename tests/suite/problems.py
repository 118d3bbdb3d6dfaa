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

from suite.barycenters import Barycenters
from suite.bridges import Bridges
from suite.linear import Linear
from suite.transport import Entropic

import resolvent as rs
from resolvent._core import registry
from resolvent.transport.schrodinger import SchrodingerBridge

HOUSES = {
    rs.LinearSystem: Linear(),
    rs.EntropicTransport: Entropic(),
    rs.EntropicBarycenter: Barycenters(),
    SchrodingerBridge: Bridges(),
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A method of a family on one of its engines."""

    family: str
    cls: Any
    engine: str

    @property
    def house(self) -> Any:
        return HOUSES[self.cls.solves[0]]

    @property
    def method(self) -> Any:
        return self.cls()

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


def houses_with(attribute: str, pairs: list[Pair] = PAIRS) -> list[Pair]:
    """The pairs whose house has something that not every house has."""
    return [pair for pair in pairs if hasattr(pair.house, attribute)]
