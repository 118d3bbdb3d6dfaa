"""The group lasso, with groups of ten."""

import numpy as np
from benchmark_utils.data import regression
from benchopt import BaseDataset

SIZE = 10


class Dataset(BaseDataset):
    name = "groups"
    parameters = {"part": [10, 100]}
    requirements = ["numpy"]

    def get_data(self):
        X, y = regression("dense")
        slopes = (X.T @ y / y.size).reshape(-1, SIZE)
        weight = np.linalg.norm(slopes, axis=1).max() / self.part
        data = {"X": X, "y": y, "loss": "squares", "weight": weight, "bar": weight, "groups": SIZE}
        return {"task": "groups", "data": data, "rtol": 1e-8, "limit": 60.0}
