"""What the preconditioned Krylov methods share: a preconditioner, set up once a solve."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import refuse
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent.linear.preconditioners import Preconditioner


class PreconditionedMethod(Method):
    """A Krylov method with an optional preconditioner."""

    @property
    def M(self) -> Preconditioner | None:
        """The preconditioner, or None."""
        # The field stands in the subclass, behind its own parameters.
        return vars(self)["preconditioner"]

    def runs_on(self) -> tuple[Engine, ...]:
        M = self.M
        if M is None:
            return self.engines
        return tuple(engine for engine in self.engines if engine in M.engines)

    def bind(self, problem: Any) -> Any:
        M = self.M
        if M is None:
            return self
        ready = M.setup(problem)
        return self if ready is M else self.but(preconditioner=ready)

    def check(self, problem: Any) -> None:
        M = self.M
        if M is None:
            return
        if not isinstance(M, Preconditioner):
            refuse(
                TypeError, "preconditioner", given=f"a {type(M).__name__}",
                needed="a Preconditioner",
                advice="Wrap a function in resolvent.linear.FunctionPreconditioner.",
            )  # fmt: skip
        if "symmetric" in self.needs and not M.symmetric:
            refuse(
                ValueError, "preconditioner",
                given=f"{type(M).__name__}, which is not symmetric positive definite",
                needed=f"a symmetric positive definite one for {self.name}",
                advice="Use GMRES, BiCGStab or GCRO-DR with it.",
            )  # fmt: skip
        unmet = problem.missing(tuple(need for need in M.needs if need not in self.needs))
        if unmet is not None:
            need, why = unmet
            refuse(
                ValueError, "preconditioner",
                given=f"{type(M).__name__} for a problem where {why}",
                needed=f"a problem that is or has: {need.replace('_', ' ')}",
                advice="Use another preconditioner.",
            )  # fmt: skip

    def limit(self, problem: Any) -> int:
        return max(1000, 10 * problem.n)

    def count(self, products: Any, applied: Any) -> dict[str, Any]:
        """The counted calls: a preconditioner may multiply with A, in its set-up as well."""
        M = self.M
        if M is None:
            return {"matvec": products}
        matvec = M.spent + products + applied * M.products
        return {"matvec": matvec, "precondition": applied}

    def _apply(self, r: Any) -> Any:
        M = self.M
        return r if M is None else checked(M, M.apply(r), r)

    def __str__(self) -> str:
        M = self.M
        return self.name if M is None else f"{self.name} with {M}"


def checked(M: Preconditioner, z: Any, r: Any) -> Any:
    """What a preconditioner returned, if it is a vector like the one that it was given."""
    shape = getattr(z, "shape", None)
    if shape == r.shape and z.dtype == r.dtype:
        return z
    if shape != r.shape or z.dtype.kind not in "fiub":
        what = f"{z.dtype}{list(shape)}" if shape is not None else type(z).__name__
        refuse(
            ValueError, "preconditioner", given=f"{what} from {type(M).__name__}",
            needed=f"real numbers of shape {list(r.shape)}", advice="Look at what it returns.",
        )  # fmt: skip
    return z.astype(r.dtype)


_ONE_THREAD = 4096  # entries up to which BLAS stays on one thread


def dot(a: Any, b: Any) -> Any:
    """The inner product of two vectors, without waking BLAS threads on the host."""
    if isinstance(a, np.ndarray):
        return a.dot(b) if a.size <= _ONE_THREAD else np.einsum("i,i->", a, b)
    return jnp.vdot(a, b)


def copied(state: Any) -> Any:
    """A host state in arrays of its own, for a step that must leave the first one alone."""
    return jax.tree_util.tree_map(
        lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, state
    )


def namespace(x: Any) -> Any:
    """`numpy` or `jax.numpy`, after the kind of the array."""
    return np if isinstance(x, np.ndarray) else jnp
