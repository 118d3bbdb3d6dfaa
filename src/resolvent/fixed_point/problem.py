"""Fixed points x = T(x) of a map between points that may be trees of arrays."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem, as_jax, first_guess
from resolvent._core.value import static


class FixedPoint(TreeProblem):
    """Find x with x = T(x).

    The certificate is the residual `||T(x) - x||`, or, where T is known to be a contraction, the
    bound `||T(x) - x|| / (1 - contraction)` of the distance to the one fixed point.

    A nonexpansive T without a fixed point moves every point by at least its infimal displacement
    vector v, the shortest vector in the closure of all x - T(x). Methods that are told to `detect`
    end with reason `infeasible` and v as the solution's `witness`; the certificate then says in
    its details how long v is (`displacement`), how far it is from the displacement x - T(x) of the
    returned point (`agreement`, relative), and whether `verify` has proved it (`verified`).

    Args:
        fn: T, called as `fn(x)`, or as `fn(x, args)` where `args` is given. It must return what
            has the structure and shapes of x. Maps that JAX can trace run compiled; others, which
            need NumPy arrays, run on the host. An Equinox module is a map whose arrays can be
            differentiated.
        start: the first guess, an array or a tree of arrays; it says what x looks like.
        args: a tree of arrays that T depends on, as an argument of compiled programs.
        contraction: a number q < 1 with `||T(x) - T(y)|| <= q ||x - y||`, if one is known.
        unit: what a relative tolerance refers to, in the unit of x.
        verify: called as `verify(v)`, or `verify(v, args)` where `args` is given, with a vector of
            the structure of x; true if v proves, in terms of the problem behind T, that T has no
            fixed point: for a linear program, that it is infeasible or unbounded.

    Raises:
        TypeError: if `fn` or `verify` cannot be called or `start` holds what is no real number.
        ValueError: if T(start) does not look like `start`, if numbers are not finite, or for a
            contraction outside [0, 1).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.FixedPoint(jnp.cos, jnp.ones(1), contraction=0.85)
        sol = rs.solve(problem, rs.fixed_point.Picard(), rtol=1e-6)
        assert abs(float(sol.x[0]) - 0.739085) < 1e-5
        ```
    """

    fn: Any
    args: Any
    contraction: Any
    verify: Any
    traceable: bool = static()

    def __init__(
        self,
        fn: Callable[..., Any],
        start: Any,
        args: Any = None,
        *,
        contraction: float | None = None,
        unit: float = 1.0,
        verify: Callable[..., Any] | None = None,
    ):
        if not callable(fn):
            refuse(
                TypeError, "fn", given=f"a {type(fn).__name__}", needed="a function x -> T(x)",
                advice="Pass a function, or an Equinox module.",
            )  # fmt: skip
        if verify is not None and not callable(verify):
            refuse(
                TypeError, "verify", given=f"a {type(verify).__name__}",
                needed="a function v -> bool", advice="Pass a function, or None.",
            )  # fmt: skip
        start, numpy = first_guess("start", start)
        if contraction is not None and not is_traced(contraction) and contraction != 0.0:
            between("contraction", contraction, 0.0, 1.0, "T is no contraction otherwise.")
        between("unit", unit, 0.0, math.inf, "It is a size of x.")
        with scope(needs_double((start, args)) and not is_traced((start, args))):
            given = (start,) if args is None else (start, args)
            traceable = _traceable(fn, given, numpy)
            if verify is not None:
                traceable = traceable and _verifiable(verify, given, numpy)
        vars(self).update(
            fn=fn, first=start, args=args, contraction=contraction, unit=unit, verify=verify,
            numpy=numpy, traceable=traceable,
        )  # fmt: skip

    def map(self, x: Any) -> Any:
        """T(x), in the precision of x."""
        image = self.fn(x) if self.args is None else self.fn(x, self.args)
        convert = np.asarray if not self.traceable else jnp.asarray
        return jax.tree_util.tree_map(lambda leaf, like: convert(leaf, like.dtype), image, x)

    def residual(self, x: Any) -> Any:
        """T(x) - x."""
        return trees.minus(self.map(x), x)

    def norm(self, residual: Any) -> Any:
        """The norm of the certificate, in which a contraction contracts."""
        return trees.norm(residual)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||T(x) - x|| <= max(rtol unit, atol)`; over 1 - q for a contraction."""
        residual = self.residual(x)
        value = self.norm(residual)
        details = {} if witness is None else self._displacement(witness, residual, value)
        if self.contraction is None:
            return Certificate(
                value, self.unit, name="fixed-point residual", details=details,
                statement="||T(x) - x|| <= max(rtol unit, atol)",
            )  # fmt: skip
        return Certificate(
            value / (1.0 - self.contraction), self.unit, kind="bound",
            name="distance to the fixed point", details={"residual": value, **details},
            statement="||x - x*|| <= ||T(x) - x|| / (1 - q) <= max(rtol unit, atol)",
        )  # fmt: skip

    def _displacement(self, v: Any, residual: Any, size: Any) -> dict[str, Any]:
        """What the problem itself finds out about a vector that is said to prove it infeasible."""
        long = trees.norm(v)
        apart = trees.norm(trees.plus(v, 1.0, residual))
        largest = long * (long >= size) + size * (long < size)
        return {
            "displacement": long,
            "agreement": apart / (largest + (largest == 0)),
            "verified": self.verified(v),
        }

    def verified(self, v: Any) -> Any:
        """Whether the problem's own check accepts v as a proof that T has no fixed point."""
        if self.verify is None:
            return False
        given = (v,) if self.args is None else (v, self.args)
        convert = jnp.asarray if self.traceable else np.asarray
        long = trees.norm(v)
        return convert(self.verify(*given)).all() & (long > 0) & (long < math.inf)

    def measured(self, size: Any) -> Any:
        """What the certificate makes of a residual of this norm."""
        return size if self.contraction is None else size / (1.0 - self.contraction)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """Traced where JAX can trace T and the method has it, else the host."""
        if self.traceable and "traced" in engines:
            return "traced"
        if "host" in engines:
            return "host"
        refuse(
            TypeError, "fn", given="a map that needs NumPy arrays, for a method that is traced",
            needed="a map that JAX can trace", advice="Write it with jax.numpy.",
        )  # fmt: skip

    def prepare(self, engine: Engine) -> "FixedPoint":
        kind = np.ndarray if engine == "host" else jax.Array
        convert = np.asarray if engine == "host" else as_jax
        given = self.first if engine == "host" else (self.first, self.args)
        parts = [leaf for leaf in trees.leaves(given) if hasattr(leaf, "shape")]
        if all(isinstance(part, kind) for part in parts):
            return self
        if engine == "host":
            return self.but(first=trees.map_leaves(convert, self.first))
        first, args = trees.map_leaves(convert, given)
        return self.but(first=first, args=args)

    def restore_witness(self, witness: Any) -> Any:
        """The displacement vector, in the kind of array that x has."""
        return None if witness is None else self.restore(witness)

    def form(self) -> str:
        return "map"

    def default_method(self) -> Any:
        """Anderson's acceleration, safeguarded."""
        from resolvent.fixed_point.anderson import Anderson

        return Anderson()

    def describe(self) -> str:
        """Size of the unknown."""
        return f"FixedPoint({self.unknowns()} unknowns)"


def _check_arrays(name: str, values: Any) -> None:
    """Refuse values of a function that are neither arrays nor numbers."""
    for leaf in trees.leaves(values):
        if not hasattr(leaf, "shape") and not isinstance(leaf, int | float | complex):
            refuse(
                ValueError, name, given=f"a map to values of type {type(leaf).__name__}",
                needed="real numbers of the shape of x", advice="Look at what it returns.",
            )  # fmt: skip


def _traceable(fn: Any, given: tuple[Any, ...], numpy: bool) -> bool:
    """Whether JAX can trace T; refuses a T whose values do not look like x."""
    traced, start = True, given[0]
    try:
        # Of one function and shapes, JAX remembers the answer.
        image = jax.eval_shape(fn, *given)
    except jax.errors.JAXTypeError:
        if not numpy:
            raise
        traced, image = False, fn(*given)
    except TypeError:
        # JAX's words for values that are no arrays speak of tracing.
        _check_arrays("fn", fn(*given))
        raise
    wanted = jax.tree_util.tree_structure(start)
    if jax.tree_util.tree_structure(image) != wanted:
        refuse(
            ValueError, "fn", given=f"a map to structure {jax.tree_util.tree_structure(image)}",
            needed=f"structure {wanted}, that of x", advice="Look at what it returns.",
        )  # fmt: skip
    for found, like in zip(trees.leaves(image), trees.leaves(start), strict=True):
        shape = getattr(found, "shape", ())
        if shape != like.shape or np.dtype(getattr(found, "dtype", float)).kind not in "fiub":
            refuse(
                ValueError, "fn",
                given=f"a map from {like.dtype}{list(like.shape)} to "
                f"{getattr(found, 'dtype', type(found).__name__)}{list(shape)}",
                needed="real numbers of the same shape", advice="Look at what it returns.",
            )  # fmt: skip
    return traced


def _verifiable(verify: Any, given: tuple[Any, ...], numpy: bool) -> bool:
    """Whether JAX can trace the check of a displacement vector."""
    try:
        jax.eval_shape(verify, *given)
    except jax.errors.JAXTypeError:
        if not numpy:
            raise
        return False
    return True
