"""Nemirovski's mirror prox."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import one_of
from resolvent._core.memory import Memory
from resolvent._core.value import static
from resolvent.inclusion.forward import ForwardMethod
from resolvent.inclusion.geometry import geometry_of
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import first_calls, first_step, searched


class MirrorState(NamedTuple):
    x: Any  # what would be returned
    last: Any
    F_last: Any
    dual: Any  # the last point, as the geometry keeps it
    mean: Any
    weight: Any  # of the mean: the sum of its step sizes
    step_size: Any
    merit: Any
    first: Any
    calls: Any
    moves: Any


class MirrorProx(ForwardMethod):
    """The extragradient method in a geometry: with entropy it suits mixtures of many strategies.

    Solves 0 in F(x) + G(x), F monotone, by y = argmin over u of step (<F(x), u> + G(u)) + D(u, x),
    x <- the same with F(y), D a Bregman distance. On a simplex D is the relative entropy, whose
    steps multiply the entries by exponentials and whose constants grow with the logarithm of their
    number; elsewhere it is half the squared distance.

    Args:
        step_size: in the unit of x over F. None takes 0.9 / L where the problem states its
            constant L, and otherwise finds it by a line search on
            `step ||F(y) - F(x)|| <= 0.9 ||y - x||` in the norms of the geometry: sums of |x_i| and
            largest |F_i| on simplices.
        geometry: "auto" and "entropy" take entropy on each `Simplex` that is all of a block of G,
            "euclidean" takes none.
        average: return the average of the y's, weighted with the steps, instead of the last x.

    Raises:
        ValueError: for a step size outside (0, 1 / L) where the problem states L, for another
            word for the geometry, for "entropy" where no block of G is a Simplex, and for F that
            is only negatively comonotone.

    Cost per iteration:
        Two evaluations of F and two mirror steps; a third evaluation of F with `average`, and
        more in steps whose line search shortens the step.

    Convergence:
        For F monotone and Lipschitz in the norm of the geometry the gap of the averages is at most
        L D(x*, x_0) / k, with D at most log n on a simplex. The last points converge for matrix
        games whose equilibrium is the only one, linearly in the end.

    Example:
        ```python
        import numpy as np, resolvent as rs
        game = rs.MatrixGame(np.array([[0.0, 2.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]))
        sol = rs.solve(game, rs.inclusion.MirrorProx(), rtol=1e-6)
        assert sol.converged
        ```

    Reference:
        A. Nemirovski (2004), Prox-method with rate of convergence O(1/t) for variational
        inequalities with Lipschitz continuous monotone operators and smooth convex-concave saddle
        point problems.
    """

    step_size: Any = None
    geometry: str = static(default="auto")
    average: bool = static(default=False)

    name: ClassVar[str] = "mirror-prox"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("geometry", self.geometry, ("auto", "entropy", "euclidean"))
        one_of("average", self.average, (False, True))

    def check(self, problem: Inclusion) -> None:
        super().check(problem)
        geometry_of(problem.G, self.geometry)

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> MirrorState:
        space = geometry_of(problem.G, self.geometry)
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = problem.merit(x, Fx)
        step = first_step(problem, self.step_size, x, Fx)
        calls = first_calls(problem, self.step_size)
        # Entries at zero may be lifted: the search begins at the lifted point.
        dual = space.enter(problem.G, x)
        last = space.leave(problem.G, dual)
        zero = jnp.zeros_like(step)
        return MirrorState(
            x, last, problem.operator(last), dual, trees.zeros(x), zero, step, merit, merit,
            calls + 1, 1,
        )  # fmt: skip

    def step(self, problem: Inclusion, state: MirrorState) -> MirrorState:
        space = geometry_of(problem.G, self.geometry)
        x, Fx, G = state.last, state.F_last, problem.G

        def look(step: Any) -> tuple[Any, Any]:
            y = space.leave(G, space.move(G, state.dual, step, Fx))
            return y, problem.operator(y)

        (y, Fy), step, tries = searched(
            look, x, Fx, state.step_size, self.fixed(problem),
            norms=(space.length, space.dual_length),
        )  # fmt: skip
        dual = space.move(G, state.dual, step, Fy)
        last = space.leave(G, dual)
        F_last = problem.operator(last)
        moved = state._replace(
            x=last, last=last, F_last=F_last, dual=dual, step_size=step,
            calls=state.calls + tries + 1, moves=state.moves + tries + 1,
        )  # fmt: skip
        if not self.average:
            return moved._replace(merit=problem.merit(last, F_last))
        weight = state.weight + step
        mean = trees.plus(state.mean, step / weight, trees.minus(y, state.mean))
        merit = problem.merit(mean, problem.operator(mean))
        return moved._replace(x=mean, mean=mean, weight=weight, merit=merit, calls=moved.calls + 1)

    def calls(self, problem: Inclusion, state: MirrorState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.moves}
