"""Rows <A, X> <= b whose unknowns are the entries of a symmetric matrix, row by row."""

import math
from typing import Any

import numpy as np
import scipy.sparse

from resolvent._core.checks import refuse
from resolvent._core.definite import check_definite


def check_covariance(c: Any, weights: Any) -> None:
    """Refuse what is no positive definite matrix, row by row, or has weights."""
    if weights is not None:
        refuse(
            ValueError, "weights", given="some for the function 'logdet'", needed="None",
            advice="It has no weights: scale the centre, or the rows.",
        )  # fmt: skip
    d = math.isqrt(c.size)
    if d * d != c.size:
        refuse(
            ValueError, "centre", given=f"{c.size} entries", needed="d^2 of them for 'logdet'",
            advice="Give a square matrix, raveled.",
        )  # fmt: skip
    advice = "Give a covariance, such as the identity."
    check_definite("centre", c.reshape(d, d), d, singular=False, advice=advice)


def symmetric(name: str, A: Any) -> Any:
    """Rows whose entries are those of matrices, with their symmetric parts."""
    d = math.isqrt(A.shape[1])
    turned = np.arange(d * d).reshape(d, d).T.ravel()
    found = scipy.sparse.csr_array(0.5 * (A + A[:, turned]))
    found.eliminate_zeros()
    if (np.diff(found.indptr) == 0).any():
        refuse(
            ValueError, name, given="a row without a symmetric part", needed="none such",
            advice="It is 0 for all symmetric matrices: leave it out.",
        )  # fmt: skip
    return found
