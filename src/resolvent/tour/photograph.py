"""Edge-preserving diffusion of a photograph: one sparse system a time step, as a sequence."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import resolvent as rs
from resolvent.tour import figures, peers
from resolvent.tour.diffusion import diffusivity, stencil, time_step
from resolvent.tour.section import RTOL, Attempt, Section, clock, sum_up

STEPS, TAU, KAPPA = 20, 2.0, 0.015


class Contender(NamedTuple):
    """A method for the sequence, and what it carries from one step to the next."""

    method: Any
    warm_start: Any = None


def contenders() -> dict[str, Contender]:
    """Our methods for the sequence, by label; the first has no memory."""
    return {
        "CG, no memory": Contender(rs.linear.CG()),
        "CG, previous picture": Contender(rs.linear.CG(), rs.Previous()),
        "CG, projected": Contender(rs.linear.CG(), rs.linear.Projected(4)),
        "CG, extrapolated": Contender(rs.linear.CG(), rs.Extrapolated(2)),
    }


class Record(NamedTuple):
    """What one method did at every time step."""

    iterations: list[int]
    seconds: list[float]
    certificates: list[float]
    converged: list[bool]


class Diffused(NamedTuple):
    """The picture after the last step, what every method did, and notes by label."""

    image: Any
    records: dict[str, Record]
    notes: dict[str, str]


def load_photograph() -> np.ndarray:
    """The photograph of the cameraman that scikit-image ships, 512 x 512, brightness 0 to 1."""
    from skimage.data import camera

    return camera() / 255.0


def diffuse(
    image: np.ndarray, steps: int = STEPS, say: Callable[[str], Any] = lambda text: None
) -> Diffused:
    """Solve every time step with every method and with SciPy's CG, on exactly the same systems.

    The methods' sequences run side by side: each is handed the same system, in turn, so that
    neither the systems nor the state of the machine differ between them.

    Args:
        image: the picture, brightness from 0 to 1.
        steps: number of time steps.
        say: told how far it is.

    Returns:
        The last picture and the records.
    """
    pattern = stencil(image.shape)
    racers = contenders()
    now = time_step(image, TAU, KAPPA, pattern=pattern)
    for racer in racers.values():  # compiles, once a process; not timed
        rs.solve(now, racer.method, rtol=RTOL, throw=False, key=0)

    def stream() -> Iterator[Any]:
        while True:
            yield now

    runs = {
        label: rs.solve_sequence(
            stream(), racer.method, warm_start=racer.warm_start, rtol=RTOL, key=0, progress=False
        )
        for label, racer in racers.items()
    }
    records = {label: Record([], [], [], []) for label in (*runs, "SciPy CG")}
    notes: dict[str, str] = {}
    for step in range(steps):
        say(f"time step {step + 1} of {steps}")
        now = time_step(image, TAU, KAPPA, pattern=pattern)
        best: Any = None
        for label, run in runs.items():
            solution, seconds = clock(lambda run=run: next(run))
            _note(records[label], solution.steps, seconds, solution.measure, solution.converged)
            if best is None or solution.measure < best.measure:
                best = solution
        attempt, _ = peers.certified("SciPy CG", peers.scipy_cg, now, RTOL, x0=now.b)
        _note(
            records["SciPy CG"], attempt.steps or 0, attempt.seconds, attempt.certificate,
            attempt.converged,
        )  # fmt: skip
        if attempt.note:
            notes["SciPy CG"] = attempt.note
        image = best.x.reshape(image.shape)
    return Diffused(image, records, notes)


def _note(
    record: Record, iterations: int, seconds: float, certificate: float, converged: Any
) -> None:
    record.iterations.append(int(iterations))
    record.seconds.append(seconds)
    record.certificates.append(certificate)
    record.converged.append(bool(converged))


def photograph(
    out: Path, say: Callable[[str], Any], image: np.ndarray | None = None, steps: int = STEPS
) -> Section:
    """The stop: time steps of the Perona-Malik equation, with and without memory."""
    before = load_photograph() if image is None else image
    done = diffuse(before, steps, say)
    attempts = [
        Attempt(
            label, sum(one.seconds), max(one.certificates), all(one.converged),
            sum(one.iterations), peer=label == "SciPy CG", note=done.notes.get(label, ""),
        )
        for label, one in done.records.items()
    ]  # fmt: skip
    say("figures")
    rows, columns = before.shape
    kept = diffusivity(done.image, KAPPA)
    return Section(
        "Edge-preserving diffusion of a photograph",
        [
            "The Perona-Malik equation smooths a picture and leaves its edges alone: diffusion is "
            "weak where the brightness changes fast. Every implicit time step is one sparse, "
            "symmetric positive definite system whose matrix depends on the picture. "
            f"Here: {steps} steps of {TAU:g} on {rows} x {columns} pixels, kappa = {KAPPA:g}.",
            "All methods solve exactly the same systems. The smallest eigenvalue of each is 1, so "
            "that the certificate bounds the error too. SciPy starts from the picture before, as "
            "one would do by hand; ours start from zero without memory, and from the last pictures "
            "with it.",
        ],
        attempts,
        sum_up(
            "photograph", f"diffusion of a photograph, {steps} steps", before.size, attempts
        ),
        [
            (
                figures.pictures(out / "photograph.png", before, done.image, kept),
                "Before, after, and the diffusivity of the last picture.",
            ),
            (
                figures.per_step(
                    out / "photograph-steps.png",
                    {label: (one.iterations, one.seconds) for label, one in done.records.items()},
                    ["SciPy CG"],
                ),
                "Iterations and seconds of every time step.",
            ),
        ],
    )  # fmt: skip
