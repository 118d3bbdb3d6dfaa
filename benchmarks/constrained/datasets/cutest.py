"""Problems of CUTEst, every one of its kind up to so many unknowns, or every so many of them."""

from benchmark_utils.collections import cutest
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "cutest"
    parameters = {
        "kind": ["equations", "mixed", "bounded"], "most": [200], "every": [1], "limit": [60.0],
    }  # fmt: skip
    requirements = ["numpy", "pip::sif2jax"]

    def get_data(self):
        problems = cutest(self.kind, self.most, self.every)
        return {"problems": problems, "rtol": 1e-6, "limit": self.limit}
