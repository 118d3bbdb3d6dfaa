"""Control of a field on grids of up to 128 x 128 points, 49,152 unknowns and multipliers."""

from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "grid"
    parameters = {"field": ["linear", "cubic"]}
    requirements = ["numpy"]

    def get_data(self):
        cubic = {"linear": 0.0, "cubic": 1.0}[self.field]
        problems = [
            {"name": f"{self.field} {N}", "from": "grid", "given": {"N": N, "cubic": cubic},
             "equations": True}
            for N in (16, 32, 64, 128)
        ]  # fmt: skip
        return {"problems": problems, "rtol": 1e-6, "limit": 60.0}
