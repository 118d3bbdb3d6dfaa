"""Linear models for one weight of the penalty after the other."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import between, count, finite, real_array, refuse
from resolvent._core.solution import Solution
from resolvent._core.solve import solve
from resolvent._core.value import Value
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.composite.selection.null_model import largest_weight


class Path(Value):
    """The answers along a path of weights.

    Args:
        lambdas: [k], the weights in the order of the solutions.
        solutions: k of them.
        problem: the problem whose penalty took these weights.
    """

    lambdas: Any
    solutions: tuple[Solution, ...]
    problem: GeneralizedLinear

    @property
    def coefficients(self) -> Any:
        """w for each weight, [k, p] or [k, p, outputs]."""
        return np.stack([np.asarray(self._parts(each)[0]) for each in self.solutions])

    @property
    def intercepts(self) -> Any:
        """c for each weight, [k] or [k, outputs]; zeros where the problem has none."""
        return np.stack([np.asarray(self._parts(each)[1]) for each in self.solutions])

    def _parts(self, solution: Solution) -> Any:
        return solution.x if self.problem.intercept else (solution.x, 0.0)

    @property
    def converged(self) -> bool:
        """Whether every solve met its target."""
        return all(each.converged for each in self.solutions)

    @property
    def seconds(self) -> float:
        """Of all solves."""
        return sum(each.seconds or 0.0 for each in self.solutions)

    def __len__(self) -> int:
        return len(self.solutions)

    def __getitem__(self, index: int) -> Solution:
        return self.solutions[index]

    def summary(self) -> dict[str, Any]:
        """Numbers for JSON: for each weight how many coefficients are not zero, and its solve."""
        return {
            "lambdas": [float(each) for each in self.lambdas],
            "nonzero": [int(np.count_nonzero(each)) for each in self.coefficients],
            "steps": [int(each.steps) for each in self.solutions],
            "converged": [bool(each.converged) for each in self.solutions],
            "seconds": self.seconds,
        }

    def plot(self, *, names: Any = None, ax: Any = None, path: str | None = None) -> Any:
        """Draw each coefficient against the weight.

        Args:
            names: p labels; those of the ten largest coefficients are written beside their curves.
            ax: a matplotlib axes to draw on; a new figure when absent.
            path: save the figure there as well.

        Returns:
            The matplotlib axes.
        """
        from resolvent.composite.selection.path_plot import plot_path

        return plot_path(self, names, ax, path)


def path(
    problem: GeneralizedLinear,
    lambdas: Float[Any, " k"] | int = 100,
    *,
    method: Any = None,
    smallest: float = 1e-2,
    stop: Callable[[Solution], bool] | None = None,
    **options: Any,
) -> Path:
    """Solve a linear model for many weights of its penalty, each from the answer of the last.

    Methods set up once what the whole path shares: `CoordinateDescent` keeps the columns that it
    has seen and their products, traced methods are compiled once.

    Args:
        problem: its penalty gives all but the weight.
        lambdas: [k], the weights, descending for speed; for a `WeightedL1` factors of its weights.
            A number k stands for that many, evenly in the logarithm, from the least one whose
            answer is zero down.
        method: one of those that solve the problem; its default when absent.
        smallest: the last weight over the first one, where lambdas is a number.
        stop: called with each solution; a true value ends the path there.
        options: further arguments of `solve`, such as `rtol`.

    Returns:
        The path.

    Raises:
        TypeError: for a problem that is no `GeneralizedLinear`, or a penalty without a weight.
        ValueError: for weights that are not positive and finite, or a number of them where no
            weight is known from which on the answer is zero.
        NotConverged: for a solve that missed its target, unless throw=False.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((30, 8))
        lasso = rs.GeneralizedLinear(X, X[:, 0] - X[:, 1], penalty=rs.functions.L1(1.0))
        found = rs.composite.path(lasso, 20, rtol=1e-8)
        assert found.converged and not found.coefficients[0].any()
        ```

    Reference:
        J. Friedman, T. Hastie, R. Tibshirani (2010), Regularization paths for generalized linear
        models via coordinate descent.
    """
    if not isinstance(problem, GeneralizedLinear):
        refuse(
            TypeError, "problem", given=f"a {type(problem).__name__}", needed="a GeneralizedLinear",
            advice="Write rs.GeneralizedLinear(X, y, loss, penalty).",
        )  # fmt: skip
    weights = as_weights(problem, lambdas, smallest)
    method = problem.default_method() if method is None else method
    # What is bound to the data of all problems serves each of them.
    bound = method.bind(problem.prepare(problem.engine(method.runs_on())))
    x0, solutions = options.pop("x0", None), []
    for weight in weights:
        one = problem.penalized(scaled(problem.penalty, weight))
        solution = solve(one, bound, x0=x0, **options)
        solutions.append(solution)
        x0 = solution.x if all(map(_finite, jax.tree_util.tree_leaves(solution.x))) else None
        if stop is not None and stop(solution):
            break
    return Path(weights[: len(solutions)], tuple(solutions), problem)


def scaled(penalty: Any, weight: float) -> Any:
    """The penalty with another weight."""
    if hasattr(penalty, "weight"):
        return penalty.but(weight=weight)
    if hasattr(penalty, "weights"):
        return penalty.but(weights=jax.tree_util.tree_map(lambda w: weight * w, penalty.weights))
    refuse(
        TypeError, "penalty", given=f"a {type(penalty).__name__}", needed="one with a weight",
        advice="See resolvent.functions for penalties.",
    )  # fmt: skip


def as_weights(problem: GeneralizedLinear, lambdas: Any, smallest: float) -> Any:
    """The weights of a path, [k]."""
    scaled(problem.penalty, 1.0)
    if isinstance(lambdas, int) and not isinstance(lambdas, bool):
        number = count("lambdas", lambdas, least=1)
        between("smallest", smallest, 0.0, 1.0, "It is a ratio of two weights.")
        most = largest_weight(problem)
        if not most > 0:
            refuse(
                ValueError, "lambdas", given="a number, although zero is an answer for any weight",
                needed="data on which the features have an influence",
                advice="Look at X and y, or give the weights themselves.",
            )  # fmt: skip
        return np.geomspace(most, smallest * most, number)
    weights = np.asarray(real_array("lambdas", lambdas), np.float64)
    finite("lambdas", weights)
    if weights.ndim != 1 or not weights.size or not (weights > 0).all():
        refuse(
            ValueError, "lambdas", given=f"shape {weights.shape}" if weights.ndim != 1
            else f"{weights.size} numbers, the least of them {weights.min(initial=math.inf)}",
            needed="positive weights in one row",
            advice="Write for instance np.geomspace(1, 0.01).",
        )  # fmt: skip
    return weights


def _finite(leaf: Any) -> bool:
    return bool(np.isfinite(np.asarray(leaf)).all())
