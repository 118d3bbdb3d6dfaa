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

    size: int = static(default=6)

    def __post_init__(self) -> None:
        count("size", self.size, least=1)

    def depth(self) -> int:
        return self.size

    def propose(self, problem: Any, solutions: list[Any]) -> Any:
        if problem.b.ndim > 1:
            return solutions[-1]
        mv = problem.operator.mv
        kind = type(problem.start(None))
        rows = np.stack([np.asarray(x) for x in solutions])
        images = np.stack([np.asarray(mv(_like(kind, x))) for x in rows])
        scales = np.linalg.norm(images, axis=1)
        rows, images = rows[scales > 0], images[scales > 0]
        scales = scales[scales > 0, None]
        if len(rows) == 0:
            return None
        rows, images = rows / scales, images / scales
        # The old solutions are nearly parallel: what rounding made of their differences is cut.
        weights, *_ = np.linalg.lstsq(
            images @ images.T, images @ np.asarray(problem.b), rcond=1e3 * np.finfo(rows.dtype).eps
        )
        return _like(kind, (weights @ rows).astype(problem.b.dtype))


def _like(kind: type, array: np.ndarray) -> Any:
    if kind is np.ndarray:
        return np.ascontiguousarray(array)
    import jax.numpy as jnp

    return jnp.asarray(array)
