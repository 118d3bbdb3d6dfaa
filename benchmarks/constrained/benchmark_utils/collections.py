"""Collections of problems, by description; read in a process of its own."""

from benchmark_utils.processes import Worker


def cutest(kind, most, every):
    """Descriptions of problems of CUTEst: those with equations alone, or with any inequality too.

    In the order of their names; of those every so many, from the first.
    """
    worker = Worker(_read)
    try:
        came = worker.ask((kind, most), 600.0)
    finally:
        worker.stop()
    return came[0][::every]


def _read(pipe):
    import jax

    jax.config.update("jax_enable_x64", True)
    from resolvent.papers.sif_problems import sif_names, sif_problem

    kind, most = pipe.recv()
    found = []
    for name in sif_names("constrained", most):
        problem = sif_problem(name)
        alone = problem.lacks("equality_constraints_alone") is None
        alone = alone and problem.lacks("at_most_as_many_equations_as_unknowns") is None
        if alone == (kind == "equations"):
            found.append({"name": name, "from": "sif", "given": name, "equations": alone})
    pipe.send(found)
    pipe.recv()
