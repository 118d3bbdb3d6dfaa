"""The lasso and the elastic net, dense and sparse, at two weights."""

import numpy as np
from benchmark_utils.data import regression
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "lasso"
    parameters = {"kind": ["dense", "sparse"], "part": [10, 100], "ratio": [1.0, 0.5]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        X, y = regression(self.kind)
        weight = np.abs(X.T @ y).max() / y.size / self.part / self.ratio
        data = {
            "X": X, "y": y, "loss": "squares", "weight": weight, "ratio": self.ratio,
            "bar": weight * self.ratio, "ridge": weight * (1 - self.ratio),
        }  # fmt: skip
        return {"task": "lasso", "data": data, "rtol": 1e-8, "limit": 60.0}
