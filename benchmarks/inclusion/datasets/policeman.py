"""The policeman and the burglar, in a row of houses."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "policeman"
    parameters = {"n": [500]}
    requirements = ["pip::resolvent"]

    def get_data(self):
        from resolvent.inclusion import policeman_and_burglar

        A = np.asarray(policeman_and_burglar(self.n).A)
        return {"task": "game", "data": {"A": A}, "rtol": 1e-3, "limit": 8.0}
