"""Barycenters of measures in entropic optimal transport, on a fixed support."""

import math
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine, Problem
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.transport import measures as lists
from resolvent.transport.average import Barycenter, BarycenterPotentials
from resolvent.transport.costs import Cost, common_dtype
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.rounding import round_potentials
from resolvent.transport.softmin import hard_log, marginals, ratios, soft_log, softmin


class Rows(NamedTuple):
    """What follows from the potentials of the measures by fitting the rows of all plans.

    Attributes:
        soft: the soft minimum over each measure; with g the potentials for masses in front.
        f: potentials for the reference in front, shape (n,) each, of weighted mean 0 (or h).
        level: epsilon log(barycenter / reference), shape (n,).
        lift: what h lacks to be the potential of the barycenter against itself, or None.
    """

    soft: tuple[Any, ...]
    f: tuple[Any, ...]
    level: Any
    lift: Any


class EntropicBarycenter(Problem):
    """Find the measure on a fixed support that is closest to some measures in entropic transport.

    Solves min over a of sum_k w_k OT_k(a, b_k) + epsilon KL(a | r), where OT_k is the objective of
    `EntropicTransport` with cost k: the same as sum_k w_k (<C_k, P_k> + epsilon KL(P_k | r b_k^T))
    over plans with one common marginal P_k 1 = a and with P_k^T 1 = b_k. Its answer is blurred: of
    equal Gaussians with squared distances by the variance epsilon / 2. Debiased, the problem is
    min over a of sum_k w_k OT_k(a, b_k) - OT(a, a) / 2, the barycenter of Sinkhorn divergences,
    which is not blurred and does not depend on r. What epsilon blurs it must restore: where masses
    of the answer vanish (measures that are single points, say), or points lie closer together than
    about the square root of epsilon (squared distances), it takes many steps, which may end with
    the reason `max_steps` or `stalled`, and a small marginal error can hide masses that are still
    far from the answer.

    A point is made of potentials g_k of the measures (and h, debiased). They determine the
    barycenter, a = r exp((h - sum_k w_k softmin_k(g_k)) / epsilon), and plans whose row sums are a.
    The certificate measures, in double precision, the l1 error of both marginals of each plan, and
    takes the worst; debiased, also of the plan of a onto itself. In the end it gives the `gap`
    (not debiased): how far the plans, rounded onto the marginals, can be from the optimum.

    Args:
        costs: one cost for all measures, shape (n, m), or a `PointCost`, `GridCost`, `DenseCost`;
            or a list of one a measure, shapes (n, m_k). Rows belong to the barycenter's support.
        masses: the measures b_k, K arrays of shapes (m_k,), not negative, of one total.
        weights: shape (K,), not negative; only their ratios matter. None for equal ones.
        epsilon: regularization > 0, in the unit of the costs.
        debias: True for the debiased barycenter. The cost of the support against itself is then
            taken from `costs`: points, or one symmetric matrix or grid. Else give that cost here.
        reference: r, masses on the support, shape (n,); it is brought to the total of the
            measures, and where it is zero the barycenter is. None for equal masses.
        context: a number that tells problems of a sequence apart, for methods that learn over it.

    Raises:
        ValueError: for negative or not finite costs, masses and weights, totals that differ, shapes
            that do not match, an epsilon that is not positive, or a debiasing cost that is missing
            or not symmetric.
        TypeError: for complex, object and half-precision data.

    Example:
        ```python
        import numpy as np, resolvent as rs
        x = np.linspace(0, 1, 60)
        masses = [np.exp(-((x - m) ** 2) / 0.01) for m in (0.3, 0.7)]
        masses = [one / one.sum() for one in masses]
        cost = rs.transport.PointCost(x, x)
        problem = rs.EntropicBarycenter(cost, masses, [0.5, 0.5], 0.01, debias=True)
        sol = rs.solve(problem, rtol=1e-5)
        assert abs(sol.masses @ (x - 0.5) ** 2 - 0.005) < 1e-4  # the width of either
        ```

    Reference:
        J.-D. Benamou, G. Carlier, M. Cuturi, L. Nenna, G. Peyre (2015), Iterative Bregman
        projections for regularized transportation problems, arXiv:1412.5154; H. Janati,
        M. Cuturi, A. Gramfort (2020), Debiased Sinkhorn barycenters, arXiv:2006.02575.
    """

    costs: tuple[Cost, ...]
    masses: tuple[Any, ...]
    weights: Any
    epsilon: Any
    reference: Any
    own: Any
    context: Any
    numpy: bool = static()

    def __init__(
        self,
        costs: Any,
        masses: Sequence[Float[Any, " m"]] | Float[Any, "k m"],
        weights: Float[Any, " k"] | None,
        epsilon: float,
        *,
        debias: Any = False,
        reference: Float[Any, " n"] | None = None,
        context: float | None = None,
    ):
        measures = lists.listed(masses)
        many = lists.cost_list(costs, len(measures))
        n = many[0].shape[0]
        shapes = [many[k % len(many)].shape for k in range(len(measures))]
        measures = [
            lists.masses_of(f"masses[{k}]", one, shapes[k], 1) for k, one in enumerate(measures)
        ]
        lists.check_totals(measures)
        if weights is None:
            weights = np.ones(len(measures))
        weights = lists.weights_of(weights, len(measures))
        epsilon = lists.positive("epsilon", epsilon, "Small is fine, zero is not.")
        reference = (
            np.ones(n) if reference is None else
            lists.masses_of("reference", reference, (n, 0), 0)
        )  # fmt: skip
        own = lists.debiasing(debias, many)
        if context is not None:
            between("context", context, -math.inf, math.inf, "It must be finite.")
            context = float(context)
        data = [*measures, *jax.tree_util.tree_leaves((many, own))]
        numpy = all(isinstance(array, np.ndarray) for array in (*data, weights, reference))
        numpy = numpy and not isinstance(epsilon, jax.Array)
        dtype = common_dtype(data)
        xp = np if numpy else jnp
        with scope(dtype == np.float64 and not is_traced((data, weights, reference, epsilon))):
            parts = [xp.asarray(one, dtype) for one in (*measures, weights, reference)]
            *measures, weights, reference = lists.scaled(parts, xp)
            many = tuple(cost.cast(numpy, dtype) for cost in many)
            own = None if own is None else own.cast(numpy, dtype)
        vars(self).update(
            costs=many, masses=tuple(measures), weights=weights, epsilon=epsilon,
            reference=reference, own=own, context=context, numpy=numpy,
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        """Number of measures, and of points of the support."""
        return len(self.masses), self.costs[0].shape[0]

    @property
    def dtype(self) -> Any:
        """The precision of the data."""
        return self.costs[0].dtype

    @property
    def debiased(self) -> bool:
        """Whether the barycenter's transport onto itself is subtracted."""
        return self.own is not None

    @property
    def ranks(self) -> tuple[int, ...]:
        """How many axes each tree leaf has; one that has more is a batch."""
        costs = [rank for cost in self.costs for rank in cost.ranks]
        own = () if self.own is None else self.own.ranks
        context = () if self.context is None else (0,)
        return (*costs, *(1 for _ in self.masses), 1, 0, 1, *own, *context)

    def cost(self, k: int) -> Cost:
        """The cost between the support and measure k."""
        return self.costs[k if len(self.costs) > 1 else 0]

    def start(self, key: Any) -> BarycenterPotentials:
        """Zero potentials."""
        xp = np if self.numpy and isinstance(self.weights, np.ndarray) else jnp
        g = tuple(xp.zeros(one.shape, self.dtype) for one in self.masses)
        return BarycenterPotentials(
            g, xp.zeros(self.shape[1], self.dtype) if self.debiased else None
        )

    def scale(self, x: Any) -> Any:
        """The mass of each measure."""
        total = self.masses[0].sum()
        return float(total) if isinstance(total, np.generic) else total

    def softmins(self, potentials: Any, back: bool = False, soft: bool = False) -> tuple[Any, ...]:
        """The soft minimum of every potential: over its measure, or `back` over the reference.

        With `soft` the logarithms of masses have the right derivative also at zero.
        """
        log = soft_log if soft else hard_log
        logs = [log(self.reference)] * len(potentials) if back else [log(b) for b in self.masses]
        if len(self.costs) == 1 and len(logs) > 1 and not isinstance(potentials[0], np.ndarray):
            cost = self.costs[0].T if back else self.costs[0]
            # One program for all of them, whose size does not grow with their number.
            done = jax.lax.map(
                lambda pair: softmin(cost, self.epsilon, *pair),
                (jnp.stack(potentials), jnp.stack(logs)),
            )
            return tuple(done[k] for k in range(len(logs)))
        costs = [self.cost(k).T if back else self.cost(k) for k in range(len(logs))]
        return tuple(
            softmin(cost, self.epsilon, potential, log)
            for cost, potential, log in zip(costs, potentials, logs, strict=True)
        )

    def rows(self, x: BarycenterPotentials, soft: bool = False) -> Rows:
        """Fit the rows of all plans to one marginal."""
        softs = self.softmins(x.g, soft=soft)
        mean = sum(self.weights[k] * softs[k] for k in range(len(softs)))
        lift, level = None, -mean
        if x.h is not None:
            log_r = soft_log(self.reference) if soft else hard_log(self.reference)
            lift, level = softmin(self.own, self.epsilon, x.h, log_r) - mean, x.h - mean
        return Rows(softs, tuple(one + level for one in softs), level, lift)

    def barycenter(self, rows: Rows) -> Any:
        """The common row sums."""
        xp = np if isinstance(rows.level, np.ndarray) else jnp
        return self.reference * xp.exp(rows.level / self.epsilon)

    def error(self, x: BarycenterPotentials, rows: Rows, images: Sequence[Any]) -> Any:
        """The certificate's value, from the soft minima `images` of the rows' potentials."""
        xp = np if isinstance(rows.level, np.ndarray) else jnp
        errors = []
        for b, g, image in zip(self.masses, x.g, images, strict=True):
            off = xp.abs(1.0 - xp.exp((g - image) / self.epsilon))
            # A point without mass has no marginal, however far its potential is from fitting.
            errors.append(xp.where(b > 0, b * off, 0.0).sum())
        if rows.lift is not None:
            off = xp.abs(1.0 - xp.exp(-rows.lift / self.epsilon))
            a = self.barycenter(rows)
            errors.append(2.0 * xp.where(a > 0, a * off, 0.0).sum())
        return xp.max(xp.stack(errors))

    def residual(self, x: Any) -> BarycenterPotentials:
        """What the column sums lack of each measure, and the row sums of a's own plan of a."""
        rows = self.rows(x)
        images = self.softmins(rows.f, back=True)
        xp = np if isinstance(rows.level, np.ndarray) else jnp
        g = tuple(
            b * (1.0 - xp.exp((g - image) / self.epsilon))
            for b, g, image in zip(self.masses, x.g, images, strict=True)
        )
        if rows.lift is None:
            return BarycenterPotentials(g, None)
        own = self.barycenter(rows) * (1.0 - xp.exp(-rows.lift / self.epsilon))
        return BarycenterPotentials(g, own)

    def optimality(self, x: Any) -> BarycenterPotentials:
        """The residual per unit of mass, and the constants that the g_k exchange.

        Unlike the residual's, its derivative is invertible at an answer, also where masses are
        zero and along the directions (constants of weighted mean zero) that change no plan.
        """
        rows = self.rows(x, soft=True)
        still = jax.lax.stop_gradient
        moved = [still(b) @ (g - still(g)) for b, g in zip(self.masses, x.g, strict=True)]
        moved = jnp.stack(moved) / still(self.masses[0].sum())
        moved = moved - still(self.weights) @ moved
        g = tuple(
            self.epsilon * (ratios(self.cost(k).T, self.epsilon, x.g[k], f, self.reference) - 1.0)
            + moved[k]
            for k, f in enumerate(rows.f)
        )
        return BarycenterPotentials(g, rows.lift)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`max_k ||b_k - P_k^T 1||_1 + ||a - P_k 1||_1 <= max(rtol sum(b_k), atol)`."""
        if is_traced((self, x)):
            point = self.as_point(x)
            rows = self.rows(point)
            value = self.error(point, rows, self.softmins(rows.f, back=True))
            return self._certificate(value, self.scale(x), {})
        final = isinstance(x, Barycenter)
        double = self.double()
        x = jax.tree_util.tree_map(lambda part: np.asarray(part, np.float64), self.as_point(x))
        with np.errstate(all="ignore"):
            return double._measured(x, final)

    def _measured(self, x: BarycenterPotentials, final: bool) -> Certificate:
        rows = self.rows(x)
        a, log_r, errors, sums = self.barycenter(rows), hard_log(self.reference), [], []
        for k, (f, g) in enumerate(zip(rows.f, x.g, strict=True)):
            b, log_b = self.masses[k], hard_log(self.masses[k])
            sums.append(marginals(self.cost(k), self.epsilon, f, g, log_r, log_b))
            errors.append([float(abs(a - sums[k][0]).sum()), float(abs(b - sums[k][1]).sum())])
        details = {
            "row error": max(row for row, _ in errors),
            "column error": max(column for _, column in errors),
        }
        if x.h is not None:
            own = marginals(self.own, self.epsilon, x.h, x.h, log_r, log_r)
            errors.append([float(abs(a - side).sum()) for side in own])
            details["own error"] = sum(errors[-1])
        value = float(np.max([sum(pair) for pair in errors]))
        if math.isnan(value):
            value = math.inf
        if final and x.h is None:
            details["gap"] = self._gap(x, rows, a, sums)
        return self._certificate(value, self.scale(x), details if final else {})

    def _gap(self, x: BarycenterPotentials, rows: Rows, a: Any, sums: Sequence[Any]) -> float:
        """Rounded plans less the dual value: the f_k have the mean zero, so that the gaps add."""
        share = self.scale(x) / a.sum()
        if not 0 < share < math.inf:
            return math.inf
        shift = self.epsilon * math.log(share)
        return sum(
            float(self.weights[k]) * round_potentials(
                self.cost(k), self.epsilon, rows.soft[k] - shift, x.g[k], a * share,
                self.masses[k], sums[k],
            ).gap
            for k in range(len(sums))
        )  # fmt: skip

    def _certificate(self, value: Any, scale: Any, details: dict[str, Any]) -> Certificate:
        return Certificate(
            value, scale, details=details, kind="residual", name="marginal error",
            statement="max_k ||b_k - P_k^T 1||_1 + ||a - P_k 1||_1 <= max(rtol sum(b_k), atol)",
        )  # fmt: skip

    def admit(self, x0: Any, name: str = "x0") -> Any:
        """Potentials (g, h), or an earlier solution's barycenter, checked."""
        x0 = self.as_point(x0)
        if not isinstance(x0, list | tuple) or len(x0) != 2:
            refuse(
                TypeError, name, given=f"a {type(x0).__name__} that is no pair",
                needed="potentials (g, h), or an earlier solution's x",
                advice="g holds one array a measure; h is None without debiasing.",
            )  # fmt: skip
        g, h = x0
        rows = isinstance(g, np.ndarray | jax.Array) and g.ndim == 2
        if not (rows or isinstance(g, list | tuple)):
            refuse(
                TypeError, name, given=f"a {type(g).__name__} as the potentials g",
                needed="a list of potentials, one a measure",
                advice="Put even a single potential into a list.",
            )  # fmt: skip
        wanted = [one.shape for one in self.masses] + [(self.shape[1],)] * self.debiased
        parts = [real_array(name, part) for part in (*g, *(() if h is None else (h,)))]
        if [part.shape for part in parts] != wanted or (h is None) == self.debiased:
            refuse(
                ValueError, name, given=f"potentials of shapes {[part.shape for part in parts]}",
                needed=f"shapes {wanted}{', the last for h' if self.debiased else ''}",
                advice="One potential a measure, and h for the support where debiased.",
            )  # fmt: skip
        for part in parts:
            finite(name, part)
        host = isinstance(self.weights, np.ndarray) and not is_traced(parts)
        parts = [(np.array if host else jnp.asarray)(part, self.dtype) for part in parts]
        count = len(self.masses)
        x = BarycenterPotentials(tuple(parts[:count]), parts[count] if self.debiased else None)
        return self.as_answer(x) if name == "x" else x

    def as_answer(self, x: Any) -> Barycenter:
        """The potentials with all that follows from them."""
        return Barycenter(x.g, x.h, self)

    def as_answers(self, x: Any, problems: Any) -> Barycenter:
        """The same for a batch: arrays that all problems share are kept once."""
        with scope(needs_double(problems)):
            return Barycenter(x.g, x.h, lists.stacked(problems))

    def as_point(self, answer: Any) -> Any:
        """The potentials of a barycenter."""
        return answer.potentials if isinstance(answer, Barycenter) else answer

    def coupling_problem(self, k: int, a: Any) -> EntropicTransport:
        """The transport of a marginal onto measure k."""
        return EntropicTransport(self.cost(k), a, self.masses[k], self.epsilon)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host for NumPy data, traced for JAX data, where the method has both."""
        wanted: Engine = "host" if self.numpy else "traced"
        return wanted if wanted in engines else engines[0]

    def prepare(self, engine: Engine) -> "EntropicBarycenter":
        """The data in the engine's arrays."""
        return self._cast(engine == "host", self.dtype)

    def double(self) -> "EntropicBarycenter":
        """The problem in NumPy arrays of double precision, for the certificate."""
        return self._cast(True, np.float64)

    def _cast(self, numpy: bool, dtype: Any) -> "EntropicBarycenter":
        xp = np if numpy else jnp
        return self.but(
            costs=tuple(cost.cast(numpy, dtype) for cost in self.costs),
            masses=tuple(xp.asarray(one, dtype) for one in self.masses),
            weights=xp.asarray(self.weights, dtype), reference=xp.asarray(self.reference, dtype),
            epsilon=float(self.epsilon) if numpy else self.epsilon,
            own=None if self.own is None else self.own.cast(numpy, dtype), numpy=numpy,
        )  # fmt: skip

    def restore(self, x: Any) -> Any:
        """NumPy where the data were NumPy, JAX where any of them was JAX."""
        if self.numpy:
            return jax.tree_util.tree_map(lambda part: np.array(part, self.dtype), x)
        with scope(self.dtype == np.float64 and not is_traced(x)):
            return jax.tree_util.tree_map(lambda part: jnp.asarray(part, self.dtype), x)

    def form(self) -> str:
        """How the costs are known."""
        return self.costs[0].form

    def default_method(self) -> Any:
        """Iterative Bregman projections."""
        from resolvent.transport.bregman import BregmanProjections

        return BregmanProjections()

    def fingerprint(self, aspect: str) -> Any:
        """`size`, or all the `data`."""
        if aspect == "size":
            sizes = tuple(one.shape[0] for one in self.masses)
            return (*sizes, self.shape[1], str(self.dtype), self.form(), self.debiased)
        mark = 0
        for leaf in jax.tree_util.tree_leaves(self):
            mark = zlib.crc32(np.ascontiguousarray(np.asarray(leaf)).data, mark)
        return mark

    def describe(self) -> str:
        """Size and regularization."""
        count, n = self.shape
        size = "traced" if is_traced(self.epsilon) else f"{float(np.max(self.epsilon)):.3g}"
        kind = ", debiased" if self.debiased else ""
        return f"EntropicBarycenter({count} measures on {n} points, epsilon {size}{kind})"
