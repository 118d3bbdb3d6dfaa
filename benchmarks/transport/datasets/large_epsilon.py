"""A regularization so large that the plainest iteration is the best one."""

import numpy as np
from benchmark_utils.pairs import grid, histogram, pairwise
from benchopt import BaseDataset
from scipy.ndimage import zoom
from sklearn.datasets import load_digits


class Dataset(BaseDataset):
    name = "large-epsilon"
    parameters = {"kind, n": [("uniform", 500), ("uniform", 2000), ("digits", 784)]}
    requirements = ["numpy", "scipy", "scikit-learn"]

    def get_data(self):
        if self.kind == "uniform":
            cost = np.random.default_rng(11).random((self.n, self.n))
            a = b = np.full(self.n, 1.0 / self.n)
        else:
            images = load_digits().images
            a, b = (histogram(zoom(images[i] / 16.0, 3.5, order=1)) for i in (11, 12))
            points = grid(28)
            cost = pairwise(points, points, "sqeuclidean")
        return {
            "task": "solve", "data": {"cost": cost / cost.max(), "a": a, "b": b},
            "epsilon": 0.1, "rtol": 1e-9, "limit": 5.0,
        }  # fmt: skip
