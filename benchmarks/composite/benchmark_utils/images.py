"""The duality gap of a denoised image, in NumPy."""

import numpy as np


def _differences(x):
    down = np.concatenate([x[1:] - x[:-1], np.zeros_like(x[:1])])
    right = np.concatenate([x[:, 1:] - x[:, :-1], np.zeros_like(x[:, :1])], axis=1)
    return down, right


def _pulled(field):
    """The transpose of the differences."""
    down, right = (np.asarray(part, np.float64) for part in field)
    out = np.zeros_like(down)
    out[1:] += down[:-1]
    out[:-1] -= down[:-1]
    out[:, 1:] += right[:, :-1]
    out[:, :-1] -= right[:, :-1]
    return out


def denoising_gap(data, x, field=None):
    """The duality gap of x and a dual field p over what the noisy image pays for its variation.

    Without a field it is the p behind x = image - D^T p: the dual objective depends on it by way of
    x alone. That this p lies within its bounds is taken for granted; a field is brought there.
    """
    image = np.asarray(data["image"], np.float64)
    x, weight = np.asarray(x, np.float64), data["weight"]
    away, behind = x - image, x
    if field is not None:
        longest = float(np.hypot(*(np.asarray(part, np.float64) for part in field)).max())
        behind = image - min(1.0, weight / longest if longest > 0 else 1.0) * _pulled(field)
    primal = 0.5 * (away * away).sum() + weight * np.hypot(*_differences(x)).sum()
    dual = 0.5 * (image * image).sum() - 0.5 * (behind * behind).sum()
    return (primal - dual) / (weight * np.hypot(*_differences(image)).sum())
