"""The referee's process: the norm of the gradient over that at the start, in double precision."""

import numpy as np


def measured(here, x):
    """The gradient's norm over that at the start, infinite where there is none, and f."""
    value, slope = here.slope(x)
    size = float(np.linalg.norm(slope)) / here.unit
    return size if size <= np.inf else np.inf, value


def referee(pipe):
    """Gets problems and answers, and keeps its compiled functions."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from benchmark_utils.oracles import Oracles, built

    known = {}
    while True:
        problem, x, _ = pipe.recv()
        if problem["name"] not in known:
            known[problem["name"]] = Oracles(built(problem))
        size, value = measured(known[problem["name"]], x)
        pipe.send((size, 0.0, value))
