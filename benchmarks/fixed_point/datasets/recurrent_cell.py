"""A recurrent cell that forgets: y_t = tanh(W y_{t-1} + U x_t + b), W of spectral norm 0.9."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "recurrent-cell"
    parameters = {"width": [8], "length": [1_000, 10_000]}
    requirements = ["numpy"]

    def get_data(self):
        rng = np.random.default_rng(0)
        W = rng.standard_normal((self.width, self.width))
        W *= 0.9 / np.linalg.norm(W, 2)
        U = rng.standard_normal((self.width, self.width)) / np.sqrt(self.width)
        inputs = rng.standard_normal((self.length, self.width))
        return {
            "kind": "recurrence", "start": np.zeros(self.width),
            "args": (inputs, W, U, rng.standard_normal(self.width)), "rtol": 1e-10, "limit": 8.0,
        }  # fmt: skip
