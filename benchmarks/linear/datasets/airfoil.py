"""PyAMG's airfoil: a finite-element matrix on an unstructured mesh."""

from benchopt import BaseDataset
from benchopt.utils import safe_import_context

with safe_import_context() as import_ctx:
    import numpy as np
    import pyamg


class Dataset(BaseDataset):
    name = "airfoil"
    requirements = ["numpy", "pyamg"]

    def get_data(self):
        A = pyamg.gallery.load_example("airfoil")["A"].tocsr()
        b = A @ np.ones(A.shape[0])
        return {"task": "solve", "count": 1, "system": lambda t, x: (A, b, None), "rtol": 1e-8}
