"""Edge-preserving diffusion of a picture: the Perona-Malik equation in implicit time steps.

`u_t = div(g(|grad u_sigma|) grad u)` with `g(s) = 1 / (1 + s^2 / kappa^2)`, no flux through the
border, and the gradient taken of a slightly smoothed picture, which makes the equation well posed.
A backward Euler step with the diffusivity of the picture before it is one linear system:
`(I + tau L(u_k)) u_{k+1} = u_k`.

References:
    P. Perona, J. Malik (1990), Scale-space and edge detection using anisotropic diffusion.
    F. Catte, P.-L. Lions, J.-M. Morel, T. Coll (1992), Image selective smoothing and edge
    detection by nonlinear diffusion.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

import resolvent as rs


class Stencil(NamedTuple):
    """Where the entries of a five-point matrix of a picture's shape are."""

    keep: Any
    indices: Any
    indptr: Any


def stencil(shape: tuple[int, int]) -> Stencil:
    """The sparsity pattern of all matrices of a picture's shape: made once a sequence."""
    rows, columns = shape
    size = rows * columns
    inside = np.ones((rows, columns, 5), bool)
    inside[0, :, 0] = inside[:, 0, 1] = inside[:, -1, 3] = inside[-1, :, 4] = False
    keep = np.flatnonzero(inside)
    offsets = np.array([-columns, -1, 0, 1, columns], np.int32)
    indices = (np.arange(size, dtype=np.int32)[:, None] + offsets).ravel()[keep]
    indptr = np.zeros(size + 1, np.int32)
    np.cumsum(inside.reshape(size, 5).sum(axis=1), out=indptr[1:])
    return Stencil(keep, indices, indptr)


def diffusivity(
    image: Float[np.ndarray, "rows columns"], kappa: float, sigma: float = 1.0
) -> Float[np.ndarray, "rows columns"]:
    """g(|grad u_sigma|) of every pixel: 1 in flat places, near 0 on edges.

    Args:
        image: the picture, brightness from 0 to 1.
        kappa: brightness change per pixel at which diffusion is halved.
        sigma: width of the smoothing before the gradient, in pixels.

    Returns:
        An array of the picture's shape with entries in (0, 1].
    """
    smooth = gaussian_filter(image, sigma, mode="nearest")
    down, across = np.gradient(smooth)
    return 1.0 / (1.0 + (down * down + across * across) / kappa**2)


def assemble(
    image: Float[np.ndarray, "rows columns"],
    tau: float,
    kappa: float,
    sigma: float = 1.0,
    pattern: Stencil | None = None,
) -> sparse.csr_array:
    """I + tau L(u): symmetric, its smallest eigenvalue is 1, and its rows sum to 1.

    Args:
        image: the picture u, shape (rows, columns), brightness from 0 to 1.
        tau: time step, in pixels squared.
        kappa: brightness change per pixel at which diffusion is halved.
        sigma: width of the smoothing before the gradient, in pixels.
        pattern: the stencil of this shape, if it is at hand.

    Returns:
        The matrix, n x n with n = rows * columns, pixels in the order of `image.ravel()`.
    """
    g = diffusivity(image, kappa, sigma)
    # What flows between two pixels is weighted with the mean of their diffusivities.
    across = 0.5 * tau * (g[:, 1:] + g[:, :-1])
    down = 0.5 * tau * (g[1:] + g[:-1])
    values = np.zeros((*image.shape, 5))
    values[1:, :, 0] = -down
    values[:, 1:, 1] = -across
    values[:, :-1, 3] = -across
    values[:-1, :, 4] = -down
    values[:, :, 2] = 1.0 - values.sum(axis=2)
    keep, indices, indptr = stencil(image.shape) if pattern is None else pattern
    return sparse.csr_array((values.ravel()[keep], indices, indptr), shape=(image.size, image.size))


def time_step(
    image: Float[np.ndarray, "rows columns"],
    tau: float,
    kappa: float,
    sigma: float = 1.0,
    pattern: Stencil | None = None,
) -> rs.LinearSystem:
    """The linear system whose solution is the picture one time step later.

    Args:
        image: the picture before, brightness from 0 to 1.
        tau: time step, in pixels squared.
        kappa: brightness change per pixel at which diffusion is halved.
        sigma: width of the smoothing before the gradient, in pixels.
        pattern: the stencil of this shape, if it is at hand.

    Returns:
        A symmetric positive definite system; its certificate bounds the error as well.
    """
    return rs.LinearSystem(
        assemble(image, tau, kappa, sigma, pattern), image.ravel(),
        symmetric=True, positive_definite=True, smallest=1.0,
    )  # fmt: skip
