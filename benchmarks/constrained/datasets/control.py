"""Control problems with known answers: a membrane, and a pendulum with and without bounds."""

from benchopt import BaseDataset

SIZES = {"membrane": (3, 6, 10), "pendulum": (20, 40, 80)}


class Dataset(BaseDataset):
    name = "control"
    parameters = {"system": list(SIZES)}
    requirements = ["numpy"]

    def get_data(self):
        problems = []
        for N in SIZES[self.system]:
            for most in (None,) if self.system == "membrane" else (None, 3.0):
                given = {"N": N} if most is None else {"N": N, "most": most}
                name = f"{self.system} {N}" + ("" if most is None else ", bounds")
                problems.append({"name": name, "from": self.system, "given": given,
                                 "equations": most is None})  # fmt: skip
        return {"problems": problems, "rtol": 1e-6, "limit": 10.0}
