"""The experiments on lazy Hessians, each shared by the claims that ask for it."""

from typing import Any

import numpy as np

from resolvent.papers import Settings
from resolvent.papers import lazy_hessian_newton_data as data

VARIANTS = ("regularized", "cubic")
GAP = 1e-10
SECOND = ", second draw"


def sizes(settings: Settings) -> tuple[int, int]:
    return settings.pick((500, 50), tiny=(30, 4))


def lifetimes(settings: Settings) -> tuple[int, ...]:
    return settings.pick((1, 5, 50, 200), tiny=(1, 2, 4))


def lazy(variant: str, m: int, M: float | None = None) -> Any:
    """The method; methods of all m are one program."""
    from resolvent.smooth import LazyNewton

    return LazyNewton(variant, np.int32(m), M=M)


def fixed(settings: Settings) -> dict[Any, Any]:
    """Gaps and costs with one M for all m, by variant and m."""
    n, d = sizes(settings)
    found: dict[Any, Any] = {}
    # Claims are about m = 1 and m = d: what is between was measured once.
    for seed, name, ms in ((0, "", lifetimes(settings)), (2, SECOND, (1, d))):
        problem = data.logistic_problem(seed, n, d)
        best = data.least(problem)[1]
        for variant in settings.pick(VARIANTS, tiny=VARIANTS[:1]):
            for m in ms:
                settings.say(f"{variant}{name}, M = 0.1, m = {m}")
                one = data.run(problem, lazy(variant, m, 0.1), settings.pick(1500, tiny=60))
                found[variant + name, m] = counted(one, best, d)
    return found


def counted(one: dict[str, Any], best: float, d: int) -> dict[str, Any]:
    gaps = one["value"] - best
    steps = data.first_below(gaps, GAP)
    costs = np.arange(gaps.size) + d * one["hessians"]
    return {"steps": steps, "cost": data.cost(one, steps, d), "gaps": gaps, "costs": costs}


def adaptive(settings: Settings) -> dict[Any, Any]:
    """The same with adaptive M, and with the M that is best on other data, by kind and m."""
    n, d = sizes(settings)
    problem, other = (data.logistic_problem(seed, n, d) for seed in (0, 1))
    best, before = data.least(problem)[1], data.least(other)[1]
    steps = settings.pick(1500, tiny=60)
    # From Newton's method itself up to steps that are far too short.
    grid = settings.pick((0.0, *(10.0 ** np.arange(-12, 1))), tiny=(0.0, 1e-2, 1.0))
    found: dict[Any, Any] = {}
    for m in lifetimes(settings):
        settings.say(f"adaptive, and the best M, m = {m}")
        one = data.run(problem, lazy("adaptive", m, 1.0), steps)
        found["adaptive", m] = counted(one, best, d)
        costs = [
            counted(data.run(other, lazy("regularized", m, M), steps), before, d)["cost"]
            for M in grid
        ]
        # Costs are level towards zero: of the best ones the largest.
        chosen = max(M for M, cost in zip(grid, costs, strict=True) if cost == min(costs))
        one = data.run(problem, lazy("regularized", m, chosen), steps)
        found["tuned", m] = {**counted(one, best, d), "M": chosen}
    return found


def theory(settings: Settings) -> dict[Any, Any]:
    """Gaps with the constants of the theory, by variant and m."""
    n, d = sizes(settings)
    problem = data.logistic_problem(0, n, d)
    best, L = data.least(problem)[1], problem.hessian_lipschitz
    found: dict[Any, Any] = {}
    for variant in settings.pick(VARIANTS, tiny=VARIANTS[:1]):
        for m in settings.pick((1, 50, 200), tiny=(1, 2)):
            settings.say(f"{variant}, M of the theory, m = {m}")
            M = (6.0 if variant == "cubic" else 3.0) * m * L
            one = data.run(problem, lazy(variant, m, M), settings.pick(3000, tiny=60))
            gaps = one["value"] - best
            k = np.arange(1, gaps.size)
            found[variant, m] = {
                "gaps": gaps, "falls": bool((np.diff(one["value"]) <= 1e-14).all()),
                "constant": float((gaps[1:] * k**2).max() / (m * L)),
            }  # fmt: skip
    return found


def nonconvex(settings: Settings) -> dict[int, Any]:
    """Steps and least eigenvalues at both ends, by m."""
    import jax
    import jax.numpy as jnp

    n, d = settings.pick((200, 20), tiny=(30, 4))
    problem = data.robust_problem(0, n, d)
    found = {}
    for m in settings.pick((1, 4, 16, 64), tiny=(1, 4)):
        settings.say(f"residuals that hardly count, m = {m}")
        M = 6.0 * m * problem.hessian_lipschitz
        one = data.run(problem, lazy("cubic", m, M), settings.pick(4000, tiny=200))
        with jax.enable_x64(True):
            hessian = problem.prepare("traced").hessian
            ends = [
                float(np.linalg.eigvalsh(hessian(jnp.asarray(one["x"][k])))[0]) for k in (0, -1)
            ]
        found[m] = {"steps": data.first_below(one["gradient"], 1e-5), "ends": ends,
                    "gradients": one["gradient"]}  # fmt: skip
    return found


def orders(settings: Settings) -> dict[int, Any]:
    """Distances before and gradients after one cycle, and gradients after three, by m."""
    n, d = sizes(settings)
    problem = data.logistic_problem(0, n, d)
    x = data.least(problem)[0]
    away = 0.05 * 0.5 ** np.arange(5)
    found = {}
    for m in settings.pick((1, 2, 3), tiny=(1, 2)):
        settings.say(f"orders, m = {m}")
        runs = [data.run(problem.but(first=x + t), lazy("newton", m), 9)["gradient"] for t in away]
        found[m] = {
            "before": away * d**0.5, "after": np.array([run[m] for run in runs]),
            "cycles": runs[0][m : 3 * m + 1 : m],
        }  # fmt: skip
    return found


def clock(settings: Settings) -> dict[Any, Any]:
    """Seconds of warm solves by function and method; infinite without the target."""
    n, d = settings.pick((1000, 200), tiny=(30, 4))
    problems = {
        "logistic": data.logistic_problem(0, n, d), "log-sum-exp": data.largest_problem(0, n, d),
    }  # fmt: skip
    methods = {f"m = {m}": lazy("adaptive", m) for m in settings.pick((1, 5, 20), tiny=(1, 2))}
    found = {}
    for name, problem in problems.items():
        settings.say(f"by the clock: {name}")
        raced = data.raced(problem, {**methods, **data.gradient_methods()})
        found |= {(name, label): one for label, one in raced.items()}
    return found
