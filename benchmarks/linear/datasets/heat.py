"""A heat equation whose conductivity changes with time: one system a step, each on the last."""

from benchopt import BaseDataset

from resolvent.papers.heat import HeatEquation


class Dataset(BaseDataset):
    name = "heat-equation"
    parameters = {"side": [100], "steps": [1000]}
    requirements = ["numpy", "scipy"]

    def get_data(self):
        simulation = HeatEquation(self.side, 5000)
        begin = simulation.u.copy()
        # Steps spread over the whole time would not follow on each other: take the first period,
        # in which the conductivity goes through its whole range.
        count = self.steps

        def system(t, previous):
            simulation.done = t
            simulation.u = begin if previous is None else previous
            return simulation.next_system()

        return {
            "task": "march", "count": count, "system": system, "rtol": 1e-8,
            "largest": simulation.largest, "start": begin,
        }  # fmt: skip
