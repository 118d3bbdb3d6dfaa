"""The duality gap of a denoised image, in NumPy."""

import numpy as np


def _differences(x):
    down = np.concatenate([x[1:] - x[:-1], np.zeros_like(x[:1])])
    right = np.concatenate([x[:, 1:] - x[:, :-1], np.zeros_like(x[:, :1])], axis=1)
    return down, right


def denoising_gap(data, x):
    """The duality gap of x = image - D^T p over the noisy image's variation, for the p behind x.

    Methods that work on the dual field return such an x; the dual objective depends on p by way of
    x alone. That p lies within its bounds is taken for granted.
    """
    image = np.asarray(data["image"], np.float64)
    x, weight = np.asarray(x, np.float64), data["weight"]
    away = x - image
    primal = 0.5 * (away * away).sum() + weight * np.hypot(*_differences(x)).sum()
    dual = 0.5 * (image * image).sum() - 0.5 * (x * x).sum()
    return (primal - dual) / (weight * np.hypot(*_differences(image)).sum())
