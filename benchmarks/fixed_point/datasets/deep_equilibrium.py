"""A layer of a deep equilibrium model, whose matrix has the spectral radius 0.9.

Inputs are small, so that tanh is nearly linear and the layer forgets as slowly as its matrix says.
"""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "deep-equilibrium"
    parameters = {
        "batch, width": [(64, 128)],
        "dtype, rtol": [("float32", 1e-4), ("float64", 1e-8)],
    }
    requirements = ["numpy"]

    def get_data(self):
        rng = np.random.default_rng(0)
        W = rng.standard_normal((self.width, self.width))
        W *= 0.9 / np.abs(np.linalg.eigvals(W)).max()
        U = rng.standard_normal((self.width, self.width)) / np.sqrt(self.width)
        x, b = rng.standard_normal((self.batch, self.width)), rng.standard_normal(self.width)
        x, b = 0.1 * x, 0.1 * b
        parts = np.zeros_like(x), W, x @ U.T + b
        start, W, given = (part.astype(self.dtype) for part in parts)
        return {
            "kind": "layer", "start": start, "args": (W, given), "rtol": self.rtol, "limit": 8.0,
        }  # fmt: skip
