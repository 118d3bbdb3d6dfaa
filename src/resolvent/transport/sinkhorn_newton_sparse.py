"""Sinkhorn sweeps, then Newton steps with a sparse Hessian."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import between, count
from resolvent._core.host import run_steps
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent.transport.acceleration import paced
from resolvent.transport.coupling import Potentials
from resolvent.transport.passes import PRODUCT, Kept, Passes
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.softmin import softmin

_NEAR = 0.2  # marginal error, relative to the mass, from which no scaling of epsilon is needed
_LOOSE = 1e-2  # the same, to which levels before the last are solved
_RATIO = 4.0  # of epsilon from level to level
_FIRST = 0.05  # epsilon of the first level, relative to the largest cost
_BURST = 64  # sweeps in one step where their number is given
_LOOK = 10  # sweeps in one step where it is still open how many there are to be
_PATIENCE = 20  # sweeps that are to bring the error near, or epsilon is taken down in levels
_OPTIMISM = 2.0  # how many times more sweeps are needed than a first rate promises
_PLAIN = 3  # sweeps before Newton's method where each one takes two passes
_CUT = 1e-5  # normalized entries that the Hessian keeps at first
_LEAST_CUT = 1e-14
_RADIUS = 8.0  # change of g / epsilon that the first Newton step may make
_STARVED = 2.0  # how many times its present mass a column must lack to be treated by itself
_SHIFTS = 30  # larger and larger ones that are tried to stay in the trust region
_REJECTED = 8  # Newton steps in a row that may fail


class Counts(NamedTuple):
    """What was done: in passes over all pairs, sweeps, Newton steps and CG products."""

    passes: int = 0
    sweeps: int = 0
    newton: int = 0
    cg: int = 0
    rejected: int = 0
    kept: int = 0


class NewtonState(NamedTuple):
    f: Any
    g: Any
    rows: Any
    columns: Any
    kept: Any
    epsilon: float
    error: float
    value: float
    stage: Any
    tried: int
    levelled: bool
    shift: float
    radius: float
    cut: float
    failed: int
    status: int
    target: float
    omega: float
    quick: bool
    counts: Counts


class SinkhornNewtonSparse(Method):
    """Sinkhorn-Newton-Sparse for entropic optimal transport at small regularization.

    Solves the problem in the potential g of the targets; the potential of the sources is always
    the soft minimum f(g), which makes the row sums right. With P the plan of (f(g), g) the concave
    dual has the gradient b - P^T 1 and the Hessian -(diag(P^T 1) - P^T diag(P 1)^-1 P) / epsilon.
    Stage one is the iteration of `Sinkhorn`, over-relaxed, with a plan that is stored and thinned;
    epsilon comes down in levels if that leaves the start far away. It lasts to the end where the
    sweeps still to come are predicted to cost less than Newton steps.
    Stage two does Newton steps: only the large entries of P enter the Hessian, the sums on its
    diagonal are those of the full plan, and the system is solved by conjugate gradients. A step is
    kept in a trust region by a multiple of diag(P^T 1) that vanishes near the answer.

    Args:
        sweeps: None lets predicted costs decide, in passes over all pairs, when to leave stage
            one; a number asks for so many plain sweeps at the final epsilon, without levels.
        density: None keeps the entries with P_ij > cut sqrt(a_i b_j) and lowers the cut where
            Newton converges too slowly; a number in (0, 1] keeps exactly the largest
            `ceil(density n m)` entries of P. With 1 this is the dense Newton method.
        passes: the data as the kernels read them; filled in by `bind`.

    Raises:
        ValueError: for a negative number of sweeps or a density outside (0, 1].

    Cost per iteration:
        A step of stage one: ten sweeps (64 where their number is given), each one pass of n m
        exponentials, 2 n m multiplications on the stored plan, or 4 K on K entries of it that
        matter. A step of stage two: one pass, and a few dozen products with K kept entries, 4 K
        multiplications each.

    Convergence:
        The dual ascends in every step, and both stages converge globally; Newton's method
        converges quadratically down to the mass that the cut leaves out, and linearly from there.
        `sol.memory.get("sinkhorn-newton")` counts passes, sweeps, Newton steps, CG products,
        rejected steps and kept entries.

    Example:
        ```python
        import numpy as np, resolvent as rs
        C = np.random.default_rng(0).random((100, 100))
        mass = np.full(100, 0.01)
        problem = rs.EntropicTransport(C, mass, mass, 1e-3)
        sol = rs.solve(problem, rs.transport.SinkhornNewtonSparse(), rtol=1e-9)
        assert sol.converged
        ```

    Reference:
        X. Tang, M. Shavlovsky, H. Rahmanian, E. Tardini, K. K. Thekumparampil, T. Xiao, L. Ying
        (2024), Accelerating Sinkhorn Algorithm with Sparse Newton Iterations, arXiv:2401.12253.
    """

    sweeps: int | None = None
    density: float | None = None
    passes: Any = dataclasses.field(default=None, kw_only=True)

    name: ClassVar[str] = "sinkhorn-newton-sparse"
    solves: ClassVar = (EntropicTransport,)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    reads: ClassVar[tuple[str, ...]] = ("potentials", "pattern")

    def __post_init__(self):
        if self.sweeps is not None:
            count("sweeps", self.sweeps)
        if self.density is not None:
            between("density", self.density, 0.0, math.nextafter(1.0, 2.0), "1 keeps every entry.")

    def bind(self, problem: EntropicTransport) -> "SinkhornNewtonSparse":
        return self.but(passes=Passes(problem, self.density))

    def init(self, problem: EntropicTransport, x0: Any, memory: Memory, key: Any) -> NewtonState:
        data = self._data(problem)
        known = memory.get("potentials")
        start = x0
        if known is not None and not (np.any(x0.f) or np.any(x0.g)):
            start = Potentials(*known)
        f, g = (np.asarray(potential, np.float64) for potential in data.inward(start))
        pattern = memory.get("pattern") or {}
        cut = float(pattern.get("cut", _CUT))
        state = NewtonState(
            f, g, None, None, None, data.epsilon, math.inf, -math.inf, None, 0, False, 0.0,
            _RADIUS, cut, 0, 0, 0.0, float(pattern.get("omega", 1.0)),
            bool(pattern.get("quick", False)), Counts(),
        )  # fmt: skip
        if self.sweeps == 0:
            return self._look(data, state, g, keep=False)
        state = self._settle(data, state)
        if self.sweeps is not None or state.stage is None or not state.omega > 1.0:
            return state
        # The relaxation that the last problem came to tells the rate before the first sweep.
        return state._replace(stage=state.stage._replace(pace=paced(state.omega, state.error)))

    def _settle(self, data: Passes, state: NewtonState) -> NewtonState:
        """The state at the start of stage one, at its potentials and its epsilon."""
        sweeps = self._stage_one(data, state)
        if sweeps is None:
            state = self._look(data, state, state.g, keep=False)._replace(tried=0)
            first = _FIRST * data.largest()
            far = not state.levelled and self.sweeps is None and first > state.epsilon
            if far and not state.error <= _NEAR * data.mass:
                return self._settle(data, state._replace(epsilon=first, levelled=True))
            return state
        stage = sweeps.begin(state.f, state.g)
        return state._replace(stage=stage, error=float(stage.measure), tried=0, kept=None)

    def _stage_one(self, data: Passes, state: NewtonState) -> Any:
        return data.sweeps(state.epsilon, None if self.sweeps is None else 1.0)

    def _data(self, problem: EntropicTransport) -> Passes:
        return Passes(problem, self.density) if self.passes is None else self.passes

    def _look(self, data: Passes, state: NewtonState, g: Any, keep: bool) -> NewtonState:
        """The state at g: one pass, or two where the room for the kept entries was too small."""
        cut = data.affordable(state.f, g, state.epsilon, state.cut) if keep else None
        f, rows, columns, kept, cost = data.at(g, state.epsilon, cut)
        counts = state.counts._replace(passes=state.counts.passes + cost)
        if kept is not None:
            counts = counts._replace(kept=len(kept.values))
        wanted = data.wanted(g)
        error = float(np.abs(wanted - columns).sum())
        value = data.dual(f, g, rows, state.epsilon)
        return state._replace(
            f=f, g=g, rows=rows, columns=columns, kept=kept, error=error, value=value, counts=counts
        )

    def step(self, problem: EntropicTransport, state: NewtonState) -> NewtonState:
        data = self._data(problem)
        last = state.epsilon <= data.epsilon
        goal = state.target if last else _LOOSE * data.mass
        if not last and state.error <= goal:
            return self._descend(data, state)
        if state.stage is not None:
            if not self._knows_better(data, state, goal, last):
                return self._sweep(data, state, goal)
            state = self._to_newton(data, state)
        if data.form is None and state.tried < (_PLAIN if self.sweeps is None else self.sweeps):
            return self._plain_sweep(data, state)
        return self._newton(data, state, goal)

    def _plain_sweep(self, data: Passes, state: NewtonState) -> NewtonState:
        """One sweep on costs that are only known by blocks."""
        soft = softmin(data.cost.T, state.epsilon, state.f, data.log_a)
        if data.tau_b is not None:
            soft = soft * (data.tau_b / (data.tau_b + state.epsilon))
        counts = state.counts
        counts = counts._replace(passes=counts.passes + 1, sweeps=counts.sweeps + 1)
        state = state._replace(tried=state.tried + 1, counts=counts)
        return self._look(data, state, soft, keep=False)

    def _descend(self, data: Passes, state: NewtonState) -> NewtonState:
        """The next level of epsilon."""
        state = self._unstaged(data, state)
        epsilon = max(data.epsilon, state.epsilon / _RATIO)
        if epsilon < 1.5 * data.epsilon:
            epsilon = data.epsilon
        return self._settle(data, state._replace(epsilon=epsilon, failed=0))

    def _unstaged(self, data: Passes, state: NewtonState) -> NewtonState:
        """The state with stage one closed: its potentials and its counts taken over."""
        if state.stage is None:
            return state
        sweeps = self._stage_one(data, state)
        f, g = sweeps.potentials(state.stage)
        g, extra = sweeps.corrected(state.stage, g, f)
        counts = state.counts
        counts = counts._replace(passes=counts.passes + state.stage.passes + extra)
        return state._replace(f=f, g=g, stage=None, counts=counts)

    def _sweep(self, data: Passes, state: NewtonState, goal: float) -> NewtonState:
        """A few sweeps, and what they tell of the sweeps that would have to follow."""
        limit = self.sweeps
        burst = _LOOK if limit is None else min(_BURST, limit - state.tried)
        # The sweeps change their vectors in place; what they have stored of the plan stays.
        stage = state.stage
        names = ("f", "g", "u", "v", "rows", "columns")
        stage = stage._replace(**{name: getattr(stage, name).copy() for name in names})
        stage, errors = self._stage_one(data, state).run(stage, burst, goal)
        tried = state.tried + len(errors)
        counts = state.counts._replace(sweeps=state.counts.sweeps + len(errors))
        error, omega = float(stage.measure), max(state.omega, float(stage.pace.omega))
        state = state._replace(stage=stage, error=error, tried=tried, counts=counts, omega=omega)
        if error <= goal or (limit is not None and tried < limit):
            return state
        if limit is not None:
            return self._to_newton(data, state)
        first = _FIRST * data.largest()
        far = not state.levelled and first > state.epsilon and not error <= _NEAR * data.mass
        if far and tried >= _PATIENCE:
            state = self._unstaged(data, state)
            return self._settle(data, state._replace(epsilon=first, levelled=True))
        if not far and self._prefers_newton(data, state, errors, goal):
            return self._to_newton(data, state)
        return state

    def _knows_better(self, data: Passes, state: NewtonState, goal: float, last: bool) -> bool:
        """Whether the last problem says that Newton steps are better from the start."""
        if self.sweeps is not None or not last or state.tried or not state.error < math.inf:
            return False
        if state.error > _NEAR * data.mass:
            return False
        if state.quick:
            return True
        return state.omega > 1.0 and self._prefers_newton(data, state, [], goal)

    def _to_newton(self, data: Passes, state: NewtonState) -> NewtonState:
        state = self._unstaged(data, state)
        return self._look(data, state, state.g, keep=True)

    def _prefers_newton(self, data: Passes, state: NewtonState, errors: Any, goal: float) -> bool:
        """Whether the predicted rest of stage one costs more than Newton steps would."""
        if not state.error < math.inf:
            return True
        stage = state.stage
        omega = float(stage.pace.omega)
        fall = math.log(state.error / max(goal, 1e-15 * data.mass))
        before = float(errors[-2]) if len(errors) > 1 else state.error
        plain = min(state.error / before, 1.0) if before > 0 else 1.0
        # What over-relaxation makes of the plain rate, as far as that is known by now.
        root = math.sqrt(1.0 - plain)
        rate, sweeps = (1.0 - root) / (1.0 + root), _OPTIMISM
        if omega > 1:
            plain = rate = omega - 1.0
            sweeps = 1.5
        left = sweeps * fall / -math.log(rate) if 0 < rate < 1 else math.inf
        left += 0.0 if omega > 1 else _LOOK
        if rate == 0:
            left = 1.0
        whole = math.log(data.mass / max(goal, 1e-15 * data.mass))
        steps = 2.0 + max(0.0, math.log2(whole / max(whole - fall, 1.5)))
        least = 1.3 * steps
        cost = data.sweep_cost(stage.stored)
        if not left * cost > least:
            return False
        products = 6.0 / math.sqrt(1.0 - min(plain, 1.0 - 1e-6))
        f, g = self._stage_one(data, state).potentials(stage)
        kept = data.share(f, g, state.epsilon, state.cut)
        return left * cost > least + steps * (1.0 + products * PRODUCT) * kept

    def _newton(self, data: Passes, state: NewtonState, goal: float) -> NewtonState:
        if state.kept is None:
            state = self._look(data, state, state.g, keep=True)
        kept: Kept = state.kept
        epsilon, columns, error = state.epsilon, state.columns, state.error
        wanted = data.wanted(state.g)
        gradient = wanted - columns
        relative = error / data.mass
        target = max(min(0.1, relative) * error, 0.2 * goal)
        diagonal = data.diagonal(state.g, columns, epsilon)
        diagonal += _lack(wanted, columns)
        weight = np.maximum(wanted, columns)
        shift, radius = (state.shift or 0.1 * relative), state.radius
        if state.shift < 0:
            shift = 0.0
        products, move, length = 0, np.zeros_like(gradient), 0.0
        for _ in range(_SHIFTS):
            move, done = data.solve(
                kept, state.rows, diagonal + shift * weight, gradient, target, epsilon, 4.0 * radius
            )
            products += done
            length = float(np.abs(move).max())
            if length <= 1.5 * radius:
                break
            shift = max(shift * min(max(length / radius, 2.0), 100.0), 1e-12)
        counts = state.counts
        counts = counts._replace(newton=counts.newton + 1, cg=counts.cg + products)
        state = state._replace(counts=counts)
        trial = self._look(data, state, state.g + epsilon * move, keep=True)
        promise = 0.5 * epsilon * float(gradient @ move)
        gain = trial.value - state.value
        quality = gain / promise if promise > 0 else -1.0
        noise = data.noise(state.f, state.g, epsilon)
        better = trial.error < error
        good = quality > 0.1 or (better and (abs(gain) <= noise or promise <= noise))
        if not (good and math.isfinite(trial.error)):
            counts = trial.counts._replace(rejected=trial.counts.rejected + 1)
            failed = state.failed + 1
            status = Reason.stalled.code if failed > _REJECTED else 0
            return state._replace(
                counts=counts, radius=0.25 * length, shift=max(4.0 * shift, 1e-12 * 100.0**failed),
                failed=failed, status=status,
            )  # fmt: skip
        if quality > 0.7 or trial.error < 0.3 * error:
            if length > 0.5 * radius:
                radius, shift = 2.0 * radius, 0.5 * shift
            else:
                shift *= 0.1
        elif quality < 0.3:
            radius, shift = max(0.5 * length, 1.0), 2.0 * shift
        cut = state.cut
        if trial.error > 0.25 * error and length < 1.0 and shift < 1e-6:
            cut = max(1e-2 * cut, _LEAST_CUT)
        return trial._replace(
            radius=radius, shift=shift if shift > 1e-13 else -1.0, cut=cut, failed=0
        )

    def advance(
        self, problem: EntropicTransport, state: NewtonState, steps: int, target: float
    ) -> tuple[NewtonState, Any]:
        return run_steps(self, problem, state._replace(target=target), steps, target)

    def aim(self, state: NewtonState, goal: Any) -> NewtonState:
        return state._replace(target=float(goal))

    def measure(self, problem: EntropicTransport, state: NewtonState) -> float:
        data = self._data(problem)
        if state.epsilon > data.epsilon:
            # Nothing is known yet about the plan of the epsilon that was asked for.
            return 2.0 * data.mass + state.error
        return state.error

    def status(self, state: NewtonState) -> int:
        return state.status

    def iterate(self, problem: EntropicTransport, state: NewtonState) -> tuple[Potentials, None]:
        data = self._data(problem)
        pair = state.f, state.g
        if state.stage is not None:
            pair = self._stage_one(data, state).point(state.stage)
        x = data.outward(*pair)
        return Potentials(x.f.astype(problem.dtype), x.g.astype(problem.dtype)), None

    def refresh(self, problem: EntropicTransport, state: NewtonState) -> NewtonState:
        data = self._data(problem)
        if state.stage is not None:
            return self._to_newton(data, state)
        return self._look(data, state, state.g, keep=True)

    def calls(self, problem: EntropicTransport, state: NewtonState) -> dict[str, int]:
        counts = self._counted(state)
        return {"kernel": counts.passes, "matvec": counts.cg}

    def _counted(self, state: NewtonState) -> Counts:
        open_passes = 0 if state.stage is None else int(state.stage.passes)
        return state.counts._replace(passes=state.counts.passes + open_passes)

    def remember(self, problem: EntropicTransport, state: NewtonState) -> dict[str, Entry]:
        if state.epsilon > self._data(problem).epsilon:
            return {}
        x, _ = self.iterate(problem, state)
        newton = state.stage is None and state.counts.newton > 0
        pattern = {"cut": state.cut, "omega": state.omega, "quick": newton}
        counted = {name: int(value) for name, value in self._counted(state)._asdict().items()}
        return {
            "potentials": Entry((x.f, x.g), ("size",)),
            "pattern": Entry(pattern, ("size",)),
            "sinkhorn-newton": Entry(counted, ()),
        }


def _lack(wanted: Any, columns: Any) -> Any:
    """What turns the diagonal Newton step of columns that lack mass into Sinkhorn's step.

    A column alone with mass c that should be b moves by log(b / c), not by (b - c) / c.
    """
    short = (wanted > _STARVED * columns) & (columns > 0)
    extra = np.zeros_like(columns)
    b, c = wanted[short], columns[short]
    extra[short] = (b - c) / np.log(b / c) - c
    return extra
