"""Douglas-Rachford splitting: resolvents of F and G in turn."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve, lu_factor, lu_solve

from resolvent._core import trees
from resolvent._core.checks import between, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.inclusion.bilinear import BilinearOperator
from resolvent.inclusion.forward import grown
from resolvent.inclusion.operators import AffineOperator
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import first_calls, first_step, positive_step


class SplitState(NamedTuple):
    x: Any
    shadow: Any
    factors: Any
    step_size: Any
    merit: Any
    first: Any
    calls: Any
    steps: Any


class DouglasRachford(Method):
    """The splitting of Lions and Mercier, for F whose resolvent can be had.

    Solves 0 in F(x) + G(x), F monotone, by y = (I + step F)^-1 z, x = (I + step G)^-1 (2 y - z),
    z <- z + relaxation (x - y). An affine F, or that of a bilinear game, is factorized once.

    Args:
        step_size: positive, in the unit of x over F. None takes 1 / sqrt(mu L) where the problem
            states both constants, 1 / L where it states L, and a guess of that otherwise.
        relaxation: in (0, 2).
        resolvent: a function of (x, step) that returns (I + step F)^-1 x, such as the `prox` of a
            Function whose gradient F is; None for affine and bilinear F.

    Raises:
        ValueError: for a step size that is not positive, a relaxation outside (0, 2), and for F
            that is neither affine nor bilinear where no resolvent is given.
        TypeError: for a resolvent that cannot be called.

    Cost per iteration:
        One resolvent of F, which is n^2 after a factorization of n^3, one of G, and an evaluation
        of F for the stopping test.

    Convergence:
        For monotone F and any step the points converge, with `||x_k - y_k||` = O(1 / sqrt(k)).
        Linear where F is strongly monotone and Lipschitz, and near an answer on polyhedral sets.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        F = rs.inclusion.AffineOperator(jnp.array([[1.0, 2.0], [-2.0, 1.0]]), jnp.ones(2))
        problem = rs.Inclusion(F, rs.functions.Box(-0.1, 1.0), start=jnp.zeros(2))
        assert rs.solve(problem, rs.inclusion.DouglasRachford()).converged
        ```

    Reference:
        P.-L. Lions, B. Mercier (1979), Splitting algorithms for the sum of two nonlinear operators.
    """

    step_size: Any = None
    relaxation: Any = 1.0
    resolvent: Callable[[Any, Any], Any] | None = static(default=None)

    name: ClassVar[str] = "douglas-rachford"
    solves: ClassVar = (Inclusion,)
    needs: ClassVar = ("monotone",)
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)
        between("relaxation", self.relaxation, 0.0, 2.0, "Beyond 2 it moves away.")
        if self.resolvent is not None and not callable(self.resolvent):
            refuse(
                TypeError, "resolvent", given=f"a {type(self.resolvent).__name__}",
                needed="a function of (x, step)", advice="Leave it out for affine F.",
            )  # fmt: skip

    def check(self, problem: Inclusion) -> None:
        if self.resolvent is None and not isinstance(problem.F, AffineOperator | BilinearOperator):
            refuse(
                ValueError, "resolvent", given=f"none for a {type(problem.F).__name__}",
                needed="the resolvent of F, or an F that is affine or bilinear",
                advice="Pass resolvent=..., or write F as an AffineOperator.",
            )  # fmt: skip

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> SplitState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = problem.merit(x, Fx)
        part: Any = 1.0
        if problem.lipschitz is not None and problem.strong is not None:
            part = jnp.sqrt(problem.lipschitz / problem.strong)
        step = first_step(problem, self.step_size, x, Fx, part)
        # At an answer x = y, and z is one step of F ahead of it.
        shadow = trees.plus(x, step, Fx)
        calls = first_calls(problem, self.step_size)
        factors = self._factors(problem.F, step)
        return SplitState(x, shadow, factors, step, merit, merit, calls, 0)

    def step(self, problem: Inclusion, state: SplitState) -> SplitState:
        z, step = state.shadow, state.step_size
        y = self._backward(problem.F, z, step, state.factors)
        x = problem.resolvent(trees.combined((2.0, y), (-1.0, z)), step)
        return state._replace(
            x=x, shadow=trees.plus(z, self.relaxation, trees.minus(x, y)),
            merit=problem.merit(x, problem.operator(x)), calls=state.calls + 1,
            steps=state.steps + 1,
        )  # fmt: skip

    def _factors(self, F: Any, step: Any) -> Any:
        if self.resolvent is not None:
            return ()
        if isinstance(F, BilinearOperator):
            return cho_factor(jnp.eye(F.A.shape[0], dtype=F.A.dtype) + step**2 * F.A @ F.A.T)[0]
        return lu_factor(jnp.eye(F.A.shape[0], dtype=F.A.dtype) + step * F.A)

    def _backward(self, F: Any, z: Any, step: Any, factors: Any) -> Any:
        if self.resolvent is not None:
            return self.resolvent(z, step)
        if isinstance(F, BilinearOperator):
            # x + step A y = p and y - step A^T x = r: y is eliminated.
            p, r = trees.plus(z, -step, F.shifted((0 * z[0], 0 * z[1])))
            x = cho_solve((factors, False), p - step * (F.A @ r))
            return x, r + step * (x @ F.A)
        shift = z if F.q is None else z - step * F.q
        return lu_solve(factors, shift)

    def measure(self, problem: Inclusion, state: SplitState) -> Any:
        return state.merit

    def iterate(self, problem: Inclusion, state: SplitState) -> tuple[Any, None]:
        return state.x, None

    def status(self, state: SplitState) -> Any:
        return grown(state.merit, state.first)

    def calls(self, problem: Inclusion, state: SplitState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.steps + 1, "solve": state.steps}
