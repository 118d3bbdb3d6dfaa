"""A 10 x 10 system, solved a thousand times: what a solve costs before it does anything."""

import numpy as np
import scipy.sparse as sparse
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "tiny"
    parameters = {"repeats": [1000]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        A = sparse.diags_array(
            [-np.ones(9), 2 * np.ones(10), -np.ones(9)], offsets=[-1, 0, 1]
        ).tocsr()
        b = np.ones(10)
        return {
            "task": "overhead", "count": self.repeats, "system": lambda t, x: (A, b, None),
            "rtol": 1e-8,
        }  # fmt: skip
