"""A symmetric contraction with eigenvalues up to 0.9999."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "slow-affine"
    parameters = {"n": [300]}
    requirements = ["numpy"]

    def get_data(self):
        rng = np.random.default_rng(0)
        Q, _ = np.linalg.qr(rng.standard_normal((self.n, self.n)))
        M = (Q * (1.0 - np.geomspace(1e-4, 1.0, self.n))) @ Q.T
        return {
            "kind": "affine", "start": np.zeros(self.n),
            "args": ((M + M.T) / 2.0, rng.standard_normal(self.n)), "rtol": 1e-6, "limit": 8.0,
        }  # fmt: skip
