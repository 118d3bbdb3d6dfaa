"""The condition of second order: how the Lagrangian is curved along what is held."""

from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.linalg

from resolvent._core.checks import between, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.traced import called
from resolvent.constrained.conditions import Multipliers, errors, estimated, force
from resolvent.constrained.derivatives import hessian, local


class SecondOrder(NamedTuple):
    """Inertia of the Hessian of the Lagrangian along the constraints that hold with force.

    Attributes:
        positive: how many eigenvalues are above the tolerance.
        zero: how many are within it.
        negative: how many are below.
        least: the least one; infinite where nothing is free.
        strict: whether every constraint that holds bears a force.
        independent: whether the gradients of what holds are independent.
        stationary: whether the conditions of first order hold; without them none of the other
            numbers says what x is.
    """

    positive: int
    zero: int
    negative: int
    least: float
    strict: bool
    independent: bool
    stationary: bool

    @property
    def minimizer(self) -> bool:
        """Whether the point is an isolated local minimizer, as far as the tolerance can tell."""
        return self.stationary and self.strict and self.zero == self.negative == 0


def second_order(
    problem: Any, x: Any, multipliers: Multipliers | None = None, tolerance: float = 1e-6
) -> SecondOrder:
    """Look at the second derivative at a stationary point, which the certificate does not.

    Args:
        problem: a `ConstrainedProblem`.
        x: the point, like its x0.
        multipliers: those of a solution's `witness`; None for those of least squares.
        tolerance: relative to the norm of the Hessian, of eigenvalues that count as zero; relative
            to 1 plus the largest force of a constraint, its multiplier times the length of its
            gradient, of forces that do, and of changes of max(|x|, 1) to where a constraint holds;
            and the relative KKT error up to which x counts as stationary: the rtol of the solve.

    Returns:
        The inertia of the reduced Hessian. An eigenvalue counts as negative below
        `-tolerance ||H||`, and as positive only above `tolerance ||H||`.

    Raises:
        ValueError: if x has another shape, or its entries are not finite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problem = rs.ConstrainedProblem(
            lambda x: x[0] + x[1], lambda x: x @ x - 2, x0=np.array([-1.5, -0.5])
        )
        at_least = rs.constrained.second_order(problem, np.array([-1.0, -1.0]))
        at_most = rs.constrained.second_order(problem, np.array([1.0, 1.0]))
        assert at_least.minimizer
        assert at_most.negative == 1
        ```
    """
    if not hasattr(problem, "inequalities_at"):
        refuse(
            TypeError, "problem", given=f"a {type(problem).__name__}",
            needed="a ConstrainedProblem", advice="The condition is about constraints.",
        )  # fmt: skip
    between("tolerance", tolerance, 0.0, 1.0, "It is relative.")
    x = problem.admit(x, "x")
    with scope(needs_double(problem)):
        v = problem.vector(x)
        pair = None if multipliers is None else problem.pair(v, multipliers)
        found = jax.device_get(called(_seen, problem, v, pair))
    v, pair, h, rows, bounds, (error, scale), H, slope = found
    stationary = bool(error <= tolerance * scale)
    # What rows are measured in does not count: the length that they pull with does, and distances.
    sizes = [np.linalg.norm(part, axis=1) for part in rows]
    pulls = [np.abs(part) * size for part, size in zip(pair, sizes, strict=True)]
    room = tolerance * (1 + max((float(pull.max(initial=0)) for pull in pulls), default=0))
    near = room * np.maximum(np.abs(v), 1)
    reach = np.abs(rows[1]) @ near
    held = pulls[1] > room
    weak = ~held & (np.abs(h) <= np.where(reach > 0, reach, room))
    free, loose = np.ones(v.size, bool), False
    if bounds is not None:
        low, high = bounds
        below, above = v - low <= near, high - v <= near
        # A bound bears only what pushes against it.
        free = ~((below & (slope > room)) | (above & (slope < -room)) | (below & above))
        loose = bool(((below | above) & free).any())
    across = np.concatenate([rows[0], rows[1][held]])[:, free]
    along = scipy.linalg.null_space(across) if len(across) else np.eye(int(free.sum()))
    values = np.linalg.eigvalsh(along.T @ H[np.ix_(free, free)] @ along)
    slack = tolerance * max(float(np.linalg.norm(H, 2)), float(np.finfo(v.dtype).tiny))
    return SecondOrder(
        int((values > slack).sum()), int((np.abs(values) <= slack).sum()),
        int((values < -slack).sum()), float(values[0]) if values.size else float("inf"),
        not (weak.any() or loose), along.shape[1] == max(int(free.sum()) - len(across), 0),
        stationary,
    )  # fmt: skip


def _seen(problem: Any, v: Any, multipliers: Any) -> tuple[Any, ...]:
    """What there is to see at a point: multipliers, constraints, the error, the Hessian."""
    at, bounds = local(problem, v), problem.bounds_at(v)
    pair = estimated(v, at, bounds) if multipliers is None else multipliers
    scale = problem.scale(v)
    error = errors(v, at, pair, bounds, scale).total, scale
    rows, curved = (at.jacobian, at.slopes), hessian(problem, v, *pair)
    return v, pair, at.inequalities, rows, bounds, error, curved, force(at, pair)
