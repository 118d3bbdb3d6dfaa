"""A count of calls."""


class Tally:
    """Counts calls, from compiled code too."""

    def __init__(self):
        self.count = 0

    def add(self, *_):
        self.count += 1
