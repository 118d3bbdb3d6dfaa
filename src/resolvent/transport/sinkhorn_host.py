"""Sinkhorn's iteration on the host: which form the next sweep takes, and the way between forms.

Far from the answer the potentials move by many epsilon a sweep: such sweeps run in the log domain.
Once they move little, the plan is stored and scaled, whole or, where most entries are nothing,
only those that matter. A scaling that leaves its safe range is absorbed into the potentials.
"""

from typing import Any, NamedTuple

import numpy as np

from resolvent.transport import kernels_scaling, kernels_softmin, kernels_storing
from resolvent.transport.acceleration import Mixing, Pace, looked, mixed, paced, period, unmixed
from resolvent.transport.softmin import kernel_form

scaling: Any = kernels_scaling
softmin: Any = kernels_softmin
storing: Any = kernels_storing

_WIDE = 1e40  # how far scalings of a whole plan in float64 may go
_NARROW = 1e4  # the same where entries are left out, or kept in float32
_LEFT_OUT = 1e-25  # entries below this share of row and column are left out
_SPARSE = 0.2  # share of kept entries up to which they are stored alone
_MOST = 8_000_000  # entries that are stored of a cost that is not
_SAMPLE = 32  # rows that the share is estimated from
_SETTLED = 0.25  # part of the safe range that one sweep may use when a plan is stored
_ABSURD = 1e6  # times the costs: potentials that are no first guess
_CALM = 0.2  # change of the scalings a sweep, as a logarithm, that a thinned plan bears
_SAFE_COLD = 200.0  # largest exponent of a plan that is stored at once


class Side(NamedTuple):
    """One marginal: masses, their logarithms, and what a penalty makes of it."""

    mass: Any
    log_mass: Any
    tau: float | None

    def power(self, epsilon: float) -> float:
        """tau / (tau + epsilon)."""
        return 1.0 if self.tau is None else self.tau / (self.tau + epsilon)

    def wanted(self, potential: Any) -> Any:
        """The marginal that belongs to a potential."""
        return self.mass if self.tau is None else self.mass * np.exp(-potential / self.tau)

    def kernel(self, potential: Any, epsilon: float) -> tuple[Any, ...]:
        """The side as `sweep_dense` reads it, with `potential` absorbed."""
        if self.tau is None:
            ones = np.ones_like(self.mass)
            return self.mass, ones, ones, (1.0, 0.0)
        damp, wanted = np.exp(-potential / (self.tau + epsilon)), np.exp(-potential / self.tau)
        return self.mass, damp, wanted, (self.power(epsilon), epsilon / self.tau)


class Data(NamedTuple):
    """The problem as the kernels read it; transposed where its matrix is."""

    cost: tuple[Any, ...]
    sides: tuple[Side, Side]
    epsilon: float
    flipped: bool
    largest: float


class HostState(NamedTuple):
    """State of the kernels.

    Attributes:
        f, g: potentials that are absorbed, in float64; changed in place.
        u, v: scalings beside them.
        rows, columns: totals of the absorbed plan times v and u.
        stored: nothing in the log domain, (K,) or (by_row, by_column).
        epsilon: the present one, larger than the problem's while it is annealed.
        level: sweeps at this epsilon.
        change: largest move of a potential in the last sweeps, a sweep, in epsilon.
        measure: marginal error.
        passes: passes over the costs, or over what is stored of them.
    """

    f: Any
    g: Any
    u: Any
    v: Any
    rows: Any
    columns: Any
    stored: tuple[Any, ...]
    epsilon: float
    level: int
    change: float
    measure: float
    passes: int
    pace: Pace
    mixing: Mixing | None


def data_of(problem: Any, largest: float) -> Data | None:
    """The problem for the kernels, or None where they do not know its cost."""
    known = kernel_form(problem.cost)
    if known is None:
        return None
    form, flipped = known
    sides = []
    for mass, tau in zip((problem.a, problem.b), problem.penalty, strict=True):
        mass = mass.astype(np.float64)
        with np.errstate(divide="ignore"):
            sides.append(Side(mass, np.log(mass), tau))
    first, second = reversed(sides) if flipped else sides
    return Data(form, (first, second), float(problem.epsilon), flipped, largest)


class Sweeps:
    """The sweeps of one solve: a problem's data and a method's parameters.

    Args:
        data: the problem.
        form: `auto`, `log` or `scaling`.
        relaxation: omega, or None where it is estimated.
        window: of Anderson's mixing.
        annealing: factor of epsilon from level to level, or None.
    """

    def __init__(
        self, data: Data, form: str, relaxation: float | None, window: int, annealing: float | None
    ):
        self.data, self.form = data, form
        self.relaxation, self.window, self.annealing = relaxation, window, annealing
        self.shape = (len(data.sides[0].mass), len(data.sides[1].mass))
        self.dtype = data.cost[1].dtype
        self.range = _WIDE if self.dtype == np.float64 else _NARROW

    def begin(self, f: Any, g: Any) -> HostState:
        """The state at two potentials."""
        data = self.data
        f, g = self.oriented((f, g))
        f, g = np.array(f, np.float64), np.array(g, np.float64)
        n, m = self.shape
        epsilon = data.epsilon
        # Potentials are of the size of the costs; from others nothing but digits is lost.
        size = max(np.abs(f).max(), np.abs(g).max())
        if not size <= _ABSURD * (data.largest + epsilon):
            f[:], g[:] = 0.0, 0.0
        if self.annealing is not None and not (f.any() or g.any()):
            epsilon = max(epsilon, data.largest)
        omega = 1.0 if self.relaxation is None else self.relaxation
        mixing = unmixed(self.window, g) if self.window else None
        state = HostState(
            f, g, np.ones(n), np.ones(m), np.empty(n), np.empty(m), (), epsilon, 0, np.inf,
            np.inf, 0, paced(omega, 1.0), mixing,
        )  # fmt: skip
        reach = (data.largest + np.abs(f).max() + np.abs(g).max()) / epsilon
        limit = _SAFE_COLD if self.dtype == np.float64 else 0.1 * _SAFE_COLD
        storable = self.form != "log" and data.cost[0] == softmin.DENSE and reach < limit
        if storable and epsilon == data.epsilon:
            state = self._store_whole(state)
            K = state.stored[0]
            rows = K.sum(axis=1, dtype=np.float64)
            columns = K.sum(axis=0, dtype=np.float64)
            return self._judged(state._replace(rows=rows, columns=columns), first=True)
        rows, columns = self._marginals(f, g, epsilon)
        state = state._replace(rows=rows, columns=columns, passes=1)
        state = self._judged(state, first=True)
        if not np.isfinite(state.measure):
            f[:], g[:] = 0.0, 0.0
            rows, columns = self._marginals(f, g, epsilon)
            state = self._judged(state._replace(rows=rows, columns=columns, passes=2), first=True)
        return state

    def _marginals(self, f: Any, g: Any, epsilon: float) -> tuple[Any, Any]:
        a, b = self.data.sides
        return softmin.marginals(*self.data.cost, epsilon, f, g, a.log_mass, b.log_mass)

    def _judged(self, state: HostState, first: bool = False) -> HostState:
        """The state with its error measured from its totals; unclaimed while annealing."""
        a, b = self.data.sides
        f, g = self.potentials(state)
        error = float(np.abs(a.wanted(f) - state.u * state.rows).sum())
        error += float(np.abs(b.wanted(g) - state.v * state.columns).sum())
        if state.epsilon > self.data.epsilon:
            error = max(error, 0.0) + float(a.mass.sum())
        pace = paced(float(state.pace.omega), error) if first else state.pace
        return state._replace(measure=error, pace=pace)

    def potentials(self, state: HostState) -> tuple[Any, Any]:
        """f and g with the scalings absorbed."""
        if not state.stored:
            return state.f, state.g
        return (
            state.f + state.epsilon * _logs(state.u),
            state.g + state.epsilon * _logs(state.v),
        )

    def corrected(self, state: HostState, g: Any, f: Any) -> tuple[Any, int]:
        """g after the plain correction of its side, and the passes that it took."""
        b = self.data.sides[1]
        epsilon, power = state.epsilon, b.power(state.epsilon)
        totals = state.v * state.columns
        there = b.mass > 0
        if scaling.usable(totals[there]).all():
            with np.errstate(all="ignore"):
                moved = g + epsilon * np.log(b.mass / totals)
            return np.where(there, power * moved, g), 0
        a = self.data.sides[0]
        exact = softmin.softmin_columns(*self.data.cost, epsilon, f, a.log_mass)
        return power * exact, 1

    def point(self, state: HostState) -> tuple[Any, Any]:
        """The potentials with the columns corrected, and those of points without mass."""
        f, g = self.potentials(state)
        g, _ = self.corrected(state, g, f)
        a, b = self.data.sides
        epsilon = state.epsilon
        if not a.mass.all():
            exact = softmin.softmin_rows(*self.data.cost, epsilon, g, b.log_mass)
            f = np.where(a.mass > 0, f, a.power(epsilon) * exact)
        if not b.mass.all():
            exact = softmin.softmin_columns(*self.data.cost, epsilon, f, a.log_mass)
            g = np.where(b.mass > 0, g, b.power(epsilon) * exact)
        return self.oriented((f, g))

    def oriented(self, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        """A pair of sides in the order of the problem: the kernels may see it transposed."""
        return pair[::-1] if self.data.flipped else pair

    def run(self, state: HostState, steps: int, target: float) -> tuple[HostState, Any]:
        """Up to `steps` sweeps, less where the target is met; and the error after each."""
        trace = np.empty(steps)
        done = 0
        with np.errstate(all="ignore"):
            while done < steps:
                if state.stored:
                    state, more = self._scaled(state, steps - done, target, trace[done:])
                else:
                    state, more = self._log_sweep(state), 1
                    trace[done] = state.measure
                done += more
                if self.relaxation is None and state.epsilon == self.data.epsilon:
                    pace = looked(state.pace, np.float64(state.measure), more)
                    state = state._replace(pace=pace)
                if state.measure <= target or not np.isfinite(state.measure):
                    break
                if not state.stored:
                    state = self._store(state)
                elif len(state.stored) == 1 and self.form == "auto":
                    state = self._thinned(state)
        return state, trace[:done]

    def _log_sweep(self, state: HostState) -> HostState:
        a, b = self.data.sides
        epsilon, omega = state.epsilon, float(state.pace.omega)
        image, extra = self.corrected(state, state.g, state.f)
        g, state = self._relaxed(state, state.g, image)
        if epsilon > self.data.epsilon:
            epsilon, state = self._next_level(state)
        before = state.f.copy()
        moved = np.abs(g - state.g)[b.mass > 0].max() / epsilon
        state.g[:] = g
        self._pass(state, epsilon, omega)
        change = max(moved, np.abs(state.f - before)[a.mass > 0].max() / epsilon)
        state = state._replace(
            epsilon=epsilon, change=float(change), passes=state.passes + 1 + extra
        )
        return self._judged(state)

    def _pass(self, state: HostState, epsilon: float, omega: float) -> None:
        """Correct f given g in the log domain, in place."""
        a, b = self.data.sides
        head = state.g / epsilon + b.log_mass
        partial = np.empty((softmin.block_count(self.shape[0]), self.shape[1]))
        scaling.pass_log(
            *self.data.cost, epsilon, head, a.mass, state.f, a.power(epsilon), omega,
            state.rows, state.columns, partial,
        )  # fmt: skip

    def _relaxed(self, state: HostState, g: Any, image: Any) -> tuple[Any, HostState]:
        if state.mixing is not None and state.epsilon == self.data.epsilon:
            weight = np.sqrt(self.data.sides[1].mass)
            g, mixing = mixed(state.mixing, g, image, weight, np.float64(state.measure))
            return g, state._replace(mixing=mixing)
        return g + float(state.pace.omega) * (image - g), state

    def _next_level(self, state: HostState) -> tuple[float, HostState]:
        assert self.annealing is not None
        mass = float(self.data.sides[0].mass.sum())
        level = state.level + 1
        if state.measure - mass <= 0.1 * mass or level >= 20:
            epsilon = max(self.data.epsilon, self.annealing * state.epsilon)
            return epsilon, state._replace(level=0)
        return state.epsilon, state._replace(level=level)

    def _store(self, state: HostState) -> HostState:
        """Leave the log domain where the last sweep was a small one."""
        if self.form == "log" or state.epsilon > self.data.epsilon:
            return state
        if self.form == "scaling":
            return self._store_whole(state)
        small = _SETTLED * np.log(_NARROW)
        if state.change <= small:
            sparse = self._store_part(state)
            if sparse is not None:
                return sparse
        if self.data.cost[0] == softmin.DENSE and state.change <= _SETTLED * np.log(self.range):
            return self._store_whole(state)
        return state

    def _thinned(self, state: HostState) -> HostState:
        """A stored plan without the entries that are nothing, once the scalings have settled."""
        if state.change > _CALM:
            return state
        f, g = self.potentials(state)
        ones = np.ones_like(f), np.ones_like(g)
        there = state._replace(f=f, g=g, u=ones[0], v=ones[1])
        part = self._store_part(there)
        if part is None:
            return state
        # Totals of K times scalings that are one from now on.
        return part._replace(rows=state.u * state.rows, columns=state.v * state.columns)

    def _heads(self, state: HostState) -> tuple[Any, Any]:
        a, b = self.data.sides
        return state.f / state.epsilon + a.log_mass, state.g / state.epsilon + b.log_mass

    def _store_whole(self, state: HostState) -> HostState:
        K = np.empty(self.shape, self.dtype)
        storing.build_dense(*self.data.cost, state.epsilon, *self._heads(state), K)
        return state._replace(stored=(K,), passes=state.passes + 1)

    def _store_part(self, state: HostState) -> HostState | None:
        n, m = self.shape
        a, b = self.data.sides
        base, head = self._heads(state)
        never = np.inf
        row_least = np.where(a.mass > 0, a.log_mass + np.log(_LEFT_OUT / m), never)
        column_least = np.where(b.mass > 0, b.log_mass + np.log(_LEFT_OUT / n), never)
        which: tuple = (*self.data.cost, state.epsilon, base, head, row_least, column_least)
        number, seen = storing.count_some(*which, max(1, n // _SAMPLE))
        if number > _SPARSE * seen * m or number / seen * n > _MOST:
            return None
        by_row = storing.build_sparse(which, self.dtype)
        stored = (by_row, storing.transposed(*by_row, m))
        return state._replace(stored=stored, passes=state.passes + 2)

    def _scaled(
        self, state: HostState, steps: int, target: float, trace: Any
    ) -> tuple[HostState, int]:
        a, b = self.data.sides
        epsilon = state.epsilon
        if self.window:
            steps = 1
            state = self._mixed_totals(state)
        elif self.relaxation is None:
            steps = min(steps, max(1, int(period(state.pace)) - int(state.pace.since)))
        sides = a.kernel(state.f, epsilon), b.kernel(state.g, epsilon)
        omega = float(state.pace.omega)
        whole = len(state.stored) == 1
        partial = np.empty((softmin.block_count(self.shape[0]), self.shape[1]) if whole else (0, 0))
        scalings = (state.u, state.v, state.rows, state.columns, partial)
        before = state.u.copy()
        sweep = scaling.sweep_dense if whole else scaling.sweep_sparse
        reach = self.range if whole else _NARROW
        done, safe = sweep(
            *state.stored, *sides, scalings, omega, reach, steps, float(target), trace
        )  # fmt: skip
        change = float(np.abs(np.log(state.u / before)).max()) / done
        state = state._replace(
            measure=float(trace[done - 1]), passes=state.passes + done, change=change
        )  # fmt: skip
        if not safe:
            state = self._absorbed(state)
            trace[done - 1] = state.measure
        return state, done

    def _mixed_totals(self, state: HostState) -> HostState:
        """Column totals that ask the kernel for the columns that mixing proposes."""
        f, g = self.potentials(state)
        image, _ = self.corrected(state, g, f)
        g, state = self._relaxed(state, g, image)
        b = self.data.sides[1]
        _, damp, _, (power, _) = b.kernel(state.g, state.epsilon)
        v = np.exp((g - state.g) / state.epsilon)
        state.columns[:] = b.mass * (v / damp) ** (-1.0 / power)
        return state

    def _absorbed(self, state: HostState) -> HostState:
        """Back to the log domain, at the columns as they are and the rows that fit them."""
        _, g = self.potentials(state)
        state.g[:] = g
        state.u[:], state.v[:] = 1.0, 1.0
        self._pass(state, state.epsilon, 1.0)
        state = state._replace(stored=(), change=np.inf, passes=state.passes + 1)
        return self._judged(state)


def _logs(scalings: Any) -> Any:
    """Logarithms; what is lost to under- or overflow counts as unchanged."""
    with np.errstate(all="ignore"):
        logs = np.log(scalings)
    return np.where(np.isfinite(logs), logs, 0.0)
