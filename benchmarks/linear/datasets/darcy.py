"""A sequence of Darcy flow systems with random permeability fields, sorted by similarity."""

import numpy as np
from benchopt import BaseDataset

from resolvent.linear import sort_greedy
from resolvent.papers.krylov_recycling_data import darcy_systems


class Dataset(BaseDataset):
    name = "darcy-sequence"
    # The long sequence is for our own methods; the short ones are for the peers as well.
    parameters = {
        "side, number, preconditioner": [
            (104, 200, "none"),
            (104, 40, "none"),
            (104, 40, "jacobi"),
            (104, 40, "ssor"),
        ]
    }
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
