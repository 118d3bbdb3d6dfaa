"""The brightness of two photographs of scikit-image, moved onto each other."""

from benchmark_utils.pairs import grid, histogram, pairwise
from benchopt import BaseDataset
from skimage import data, transform


class Dataset(BaseDataset):
    name = "photographs"
    parameters = {
        "side, epsilon": [(32, 1e-3), (64, 1e-4)],
        "cost": ["sqeuclidean", "l1"],
    }
    requirements = ["numpy", "scikit-image"]

    def get_data(self):
        a, b = (
            histogram(transform.resize(picture / 255.0, (self.side, self.side), anti_aliasing=True))
            for picture in (data.camera(), data.coins())
        )
        points = grid(self.side)
        cost = pairwise(points, points, self.cost)
        return {
            "task": "solve", "data": {"cost": cost / cost.max(), "a": a, "b": b},
            "epsilon": self.epsilon, "rtol": 1e-9, "limit": 8.0 if self.side < 64 else 15.0,
        }  # fmt: skip
