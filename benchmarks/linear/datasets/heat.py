"""A heat equation whose conductivity changes with time: one system a step, each on the last."""

from benchopt import BaseDataset

from resolvent.papers.heat import HeatEquation


class Dataset(BaseDataset):
    name = "heat-equation"
    parameters = {"side": [100], "steps": [5000]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        simulation = HeatEquation(self.side, 5000)
        begin = simulation.u.copy()
        count = self.steps  # 5000 is the whole time; 1000 is one period of the conductivity

        def system(t, previous):
            simulation.done = t
            simulation.u = begin if previous is None else previous
            return simulation.next_system()

        return {
            "task": "march", "count": count, "system": system, "rtol": 1e-8,
            "largest": simulation.largest, "start": begin,
        }  # fmt: skip
