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
        problem = rs.transport.EntropicBarycenter(swap, masses, None, 0.1)
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
        return self._each(lambda one: one.problem.barycenter(one._rows()))

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

    def _rows(self) -> Any:
        return self.problem.rows(self.potentials, soft=not isinstance(self.g[0], np.ndarray))

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


def _couplings(one: Barycenter) -> tuple[Coupling, ...]:
    problem, rows = one.problem, one._rows()
    a = problem.barycenter(rows)
    a = a * (problem.scale(None) / a.sum())
    return tuple(
        Coupling(f, g, problem.coupling_problem(k, a))
        for k, (f, g) in enumerate(zip(rows.soft, one.g, strict=True))
    )
