"""The colours of one photograph carried onto those of another, by entropic optimal transport."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

import resolvent as rs
from resolvent.tour import figures
from resolvent.tour.section import RTOL, Attempt, Section, clock, sum_up

COLOURS, SHARPNESS, PATIENCE = 600, 1000.0, 10_000


class Palettes(NamedTuple):
    """Two photographs and a sample of each one's colours, shape (count, 3), in the Lab space."""

    first: Any
    second: Any
    x: Any
    y: Any


def load_palettes(count: int = COLOURS) -> Palettes:
    """A rocket before sunrise and a cup of coffee, which scikit-image ships."""
    from skimage.color import rgb2lab
    from skimage.data import coffee, rocket

    first, second = rocket()[::2, ::2], coffee()[::2, ::2]
    rng = np.random.default_rng(0)
    samples = []
    for picture in (first, second):
        colours = rgb2lab(picture).reshape(-1, 3)
        samples.append(colours[rng.choice(len(colours), count, replace=False)])
    return Palettes(first, second, *samples)


def transport(palettes: Palettes, sharpness: float = SHARPNESS) -> Any:
    """The problem: squared distances of colours, epsilon a small part of the largest."""
    x, y = palettes.x, palettes.y
    gaps = x[:, None, :] - y[None, :, :]
    cost = np.einsum("ijk,ijk->ij", gaps, gaps)
    cost /= cost.max()
    a, b = (np.full(len(colours), 1.0 / len(colours)) for colours in (x, y))
    return rs.EntropicTransport(cost, a, b, 1.0 / sharpness)


def recoloured(
    picture: Any, x: Float[np.ndarray, "n 3"], moved: Float[np.ndarray, "n 3"], near: int = 12
) -> np.ndarray:
    """The picture with every pixel moved as the nearest sampled colours are.

    Args:
        picture: RGB, shape (rows, columns, 3).
        x: sampled colours in Lab.
        moved: where they are sent.
        near: over how many samples a pixel's displacement is averaged.
    """
    from scipy.spatial import cKDTree
    from skimage.color import lab2rgb, rgb2lab

    pixels = rgb2lab(picture).reshape(-1, 3)
    distances, nearest = cKDTree(x).query(pixels, k=min(near, len(x)))
    weights = 1.0 / (distances**2 + 4.0)
    shifts = np.einsum("pk,pkc->pc", weights, (moved - x)[nearest])
    shifts /= weights.sum(axis=1, keepdims=True)
    return np.clip(lab2rgb((pixels + shifts).reshape(picture.shape)), 0.0, 1.0)


def pot(name: str, problem: Any, tol: float, patience: int) -> tuple[Any, Any]:
    """The plan of POT's `ot.sinkhorn` with this method, and whether it claims to be done."""
    import warnings

    import ot

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        plan = ot.sinkhorn(
            problem.a, problem.b, problem.cost.matrix, problem.epsilon, method=name,
            stopThr=tol, numItermax=patience,
        )  # fmt: skip
    return plan, not any("converge" in str(one.message) for one in heard)


def marginal_error(problem: Any, plan: Any) -> float:
    """The l1 error of both marginals, relative to the mass; infinite for what is no plan."""
    error = np.abs(plan.sum(1) - problem.a).sum() + np.abs(plan.sum(0) - problem.b).sum()
    return float(error / problem.a.sum()) if np.isfinite(error) else float("inf")


def palettes(
    out: Path,
    say: Callable[[str], Any],
    given: Palettes | None = None,
    patience: int = PATIENCE,
) -> Section:
    """The stop: colours of a photograph carried onto those of another, at a small epsilon."""
    pair = load_palettes() if given is None else given
    problem = transport(pair)
    attempts: list[Attempt] = []
    best: Any = None
    methods = {
        "Sinkhorn-Newton, sparse": rs.transport.SinkhornNewtonSparse(),
        "Sinkhorn": rs.transport.Sinkhorn(),
    }
    for label, method in methods.items():
        say(label)
        rs.solve(problem, method, rtol=RTOL, throw=False)  # loads the kernels; not timed
        sol, seconds = clock(partial(rs.solve, problem, method, rtol=RTOL, throw=False))
        attempts.append(Attempt(label, seconds, sol.measure, bool(sol.converged), int(sol.steps)))
        if best is None or (sol.converged and sol.measure < best.measure):
            best = sol
    for name in ("sinkhorn", "sinkhorn_stabilized"):
        say(f"POT, {name}")
        # POT compares the l2 error of one marginal with its threshold.
        tol = RTOL / np.sqrt(len(problem.b))
        (plan, claimed), seconds = clock(partial(pot, name, problem, tol, patience))
        error = marginal_error(problem, plan)
        note = "" if claimed else "warns that it did not converge"
        attempts.append(Attempt(f"POT {name}", seconds, error, error <= RTOL, peer=True, note=note))
    say("figures")
    there = best.project(pair.y)
    back = best.T.project(pair.x)
    pictures = [
        (pair.first, "the rocket"),
        (recoloured(pair.first, pair.x, there), "the rocket in the colours of the coffee"),
        (pair.second, "the coffee"),
        (recoloured(pair.second, pair.y, back), "the coffee in the colours of the rocket"),
    ]
    return Section(
        "The colours of a photograph, carried onto another's",
        [
            f"{len(pair.x)} colours of each of two photographs, and the plan that carries the ones "
            "onto the others with the least squared distance in the Lab space. The regularization "
            f"epsilon is 1/{SHARPNESS:g} of the largest cost: at such a value the plain iteration "
            "needs thousands of sweeps, or stops with marginals that are wrong.",
            "The certificate is the error of both marginals in the l1 norm, relative to the mass; "
            "the peers' plans are measured by the same sum. Every pixel of a picture moves as the "
            "sampled colours nearest to it.",
        ],
        attempts,
        sum_up("palettes", "colours of a photograph", len(pair.x) + len(pair.y), attempts),
        [
            (
                figures.gallery(out / "palettes.png", pictures),
                "Two photographs, and each in the colours of the other.",
            ),
            (
                figures.plans(out / "palettes-plan.png", pair, there),
                "The sampled colours, and where they go: each line ends in the mean of the colours "
                "that its sample is sent to.",
            ),
        ],
    )  # fmt: skip
