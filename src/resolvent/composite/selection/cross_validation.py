"""The weight of a penalty, chosen by how well fits to a part of the data predict the rest."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from resolvent._core.checks import count, refuse
from resolvent._core.solution import Solution
from resolvent._core.solve import solve
from resolvent._core.value import Value
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.composite.selection.paths import Path, as_weights, path, scaled


class CrossValidation(Value):
    """What cross-validation found.

    Args:
        lambdas: [k], the weights.
        losses: [k, folds], the mean loss on what a fold left out.
        solution: the answer for the best weight with all data.
    """

    lambdas: Any
    losses: Any
    solution: Solution

    @property
    def best(self) -> int:
        """The index of the weight with the least mean loss."""
        return _least(self.losses)

    @property
    def one_standard_error(self) -> int:
        """The index of the largest weight whose mean loss is within one standard error of it."""
        mean, folds = self.losses.mean(axis=1), self.losses.shape[1]
        error = self.losses[self.best].std(ddof=1) / folds**0.5 if folds > 1 else 0.0
        able = np.flatnonzero(mean <= mean[self.best] + error)
        return int(able[np.asarray(self.lambdas)[able].argmax()])

    def summary(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return {
            "lambdas": [float(each) for each in self.lambdas],
            "losses": self.losses.mean(axis=1).tolist(),
            "best": float(self.lambdas[self.best]),
            "one_standard_error": float(self.lambdas[self.one_standard_error]),
        }


def cross_validate(
    problem: GeneralizedLinear,
    lambdas: Float[Any, " k"] | int = 100,
    *,
    folds: int | Iterable[tuple[Any, Any]] = 5,
    method: Any = None,
    smallest: float = 1e-2,
    key: int = 0,
    **options: Any,
) -> CrossValidation:
    """Choose the weight of the penalty by K-fold cross-validation over paths.

    A fold is the same problem with weights of zero for the samples that it leaves out: the data
    are not copied.

    Args:
        problem: its penalty gives all but the weight.
        lambdas: as `path` takes them; a number of them is spread by the whole data.
        folds: a number of parts of equal size, drawn at random, or pairs (train, test) of indices
            as the splitters of scikit-learn give them.
        method: as `path` takes it.
        smallest: as `path` takes it.
        key: of the random parts, a whole number.
        options: further arguments of `solve`.

    Returns:
        The losses, and the answer for the best weight with all data.

    Raises:
        ValueError: for fewer than two parts or more than samples, for indices out of range, and as
            `path` does.
        NotConverged: for a solve that missed its target, unless throw=False.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((60, 8))
        lasso = rs.GeneralizedLinear(X, X[:, 0] - X[:, 1], penalty=rs.functions.L1(1.0))
        found = rs.composite.cross_validate(lasso, 20, rtol=1e-6)
        assert found.best == 19 and abs(found.solution.x[0] - 1) < 0.05
        ```
    """
    weights = as_weights(problem, lambdas, smallest)
    parts = fold_indices(folds, problem.y.shape[0], key)
    losses = np.empty((weights.size, len(parts)))
    for index, (train, test) in enumerate(parts):
        losses[:, index], _ = held_out_losses(
            problem, weights, train, test, method=method, **options
        )
    chosen = problem.penalized(scaled(problem.penalty, weights[_least(losses)]))
    return CrossValidation(weights, losses, solve(chosen, method, **options))


def _least(losses: Any) -> int:
    """The row of the least mean; one with NaN never is."""
    mean = losses.mean(axis=1)
    return int(np.where(np.isnan(mean), np.inf, mean).argmin())


def held_out_losses(
    problem: GeneralizedLinear, lambdas: Any, train: Any, test: Any, **options: Any
) -> tuple[Any, Path]:
    """The mean losses [k] of `test` after fits to `train`, both indices, and the path of the fits.

    Options are those of `path`.
    """
    all_weights = np.asarray(problem.weights)
    shares = np.zeros_like(all_weights)
    shares[train] = all_weights[train]
    found = path(problem.reweighted(shares), lambdas, **options)
    # Samples without weight say nothing.
    test = np.asarray(test)[all_weights[test] > 0]
    own, losses = all_weights[test], []
    for solution in found.solutions:
        with problem.precision(solution.x):
            each = problem.loss.each(problem.predictions(solution.x), problem.y)
        losses.append(own @ np.asarray(each)[test] / (own.sum() or 1.0))
    return np.array(losses), found


def fold_indices(folds: Any, samples: int, key: int) -> list[Any]:
    """Pairs (train, test) of indices."""
    if isinstance(folds, int):
        number = count("folds", folds, least=2)
        if number > samples:
            refuse(
                ValueError, "folds", given=f"{number} for {samples} samples",
                needed="at most one fold a sample", advice="Take fewer folds.",
            )  # fmt: skip
        order = np.random.default_rng(key).permutation(samples)
        tests = [np.sort(part) for part in np.array_split(order, number)]
        return [(np.setdiff1d(order, test, assume_unique=True), test) for test in tests]
    parts = [tuple(_indices(index, samples) for index in pair) for pair in folds]
    if not parts or any(len(pair) != 2 or not pair[0].size or not pair[1].size for pair in parts):
        refuse(
            ValueError, "folds", given=f"{len(parts)} of them", needed="pairs (train, test)",
            advice="Write for instance KFold(5).split(X).",
        )  # fmt: skip
    return parts


def _indices(index: Any, samples: int) -> Any:
    index = np.asarray(index)
    whole = index.dtype.kind in "iu"
    if not whole or (index.size and not 0 <= index.min() <= index.max() < samples):
        refuse(
            ValueError, "folds", given="indices that are no sample's",
            needed=f"whole numbers from 0 to {samples - 1}", advice="Look at the splitter.",
        )  # fmt: skip
    return index
