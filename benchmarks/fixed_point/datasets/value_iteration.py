"""Value iteration of a random Markov decision process.

With `successors` of 0 a move may lead to every state, and the transitions are a dense tensor.
"""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "value-iteration"
    parameters = {"states": [1000], "actions": [4], "successors": [0, 5], "discount": [0.99]}
    requirements = ["numpy"]

    def get_data(self):
        rng = np.random.default_rng(0)
        shape = self.actions, self.states
        R, start = rng.random(shape), np.zeros(self.states)
        discount = np.array(self.discount)
        chances = rng.exponential(size=(*shape, self.successors or self.states))
        chances /= chances.sum(-1, keepdims=True)
        args, kind = (chances, R, discount), "bellman"
        if self.successors:
            states = rng.integers(self.states, size=(*shape, self.successors))
            args, kind = (states, chances, R, discount), "sparse-bellman"
        return {"kind": kind, "start": start, "args": args, "rtol": 1e-8, "limit": 8.0}
