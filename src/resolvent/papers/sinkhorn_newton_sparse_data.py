"""Transport problems of the experiments on sparse Newton steps, and runs of the methods on them."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from resolvent._core.checks import refuse

PLAIN, RELAXED, OWN = "Sinkhorn", "Sinkhorn, over-relaxed", "own choice"
REPEATED = 3.0  # seconds below which a solve is timed three times; the shortest counts


class Run(NamedTuple):
    """One solve: what it did, how long it took, and its marginal error on the way.

    Attributes:
        sweeps: of stage one, or of Sinkhorn's iteration.
        newton: steps.
        products: with a Hessian, in conjugate gradients.
        seconds: of the whole solve.
        error: l1 error of both marginals, recomputed from the potentials.
        converged: whether that error meets the tolerance.
        outer: iteration numbers of the curve, sweeps and Newton steps counted alike.
        errors: the marginal error after these.
    """

    sweeps: int
    newton: int
    products: int
    seconds: float
    error: float
    converged: bool
    outer: np.ndarray
    errors: np.ndarray

    @property
    def iterations(self) -> int:
        """Sweeps and Newton steps together."""
        return self.sweeps + self.newton

    @property
    def ratios(self) -> np.ndarray:
        """By what the error is multiplied in each Newton step."""
        errors = self.errors[-(self.newton + 1) :]
        return errors[1:] / errors[:-1]

    def numbers(self) -> dict[str, Any]:
        """What tables show of it."""
        shown = self._asdict()
        del shown["outer"], shown["errors"]
        return shown


def random_assignment(n: int, eta: float, seed: int) -> Any:
    """Costs drawn uniformly from [0, 1], equal masses 1 / n, epsilon = 1 / eta."""
    import resolvent as rs

    mass = np.full(n, 1.0 / n)
    return rs.EntropicTransport(np.random.default_rng(seed).random((n, n)), mass, mass, 1.0 / eta)


def digit(index: int, zoom: float) -> np.ndarray:
    """A digit of scikit-learn's set, enlarged from 8 x 8 pixels, as masses whose sum is 1.

    Raises:
        ImportError: where scikit-learn is not installed.
    """
    import scipy.ndimage

    try:
        from sklearn.datasets import load_digits
    except ImportError:
        refuse(
            ImportError, "scikit-learn", given="no such package",
            needed="its images of digits, as masses",
            advice='Run pip install "resolvent[examples]".',
        )  # fmt: skip
    pixels = np.asarray(load_digits()["data"])[index].reshape(8, 8) / 16
    image = scipy.ndimage.zoom(pixels, zoom, order=1)
    mass = np.clip(image, 0.0, 1.0) + 0.01
    return mass / mass.sum()


def image_pair(cost: str, eta: float, zoom: float = 3.5) -> Any:
    """A zero and a seven; the cost is the pixels' squared or l1 distance over the largest."""
    import resolvent as rs

    first, second = digit(0, zoom), digit(7, zoom)
    places = np.argwhere(np.ones(first.shape)).astype(float)
    gaps = np.abs(places[:, None] - places[None])
    C = (gaps**2 if cost == "squared" else gaps).sum(-1)
    return rs.EntropicTransport(C / C.max(), first.ravel(), second.ravel(), 1.0 / eta)


def second_vertex(C: np.ndarray) -> float:
    """By how much the second-best assignment exceeds the best one, in total cost."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse.csgraph import floyd_warshall

    columns = linear_sum_assignment(C)[1]
    # An edge hands row i the column of row k. Every other assignment is a set of cycles of such
    # edges, none of which is negative, so that the second-best one is the shortest cycle.
    edges = np.ascontiguousarray(C[:, columns] - C[np.arange(len(C)), columns][:, None])
    np.fill_diagonal(edges, math.inf)
    return float((edges + floyd_warshall(edges).T).min())


def outside(plan: np.ndarray, kept: int) -> float:
    """The l1 distance of a plan to the nearest matrix of so many entries."""
    return float(np.sort(plan, axis=None)[: max(0, plan.size - kept)].sum())


def newton_run(
    problem: Any, sweeps: int | None, per_row: float | None, rtol: float, most: int = 120
) -> Run:
    """Both stages: so many sweeps, then Newton steps that keep `per_row` n entries of the plan.

    None leaves the choice to the method.
    """
    from resolvent.transport import SinkhornNewtonSparse

    density = None if per_row is None else min(1.0, per_row / problem.shape[1])
    # A step of stage one is up to 64 sweeps.
    steps = most + -(-(sweeps or 0) // 64)
    sol, seconds = _timed(problem, SinkhornNewtonSparse(sweeps, density), rtol, steps)
    counts = sol.memory.get("sinkhorn-newton") or {"sweeps": 0, "newton": 0, "cg": 0}
    newton, errors = int(counts["newton"]), np.asarray(sol.history.measures)
    first = len(errors) - newton
    shown = errors[max(0, first - 1) :]
    outer = counts["sweeps"] + newton - np.arange(len(shown))[::-1]
    return Run(
        int(counts["sweeps"]), newton, int(counts["cg"]), seconds, sol.certificate.value,
        bool(sol.converged), outer, shown,
    )  # fmt: skip


def sinkhorn_run(problem: Any, rtol: float, most: int, relaxed: bool = False) -> Run:
    """Sinkhorn's iteration, plain or with the over-relaxation that it finds by itself."""
    from resolvent.transport import Sinkhorn

    method = Sinkhorn() if relaxed else Sinkhorn(relaxation=1.0)
    sol, seconds = _timed(problem, method, rtol, most)
    return Run(
        int(sol.steps), 0, 0, seconds, sol.certificate.value, bool(sol.converged),
        np.asarray(sol.history.steps), np.asarray(sol.history.measures),
    )  # fmt: skip


def _timed(problem: Any, method: Any, rtol: float, steps: int) -> tuple[Any, float]:
    import resolvent as rs

    def solve() -> tuple[Any, float]:
        began = time.perf_counter()
        sol = rs.solve(problem, method, rtol=rtol, max_steps=steps, throw=False, progress=False)
        return sol, time.perf_counter() - began

    sol, seconds = solve()
    again = 2 if sol.converged and seconds < REPEATED else 0
    return sol, min([seconds, *(solve()[1] for _ in range(again))])


class Chain(NamedTuple):
    """Plans of a random assignment where the theorem on their sparsity holds; their mass is 1.

    Attributes:
        eta: 1 / epsilon, twice what the theorem asks for.
        sweeps: after which the plan was looked at.
        distances: of these plans to matrices with n entries, in the l1 norm.
        limit: the distance of the answer.
        rest: 6 n^2 exp(-eta Delta), the theorem's bound of that.
        q: the constant of Sinkhorn's own bound sqrt(q / t) of the marginal error.
    """

    eta: float
    sweeps: np.ndarray
    distances: np.ndarray
    limit: float
    rest: float
    q: float

    @property
    def told(self) -> np.ndarray:
        """Where the bound is less than the mass, so that it says anything."""
        return self.bounds < 1.0

    @property
    def bounds(self) -> np.ndarray:
        return self.rest + np.sqrt(self.q / self.sweeps)


def chain(n: int, seed: int, marks: list[int], say: Callable[[str], Any]) -> Chain:
    """Plans of a small random assignment after more and more sweeps, and its answer."""
    import resolvent as rs

    C = random_assignment(n, 1.0, seed).cost.matrix
    gap = second_vertex(C) / n
    eta = 2.0 * (1.0 + 2.0 * math.log(n)) / gap
    say(f"sparsity, n = {n}, seed {seed}, eta = {eta:.3g}")
    problem = random_assignment(n, eta, seed)
    answer = rs.solve(problem, rs.transport.SinkhornNewtonSparse(), rtol=1e-9, progress=False)
    distances, duals = [], []
    for mark in marks:
        x = rs.solve(
            problem, rs.transport.Sinkhorn(relaxation=1.0), rtol=0.0, max_steps=mark,
            throw=False, progress=False,
        ).x  # fmt: skip
        distances.append(outside(x.plan, n))
        duals.append(float(x.f.mean() + x.g.mean()))
    # Each sweep raises eta times the dual by at least half the squared marginal error.
    q = 2.0 * eta * float(answer.x.f.mean() + answer.x.g.mean() - duals[0])
    return Chain(
        eta, np.array(marks), np.array(distances), outside(answer.x.plan, n),
        6.0 * n**2 * math.exp(-eta * gap), q,
    )  # fmt: skip
