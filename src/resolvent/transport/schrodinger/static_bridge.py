"""The static bridge of one interval: an entropic transport between two snapshots."""

from typing import Any

import numpy as np

from resolvent._core.solve import solve
from resolvent.transport.coupling import Potentials
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.sinkhorn import Sinkhorn

_MOST = 100_000  # sweeps


def solve_bridge(
    logs: np.ndarray, f: np.ndarray, g: np.ndarray, tolerance: float
) -> tuple[Any, Any, int]:
    """min KL(P | exp(logs)) with uniform marginals, as transport with cost -logs, epsilon 1.

    Args:
        logs: log densities of the targets given the sources, shape (n, m).
        f: first guess of the sources' potential, shape (n,).
        g: of the targets', shape (m,).
        tolerance: l1 error of both marginals.

    Returns:
        Both potentials, so that P = exp(logs + f + g) / (n m), and the solver's passes.
    """
    n, m = logs.shape
    top = float(logs.max())  # costs begin at zero, which moves one potential by a constant
    problem = EntropicTransport(top - logs, np.full(n, 1.0 / n), np.full(m, 1.0 / m), 1.0)
    sol = solve(
        # Half of it: the bridge is measured again, with roundings of its own.
        problem, Sinkhorn(), x0=Potentials(f + top, g), rtol=0.5 * tolerance, max_steps=_MOST,
        progress=False, throw=False,
    )  # fmt: skip
    return sol.x.f - top, sol.x.g, int(sum(sol.calls.values()))
