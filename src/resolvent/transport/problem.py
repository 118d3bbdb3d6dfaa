"""Entropic optimal transport: the problem and its certificate."""

import math
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine, Problem
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.transport.costs import DenseCost, as_cost, common_dtype
from resolvent.transport.coupling import Coupling, Potentials
from resolvent.transport.rounding import Totals, divergence, entropy, round_potentials, totals
from resolvent.transport.softmin import hard_log, marginals, ratios

_SAME = {"f": 1e-6, "d": 1e-9}  # how far two sums of masses may differ, relatively


class EntropicTransport(Problem):
    """Find the cheapest plan that moves masses `a` to masses `b`, smoothed by entropy.

    Solves min over P >= 0 of <C, P> + epsilon KL(P | a b^T) subject to P 1 = a and P^T 1 = b, with
    KL(P | Q) = sum P log(P / Q) - P + Q. The answer is P_ij = a_i b_j exp((f_i + g_j - C_ij) /
    epsilon) for two potentials, which maximize <a, f> + <b, g> - epsilon sum (P - a b^T). With a
    penalty tau, the conditions become terms tau KL(P 1 | a) + tau KL(P^T 1 | b).

    The certificate measures the l1 error of both marginals of the plan that the potentials make,
    in double precision whatever the data have. In the end it also gives the `gap`: how far the
    plan, rounded onto the marginals, can be from the regularized optimum; the cost of that plan,
    its entropy term, and by how much that cost can exceed the unregularized optimum.

    Args:
        cost: costs of every pair, shape (n, m), not negative; or a `PointCost`, `GridCost` or
            `DenseCost` of `resolvent.transport`.
        a: masses of the sources, shape (n,), not negative; some may be zero.
        b: masses of the targets, shape (m,), of the same total.
        epsilon: regularization > 0, in the unit of the costs.
        penalty: None holds the marginals exactly; a number tau > 0, in the unit of the costs,
            penalizes them, and a pair penalizes each of the two, None holding that one.
        context: a number that tells problems of a sequence apart, for methods that learn over it.

    Raises:
        ValueError: for negative or not finite costs and masses, totals that differ, shapes that do
            not match, and epsilon or penalties that are not positive.
        TypeError: for complex, object and half-precision data.

    Example:
        ```python
        import numpy as np, resolvent as rs
        half = np.full(2, 0.5)
        problem = rs.EntropicTransport(np.array([[0.0, 1.0], [1.0, 0.0]]), half, half, 0.1)
        assert rs.certify(problem, (np.zeros(2), np.zeros(2))).value > 0
        ```
    """

    cost: Any
    a: Any
    b: Any
    epsilon: Any
    penalty: tuple[Any, Any]
    context: Any
    numpy: bool = static()

    def __init__(
        self,
        cost: Any,
        a: Float[Any, " n"],
        b: Float[Any, " m"],
        epsilon: float,
        *,
        penalty: Any = None,
        context: float | None = None,
    ):
        cost = as_cost(cost)
        a, b = _masses("a", a, cost.shape, 0), _masses("b", b, cost.shape, 1)
        epsilon = _positive("epsilon", epsilon, "Small is fine, zero is not: see exact_transport.")
        penalty = _penalties(penalty)
        if context is not None:
            between("context", context, -math.inf, math.inf, "It must be finite.")
            context = float(context)
        arrays = [a, b, *jax.tree_util.tree_leaves(cost)]
        numbers = [epsilon, *penalty]
        jax_numbers = any(isinstance(number, jax.Array) for number in numbers)
        numpy = not jax_numbers and all(isinstance(array, np.ndarray) for array in arrays)
        dtype = common_dtype(arrays)
        if not numpy and all(isinstance(array, np.ndarray) for array in arrays):
            dtype = next(n.dtype for n in numbers if isinstance(n, jax.Array))
        double = dtype == np.float64 and not is_traced((arrays, numbers))
        with scope(double):
            cost = cost.cast(numpy, dtype)
            if numpy:
                a, b = np.asarray(a, dtype), np.asarray(b, dtype)
            else:
                a, b = jnp.asarray(a, dtype), jnp.asarray(b, dtype)
            if penalty == (None, None):
                b = _balanced(a, b)
        vars(self).update(
            cost=cost, a=a, b=b, epsilon=epsilon, penalty=penalty, context=context, numpy=numpy
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return self.cost.shape

    @property
    def dtype(self) -> Any:
        """The precision of the data."""
        return self.cost.dtype

    @property
    def balanced(self) -> bool:
        """Whether both marginals are held exactly."""
        return self.penalty == (None, None)

    @property
    def log_a(self) -> Any:
        """Logarithms of the masses of the sources, minus infinity where there is none."""
        return hard_log(self.a)

    @property
    def log_b(self) -> Any:
        """Logarithms of the masses of the targets, minus infinity where there is none."""
        return hard_log(self.b)

    @property
    def ranks(self) -> tuple[int, ...]:
        """How many axes each tree leaf has; one that has more is a batch."""
        numbers = [n for n in (self.epsilon, *self.penalty, self.context) if n is not None]
        return (*self.cost.ranks, 1, 1, *(0 for _ in numbers))

    @property
    def T(self) -> "EntropicTransport":
        """The same problem from the targets to the sources."""
        return self.but(cost=self.cost.T, a=self.b, b=self.a, penalty=self.penalty[::-1])

    def start(self, key: Any) -> Potentials:
        """Zero potentials."""
        n, m = self.shape
        xp = np if self.numpy and isinstance(self.a, np.ndarray) else jnp
        return Potentials(xp.zeros(n, self.dtype), xp.zeros(m, self.dtype))

    def scale(self, x: Any) -> Any:
        """The mass of `a`."""
        total = self.a.sum()
        return float(total) if isinstance(self.a, np.ndarray) else total

    def residual(self, x: Any) -> Potentials:
        """a phi(f) - P 1 and b phi(g) - P^T 1, with phi = 1, or exp(-potential / penalty)."""
        f, g = x.f, x.g
        rows, columns = marginals(self.cost, self.epsilon, f, g, self.log_a, self.log_b)
        return Potentials(self._wanted(0, f) - rows, self._wanted(1, g) - columns)

    def _wanted(self, side: int, potential: Any) -> Any:
        """What the marginal of a side should be, given its potential."""
        mass, penalty = (self.a, self.b)[side], self.penalty[side]
        if penalty is None:
            return mass
        xp = np if isinstance(mass, np.ndarray) else jnp
        return xp.exp(hard_log(mass) - potential / penalty)

    def optimality(self, x: Any) -> Potentials:
        """The residual per unit of mass, and the constant that balanced potentials exchange.

        Unlike the residual's, its derivative is invertible at an answer, also where masses are
        zero and along the direction (1, -1) that changes no plan.
        """
        f, g, epsilon = x.f, x.g, self.epsilon
        of_rows = ratios(self.cost, epsilon, f, g, self.b)
        of_columns = ratios(self.cost.T, epsilon, g, f, self.a)
        tau_a, tau_b = self.penalty
        of_rows = of_rows - (1.0 if tau_a is None else jnp.exp(-f / tau_a))
        of_columns = of_columns - (1.0 if tau_b is None else jnp.exp(-g / tau_b))
        of_rows, of_columns = epsilon * of_rows, epsilon * of_columns
        if self.balanced:
            still = jax.lax.stop_gradient
            a, b = still(self.a), still(self.b)
            level = (a @ (f - still(f)) - b @ (g - still(g))) / (a.sum() + b.sum())
            of_rows, of_columns = of_rows + level, of_columns - level
        return Potentials(of_rows, of_columns)

    def dual(self, x: Potentials, rows: Any) -> Any:
        """The dual objective at potentials whose plan has these row sums."""
        value: Any = -self.epsilon * (rows.sum() - self.a.sum() * self.b.sum())
        for side, potential in enumerate(x):
            mass, tau = (self.a, self.b)[side], self.penalty[side]
            if tau is None:
                value = value + mass @ potential
            else:
                xp = np if isinstance(mass, np.ndarray) else jnp
                value = value - tau * (mass @ xp.expm1(-potential / tau))
        return float(value) if isinstance(value, np.floating) else value

    def gap(self, x: Potentials, known: Totals | None = None) -> float:
        """An upper bound of the duality gap of NumPy potentials, whose sums may be known.

        With penalties every plan is admissible, and the gap is tau KL(P 1 | a exp(-f / tau)) for
        each side; a side that is held exactly is rounded first.
        """
        arguments = self.cost, self.epsilon, x.f, x.g, self.a, self.b
        if self.balanced:
            return round_potentials(*arguments, known).gap
        found = totals(*arguments) if known is None else known
        logs, total, sums = [self.log_a, self.log_b], 0.0, (found.rows, found.columns)
        if None in self.penalty:
            held = self.penalty.index(None)
            mass, before = (self.a, self.b)[held], sums[held]
            with np.errstate(all="ignore"):
                factor = np.where(before > 0, mass / before, 1.0)
                logs[held] = logs[held] + hard_log(factor)
                shift = float(np.where(mass > 0, mass * hard_log(factor), 0.0).sum())
            total += self.epsilon * max(0.0, shift - float(mass.sum()) + float(before.sum()))
            sums = marginals(self.cost, self.epsilon, x.f, x.g, logs[0], logs[1])
        for side, tau in enumerate(self.penalty):
            if tau is not None:
                wanted = (self.log_a, self.log_b)[side] - x[side] / tau
                total += tau * divergence(sums[side], wanted)
        return math.inf if math.isnan(total) else total

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||a - P 1||_1 + ||b - P^T 1||_1 <= max(rtol sum(a), atol)`, from the data and x.

        With penalties a and b are replaced by a exp(-f / tau) and b exp(-g / tau).
        """
        if is_traced((self, x)):
            left, right = self.residual(x)
            value = jnp.abs(left).sum() + jnp.abs(right).sum()
            return self._certificate(value, self.scale(x), {})
        double = self.double()
        x = Potentials(np.asarray(x.f, np.float64), np.asarray(x.g, np.float64))
        with np.errstate(all="ignore"):
            sums = totals(double.cost, double.epsilon, x.f, x.g, double.a, double.b)
            row_error, column_error = (
                float(np.abs(double._wanted(side, x[side]) - sums[side]).sum()) for side in (0, 1)
            )
            value = row_error + column_error
            if math.isnan(value):
                value = math.inf
            details = {"row error": row_error, "column error": column_error}
            details.update(double._bounds(x, sums))
        return self._certificate(value, double.scale(x), details)

    def _bounds(self, x: Potentials, sums: Totals) -> dict[str, float]:
        """What the potentials prove about objective and cost."""
        if not self.balanced:
            return {"gap": self.gap(x, sums)}
        a, b, epsilon = self.a, self.b, self.epsilon
        rounded = round_potentials(self.cost, epsilon, x.f, x.g, a, b, sums)
        gap, mass = rounded.gap, float(a.sum())
        term = self.dual(x, sums.rows) + gap - rounded.cost
        # No plan shares more information between its sides than either of them holds.
        log_a, log_b = sums.logs
        most = epsilon * mass * min(entropy(a, log_a), entropy(b, log_b))
        least = term - epsilon * mass * (mass - 1.0 - math.log(mass))
        return {
            "gap": gap, "rounded cost": rounded.cost, "entropy term": term,
            "excess cost": max(0.0, most - least + gap),
        }  # fmt: skip

    def _certificate(self, value: Any, scale: Any, details: dict[str, Any]) -> Certificate:
        return Certificate(
            value, scale, details=details, kind="residual", name="marginal error",
            statement="||a - P 1||_1 + ||b - P^T 1||_1 <= max(rtol sum(a), atol)",
        )  # fmt: skip

    def admit(self, x0: Any, name: str = "x0") -> Any:
        """Potentials, a pair of arrays, or an earlier solution's coupling, checked."""
        pair = self.as_point(x0)
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            several = isinstance(pair, list | tuple)
            number = isinstance(pair, np.ndarray | jax.Array | float | int)
            refuse(
                ValueError if several or (number and np.asarray(pair).dtype.kind in "biuf")
                else TypeError, name,
                given=f"a {type(pair).__name__} that is no pair",
                needed="two potentials (f, g), or an earlier solution's x",
                advice="Give one array for the sources and one for the targets.",
            )  # fmt: skip
        parts = []
        for part, size in zip(pair, self.shape, strict=True):
            part = real_array(name, part)
            if part.shape != (size,):
                refuse(
                    ValueError, name, given=f"a potential of shape {part.shape}",
                    needed=f"shape ({size},)", advice="The first belongs to the sources.",
                )  # fmt: skip
            finite(name, part)
            host = isinstance(self.a, np.ndarray) and not is_traced(part)
            parts.append(np.array(part, self.dtype) if host else jnp.asarray(part, self.dtype))
        x = Potentials(*parts)
        return self.as_answer(x) if name == "x" else x

    def as_answer(self, x: Any) -> Coupling:
        """The potentials with all that follows from them."""
        return Coupling(x.f, x.g, self)

    def as_answers(self, x: Any, problems: Any) -> Coupling:
        """The same for a batch: arrays that all problems share are kept once."""

        def stacked(*leaves: Any) -> Any:
            first = leaves[0]
            plain = isinstance(first, float)
            if all(leaf is first or (plain and leaf == first) for leaf in leaves):
                return first
            return (jnp if isinstance(first, jax.Array) else np).stack(leaves)

        with scope(needs_double(problems)):
            return Coupling(x.f, x.g, jax.tree_util.tree_map(stacked, *problems))

    def as_point(self, answer: Any) -> Any:
        """The potentials of a coupling."""
        return Potentials(answer.f, answer.g) if isinstance(answer, Coupling) else answer

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host for NumPy data, traced for JAX data, where the method has both."""
        wanted: Engine = "host" if self.numpy else "traced"
        if wanted in engines:
            return wanted
        return engines[0]

    def prepare(self, engine: Engine) -> "EntropicTransport":
        """The data in the engine's arrays."""
        numpy = engine == "host"
        if numpy and self.numpy and isinstance(self.a, np.ndarray):
            return self
        convert = np.asarray if numpy else jnp.asarray
        numbers = self.epsilon, *self.penalty
        if numpy:
            numbers = tuple(n if n is None else float(n) for n in numbers)
        return self.but(
            cost=self.cost.cast(numpy, self.dtype), a=convert(self.a), b=convert(self.b),
            epsilon=numbers[0], penalty=numbers[1:], numpy=numpy,
        )  # fmt: skip

    def double(self) -> "EntropicTransport":
        """The problem in NumPy arrays of double precision, for the certificate."""
        numbers = [n if n is None else float(n) for n in (self.epsilon, *self.penalty)]
        if self.numpy and self.dtype == np.float64:
            return self
        # Single numbers of a matrix become double where they are used; points do so before.
        dense = isinstance(self.cost, DenseCost)
        return self.but(
            cost=self.cost.cast(True, self.cost.dtype if dense else np.float64),
            a=np.asarray(self.a, np.float64),
            b=np.asarray(self.b, np.float64), epsilon=numbers[0], penalty=tuple(numbers[1:]),
            numpy=True,
        )  # fmt: skip

    def restore(self, x: Any) -> Any:
        """NumPy where the data were NumPy, JAX where any of them was JAX."""
        if self.numpy:
            return Potentials(*(np.array(part, self.dtype) for part in x))
        with scope(self.dtype == np.float64 and not is_traced(x)):
            return Potentials(*(jnp.asarray(part, self.dtype) for part in x))

    def form(self) -> str:
        """How the costs are known."""
        return self.cost.form

    def default_method(self) -> Any:
        """Newton's method with sparse matrices on the host, Sinkhorn's iteration for JAX data."""
        from resolvent.transport.sinkhorn import Sinkhorn
        from resolvent.transport.sinkhorn_newton_sparse import SinkhornNewtonSparse

        return SinkhornNewtonSparse() if self.numpy else Sinkhorn()

    def fingerprint(self, aspect: str) -> Any:
        """`size`, `cost`, `marginals`, `regularization`, or all the `data`."""
        if aspect == "size":
            return (*self.shape, str(self.dtype), self.cost.form)
        parts = {
            "cost": self.cost,
            "marginals": (self.a, self.b),
            "regularization": (self.epsilon, self.penalty),
        }
        mark = 0
        for leaf in jax.tree_util.tree_leaves(parts.get(aspect, list(parts.values()))):
            mark = zlib.crc32(np.ascontiguousarray(np.asarray(leaf)).data, mark)
        return mark

    def describe(self) -> str:
        """Size and regularization."""
        n, m = self.shape
        kind = "" if self.balanced else ", penalized"
        size = "traced" if is_traced(self.epsilon) else f"{float(np.max(self.epsilon)):.3g}"
        return f"EntropicTransport({n} x {m}, epsilon {size}{kind})"


def _masses(name: str, value: Any, shape: tuple[int, int], side: int) -> Any:
    masses = real_array(name, value)
    if masses.shape != (shape[side],):
        refuse(
            ValueError, name, given=f"shape {masses.shape} for costs of shape {shape}",
            needed=f"shape ({shape[side]},)",
            advice="One mass a row of the costs in a, one a column in b.",
        )  # fmt: skip
    finite(name, masses)
    if is_traced(masses):
        return masses
    known = np.asarray(masses)  # under jit even known arrays become unknown
    least, most = known.min(), known.max()
    if least < 0:
        refuse(
            ValueError, name, given=f"masses that are negative, the least {float(least):.3g}",
            needed="masses >= 0", advice="Split a signed measure into its two parts.",
        )  # fmt: skip
    if most == 0:
        refuse(
            ValueError, name, given="masses that are all zero", needed="some mass to move",
            advice="Drop this problem: its only plan is zero.",
        )  # fmt: skip
    return masses


def _balanced(a: Any, b: Any) -> Any:
    """b with exactly the total of a, which rounding of the data may have kept it from."""
    known = not is_traced((a, b))
    if known:
        sums = np.asarray(a).sum(dtype=np.float64), np.asarray(b).sum(dtype=np.float64)
    else:
        sums = a.sum(), b.sum()
    close = abs(sums[0] - sums[1]) <= _SAME[a.dtype.char] * abs(sums[0])
    if not known:
        # Unknown now: masses that do not fit become NaN, which never counts as solved.
        return jnp.where(close, b * (sums[0] / sums[1]), jnp.nan)
    if not close:
        refuse(
            ValueError, "b", given=f"masses of total {sums[1]:.12g} where those of a have total "
            f"{sums[0]:.12g}", needed="equal totals",
            advice="Scale one of them, b * (a.sum() / b.sum()), or give a penalty, which lets "
            "mass appear and vanish.",
        )  # fmt: skip
    return b if sums[0] == sums[1] else b * b.dtype.type(sums[0] / sums[1])


def _positive(name: str, value: Any, why: str) -> Any:
    if is_traced(value):
        if np.ndim(value):
            refuse(
                ValueError, name, given=f"shape {np.shape(value)}", needed="one number",
                advice="Use vmap for several.",
            )  # fmt: skip
        return value
    number: Any = value
    if isinstance(value, np.ndarray | jax.Array) and np.ndim(value) == 0:
        number = np.asarray(value).item()
    if isinstance(number, bool):
        refuse(
            TypeError, name, given=f"bool {number}", needed="a positive real number",
            advice="Pass a Python float.",
        )  # fmt: skip
    between(name, number, 0.0, math.inf, why)
    return float(number)


def _penalties(penalty: Any) -> tuple[Any, Any]:
    if isinstance(penalty, list | tuple) and len(penalty) != 2:
        refuse(
            ValueError, "penalty", given=f"{len(penalty)} of them",
            needed="None, one number, or a pair",
            advice="One for the sources, one for the targets.",
        )  # fmt: skip
    pair = tuple(penalty) if isinstance(penalty, list | tuple) else (penalty, penalty)
    first, second = (
        None
        if tau is None or (isinstance(tau, float) and tau == math.inf)
        else _positive("penalty", tau, "None holds the marginals exactly.")
        for tau in pair
    )
    return first, second
