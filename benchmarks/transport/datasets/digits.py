"""Two handwritten digits of scikit-learn, enlarged to 28 x 28 pixels, moved onto each other."""

from benchmark_utils.pairs import grid, histogram, pairwise
from benchopt import BaseDataset
from scipy.ndimage import zoom
from sklearn.datasets import load_digits


class Dataset(BaseDataset):
    name = "digits"
    parameters = {"cost": ["sqeuclidean", "l1"], "epsilon": [1e-2, 1e-3, 1e-4]}
    requirements = ["numpy", "scipy", "scikit-learn"]

    def get_data(self):
        images = load_digits().images
        a, b = (histogram(zoom(images[i] / 16.0, 3.5, order=1)) for i in (11, 12))
        points = grid(28)
        cost = pairwise(points, points, self.cost)
        return {
            "task": "solve", "data": {"cost": cost / cost.max(), "a": a, "b": b},
            "epsilon": self.epsilon, "rtol": 1e-9, "limit": 8.0,
        }  # fmt: skip
