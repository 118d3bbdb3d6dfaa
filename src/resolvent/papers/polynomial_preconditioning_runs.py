"""The experiments on polynomial preconditioning, each shared by the claims that ask for it."""

from typing import Any, NamedTuple

import numpy as np

from resolvent.papers import Settings

DEGREES = (0, 1, 2, 3, 4)
TOPS = (30, 300, 3000)
RIDGE = 1e-3
KINDS = {"krylov": "krylov", "fixed": "gradient", "searched": "gradient", "fast": "fast"}
COUNTS = ("gradients", "values", "products")  # each counted as one product
STEEPEST = 0.25 + RIDGE  # the largest curvature of the regularized logistic loss, in units of B


class Quadratic(NamedTuple):
    """One line of the table: steps until f <= 1e-8 f(0), by method."""

    condition: float
    gradient: int
    fast: int
    krylov: int


def spectrum(top: float, n: int) -> Any:
    return np.array([top, top / 2, top / 4, *np.linspace(3.0, 1.0, n - 3)])


def preconditioned(eigenvalues: Any, degree: int) -> Any:
    """The eigenvalues of P B, from the preconditioner itself on the diagonal matrix."""
    from resolvent.linear.polynomial import PolynomialPreconditioner
    from resolvent.linear.problem import LinearSystem

    problem = LinearSystem(np.diag(eigenvalues), np.ones(len(eigenvalues)))
    return eigenvalues * PolynomialPreconditioner(degree).setup(problem).apply(problem.b)


def _until_small(problem: Any, method: Any, answer: Any, limit: int) -> tuple[int, list[float]]:
    """Steps until f <= 1e-8 f(0), with f the half energy of the error, and f at every step."""
    from resolvent import Memory

    prepared = problem.prepare("host")
    bound = method.bind(prepared)
    advance = getattr(bound, "advance", None)
    state = bound.init(prepared, np.zeros_like(answer), Memory(), None)
    values: list[float] = []
    for step in range(limit + 1):
        error = answer - bound.iterate(prepared, state)[0]
        values.append(0.5 * float(error @ problem.operator.mv(error)))
        if values[-1] <= 1e-8 * values[0]:
            return step, values
        if advance is None:
            state = bound.step(prepared, state)
        else:
            state, _ = advance(prepared, state, 1, 0.0)
    return limit + 1, values


def quadratics(settings: Settings) -> dict[str, Any]:
    from resolvent.linear.cg import CG
    from resolvent.linear.krylov_gradient import KrylovGradient
    from resolvent.linear.polynomial_gradient import PolynomialGradient
    from resolvent.linear.problem import LinearSystem

    n, limit = settings.pick(60, tiny=12), settings.pick(20_000, tiny=300)
    table: dict[int, list[Quadratic]] = {}
    curves: dict[str, tuple[Any, Any]] = {}
    cg: dict[int, int] = {}
    for top in TOPS:
        settings.say(f"quadratic problems, top eigenvalue {top}")
        eigenvalues = spectrum(top, n)
        rng = np.random.default_rng(0)
        Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
        answer = rng.standard_normal(n)
        B = (Q * eigenvalues) @ Q.T
        B = (B + B.T) / 2
        problem = LinearSystem(B, B @ answer)
        cg[top], values = _until_small(problem, CG(), answer, limit)
        _remember_curve(curves, top, "CG", values, 1)
        rows = []
        for degree in DEGREES:
            inside = preconditioned(eigenvalues, degree)
            largest, smallest = float(inside.max()), float(inside.min())
            methods = {
                "gradient": PolynomialGradient(degree, largest=largest),
                "fast": PolynomialGradient(
                    degree, accelerated=True, largest=largest, smallest=smallest
                ),
                "krylov": KrylovGradient(degree),
            }
            steps = {}
            for name, method in methods.items():
                steps[name], values = _until_small(problem, method, answer, limit)
                if degree in (0, 3):
                    label = {"gradient": "gradient", "fast": "fast gradient", "krylov": "Krylov"}
                    _remember_curve(
                        curves, top, f"{label[name]}, degree {degree}", values, degree + 1
                    )
            rows.append(Quadratic(largest / smallest, **steps))
        table[top] = rows
    return {"table": table, "curves": curves, "cg": cg, "limit": limit}


def _remember_curve(
    curves: dict[str, tuple[Any, Any]], top: int, label: str, values: list[float], products: int
) -> None:
    if top == TOPS[-1]:
        curves[label] = (products * np.arange(len(values)), np.array(values) / values[0])


def _logistic(x: Any, args: Any) -> Any:
    """sum log(1 + exp(-y_i a_i^T x)) + ridge / 2 x^T B x with B = A^T A; `args`: y_i a_i, and B."""
    import jax.numpy as jnp

    D, B = args
    return jnp.logaddexp(0.0, -(D @ x)).sum() + 0.5 * RIDGE * (x @ (B @ x))


def _logistic_problem(settings: Settings) -> tuple[Any, Any]:
    """The regression from zero, and B."""
    from resolvent import Minimize

    m, n = settings.pick((500, 60), tiny=(80, 12))
    rng = np.random.default_rng(0)
    singular = np.array([300.0, 150.0, 60.0, *np.linspace(3.0, 1.0, n - 3)])
    U, _ = np.linalg.qr(rng.standard_normal((m, n)))
    V, _ = np.linalg.qr(rng.standard_normal((n, n)))
    A = (U * singular) @ V.T
    labels = np.sign(A @ rng.standard_normal(n))
    B = A.T @ A
    problem = Minimize(_logistic, (labels[:, None] * A, B), x0=np.zeros(n), convex=True)
    return problem, 0.5 * (B + B.T)


def _least(problem: Any) -> float:
    """The least value, from Newton's method with exact line search."""
    from resolvent.papers import _stepwise
    from resolvent.smooth import DampedNewton

    return float(_stepwise.run(problem, DampedNewton("greedy"), 60, ("value",))["value"].min())


def logistic_race(settings: Settings) -> dict[str, Any]:
    """Steps until f - f* <= 1e-8 from zero, for each variant and degree."""
    from resolvent.papers import _stepwise
    from resolvent.smooth import PolynomialGradient

    limit = settings.pick(20_000, tiny=100)
    problem, B = _logistic_problem(settings)
    least = _least(problem)
    eigenvalues = np.linalg.eigvalsh(B)
    found: dict[str, Any] = {"limit": limit, "curves": {}, "cost": {}}
    found["lbfgs"] = _lbfgs(problem, least)
    for kind, variant in KINDS.items():
        found[kind] = {}
        # Beyond the limit of the earlier run, so that what is slower has a cost, too.
        most = 4 * limit if kind == "fixed" else limit
        for degree in DEGREES:
            settings.say(f"logistic problem, {kind}, degree {degree}")
            largest = STEEPEST
            if variant != "krylov":
                largest *= float(preconditioned(eigenvalues, degree).max())
            known = None if kind == "searched" else largest
            method = PolynomialGradient(degree, variant, curvature=B, largest=known)
            one = _stepwise.run(problem, method, most, ("value", *COUNTS))
            gaps, cost = one["value"] - least, np.sum([one[name] for name in COUNTS], axis=0)
            there = np.flatnonzero(gaps <= 1e-8)
            steps = int(there[0]) if there.size else most + 1
            found[kind][degree] = steps
            found["cost"][kind, degree] = float(cost[steps]) if there.size else np.inf
            found["curves"][kind, degree] = cost[: steps + 1], gaps[: steps + 1]
    return found


def _lbfgs(problem: Any, least: float) -> int | None:
    """Gradients that SciPy's L-BFGS takes to the same accuracy, or None if it ends before."""
    from scipy.optimize import minimize
    from scipy.special import expit

    D, B = problem.args
    best = [np.inf, 0.0]

    def both(x: Any) -> tuple[float, Any]:
        margin, image = D @ x, B @ x
        value = float(np.logaddexp(0, -margin).sum() + 0.5 * RIDGE * x @ image)
        if best[0] - least > 1e-8:
            best[:] = [min(best[0], value), best[1] + 1]
        return value, RIDGE * image - expit(-margin) @ D

    minimize(
        both, np.zeros(B.shape[0]), jac=True, method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 50_000, "ftol": 0.0, "gtol": 0.0},
    )  # fmt: skip
    return int(best[1]) if best[0] - least <= 1e-8 else None
