"""PyAMG's airfoil: a finite-element matrix on an unstructured mesh."""

import numpy as np
import pyamg
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "airfoil"
    requirements = ["numpy", "pyamg"]

    def get_data(self):
        A = pyamg.gallery.load_example("airfoil")["A"].tocsr()
        b = A @ np.ones(A.shape[0])
        return {"task": "solve", "count": 1, "system": lambda t, x: (A, b, None), "rtol": 1e-8}
