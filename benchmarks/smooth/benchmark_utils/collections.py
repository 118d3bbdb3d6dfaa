"""Collections of problems, by description; read in a process of its own."""

from benchmark_utils.processes import Worker


def cutest(least, most, every):
    """Descriptions of the problems of CUTEst without constraints that have so many unknowns.

    In the order of their names; of those every so many, from the first.
    """
    worker = Worker(_read)
    try:
        came = worker.ask((least, most), 600.0)
    finally:
        worker.stop()
    return came[0][::every]


def _read(pipe):
    from resolvent.papers.sif_problems import sif_names

    least, most = pipe.recv()
    small = set(sif_names("unconstrained", least - 1))
    names = [name for name in sif_names("unconstrained", most) if name not in small]
    pipe.send([{"name": name, "given": name} for name in names])
    pipe.recv()
