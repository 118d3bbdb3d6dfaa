"""Cross-validation at every iteration of one run, without a run for each fold."""

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from resolvent._core.checks import count, finite, is_traced, real_array, refuse
from resolvent._core.value import Value
from resolvent.composite.design import DenseDesign
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.composite.selection.cross_validation import fold_indices
from resolvent.composite.selection.left_out_recursion import BASELINES, Course, Samples, follow
from resolvent.functions import Everything, SquaredL2


class ExactFolds(Value):
    """Folds whose own runs were made, beside what is estimated of them.

    Args:
        folds: [m], their numbers.
        losses: [k], the mean loss of their samples at their own iterates.
        estimates: by name, [k], the mean loss of their samples at estimated iterates: `iterative`,
            the `baselines` asked for, and `training` for the iterate of the whole data.
        distances: by name, [k], the mean distance of these iterates from the true ones.
    """

    folds: Any
    losses: Any
    estimates: dict[str, Any]
    distances: dict[str, Any]

    def __repr__(self) -> str:
        away = self.distances["iterative"][-1]
        return f"ExactFolds({len(self.folds)} of them, at last {away:.2g} away in the mean)"


class ApproximateCrossValidation(Value):
    """What approximate cross-validation found along the iterations.

    Args:
        steps: [k], the iterations that were looked at; the first is 0, the start.
        losses: [k], the mean loss of samples at the estimated iterates of the folds without them.
        standard_errors: [k], of that mean, as if the samples' losses were independent.
        training: [k], the mean loss at the iterate itself.
        residuals: [k], the largest norm over the folds of their linearized gradient (with a
            proximal step, of its move over the step size). Where it and the last are zero the
            estimates are Newton steps.
        gradients: [k], the same of the iterate itself.
        deviations: [k], the largest distance of a fold's iterate from the iterate itself.
        curvatures: [k], the step size times the largest curvature, from below. Steps above 2
            diverge.
        baselines: by name, [k], the mean loss at the iterates that other approximations give.
        exact: an `ExactFolds`, or None.
        x: the last iterate, as the problem's solutions are.
        left_out: the last iterates of the folds, with a leading axis for them.
    """

    steps: Any
    losses: Any
    standard_errors: Any
    training: Any
    residuals: Any
    gradients: Any
    deviations: Any
    curvatures: Any
    baselines: dict[str, Any]
    exact: Any
    x: Any
    left_out: Any

    @property
    def best(self) -> int:
        """The index of the least loss; one that is no finite number never is."""
        return int(np.where(np.isfinite(self.losses), self.losses, np.inf).argmin())

    @property
    def best_step(self) -> int:
        """The iteration to stop at."""
        return int(self.steps[self.best])

    @property
    def one_standard_error(self) -> int:
        """The first index whose loss is within one standard error of the least one."""
        enough = self.losses[self.best] + self.standard_errors[self.best]
        return int(np.flatnonzero(self.losses <= enough)[0])

    @property
    def diverged(self) -> bool:
        """Whether numbers overflowed, or the last steps were too long for the curvature there."""
        numbers = (self.losses, self.training, self.residuals, self.deviations)
        sound = all(np.isfinite(each).all() for each in numbers)
        return not (sound and self.curvatures[-1] <= 2.0)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        least = f"least loss {self.losses[self.best]:.4g} at step {self.best_step}"
        state = ", diverged" if self.diverged else ""
        return f"ApproximateCrossValidation({least} of {int(self.steps[-1])}{state})"

    def summary(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return {
            "steps": self.steps.tolist(),
            "losses": self.losses.tolist(),
            "training": self.training.tolist(),
            "best_step": self.best_step,
            "residual": float(self.residuals[-1]),
            "gradient": float(self.gradients[-1]),
            "diverged": self.diverged,
        }

    def plot(self, *, ax: Any = None, path: str | None = None) -> Any:
        """Draw the losses against the iterations.

        Args:
            ax: a matplotlib axes to draw on; a new figure when absent.
            path: save the figure there as well.

        Returns:
            The matplotlib axes.
        """
        from resolvent.composite.selection.path_plot import plot_losses

        return plot_losses(self, ax, path)


def approximate_cross_validate(
    problem: GeneralizedLinear,
    steps: int = 1000,
    *,
    step_size: float | Float[Any, " steps"] | None = None,
    folds: int | Iterable[tuple[Any, Any]] | None = None,
    batch: int | Int[Any, "steps m"] | None = None,
    every: int = 1,
    baselines: Iterable[str] = (),
    exact: int | Int[Any, " m"] = 0,
    rescale: bool = True,
    key: int = 0,
) -> ApproximateCrossValidation:
    """Estimate the loss of leave-one-out cross-validation at every iteration of one run.

    Follows gradient descent, stochastic gradients or proximal gradients on all samples, and beside
    them what the same iterations would do without each fold: their gradients are those of a
    linearization around the iterate of all samples. A `SquaredL2` penalty without a domain is
    treated as smooth, any other by its proximal operator.

    Args:
        problem: with a loss that has second derivatives and a dense X [n, p].
        steps: of the run.
        step_size: of the mean loss, a number or one a step. None takes 1 / L, L the largest
            curvature that a fold can meet.
        folds: None leaves out one sample at a time; a number of parts of equal size, drawn at
            random, or pairs (train, test) of indices as the splitters of scikit-learn give them.
        batch: None for all samples in each step; a number M takes each sample with probability
            M / n; or the samples [steps, m] of each step. The same batches serve every fold.
        every: steps between two looks at the losses.
        baselines: of `newton`, one Newton step for each fold from the iterate, and `jackknife`, the
            same with the Hessian of all samples (the infinitesimal jackknife); NaN where that is
            singular. With a proximal step their models have the penalty added.
        exact: the number of folds, drawn at random, whose own runs are made as well to compare
            with; or the folds.
        rescale: whether the loss remains a mean over the samples that are left, as in
            `cross_validate`. Without it the others keep their weights, so that the penalty weighs
            the same beside them.
        key: of what is drawn at random, a whole number.

    Returns:
        The losses along the run, and where to stop it.

    Raises:
        TypeError: for a problem that is no `GeneralizedLinear`, a sparse X, or inside a JAX
            transformation.
        ValueError: for a loss without second derivatives, steps that `every` does not divide, step
            sizes that are not positive and finite, folds that are no partition, one that has all
            the weight, batches or exact folds out of range, an unknown baseline.

    Cost per iteration:
        O(n p^2) for k folds of n samples in all, and O(n p) memory. An exact fold adds O(n p), each
        look O(n p), a baseline O(p^3 + n p^2) at each look.

    Convergence:
        Exact for quadratic losses. For gradient descent on a strongly convex objective with a
        Lipschitz continuous Hessian the iterates are within O(1 / n^2) of the true ones at every
        step, and where the run converges they converge to the Newton steps. Check it: `exact=3`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        X = rng.standard_normal((80, 30))
        y = np.sign(X[:, 0] + rng.standard_normal(80))
        problem = rs.GeneralizedLinear(X, y, rs.functions.Logistic())
        found = rs.composite.approximate_cross_validate(problem, 200, exact=3)
        assert 0 < found.best_step < 200 and found.training[-1] < found.losses[found.best]
        assert found.exact.distances["iterative"][found.best] < 1e-2
        ```

    Reference:
        Y. Luo, Z. Ren, R. F. Barber (2023), Iterative approximate cross-validation,
        arXiv 2303.02732.
    """
    matrix = _matrix(problem)
    steps, every = count("steps", steps, least=1), count("every", every, least=1)
    if steps % every:
        refuse(
            ValueError, "every", given=f"{every} for {steps} steps", needed="a divisor of steps",
            advice=f"Take {steps - steps % every or every} steps.",
        )  # fmt: skip
    names = tuple(baselines) if not isinstance(baselines, str) else (baselines,)
    for name in names:
        if name not in BASELINES:
            refuse(
                ValueError, "baselines", given=repr(name), needed=f"some of {tuple(BASELINES)}",
                advice="Check the spelling.",
            )  # fmt: skip
    n = matrix.shape[0]
    fold = _folds(folds, n, key)
    with problem.precision(problem.first):
        data = _samples(problem, matrix, fold, bool(rescale))
        picks = _picks(exact, data.folds, key)
        course = Course(
            jnp.asarray(_step_sizes(step_size, steps, data, batch is not None), matrix.dtype),
            _batches(batch, steps, n, key),
            jnp.asarray(picks),
        )
        start = jax.tree_util.tree_map(jnp.asarray, problem.g.nearest(problem.first))
        start = jnp.append(*start) if problem.intercept else start
        walk, rows = follow(data, start, course, every=every, baselines=names)
        walk, rows = jax.tree_util.tree_map(np.asarray, (walk, rows))
    compared = rows.pop("exact", None)
    return ApproximateCrossValidation(
        steps=every * np.arange(steps // every + 1), **rows,
        exact=None if compared is None else ExactFolds(picks, **compared),
        x=_in_parts(problem, walk.x), left_out=_in_parts(problem, walk.left_out),
    )  # fmt: skip


def _in_parts(problem: GeneralizedLinear, x: Any) -> Any:
    return (x[..., :-1], x[..., -1]) if problem.intercept else x


def _matrix(problem: Any) -> Any:
    """X of a problem that can be followed."""
    if not isinstance(problem, GeneralizedLinear):
        refuse(
            TypeError, "problem", given=f"a {type(problem).__name__}", needed="a GeneralizedLinear",
            advice="Write rs.GeneralizedLinear(X, y, loss, penalty).",
        )  # fmt: skip
    if is_traced(problem):
        refuse(
            TypeError, "problem", given="one inside a JAX transformation", needed="numbers",
            advice="Call this function outside of it.",
        )  # fmt: skip
    if not isinstance(problem.design, DenseDesign):
        refuse(
            TypeError, "X", given="a sparse matrix", needed="a dense one: Hessians are dense",
            advice="Write X.toarray() if it fits, or take cross_validate.",
        )  # fmt: skip
    if (why := problem.lacks("curved")) is not None:
        refuse(
            ValueError, "loss", given=f"a loss for which {why}", needed="second derivatives",
            advice="Take cross_validate for this loss.",
        )  # fmt: skip
    return problem.design.matrix


def _folds(folds: Any, n: int, key: int) -> Any:
    """The fold of each sample, [n]."""
    if n < 2:
        refuse(
            ValueError, "X", given="one sample", needed="another one to leave it out",
            advice="Look at the shape of X.",
        )  # fmt: skip
    if folds is None:
        return np.arange(n)
    parts = fold_indices(folds, n, key)
    fold = np.full(n, -1)
    for number, (_, test) in enumerate(parts):
        fold[test] = number
    apart = sum(test.size for _, test in parts) == n and fold.min() >= 0
    if not apart or any(
        train.size + test.size != n or np.union1d(train, test).size != n for train, test in parts
    ):
        refuse(
            ValueError, "folds", given="parts that overlap or leave samples out",
            needed="each sample in one test part, and in the training parts of all others",
            advice="Write for instance KFold(5).split(X).",
        )  # fmt: skip
    return fold


def _samples(problem: GeneralizedLinear, matrix: Any, fold: Any, rescale: bool) -> Samples:
    dtype, (n, p) = matrix.dtype, matrix.shape
    penalty, extra = problem.penalty, int(problem.intercept)
    square = isinstance(penalty, SquaredL2) and penalty.domain is None
    ridge, center = np.zeros(p + extra, dtype), np.zeros(p + extra, dtype)
    if isinstance(penalty, SquaredL2) and square:
        ridge[:p] = penalty.weight
        center[:p] = 0.0 if penalty.center is None else penalty.center
    number = int(fold.max()) + 1
    most = np.bincount(fold, np.asarray(problem.weights)).max()
    if most >= 1 - 64 * np.finfo(dtype).eps:
        refuse(
            ValueError, "folds", given="one that has all the weight", needed="weight elsewhere",
            advice="Look at the weights of the samples.",
        )  # fmt: skip
    columns = [matrix, np.ones((n, 1), dtype)] if extra else [matrix]
    X = np.concatenate([np.asarray(each) for each in columns], axis=1)
    return Samples(
        X=jnp.asarray(X), transposed=jnp.asarray(np.ascontiguousarray(X.T)),
        y=jnp.asarray(problem.y), loss=problem.loss, penalty=penalty,
        shares=jnp.asarray(problem.weights), fold=jnp.asarray(fold),
        ridge=jnp.asarray(ridge), center=jnp.asarray(center), p=p, folds=number,
        single=bool(number == n and (fold == np.arange(n)).all()),
        smooth=square or isinstance(penalty, Everything), rescale=rescale,
    )  # fmt: skip


def _step_sizes(step_size: Any, steps: int, data: Samples, sampled: bool) -> Any:
    if step_size is None:
        return np.full(steps, 1.0 / _largest_curvature(data, sampled))
    sizes = np.asarray(real_array("step_size", step_size), np.float64)
    finite("step_size", sizes)
    if sizes.shape not in ((), (steps,)) or not (sizes > 0).all():
        refuse(
            ValueError, "step_size", given=f"shape {sizes.shape}, the least {sizes.min():g}",
            needed=f"one positive number, or {steps} of them",
            advice="Leave it out for 1 / L.",
        )  # fmt: skip
    return np.broadcast_to(sizes, (steps,))


def _largest_curvature(data: Samples, sampled: bool) -> float:
    """A bound for the mean loss of all samples, of any batch, and of what a fold leaves."""
    steepest = float(data.loss.smoothness)
    if not math.isfinite(steepest):
        refuse(
            ValueError, "step_size", given=f"none, and a {type(data.loss).__name__} loss",
            needed="a number: the curvature of this loss has no bound", advice="Try 0.1.",
        )  # fmt: skip
    X, shares = np.asarray(data.X), np.asarray(data.shares)
    if sampled:
        largest = np.einsum("ij,ij->i", X, X)[shares > 0].max()
    else:
        largest = np.linalg.eigvalsh((shares[:, None] * X).T @ X)[-1]
        if data.rescale:
            largest /= 1.0 - np.bincount(np.asarray(data.fold), shares).max()
    curvature = steepest * float(largest) + float(data.ridge.max())
    return curvature if curvature > 0 else 1.0


def _batches(batch: Any, steps: int, n: int, key: int) -> Any:
    if batch is None:
        return None
    if isinstance(batch, int | np.integer) and not isinstance(batch, bool):
        mean = count("batch", int(batch), least=1)
        if mean > n:
            refuse(
                ValueError, "batch", given=f"{mean} of {n} samples", needed="at most all of them",
                advice="Leave it out for all samples.",
            )  # fmt: skip
        return jax.random.key(key), jnp.asarray(mean / n)
    rows = np.asarray(batch)
    if rows.ndim != 2 or rows.shape[0] != steps or rows.shape[1] < 1:
        refuse(
            ValueError, "batch", given=f"shape {rows.shape}", needed=f"[{steps}, m] indices",
            advice="Pass a number for batches drawn at random.",
        )  # fmt: skip
    return jnp.asarray(_within("batch", rows, n))


def _picks(exact: Any, folds: int, key: int) -> Any:
    if isinstance(exact, int | np.integer) and not isinstance(exact, bool):
        number = count("exact", int(exact))
        if number > folds:
            refuse(
                ValueError, "exact", given=f"{number} of {folds} folds",
                needed="at most all of them", advice=f"Write exact={folds} for all of them.",
            )  # fmt: skip
        return np.sort(np.random.default_rng(key).permutation(folds)[:number])
    picks = np.asarray(exact)
    if picks.ndim != 1 or np.unique(picks).size != picks.size:
        refuse(
            ValueError, "exact", given=f"shape {picks.shape}" if picks.ndim != 1 else "repetitions",
            needed="a number of folds, or a row of different ones", advice="Write exact=3.",
        )  # fmt: skip
    return _within("exact", picks, folds)


def _within(name: str, index: Any, most: int) -> Any:
    whole = index.dtype.kind in "iu" or not index.size
    if not whole or (index.size and not 0 <= index.min() <= index.max() < most):
        refuse(
            ValueError, name, given="indices out of range, or no whole numbers",
            needed=f"whole numbers from 0 to {most - 1}", advice="Count from 0.",
        )  # fmt: skip
    return index.astype(np.int64)
