"""The lasso for a hundred weights, from the largest to a hundredth of it."""

import numpy as np
from benchmark_utils.data import regression
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "path"
    parameters = {"kind": ["dense", "sparse"]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        X, y = regression(self.kind)
        most = np.abs(X.T @ y).max() / y.size
        data = {"X": X, "y": y, "loss": "squares", "weights": np.geomspace(most, most / 100, 100)}
        return {"task": "path", "data": data, "rtol": 1e-8, "limit": 120.0}
