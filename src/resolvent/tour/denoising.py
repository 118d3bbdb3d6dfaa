"""Total variation denoising of a photograph, beside scikit-image at the same duality gap."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import resolvent as rs
from resolvent.composite.denoising import differences
from resolvent.tour import figures
from resolvent.tour.photograph import load_photograph
from resolvent.tour.section import Attempt, Section, clock, sum_up

NOISE, WEIGHT = 0.1, 0.1
NEAR = 1e-3  # of what the noisy picture pays for its variation
FIRST, PATIENCE = 25, 1600  # iterations of the peer: twice as many until its gap is small enough


def noisy(image: np.ndarray, noise: float = NOISE) -> np.ndarray:
    """The picture with Gaussian noise."""
    return image + noise * np.random.default_rng(0).standard_normal(image.shape)


def gap_of(problem: Any, x: np.ndarray) -> float:
    """The duality gap of a picture that is the noisy one less D^T p, for a dual field p.

    The dual objective depends on p by way of this picture alone, so that p need not be known; that
    it lies in the dual ball is taken for granted.
    """
    picture = problem.picture
    away, lengths = x - picture, np.hypot(*differences(x))
    primal = 0.5 * (away * away).sum() + float(problem.weight) * lengths.sum()
    return float(primal + 0.5 * (x * x).sum() - 0.5 * (picture * picture).sum())


def chambolle(picture: np.ndarray, weight: float, steps: int) -> np.ndarray:
    """So many iterations of scikit-image's `denoise_tv_chambolle`."""
    from skimage.restoration import denoise_tv_chambolle

    return denoise_tv_chambolle(picture, weight=weight, eps=0.0, max_num_iter=steps)


def by_peer(problem: Any, target: float) -> tuple[Attempt, list[int], list[float]]:
    """scikit-image with ever more iterations, until its gap is small enough; and all its gaps."""
    steps, counts, gaps = FIRST, [], []
    while True:
        run = partial(chambolle, problem.picture, float(problem.weight), steps)
        x, seconds = clock(run)
        counts.append(steps)
        gaps.append(gap_of(problem, x) / float(problem.unit))
        if gaps[-1] <= target or steps >= PATIENCE:
            break
        steps *= 2
    holds = gaps[-1] <= target
    label = "scikit-image, Chambolle"
    return Attempt(label, seconds, gaps[-1], holds, steps, peer=True), counts, gaps


def denoising(
    out: Path, say: Callable[[str], Any], image: np.ndarray | None = None, near: float = NEAR
) -> Section:
    """The stop: a photograph with noise, and the picture that is certified to be nearly best."""
    picture = noisy(load_photograph() if image is None else image)
    problem = rs.TotalVariationDenoising(picture, WEIGHT)
    single = rs.TotalVariationDenoising(picture.astype(np.float32), WEIGHT)
    attempts, best = [], None
    method = rs.composite.FastGradientProjection()
    for label, one in (("double precision", problem), ("single precision", single)):
        say(label)
        rs.solve(one, method, rtol=1.0)  # loads the kernels; not timed
        sol, seconds = clock(partial(rs.solve, one, method, rtol=near, throw=False), 3)
        measure = sol.certificate.relative
        attempts.append(
            Attempt(f"FGP, {label}", seconds, measure, bool(sol.converged), int(sol.steps))
        )
        best = sol if best is None else best
    say("scikit-image")
    attempt, counts, gaps = by_peer(problem, near)
    attempts.append(attempt)
    say("figure")
    rows, columns = picture.shape
    return Section(
        "TV denoising of a photograph",
        [
            f"A photograph of {rows} x {columns} pixels with Gaussian noise of {NOISE:g}, and the "
            "picture x with the least ||x - noisy||^2 / 2 + weight TV(x), weight = "
            f"{WEIGHT:g}: total variation charges for differences, not for how sharp they are.",
            "The certificate is the duality gap, relative to what the noisy picture pays for its "
            "variation. It bounds ||x - best x||^2 / 2: no other picture is better by more. One "
            "referee measures all gaps, in double precision for scikit-image, which is given twice "
            "as many iterations until its gap is as small; the table has the seconds of its last "
            "run alone.",
        ],
        attempts,
        sum_up("denoising", "TV denoising of a photograph", picture.size, attempts),
        [
            (
                _figure(out / "denoising.png", picture, best, counts, gaps),
                "The noisy photograph, the denoised one, and the duality gaps on the way.",
            )
        ],
    )  # fmt: skip


def _figure(
    path: Path, picture: np.ndarray, sol: Any, counts: list[int], gaps: list[float]
) -> Path:
    figure, axes = figures.new_figure(3, width=4.4, height=4.4)
    for ax, shown, title in zip(axes, (picture, sol.x[0]), ("noisy", "denoised"), strict=False):
        ax.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
        ax.set_title(title, fontsize=12)
        ax.set_axis_off()
    ax = axes[2]
    scale = float(sol.certificate.scale)
    measures = np.asarray(sol.history.measures)
    seen = np.flatnonzero(np.diff(measures, prepend=np.inf))  # the looks at the gap
    ax.loglog(sol.history.steps[seen], measures[seen] / scale, label="Resolvent, FGP")
    ax.loglog(counts, gaps, "o--", color=figures.PEER, label="scikit-image, Chambolle")
    ax.axhline(sol.certificate.target / scale, color="#999999", linewidth=0.8)
    ax.set(xlabel="iterations", ylabel="duality gap / (weight TV(noisy))")
    ax.legend(frameon=False)
    figures.tidy(ax)
    return figures.save(figure, path)
