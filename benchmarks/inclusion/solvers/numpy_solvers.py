"""The loops that somebody writes in NumPy, and the time of reading the matrix twice a step."""

import time

import numpy as np
from benchmark_utils.clock import timed
from benchmark_utils.judge import simplex
from benchopt import BaseSolver

STEPS = 10**7
READINGS = 100
POWERS = 20  # steps of the power iteration that finds the norm, as many as Resolvent takes


class Solver(BaseSolver):
    name = "numpy"
    parameters = {"method": ["primal-dual", "primal-dual-average", "extragradient", "reading"]}
    requirements = ["numpy"]
    sampling_strategy = "run_once"

    def skip(self, task, data, **_):
        if task != "game" and self.method != "extragradient":
            return True, "a method for games"
        return False, None

    def set_objective(self, task, data, rtol, limit):
        self.task, self.data, self.rtol, self.limit = task, data, rtol, limit

    def run(self, _):
        solve = {
            "primal-dual": self._primal_dual, "primal-dual-average": self._primal_dual,
            "extragradient": self._extragradient, "reading": self._read,
        }[self.method]  # fmt: skip
        (self.x, self.steps, self.claimed), self.seconds = timed(solve)

    def get_result(self):
        calls = self.steps * (2 if self.method == "extragradient" else 1)
        if self.task == "game" and self.method != "reading":
            calls += POWERS
        return {
            "x": self.x, "steps": self.steps, "claimed": self.claimed, "seconds": self.seconds,
            "calls": calls,
        }  # fmt: skip

    def _read(self):
        A = self.data["A"]
        n, m = A.shape
        x, y = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
        for _ in range(READINGS):
            A @ y
            x @ A
        return (x, y), READINGS, False

    def _primal_dual(self):
        A, end = self.data["A"], time.perf_counter() + self.limit
        n, m = A.shape
        x, y = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
        Ay, xA = A @ y, x @ A
        step, target = 0.9 / norm(A), self.rtol * np.abs(A).max()
        mean = [x, y, Ay, xA]
        for k in range(1, STEPS):
            x = simplex(x - step * Ay)
            old, xA = xA, x @ A
            y = simplex(y + step * (2.0 * xA - old))
            Ay = A @ y
            if self.method == "primal-dual":
                mean = [x, y, Ay, xA]
            else:
                mean = [m + (z - m) / k for m, z in zip(mean, (x, y, Ay, xA), strict=True)]
            if mean[3].max() - mean[2].min() <= target:
                return mean[:2], k, True
            if time.perf_counter() > end:
                break
        return mean[:2], k, False

    def _extragradient(self):
        F, project, start, L, done = self._parts()
        end = time.perf_counter() + self.limit
        z, step = start, 0.9 / L
        for k in range(1, STEPS):
            Fz = F(z)
            if done(z, Fz):
                return self._split(z), k, True
            z = project(z - step * F(project(z - step * Fz)))
            if time.perf_counter() > end:
                break
        return self._split(z), k, False

    def _split(self, z):
        return np.split(z, [self.data["A"].shape[0]]) if self.task == "game" else z

    def _parts(self):
        """F, the projection, the start, a Lipschitz constant and a test for the end."""
        data = self.data
        if self.task == "game":
            A = data["A"]
            n, m = A.shape
            target = self.rtol * np.abs(A).max()
            return (
                lambda z: np.concatenate([A @ z[n:], -(z[:n] @ A)]),
                lambda z: np.concatenate([simplex(z[:n]), simplex(z[n:])]),
                np.concatenate([np.full(n, 1.0 / n), np.full(m, 1.0 / m)]),
                norm(A),
                lambda z, Fz: -Fz[n:].min() - Fz[:n].min() <= target,
            )
        lower, upper, target = data["lower"], data["upper"], self.rtol * data["unit"]
        F = lambda z: data["M"] @ z + data["q"]  # noqa: E731
        if self.task == "sum":
            rows, targets = data["rows"], data["targets"]
            F = lambda z: (rows @ z - targets) @ rows / targets.size  # noqa: E731
        return (
            F,
            lambda z: np.clip(z, lower, upper),
            np.zeros(data["q"].size),
            data["lipschitz"],
            lambda z, Fz: np.linalg.norm(z - np.clip(z - Fz, lower, upper)) <= target,
        )


def norm(A):
    """The spectral norm, a little less than it is."""
    v = np.random.default_rng(0).standard_normal(A.shape[1])
    for _ in range(POWERS):
        v = (A @ (v / np.linalg.norm(v))) @ A
    return np.sqrt(np.linalg.norm(v))
