"""The answer of a barycenter problem: potentials, and everything that follows from them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import is_traced, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.value import Value
from resolvent.transport.coupling import Coupling


class BarycenterPotentials(NamedTuple):
    """What methods for barycenters iterate on.

    Attributes:
        g: potential of each measure, shape (m_k,), in the unit of the costs.
        h: potential of the barycenter against itself, shape (n,); None where not debiased.
    """

    g: tuple[Any, ...]
    h: Any


class Barycenter(Value):
    """A barycenter that is known by its potentials; whatever is asked of it is computed then.

    It is what a solve of `EntropicBarycenter` returns as `solution.x`, and a solution hands these
    attributes through: `solution.masses` is `solution.x.masses`. Under JAX transformations they are
    differentiable functions of the problem's data. In a batch, arrays have a leading axis.

    Args:
        g: potential of each measure, shape (m_k,), in the unit of the costs.
        h: potential of the barycenter against itself, shape (n,); None where not debiased.
        problem: the `EntropicBarycenter` that they belong to.

    Example:
        ```python
        import numpy as np, resolvent as rs
        swap, masses = np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2)
        problem = rs.EntropicBarycenter(swap, masses, None, 0.1)
        sol = rs.solve(problem, rtol=1e-9)
        assert np.allclose(sol.masses, 0.5) and len(sol.couplings) == 2
        ```
    """

    g: tuple[Any, ...]
    h: Any
    problem: Any

    @property
    def potentials(self) -> BarycenterPotentials:
        """The potentials as methods know them."""
        return BarycenterPotentials(self.g, self.h)

    @property
    def masses(self) -> Float[Any, " n"]:
        """The barycenter: masses on the support, of the measures' total up to the certificate."""
        return self._each(_masses)

    @property
    def couplings(self) -> tuple[Coupling, ...]:
        """The transport plan onto each measure, with all that a `Coupling` offers.

        They start from the barycenter brought to the exact total of the measures.
        """
        if np.ndim(self.g[0]) != 1:
            refuse(
                TypeError, "couplings", given="a batch", needed="one barycenter",
                advice="Take one member, solution.x[i].",
            )  # fmt: skip
        return self._each(_couplings)

    def __getitem__(self, index: int) -> "Barycenter":
        """One member of a batch."""
        if np.ndim(self.g[0]) < 2:
            raise IndexError("this barycenter is not a batch")
        leaves, structure = jax.tree_util.tree_flatten(self)
        with scope(not is_traced(self) and needs_double(self)):
            members = [
                leaf if axis is None else leaf[index]
                for leaf, axis in zip(leaves, self._axes(leaves), strict=True)
            ]
        return jax.tree_util.tree_unflatten(structure, members)

    def _fitted(self) -> tuple[Any, Any]:
        fit = _fit if isinstance(self.g[0], np.ndarray) else _compiled_fit
        return fit(self.problem, self.potentials)

    def _axes(self, leaves: list[Any]) -> list[int | None]:
        potentials = len(self.g) + (self.h is not None)
        ranks = (*(1 for _ in range(potentials)), *self.problem.ranks)
        return [0 if np.ndim(leaf) > r else None for leaf, r in zip(leaves, ranks, strict=True)]

    def _each(self, work: Callable[["Barycenter"], Any]) -> Any:
        """`work` on this barycenter, or on every member of a batch."""
        with scope(not is_traced(self) and needs_double(self)), np.errstate(all="ignore"):
            if np.ndim(self.g[0]) == 1:
                return work(self)
            if isinstance(self.g[0], np.ndarray):
                return np.stack([self[i]._each(work) for i in range(len(self.g[0]))])
            leaves, structure = jax.tree_util.tree_flatten(self)

            def member(*leaves: Any) -> Any:
                return jax.tree_util.tree_unflatten(structure, leaves)._each(work)

            return jax.vmap(member, in_axes=tuple(self._axes(leaves)))(*leaves)


def _fit(problem: Any, x: BarycenterPotentials) -> tuple[Any, Any]:
    """The barycenter of potentials, and what fits the rows of its plans."""
    rows = problem.rows(x, soft=not isinstance(x.g[0], np.ndarray))
    return problem.barycenter(rows), rows


# Outside of transformations too: loops over the measures would be compiled at every call.
_compiled_fit = jax.jit(_fit)


def _masses(one: Barycenter) -> Any:
    return one._fitted()[0]


def _couplings(one: Barycenter) -> tuple[Coupling, ...]:
    problem = one.problem
    a, rows = one._fitted()
    a = a * (problem.scale(None) / a.sum())
    return tuple(
        Coupling(f, g, problem.coupling_problem(k, a))
        for k, (f, g) in enumerate(zip(rows.soft, one.g, strict=True))
    )
