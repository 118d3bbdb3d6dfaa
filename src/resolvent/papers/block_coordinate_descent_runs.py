"""The experiments on block coordinate descent, each shared by the claims that ask for it."""

from typing import Any

import numpy as np

from resolvent.papers import Settings
from resolvent.papers.block_coordinate_descent_data import (
    identified,
    lattice,
    regression,
    run,
    two_moons,
)

FIXED = ("random", "cyclic", "gs", "gsl", "gsd", "gsq")
VARIABLE = ("random", "cyclic", "gs", "gsd")
KINDS = ("general", "red-black", "combs", "random forests", "greedy forests")
UPDATES = {"proximal Newton": "newton", "two-metric": "two-metric", "gradient": "gradient"}
_SEEDS = 5
RULES = {
    "all": ("order", "cyclic"), "cyclic": ("order", "cyclic"), "random": ("order", "random"),
    "greedy": ("order", "gsl"),
}  # fmt: skip


def made(*args: Any, **options: Any) -> Any:
    from resolvent.composite import BlockCoordinateDescent

    return BlockCoordinateDescent(*args, **options)


def filled(values: Any, length: int) -> Any:
    """A curve that stays where it ended."""
    return np.append(values, np.full(max(0, length - len(values)), values[-1]))[:length]


def _least_squares(settings: Settings, seed: int) -> Any:
    import scipy.sparse

    from resolvent import GeneralizedLinear

    n, p = settings.pick((200, 1000), full=(1000, 10_000), tiny=(40, 80))
    A, b = regression(n, p, seed)
    return GeneralizedLinear(scipy.sparse.csc_array(A) if settings.full else A, b), n


def _curves(settings: Settings, configurations: tuple[tuple[str, ...], ...]) -> dict[Any, Any]:
    """Objectives [seeds, steps] of least squares, by partition, rule, update and diagonal."""
    steps = settings.pick(300, full=500, tiny=12)
    found: dict[Any, list[Any]] = {key: [] for key in configurations}
    for seed in range(settings.pick(_SEEDS, tiny=1)):
        problem, n = _least_squares(settings, seed)
        for key in configurations:
            settings.say(f"least squares, seed {seed}: {', '.join(key)}")
            partition, rule, update, diagonal = key
            method = made(partition, rule, update, block_size=5, diagonal=diagonal)
            values = n * run(problem, method, steps, seed).values
            found[key].append(filled(values, steps + 1))
    return {key: np.array(curves) for key, curves in found.items()}


def by_gradient(settings: Settings) -> dict[Any, Any]:
    fixed = tuple(("sort", rule, "gradient", "lipschitz") for rule in FIXED)
    free = tuple(("variable", rule, "gradient", "lipschitz") for rule in VARIABLE)
    return _curves(settings, (*fixed, *free, ("variable", "gsd", "gradient", "rows")))


def by_matrix(settings: Settings) -> dict[Any, Any]:
    fixed = tuple(("sort", rule, "matrix", "lipschitz") for rule in FIXED[2:])
    free = tuple(("variable", rule, "matrix", "lipschitz") for rule in ("gs", "gsd", "gsq"))
    return _curves(settings, (*fixed, *free))


def partitions(settings: Settings) -> dict[str, Any]:
    """Curves by partition, and the means of their constants."""
    from resolvent.composite.blocks.models import model_of
    from resolvent.composite.blocks.partitions import Blocks

    names = ("sort", "average", "order", "hsort", "havg")
    curves = _curves(settings, tuple((name, "gsl", "gradient", "lipschitz") for name in names))
    means: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(settings.pick(_SEEDS, tiny=1)):
        problem, n = _least_squares(settings, seed)
        model = model_of(problem)
        for name in names:
            blocks = Blocks.made(name, 5, model)
            means[name].append(n * float(blocks.largest.mean()))
    return {"curves": {key[0]: values for key, values in curves.items()}, "means": means}


def lattices(settings: Settings) -> dict[str, dict[str, Any]]:
    """Relative gaps [seeds, steps] on lattices, and on graphs of two moons."""
    import scipy.sparse.linalg

    from resolvent.composite import Quadratic, lattice_combs

    side = settings.pick(30, full=50, tiny=8)
    steps = settings.pick(100, full=500, tiny=12)
    found: dict[str, dict[str, list[Any]]] = {"lattice": {}, "moons": {}}
    for seed in range(settings.pick(_SEEDS, tiny=1)):
        square = lattice(side, side, side * side // 22, seed)
        moons = two_moons(settings.pick(2000, tiny=100), settings.pick(100, tiny=10), seed)
        for graph, system in (("lattice", square), ("moons", moons)):
            problem = Quadratic(system.A, system.b)
            best = scipy.sparse.linalg.spsolve(system.A, system.b)
            least = float(problem.smooth(best))
            for kind in KINDS:
                settings.say(f"{graph}, seed {seed}: {kind}")
                method = _on_graph(kind, graph, system, side, lattice_combs)
                values = filled(run(problem, method, steps, seed).values, steps + 1)
                gaps = np.maximum(values - least, 0.0) / (values[0] - least)
                found[graph].setdefault(kind, []).append(gaps)
    return {
        graph: {kind: np.array(gaps) for kind, gaps in own.items()} for graph, own in found.items()
    }


def _on_graph(kind: str, graph: str, system: Any, side: int, combs: Any) -> Any:
    if kind == "general":
        return made("variable", "gs", "matrix")
    if kind == "random forests":
        return made("forest", "random", "matrix")
    if kind == "greedy forests":
        return made("forest", "gs", "matrix")
    if graph == "moons":
        return made("coloring" if kind == "red-black" else "tree", "gs", "matrix")
    if kind == "red-black":
        first = np.flatnonzero((system.free // side + system.free % side) % 2 == 0)
    else:
        first = np.flatnonzero(np.isin(system.free, combs(side, side)[0]))
    rest = np.setdiff1d(np.arange(system.free.size), first)
    return made("given", "gs", "matrix", blocks=(first, rest))


def sparse_answers(settings: Settings) -> dict[str, Any]:
    """Relative gaps and changes of support with x >= 0, by partition, update and block size."""
    n, p = settings.pick((200, 1000), full=(1000, 10_000), tiny=(40, 80))
    steps = settings.pick(200, full=500, tiny=4)
    cases = [
        (partition, name, size) for partition in ("variable", "sort") for name in UPDATES
        for size in ((5, 50, 100) if partition == "variable" else (5, 100))
    ]  # fmt: skip
    cases.append(("variable", "proximal Newton", 400))
    found: dict[str, Any] = {"small": {}, "large": {}, "supports": {"small": [], "large": []}}
    for seed in range(settings.pick(_SEEDS, tiny=1)):
        A, b = regression(n, p, seed)
        most = float((A.T @ b).max())
        for weight, share in (("small", 0.005), ("large", 0.3)):
            problem, least, alive = _nonnegative(A, b, share * most)
            found["supports"][weight].append(alive)
            chosen = cases if weight == "small" else [
                ("variable", name, size) for name in UPDATES for size in (5, 50)]  # fmt: skip
            for case in chosen:
                settings.say(f"x >= 0, {weight} penalty, seed {seed}: {', '.join(map(str, case))}")
                partition, name, size = case
                method = made(
                    partition, "gsd", UPDATES[name], block_size=min(size, p)
                )  # fmt: skip
                scale = abs(least + 0.5 * float(b @ b))
                one = run(problem, method, steps, seed, least + 1e-13 * scale)
                gaps = np.maximum(one.values - least, 0.0) / scale
                found[weight].setdefault(case, []).append((gaps, one.rests))
    return found


def _nonnegative(A: Any, b: Any, weight: float) -> tuple[Any, float, int]:
    """0.5 ||Ax - b||^2 + weight sum(x) for x >= 0, less 0.5 ||b||^2; its least value, its support.

    Where x is not negative the l1 norm is linear. The answer comes from steps on all unknowns.
    """
    from resolvent import solve
    from resolvent.composite import Quadratic
    from resolvent.functions import Nonnegative

    problem = Quadratic(A.T @ A, A.T @ b - weight, Nonnegative())
    method = made("variable", "gsd", "newton", block_size=A.shape[1])
    x = solve(problem, method, rtol=1e-11, max_steps=50).x
    return problem, float(problem.smooth(x)), int(np.count_nonzero(x))


def active_sets(settings: Settings) -> dict[str, list[tuple[int, float]]]:
    """Steps to the active set and their bounds, by rule."""
    from resolvent import GeneralizedLinear, solve
    from resolvent.composite import identification_bound
    from resolvent.functions import L1

    n, p = settings.pick((200, 60), tiny=(60, 8))
    found: dict[str, list[tuple[int, float]]] = {rule: [] for rule in RULES}
    for seed in range(settings.pick(_SEEDS, full=50, tiny=1)):
        rng = np.random.default_rng([seed, 22])
        X = rng.standard_normal((n, p))
        w = rng.standard_normal(p) * (rng.random(p) < 0.2)
        y = X @ w + 0.5 * rng.standard_normal(n)
        bar = 0.1 * float(np.abs(X.T @ y).max()) / n
        problem = GeneralizedLinear(X, y, penalty=L1(bar))
        newton = made("variable", "gsd", "newton", block_size=p)
        answer = solve(problem, newton, rtol=1e-13, max_steps=50).x
        for rule, (partition, selection) in RULES.items():
            settings.say(f"active sets, seed {seed}: {rule}")
            size = p if rule == "all" else 1
            bound = identification_bound(problem, answer, rule=rule, block_size=size)
            method = made(partition, selection, "gradient", block_size=size)
            limit = int(min(bound.steps, settings.pick(3000, tiny=300))) + 2 * p
            found[rule].append((identified(problem, method, answer, limit, seed), bound.steps))
    return found
