"""The saddle point of a quadratic program that is as hard for first-order methods as can be."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "constrained-quadratic"
    parameters = {"n": [200]}
    requirements = ["pip::resolvent"]

    def get_data(self):
        from resolvent.inclusion import constrained_quadratic

        problem = constrained_quadratic(self.n)
        M, q = (np.asarray(part) for part in (problem.F.A, problem.F.q))
        data = {
            "M": M, "q": q, "lower": -np.inf, "upper": np.inf, "lipschitz": problem.lipschitz,
            "strong": None, "unit": float(np.linalg.norm(q)),
        }  # fmt: skip
        return {"task": "affine", "data": data, "rtol": 1e-2, "limit": 8.0}
