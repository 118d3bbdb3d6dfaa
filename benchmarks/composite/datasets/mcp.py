"""Least squares with the minimax concave penalty: stationary points, from zero."""

import numpy as np
from benchmark_utils.data import regression
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "mcp"
    parameters = {"kind": ["dense", "sparse"], "part": [5, 10]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        X, y = regression(self.kind)
        # Columns of mean square 1, as the penalty's theory has them.
        sizes = np.sqrt(
            np.asarray((X.multiply(X) if self.kind == "sparse" else X * X).mean(axis=0))
        )
        sizes = np.where(sizes.ravel() > 0, sizes.ravel(), 1.0)
        X = X.multiply(1 / sizes).tocsc() if self.kind == "sparse" else np.asfortranarray(X / sizes)
        weight = np.abs(X.T @ y).max() / y.size / self.part
        data = {"X": X, "y": y, "loss": "squares", "weight": weight, "bar": weight, "gamma": 3.0}
        return {"task": "mcp", "data": data, "rtol": 1e-6, "limit": 60.0}
