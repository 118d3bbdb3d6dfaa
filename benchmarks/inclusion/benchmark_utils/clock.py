"""Seconds of a solve: the median of several where one is quick."""

import time

import numpy as np

QUICK, MOST = 1.0, 9  # seconds up to which a solve is repeated, and how many times it is done


def timed(solve):
    """What a function without arguments returns, and its seconds."""
    begin = time.perf_counter()
    found = solve()
    times = [time.perf_counter() - begin]
    while sum(times) < QUICK and len(times) < MOST:
        begin = time.perf_counter()
        found = solve()
        times.append(time.perf_counter() - begin)
    return found, float(np.median(times))
