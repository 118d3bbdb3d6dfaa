"""Fifty slowly changing problems: two digits that fade, step by step, into two other ones."""

import numpy as np
from benchmark_utils.pairs import grid, histogram, pairwise
from benchopt import BaseDataset
from scipy.ndimage import zoom
from sklearn.datasets import load_digits


class Dataset(BaseDataset):
    name = "sequence"
    parameters = {"epsilon": [1e-2, 1e-3]}
    requirements = ["numpy", "scipy", "scikit-learn"]
    count = 50

    def get_data(self):
        images = load_digits().images
        pictures = [histogram(zoom(images[i] / 16.0, 3.5, order=1)) for i in (11, 12, 13, 14)]
        share = np.linspace(0.0, 1.0, self.count)[:, None]
        a, b = ((1 - share) * pictures[i] + share * pictures[i + 2] for i in (0, 1))
        points = grid(28)
        cost = pairwise(points, points, "sqeuclidean")
        return {
            "task": "sequence", "data": {"cost": cost / cost.max(), "a": a, "b": b},
            "epsilon": self.epsilon, "rtol": 1e-9, "limit": 60.0,
        }  # fmt: skip
