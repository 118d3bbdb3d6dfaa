"""The answer: a reference drift and the bridges through all snapshots, drawn from lazily."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from resolvent._core.checks import count as checked_count
from resolvent._core.checks import one_of, refuse
from resolvent._core.randomness import generator
from resolvent._core.value import Value


class Trajectories(NamedTuple):
    """Paths drawn from the bridges.

    Attributes:
        times: the Euler grid over all intervals, shape (steps + 1,).
        paths: shape (count, steps + 1, d), in the units of the state.
        particles: which particle of each snapshot a path goes through, shape (count, I).
    """

    times: np.ndarray
    paths: np.ndarray
    particles: np.ndarray


class BridgedProcess(Value):
    """The process that a `SchrodingerBridge` asks for; what its solutions hold as `x`.

    Args:
        theta: parameters of the reference drift, shape (p,).
        f: potentials of the earlier snapshot of each interval, in nats, shapes (N_i,).
        g: potentials of the later one, shapes (N_{i+1},).
        problem: the data that it was found for.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.transport.schrodinger import LinearDrift, SchrodingerBridge
        rng = np.random.default_rng(0)
        snapshots = [rng.normal(mean, 0.3, (30, 1)) for mean in (0.0, 0.6, 1.0)]
        process = rs.solve(SchrodingerBridge(snapshots, [0.0, 0.5, 1.0], 0.3, LinearDrift())).x
        drawn = process.sample(key=0, count=60)
        assert drawn.paths.shape == (60, 21, 1)
        assert set(drawn.paths[:, 10, 0]) <= set(snapshots[1][:, 0])
        ```
    """

    theta: Any
    f: tuple[Any, ...]
    g: tuple[Any, ...]
    problem: Any = dataclasses.field(default=None)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return len(self.theta) + sum(len(u) for u in (*self.f, *self.g))

    @property
    def parameters(self) -> dict[str, Any]:
        """The reference's parameters by name."""
        return self.problem.family.parameters(self.theta, self.problem.d)

    def drift(self, x: Any, t: Any = 0.0) -> np.ndarray:
        """The reference's drift at points of shape (count, d)."""
        return self.problem.family.velocities(self.theta, x, t)

    def coupling(self, interval: int) -> np.ndarray:
        """Joint law of the particles at both ends of an interval, shape (N_i, N_{i+1})."""
        intervals = self.problem.intervals
        one_of("interval", interval, range(intervals))
        _, logs = self.problem.transitions(self.theta)
        n, m = len(self.f[interval]), len(self.g[interval])
        return self.problem.couplings(logs, self.f, self.g)[interval, :n, :m]

    def sample(self, key: Any = None, count: int | None = None, through: int = 0) -> Trajectories:
        """Draw whole paths; every one goes through a particle of each snapshot.

        The particles are drawn as a Markov chain along the couplings, the path between two by
        Gaussian conditioning of the Euler chain, step by step: exactly for drifts that are affine
        in x, from the chain linearised around the earlier particle's noiseless path otherwise.

        Args:
            key: randomness; the same key gives the same paths.
            count: how many; as many as the snapshot `through` has particles when absent.
            through: the snapshot whose particles the paths are spread over evenly, from which they
                are continued forwards and backwards.

        Returns:
            Times, paths and the particles they go through.
        """
        from resolvent.transport.schrodinger.sampler import draw

        one_of("through", through, range(len(self.problem.snapshots)))
        most = len(self.problem.snapshots[through]) if count is None else count
        return draw(self, generator(key), checked_count("count", most, least=1), through)

    def at(self, t: float, key: Any = None, count: int | None = None) -> np.ndarray:
        """Draw from the process at one time, for example one whose snapshot was held out.

        Between two Euler steps the chain is filled in as a Brownian bridge.

        Args:
            t: a time between the first and the last snapshot.
            key: randomness.
            count: how many points; those of the earlier snapshot when absent.

        Returns:
            Points, shape (count, d).

        Raises:
            ValueError: a time outside the snapshots'.
        """
        times = self.problem.times
        if not times[0] <= t <= times[-1]:
            refuse(
                ValueError, "t", given=f"{t}", needed=f"a time in [{times[0]:g}, {times[-1]:g}]",
                advice="Beyond the snapshots, simulate the drift.",
            )  # fmt: skip
        interval = min(int(np.searchsorted(times, t, side="right")) - 1, len(times) - 2)
        rng = generator(key)
        from resolvent.transport.schrodinger.sampler import draw

        most = len(self.problem.snapshots[interval]) if count is None else count
        drawn = draw(self, rng, checked_count("count", most, least=1), interval, only=interval)
        h = float(times[interval + 1] - times[interval]) / self.problem.substeps
        k = min(int((t - times[interval]) / h + 1e-9), self.problem.substeps - 1)
        part = min(max((t - times[interval]) / h - k, 0.0), 1.0)
        if part < 1e-9:
            return drawn.paths[:, k].copy()
        noise = np.sqrt(h * part * (1 - part)) * self.problem.sigma
        mean = (1 - part) * drawn.paths[:, k] + part * drawn.paths[:, k + 1]
        return mean + noise * rng.standard_normal(mean.shape)

    def plot(self, key: Any = None, count: int = 60, **options: Any) -> Any:
        """Draw trajectories through the snapshots; see `plot_bridges`. Returns the axes."""
        from resolvent.transport.schrodinger.plot import plot_bridges

        return plot_bridges(self, self.sample(key, count), **options)
