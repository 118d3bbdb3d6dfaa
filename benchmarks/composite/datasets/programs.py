"""Quadratic programs: a large one on a box or a simplex, and a thousand small ones."""

from benchmark_utils.programs import program
from benchopt import BaseDataset

TASKS = {"box": 1000, "simplex": 1000, "batch": 50}


class Dataset(BaseDataset):
    name = "programs"
    parameters = {"kind": list(TASKS), "rank": ["full", "half"]}
    requirements = ["numpy"]

    def get_data(self):
        n = TASKS[self.kind]
        samples = 4 * n if self.rank == "full" else n // 2
        if self.kind == "batch":
            data = {"programs": [program("rows", n, seed, samples) for seed in range(1000)]}
            return {"task": "batch", "data": data, "rtol": 1e-6, "limit": 60.0}
        data = program(self.kind, n, samples, samples)
        return {"task": "program", "data": data, "rtol": 1e-6, "limit": 60.0}
