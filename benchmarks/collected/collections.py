"""Collections of problems of CUTEst, by description; read in a process of its own."""

from benchmark_utils.processes import SETUP, Worker

# Those of the released runs of exact augmented Lagrangians with sketching (arXiv:2305.18379) that
# sif2jax has: 35 of 47.
SKETCHING = """HS6 BT5 BT9 HS28 BT10 HIMMELBA BT12 HS40 BT3 BT6 BT11 HS7 HS51 SINVALNE BOOTH HS52
HS47 HS48 HS50 HS77 TRIGON1NE HS78 HS56 HELIXNE HS42 HS79 ORTHREGB GOTTFR HIMMELBE DENSCHNCNE
DENSCHNFNE HIMMELBC INTEQNE MANCINONE BT2"""


def cutest(kind, most, every):
    """Descriptions of the problems of a kind up to so many unknowns, in the order of names.

    "unconstrained", "bounded" for bounds alone, "equations" for an objective and equations alone,
    "mixed" for any inequality too. Of those every so many, from the first.
    """
    return _asked((kind, most))[::every]


def sketching():
    """Descriptions of the problems of the released runs."""
    return [{**_described(name, True), "sketched": True} for name in SKETCHING.split()]


def _described(name, equations, bounded=False):
    return {
        "name": name, "from": "sif", "given": name, "equations": equations, "bounded": bounded,
    }  # fmt: skip


def _asked(message):
    worker = Worker(_read)
    try:
        return worker.ask(message, SETUP)[0]
    finally:
        worker.stop()


def _read(pipe):
    import jax

    jax.config.update("jax_enable_x64", True)
    from resolvent.papers.sif_problems import sif_names, sif_problem

    kind, most = pipe.recv()
    group = "constrained" if kind in ("equations", "mixed") else kind
    found = []
    for name in sif_names(group, most):
        alone = False
        if group == "constrained":
            problem = sif_problem(name)
            alone = problem.lacks("equality_constraints_alone") is None
            alone = alone and problem.lacks("at_most_as_many_equations_as_unknowns") is None
        if group == kind or alone == (kind == "equations"):
            found.append(_described(name, alone, group == "bounded"))
    pipe.send(found)
    pipe.recv()
