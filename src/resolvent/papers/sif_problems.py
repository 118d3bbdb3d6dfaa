"""Problems of the CUTEst set, read from the package sif2jax, in the forms that methods here solve.

The package is optional (`pip install sif2jax`); it carries the functions, standard starts, bounds
and, for many, the least value. All is in double precision, vectors are flat.
"""

import functools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import one_of
from resolvent._core.trees import raveled, unraveled
from resolvent.constrained.problem import ConstrainedProblem
from resolvent.papers._sif_catalogue import catalogue, problem_class
from resolvent.papers._sif_senses import AT_MOST, WIDTHS
from resolvent.smooth.problem import Minimize

KINDS = ("unconstrained", "bounded", "constrained", "equations")
_INFINITE = 1e20  # what CUTEst writes for no bound


def sif_names(kind: str, most: int | None = None) -> list[str]:
    """The names of all problems of a kind, in alphabetical order.

    Args:
        kind: "unconstrained", "bounded" for bounds alone, "constrained", or "equations" without
            an objective.
        most: the largest number of unknowns; None for no limit.

    Returns:
        The names.

    Raises:
        ValueError: for another kind.
        ModuleNotFoundError: where sif2jax is not installed.

    Example:
        ```python
        import importlib.util, pytest
        from resolvent.papers.sif_problems import sif_names
        if importlib.util.find_spec("sif2jax") is None:
            pytest.skip("sif2jax is not installed")
        assert "HS7" in sif_names("constrained", most=2)
        ```
    """
    one_of("kind", kind, KINDS)
    found = [name for name, entry in catalogue().items() if entry.kind == kind]
    return [name for name in found if most is None or _size(name) <= most]


def sif_problem(name: str, start: int | None = None) -> Minimize | ConstrainedProblem:
    """A problem of the CUTEst set by its name.

    Its first guess is the standard one. Inequalities g(x) >= 0 of the set become -g(x) <= 0, and
    rows of them that hold for any x, because a side of theirs is infinite, are left out. Some rows
    that the package gives are to be at most 0 in the set, or have an upper limit too: up to 200
    unknowns these are read as the set means them, and the upper limits are the last rows.

    Args:
        name: as in the set, such as "HS7".
        start: which of the standard starts, for the few problems with several; None for the first.

    Returns:
        `Minimize` without constraints, else `ConstrainedProblem`; arrays of NumPy, float64.

    Raises:
        ValueError: for an unknown name.
        ModuleNotFoundError: where sif2jax is not installed.

    Example:
        ```python
        import importlib.util, pytest, resolvent as rs
        from resolvent.papers.sif_problems import sif_problem
        if importlib.util.find_spec("sif2jax") is None:
            pytest.skip("sif2jax is not installed")
        sol = rs.solve(sif_problem("HS7"), rtol=1e-8)
        assert abs(sol.x[1] - 3**0.5) < 1e-6
        ```
    """
    with jax.enable_x64(True):
        source = _source(name, start)
        first = source.y0
        arrays, plain = eqx.partition((source, source.args), eqx.is_array)
        form = _Form(plain, jax.tree_util.tree_map(np.array, first))
        # What a problem holds travels as data: constants of a program may lose their precision.
        arrays = jax.tree_util.tree_map(np.array, arrays)
        x0 = np.array(raveled(first), np.float64)
        kind = catalogue()[name].kind
        if kind == "unconstrained":
            return Minimize(form.objective, (arrays, None), x0=x0)
        c, g = (None, None) if kind == "bounded" else source.constraint(first)
        sides = _sides(name, np.zeros(0) if g is None else np.array(raveled(g)))
        return ConstrainedProblem(
            form.objective,
            None if c is None else form.equalities,
            form.inequalities if sides.rows.size else None,
            _bounds(source),
            (arrays, sides),
            x0=x0,
        )


def sif_least(name: str) -> float | None:
    """The least value of the objective that the set knows of, None where it tells none.

    Args:
        name: as in the set.

    Returns:
        A number or None.

    Raises:
        ValueError: for an unknown name.
        ModuleNotFoundError: where sif2jax is not installed.

    Example:
        ```python
        import importlib.util, pytest
        from resolvent.papers.sif_problems import sif_least
        if importlib.util.find_spec("sif2jax") is None:
            pytest.skip("sif2jax is not installed")
        assert abs(sif_least("HS7") + 3**0.5) < 1e-6
        ```
    """
    with jax.enable_x64(True):
        value = _source(name).expected_objective_value
        return None if value is None else float(value)


class _Form:
    """The functions of a problem, of flat vectors and of the arrays that it holds."""

    def __init__(self, plain: Any, like: Any):
        self.plain, self.like = plain, like

    def _point(self, x: Any) -> Any:
        return unraveled(x, jax.tree_util.tree_map(lambda leaf: leaf.astype(x.dtype), self.like))

    def _of(self, arrays: Any) -> Any:
        return eqx.combine(self.plain, arrays)

    def objective(self, x: Any, args: Any) -> Any:
        source, data = self._of(args[0])
        return jnp.sum(source.objective(self._point(x), data))

    def equalities(self, x: Any, args: Any) -> Any:
        return raveled(self._of(args[0])[0].constraint(self._point(x))[0])

    def inequalities(self, x: Any, args: Any) -> Any:
        arrays, sides = args
        values = raveled(self._of(arrays)[0].constraint(self._point(x))[1])
        return sides.signs * (values[sides.rows] - sides.limits)


class _Sides(NamedTuple):
    """signs (g(x)[rows] - limits) <= 0 are the inequalities of a problem."""

    rows: Any
    signs: Any
    limits: Any


def _sides(name: str, values: Any) -> _Sides:
    signs = np.full(values.size, -1.0)
    signs[AT_MOST.get(name, [])] = 1.0
    held = np.flatnonzero(np.isfinite(values))
    wide, width = WIDTHS.get(name, ([], 0.0))
    wide = np.arange(values.size)[wide]
    return _Sides(
        np.concatenate([held, wide]),
        np.concatenate([signs[held], np.ones(wide.size)]),
        np.concatenate([np.zeros(held.size), np.full(wide.size, width)]),
    )


def _source(name: str, start: int | None = None) -> Any:
    cls = problem_class(name)
    return cls() if start is None else cls(y0_iD=start)


@functools.cache
def _size(name: str) -> int:
    with jax.enable_x64(True):
        source = _source(name)
        like = jax.eval_shape(lambda: source.y0)
    return sum(math.prod(leaf.shape) for leaf in jax.tree_util.tree_leaves(like))


def _bounds(source: Any) -> tuple[Any, Any] | None:
    if source.bounds is None:
        return None
    low, high = (np.array(raveled(part), np.float64) for part in source.bounds)
    low[low <= -_INFINITE], high[high >= _INFINITE] = -np.inf, np.inf
    return None if np.isinf(low).all() and np.isinf(high).all() else (low, high)
