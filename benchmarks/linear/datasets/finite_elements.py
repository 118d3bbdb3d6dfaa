"""Linear finite elements of the Laplacian on a jittered Delaunay mesh of the unit square."""

import numpy as np
import scipy.sparse as sparse
from benchopt import BaseDataset
from scipy.spatial import Delaunay


class Dataset(BaseDataset):
    name = "finite-elements"
    parameters = {"side": [317]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        n = self.side
        rng = np.random.default_rng(0)
        grid = np.stack(np.meshgrid(*[np.linspace(0, 1, n)] * 2, indexing="ij"), -1).reshape(-1, 2)
        inside = ((grid > 1e-9) & (grid < 1 - 1e-9)).all(axis=1)
        grid[inside] += rng.uniform(-0.3, 0.3, (inside.sum(), 2)) / (n - 1)
        triangles = Delaunay(grid).simplices
        p = grid[triangles]
        edges = p[:, [2, 0, 1]] - p[:, [1, 2, 0]]
        area = 0.5 * np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0])
        keep = area > 1e-14
        local = (
            np.einsum("eid,ejd->eij", edges[keep], edges[keep]) / (4 * area[keep])[:, None, None]
        )
        rows = np.repeat(triangles[keep], 3, axis=1).ravel()
        columns = np.tile(triangles[keep], (1, 3)).ravel()
        K = sparse.coo_array((local.ravel(), (rows, columns)), shape=(n * n, n * n)).tocsr()
        A = K[inside][:, inside].tocsr()
        A = ((A + A.T) * 0.5).tocsr()
        b = np.full(A.shape[0], 1.0 / n**2)
        return {"task": "solve", "count": 1, "system": lambda t, x: (A, b, None), "rtol": 1e-8}
