"""Resolvent: iterative methods that prove what they return and remember what they learned.

`import resolvent as rs`, then `rs.solve(problem, method)`. Problems and the front door are here;
methods are in their families, as in `rs.linear.CG()`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resolvent import composite as composite
    from resolvent import constrained as constrained
    from resolvent import estimators as estimators
    from resolvent import fixed_point as fixed_point
    from resolvent import functions as functions
    from resolvent import inclusion as inclusion
    from resolvent import linear as linear
    from resolvent import smooth as smooth
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
    from resolvent.composite.denoising import (
        TotalVariationDenoising as TotalVariationDenoising,
    )
    from resolvent.composite.fractional import FractionalProgram as FractionalProgram
    from resolvent.composite.generalized_linear import GeneralizedLinear as GeneralizedLinear
    from resolvent.composite.linear_separation import LinearSeparation as LinearSeparation
    from resolvent.composite.problem import Composite as Composite
    from resolvent.composite.quadratic_program import QuadraticProgram as QuadraticProgram
    from resolvent.composite.sparse_recovery import SparseRecovery as SparseRecovery
    from resolvent.composite.split import SplitComposite as SplitComposite
    from resolvent.constrained.problem import ConstrainedProblem as ConstrainedProblem
    from resolvent.fixed_point.initial_value import InitialValueProblem as InitialValueProblem
    from resolvent.fixed_point.problem import FixedPoint as FixedPoint
    from resolvent.fixed_point.sequential import Recurrence as Recurrence
    from resolvent.fixed_point.sequential import SequentialSystem as SequentialSystem
    from resolvent.inclusion.bilinear import BilinearGame as BilinearGame
    from resolvent.inclusion.bilinear import MatrixGame as MatrixGame
    from resolvent.inclusion.composite_saddle import CompositeSaddlePoint as CompositeSaddlePoint
    from resolvent.inclusion.finite_games import FiniteGame as FiniteGame
    from resolvent.inclusion.finite_games import QuadraticGame as QuadraticGame
    from resolvent.inclusion.games import Game as Game
    from resolvent.inclusion.games import SaddlePoint as SaddlePoint
    from resolvent.inclusion.problem import Inclusion as Inclusion
    from resolvent.linear.problem import LinearSystem as LinearSystem
    from resolvent.smooth.problem import Minimize as Minimize
    from resolvent.transport.barycenter import EntropicBarycenter as EntropicBarycenter
    from resolvent.transport.problem import EntropicTransport as EntropicTransport
    from resolvent.transport.schrodinger.problem import SchrodingerBridge as SchrodingerBridge

# Names are imported at first use, so that `import resolvent` costs next to nothing.
_HOMES = {
    "BilinearGame": "inclusion.bilinear",
    "Certificate": "_core.solution",
    "Composite": "composite.problem",
    "CompositeSaddlePoint": "inclusion.composite_saddle",
    "ConstrainedProblem": "constrained.problem",
    "DamagedFile": "_core.files",
    "EntropicBarycenter": "transport.barycenter",
    "EntropicTransport": "transport.problem",
    "Entry": "_core.memory",
    "Extrapolated": "_core.warm",
    "FiniteGame": "inclusion.finite_games",
    "FixedPoint": "fixed_point.problem",
    "FractionalProgram": "composite.fractional",
    "Game": "inclusion.games",
    "GeneralizedLinear": "composite.generalized_linear",
    "LinearSeparation": "composite.linear_separation",
    "History": "_core.history",
    "Implicit": "_core.adjoint",
    "Inclusion": "inclusion.problem",
    "InitialValueProblem": "fixed_point.initial_value",
    "LinearSystem": "linear.problem",
    "MatrixGame": "inclusion.bilinear",
    "Memory": "_core.memory",
    "Method": "_core.method",
    "Minimize": "smooth.problem",
    "NotConverged": "_core.solution",
    "Previous": "_core.warm",
    "Problem": "_core.problem",
    "QuadraticGame": "inclusion.finite_games",
    "QuadraticProgram": "composite.quadratic_program",
    "Reason": "_core.solution",
    "Recurrence": "fixed_point.sequential",
    "Report": "_core.driver",
    "SaddlePoint": "inclusion.games",
    "SchrodingerBridge": "transport.schrodinger.problem",
    "SequentialSystem": "fixed_point.sequential",
    "Solution": "_core.solution",
    "SparseRecovery": "composite.sparse_recovery",
    "SplitComposite": "composite.split",
    "TotalVariationDenoising": "composite.denoising",
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
_FAMILIES = (
    "composite", "constrained", "estimators", "fixed_point", "functions", "inclusion", "linear",
    "smooth", "transport",
)  # fmt: skip

__version__ = "0.1.0"
__all__ = [
    "BilinearGame",
    "Certificate",
    "Composite",
    "CompositeSaddlePoint",
    "ConstrainedProblem",
    "DamagedFile",
    "EntropicBarycenter",
    "EntropicTransport",
    "Entry",
    "Extrapolated",
    "FiniteGame",
    "FixedPoint",
    "FractionalProgram",
    "Game",
    "GeneralizedLinear",
    "History",
    "Implicit",
    "Inclusion",
    "InitialValueProblem",
    "LinearSeparation",
    "LinearSystem",
    "MatrixGame",
    "Memory",
    "Method",
    "Minimize",
    "NotConverged",
    "Previous",
    "Problem",
    "QuadraticGame",
    "QuadraticProgram",
    "Reason",
    "Recurrence",
    "Report",
    "SaddlePoint",
    "SchrodingerBridge",
    "SequentialSystem",
    "Solution",
    "SparseRecovery",
    "SplitComposite",
    "TotalVariationDenoising",
    "Unrolled",
    "WarmStart",
    "certify",
    "composite",
    "constrained",
    "estimators",
    "fixed_point",
    "functions",
    "inclusion",
    "linear",
    "load",
    "plot_histories",
    "save",
    "smooth",
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
