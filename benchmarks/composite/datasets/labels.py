"""Label propagation on a lattice and on two moons: sparse positive definite systems."""

import numpy as np
import scipy.sparse
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "labels"
    parameters = {"graph": ["lattice", "moons"]}
    requirements = ["numpy", "scipy", "pip::scikit-learn"]

    def get_data(self):
        rng = np.random.default_rng(0)
        W = _lattice(50) if self.graph == "lattice" else _moons(2000)
        n = W.shape[0]
        known = rng.choice(n, 100, replace=False)
        labels = 10.0 * rng.standard_normal(100)
        rest = np.setdiff1d(np.arange(n), known)
        laplacian = scipy.sparse.diags(np.asarray(W.sum(axis=1)).ravel()) - W
        A = laplacian[rest][:, rest].tocsr()
        b = np.asarray(W[rest][:, known] @ labels).ravel()
        return {"task": "labels", "data": {"A": A, "b": b}, "rtol": 1e-6, "limit": 60.0}


def _lattice(side):
    path = scipy.sparse.diags([np.ones(side - 1)] * 2, [-1, 1])
    eye = scipy.sparse.identity(side)
    return (scipy.sparse.kron(path, eye) + scipy.sparse.kron(eye, path)).tocsr()


def _moons(n):
    from sklearn.datasets import make_moons
    from sklearn.neighbors import kneighbors_graph

    points, _ = make_moons(n, noise=0.1, random_state=0)
    W = kneighbors_graph(points, 5)
    return W.maximum(W.T).tocsr()
