"""optimistix: quasi-Newton methods and conjugate gradients, one compiled program each."""

from benchmark_utils.collected import Collected


class Solver(Collected):
    name = "optimistix"
    parameters = {"method": ["BFGS", "LBFGS", "NonlinearCG"]}
    requirements = ["pip::optimistix", "pip::resolvent"]
    file = __file__

    def chosen(self):
        return {"method": self.method}


def prepare(problem, rtol, limit, method):
    """A function that solves."""
    import equinox as eqx
    import numpy as np
    import optimistix
    from benchmark_utils.oracles import built

    program = built(problem)
    # It ends where x and f change no more; where they change so little gradients mostly are small.
    solver = getattr(optimistix, method)(rtol=1e-9, atol=1e-9)

    @eqx.filter_jit
    def run(x0, args):
        return optimistix.minimise(
            lambda x, a: program.f(x, a), solver, x0, args, max_steps=100_000, throw=False
        )  # fmt: skip

    x0 = np.array(program.first)

    def solve():
        found = run(x0, program.args)
        return {
            "x": np.asarray(found.value), "steps": int(found.stats["num_steps"]),
            # It says that x and f change no more, which is no claim about the gradient.
            "claimed": False, "evaluations": int(found.stats["num_steps"]),
            "said": str(found.result),
        }  # fmt: skip

    run.lower(x0, program.args).compile()
    return solve
