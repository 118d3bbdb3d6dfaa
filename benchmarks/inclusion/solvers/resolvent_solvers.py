"""Resolvent's methods, through the same front door that its users take."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmark_utils.clock import timed
from benchopt import BaseSolver

import resolvent as rs

METHODS = {
    "primal-dual": "PrimalDual", "extragradient": "Extragradient",
    "anchored": "AnchoredExtragradient", "accelerated": "AcceleratedOptimisticGradient",
    "optimistic": "OptimisticGradient", "golden-ratio": "GoldenRatio",
    "mirror-prox": "MirrorProx", "forward-backward": "ForwardBackward",
    "vr-halpern": "VarianceReducedHalpern", "vr-extragradient": "VarianceReducedExtragradient",
    "vr-resolvent": "VarianceReducedResolvent",
}  # fmt: skip
WARM = 70  # steps; more than the first chunk of a solve, so that all programs are compiled


def component(x, data):
    row, target = data
    return row * (row @ x - target)


class Rows(rs.inclusion.Operator):
    """The mean of all components, in two products with the matrix of their rows."""

    rows: Any
    targets: Any

    def __call__(self, x):
        return (self.rows @ x - self.targets) @ self.rows / self.targets.size


class Solver(BaseSolver):
    name = "resolvent"
    parameters = {"method": list(METHODS)}
    requirements = ["pip::resolvent"]
    sampling_strategy = "run_once"
    _games = ("primal-dual", "mirror-prox")

    def skip(self, task, data, **_):
        if self.method in self._games and task != "game":
            return True, "a method for games"
        if self.method.startswith("vr-") and task == "affine":
            return True, "no sum of components"
        if self.method in ("vr-halpern", "forward-backward") and task != "sum":
            return True, "the operator is not cocoercive"
        return False, None

    def set_objective(self, task, data, rtol, limit):
        jax.config.update("jax_enable_x64", True)  # the referee's precision
        self.limit, self.rtol = limit, rtol
        self.problem = self._problem(task, data)
        self.method_object = getattr(rs.inclusion, METHODS[self.method])()
        self._solve(rtol=0.0, max_steps=WARM)

    def _problem(self, task, data):
        if task == "game":
            game = rs.MatrixGame(jnp.asarray(data["A"]))
            by_parts = self.method.startswith("vr-")
            return rs.inclusion.by_components(game) if by_parts else game
        start = jnp.zeros(data["q"].size)
        box = rs.functions.Box(data["lower"], data["upper"])
        if np.isinf(data["upper"]):
            box = None
        if task == "sum":
            rows, targets = jnp.asarray(data["rows"]), jnp.asarray(data["targets"])
            F = rs.inclusion.FiniteSum(
                component, (rows, targets), whole=Rows(rows, targets),
                cocoercive=data["cocoercive"], lipschitz=data["cocoercive"],
            )  # fmt: skip
        else:
            F = rs.inclusion.AffineOperator(jnp.asarray(data["M"]), jnp.asarray(data["q"]))
        return rs.Inclusion(
            F, box, start=start, lipschitz=data["lipschitz"], strong=data["strong"],
            unit=data["unit"],
        )  # fmt: skip

    def _solve(self, **options):
        return rs.solve(
            self.problem, self.method_object, throw=False, key=0, progress=False,
            callback=lambda report: report.seconds > self.limit, **options,
        )  # fmt: skip

    def run(self, _):
        self.sol, self.seconds = timed(lambda: self._solve(rtol=self.rtol))

    def get_result(self):
        calls = self.sol.calls
        components = self.problem.F.components
        return {
            "x": jax.tree_util.tree_map(np.asarray, self.sol.x), "claimed": self.sol.converged,
            "seconds": self.seconds, "steps": self.sol.steps,
            "calls": calls.get("operator", 0) + calls.get("component", 0) / components,
        }  # fmt: skip
