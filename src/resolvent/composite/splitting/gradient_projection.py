"""Accelerated projected gradients on the dual of total variation denoising."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.composite.denoising import TotalVariationDenoising, adjoint

_EARLY = 4  # steps each of which looks at the gap
_LOOK = 10  # steps between two looks later on: one costs as much as a step


class FieldState(NamedTuple):
    field: Any
    ahead: Any
    """Where the next gradient is taken."""
    momentum: float
    gap: float
    steps: int
    looks: int


class FastGradientProjection(Method):
    """Projected gradients on the dual field, with Nesterov's momentum, one pass a step.

    Solves `TotalVariationDenoising` by p' = nearest(q + D (image - D^T q) / 8), the nearest field
    of vectors no longer than the weight, and q' = p' + ((t - 1) / t') (p' - p) with t' = (1 +
    sqrt(1 + 4 t^2)) / 2. D takes the differences of an image, and the image of a field is
    x = image - D^T p. Momentum that goes uphill is dropped, as far as looks at the gap show.

    Only the dual field of a first guess is used.

    Raises:
        TypeError: inside a JAX transformation; `PDHG` solves these problems there.

    Cost per iteration:
        One pass over the image and four more of its size. Each tenth step takes one more, for the
        gap.

    Convergence:
        The gap of the dual objective is O(1 / k^2), and so is ||x - best x||^2.

    Example:
        ```python
        import numpy as np, resolvent as rs
        noisy = np.random.default_rng(0).standard_normal((16, 16))
        problem = rs.TotalVariationDenoising(noisy, 0.5)
        sol = rs.solve(problem, rs.composite.FastGradientProjection(), rtol=1e-6)
        assert sol.certificate.kind == "bound" and sol.converged
        ```

    Reference:
        A. Beck, M. Teboulle (2009), Fast gradient-based algorithms for constrained total variation
        image denoising and deblurring problems.
    """

    name: ClassVar[str] = "fast-gradient-projection"
    solves: ClassVar = (TotalVariationDenoising,)
    engines: ClassVar = ("host",)
    ahead: ClassVar[bool] = True
    monitored: ClassVar[int] = 5000

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> FieldState:
        # The dual field alone: the image that belongs to it is no worse than any other.
        field = _inside(problem, x0[1])
        ahead = tuple(part.copy() for part in field)
        return FieldState(field, ahead, 1.0, _look(problem, field, ahead)[0], 0, 1)

    def step(self, problem: Any, state: FieldState) -> FieldState:
        state = state._replace(
            field=tuple(part.copy() for part in state.field),
            ahead=tuple(part.copy() for part in state.ahead),
        )
        return self.advance(problem, state, 1, -np.inf)[0]

    def advance(
        self, problem: Any, state: FieldState, steps: int, target: float
    ) -> tuple[FieldState, np.ndarray]:
        from resolvent.composite.splitting.kernels_total_variation import sweep

        image, kind = problem.picture, problem.picture.dtype
        field, ahead, t, gap, k, looks = state
        bar, trace = kind.type(problem.weight), np.empty(steps)
        (down, right), (far_down, far_right), wide = field, ahead, problem.isotropic
        done = 0
        while done < steps and not (done and gap <= target):
            later = 0.5 + np.sqrt(0.25 + t * t)
            sweep(image, down, right, far_down, far_right, bar, kind.type((t - 1) / later), wide)
            t, k, done = later, k + 1, done + 1
            if k <= _EARLY or k % _LOOK == 0:
                gap, uphill = _look(problem, field, ahead)
                t, looks = 1.0 if uphill else t, looks + 1
            trace[done - 1] = gap
        return FieldState(field, ahead, t, gap, k, looks), trace[:done]

    def measure(self, problem: Any, state: FieldState) -> float:
        return state.gap

    def iterate(self, problem: Any, state: FieldState) -> tuple[Any, Any]:
        return (problem.picture - adjoint(state.field), state.field), state.field

    def calls(self, problem: Any, state: FieldState) -> dict[str, int]:
        return {"gradient": state.steps, "gap": state.looks}


def _look(problem: Any, field: Any, ahead: Any) -> tuple[float, bool]:
    """The gap of a field, rounding included, and whether the field ahead lies uphill."""
    from resolvent.composite.splitting.kernels_total_variation import judged

    image, (down, right), (far_down, far_right) = problem.picture, field, ahead
    bar = image.dtype.type(problem.weight)
    gap, lengths, downhill = judged(image, down, right, far_down, far_right, bar, problem.isotropic)
    return gap + float(np.finfo(image.dtype).eps) * lengths, downhill < 0


def _inside(problem: Any, field: Any) -> Any:
    """The nearest field of the dual ball, 0 where differences leave the image."""
    down, right = (np.array(part) for part in field)
    down[-1], right[:, -1] = 0, 0
    bar = down.dtype.type(problem.weight)
    if not problem.isotropic:
        return np.clip(down, -bar, bar), np.clip(right, -bar, bar)
    share = bar / np.maximum(np.sqrt(down * down + right * right), bar)
    return down * share, right * share
