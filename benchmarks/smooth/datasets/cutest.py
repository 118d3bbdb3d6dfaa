"""Problems of CUTEst without constraints, every one of so many unknowns, or every so many."""

from benchmark_utils.collections import cutest
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "cutest"
    parameters = {"least, most": [(1, 10), (11, 100), (101, 1000)], "every": [4]}
    requirements = ["numpy", "pip::sif2jax"]

    def get_data(self):
        problems = cutest(self.least, self.most, self.every)
        return {"problems": problems, "rtol": 1e-6, "limit": 10.0}
