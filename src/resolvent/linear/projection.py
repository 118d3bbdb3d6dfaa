"""A first guess by projection onto the span of the last solutions."""

from typing import Any

import numpy as np

from resolvent._core.checks import count
from resolvent._core.value import static
from resolvent._core.warm import WarmStart


class Projected(WarmStart):
    """Start from the combination of the last solutions that has the smallest residual.

    Minimizes `||b - A X c||` over c, where the columns of X are the last `size` solutions: a
    reduced model of the sequence that is made on the way, in the manner of proper orthogonal
    decomposition. Costs `size` products with A and a small least-squares problem.

    Args:
        size: how many solutions it keeps.

    Raises:
        ValueError: if size < 1.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problems = [rs.LinearSystem(np.diag([2.0, 3.0 + t]), np.ones(2)) for t in range(4)]
        sols = rs.solve_sequence(problems, rs.linear.CG(), warm_start=rs.linear.Projected(2))
        assert all(sol.converged for sol in sols)
        ```

    Reference:
        P. F. Fischer (1998), Projection techniques for iterative solution of Ax = b with
        successive right-hand sides.
    """

    size: int = static(6)

    def __post_init__(self) -> None:
        count("size", self.size, least=1)

    def depth(self) -> int:
        return self.size

    def propose(self, problem: Any, solutions: list[Any]) -> Any:
        if problem.b.ndim > 1:
            return solutions[-1]
        X = np.stack([np.asarray(x) for x in solutions], axis=1)
        scales = np.linalg.norm(X, axis=0)
        X = X[:, scales > 0] / scales[scales > 0]
        if X.shape[1] == 0:
            return None
        # Old solutions are nearly parallel: directions lost to rounding must not enter.
        Q, sizes, _ = np.linalg.svd(X, full_matrices=False)
        Q = Q[:, sizes > 1e-12 * sizes[0]]
        mv = problem.operator.mv
        kind = type(problem.start(None))
        images = np.stack(
            [np.asarray(mv(_like(kind, q.astype(problem.b.dtype)))) for q in Q.T], axis=1
        )
        weights, *_ = np.linalg.lstsq(images, np.asarray(problem.b), rcond=None)
        return _like(kind, (Q @ weights).astype(problem.b.dtype))


def _like(kind: type, array: np.ndarray) -> Any:
    if kind is np.ndarray:
        return np.ascontiguousarray(array)
    import jax.numpy as jnp

    return jnp.asarray(array)
