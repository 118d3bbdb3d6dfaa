"""Which rules of block methods go together, and with which problems."""

from typing import Any

import numpy as np

from resolvent._core.checks import refuse
from resolvent.composite.blocks.models import known_terms
from resolvent.composite.quadratic import Quadratic
from resolvent.functions import Everything, LeastSquares, SquaredL2


def admit(method: Any, problem: Any) -> None:
    """Refuse a method whose rules do not suit a problem."""
    terms = known_terms(problem)
    if terms is None:
        penalty = problem.g if isinstance(problem, Quadratic) else problem.penalty
        refuse(
            ValueError, "penalty", given=f"a {type(penalty).__name__}",
            needed="a sum over coordinates that is known here",
            advice="ProximalGradient takes any penalty with a prox.",
        )  # fmt: skip
    loss = None if isinstance(problem, Quadratic) else problem.loss
    fixed = loss is None or isinstance(loss, LeastSquares)
    if loss is not None and not np.isfinite(float(loss.smoothness)):
        _unbounded(method, type(loss).__name__)
    _rules(method, fixed)
    if method.partition in ("coloring", "tree", "forest"):
        _graph(method, problem)
    if method.update == "two-metric":
        floors = np.isin(terms.lower, (0.0, -np.inf)).all() and (terms.upper == np.inf).all()
        if not terms.convex or not floors:
            refuse(
                ValueError, "update", given="'two-metric' with a penalty that is not convex, or "
                "bounds other than x >= 0", needed="x >= 0, or l1 penalties, or none",
                advice="Use update='newton'.",
            )  # fmt: skip
    if method.partition == "given":
        size = problem.unknowns()
        members = np.sort(np.concatenate([np.ravel(block) for block in method.blocks]))
        if members.dtype.kind not in "iu" or not np.array_equal(members, np.arange(size)):
            refuse(
                ValueError, "blocks", given=f"{members.size} indices for {size} unknowns",
                needed="each index from 0 on in exactly one block",
                advice="Blocks of your own make a partition: look for repeats and gaps.",
            )  # fmt: skip


def _unbounded(method: Any, loss: str) -> None:
    """Refuse rules that need a bound of the curvature."""
    known = method.constants == "known"
    if method.update == "matrix" or (method.update == "gradient" and known):
        refuse(
            ValueError, "update", given=f"'{method.update}' for {loss}, whose curvature has no "
            "bound", needed="update='newton', or 'gradient' with constants='searched'",
            advice="A line search then finds how far to go.",
        )  # fmt: skip
    greedy = method.selection in ("gsl", "gsd", "gsq", "lipschitz") and known
    if greedy or method.partition not in ("variable", "order", "random", "given"):
        refuse(
            ValueError, "selection", given=f"'{method.selection}' on '{method.partition}' blocks "
            f"for {loss}, whose curvature has no bound",
            needed="a rule without constants: 'gs', 'cyclic' or 'random' on blocks of any size",
            advice="Use selection='gs'.",
        )  # fmt: skip


def _rules(method: Any, fixed: bool) -> None:
    if method.selection == "mi" and (not fixed or method.partition == "variable"):
        refuse(
            ValueError, "selection", given="'mi' for variable blocks, or a loss that is not "
            "quadratic", needed="a quadratic with fixed blocks, where it is what 'gsq' chooses",
            advice="Use selection='gsq'.",
        )  # fmt: skip
    if method.selection == "gsl" and method.partition in ("variable", "forest"):
        refuse(
            ValueError, "selection", given="'gsl' for variable blocks",
            needed="fixed blocks: the constants of all possible ones are too many",
            advice="Use selection='gsd'.",
        )  # fmt: skip


def _graph(method: Any, problem: Any) -> None:
    g = problem.g if isinstance(problem, Quadratic) else None
    plain = isinstance(g, Everything) or (
        isinstance(g, SquaredL2) and g.center is None and g.domain is None
    )
    if not plain or method.update not in ("matrix", "newton"):
        refuse(
            ValueError, "partition", given=f"'{method.partition}' for {problem.describe()} with "
            f"update='{method.update}'",
            needed="a Quadratic without a penalty, and update='matrix'",
            advice="Systems on forests are solved for those; use 'variable' blocks otherwise.",
        )  # fmt: skip
    allowed = ("gs", "gsd", "random") if method.partition == "forest" else (
        "gs", "gsd", "random", "cyclic")  # fmt: skip
    if method.selection not in allowed:
        refuse(
            ValueError, "selection", given=f"'{method.selection}' for '{method.partition}' blocks",
            needed=" or ".join(f"'{name}'" for name in allowed),
            advice="Others need a dense matrix a block.",
        )  # fmt: skip
