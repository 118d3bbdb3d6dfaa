"""Denoising of images by total variation."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import as_jax
from resolvent._core.value import static
from resolvent.composite.linear_map import FunctionMap
from resolvent.composite.split import SplitComposite
from resolvent.functions import SquaredL2
from resolvent.functions.total_variation import FieldLength


def differences(x: Any) -> Any:
    """The differences to the next pixel below and to the right, 0 at the last ones."""
    if isinstance(x, np.ndarray):
        down, right = np.zeros_like(x), np.zeros_like(x)
        np.subtract(x[1:], x[:-1], out=down[:-1])
        np.subtract(x[:, 1:], x[:, :-1], out=right[:, :-1])
        return down, right
    down = jnp.concatenate([x[1:] - x[:-1], jnp.zeros_like(x[:1])])
    return down, jnp.concatenate([x[:, 1:] - x[:, :-1], jnp.zeros_like(x[:, :1])], axis=1)


def adjoint(p: Any) -> Any:
    """What `differences` is the transpose of."""
    down, right = p[0][:-1], p[1][:, :-1]
    if isinstance(p[0], np.ndarray):
        out = np.zeros_like(p[0])
        out[1:] += down
        out[:-1] -= down
        out[:, 1:] += right
        out[:, :-1] -= right
        return out
    row, column = jnp.zeros_like(p[0][:1]), jnp.zeros_like(p[1][:, :1])
    rows = jnp.concatenate([row, down]) - jnp.concatenate([down, row])
    return (
        rows + jnp.concatenate([column, right], axis=1) - jnp.concatenate([right, column], axis=1)
    )


class TotalVariationDenoising(SplitComposite):
    """Minimize ||x - image||^2 / 2 + weight TV(x): edges stay, and noise between them goes.

    TV(x) is the sum over pixels of the lengths of (x_{i+1,j} - x_ij, x_{i,j+1} - x_ij), the
    differences being 0 that leave the image. The unknown is the pair of x and of the dual field, a
    pair of images.

    The certificate is the duality gap, and ||x - best x||^2 / 2 is no larger: pixel by pixel,
    without cancellation. Relative tolerances refer to weight TV(image).

    Args:
        image: [h, w].
        weight: positive, in the unit of the image: about the size of the noise.
        isotropic: whether lengths are Euclidean, and not sums of absolute values.

    Raises:
        ValueError: for what is no image, is empty or not finite, or a weight that is not positive.

    Example:
        ```python
        import numpy as np, resolvent as rs
        image = np.zeros((8, 8))
        image[:, 4:] = 1.0
        x, field = rs.solve(rs.TotalVariationDenoising(image, 0.4), rtol=1e-6).x
        assert np.allclose(x[:, 0], 0.1, atol=1e-2) and np.allclose(x[:, 7], 0.9, atol=1e-2)
        ```

    Reference:
        L. I. Rudin, S. Osher, E. Fatemi (1992), Nonlinear total variation based noise removal
        algorithms.
    """

    isotropic: bool = static(default=True)

    def __init__(self, image: Float[Any, "h w"], weight: float, *, isotropic: bool = True):
        image = real_array("image", image)
        if image.ndim != 2 or not image.size:
            refuse(
                ValueError, "image", given=f"shape {image.shape}", needed="an image [h, w]",
                advice="Denoise the channels one by one.",
            )  # fmt: skip
        if not is_traced(image):
            finite("image", image)
        between("weight", weight, 0.0, math.inf, "The image is the answer for weight 0.")
        vars(self)["isotropic"] = bool(isotropic)
        super().__init__(
            FieldLength(weight, isotropic), FunctionMap(differences, adjoint),
            g=SquaredL2(1.0, center=image), start=image, norm=math.sqrt(8.0),
        )  # fmt: skip

    @property
    def picture(self) -> Any:
        """The image that is denoised."""
        return self.g.center

    @property
    def weight(self) -> Any:
        """The weight of the total variation."""
        return self.h.weight

    def gap(self, x: Any, y: Any, Kx: Any, KTy: Any) -> Any:
        xp = np if isinstance(x, np.ndarray) else jnp
        if self.isotropic:
            sizes = xp.sqrt(y[0] * y[0] + y[1] * y[1])
        else:
            sizes = xp.maximum(abs(y[0]), abs(y[1]))
        lengths, weight = self._lengths(Kx), xp.asarray(self.weight, x.dtype)
        most = sizes.max()
        share = xp.where(most > weight, weight / xp.where(most > weight, most, 1.0), 1.0)
        share = xp.asarray(share, x.dtype)
        terms = weight * lengths - share * (Kx[0] * y[0] + Kx[1] * y[1])
        away = x - self.picture + share * KTy
        rounding = float(xp.finfo(x.dtype).eps) * weight * lengths.sum()
        return xp.maximum(terms, 0).sum() + 0.5 * (away * away).sum() + rounding

    def _lengths(self, Kx: Any) -> Any:
        """The length of each pixel's differences."""
        if not self.isotropic:
            return abs(Kx[0]) + abs(Kx[1])
        return (np if isinstance(Kx[0], np.ndarray) else jnp).sqrt(Kx[0] * Kx[0] + Kx[1] * Kx[1])

    def _first_gap(self) -> Any:
        """What the image itself pays: its gap without a field. 1 for an image without edges."""
        if not isinstance(self.picture, np.ndarray):
            return super()._first_gap()
        paid = float(self.weight) * float(self._lengths(differences(self.picture)).sum())
        return paid if 0 < paid < math.inf else 1.0

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """Duality gap: `<= max(rtol weight TV(image), atol)`."""
        if is_traced((x, self)) or not isinstance(x[0], np.ndarray):
            return super().certify(x, witness)
        ready = self.prepare("host")
        value = ready.gap(x[0], x[1], differences(x[0]), adjoint(x[1]))
        return Certificate(
            float(value), float(self.unit), kind="bound", name="duality gap",
            statement="objective(x) - lower bound(y) <= max(rtol unit, atol)",
        )  # fmt: skip

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host where a method runs on it."""
        return "host" if "host" in engines else "traced"

    def prepare(self, engine: Engine) -> Any:
        """The same problem with arrays of the engine."""
        if engine == "traced":
            return jax.tree_util.tree_map(as_jax, self)
        return jax.tree_util.tree_map(
            lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, self
        )

    def default_method(self) -> Any:
        """Accelerated projected gradients on the dual field; under a transformation PDHG."""
        from resolvent.composite.splitting.gradient_projection import FastGradientProjection
        from resolvent.composite.splitting.pdhg import PDHG

        return PDHG() if is_traced(self) else FastGradientProjection()

    def describe(self) -> str:
        """The size of the image."""
        h, w = self.first[0].shape
        return f"{type(self).__name__}({h} x {w})"
