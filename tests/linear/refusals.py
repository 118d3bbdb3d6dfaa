"""What tests of bad input share: refusals in the library's voice, and the truth about a point."""

import warnings

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

import resolvent as rs
from resolvent._core import registry

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
REFUSED = (ValueError, TypeError)
METHODS = registry.methods("linear")
CG = rs.linear.CG


def refused(call, *, kind=REFUSED):
    """The message of a refusal; anything but the library's own voice fails."""
    with pytest.raises(kind, match=VOICE) as caught:
        call()
    assert caught.value.__cause__ is None
    return str(caught.value)


def in_words(error):
    """Whether it is the library that speaks."""
    assert "; needed " in str(error), f"not the library's voice: {error!r}"
    return True


def solve_or_refuse(matrix, rhs, method=None, **options):
    """A solution that tells the truth, or None for a refusal in words. Warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            sol = rs.solve(rs.LinearSystem(matrix, rhs), method, throw=False, **options)
        except REFUSED as error:
            in_words(error)
            return None
    return sol


def truth(matrix, rhs, x):
    """||b - A x|| / ||b|| in extended precision, where products do not overflow."""
    A, b, x = (np.asarray(one, np.longdouble) for one in (matrix, rhs, x))
    size = np.sqrt((b * b).sum())
    gap = np.sqrt(((b - (A * x).sum(axis=1)) ** 2).sum())
    return 0.0 if gap == 0 else float(gap / size) if size > 0 else np.inf


def host(function, shape=(3, 3), dtype=np.float64):
    """A SciPy operator, which runs on the host."""
    return LinearOperator(shape, matvec=function, dtype=dtype)
