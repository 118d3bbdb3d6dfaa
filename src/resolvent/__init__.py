"""Resolvent: iterative methods that prove what they return and remember what they learned.

`import resolvent as rs`, then `rs.solve(problem, method)`. Problems and the front door are here;
methods are in their families, as in `rs.linear.CG()`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resolvent import linear as linear
    from resolvent import transport as transport
    from resolvent._core.adjoint import Implicit as Implicit
    from resolvent._core.adjoint import Unrolled as Unrolled
    from resolvent._core.batch import solve_batch as solve_batch
    from resolvent._core.driver import Report as Report
    from resolvent._core.files import DamagedFile as DamagedFile
    from resolvent._core.files import load as load
    from resolvent._core.files import save as save
    from resolvent._core.history import History as History
    from resolvent._core.memory import Entry as Entry
    from resolvent._core.memory import Memory as Memory
    from resolvent._core.method import Method as Method
    from resolvent._core.plot import plot_histories as plot_histories
    from resolvent._core.problem import Problem as Problem
    from resolvent._core.sequence import solve_sequence as solve_sequence
    from resolvent._core.solution import Certificate as Certificate
    from resolvent._core.solution import NotConverged as NotConverged
    from resolvent._core.solution import Reason as Reason
    from resolvent._core.solution import Solution as Solution
    from resolvent._core.solve import certify as certify
    from resolvent._core.solve import solve as solve
    from resolvent._core.warm import Extrapolated as Extrapolated
    from resolvent._core.warm import Previous as Previous
    from resolvent._core.warm import WarmStart as WarmStart
    from resolvent.linear.problem import LinearSystem as LinearSystem
    from resolvent.transport.barycenter import EntropicBarycenter as EntropicBarycenter
    from resolvent.transport.problem import EntropicTransport as EntropicTransport
    from resolvent.transport.schrodinger.problem import SchrodingerBridge as SchrodingerBridge

# Names are imported at first use, so that `import resolvent` costs next to nothing.
_HOMES = {
    "Certificate": "_core.solution",
    "DamagedFile": "_core.files",
    "EntropicBarycenter": "transport.barycenter",
    "EntropicTransport": "transport.problem",
    "Entry": "_core.memory",
    "Extrapolated": "_core.warm",
    "History": "_core.history",
    "Implicit": "_core.adjoint",
    "LinearSystem": "linear.problem",
    "Memory": "_core.memory",
    "Method": "_core.method",
    "NotConverged": "_core.solution",
    "Previous": "_core.warm",
    "Problem": "_core.problem",
    "Reason": "_core.solution",
    "Report": "_core.driver",
    "SchrodingerBridge": "transport.schrodinger.problem",
    "Solution": "_core.solution",
    "Unrolled": "_core.adjoint",
    "WarmStart": "_core.warm",
    "certify": "_core.solve",
    "load": "_core.files",
    "plot_histories": "_core.plot",
    "save": "_core.files",
    "solve": "_core.solve",
    "solve_batch": "_core.batch",
    "solve_sequence": "_core.sequence",
}
_FAMILIES = ("linear", "transport")

__version__ = "0.1.0"
__all__ = [
    "Certificate",
    "DamagedFile",
    "EntropicBarycenter",
    "EntropicTransport",
    "Entry",
    "Extrapolated",
    "History",
    "Implicit",
    "LinearSystem",
    "Memory",
    "Method",
    "NotConverged",
    "Previous",
    "Problem",
    "Reason",
    "Report",
    "SchrodingerBridge",
    "Solution",
    "Unrolled",
    "WarmStart",
    "certify",
    "linear",
    "load",
    "plot_histories",
    "save",
    "solve",
    "solve_batch",
    "solve_sequence",
    "transport",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"resolvent.{_HOMES[name]}"), name)
    elif name in _FAMILIES:
        value = importlib.import_module(f"resolvent.{name}")
    else:
        raise AttributeError(f"module 'resolvent' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
