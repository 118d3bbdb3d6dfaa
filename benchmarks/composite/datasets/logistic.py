"""Sparse logistic regression on real data."""

import numpy as np
from benchmark_utils.data import classification
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "logistic"
    parameters = {"data": ["a9a", "breast-cancer"], "part": [10, 100]}
    requirements = ["numpy", "scikit-learn"]

    def get_data(self):
        found = classification(self.data)
        if found is None:
            raise FileNotFoundError("a9a.t is not beside this checkout")
        X, y = found
        weight = 0.5 * np.abs(X.T @ y).max() / y.size / self.part
        data = {"X": X, "y": y, "loss": "logistic", "weight": weight, "bar": weight}
        return {"task": "logistic", "data": data, "rtol": 1e-8, "limit": 60.0}
