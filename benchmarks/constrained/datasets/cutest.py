"""Problems of CUTEst, every one of its kind with few unknowns, or every so many of them."""

from benchmark_utils.collections import cutest
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "cutest"
    parameters = {"kind": ["equations", "mixed"], "most": [10], "every": [4]}
    requirements = ["numpy", "pip::sif2jax"]

    def get_data(self):
        problems = cutest(self.kind, self.most, self.every)
        return {"problems": problems, "rtol": 1e-6, "limit": 10.0}
