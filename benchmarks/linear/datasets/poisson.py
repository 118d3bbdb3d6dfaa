"""The five-point Laplacian on a square grid, given as compressed rows."""

import numpy as np
import scipy.sparse as sparse
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "poisson"
    parameters = {"side, task": [(512, "solve"), (512, "sweep")]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        n = self.side
        line = sparse.diags_array(
            [-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]
        )
        eye = sparse.eye_array(n)
        A = (sparse.kron(line, eye) + sparse.kron(eye, line)).tocsr()
        b = np.random.default_rng(0).standard_normal(A.shape[0])
        return {"task": self.task, "count": 1, "system": lambda t, x: (A, b, None), "rtol": 1e-8}
