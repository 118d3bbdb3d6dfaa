"""Schroedinger bridges through snapshots, with the reference process among the unknowns."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from resolvent._core.checks import count, finite, real_array, refuse
from resolvent._core.problem import Engine, Problem
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.transport.schrodinger.expectations import Normal, moments, normal_equations
from resolvent.transport.schrodinger.fitting import bounded_step, distance, with_decay
from resolvent.transport.schrodinger.process import BridgedProcess
from resolvent.transport.schrodinger.references import Brownian, ReferenceFamily
from resolvent.transport.schrodinger.transitions import Chain, Grid, grid_of, transitions

_NO_BRIDGE = 0.1  # a coupling that misses so much of its marginals says nothing of the reference


class Bridged(NamedTuple):
    """What the data say about one reference and one set of potentials.

    Attributes:
        objective: J plus the family's weight decay, in nats.
        J: sum over intervals of KL(coupling | transition density), in nats.
        marginal: largest l1 error of a coupling's marginals, both sides together.
        stationarity: distance of the reference from its refit, in nats^(1/2).
        step: from theta to its refit (one Gauss-Newton step of it), shape (p,).
        normal: the least-squares problem of the refit at theta.
    """

    objective: float
    J: float
    marginal: float
    stationarity: float
    step: np.ndarray
    normal: Normal


class SchrodingerBridge(Problem):
    """Find the process that explains snapshots best, with its drift in a given family.

    At times t_1 < ... < t_I there are unpaired samples Y_i of a process dX = b dt + sigma dW whose
    drift b is unknown. Over processes q that have the snapshots as their marginals and references
    p_theta in the family, this is

        min over q, theta of KL(q | p_theta),    q_{t_i} = uniform on Y_i.

    For fixed theta the answer q is a chain of I - 1 bridges, each an entropic transport between two
    snapshots with cost -log p_theta(y | x) and regularization 1. For fixed q the best theta is the
    least-squares fit of the drift to the paths of q. An answer is both at once. With the family
    `Brownian` there is nothing to fit, and the classical Schroedinger bridge remains.

    Densities are those of the Euler chain of `substeps` steps an interval: exact for drifts that
    are affine in x, linearised around each particle's noiseless path otherwise.

    Args:
        snapshots: at least two arrays of shapes (N_1, d), ..., (N_I, d), in the state's units.
            They are brought to float64 NumPy arrays, and so is the answer.
        times: increasing, shape (I,).
        sigma: the known noise, in state units / sqrt(time): a number or shape (d,).
        family: the reference drifts.
        substeps: Euler steps between two snapshots.

    Raises:
        TypeError: snapshots that are no list of arrays, a family that is none.
        ValueError: shapes that do not fit, times that do not increase, sigma that is not positive.

    Certificate:
        `value = max(marginal error, distance of the reference from its own refit) <= target`
        (kind `residual`), both without unit, so that `rtol` applies as it stands. The first is the
        largest ||Pi_i 1 - 1/N||_1 + ||Pi_i^T 1 - 1/M||_1. The second is the square root of
        E_q integral |b_refit - b_theta|^2 / sigma^2 dt: by Girsanov's theorem a refit lowers
        KL(q | p) by half its square (for drifts that are not linear in theta, the refit is one
        Gauss-Newton step of it). Expectations over the bridges' paths are integrals in closed
        form, nothing is sampled, so that both are recomputed from theta and the potentials alone.

    Example:
        ```python
        import numpy as np
        from resolvent.transport.schrodinger import LinearDrift, SchrodingerBridge
        rng = np.random.default_rng(0)
        snapshots = [rng.normal(mean, 0.3, (40, 2)) for mean in (0.0, 0.5, 1.0)]
        problem = SchrodingerBridge(snapshots, [0.0, 0.5, 1.0], 0.3, LinearDrift())
        ```

    Reference:
        Y. Shen, R. Berlinghieri, T. Broderick (2024), "Multi-marginal Schroedinger Bridges with
        Iterative Reference Refinement", arXiv 2408.06277.
    """

    snapshots: Sequence[Float[Any, "particles d"]]
    times: Any
    sigma: Any
    family: Any = dataclasses.field(default_factory=Brownian)
    substeps: int = static(default=10)

    def __post_init__(self) -> None:
        set_field = vars(self).__setitem__
        set_field("snapshots", _snapshots(self.snapshots))
        d = self.d
        times = np.asarray(real_array("times", self.times), np.float64)
        if times.shape != (len(self.snapshots),):
            refuse(
                ValueError, "times", given=f"shape {times.shape}",
                needed=f"one time for each of the {len(self.snapshots)} snapshots",
                advice="Give them in the order of the snapshots.",
            )  # fmt: skip
        finite("times", times)
        if not (np.diff(times) > 0).all():
            where = int(np.argmin(np.diff(times)))
            refuse(
                ValueError, "times",
                given=f"{times[where]:g} followed by {times[where + 1]:g} at place {where}",
                needed="times that increase", advice="Sort the snapshots by time and merge equals.",
            )  # fmt: skip
        sigma = np.asarray(real_array("sigma", self.sigma), np.float64)
        if sigma.shape not in ((), (d,)):
            refuse(
                ValueError, "sigma", given=f"shape {sigma.shape}",
                needed=f"a number or shape {(d,)}",
                advice="Give one noise level, or one a coordinate.",
            )  # fmt: skip
        finite("sigma", sigma)
        if not (sigma > 0).all():
            refuse(
                ValueError, "sigma", given=f"{sigma.min():g}", needed="sigma > 0",
                advice="Without noise this is optimal transport: use EntropicTransport.",
            )  # fmt: skip
        if not isinstance(self.family, ReferenceFamily):
            refuse(
                TypeError, "family", given=f"{self.family!r}",
                needed="an instance of a ReferenceFamily", advice="Write family=LinearDrift().",
            )  # fmt: skip
        self.family.check(d)
        set_field("times", times)
        set_field("sigma", np.broadcast_to(sigma, (d,)).copy())
        count("substeps", self.substeps, least=1)

    @property
    def d(self) -> int:
        """Dimension of the state."""
        return self.snapshots[0].shape[1]

    @property
    def intervals(self) -> int:
        """Number of intervals between snapshots."""
        return len(self.snapshots) - 1

    def grid(self) -> Grid:
        """The data as compiled code takes them."""
        return grid_of(self.snapshots, self.times, self.sigma, self.substeps)

    def transitions(self, theta: Any) -> tuple[Chain, np.ndarray]:
        """The reference's chains and log transition densities, padded to one shape."""
        return transitions(self.family, theta, self.grid(), self.substeps)

    def start(self, key: Any) -> BridgedProcess:
        """The family's first parameters, usually those of no drift, and potentials of zero."""
        zeros = tuple(np.zeros(len(points)) for points in self.snapshots)
        return BridgedProcess(
            np.array(self.family.start(self.d), np.float64), zeros[:-1], zeros[1:], self
        )

    def couplings(self, logs: Any, f: Any, g: Any) -> np.ndarray:
        """Pi_i = exp(L_i + f_i + g_i) / (N_i N_{i+1}), padded with zeros to one shape."""
        most = max(len(points) for points in self.snapshots)
        found = np.zeros((self.intervals, most, most))
        for i, (left, right) in enumerate(zip(f, g, strict=True)):
            n, m = len(left), len(right)
            power = logs[i, :n, :m] + left[:, None] + right[None]
            with np.errstate(over="ignore", invalid="ignore"):
                found[i, :n, :m] = np.exp(power) / (n * m)
        return found

    def evaluate(self, x: BridgedProcess, known: Any = None) -> Bridged:
        """Everything that the certificate says of x; `known` spares the transitions."""
        chain, logs = self.transitions(x.theta) if known is None else known
        return self._measure(x, chain, logs)

    def _measure(self, x: BridgedProcess, chain: Chain, logs: np.ndarray) -> Bridged:
        family, theta = self.family, np.asarray(x.theta, np.float64)
        coupling = self.couplings(logs, x.f, x.g)
        J, marginal = 0.0, 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for i, (f, g) in enumerate(zip(x.f, x.g, strict=True)):
                n, m = len(f), len(g)
                plan = coupling[i, :n, :m]
                rows, columns = plan.sum(1), plan.sum(0)
                error = np.abs(rows - 1 / n).sum() + np.abs(columns - 1 / m).sum()
                marginal = max(marginal, error) if error == error else np.inf
                # The dual objective: at most the optimum, and off by the square of the error only.
                J += np.mean(f) - np.log(n) + np.mean(g) - np.log(m) + 1.0 - plan.sum()
        decay = family.weight_decay()
        grid = self.grid()
        paths = moments(family, chain, grid, coupling)
        normal = with_decay(normal_equations(family, theta, paths, grid), theta, decay)
        step = bounded_step(normal, theta, family.lower(self.d))
        return Bridged(
            float(J) + 0.5 * decay * float(theta @ theta), float(J), float(marginal),
            distance(normal, step), step, normal,
        )  # fmt: skip

    def residual(self, x: BridgedProcess) -> Any:
        """The marginal errors of every coupling, and the step from theta to its refit."""
        chain, logs = self.transitions(x.theta)
        coupling = self.couplings(logs, x.f, x.g)
        errors = []
        for i, (f, g) in enumerate(zip(x.f, x.g, strict=True)):
            plan = coupling[i, : len(f), : len(g)]
            errors += [1 / len(f) - plan.sum(1), 1 / len(g) - plan.sum(0)]
        return (*errors, self._measure(x, chain, logs).step)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """Measure theta and the potentials of x on this problem's data."""
        found = self.evaluate(x)
        return certificate_of(found)

    def scale(self, x: Any) -> float:
        """Both parts of the certificate are without unit."""
        return 1.0

    def admit(self, x0: Any, name: str = "x0") -> BridgedProcess:
        """A point with this problem's shapes, tied to this problem."""
        if not isinstance(x0, BridgedProcess):
            refuse(
                TypeError, name, given=f"a {type(x0).__name__}", needed="a BridgedProcess",
                advice="Pass an earlier solution's x, or problem.start(None).but(theta=...).",
            )  # fmt: skip
        start = self.start(None)

        def one(leaf: Any, like: Any) -> Any:
            leaf = np.asarray(real_array(name, leaf), np.float64)
            if leaf.shape != like.shape:
                refuse(
                    ValueError, name, given=f"shape {leaf.shape}", needed=f"shape {like.shape}",
                    advice="Give it the shapes of problem.start(None).",
                )  # fmt: skip
            finite(name, leaf)
            return leaf.copy()

        if (len(x0.f), len(x0.g)) != (self.intervals,) * 2:
            refuse(
                ValueError, name, given=f"potentials of {len(x0.f)} and {len(x0.g)} intervals",
                needed=f"{self.intervals} of each", advice="One pair for two neighbours in time.",
            )  # fmt: skip
        return BridgedProcess(
            one(x0.theta, start.theta),
            tuple(one(f, like) for f, like in zip(x0.f, start.f, strict=True)),
            tuple(one(g, like) for g, like in zip(x0.g, start.g, strict=True)),
            self,
        )

    def restore(self, x: BridgedProcess) -> BridgedProcess:
        """The process, tied to this problem."""
        return x.but(problem=self)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host: the couplings are solved there."""
        return "host"

    def fingerprint(self, aspect: str) -> Any:
        """`size` (shapes and family), or `data`."""
        if aspect == "size":
            shapes = tuple(points.shape for points in self.snapshots)
            return (shapes, repr(self.family), self.substeps)
        return super().fingerprint(aspect)

    def default_method(self) -> Any:
        """Iterative reference refinement."""
        from resolvent.transport.schrodinger.refinement import IterativeReferenceRefinement

        return IterativeReferenceRefinement()

    def describe(self) -> str:
        """A few words for summaries."""
        sizes = [len(points) for points in self.snapshots]
        particles = f"{min(sizes)}" if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
        return (
            f"SchrodingerBridge({len(sizes)} snapshots of {particles} points, d={self.d}, "
            f"{type(self.family).__name__})"
        )


def certificate_of(found: Bridged) -> Certificate:
    """The certificate that these measurements make."""
    value = max(found.marginal, found.stationarity)
    if not (found.marginal <= _NO_BRIDGE and found.objective == found.objective):
        value = float("inf")
    details = {
        "marginal error": found.marginal,
        "refit distance": found.stationarity,
        "J": found.J,
        "objective": found.objective,
    }
    return Certificate(
        value=value, scale=1.0, details=details, kind="residual", name="bridge and refit error",
        statement="max(max_i ||Pi_i 1 - 1/N||_1 + ||Pi_i^T 1 - 1/M||_1, "
        "(E_q int |b_refit - b_theta|^2 / sigma^2 dt)^(1/2)) <= target",
    )  # fmt: skip


def _snapshots(given: Any) -> tuple[np.ndarray, ...]:
    if isinstance(given, np.ndarray) and given.ndim == 3:
        given = list(given)
    if not isinstance(given, Sequence) or isinstance(given, str):
        refuse(
            TypeError, "snapshots", given=f"a {type(given).__name__}", needed="a list of arrays",
            advice="Give one array of shape (particles, d) for each time.",
        )  # fmt: skip
    arrays = []
    for i, points in enumerate(given):
        name = f"snapshots[{i}]"
        array = np.array(real_array(name, points), np.float64)
        if array.ndim != 2 or not array.size:
            refuse(
                ValueError, name, given=f"shape {array.shape}", needed="shape (particles, d)",
                advice="Write points[:, None] for numbers on a line.",
            )  # fmt: skip
        finite(name, array)
        arrays.append(array)
    dimensions = sorted({array.shape[1] for array in arrays})
    if len(arrays) < 2 or len(dimensions) != 1:
        refuse(
            ValueError, "snapshots",
            given=f"{len(arrays)} of dimensions {', '.join(map(str, dimensions)) or 'none'}",
            needed="at least two, all of one dimension", advice="Look at the snapshots' shapes.",
        )  # fmt: skip
    return tuple(arrays)
