"""The problems of CUTEst on which exact augmented Lagrangians with sketching were published."""

from benchmark_utils.collections import sketching
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "sketching"
    requirements = ["numpy", "pip::sif2jax"]

    def get_data(self):
        return {"problems": sketching(), "rtol": 1e-6, "limit": 60.0}
