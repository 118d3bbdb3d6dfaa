"""Two matrices of PyAMG's gallery: finite elements around an airfoil, and local DG."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import resolvent as rs
from resolvent.tour import figures, peers
from resolvent.tour.section import RTOL, Attempt, Section, clock, sum_up

Say = Callable[[str], Any]

PEERS: dict[str, peers.Solver] = {
    "SciPy CG": peers.scipy_cg,
    "PyAMG CG": peers.pyamg_cg,
    "PyAMG multigrid CG": peers.pyamg_multigrid,
}


class Assembled(NamedTuple):
    """A gallery problem: the system, and the mesh that its solution is drawn on."""

    matrix: Any
    system: rs.LinearSystem
    vertices: Any
    elements: Any


def contenders() -> dict[str, Any]:
    """Our methods for one symmetric positive definite matrix, by label."""
    return {
        "CG": rs.linear.CG(),
        "CG with Jacobi": rs.linear.CG(preconditioner=rs.linear.JacobiPreconditioner()),
        "CG with SSOR": rs.linear.CG(preconditioner=rs.linear.SSORPreconditioner()),
        "CG with multigrid": rs.linear.CG(preconditioner=rs.linear.AlgebraicMultigrid()),
    }


def airfoil_system() -> Assembled:
    """-Laplace u = 1 around an airfoil, u = 0 on all borders: linear finite elements."""
    from pyamg.gallery import load_example

    data = load_example("airfoil")
    vertices, elements = data["vertices"], data["elements"].astype(int)
    corners = vertices[elements]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = 0.5 * np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    load = np.zeros(len(vertices))
    np.add.at(load, elements, areas[:, None] / 3.0)
    # The matrix holds the inner vertices, which come first in the list.
    size = data["A"].shape[0]
    A = data["A"].tocsr()
    return Assembled(A, rs.LinearSystem(A, load[:size]), vertices, elements)


def local_dg_system() -> Assembled:
    """Diffusion by local discontinuous Galerkin elements of degree 5, with a known solution."""
    from pyamg.gallery import load_example

    data = load_example("local_disc_galerkin_diffusion")
    vertices = data["vertices"]
    A = data["A"].tocsr()
    # The file's two triangles differ in the last digits: the matrix is meant to be symmetric.
    A = 0.5 * (A + A.T)
    known = np.sin(np.pi * vertices[:, 0]) * np.sin(np.pi * vertices[:, 1])
    elements = data["elements"].astype(int)
    return Assembled(A, rs.LinearSystem(A, A @ known), vertices, elements)


def race(
    system: rs.LinearSystem, say: Say, repeats: int = 7
) -> tuple[list[Attempt], dict[str, Any]]:
    """Solve one system with our methods and with the peers, all to the same certificate.

    Args:
        system: symmetric positive definite.
        say: told what is running.
        repeats: how often each is run after a first run that is not timed.

    Returns:
        The attempts, and our solutions by label.
    """
    attempts, solutions = [], {}
    for label, method in contenders().items():
        say(label)
        solution = rs.solve(system, method, rtol=RTOL, throw=False, key=0)
        _, seconds = clock(
            lambda method=method: rs.solve(system, method, rtol=RTOL, throw=False, key=0), repeats
        )
        solutions[label] = solution
        attempts.append(
            Attempt(label, seconds, solution.measure, bool(solution.converged), solution.steps)
        )
    for label, solver in PEERS.items():
        say(label)
        attempts.append(peers.certified(label, solver, system, RTOL, repeats=repeats)[0])
    return attempts, solutions


def _section(
    name: str,
    title: str,
    problem: str,
    paragraphs: Sequence[str],
    found: Assembled,
    out: Path,
    say: Say,
    draw: Callable[[Any, Path], Path],
    caption: str,
) -> Section:
    system = found.system
    attempts, solutions = race(system, say)
    say("figures")
    history = peers.scipy_cg_history(found.matrix, system.b, RTOL)
    plot = figures.convergence(
        out / f"{name}-convergence.png", list(solutions.values()), list(solutions),
        {"SciPy CG": history},
    )  # fmt: skip
    best = min(solutions.values(), key=lambda one: one.measure)
    return Section(
        title, paragraphs, attempts, sum_up(name, problem, system.n, attempts),
        [
            (plot, "Relative residual against the iterations; a dot ends each run."),
            (draw(best.x, out / f"{name}-solution.png"), caption),
        ],
    )  # fmt: skip


def airfoil(out: Path, say: Say) -> Section:
    """The stop: a Poisson problem on an unstructured mesh around an airfoil."""
    found = airfoil_system()

    def draw(x: Any, path: Path) -> Path:
        values = np.zeros(len(found.vertices))
        values[: len(x)] = x
        wing = (-0.5, 1.5, -0.8, 0.8)
        return figures.on_mesh(path, found.vertices, found.elements, values, "u", wing)

    return _section(
        "airfoil", "Poisson equation around an airfoil", "Poisson, airfoil mesh",
        [
            "Linear finite elements on the airfoil mesh of PyAMG's gallery: -Laplace u = 1, with "
            "u = 0 on the airfoil and on the outer border. The matrix is symmetric positive "
            "definite and small: what is measured here is mostly what a call costs.",
        ],
        found, out, say, draw, "The solution on the mesh, and a closer look at the airfoil.",
    )  # fmt: skip


def local_dg(out: Path, say: Say) -> Section:
    """The stop: diffusion by local discontinuous Galerkin elements."""
    found = local_dg_system()

    def draw(x: Any, path: Path) -> Path:
        from matplotlib.tri import Triangulation

        # Each element has nodes of its own: it is triangulated by itself.
        pieces = [
            nodes[Triangulation(*found.vertices[nodes].T).triangles] for nodes in found.elements
        ]
        return figures.on_mesh(path, found.vertices, np.concatenate(pieces), x, "u")

    return _section(
        "local-dg", "Diffusion by local discontinuous Galerkin elements",
        "diffusion, local DG of degree 5",
        [
            "The local DG matrix of PyAMG's gallery: 46 elements of degree 5 with 21 unknowns "
            "each, coupled by fluxes. The right-hand side belongs to the known solution "
            "sin(pi x) sin(pi y). Dense blocks and a large condition number make this harder than "
            "its size suggests.",
        ],
        found, out, say, draw, "The solution, drawn on the nodes of every element.",
    )  # fmt: skip
