"""Closed-form analysis of SOR and SSOR-CG: what a relaxation parameter should cost.

Throughout, A is symmetric positive definite, D its diagonal, L its strictly lower part, and the
residuals of SOR evolve by C = I - A (D / omega + L)^-1. Functions of numbers accept arrays and
broadcast. The functions of a dense matrix are for analysis: they cost O(n^3).
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg


class Spectrum(NamedTuple):
    """The numbers that the bounds need.

    Attributes:
        jacobi: beta, the spectral radius of I - D^-1 A.
        coupling: spectral radius of D^-1 L D^-1 L^T.
        condition: spectral condition number of A.
        mu: largest eigenvalue of D A^-1.
        nu: largest eigenvalue of (L D^-1 L^T - D / 4) A^-1.
    """

    jacobi: float
    coupling: float
    condition: float
    mu: float
    nu: float


def grid_jacobi_radius(shift, side: int):
    """Return the Jacobi spectral radius of the shifted five-point Laplacian.

    For A = (4 + shift) on the diagonal and -1 for each neighbour on a side x side grid with zero
    boundary values, beta = 4 cos(pi / (side + 1)) / (4 + shift).

    Args:
        shift: multiple of the identity added to the Laplacian, above -4; a number or an array.
        side: number of interior grid points along one side.

    Returns:
        beta, of the shape of `shift`; below one exactly when A is positive definite.

    Raises:
        ValueError: `side` is less than one or a shift is not above -4.

    Cost:
        O(1) a value.

    Guarantee:
        Exact.

    Example:
        >>> from resolvent.papers.relaxation_theory import grid_jacobi_radius
        >>> round(float(grid_jacobi_radius(0.0, 10)), 6)
        0.959493

    Reference:
        D. M. Young (1971), "Iterative Solution of Large Linear Systems", Academic Press.
    """
    if side < 1:
        raise ValueError(f"side is {side}: a grid needs at least one interior point a side.")
    shift = np.asarray(shift, dtype=float)
    if not np.all(shift > -4.0):
        raise ValueError("shift must be above -4, where the diagonal of the matrix vanishes.")
    return 4.0 * np.cos(np.pi / (side + 1)) / (4.0 + shift)


def omega_star(beta):
    """Return the relaxation parameter that minimises the spectral radius of SOR.

    omega* = 1 + (beta / (1 + sqrt(1 - beta^2)))^2.

    Args:
        beta: Jacobi spectral radius, in [0, 1); a number or an array.

    Returns:
        omega*, in [1, 2), of the shape of `beta`.

    Raises:
        ValueError: a beta lies outside [0, 1).

    Cost:
        O(1) a value.

    Guarantee:
        Optimal for consistently ordered matrices whose Jacobi matrix has real eigenvalues.

    Example:
        >>> from resolvent.papers.relaxation_theory import omega_star
        >>> float(omega_star(0.8))
        1.25

    Reference:
        D. M. Young (1971), "Iterative Solution of Large Linear Systems", Academic Press.
    """
    beta = _checked_beta(beta)
    return 1.0 + (beta / (1.0 + np.sqrt(1.0 - beta * beta))) ** 2


def sor_radius(beta, omega):
    """Return the spectral radius of the SOR iteration.

    omega - 1 from omega* on, and (omega beta + sqrt(omega^2 beta^2 - 4 (omega - 1)))^2 / 4 below.

    Args:
        beta: Jacobi spectral radius, in [0, 1); a number or an array.
        omega: relaxation parameter, in (0, 2); a number or an array.

    Returns:
        rho(C), broadcast over both arguments.

    Raises:
        ValueError: a beta lies outside [0, 1) or an omega outside (0, 2).

    Cost:
        O(1) a value.

    Guarantee:
        Exact for consistently ordered matrices whose Jacobi matrix has real eigenvalues.

    Example:
        >>> from resolvent.papers.relaxation_theory import sor_radius
        >>> round(float(sor_radius(0.8, 1.0)), 12), float(sor_radius(0.8, 1.5))
        (0.64, 0.5)

    Reference:
        D. M. Young (1971), "Iterative Solution of Large Linear Systems", Academic Press.
    """
    beta, omega = _checked_beta(beta), _checked_omega(omega)
    discriminant = np.maximum((omega * beta) ** 2 - 4.0 * (omega - 1.0), 0.0)
    below = 0.25 * (omega * beta + np.sqrt(discriminant)) ** 2
    return np.where(omega < omega_star(beta), below, omega - 1.0)


def near_asymptotic_steps(beta, omega, tau, tolerance):
    """Return the near-asymptotic bound on the number of SOR sweeps.

    U(omega) = 1 + log(tolerance) / log(rho + tau (1 - rho)), rho the spectral radius of SOR.

    Args:
        beta: Jacobi spectral radius, in [0, 1).
        omega: relaxation parameter, in (0, 2).
        tau: asymptocity, in [0, 1); see `asymptocity`.
        tolerance: target of ||r|| / ||r_0||, in (0, 1).

    Returns:
        The bound in sweeps, broadcast over the arguments.

    Raises:
        ValueError: an argument lies outside its range.

    Cost:
        O(1) a value.

    Guarantee:
        An upper bound wherever ||C^k||^(1/k) <= rho + tau (1 - rho) at the last k before
        convergence, for a consistently ordered matrix.

    Example:
        >>> from resolvent.papers.relaxation_theory import near_asymptotic_steps
        >>> round(float(near_asymptotic_steps(0.8, 1.5, 0.0, 1e-8)), 1)
        27.6

    Reference:
        M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar (2024), "Learning to Relax: Setting Solver
        Parameters Across a Sequence of Linear System Instances", arXiv 2310.02246.
    """
    _check_tolerance(tolerance)
    tau = np.asarray(tau, dtype=float)
    if not np.all((tau >= 0.0) & (tau < 1.0)):
        raise ValueError("tau must lie in [0, 1): measure it with asymptocity.")
    radius = sor_radius(beta, omega)
    with np.errstate(divide="ignore"):
        return 1.0 + np.log(tolerance) / np.log(radius + tau * (1.0 - radius))


def energy_norm_steps(beta, omega, coupling, condition, tolerance):
    """Return the energy-norm bound on the number of SOR sweeps.

    log(tolerance / (2 sqrt(condition))) / log ||C||_A, where with W = (2 - omega) / (2 omega) and
    g = 1 - beta, ||C||_A^2 <= 1 - 2 W g / (W^2 + g / omega + h), with h = coupling - 1/4 if that
    is positive and h = g (coupling - 1/4) / (1 + beta) if not: the bound rests on h D <= h A / g,
    which for a negative h needs the largest eigenvalue of D^-1 A in the place of the smallest.
    The form printed for learning to relax has coupling - 1/4 in both cases, which fails, for
    example, on a 10 x 10 grid at omega = 1.9.

    Args:
        beta: Jacobi spectral radius, in [0, 1).
        omega: relaxation parameter, in (0, 2).
        coupling: spectral radius of D^-1 L D^-1 L^T.
        condition: spectral condition number of A, at least one.
        tolerance: target of ||r|| / ||r_0||, in (0, 1).

    Returns:
        The bound in sweeps, broadcast over the arguments.

    Raises:
        ValueError: an argument lies outside its range.

    Cost:
        O(1) a value.

    Guarantee:
        An upper bound for every symmetric positive definite matrix, usually a loose one.

    Example:
        >>> from resolvent.papers.relaxation_theory import energy_norm_steps
        >>> bool(energy_norm_steps(0.8, 1.25, 0.16, 9.0, 1e-8) > 20)
        True

    Reference:
        W. Hackbusch (2016), "Iterative Solution of Large Sparse Systems of Equations", second
        edition, Springer; M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar (2024), "Learning to
        Relax", arXiv 2310.02246.
    """
    _check_tolerance(tolerance)
    beta, omega = _checked_beta(beta), _checked_omega(omega)
    width = (2.0 - omega) / (2.0 * omega)
    gap = 1.0 - beta
    surplus = np.asarray(coupling, dtype=float) - 0.25
    surplus = np.where(surplus > 0.0, surplus, surplus * gap / (1.0 + beta))
    square = 1.0 - 2.0 * width * gap / (width**2 + gap / omega + surplus)
    return np.log(tolerance / (2.0 * np.sqrt(condition))) / (0.5 * np.log(square))


def ssor_cg_steps(omega, mu, nu, condition, tolerance):
    """Return the bound on the number of steps of SSOR-preconditioned conjugate gradients.

    1 + log(sqrt(K) / e + sqrt(K / e^2 - 1)) / -log(1 - 2 / (1 + sqrt(1 / q))), with e the
    tolerance, K = cond(A) and q = (2 - omega) / (1 + (2 - omega)^2 mu / (4 omega) + nu omega).

    Args:
        omega: relaxation parameter, in (0, 2).
        mu: largest eigenvalue of D A^-1.
        nu: largest eigenvalue of (L D^-1 L^T - D / 4) A^-1.
        condition: spectral condition number of A, at least one.
        tolerance: target of ||r|| / ||b||, in (0, 1).

    Returns:
        The bound in steps, broadcast over the arguments.

    Raises:
        ValueError: an argument lies outside its range.

    Cost:
        O(1) a value.

    Guarantee:
        An upper bound for a zero start and every symmetric positive definite matrix, omega in
        [2 sqrt(2) - 2, 2) as in the analysis that it was stated for.

    Example:
        >>> from resolvent.papers.relaxation_theory import ssor_cg_steps
        >>> bool(ssor_cg_steps(1.5, 5.0, 0.0, 9.0, 1e-8) < 40)
        True

    Reference:
        O. Axelsson (1994), "Iterative Solution Methods", Cambridge University Press; M. Khodak,
        E. Chow, M.-F. Balcan, A. Talwalkar (2024), "Learning to Relax", arXiv 2310.02246.
    """
    _check_tolerance(tolerance)
    omega = _checked_omega(omega)
    distance = 2.0 - omega
    # q is the inverse of a condition number: values above one only arise from rounding
    q = np.minimum(distance / (1.0 + distance**2 * mu / (4.0 * omega) + nu * omega), 1.0)
    root = np.sqrt(condition) / tolerance
    with np.errstate(divide="ignore"):
        rate = -np.log1p(-2.0 / (1.0 + np.sqrt(1.0 / q)))
    return 1.0 + np.arccosh(root) / rate


def spectrum(matrix: np.ndarray) -> Spectrum:
    """Return the numbers that the bounds need, from dense eigenvalues.

    Args:
        matrix: symmetric positive definite, dense, shape (n, n).

    Returns:
        A `Spectrum`.

    Raises:
        ValueError: the matrix is not positive definite.

    Cost:
        O(n^3), five symmetric eigenvalue problems.

    Guarantee:
        Exact to rounding.

    Example:
        >>> import numpy as np
        >>> from resolvent.papers.relaxation_theory import spectrum
        >>> round(spectrum(np.array([[2.0, -1.0], [-1.0, 2.0]])).jacobi, 12)
        0.5

    Reference:
        W. Hackbusch (2016), "Iterative Solution of Large Sparse Systems of Equations", second
        edition, Springer.
    """
    matrix = np.asarray(matrix, dtype=float)
    diagonal = np.diag(matrix)
    values = np.linalg.eigvalsh(matrix)
    if not (values[0] > 0.0 and np.all(diagonal > 0.0)):
        raise ValueError("the matrix is not positive definite: the bounds do not apply.")
    lower = np.tril(matrix, -1)
    root = np.sqrt(diagonal)
    jacobi = np.eye(len(root)) - matrix / np.outer(root, root)
    half = lower / root
    product = half @ half.T
    scaled = product / np.outer(root, root)
    excess = product - np.diag(diagonal) / 4.0
    return Spectrum(
        jacobi=float(np.abs(np.linalg.eigvalsh(jacobi)).max()),
        coupling=float(np.linalg.eigvalsh(scaled)[-1]),
        condition=float(values[-1] / values[0]),
        mu=float(scipy.linalg.eigh(np.diag(diagonal), matrix, eigvals_only=True)[-1]),
        nu=float(scipy.linalg.eigh(excess, matrix, eigvals_only=True)[-1]),
    )


def sor_matrix(matrix: np.ndarray, omega: float) -> np.ndarray:
    """Return the matrix C = I - A (D / omega + L)^-1 by which SOR multiplies the residual.

    Args:
        matrix: dense, shape (n, n), without zeros on the diagonal.
        omega: relaxation parameter, in (0, 2).

    Returns:
        C, shape (n, n).

    Raises:
        ValueError: omega lies outside (0, 2).

    Cost:
        O(n^3).

    Guarantee:
        Exact to rounding.

    Example:
        >>> import numpy as np
        >>> from resolvent.papers.relaxation_theory import sor_matrix
        >>> sor_matrix(np.array([[2.0, -1.0], [-1.0, 2.0]]), 1.0).tolist()
        [[0.25, 0.5], [0.0, 0.0]]

    Reference:
        D. M. Young (1971), "Iterative Solution of Large Linear Systems", Academic Press.
    """
    omega = float(_checked_omega(omega))
    splitting = np.tril(matrix, -1) + np.diag(np.diag(matrix)) / omega
    transposed = scipy.linalg.solve_triangular(splitting, matrix.T, lower=True, trans="T")
    return np.eye(len(matrix)) - np.asarray(transposed).T


def asymptocity(matrix: np.ndarray, omega: float, steps: int) -> float:
    """Return how far SOR is from its asymptotic rate after some sweeps.

    The smallest tau with ||C^k||^(1/k) <= rho + tau (1 - rho), k = steps, in the spectral norm.

    Args:
        matrix: symmetric positive definite, dense, shape (n, n).
        omega: relaxation parameter, in (0, 2).
        steps: number of sweeps k, at least one; for the bound on the number of sweeps, one less
            than the number that the solve took.

    Returns:
        tau, in [0, 1) where the powers have begun to shrink.

    Raises:
        ValueError: omega lies outside (0, 2) or `steps` is less than one.

    Cost:
        O(n^3 log k).

    Guarantee:
        Exact to rounding.

    Example:
        >>> import numpy as np
        >>> from resolvent.papers.relaxation_theory import asymptocity
        >>> 0 < asymptocity(np.array([[2.0, -1.0], [-1.0, 2.0]]), 1.0, 10) < 0.1
        True

    Reference:
        M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar (2024), "Learning to Relax: Setting Solver
        Parameters Across a Sequence of Linear System Instances", arXiv 2310.02246.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: at least one sweep is needed.")
    iteration = sor_matrix(matrix, omega)
    radius = float(np.abs(np.linalg.eigvals(iteration)).max())
    norm = float(np.linalg.norm(np.linalg.matrix_power(iteration, steps), 2))
    return (norm ** (1.0 / steps) - radius) / (1.0 - radius)


def _checked_beta(beta) -> np.ndarray:
    beta = np.asarray(beta, dtype=float)
    if not np.all((beta >= 0.0) & (beta < 1.0)):
        raise ValueError(
            "beta, the Jacobi spectral radius, must lie in [0, 1): at 1 the matrix is singular."
        )
    return beta


def _checked_omega(omega) -> np.ndarray:
    omega = np.asarray(omega, dtype=float)
    if not np.all((omega > 0.0) & (omega < 2.0)):
        raise ValueError("omega must lie strictly between 0 and 2, where relaxation converges.")
    return omega


def _check_tolerance(tolerance) -> None:
    if not np.all((np.asarray(tolerance) > 0.0) & (np.asarray(tolerance) < 1.0)):
        raise ValueError("the tolerance must lie strictly between 0 and 1.")
