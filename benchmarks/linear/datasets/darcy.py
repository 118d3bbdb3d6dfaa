"""A sequence of Darcy flow systems with random permeability fields, sorted by similarity."""

import numpy as np
from benchopt import BaseDataset

from resolvent.linear import sort_greedy
from resolvent.papers.krylov_recycling_data import darcy_systems


class Dataset(BaseDataset):
    name = "darcy-sequence"
    parameters = {"side": [104], "number": [200], "preconditioner": ["none", "jacobi", "ssor"]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        systems = list(darcy_systems(np.random.default_rng(1), self.side, self.number))
        order = sort_greedy(np.stack([s.parameters for s in systems]))
        systems = [systems[i] for i in order]

        def system(t, previous):
            return systems[t].matrix, systems[t].rhs, None

        return {
            "task": "recycle", "count": len(systems), "system": system, "rtol": 1e-8,
            "preconditioner": self.preconditioner,
        }  # fmt: skip
