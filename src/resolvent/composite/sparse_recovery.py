"""Sparse solutions of linear equations, and sparse fits at which greedy selection ends."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Float

from resolvent._core.checks import (
    count,
    finite,
    is_traced,
    nonnegative,
    one_of,
    real_array,
    refuse,
)
from resolvent._core.norm import norm
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem
from resolvent._core.value import static
from resolvent.composite.recovery.greedy_losses import RULES, best_fit, gains, misfit, price


class SparseRecovery(TreeProblem):
    """Find an x of few nonzeros with A x = b, or one at which greedy selection for a loss ends.

    Without a loss the certificate is the residual beyond the noise, plus what the x_j would add to
    it that are in excess of the sparsity s, if they were left out:
    `max(||A x - b|| - noise, 0) + sum ||a_j|| |x_j|`, the sum over all but the s largest terms. The
    s largest coefficients alone have no larger residual than that. With the default s, half the
    number of rows, matrices in general position have at most one x for which it is zero.

    With a loss the problem is to fit data whose noise is not known: the loss is a misfit of the
    residual r = A x - b plus a price of coefficients, for weights w and a `parameter` p,

    | loss | misfit | price |
    |---|---|---|
    | "lasso-l0", "lasso-l1" | ||r||_2^2 | p sum of w_j^2 over x_j != 0, p sum of w_j abs(x_j) |
    | "sr-lasso-l0", "sr-lasso-l1" | ||r||_2 | as before |
    | "lad-lasso-l0", "lad-lasso-l1" | ||r||_1 | as before |

    and an answer has the least misfit on its support, which no other column should join: none of
    them lowers the loss by more than the best change of one coefficient in the support does. The
    certificate is the misfit above the least one on the support of x, plus the gain of the best
    column outside above that of the best one inside. It is zero where greedy selection ends, which
    need not be a minimizer of the loss; supports of more columns than rows are charged the loss at
    zero.

    Args:
        A: [m, n], NumPy or JAX, no column zero.
        b: [m].
        sparsity: s, the number of nonzeros; m / 2 if it is not known. None with a loss.
        loss: one of the words above.
        parameter: p, the price of a loss.
        weights: [n], positive; small ones for coefficients that are believed not to be zero.
        noise: the norm of what b may differ from A x by; 0 with a loss.

    Raises:
        TypeError: for data that are no real numbers.
        ValueError: for shapes that do not fit, data that are not finite, a column of zeros, weights
            that are not positive, another loss, or arguments that would be ignored.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        A, x = rng.standard_normal((40, 100)), np.zeros(100)
        x[[3, 14, 15]] = [1.0, -2.0, 0.5]
        sol = rs.solve(rs.SparseRecovery(A, A @ x, sparsity=3))
        assert np.allclose(sol.x, x)
        ```
    """

    A: Any
    b: Any
    weights: Any
    parameter: Any
    noise: Any
    sparsity: int = static()
    stated: bool = static()
    """Whether the sparsity is the user's."""
    loss: str | None = static()

    def __init__(
        self,
        A: Float[Any, "m n"],
        b: Float[Any, " m"],
        sparsity: int | None = None,
        *,
        loss: str | None = None,
        parameter: float | None = None,
        weights: Float[Any, " n"] | None = None,
        noise: float = 0.0,
    ):
        A, b = _data(A, b)
        m, n = A.shape
        stated = sparsity is not None
        if sparsity is not None:
            sparsity = count("sparsity", sparsity, least=1)
            if sparsity > min(m, n):
                refuse(
                    ValueError, "sparsity", given=f"{sparsity} for a matrix of shape {(m, n)}",
                    needed=f"at most {min(m, n)}", advice="More columns are never independent.",
                )  # fmt: skip
        if not is_traced(noise):
            noise = nonnegative("noise", noise)
        if loss is None and parameter is not None:
            refuse(
                ValueError, "parameter", given=f"{parameter} without a loss", needed="None",
                advice=f"Name a loss: {', '.join(RULES)}.",
            )  # fmt: skip
        if loss is not None:
            _check_loss(loss, parameter, stated, noise)
        xp = np if isinstance(A, np.ndarray) and isinstance(b, np.ndarray) else jnp
        unit = norm(b) if loss is None or is_traced(b) else misfit(RULES[loss], np.asarray(b))
        if not is_traced(unit) and not 0 < unit < math.inf and np.asarray(b).any():
            refuse(
                ValueError, "b", given=f"numbers of which the loss is {float(unit)} at zero",
                needed="a loss that neither overflows nor vanishes",
                advice="Divide b by its largest entry; solutions are of its unit.",
            )  # fmt: skip
        vars(self).update(
            A=A, b=b, weights=_weights(weights, n, xp, A.dtype),
            parameter=float(parameter) if isinstance(parameter, int) else parameter, noise=noise,
            sparsity=min(n, max(1, m // 2)) if sparsity is None else sparsity,
            stated=stated, loss=loss, first=xp.zeros(n, A.dtype), unit=unit, numpy=xp is np,
        )  # fmt: skip

    def residual(self, x: Any) -> Any:
        """A x - b."""
        return self.A @ x - self.b

    def optimality(self, x: Any) -> Any:
        """The equations of the least-squares fit on the s largest entries, x_j = 0 for the rest."""
        size = jax.lax.stop_gradient(jnp.abs(x) * self.lengths())
        on = (size >= jax.lax.top_k(size, self.sparsity)[0][-1]) & (size > 0)
        # Divided by the length of their column, equations of all units are of one size.
        return jnp.where(on, (self.residual(x) @ self.A) / self.lengths() ** 2, x)

    def lengths(self) -> Any:
        """The norm of each column."""
        return column_lengths(self.A)

    def shortfall(self, x: Any, r: Any) -> Any:
        """The certificate's value without a loss, at a point whose residual is known."""
        excess = self.excess(x)
        return _positive(norm(r) - self.noise) + excess

    def excess(self, x: Any) -> Any:
        """What the entries beyond the sparsity are worth."""
        if self.sparsity >= x.size:
            return 0.0
        size = abs(x) * self.lengths()
        if isinstance(x, np.ndarray):
            return float(np.sort(size)[: x.size - self.sparsity].sum())
        chosen = jax.lax.stop_gradient(jax.lax.top_k(size, self.sparsity)[1])
        return size.at[chosen].set(0).sum()

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """Residual and excess entries, or what greedy selection would still gain."""
        if self.loss is None:
            return Certificate(
                self.shortfall(x, self.residual(x)), self.unit, name="sparse residual",
                statement="max(||A x - b|| - noise, 0) + excess entries <= max(rtol ||b||, atol)",
            )  # fmt: skip
        if is_traced((self, x)):
            refuse(
                TypeError, "loss", given=f"{self.loss!r} inside a JAX transformation",
                needed="none there", advice="Solve for a loss outside of jit, vmap and grad.",
            )  # fmt: skip
        return Certificate(
            self.greedy_gap(np.asarray(x)), self.unit, name="greedy gap",
            statement="misfit above the support's least + gain of another column above the "
            "support's <= max(rtol loss(0), atol)",
        )  # fmt: skip

    def greedy_gap(self, x: Any) -> float:
        """The certificate's value with a loss."""
        own: SparseRecovery = self.prepare("host")
        assert own.loss is not None
        rule = RULES[own.loss]
        found = misfit(rule, own.residual(x))
        support = np.flatnonzero(x)
        z = np.zeros_like(x)
        z[support] = best_fit(rule, own.A[:, support], own.b)
        r = own.b - own.A @ z
        rows, lengths, bars = own.unit_columns()
        every = gains(rule, rows, r, z * lengths, x != 0, bars)
        charge = float(own.unit) if support.size > own.b.size else 0.0
        return max(found - misfit(rule, r), 0.0) + beyond(every, x != 0) + charge

    def unit_columns(self) -> tuple[Any, Any, Any]:
        """The columns at length 1 as rows, their lengths, and what a loss charges for each."""
        lengths = self.lengths()
        rows = np.ascontiguousarray((self.A / lengths).T)
        if self.loss is None:
            return rows, lengths, np.zeros_like(lengths)
        weights = self.weights / lengths if RULES[self.loss].power else self.weights**2
        return rows, lengths, (self.parameter * weights).astype(self.A.dtype)

    def objective(self, x: Any) -> Any:
        """The loss of x; its residual norm where there is none."""
        r = self.residual(x)
        if self.loss is None:
            return norm(r)
        rule, x = RULES[self.loss], np.asarray(x)
        weights = np.asarray(self.weights) ** (1 if rule.power else 2)
        return misfit(rule, np.asarray(r)) + price(rule, x, self.parameter * weights)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host where a method runs on it."""
        return "host" if "host" in engines else super().engine(engines)

    def prepare(self, engine: Engine) -> Any:
        """The same problem with arrays of the engine."""
        if engine == "traced":
            return super().prepare(engine)
        own = jax.tree_util.tree_map(
            lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, self
        )
        return own.but(unit=float(own.unit))

    def lacks(self, need: str) -> str | None:
        """`equations`: there is a loss; `sparsity`: it is not stated."""
        if need == "equations" and self.loss is not None:
            return f"the answer is one of greedy selection for the loss {self.loss!r}"
        if need == "sparsity" and not self.stated:
            return "the number of nonzeros is not stated"
        return super().lacks(need)

    def form(self) -> str:
        return "dense"

    def default_method(self) -> Any:
        """Orthogonal matching pursuit; HyperLISTA inside of JAX's transformations."""
        from resolvent.composite.recovery.hyper_lista import HyperLISTA
        from resolvent.composite.recovery.matching_pursuit import OrthogonalMatchingPursuit

        return HyperLISTA() if is_traced(self) else OrthogonalMatchingPursuit()

    def describe(self) -> str:
        """Size of the data, and what is looked for."""
        m, n = self.A.shape
        what = f"at most {self.sparsity} nonzeros" if self.loss is None else self.loss
        return f"SparseRecovery({m} equations, {n} unknowns, {what})"


def column_lengths(A: Any) -> Any:
    """The norm of each column; squares neither overflow nor vanish on the way."""
    xp = np if isinstance(A, np.ndarray) else jnp
    most = abs(A).max(axis=0)
    # By powers of two, for exactness.
    exponents = xp.frexp(most if xp is np else jax.lax.stop_gradient(most))[1]
    units = xp.ldexp(xp.ones(A.shape[1], A.dtype), exponents - 1)
    columns = A / units
    return units * xp.sqrt((columns * columns).sum(axis=0))


def beyond(every: Any, on: Any) -> float:
    """The largest gain outside of the support above the largest one inside, if it is larger."""
    outside = float(np.max(every, where=~on, initial=0.0))
    return max(outside - float(np.max(every, where=on, initial=0.0)), 0.0)


def _positive(value: Any) -> Any:
    """NaN stays NaN."""
    if isinstance(value, jax.Array):
        return jnp.maximum(value, 0)
    return float(np.maximum(value, 0.0))


def _data(A: Any, b: Any) -> tuple[Any, Any]:
    if scipy.sparse.issparse(A):
        refuse(
            TypeError, "A", given=f"a SciPy {type(A).__name__}", needed="a dense matrix",
            advice="Pass A.toarray().",
        )  # fmt: skip
    A, b = real_array("A", A), real_array("b", b)
    if A.ndim != 2 or 0 in A.shape:
        refuse(
            ValueError, "A", given=f"shape {A.shape}", needed="a matrix [equations, unknowns]",
            advice="Write A[:, None] for one unknown, A[None] for one equation.",
        )  # fmt: skip
    if b.shape != A.shape[:1]:
        refuse(
            ValueError, "b", given=f"shape {b.shape} beside A of shape {A.shape}",
            needed="one number a row of A", advice="Look at the number of equations.",
        )  # fmt: skip
    for name, value in (("A", A), ("b", b)):
        if not is_traced(value):
            finite(name, value)
    if not is_traced(A):
        empty = ~np.asarray(A).any(axis=0)
        if empty.any():
            refuse(
                ValueError, "A", given=f"zeros alone in column {int(np.argmax(empty))}",
                needed="columns that are not zero",
                advice="Drop such columns: nothing says what their coefficients are.",
            )  # fmt: skip
    return A, b.astype(A.dtype)


def _check_loss(loss: Any, parameter: Any, stated: bool, noise: Any) -> None:
    one_of("loss", loss, RULES)
    if parameter is None or (not is_traced(parameter) and not 0 <= parameter < math.inf):
        refuse(
            ValueError, "parameter", given=f"{parameter} for the loss {loss!r}",
            needed="a number >= 0", advice="Zero makes greedy selection fit until nothing is left.",
        )  # fmt: skip
    if stated or is_traced(noise) or noise:
        refuse(
            ValueError, "sparsity" if stated else "noise",
            given=f"a number beside the loss {loss!r}", needed="none",
            advice="The price of coefficients decides how many there are.",
        )  # fmt: skip


def _weights(weights: Any, n: int, xp: Any, dtype: Any) -> Any:
    if weights is None:
        return xp.ones(n, dtype)
    weights = real_array("weights", weights)
    finite("weights", weights)
    wrong = weights.shape != (n,)
    if wrong or not (is_traced(weights) or weights.min() > 0):
        refuse(
            ValueError, "weights",
            given=f"shape {weights.shape} for {n} unknowns" if wrong else "zero or negative ones",
            needed="one weight > 0 an unknown", advice="Leave weights out for equal ones.",
        )  # fmt: skip
    return xp.asarray(weights, dtype)
