"""A strongly monotone affine variational inequality on a box, mostly rotation."""

import numpy as np
from benchmark_utils.judge import residual
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "affine-box"
    parameters = {"n": [500]}
    requirements = ["numpy"]

    def get_data(self):
        n, strong = self.n, 0.05
        rng = np.random.default_rng(1)
        G, H = rng.standard_normal((2, n, n)) / np.sqrt(n)
        M = strong * np.eye(n) + 0.1 * G @ G.T + (H - H.T) / 2.0
        q = rng.standard_normal(n)
        data = {
            "M": M, "q": q, "lower": -1.0, "upper": 1.0, "strong": strong,
            "lipschitz": float(np.linalg.norm(M, 2)) * (1 + 1e-12),
            "unit": residual(M, q, -1.0, 1.0, np.zeros(n)),
        }  # fmt: skip
        return {"task": "affine", "data": data, "rtol": 1e-8, "limit": 8.0}
