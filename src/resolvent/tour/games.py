"""Colonel Blotto's game, solved with a certificate of what either side could still gain."""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import resolvent as rs
from resolvent.tour import figures
from resolvent.tour.section import GAP, Attempt, Section, clock, sum_up

SOLDIERS, FIELDS = (10, 8), (1.0, 2.0, 3.0, 4.0)


def deployments(soldiers: int, fields: int) -> np.ndarray:
    """All ways to spread so many soldiers over the fields, shape (ways, fields)."""
    ways = combinations(range(soldiers + fields - 1), fields - 1)
    ends = np.array([(-1, *bars, soldiers + fields - 1) for bars in ways])
    return np.diff(ends, axis=1) - 1


def payoffs(first: np.ndarray, second: np.ndarray, worth: Any) -> np.ndarray:
    """What the second side wins: fields held by more soldiers count by their worth, of 1 in all."""
    ahead = np.sign(second[None, :, :] - first[:, None, :])
    return ahead @ np.asarray(worth) / np.sum(worth)


def by_linear_programs(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides' best mixtures by SciPy's HiGHS, one linear program each."""
    from scipy.optimize import linprog

    def mixture(A: np.ndarray) -> np.ndarray:
        n, m = A.shape
        found = linprog(
            np.r_[np.zeros(n), 1.0], A_ub=np.c_[A.T, -np.ones(m)], b_ub=np.zeros(m),
            A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0],
            bounds=[(0, None)] * n + [(None, None)],
        )  # fmt: skip
        return found.x[:n]

    return mixture(A), mixture(-A.T)


def blotto(
    out: Path,
    say: Callable[[str], Any],
    soldiers: tuple[int, int] = SOLDIERS,
    worth: tuple[float, ...] = FIELDS,
    repeats: int = 3,
) -> Section:
    """The stop: an equilibrium of a finite game, and what neither side can gain beyond it."""
    first, second = (deployments(number, len(worth)) for number in soldiers)
    A = payoffs(first, second, worth)
    game = rs.MatrixGame(A)
    attempts, best = [], None
    for label, method in (
        ("primal-dual, restarted", rs.inclusion.PrimalDual()),
        ("extragradient", rs.inclusion.Extragradient()),
        ("mirror prox", rs.inclusion.MirrorProx()),
    ):
        say(label)
        solve = partial(rs.solve, game, method, rtol=GAP, throw=False)
        solve()  # compiles; not timed
        sol, seconds = clock(solve, repeats)
        gap = sol.certificate.relative
        attempts.append(Attempt(label, seconds, gap, bool(sol.converged), int(sol.steps)))
        if best is None or (sol.converged and seconds < best[1]):
            best = sol, seconds
    say("SciPy")
    exact, seconds = clock(partial(by_linear_programs, A), repeats)
    certificate = rs.certify(game, exact, rtol=GAP)
    gap, holds = certificate.relative, bool(certificate.holds)
    attempts.append(Attempt("SciPy linprog, HiGHS", seconds, gap, holds, peer=True))
    assert best is not None
    sol = best[0]
    x, y = sol.x
    value = float(x @ A @ y)
    say("figures")
    return Section(
        "Colonel Blotto spreads his soldiers",
        [
            f"Two sides spread {soldiers[0]} and {soldiers[1]} soldiers over {len(worth)} fields "
            f"worth {', '.join(f'{one:g}' for one in worth)}; the larger number takes a field. In "
            f"how many ways: {len(first)} and {len(second)}. No single deployment is good, for the "
            "other side would know its answer: an equilibrium is a pair of mixtures.",
            "The certificate is a bound: neither side gains more than that, both together, by any "
            "other mixture, relative to the largest payoff. It is computed from the payoffs and "
            f"the returned mixtures alone. The stronger side wins {-value:.4f} of the worth on "
            "average more than the other.",
        ],
        attempts,
        sum_up("blotto", "Colonel Blotto's game", A.size, attempts),
        [
            (
                _marginals(out / "blotto.png", (first, second), (x, y), worth),
                "How many soldiers the equilibrium sends to each field, and how often.",
            )
        ],
    )


def _marginals(path: Path, ways: Any, mixtures: Any, worth: Any) -> Path:
    most = max(int(way.max()) for way in ways)
    figure, axes = figures.new_figure(2, width=5.6, height=4.0)
    titles = ("the stronger side", "the weaker side")
    for ax, way, mixture, title in zip(axes, ways, mixtures, titles, strict=True):
        table = np.stack([
            np.bincount(way[:, field], weights=mixture, minlength=most + 1)
            for field in range(len(worth))
        ])  # fmt: skip
        shown = ax.imshow(table.T, origin="lower", aspect="auto", cmap="viridis", vmin=0.0)
        ax.set_xticks(range(len(worth)), [f"{one:g}" for one in worth])
        ax.set(xlabel="worth of the field", ylabel="soldiers sent")
        ax.set_title(title, fontsize=12)
        figure.colorbar(shown, ax=ax, label="probability")
    return figures.save(figure, path)
