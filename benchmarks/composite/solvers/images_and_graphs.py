"""scikit-image's Chambolle on images; SciPy's conjugate gradients and PyAMG on graphs."""

from benchmark_utils.isolated import Isolated

METHODS = {"denoising": ("chambolle",), "labels": ("cg", "pyamg")}
FIRST, MOST = 10, 20_000  # iterations of Chambolle's method, a tenth more until they suffice


class Solver(Isolated):
    name = "scientific"
    parameters = {"method": ["chambolle", "cg", "pyamg"]}
    requirements = ["pip::scikit-image", "pip::pyamg", "scipy"]
    file = __file__

    def chosen(self):
        return {"method": self.method}

    def able(self):
        return [task for task, methods in METHODS.items() if self.method in methods]


def prepare(method, task, data, rtol):
    """A function that solves."""
    if task == "denoising":
        return _chambolle(data, rtol)
    return _labels(method, data, rtol)


def _chambolle(data, rtol):
    from benchmark_utils.images import denoising_gap
    from skimage.restoration import denoise_tv_chambolle

    def run(steps):
        return denoise_tv_chambolle(
            data["image"], weight=data["weight"], eps=0.0, max_num_iter=steps
        )  # fmt: skip

    # It has no gap to stop on: the number of its iterations that suffices is found beforehand.
    steps = FIRST
    while denoising_gap(data, run(steps)) > rtol and steps < MOST:
        steps += max(steps // 10, 1)
    return lambda: {"x": run(steps), "claimed": True, "steps": steps}


def _labels(method, data, rtol):
    import pyamg
    from scipy.sparse.linalg import cg

    A, b = data["A"], data["b"]

    def by_cg():
        steps = []
        x, failed = cg(A, b, rtol=rtol, atol=0.0, callback=steps.append, maxiter=100_000)
        return {"x": x, "claimed": failed == 0, "steps": len(steps)}

    def by_pyamg():
        steps = []
        solver = pyamg.smoothed_aggregation_solver(A)
        # Its tolerance is one of preconditioned residuals.
        x = solver.solve(b, tol=0.1 * rtol, accel="cg", residuals=steps)
        return {"x": x, "claimed": True, "steps": len(steps) - 1}

    return by_cg if method == "cg" else by_pyamg
