"""Random assignment: costs uniform in [0, 1), equal masses, epsilon 1/1200 of the largest cost."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "assignment"
    parameters = {"n": [500, 1000, 2000], "seed": [11, 12]}
    requirements = ["numpy"]

    def get_data(self):
        cost = np.random.default_rng(self.seed).random((self.n, self.n))
        mass = np.full(self.n, 1.0 / self.n)
        return {
            "task": "solve", "data": {"cost": cost, "a": mass, "b": mass.copy()},
            "epsilon": float(cost.max()) / 1200, "rtol": 1e-9,
            "limit": {500: 30.0, 1000: 12.0}.get(self.n, 15.0),
        }  # fmt: skip
