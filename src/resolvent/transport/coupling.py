"""The answer of a transport problem: two potentials, and everything that follows from them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float

from resolvent._core.checks import is_traced, nonnegative, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.value import Value
from resolvent.transport import softmin as sums
from resolvent.transport.rounding import Rounded, round_potentials


class Potentials(NamedTuple):
    """What the methods of this family iterate on.

    Attributes:
        f: potential of the sources, shape (n,), in the unit of the costs.
        g: potential of the targets, shape (m,).
    """

    f: Any
    g: Any


class Coupling(Value):
    """A plan that is known by its potentials; whatever is asked of it is computed then.

    `P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)`. It is what a solve of `EntropicTransport`
    returns as `solution.x`, and a solution hands these attributes through: `solution.plan` is
    `solution.x.plan`. Under JAX transformations all but `sparse_plan`, `rounded` and `gap` are
    differentiable functions of the problem's data. In a batch, arrays have a leading axis.

    Args:
        f: potential of the sources, shape (n,), in the unit of the costs.
        g: potential of the targets, shape (m,).
        problem: the `EntropicTransport` that they belong to.

    Example:
        ```python
        import numpy as np, resolvent as rs
        half = np.full(2, 0.5)
        problem = rs.EntropicTransport(np.array([[0.0, 1.0], [1.0, 0.0]]), half, half, 0.1)
        uniform = rs.transport.Coupling(np.zeros(2), np.zeros(2), problem)
        assert uniform.plan.shape == (2, 2)
        ```
    """

    f: Any
    g: Any
    problem: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return self.f.shape[-1], self.g.shape[-1]

    @property
    def T(self) -> "Coupling":
        """The same plan from the targets to the sources."""
        return Coupling(self.g, self.f, self.problem.T)

    @property
    def potentials(self) -> Potentials:
        """The potentials, with the constant that balanced ones may exchange fixed: <a,f> = <b,g>.

        `f` and `g` themselves are as the method left them.
        """
        return self._each(_centered)

    @property
    def plan(self) -> Float[Any, "n m"]:
        """The plan as a dense array; all of it is computed and stored."""
        return self._each(_plan)

    @property
    def cost(self) -> Any:
        """<C, P>, without the regularization; nothing of size n x m is stored."""
        return self._each(lambda one: sums.total_cost(*one._arguments()))

    @property
    def marginals(self) -> tuple[Float[Any, " n"], Float[Any, " m"]]:
        """Row sums P 1 and column sums P^T 1."""
        return self._each(lambda one: sums.marginals(*one._arguments()))

    @property
    def rows(self) -> Float[Any, " n"]:
        """Row sums P 1."""
        return self.marginals[0]

    @property
    def columns(self) -> Float[Any, " m"]:
        """Column sums P^T 1."""
        return self.marginals[1]

    @property
    def value(self) -> Any:
        """The dual objective: at most the regularized optimum, and equal to it at the answer."""
        return self._each(lambda one: one.problem.dual(Potentials(one.f, one.g), one.marginals[0]))

    @property
    def rounded(self) -> Rounded:
        """The plan moved onto the transport polytope, matrix-free (balanced problems)."""
        one = self._on_host("rounded")
        problem = one.problem
        if not problem.balanced:
            refuse(
                ValueError, "rounded", given="a problem with a penalty on its marginals",
                needed="marginals that are held exactly", advice="Every plan is admissible there.",
            )  # fmt: skip
        arguments = problem.cost, problem.epsilon, one.f, one.g, problem.a, problem.b
        return round_potentials(*arguments)

    @property
    def gap(self) -> float:
        """An upper bound of the duality gap, by which no admissible plan can be better."""
        one = self._on_host("gap")
        return one.problem.gap(Potentials(one.f, one.g))

    def apply(
        self, v: Float[Any, " m"] | Float[Any, "m k"]
    ) -> Float[Any, " n"] | Float[Any, "n k"]:
        """P v, for v of shape (m,) or (m, k); in a batch, one v for all members."""
        v = real_array("v", v)
        if v.ndim not in (1, 2) or v.shape[0] != self.shape[1]:
            refuse(
                ValueError, "v", given=f"shape {v.shape}",
                needed=f"shape ({self.shape[1]},) or ({self.shape[1]}, k)",
                advice="The way back is coupling.T.apply(u).",
            )  # fmt: skip
        if not isinstance(self.f, np.ndarray):
            v = jnp.asarray(v, self.f.dtype)
        return self._each(lambda one: _applied(one, v))

    def project(self, v: Float[Any, " m"] | Float[Any, "m k"]) -> Any:
        """The mean of v over what each source is sent to: P v / P 1, 0/0 = 0.

        For target positions v this is the barycentric map of the sources.
        """
        sent, mass = self.apply(v), self.rows
        xp = np if isinstance(mass, np.ndarray) else jnp
        mass = mass.reshape(mass.shape + (1,) * (sent.ndim - mass.ndim))
        return xp.where(mass > 0, sent / xp.where(mass > 0, mass, 1.0), 0.0)

    def sparse_plan(self, threshold: float) -> Any:
        """The entries of the plan that are above `threshold`, as a SciPy CSR array.

        Args:
            threshold: in the unit of the masses; zero keeps every entry that is not zero.
        """
        threshold = nonnegative("threshold", threshold)
        one = self._on_host("sparse_plan", double=False)
        data, indices, counts = [], [], [0]
        least = math.log(threshold) if threshold > 0 else -math.inf
        for _, _, _, logs in sums.exponent_blocks(*one._arguments()):
            kept = logs > least
            data.append(np.exp(logs[kept]))
            indices.append(np.nonzero(kept)[1])
            counts.extend((counts[-1] + np.cumsum(kept.sum(1))).tolist())
        entries = np.concatenate(data), np.concatenate(indices), counts
        plan = sparse.csr_array(entries, self.shape)
        plan.eliminate_zeros()  # a finite logarithm may belong to an entry that underflows
        return plan

    def __getitem__(self, index: int) -> "Coupling":
        """One member of a batch."""
        if np.ndim(self.f) < 2:
            raise IndexError("this coupling is not a batch")
        leaves, structure = jax.tree_util.tree_flatten(self)
        axes = self._axes(leaves)
        with scope(not is_traced(self) and needs_double(self)):
            members = [
                leaf if axis is None else leaf[index]
                for leaf, axis in zip(leaves, axes, strict=True)
            ]
        return jax.tree_util.tree_unflatten(structure, members)

    def _arguments(self) -> tuple[Any, ...]:
        problem = self.problem
        logs = problem.log_a, problem.log_b
        if not isinstance(self.f, np.ndarray):
            logs = sums.soft_log(problem.a), sums.soft_log(problem.b)
        return problem.cost, problem.epsilon, self.f, self.g, *logs

    def _axes(self, leaves: list[Any]) -> list[int | None]:
        ranks = (1, 1, *self.problem.ranks)
        return [0 if np.ndim(leaf) > r else None for leaf, r in zip(leaves, ranks, strict=True)]

    def _each(self, work: Callable[["Coupling"], Any]) -> Any:
        """`work` on this coupling, or on every member of a batch."""
        traced = is_traced(self)
        with scope(not traced and needs_double(self)), np.errstate(all="ignore"):
            if np.ndim(self.f) == 1:
                return work(self)
            if isinstance(self.f, np.ndarray):
                done = [self[i]._each(work) for i in range(len(self.f))]
                return jax.tree_util.tree_map(lambda *leaves: np.stack(leaves), *done)
            leaves, structure = jax.tree_util.tree_flatten(self)

            def member(*leaves: Any) -> Any:
                return jax.tree_util.tree_unflatten(structure, leaves)._each(work)

            return jax.vmap(member, in_axes=tuple(self._axes(leaves)))(*leaves)

    def _on_host(self, name: str, double: bool = True) -> "Coupling":
        if is_traced(self) or np.ndim(self.f) != 1:
            refuse(
                TypeError, name,
                given="a coupling inside a JAX transformation" if is_traced(self) else "a batch",
                needed="one coupling of known numbers",
                advice="Ask for it outside of jit, vmap and grad." if is_traced(self) else
                "Take one member, solution.x[i].",
            )  # fmt: skip
        if double:
            problem, dtype = self.problem.double(), np.float64
        else:
            problem, dtype = self.problem.prepare("host"), self.f.dtype
        return Coupling(np.asarray(self.f, dtype), np.asarray(self.g, dtype), problem)


def _centered(one: Coupling) -> Potentials:
    problem, f, g = one.problem, one.f, one.g
    if not problem.balanced:
        return Potentials(f, g)
    shift = (problem.b @ g - problem.a @ f) / (problem.a.sum() + problem.b.sum())
    return Potentials(f + shift, g - shift)


def _applied(one: Coupling, v: Any) -> Any:
    arguments: Any = (*one._arguments(), v)
    return sums.apply(*arguments)


def _plan(one: Coupling) -> Any:
    P = sums.plan(*one._arguments())
    if isinstance(P, np.ndarray):
        return P
    # No mass is exactly no mass; the derivative of what there would be stays.
    a, b = one.problem.a, one.problem.b
    none = (a <= 0)[:, None] | (b <= 0)[None, :]
    return P - jax.lax.stop_gradient(jnp.where(none, P, 0.0))
