"""Newton's method for recurrences, its linear systems solved by an associative scan."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.adjoint import Implicit, attach
from resolvent._core.checks import between, count, is_traced
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent.fixed_point.initial_value import InitialValueProblem
from resolvent.fixed_point.jacobi_sweeps import below, ceiling_of
from resolvent.fixed_point.linear_recurrence import by_scan
from resolvent.fixed_point.sequential import Recurrence
from resolvent.fixed_point.stages import rows, unrows

_CLIP = 1e8  # units


class DeerState(NamedTuple):
    s: Any
    image: Any
    slopes: Any
    size: Any
    best: Any
    first: Any
    since: Any
    fallen: Any
    stages: Any
    steps: Any


class _Deer(Method):
    """y <- the solution of y_t = A_t y_{t-1} + f_t - A_t yold_{t-1}."""

    patience: int = 50
    damping: Any = 0.0

    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 1 << 30  # the method's own patience is shorter
    diagonal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not is_traced(self.patience):
            count("patience", self.patience, least=1)
        if not is_traced(self.damping) and self.damping not in (0.0, 1.0):
            between("damping", self.damping, 0.0, 1.0, "1 is Jacobi's iteration, 0 Newton's.")

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> DeerState:
        image, slopes = problem.linearized(x0, self.diagonal)
        size = problem.merit(x0, image)
        zero = jnp.zeros((), jnp.int32)
        since = jnp.where(jnp.isfinite(size), 0, self.patience).astype(jnp.int32)
        measured = below(size, ceiling_of(size))
        return DeerState(x0, image, slopes, measured, size, size, since, zero == 1, zero, zero)

    def step(self, problem: Any, state: DeerState) -> DeerState:
        slopes = jnp.where(jnp.isfinite(state.slopes), state.slopes, 0.0)
        slopes = ((1.0 - self.damping) * slopes).astype(slopes.dtype)
        y = by_scan(*problem.affine(state.s, state.image, slopes))
        most = (_CLIP * jnp.asarray(problem.unit, y.dtype)).astype(y.dtype)
        y = jnp.clip(jnp.where(jnp.isfinite(y), y, 0.0), -most, most)
        s = unrows(y, state.s)
        broken, stages = state.since >= self.patience, state.stages
        if problem.explicit:
            s, more = self._instead(problem, state, s, broken)
            stages = stages + more
        image, slopes = problem.linearized(s, self.diagonal)
        size = problem.merit(s, image)
        since = jnp.where(size < state.best, 0, state.since + 1)
        since = jnp.where(jnp.isfinite(size), since, self.patience).astype(jnp.int32)
        best = jnp.where(size < state.best, size, state.best)
        measured = jnp.where(broken, size, below(size, ceiling_of(state.first)))
        return DeerState(
            s, image, slopes, measured, best, state.first, since, broken, stages, state.steps + 1
        )

    def _instead(self, problem: Any, state: DeerState, s: Any, broken: Any) -> tuple[Any, Any]:
        """Newton's step, or sequential evaluation where it has broken down."""
        same = (rows(state.s) == rows(state.image)).all(1)
        begin = jnp.where(broken, jnp.cumprod(same).sum(), problem.length).astype(jnp.int32)
        still, known = jax.tree_util.tree_map(_stopped, (problem, state.s))
        answer = still.finished(begin, known)
        # The loop has no derivative in reverse; what it comes to is the answer, which has one.
        answer = attach(problem, answer, True, Implicit())
        return trees.where(broken, answer, s), problem.length - begin

    def measure(self, problem: Any, state: DeerState) -> Any:
        return state.size

    def status(self, state: DeerState) -> Any:
        # With progress behind it, what remains is the precision's fault.
        why = jnp.where(state.best < state.first, Reason.stalled.code, Reason.breakdown.code)
        return jnp.where(state.fallen, why, 0)

    def iterate(self, problem: Any, state: DeerState) -> tuple[Any, None]:
        return state.s, None

    def calls(self, problem: Any, state: DeerState) -> dict[str, Any]:
        sweeps = state.steps + 1
        return {"jacobian": sweeps, "stage": state.stages, "sweep": sweeps}


class DEER(_Deer):
    """Newton's method over all stages, by an associative scan.

    Solves y_t = f(y_{t-1}, x_t), t = 1..T. With J_t = df/dy at the old values each step solves
    y_t = J_t (y_{t-1} - old_{t-1}) + f(old_{t-1}, x_t) for all t, by a scan of depth O(log T). For
    an `InitialValueProblem` the matrices are those of the linearized flow. Stages behind an exact
    one take their own value, so that every step makes at least one more stage exact.

    Args:
        patience: after so many steps without a new least defect, or at one that is not finite, the
            stages after the last exact one are evaluated one after another instead (a flow ends
            as `breakdown`).
        damping: J is taken times 1 - damping: 0 is Newton's method, 1 Jacobi's iteration, between
            them are less speed and less growth in products of expanding J.

    Raises:
        ValueError: for no patience, or a damping outside [0, 1].

    Cost per iteration:
        One sweep, the T Jacobians (n forward derivatives of each stage), a scan of T pairs: work
        O(T n^3), memory O(T n^2). Use it where n is small, 16 at most, or split states into heads.

    Convergence:
        Quadratic near the answer, in a few steps that hardly depend on T where the recurrence
        contracts (its largest Lyapunov exponent is negative); exact after T steps at the latest.
        Where it expands, products of Jacobians overflow and Jacobi's iteration or sequential
        evaluation is better.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import DEER, Recurrence

        problem = Recurrence(lambda y, x: 0.9 * y + x, jnp.ones((50, 2)), jnp.zeros(2))
        assert rs.solve(problem, DEER(), rtol=1e-5).steps == 1
        ```

    Reference:
        Y. H. Lim, Q. Zhu, J. Selfridge, M. F. Kasim (2024), Parallelizing non-linear sequential
        models over the sequence length, arXiv 2309.12252.
    """

    patience: int = 50
    damping: Any = 0.0

    name: ClassVar[str] = "deer"
    solves: ClassVar = (Recurrence, InitialValueProblem)


class QuasiDEER(_Deer):
    """Newton's method over all stages with the diagonals of the Jacobians.

    Solves y_t = f(y_{t-1}, x_t), t = 1..T. It is `DEER` with J_t replaced by its diagonal: a scan
    of numbers instead of matrices.

    Args:
        patience: as for `DEER`.
        damping: as for `DEER`.

    Raises:
        ValueError: for no patience, or a damping outside [0, 1].

    Cost per iteration:
        One sweep, the diagonals of T Jacobians (n forward derivatives of each stage), a scan of
        O(T n) work and memory.

    Convergence:
        Linear, the faster the nearer the Jacobians are to diagonal; that of Newton's method for
        entries that do not mix. Exact after T steps at the latest.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import QuasiDEER, Recurrence

        problem = Recurrence(lambda y, x: jnp.tanh(0.5 * y + x), jnp.ones((50, 2)), jnp.zeros(2))
        assert rs.solve(problem, QuasiDEER()).steps < 10
        ```

    Reference:
        X. Gonzalez, A. Warrington, J. T. H. Smith, S. W. Linderman (2024), Towards Scalable and
        Stable Parallelization of Nonlinear RNNs, arXiv 2407.19115.
    """

    patience: int = 50
    damping: Any = 0.0

    name: ClassVar[str] = "quasi-deer"
    solves: ClassVar = (Recurrence,)
    diagonal: ClassVar[bool] = True


def _stopped(leaf: Any) -> Any:
    return jax.lax.stop_gradient(leaf) if isinstance(leaf, jax.Array) else leaf
