"""Problems of CUTEst without constraints, every one up to so many unknowns, or every so many."""

from benchmark_utils.collections import cutest
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "cutest"
    parameters = {"most": [1000], "every": [1], "limit": [60.0]}
    requirements = ["numpy", "pip::sif2jax"]

    def get_data(self):
        problems = cutest("unconstrained", self.most, self.every)
        return {"problems": problems, "rtol": 1e-6, "limit": self.limit}
