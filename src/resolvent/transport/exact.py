"""Transport without regularization, by the solvers that are there: the limit to compare with."""

import importlib
import importlib.util
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment, linprog

from resolvent._core.checks import one_of
from resolvent.transport.problem import EntropicTransport

_SOLVERS = ("auto", "assignment", "network", "highs")


class ExactPlan(NamedTuple):
    """An optimal plan.

    Attributes:
        plan: a SciPy sparse array, shape (n, m), with at most n + m - 1 entries.
        cost: <C, P>, in the unit of the costs times that of the masses.
        solver: who found it.
    """

    plan: Any
    cost: float
    solver: str


def exact_transport(
    cost: Any, a: Float[Any, " n"], b: Float[Any, " m"], *, solver: str = "auto"
) -> ExactPlan:
    """Solve optimal transport without regularization, for tests and comparisons.

    Solves min <C, P> over P >= 0 with P 1 = a and P^T 1 = b. The costs are formed as a dense
    matrix.

    Args:
        cost: a matrix, shape (n, m), or any cost of this family.
        a: masses of the sources, shape (n,).
        b: masses of the targets, shape (m,).
        solver: `assignment` (SciPy, equal masses and n = m), `network` (the network simplex of
            POT, where it is installed), `highs` (SciPy's linear programming), or `auto`: the first
            of these that can.

    Returns:
        The plan, its cost and who found it.

    Raises:
        ValueError: for data that `EntropicTransport` refuses, or a solver that cannot.

    Example:
        ```python
        import numpy as np, resolvent as rs
        cost = np.array([[0.0, 1.0], [1.0, 0.0]])
        best = rs.transport.exact_transport(cost, np.full(2, 0.5), np.full(2, 0.5))
        assert best.cost == 0.0
        ```
    """
    one_of("solver", solver, _SOLVERS)
    problem = EntropicTransport(cost, a, b, 1.0).double()
    C = np.ascontiguousarray(problem.cost.rows(0, problem.shape[0]))
    a, b = problem.a, problem.b
    able = ["highs"]
    if importlib.util.find_spec("ot") is not None:
        able.insert(0, "network")
    if len(a) == len(b) and np.ptp(a) == 0 and np.ptp(b) <= 1e-12 * b.max():
        able.insert(0, "assignment")
    if solver == "auto":
        solver = able[0]
    one_of("solver", solver, able)
    if solver == "assignment":
        rows, columns = linear_sum_assignment(C)
        plan = sparse.coo_array((a, (rows, columns)), C.shape)
    elif solver == "network":
        ot = importlib.import_module("ot")
        plan = sparse.coo_array(ot.emd(a, b, C, numItermax=10_000_000))
    else:
        plan = _highs(C, a, b)
    plan = sparse.csr_array(plan)
    return ExactPlan(plan, float((plan * C).sum()), solver)


def _highs(C: Any, a: Any, b: Any) -> Any:
    n, m = C.shape
    of_rows = sparse.kron(sparse.eye_array(n), np.ones((1, m)))
    of_columns = sparse.kron(np.ones((1, n)), sparse.eye_array(m))
    # One condition follows from the others, and rounding would make it contradict them.
    conditions = sparse.csr_array(sparse.vstack([of_rows, of_columns]))[:-1]
    scale = max(float(C.max()), np.finfo(float).tiny)
    result = linprog(
        C.ravel() / scale, A_eq=conditions, b_eq=np.concatenate([a, b])[:-1] / a.sum(),
        method="highs",
    )  # fmt: skip
    if not result.success:
        raise RuntimeError(f"the linear program of HiGHS ended without an answer: {result.message}")
    return sparse.coo_array(result.x.reshape(n, m) * a.sum())
