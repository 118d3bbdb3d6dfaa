"""A matrix B that bounds Hessians: symmetric polynomials of it."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, is_traced, real_array, refuse
from resolvent._core.definite import check_definite
from resolvent._core.symmetric_polynomials import dense_traces, elementary_symmetric

HIGHEST = 5  # degree: beyond, the sums behind the coefficients cancel


def coefficients(traces: Any, n: int, degree: int) -> Any:
    """e_{j-1} / e_j for j = 1..degree from tr B, ..., tr B^degree; 0 where e_j is mere rounding.

    They make P_degree / e_degree from products with B, by w <- v - ratio B w.
    """
    xp = jnp if is_traced(traces) or isinstance(traces[0], jax.Array) else np
    scale = traces[0] / n
    # Of a matrix with eigenvalues of mean 1, whose sums do not overflow.
    scaled = [traces[i] / scale ** (i + 1) for i in range(degree)]
    e = elementary_symmetric(scaled)
    ratios, whole = [], xp.asarray(True)
    for j in range(1, degree + 1):
        noise = 100 * float(xp.finfo(xp.asarray(e[j]).dtype).eps) * abs(scaled[0]) ** j
        # Of rank j - 1 there is no further polynomial; NaN stays, and must show.
        whole = whole & ~(abs(e[j]) <= noise)
        ratios.append(xp.where(whole, e[j - 1] / xp.where(whole, e[j], 1) / scale, 0))
    return xp.stack(ratios) if ratios else xp.zeros(0)


def of_matrix(matrix: Any, degree: int) -> Any:
    """The same for a matrix, in double precision where it is not traced."""
    n, degree = matrix.shape[0], min(degree, matrix.shape[0] - 1)
    if degree == 0:
        return np.zeros(0)
    if not is_traced(matrix):
        matrix = np.asarray(matrix, np.float64)
    # The traces of powers of a matrix far from 1 would overflow.
    scale = matrix.trace() / n
    return coefficients(dense_traces(matrix / scale, degree), n, degree) / scale


def preconditioned(ratios: Any, times: Any, v: Any) -> Any:
    """P v / e_degree, `times` the product with B."""
    w = v
    for ratio in ratios:
        factor = jnp.asarray(ratio, v.dtype)
        w = jnp.where(factor != 0, v - factor * times(w), w)
    return w


def admitted(curvature: Any) -> Any:
    """B, rows in lists as an array; functions pass, and sparse matrices do not."""
    if curvature is None or callable(curvature) or is_traced(curvature):
        return curvature
    if hasattr(curvature, "todense"):
        refuse(
            TypeError, "curvature", given=f"a sparse matrix ({type(curvature).__name__})",
            needed="a dense one, or a function v -> B v",
            advice="Pass a function that multiplies by it, such as v -> B @ v for a BCOO matrix of "
            "jax.experimental.sparse.",
        )  # fmt: skip
    return real_array("curvature", curvature) if isinstance(curvature, list | tuple) else curvature


def check_degree(degree: int, advice: str) -> None:
    """Refuse a degree beyond which nothing is left of the coefficients."""
    if degree > HIGHEST:
        refuse(
            ValueError, "degree", given=f"{degree}",
            needed=f"at most {HIGHEST}: the sums behind the coefficients cancel", advice=advice,
        )  # fmt: skip


def check_traces(curvature: Any, traces: Any, degree: int, wanted: bool, advice: str) -> None:
    """Refuse traces that are missing where `wanted`, too few, or would be ignored."""
    if traces is None:
        if wanted and callable(curvature):
            refuse(
                ValueError, "traces", given="None, and a function for B",
                needed=f"the traces of B, ..., B^{degree}", advice=advice,
            )  # fmt: skip
        return
    if not wanted or not callable(curvature):
        refuse(
            ValueError, "traces", given=f"{len(traces)} of them",
            needed="None, unless B is a function and a polynomial is made of it",
            advice="Leave them out.",
        )  # fmt: skip
    if len(traces) < degree:
        refuse(
            ValueError, "traces", given=f"{len(traces)} of them",
            needed=f"those of B, ..., B^{degree}", advice="Or lower the degree.",
        )  # fmt: skip
    for trace in traces:
        between("traces", trace, 0.0, math.inf, "B is semidefinite, and not zero.")


def check_eigenvalues(largest: Any, smallest: Any, variant: str) -> None:
    """Refuse bounds of eigenvalues that are none, or that would be ignored."""
    if largest is not None:
        between("largest", largest, 0.0, math.inf, "It is an eigenvalue.")
    if smallest is not None:
        if variant != "fast":
            refuse(
                ValueError, "smallest", given=f"{smallest} for {variant!r}",
                needed="None", advice="Only the momentum of 'fast' depends on it.",
            )  # fmt: skip
        most = math.inf if largest is None or is_traced(largest) else float(largest)
        closed = "high" if most < math.inf else ""
        between("smallest", smallest, 0.0, most, "It is at most the largest.", closed=closed)


def check(curvature: Any, n: int) -> None:
    """Refuse what is no positive semidefinite matrix of that size; functions pass."""
    if curvature is None or callable(curvature) or is_traced(curvature):
        return
    check_definite(
        "curvature", curvature, n, singular=True,
        advice="It should bound the Hessians of f, such as A^T A for a sum over rows of A x.",
    )  # fmt: skip
