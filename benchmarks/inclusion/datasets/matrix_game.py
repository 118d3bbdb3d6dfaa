"""A zero-sum game whose payoffs are normal random numbers."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "matrix-game"
    parameters = {"n": [500, 2000]}
    requirements = ["numpy"]

    def get_data(self):
        A = np.random.default_rng(0).standard_normal((self.n, self.n))
        return {
            "task": "game", "data": {"A": A}, "rtol": 1e-4 if self.n <= 500 else 1e-3,
            "limit": 8.0,
        }  # fmt: skip
