"""Which measurements tell malignant tumors: a path of sparse logistic regressions."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import resolvent as rs
from resolvent.tour import figures
from resolvent.tour.section import RTOL, Attempt, Section, clock, sum_up

WEIGHTS = 50
SMALLEST = 1e-2  # of the weight at which the first measurement appears


def load_tumors() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Measurements in units of their deviation, whether a tumor is malignant, and names."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    X = (found.data - found.data.mean(axis=0)) / found.data.std(axis=0)
    malignant = np.where(found.target == 0, 1, -1)
    return np.asfortranarray(X), malignant, [str(name) for name in found.feature_names]


def by_scikit_learn(problem: Any, weights: np.ndarray, tol: float) -> list[tuple[Any, Any]]:
    """By liblinear, whose penalty spares no intercept: scaled, it matters less."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    X, y = problem.design.matrix, problem.y
    model = LogisticRegression(
        l1_ratio=1.0, solver="liblinear", tol=tol, max_iter=10_000, intercept_scaling=100.0
    )
    answers = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for weight in weights:
            model.set_params(C=1.0 / (weight * y.size)).fit(X, y)
            answers.append((model.coef_.ravel().copy(), float(model.intercept_[0])))
    return answers


def worst_gap(problem: Any, weights: np.ndarray, answers: list[tuple[Any, Any]]) -> float:
    """The largest relative duality gap of a path's answers, computed from the data."""
    return max(
        float(
            rs.certify(problem.penalized(rs.functions.L1(float(weight))), answer).relative
        )
        for weight, answer in zip(weights, answers, strict=True)
    )  # fmt: skip


def tumors(
    out: Path,
    say: Callable[[str], Any],
    weights: int = WEIGHTS,
    peer_tol: float = 1e-7,
    repeats: int = 3,
) -> Section:
    """The stop: a path of sparse models, each with its duality gap, and the one that predicts."""
    X, y, names = load_tumors()
    problem = rs.GeneralizedLinear(
        X, y, rs.functions.Logistic(), rs.functions.L1(1.0), intercept=True
    )
    say("path")
    solve = partial(rs.composite.path, problem, weights, smallest=SMALLEST, rtol=RTOL, throw=False)
    solve()  # compiles; not timed
    found, seconds = clock(solve, repeats)
    gap = worst_gap(problem, found.lambdas, [each.x for each in found.solutions])
    attempts = [
        Attempt(
            "coordinate descent, a path", seconds, gap, gap <= RTOL,
            sum(int(each.steps) for each in found.solutions),
        )
    ]  # fmt: skip
    say("scikit-learn")
    answers, seconds = clock(partial(by_scikit_learn, problem, found.lambdas, peer_tol))
    gap = worst_gap(problem, found.lambdas, answers)
    attempts.append(
        Attempt(
            "scikit-learn, liblinear",
            seconds,
            gap,
            gap <= RTOL,
            peer=True,
            note="it cannot leave the intercept out of the penalty, which is what the gap shows",
        )
    )
    say("cross-validation")
    chosen = rs.composite.cross_validate(problem, found.lambdas, rtol=1e-6, throw=False)
    place = chosen.one_standard_error
    kept = int(np.count_nonzero(found.coefficients[place]))
    right = float(np.mean(np.sign(problem.predictions(found[place].x)) == y))
    say("figures")
    return Section(
        "Which measurements tell malignant tumors",
        [
            f"{X.shape[1]} measurements of the cell nuclei of {X.shape[0]} tumors, and whether "
            f"these were malignant (Wisconsin, 1995). A path of {weights} logistic regressions "
            "with an l1 penalty: the smaller its weight, the more measurements enter.",
            "Every point of the path has a certificate: no coefficients at all have an objective "
            f"that is lower by more than {RTOL:g} of what a constant prediction leaves. "
            f"Five-fold cross-validation, by the rule of one standard error, keeps {kept} "
            f"measurements; that model tells {100 * right:.1f}% of these tumors.",
        ],
        attempts,
        sum_up("tumors", "50 sparse models" if weights == WEIGHTS else "sparse models", X.size,
               attempts),
        [
            (
                _picture(out / "tumors.png", found, chosen, names),
                "Left: coefficients along the path, those of the ten largest at its end in colour. "
                "Right: loss on what the folds left out; dashed, the weight that was chosen.",
            )
        ],
    )  # fmt: skip


def _picture(path: Path, found: Any, chosen: Any, names: list[str]) -> Path:
    figure, (left, right) = figures.new_figure(2, width=6.0, height=4.2)
    found.plot(names=names, ax=left)
    mean = chosen.losses.mean(axis=1)
    error = chosen.losses.std(axis=1, ddof=1) / chosen.losses.shape[1] ** 0.5
    right.fill_between(chosen.lambdas, mean - error, mean + error, alpha=0.25, linewidth=0)
    right.plot(chosen.lambdas, mean)
    for ax in (left, right):
        ax.axvline(chosen.lambdas[chosen.one_standard_error], color="0.3", linestyle="--")
    right.set_xscale("log")
    right.invert_xaxis()
    right.set(xlabel="weight of the penalty", ylabel="logistic loss of the fold left out")
    return figures.save(figure, path)
