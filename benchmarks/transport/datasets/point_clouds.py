"""Two clouds of 10,000 points, whose costs would fill 800 MB as a matrix."""

import numpy as np
from benchmark_utils.pairs import pairwise, row_blocks
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "point-clouds"
    parameters = {"n": [10_000]}
    requirements = ["numpy"]

    def get_data(self):
        rng = np.random.default_rng(11)
        x, y = rng.random((self.n, 3)), 0.5 + 0.2 * rng.standard_normal((self.n, 3))
        largest = max(
            pairwise(x[rows], y, "sqeuclidean").max() for rows in row_blocks(*2 * [self.n])
        )
        mass = np.full(self.n, 1.0 / self.n)
        data = {"x": x, "y": y, "kind": np.array("sqeuclidean"), "a": mass, "b": mass.copy()}
        return {
            "task": "memory", "data": data, "epsilon": 1e-2 * float(largest), "rtol": 1e-6,
            "limit": 60.0,
        }  # fmt: skip
