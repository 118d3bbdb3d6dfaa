"""Sinkhorn's iteration: in the log domain and with scalings, relaxed, mixed and annealed."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, count, is_traced, one_of, refuse
from resolvent._core.host import run_steps
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.transport.acceleration import Mixing, Pace, looked, mixed, paced, unmixed
from resolvent.transport.costs import DenseCost, namespace
from resolvent.transport.coupling import Potentials
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.softmin import softmin

_LEVEL = 20  # sweeps at one epsilon of the annealing at most


class Stored(NamedTuple):
    """exp((f + g - C) / epsilon) at two potentials."""

    kernel: Any
    f: Any
    g: Any


class SweepState(NamedTuple):
    """State of the sweeps on arrays of any kind.

    `image` is the soft minimum of the columns at f: it tells the column marginal of the plan now,
    and the next g.
    """

    f: Any
    g: Any
    image: Any
    stored: Stored | None
    epsilon: Any
    level: Any
    pace: Pace
    mixing: Mixing | None
    measure: Any
    passes: Any


class Sinkhorn(Method):
    """Sinkhorn's iteration, which fits the rows and the columns of the plan in turn.

    Solves entropic transport, balanced or with penalties, by maximizing the dual over f, then over
    g. Sweeps run on scalings of a stored plan (two products a sweep, fused into one pass over the
    memory on the host; entries that are nothing are left out) or in the log domain, where no
    epsilon under- or overflows. Whatever returns has its columns corrected last.

    Args:
        form: "log", "scaling", or "auto": on the host, log sweeps until the potentials have
            settled, then scalings; the log domain where traced. "scaling" needs a cost matrix.
        relaxation: omega in (0, 2), a step of omega times the correction; "auto" begins with 1 and
            estimates the best omega > 1 from the rate at which the error falls. An error that
            grows puts it back to 1.
        anderson: window of Anderson's mixing of g; 0 switches it off. Not with a relaxation.
        annealing: None, or the factor in (0, 1) by which epsilon comes down from the largest cost,
            sweep by sweep as far as the error allows, where the solve begins from zero.
        largest: the largest cost; filled in by `bind`.

    Raises:
        ValueError: for parameters outside these ranges.

    Cost per iteration:
        On the host one pass over the n x m costs, or over what is stored of them; traced two. A
        sweep of scalings takes some tenths of a nanosecond an entry on one core, one in the log
        domain some nanoseconds. Counted as `kernel` calls, with the passes that store a plan.

    Convergence:
        Linear where the plan is positive, by tanh^2(max C / (2 epsilon)) a sweep in Hilbert's
        metric at worst, for omega = 1; the marginal error never grows. Relaxed and mixed sweeps
        converge locally: with theta^2 the rate of the plain sweeps at the answer and
        omega = 2 / (1 + sqrt(1 - theta^2)) at the rate omega - 1. With penalties the rate of the
        plain sweeps is at most the product of the tau / (tau + epsilon).

    Example:
        ```python
        import numpy as np, resolvent as rs
        cost = np.abs(np.arange(20.0)[:, None] - np.arange(20.0)) / 19
        mass = np.full(20, 0.05)
        problem = rs.EntropicTransport(cost, mass, mass, 0.02)
        sol = rs.solve(problem, rs.transport.Sinkhorn(), rtol=1e-9)
        assert sol.converged and np.abs(sol.x.plan.sum(1) - mass).sum() <= 1e-9
        ```

    Reference:
        M. Cuturi (2013), Sinkhorn distances: lightspeed computation of optimal transport,
        arXiv:1306.0895; B. Schmitzer (2019), Stabilized sparse scaling algorithms for entropy
        regularized transport problems, arXiv:1610.06519; A. Thibault, L. Chizat, C. Dossal,
        N. Papadakis (2021), Overrelaxed Sinkhorn-Knopp algorithm for regularized optimal
        transport, arXiv:1711.01851.
    """

    form: str = static(default="auto")
    relaxation: Any = static(default="auto")
    anderson: int = static(default=0)
    annealing: float | None = static(default=None)
    largest: Any = dataclasses.field(default=None, kw_only=True)

    name: ClassVar[str] = "sinkhorn"
    solves: ClassVar = (EntropicTransport,)
    reads: ClassVar[tuple[str, ...]] = ("potentials",)
    ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("form", self.form, ("auto", "log", "scaling"))
        if isinstance(self.relaxation, str):
            one_of("relaxation", self.relaxation, ("auto",))
        else:
            between("relaxation", self.relaxation, 0, 2, "Outside, no sweep converges.")
        count("anderson", self.anderson)
        if self.annealing is not None:
            between("annealing", self.annealing, 0, 1, "Epsilon comes down by this factor.")
        if self.anderson and self.relaxation not in ("auto", 1, 1.0):
            refuse(
                ValueError, "anderson", given=f"{self.anderson} beside relaxation "
                f"{self.relaxation}", needed="one of the two",
                advice="Leave relaxation at 'auto' or 1.0: mixing then replaces it.",
            )  # fmt: skip

    def check(self, problem: Any) -> None:
        if self.form == "scaling" and not isinstance(problem.cost, DenseCost):
            refuse(
                ValueError, "form", given=f"'scaling' for a {problem.cost.form} cost",
                needed="a cost that is a matrix", advice="Use form='auto' or form='log'.",
            )  # fmt: skip

    def bind(self, problem: Any) -> Any:
        if problem.cost.engine == "host" or self.annealing is not None:
            if is_traced(problem):
                return self.but(largest=jnp.max(problem.cost.rows(0, problem.shape[0])))
            return self.but(largest=problem.cost.largest())
        return self

    def _omega(self) -> float | None:
        """The fixed relaxation, or None where it is estimated."""
        if self.anderson:
            return 1.0
        return None if self.relaxation == "auto" else float(self.relaxation)

    def _sweeps(self, problem: Any) -> Any:
        """The host's sweeps, or None where the kernels do not know the cost."""
        if not isinstance(problem.a, np.ndarray):
            return None
        from resolvent.transport import sinkhorn_host

        largest = problem.cost.largest() if self.largest is None else float(self.largest)
        data = sinkhorn_host.data_of(problem, largest)
        if data is None:
            return None
        return sinkhorn_host.Sweeps(data, self.form, self._omega(), self.anderson, self.annealing)

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> Any:
        f, g = warm_start(problem, x0, memory)
        sweeps = self._sweeps(problem)
        return self._start(problem, f, g, 0) if sweeps is None else sweeps.begin(f, g)

    def step(self, problem: Any, state: Any) -> Any:
        if not isinstance(state, SweepState):
            copied = jax.tree_util.tree_map(
                lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, state
            )
            return self._sweeps(problem).run(copied, 1, -1.0)[0]
        return self._sweep(problem, state)

    def advance(self, problem: Any, state: Any, steps: int, target: float) -> Any:
        if isinstance(state, SweepState):
            return run_steps(self, problem, state, steps, target)
        return self._sweeps(problem).run(state, steps, target)

    def measure(self, problem: Any, state: Any) -> Any:
        return state.measure

    def iterate(self, problem: Any, state: Any) -> tuple[Any, Any]:
        if not isinstance(state, SweepState):
            f, g = self._sweeps(problem).point(state)
            dtype = problem.dtype
            return Potentials(f.astype(dtype), g.astype(dtype)), None
        return Potentials(state.f, _power(problem.penalty[1], state.epsilon) * state.image), None

    def refresh(self, problem: Any, state: Any) -> Any:
        if isinstance(state, SweepState):
            fresh = self._start(problem, state.f, state.g, state.passes)
            return fresh._replace(epsilon=state.epsilon, pace=state.pace)
        sweeps = self._sweeps(problem)
        fresh = sweeps.begin(*sweeps.oriented(sweeps.potentials(state)))
        return fresh._replace(passes=fresh.passes + state.passes, pace=state.pace)

    def calls(self, problem: Any, state: Any) -> dict[str, Any]:
        return {"kernel": state.passes}

    def remember(self, problem: Any, state: Any) -> dict[str, Entry]:
        x, _ = self.iterate(problem, state)
        return {"potentials": Entry((x.f, x.g), depends=("size",))}

    def _start(self, problem: Any, f: Any, g: Any, passes: Any) -> SweepState:
        xp = namespace(f)
        epsilon = problem.epsilon
        if self.annealing is not None:
            cold = ~((f != 0).any() | (g != 0).any())
            epsilon = xp.where(cold, xp.maximum(self.largest, epsilon), epsilon)
        epsilon = xp.asarray(epsilon, f.dtype)
        stored = None
        if self.form == "scaling":
            f = _power(problem.penalty[0], epsilon) * softmin(
                problem.cost, epsilon, g, problem.log_b
            )
            stored = _store(problem, epsilon, f, g)
        image = softmin(problem.cost.T, epsilon, f, problem.log_a)
        exact = softmin(problem.cost, epsilon, g, problem.log_b)
        error = self._error(problem, epsilon, f, g, exact, image)
        omega = self._omega()
        return SweepState(
            f, g, image, stored, epsilon, xp.asarray(0), paced(omega or 1.0, error, xp),
            unmixed(self.anderson, g, xp) if self.anderson else None, error,
            passes + (2 if stored is None else 4),
        )  # fmt: skip

    def _error(self, problem: Any, epsilon: Any, f: Any, g: Any, exact: Any, image: Any) -> Any:
        """The marginal error of two potentials, from the soft minima at each other."""
        xp = namespace(f)
        total: Any = 0.0
        for mass, tau, potential, soft in (
            (problem.a, problem.penalty[0], f, exact),
            (problem.b, problem.penalty[1], g, image),
        ):
            wanted = 1.0 if tau is None else xp.exp(-potential / tau)
            totals = xp.exp((potential - soft) / epsilon)
            # A point without mass has no marginal, however far its potential is from fitting.
            there = mass > 0
            total = total + xp.where(there, mass * xp.abs(wanted - totals), 0.0).sum()
        if self.annealing is not None:
            claim = epsilon <= problem.epsilon
            total = xp.where(claim, total, total + problem.a.sum())
        return xp.asarray(total, f.dtype)

    def _sweep(self, problem: Any, state: SweepState) -> SweepState:
        xp = namespace(state.f)
        epsilon, omega, mixing = state.epsilon, state.pace.omega, state.mixing
        left, right = (_power(tau, epsilon) for tau in problem.penalty)
        level = state.level
        if mixing is None:
            g = state.g + omega * (right * state.image - state.g)
        else:
            weight = xp.sqrt(problem.b)
            g, mixing = mixed(mixing, state.g, right * state.image, weight, state.measure, xp)
        if self.annealing is not None:
            epsilon, level = self._next_level(problem, state)
            left = _power(problem.penalty[0], epsilon)
        exact = _soft(problem, epsilon, state.stored, g, 0)
        f = state.f + omega * (left * exact - state.f) if mixing is None else left * exact
        image = _soft(problem, epsilon, state.stored, f, 1)
        stored = _kept(problem, epsilon, state.stored, f, g)
        error = self._error(problem, epsilon, f, g, exact, image)
        pace = state.pace
        if self._omega() is None:
            quick = looked(pace, error, 1, xp)
            claim = epsilon <= problem.epsilon
            pace = Pace(*(xp.where(claim, new, old) for new, old in zip(quick, pace, strict=True)))
            pace = pace._replace(best=xp.where(claim & (error < pace.best), error, pace.best))
        return SweepState(
            f, g, image, stored, epsilon, level, pace, mixing, error, state.passes + 2
        )  # fmt: skip

    def _next_level(self, problem: Any, state: SweepState) -> tuple[Any, Any]:
        xp = namespace(state.f)
        mass = problem.a.sum()
        level = state.level + 1
        ready = (state.measure - mass <= 0.1 * mass) | (level >= _LEVEL)
        lower = xp.maximum(problem.epsilon, self.annealing * state.epsilon)
        epsilon = xp.where(ready, lower, state.epsilon).astype(state.epsilon.dtype)
        return epsilon, xp.where(ready, 0, level)


def _power(tau: Any, epsilon: Any) -> Any:
    return 1.0 if tau is None else tau / (tau + epsilon)


def warm_start(problem: Any, x0: Any, memory: Memory) -> tuple[Any, Any]:
    """The first potentials: the user's, else remembered ones that fit, else zero."""
    f, g = x0
    entry = memory.get("potentials")
    if not (isinstance(entry, tuple | list) and len(entry) == 2):
        return f, g
    if any(np.shape(old) != np.shape(new) for old, new in zip(entry, (f, g), strict=True)):
        return f, g
    xp = namespace(f)
    cold = ~((f != 0).any() | (g != 0).any())
    old_f, old_g = (xp.asarray(old, f.dtype) for old in entry)
    return xp.where(cold, old_f, f), xp.where(cold, old_g, g)


def _soft(problem: Any, epsilon: Any, stored: Stored | None, potential: Any, side: int) -> Any:
    """The soft minimum of a side at the other's potential, by the stored kernel within reach."""
    cost, log_mass, mass = (
        (problem.cost.T, problem.log_a, problem.a) if side else
        (problem.cost, problem.log_b, problem.b)
    )  # fmt: skip
    if stored is None:
        return softmin(cost, epsilon, potential, log_mass)
    xp = namespace(potential)
    there, here = (stored.f, stored.g) if side else (stored.g, stored.f)

    def by_kernel() -> Any:
        weights = mass * xp.exp((potential - there) / epsilon)
        totals = weights @ stored.kernel if side else stored.kernel @ weights
        return here - epsilon * xp.log(totals)

    def by_log() -> Any:
        return softmin(cost, epsilon, potential, log_mass)

    near = xp.max(xp.abs(potential - there)) <= _reach(potential) * epsilon
    if xp is np:
        return by_kernel() if near else by_log()
    return jax.lax.cond(near, by_kernel, by_log)


def _reach(potential: Any) -> float:
    """How far, in epsilon, potentials may be from a stored kernel's."""
    return 50.0 if potential.dtype == np.float64 else 8.0


def _store(problem: Any, epsilon: Any, f: Any, g: Any) -> Stored:
    xp = namespace(f)
    C = problem.cost.rows(0, problem.cost.shape[0])
    # Where both sides lack mass nothing bounds the entry; it meets only zeros.
    z = xp.minimum((f[:, None] + g[None, :] - C) / epsilon, 80.0)
    return Stored(xp.exp(z), f, g)


def _kept(problem: Any, epsilon: Any, stored: Stored | None, f: Any, g: Any) -> Stored | None:
    """The stored kernel, made again where a potential has moved too far from it."""
    if stored is None:
        return None
    xp = namespace(f)
    moved = xp.maximum(xp.max(xp.abs(f - stored.f)), xp.max(xp.abs(g - stored.g)))
    near = moved <= _reach(f) * epsilon
    if xp is np:
        return stored if near else _store(problem, epsilon, f, g)
    return jax.lax.cond(near, lambda: stored, lambda: _store(problem, epsilon, f, g))
