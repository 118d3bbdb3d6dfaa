"""Least squares on a box, as the mean of one component an observation."""

import numpy as np
from benchmark_utils.judge import residual
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "finite-sum"
    parameters = {"n, d": [(20_000, 200)]}
    requirements = ["numpy"]

    def get_data(self):
        rng = np.random.default_rng(2)
        # Directions of falling weight, as data have them, in observations of length one: the
        # constants of single components are then about that of their mean.
        rows = rng.standard_normal((self.n, self.d)) / np.arange(1, self.d + 1)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        targets = rows @ rng.standard_normal(self.d) + rng.standard_normal(self.n)
        M, q = rows.T @ rows / self.n, -rows.T @ targets / self.n
        data = {
            "rows": rows, "targets": targets, "M": M, "q": q, "lower": -1.0, "upper": 1.0,
            "strong": None, "lipschitz": float(np.linalg.norm(M, 2)) * (1 + 1e-12),
            # F is the mean of gradients with the Lipschitz constants ||a_i||^2.
            "cocoercive": float((rows**2).sum(1).max()),
            "unit": residual(M, q, -1.0, 1.0, np.zeros(self.d)),
        }  # fmt: skip
        return {"task": "sum", "data": data, "rtol": 1e-2, "limit": 8.0}
