"""Systems of the Krylov recycling experiments: Darcy flow and Helmholtz on a unit square.

Every generator takes a `numpy.random.Generator`, so a seed gives the same systems everywhere.
Matrices are SciPy CSR, right-hand sides and parameter fields NumPy arrays.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse


class ParametricSystem(NamedTuple):
    """A x = b with the parameters that generated it."""

    matrix: scipy.sparse.csr_matrix
    rhs: np.ndarray
    parameters: np.ndarray
    wave_number: float = 0.0


def gaussian_field(rng: np.random.Generator, side: int) -> np.ndarray:
    """A zero-mean periodic Gaussian field with covariance (4 pi^2 |q|^2 + 49)^-2.5.

    Args:
        rng: source of the white noise.
        side: grid points per direction.

    Returns:
        Field of shape (side, side), scaled by sigma = 7^1.5.
    """
    frequencies = np.fft.fftfreq(side, 1.0 / side)
    squared = frequencies[:, None] ** 2 + frequencies[None, :] ** 2
    amplitude = side**2 * np.sqrt(2.0) * 7.0**1.5 * (4.0 * np.pi**2 * squared + 49.0) ** -1.25
    amplitude[0, 0] = 0.0
    noise = rng.standard_normal((side, side)) + 1j * rng.standard_normal((side, side))
    return np.fft.ifft2(amplitude * noise).real


def darcy_matrix(coefficient: np.ndarray) -> scipy.sparse.csr_matrix:
    """Conservative five-point -div(a grad u), times h^2, with zero boundary values.

    Args:
        coefficient: a > 0 on the whole grid, shape (s, s).

    Returns:
        Symmetric positive definite CSR matrix over the (s - 2)^2 interior points; faces carry
        the arithmetic mean of the two points beside them.
    """
    side = coefficient.shape[0] - 2
    center = coefficient[1:-1, 1:-1]
    north = 0.5 * (center + coefficient[:-2, 1:-1])
    south = 0.5 * (center + coefficient[2:, 1:-1])
    west = 0.5 * (center + coefficient[1:-1, :-2])
    east = 0.5 * (center + coefficient[1:-1, 2:])
    return _five_point(side, north + south + west + east, -north, -south, -west, -east)


def darcy_matrix_official(coefficient: np.ndarray) -> scipy.sparse.csr_matrix:
    """The nonsymmetric variant whose rows carry the neighbours' a: -Lap(a u), times h^2.

    Args:
        coefficient: a > 0 on the whole grid, shape (s, s).
    """
    side = coefficient.shape[0] - 2
    return _five_point(
        side,
        4.0 * coefficient[1:-1, 1:-1],
        -coefficient[:-2, 1:-1],
        -coefficient[2:, 1:-1],
        -coefficient[1:-1, :-2],
        -coefficient[1:-1, 2:],
    )


def _five_point(side, center, north, south, west, east) -> scipy.sparse.csr_matrix:
    index = np.arange(side * side).reshape(side, side)
    rows, columns, values = [index.ravel()], [index.ravel()], [center.ravel()]
    for mine, theirs, value in (
        (np.s_[1:, :], np.s_[:-1, :], north),
        (np.s_[:-1, :], np.s_[1:, :], south),
        (np.s_[:, 1:], np.s_[:, :-1], west),
        (np.s_[:, :-1], np.s_[:, 1:], east),
    ):
        rows.append(index[mine].ravel())
        columns.append(index[theirs].ravel())
        values.append(value[mine].ravel())
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_matrix(entries, shape=(side * side, side * side))


def darcy_systems(
    rng: np.random.Generator, side: int, count: int, official: bool = False
) -> list[ParametricSystem]:
    """Darcy systems with independent log-normal coefficients, right-hand side h^2.

    Args:
        rng: source of the fields.
        side: grid points per direction; (side - 2)^2 unknowns.
        count: number of systems.
        official: rows carry the neighbours' a (nonsymmetric) instead of face means.
    """
    return [_darcy(np.exp(gaussian_field(rng, side)), official) for _ in range(count)]


def _darcy(coefficient: np.ndarray, official: bool = False) -> ParametricSystem:
    side = coefficient.shape[0]
    matrix = darcy_matrix_official(coefficient) if official else darcy_matrix(coefficient)
    return ParametricSystem(matrix, np.full(matrix.shape[0], (side - 1.0) ** -2), coefficient)


def darcy_family(rng: np.random.Generator, side: int, count: int) -> list[ParametricSystem]:
    """Darcy systems with a = exp(t1 g1 + t2 g2), t uniform in [-1, 1]^2, g1 and g2 fixed fields."""
    first, second = gaussian_field(rng, side), gaussian_field(rng, side)
    weights = rng.uniform(-1.0, 1.0, (count, 2))
    return [_darcy(np.exp(t1 * first + t2 * second)) for t1, t2 in weights]


def darcy_time_series(
    rng: np.random.Generator, side: int, count: int, correlation: float = 0.99
) -> list[ParametricSystem]:
    """Darcy systems whose log-coefficient is a stationary AR(1) chain of Gaussian fields.

    Args:
        rng: source of the fields.
        side: grid points per direction.
        count: number of systems, in time order.
        correlation: of a field with the next one.
    """
    field = gaussian_field(rng, side)
    systems = [_darcy(np.exp(field))]
    for _ in range(count - 1):
        field = correlation * field + np.sqrt(1.0 - correlation**2) * gaussian_field(rng, side)
        systems.append(_darcy(np.exp(field)))
    return systems


def helmholtz_systems(
    rng: np.random.Generator, side: int, count: int, lowest: float = 5.0, highest: float = 15.0
) -> list[ParametricSystem]:
    """Systems -div(a grad u) - kappa^2 u = 1, times h^2: symmetric and, in general, indefinite.

    Args:
        rng: source of the fields and wave numbers.
        side: grid points per direction.
        count: number of systems.
        lowest: smallest wave number.
        highest: largest wave number; kappa is uniform between them.
    """
    systems = []
    for _ in range(count):
        system = _darcy(np.exp(gaussian_field(rng, side)))
        kappa = float(rng.uniform(lowest, highest))
        shift = kappa**2 * (side - 1.0) ** -2
        matrix = system.matrix - shift * scipy.sparse.identity(system.rhs.shape[0], format="csr")
        systems.append(system._replace(matrix=matrix.tocsr(), wave_number=kappa))
    return systems
