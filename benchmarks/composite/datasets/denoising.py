"""Total variation denoising of a photograph of 512 x 512 pixels."""

import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "denoising"
    parameters = {"precision": ["double", "single"], "gap": [1e-2, 1e-3]}
    requirements = ["pip::scikit-image"]

    def get_data(self):
        from skimage.data import camera

        image = camera() / 255.0
        noisy = image + 0.1 * np.random.default_rng(0).standard_normal(image.shape)
        dtype = np.float64 if self.precision == "double" else np.float32
        data = {"image": noisy.astype(dtype), "weight": 0.1}
        return {"task": "denoising", "data": data, "rtol": self.gap, "limit": 60.0}
