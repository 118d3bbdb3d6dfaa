"""Newton's method over the length of a sequence: iterations, errors, seconds and failures."""

import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from resolvent.papers import Claim, Measured, Paper, Settings, judge, new_figure

PAPER = Paper(
    name="deer",
    title="Parallelizing Non-Linear Sequential Models over the Sequence Length",
    authors="Y. H. Lim, Q. Zhu, J. Selfridge, M. F. Kasim",
    year=2024,
    venue="ICLR",
    arxiv="2309.12252",
    family="fixed_point",
    methods=("DEER", "QuasiDEER"),
    summary="""
    A recurrence y_t = f(y_{t-1}, x_t) is solved for all t at once by Newton's method, whose linear
    recurrences are solved by an associative scan (DEER).

    Each iteration linearizes f at the old values in parallel, and multiplies the Jacobians by a
    scan of depth O(log T). Iterations converge quadratically, and where the recurrence contracts
    their number hardly depends on T, so that a GPU evaluates long sequences orders of magnitude
    faster than step by step. Gradients cost one more scan, backwards.
    """,
    claims=(
        Claim(
            1,
            "Few Newton iterations, independent of the length, give the sequential output of a "
            "GRU, in up to a thousandth of the time.",
            "At most about 20 iterations. Speed-ups on GPUs (the authors' logs): one unit, T = "
            "1e5: 690 to 950 times; T = 1e4: 136 to 342 times; demonstration on a V100, batch 16, "
            "T = 1e4: 68 times, maximal deviation 2.4e-7. An earlier measurement of n = 2, 8, 16 "
            "and T = 1e3, 1e4: 5 iterations to 1e-15, errors 2e-1, 2e-3, 6e-7, 2e-14, 3e-16; "
            "Jacobi 40 to 55 sweeps; on two CPU cores an iteration takes 0.6 to 7 times as long as "
            "the whole sequential scan",
            "Units n = 2, 8, 16, T = 1e3 and 1e4, float64: a largest defect of 1e-12 in at most 10 "
            "iterations, their number the same for both lengths to within one, fewer than Jacobi "
            "sweeps by a factor of 5; deviation from sequential values at most 1e-12; errors "
            "squared from one iteration to the next, up to a factor of 10; less time than the "
            "sequential scan, on the machine at hand, for some n and T.",
        ),
        Claim(
            2,
            "The largest Lyapunov exponent decides: where the recurrence expands, Newton's "
            "iteration fails, and Jacobi's does not.",
            "An earlier measurement, n = 8, T = 1e3: weights times 4: 9 iterations; times 10: "
            "error above 1e3 after 200 iterations, Jacobi exact after 368 sweeps",
            "Weights times 1 to 16, three seeds: the plain iteration reaches 1e-10 within 50 "
            "iterations wherever the exponent is below -0.02, and nowhere within 200 where it is "
            "above 0.02; Jacobi sweeps reach it everywhere; so does the method of this library, "
            "which pins exact stages and falls back.",
            "measured before",
        ),
    ),
    snippet="""
    import jax, jax.numpy as jnp, resolvent as rs
    from resolvent.fixed_point import DEER, Recurrence

    def cell(y, x, W):
        return jnp.tanh(W @ y + x)

    inputs = jax.random.normal(jax.random.key(0), (1000, 4))
    problem = Recurrence(cell, inputs, jnp.zeros(4), 0.4 * jnp.eye(4))
    sol = rs.solve(problem, DEER(), rtol=1e-5)
    print(sol.steps, sol.certificate)
    """,
    notes="No GPU was at hand: the published speed-ups are neither confirmed nor refuted, and on "
    "the CPU that measured this page Newton's method is slower than the sequential scan, which "
    "the table says. The GRU is PyTorch's, with weights uniform in +-1/sqrt(n) and n inputs from "
    "N(0, 1). The method of this library differs from the published iteration in two ways: stages "
    "behind an exact one take their own value, so that every iteration makes one more stage "
    "exact, and after 50 iterations without progress the rest is evaluated sequentially. Claim 2 "
    "runs the published iteration. Training on the EigenWorms series is not measured.",
)

ITERATIONS = 200


def _gru(seed: int, n: int, gain: float = 1.0) -> Any:
    """Weights of a GRU with n units and n inputs."""
    rng = np.random.default_rng(seed)
    bound = gain / np.sqrt(n)
    shapes = (3, n, n), (3, n, n), (3, n), (3, n)
    return tuple(rng.uniform(-bound, bound, shape) for shape in shapes)


def _cell(h: Any, x: Any, args: Any) -> Any:
    import jax
    import jax.numpy as jnp

    W, U, b, c = args
    inner = U @ h + c
    r, z = jax.nn.sigmoid(W[:2] @ x + b[:2] + inner[:2])
    proposal = jnp.tanh(W[2] @ x + b[2] + r * inner[2])
    return (1 - z) * proposal + z * h


def _problem(seed: int, n: int, length: int, gain: float = 1.0) -> Any:
    from resolvent.fixed_point import Recurrence

    X = np.random.default_rng([seed, 1]).standard_normal((length, n))
    return Recurrence(_cell, X, np.zeros(n), _gru(seed, n, gain))


def _scan(problem: Any) -> Any:
    import jax

    def one(h: Any, x: Any) -> Any:
        h = _cell(h, x, problem.args)
        return h, h

    return jax.lax.scan(one, problem.first, problem.inputs)[1]


class Run(NamedTuple):
    """One GRU: iterations, sweeps, errors by iteration, and seconds.

    Attributes:
        iterations: of Newton's method to a largest defect of 1e-12.
        sweeps: of Jacobi's iteration to the same.
        errors: largest deviation from sequential values after each iteration, 0 at first.
        deviation: of what the solve returned.
        solve: seconds of the whole solve by Newton's method.
        step: seconds of one iteration.
        scan: seconds of the sequential scan.
    """

    iterations: int
    sweeps: int
    errors: np.ndarray
    deviation: float
    solve: float
    step: float
    scan: float


def _run(settings: Settings, n: int, length: int) -> Run:
    import jax

    import resolvent as rs
    from resolvent._core.memory import Memory
    from resolvent.fixed_point import DEER, JacobiSweeps

    settings.say(f"GRU, {n} units, {length} steps")
    problem = _problem(0, n, length)
    sol = rs.solve(problem, DEER(), rtol=1e-12)
    sweeps = rs.solve(problem, JacobiSweeps(), rtol=1e-12).steps
    with jax.enable_x64(True):
        ready, method = problem.prepare("traced"), DEER()
        scan = jax.jit(lambda X: _scan(ready.but(inputs=X)))
        step = jax.jit(partial(method.step, ready))
        truth = np.asarray(scan(ready.inputs))
        state = method.init(ready, ready.start(None), Memory(), None)
        errors = [float(np.abs(np.asarray(state.s) - truth).max())]
        for _ in range(int(sol.steps) + 1):
            state = step(state)
            errors.append(float(np.abs(np.asarray(state.s) - truth).max()))
        repeats = settings.pick(7, tiny=2)
        times = [
            _fastest(run, repeats)
            for run in (
                lambda: jax.block_until_ready(step(state)),
                lambda: jax.block_until_ready(scan(ready.inputs)),
            )
        ]
    whole = _fastest(lambda: rs.solve(problem, DEER(), rtol=1e-12), repeats)
    deviation = float(np.abs(sol.x - truth).max())
    return Run(int(sol.steps), int(sweeps), np.array(errors), deviation, whole, *times)


def _fastest(run: Any, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _runs(settings: Settings) -> dict[tuple[int, int], Run]:
    sizes = settings.pick((2, 8, 16), tiny=(2,))
    lengths = settings.pick((1000, 10_000), full=(1000, 10_000, 100_000), tiny=(30, 60))
    return {(n, length): _run(settings, n, length) for n in sizes for length in lengths}


def _is_quadratic(errors: np.ndarray) -> bool:
    """Whether each error below 0.1 is followed by its square or by rounding."""
    last, following = errors[:-1], errors[1:]
    fine = following <= np.maximum(10 * last**2, 1e-14)
    return bool(fine[last < 0.1].all())


def claim_1(settings: Settings) -> Measured:
    """Iterations, errors and seconds of GRUs."""
    runs = settings.once(_runs)
    counts: dict[int, list[int]] = {}
    for (n, _), run in runs.items():
        counts.setdefault(n, []).append(run.iterations)
    steps = np.array([run.step / run.scan for run in runs.values()])
    solves = np.array([run.solve / run.scan for run in runs.values()])
    checks = {
        "at most 10 iterations": all(run.iterations <= 10 for run in runs.values()),
        "the same number for each length, to within one": all(
            max(row) - min(row) <= 1 for row in counts.values()
        ),
        "5 times fewer than Jacobi sweeps": all(
            5 * run.iterations <= run.sweeps for run in runs.values()
        ),
        "sequential values to 1e-12": all(run.deviation <= 1e-12 for run in runs.values()),
        "errors squared at each iteration": all(_is_quadratic(run.errors) for run in runs.values()),
        "less time than the sequential scan": bool((solves < 1).any()),
    }
    rows = [
        f"n = {n}, T = {length}: {run.iterations} iterations ({run.sweeps} Jacobi sweeps), "
        f"deviation {run.deviation:.0e}, solve {1e3 * run.solve:.1f} ms, scan "
        f"{1e3 * run.scan:.2f} ms"
        for (n, length), run in runs.items()
    ]
    first = next(iter(runs.values()))
    errors = ", ".join(f"{error:.0e}" for error in first.errors[1 : first.iterations + 1])
    return judge(
        checks,
        "; ".join(rows) + f". Errors by iteration, first row: {errors}. On this CPU an iteration "
        f"takes {steps.min():.1f} to {steps.max():.1f} times as long as the whole scan, a solve "
        f"{solves.min():.1f} to {solves.max():.0f} times",
        figure=_first_figure(runs),
        numbers={f"{n}, {length}": run._asdict() for (n, length), run in runs.items()},
        remark="the time of the claim is a GPU's, which was not at hand: a CPU gains nothing "
        "from depth O(log T), and pays for the Jacobians and their products",
    )


def _first_figure(runs: dict[tuple[int, int], Run]) -> Any:
    figure, axes = new_figure(2)
    longest = max(length for _, length in runs)
    sizes = sorted({n for n, _ in runs})
    for i, n in enumerate(sizes):
        for length in sorted({length for _, length in runs}):
            run = runs[n, length]
            axes[0].semilogy(
                np.maximum(run.errors, 1e-17), "o-" if length == longest else "s:", color=f"C{i}",
                markersize=4, label=f"n = {n}, T = {length}",
            )  # fmt: skip
    axes[0].set(
        xlabel="Newton iterations", ylabel="largest error", title="quadratic, whatever the length"
    )
    axes[0].legend(frameon=False, fontsize=8)
    keys = list(runs)
    places = np.arange(len(keys))
    for shift, values, label in (
        (-0.27, [run.scan for run in runs.values()], "sequential scan"),
        (0.0, [run.step for run in runs.values()], "one Newton iteration"),
        (0.27, [run.solve for run in runs.values()], "solve by Newton"),
    ):
        axes[1].bar(places + shift, 1e3 * np.array(values), 0.27, label=label)
    axes[1].set_yscale("log")
    axes[1].set_xticks(places, [f"{n}\n{length}" for n, length in keys], fontsize=8)
    axes[1].set(xlabel="n, T", ylabel="milliseconds", title="on a CPU: no gain")
    axes[1].legend(frameon=False, fontsize=8)
    return figure


# Lyapunov exponents


class Trial(NamedTuple):
    """One GRU with larger weights: who gets where.

    Attributes:
        exponent: its largest Lyapunov exponent along the sequence, a step.
        plain: iterations of the published method to an error of 1e-10; more than ITERATIONS for
            never.
        error: of the published method after its last iteration.
        sweeps: of Jacobi's iteration to the same error.
        ours: whether this library's method ended at the sequential values.
        stages: evaluated sequentially by it.
    """

    exponent: float
    plain: int
    error: float
    sweeps: int
    ours: bool
    stages: int


def _trial(settings: Settings, seed: int, gain: float) -> Trial:
    import jax
    import jax.numpy as jnp

    import resolvent as rs
    from resolvent.fixed_point import DEER, JacobiSweeps

    n, length = 8, settings.pick(1000, tiny=30)
    problem = _problem(seed, n, length, gain)
    with jax.enable_x64(True):
        ready = problem.prepare("traced")
        truth = jax.jit(lambda X: _scan(ready.but(inputs=X)))(ready.inputs)
        plain, error = _published(ready, truth)
        _, slopes = ready.linearized(truth)

        def along(v: Any, A: Any) -> Any:
            v = A @ v
            size = jnp.linalg.norm(v)
            return v / size, jnp.log(size)

        start = jnp.ones(n) / np.sqrt(n)
        exponent = float(jax.lax.scan(along, start, slopes)[1].mean())
    sweeps = rs.solve(problem, JacobiSweeps(), rtol=1e-11)
    near = np.abs(sweeps.x - np.asarray(truth)).max() <= 1e-10
    sol = rs.solve(problem, DEER(), rtol=1e-11, throw=False)
    ours = bool(np.abs(sol.x - np.asarray(truth)).max() <= 1e-10)
    return Trial(
        exponent, plain, error, int(sweeps.steps) if near else length + 1, ours,
        int(sol.calls["stage"]),
    )  # fmt: skip


def _published(problem: Any, truth: Any) -> tuple[int, float]:
    """The published iteration from y_0: iterations to an error of 1e-10, and the last error."""
    import jax
    import jax.numpy as jnp

    from resolvent.fixed_point.linear_recurrence import by_scan

    @jax.jit
    def step(y: Any) -> Any:
        image, J = problem.linearized(y)
        before = jnp.concatenate([problem.first[None], y[:-1]])
        r = image - jnp.einsum("tij,tj->ti", J, before)
        r = r.at[0].add(J[0] @ problem.first)
        y = by_scan(J.at[0].set(0.0), r)
        return jnp.clip(jnp.where(jnp.isfinite(y), y, 0.0), -1e8, 1e8)

    y = problem.start(None)
    error = float("inf")
    for k in range(1, ITERATIONS + 1):
        y = step(y)
        error = float(abs(y - truth).max())
        if error <= 1e-10:
            return k, error
    return ITERATIONS + 1, error


def _trials(settings: Settings) -> dict[tuple[float, int], Trial]:
    gains = settings.pick((1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0), tiny=(1.0, 16.0))
    found = {}
    for gain in gains:
        settings.say(f"weights times {gain:g}")
        for seed in range(settings.pick(3, tiny=1)):
            found[gain, seed] = _trial(settings, seed, gain)
    return found


def claim_2(settings: Settings) -> Measured:
    """The published iteration where the recurrence contracts, and where it expands."""
    trials = settings.once(_trials)
    calm = [trial for trial in trials.values() if trial.exponent < -0.02]
    wild = [trial for trial in trials.values() if trial.exponent > 0.02]
    checks = {
        "converges in 50 iterations wherever it contracts": bool(calm)
        and all(trial.plain <= 50 for trial in calm),
        "fails wherever it expands": bool(wild) and all(trial.plain > ITERATIONS for trial in wild),
        "Jacobi sweeps succeed everywhere": all(
            trial.sweeps <= settings.pick(1000, tiny=30) for trial in trials.values()
        ),
        "so does the method with pinned stages and a way back": all(
            trial.ours for trial in trials.values()
        ),
    }
    words = []
    for gain in sorted({gain for gain, _ in trials}):
        rows = [trial for (one, _), trial in trials.items() if one == gain]
        plain = ", ".join(
            str(row.plain) if row.plain <= ITERATIONS else f"never ({row.error:.0e})"
            for row in rows
        )
        exponents = ", ".join(f"{row.exponent:.2f}" for row in rows)
        sweeps = ", ".join(str(row.sweeps) for row in rows)
        words.append(
            f"times {gain:g}: exponents {exponents}, iterations {plain}, Jacobi sweeps {sweeps}"
        )
    return judge(
        checks,
        "; ".join(words),
        figure=_second_figure(trials),
        numbers={f"{gain:g}, {seed}": trial._asdict() for (gain, seed), trial in trials.items()},
        remark=f"{len(calm)} sequences contract, {len(wild)} expand, the others are in between",
    )


def _second_figure(trials: dict[tuple[float, int], Trial]) -> Any:
    figure, axis = new_figure()
    exponents = np.array([trial.exponent for trial in trials.values()])
    plain = np.array([trial.plain for trial in trials.values()])
    failed = plain > ITERATIONS
    axis.semilogy(exponents[~failed], plain[~failed], "o", label="Newton, as published")
    axis.semilogy(exponents[failed], plain[failed], "x", color="C3", label="Newton, never")
    sweeps = [trial.sweeps for trial in trials.values()]
    axis.semilogy(exponents, sweeps, "s", color="C2", markersize=4, label="Jacobi sweeps")
    axis.axvline(0.0, color="0.35", linestyle="--", linewidth=1)
    axis.set(
        xlabel="largest Lyapunov exponent", ylabel="iterations to an error of 1e-10",
        title="where products of Jacobians grow, Newton fails",
    )  # fmt: skip
    axis.legend(frameon=False)
    return figure
