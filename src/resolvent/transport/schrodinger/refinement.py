"""Iterative reference refinement: bridges for the reference, then a reference for the bridges."""

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import between, count
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.transport.schrodinger.expectations import moments, normal_equations
from resolvent.transport.schrodinger.fitting import distance, minimise, with_decay
from resolvent.transport.schrodinger.mixing import mixed
from resolvent.transport.schrodinger.problem import Bridged, SchrodingerBridge, certificate_of
from resolvent.transport.schrodinger.process import BridgedProcess
from resolvent.transport.schrodinger.static_bridge import solve_bridge

_FAR = 1e12  # stands for the infinite certificate of a start without bridges
_BRIDGES = 1e-2  # marginal error below which couplings are refined, not made anew
_COARSE = 1e-4  # marginal error of the first bridges
_HALVINGS = 6


class State(NamedTuple):
    """The present reference and its bridges.

    Attributes:
        theta: parameters of the reference, shape (p,).
        f: potentials of the earlier snapshots, one array an interval.
        g: those of the later ones.
        found: what the problem says of them.
        past: the last parameters, newest last, shape (depth, p).
        moves: the refit's steps from them, shape (depth, p).
        calls: transitions, sweeps and path integrals so far, shape (3,).
        code: of the reason to end, or 0.
    """

    theta: Any
    f: Any
    g: Any
    found: Bridged
    past: Any
    moves: Any
    calls: Any
    code: int


class IterativeReferenceRefinement(Method):
    """Iterative reference refinement (IRR): the bridge and its reference, each in turn.

    Solves min over q, theta of KL(q | p_theta) with the snapshots as marginals of q
    (`SchrodingerBridge`). One step fits the reference to the present bridges, theta+ = argmin
    E_q integral |dX/dt - b(theta, X)|^2 / (2 sigma^2) dt, and then solves the bridges of theta+
    anew, one entropic transport an interval with cost -log p(y | x) and regularization 1, from the
    potentials at hand. The first step from potentials that are no bridges only makes the bridges,
    so that after it stands the classical Schroedinger bridge of the starting reference.

    Expectations over the paths are closed forms, where the original simulates them: the step is
    then a deterministic map, the expectation-maximization step of the likelihood of couplings, and
    has a fixed point that can be certified. Anderson mixing of that map speeds it up; a mixed
    step that does not lower the objective is replaced by the plain one.

    Args:
        acceleration: how many earlier steps are mixed in; 0 is the plain iteration.
        bridge_rtol: marginal error of the bridges in the end; on the way it is a hundredth of the
            distance that the reference still has from its refit.
        fit_steps: Gauss-Newton steps a fit takes where the drift is not linear in theta.

    Raises:
        ValueError: a parameter out of range.

    Cost per iteration:
        A step computes the densities of all pairs of neighbours in time, a few dozen Sinkhorn
        sweeps, and one path integral: O(N^2 d) a substep and interval, times 2 d p^2 where the
        drift is not affine in x (less there for couplings that are nearly sparse).

    Convergence:
        For drifts affine in x and linear in theta the objective (`J` and the family's decay) does
        not increase, and fixed points are its stationary points, as for every EM iteration; which
        one depends on the start: rotations by more than half a turn between two snapshots cannot
        be told from slower ones. For other drifts the densities are linearised, and descent holds
        up to that error; steps that leave it are halved.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.transport.schrodinger import LinearDrift, SchrodingerBridge
        rng = np.random.default_rng(0)
        times = np.arange(4) * 0.5
        snapshots = [rng.normal(2.0 * np.exp(-t), 0.3, (60, 1)) for t in times]
        sol = rs.solve(SchrodingerBridge(snapshots, times, 0.3, LinearDrift(offset=False)))
        assert -1.5 < sol.x.parameters["A"][0, 0] < -0.6
        paths = sol.x.sample(key=0, count=100).paths
        ```

    Reference:
        Y. Shen, R. Berlinghieri, T. Broderick (2024), "Multi-marginal Schroedinger Bridges with
        Iterative Reference Refinement", arXiv 2408.06277; D. G. Anderson (1965), "Iterative
        Procedures for Nonlinear Integral Equations".
    """

    acceleration: int = static(default=5)
    bridge_rtol: float = static(default=1e-9)
    fit_steps: int = static(default=2)

    name: ClassVar[str] = "reference-refinement"
    solves = (SchrodingerBridge,)
    engines = ("host",)
    monitored = 20

    def __post_init__(self) -> None:
        count("acceleration", self.acceleration)
        between("bridge_rtol", self.bridge_rtol, 0.0, _COARSE, "Bridges are couplings.")
        count("fit_steps", self.fit_steps, least=1)

    def limit(self, problem: Any) -> int:
        return 500

    def init(self, problem: SchrodingerBridge, x0: Any, memory: Memory, key: Any) -> State:
        found = problem.evaluate(x0)
        none = np.empty((0, len(x0.theta)))
        calls = np.array([1, 0, 1])
        return State(x0.theta, x0.f, x0.g, found, none, none, calls, 0)

    def step(self, problem: SchrodingerBridge, state: State) -> State:
        if not state.found.marginal <= _BRIDGES:
            tolerance = _COARSE if len(state.theta) else self.bridge_rtol
            return self._bridged(problem, state, state.theta, tolerance)
        theta = np.asarray(state.theta)
        refit, passes = self._refit(problem, state)
        state = state._replace(calls=state.calls + np.array([0, 0, passes]))
        move = refit - theta
        tolerance = 1e-2 * min(state.found.stationarity, distance(state.found.normal, move))
        tolerance = min(_COARSE, max(self.bridge_rtol, tolerance))
        keep = slice(-self.acceleration - 1, None)
        past = np.vstack([state.past, theta])[keep]
        moves = np.vstack([state.moves, move])[keep]
        lower = problem.family.lower(problem.d)
        trials = [theta + move * 0.5**k for k in range(_HALVINGS)]
        if self.acceleration and len(past) > 1:
            target = mixed(past, moves, state.found.normal.information)
            trials.insert(0, np.maximum(target, lower))
        limit = state.found.objective + self._slack(problem, state, tolerance)
        after = state
        for i, trial in enumerate(trials):
            after = self._bridged(problem, state, trial, tolerance)
            nearer = after.found.stationarity <= state.found.stationarity
            descends = after.found.objective <= limit
            if after.code == 0 and (descends or (nearer and not problem.family.affine)):
                # What was mixed from a rejected past would be rejected again.
                kept = (past, moves) if i == 0 or not self.acceleration else (past[-1:], moves[-1:])
                return after._replace(past=kept[0], moves=kept[1])
            state = state._replace(calls=after.calls)
        return state._replace(code=Reason.stalled.code if after.code == 0 else after.code)

    def _slack(self, problem: SchrodingerBridge, state: State, tolerance: float) -> float:
        """By how much the objective may rise: rounding, and linearisation where there is any."""
        found = state.found
        rounding = 1e-10 * (1.0 + abs(found.objective)) + tolerance
        return rounding if problem.family.affine else rounding + 0.1 * found.stationarity

    def _refit(self, problem: SchrodingerBridge, state: State) -> tuple[np.ndarray, int]:
        """The reference step, and how many path integrals it took."""
        family, theta = problem.family, np.asarray(state.theta)
        if family.linear or not len(theta):
            return theta + state.found.step, 0
        chain, logs = problem.transitions(theta)
        coupling, grid = problem.couplings(logs, state.f, state.g), problem.grid()
        paths, decay = moments(family, chain, grid, coupling), family.weight_decay()

        def normal(trial: np.ndarray) -> Any:
            return with_decay(normal_equations(family, trial, paths, grid), trial, decay)

        lower = family.lower(problem.d)
        return minimise(family, theta, lower, normal, state.found.normal, self.fit_steps)

    def _bridged(
        self, problem: SchrodingerBridge, state: State, theta: np.ndarray, tolerance: float
    ) -> State:
        """The bridges of a reference, from the potentials at hand."""
        known = problem.transitions(theta)
        if not np.isfinite(known[1]).all():
            calls = state.calls + np.array([1, 0, 0])
            return state._replace(calls=calls, code=Reason.diverged.code)
        f, g, sweeps = [], [], 0
        for i in range(problem.intervals):
            n, m = len(state.f[i]), len(state.g[i])
            logs = known[1][i, :n, :m]
            one, other, done = solve_bridge(logs, state.f[i], state.g[i], tolerance)
            f.append(one)
            g.append(other)
            sweeps += done
        found = problem.evaluate(BridgedProcess(theta, tuple(f), tuple(g)), known)
        calls = state.calls + np.array([1, sweeps, 1])
        code = 0 if math.isfinite(found.objective) else Reason.diverged.code
        # Potentials that miss their tolerance would be refined for ever.
        if code == 0 and not found.marginal <= max(_BRIDGES, 10 * tolerance):
            code = Reason.stalled.code
        return State(theta, tuple(f), tuple(g), found, state.past, state.moves, calls, code)

    def measure(self, problem: Any, state: State) -> float:
        return min(certificate_of(state.found).value, _FAR)

    def status(self, state: State) -> int:
        return state.code

    def iterate(self, problem: Any, state: State) -> tuple[Any, Any]:
        return BridgedProcess(
            np.asarray(state.theta), tuple(state.f), tuple(state.g), problem
        ), None

    def calls(self, problem: Any, state: State) -> dict[str, Any]:
        names = ("transitions", "sweeps", "path integrals")
        return {name: int(n) for name, n in zip(names, state.calls, strict=True)}
