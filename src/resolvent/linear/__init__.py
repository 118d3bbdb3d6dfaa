"""Linear systems: A x = b, one of them or a sequence whose members get cheaper.

The problem is `LinearSystem`. Its matrix may be a SciPy sparse matrix, an array, an operator or a
function, and its certificate is the residual `b - A x`, measured from `A` and `b`.

- Symmetric positive definite: `CG`; `Chebyshev`, which needs no inner products; `KrylovGradient`
  and `PolynomialGradient`.
- Symmetric: `MINRES`. General: `GMRES`, `BiCGStab`, `GCRODR`. Row by row: `Kaczmarz`.
- Splittings of the matrix: `Jacobi`, `GaussSeidel`, `SOR` and their symmetric forms.

Krylov methods take a preconditioner, a plain value that approximates the inverse of A. Over a
sequence, `LearnedRelaxation` finds the relaxation parameter, `GCRODR` recycles a subspace,
`Projected` makes first guesses from the last solutions, and `sort_greedy` puts systems that may
come in any order into a good one.
"""

from resolvent.linear import registry as _registry
from resolvent.linear.registry import *  # noqa: F403

__all__ = sorted(name for name in vars(_registry) if not name.startswith("_"))  # pyright: ignore[reportUnsupportedDunderAll]
