"""Extragradient methods that are drawn back to their first point."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import is_traced, one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.inclusion.comonotone import check_weak, ending
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import SAFE, first_calls, first_step, positive_step, searched

_LIMIT = {"feg": 1.0, "eag-c": 0.125, "eag-v": 0.75}  # of the step size, times L
_USUAL = {"feg": 1.0, "eag-c": 0.125, "eag-v": 0.618}
_VARIANTS = tuple(_LIMIT)


class AnchoredExtragradientState(NamedTuple):
    x: Any
    Fx: Any
    anchor: Any
    age: Any
    step_size: Any
    merit: Any
    first: Any
    calls: Any
    resolvents: Any


class AnchoredExtragradient(Method):
    """Extragradient steps with a pull towards the first point, of a weight that falls like 1 / k.

    Solves `Inclusion` problems. With a the step size, w = 1 / (k + 2) and k counted from 0, EAG
    takes y = J(x + w (x_0 - x) - a F(x)), x <- J(x + w (x_0 - x) - a F(y)), with J = (I + a G)^-1.
    FEG has w = 1 / (k + 1) and, with rho the problem's `comonotone`, y = x + w (x_0 - x) - (1 - w)
    (a - 2 rho) F(x), x <- x + w (x_0 - x) - a F(y) + 2 (1 - w) rho F(x).

    Args:
        variant: "feg"; "eag-c" with the same step always; "eag-v" with steps that fall to a limit
            which is not 0. None takes "feg" without G, and "eag-c" with it.
        step_size: in the unit of x over F, the first one of "eag-v". None takes 1 / L for "feg",
            1 / (8 L) for "eag-c" and 0.618 / L for "eag-v" where the problem states its constant
            L. Otherwise the step is shortened until
            `step ||F(y) - F(x)|| <= c ||y - x||` with c = 0.9 or, for "eag-c", 0.1125; after that
            the method begins again from where it is.

    Raises:
        ValueError: for an unknown variant; a step size outside (2 rho, 1 / L] for "feg",
            (0, 1 / (8 L)] for "eag-c", (0, 3 / (4 L)) for "eag-v"; rho >= 1 / (2 L), or rho > 0 for
            other variants than "feg"; a problem with G for other variants than "eag-c"; a problem
            without L for "eag-v".

    Cost per iteration:
        Two evaluations of F and two resolvents; more in steps whose line search shortens the step.

    Convergence:
        Of the last iterate, and not better than stated where F is strongly monotone. For F
        monotone and Lipschitz, without G: `||F(x_k)||` is at most `2 L ||x_0 - x*|| / k` for "feg",
        `16.2 L ||x_0 - x*|| / (k + 1)` for "eag-c" and `5.2 L ||x_0 - x*|| / (k + 1)` for "eag-v",
        with the default steps. For rho < 1 / (2 L), "feg" has
        `||F(x_k)|| <= 2 ||x_0 - x*|| / ((1 / L - 2 rho) k)`. With G, the residual of "eag-c" is
        O(1 / k).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        problem = rs.Inclusion(lambda x: turn @ x, start=jnp.ones(2), lipschitz=1.0)
        assert rs.solve(problem, rs.inclusion.AnchoredExtragradient(), rtol=1e-3).converged
        ```

    Reference:
        T. Yoon, E. K. Ryu (2021), Accelerated algorithms for smooth convex-concave minimax problems
        with O(1/k^2) rate on squared gradient norm, arXiv 2102.07922. S. Lee, D. Kim (2021), Fast
        extra gradient methods for smooth structured nonconvex-nonconcave minimax problems,
        arXiv 2106.02326. With G: Y. Cai, A. Oikonomou, W. Zheng (2022), Accelerated algorithms for
        monotone inclusions and constrained nonconvex-nonconcave min-max optimization,
        arXiv 2206.05248.
    """

    variant: str | None = static(default=None)
    step_size: Any = None

    name: ClassVar[str] = "anchored-extragradient"
    solves: ClassVar = (Inclusion,)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 100_000

    def __post_init__(self) -> None:
        one_of("variant", self.variant, (None, *_VARIANTS))
        positive_step("step_size", self.step_size)

    def _kind(self, problem: Inclusion) -> str:
        if self.variant is not None:
            return self.variant
        return "feg" if problem.lacks("unconstrained") is None else "eag-c"

    def check(self, problem: Inclusion) -> None:
        kind = self._kind(problem)
        why = problem.lacks("unconstrained")
        if why is not None and kind != "eag-c":
            refuse(
                ValueError, "variant", given=f"{kind!r}, and a problem where {why}",
                needed="a problem without G, or 'eag-c'", advice="Leave the variant out.",
            )  # fmt: skip
        if kind == "eag-v" and problem.lipschitz is None:
            refuse(
                ValueError, "variant", given="'eag-v' for a problem without its constant L",
                needed="`lipschitz`, from which its steps follow", advice="Use 'feg'.",
            )  # fmt: skip
        check_weak(problem)
        rho, L, step = problem.comonotone, problem.lipschitz, self.step_size
        if is_traced((rho, L, step)):
            return
        if rho > 0 and kind != "feg":
            refuse(
                ValueError, "variant", given=f"{kind!r} for rho = {rho:g}", needed="rho = 0",
                advice="Only 'feg' is for operators that are not monotone.",
            )  # fmt: skip
        if step is None:
            return
        most = float("inf") if L is None else _LIMIT[kind] / float(L)
        if not 2.0 * rho < step <= most * (1 + 1e-12):
            refuse(
                ValueError, "step_size", given=f"{step}",
                needed=f"{2.0 * rho:g} < step_size <= {most:g}",
                advice=f"Theory asks for at most {_LIMIT[kind]:g} / L and more than 2 rho.",
            )  # fmt: skip

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> Any:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        part = _USUAL[self._kind(problem)]
        part = part if problem.lipschitz is not None else SAFE * part
        step = first_step(problem, self.step_size, x, Fx, part)
        if problem.lipschitz is None and self.step_size is None:
            step = jnp.maximum(step, 3.0 * problem.comonotone)
        merit = problem.merit(x, Fx)
        calls = first_calls(problem, self.step_size)
        return AnchoredExtragradientState(
            x, Fx, x, jnp.zeros((), step.dtype), step, merit, merit, calls, 1
        )

    def step(self, problem: Inclusion, state: AnchoredExtragradientState) -> Any:
        x, Fx, age = state.x, state.Fx, state.age
        kind = self._kind(problem)
        feg = kind == "feg"
        fast = 2.0 * problem.comonotone if feg else 0.0
        weight = 1.0 / (age + (1.0 if feg else 2.0))
        rest = 1.0 - weight if feg else 1.0
        drawn = trees.plus(x, weight, trees.minus(state.anchor, x))
        fixed = self.step_size is not None or problem.lipschitz is not None
        if feg and not fixed:
            # The first step looks at the point it stands on, where no step is ever too long: it
            # is searched as one of extragradient.
            rest = jnp.where(age == 0, 1.0, rest)

        def look(step: Any) -> tuple[Any, Any]:
            y = problem.resolvent(trees.plus(drawn, -rest * (step - fast), Fx), step)
            return y, problem.operator(y)

        (_, Fy), step, tries = searched(
            look, x, Fx, state.step_size, fixed, SAFE * _LIMIT[kind], floor=fast, growth=1.0
        )
        new = trees.plus(drawn, -step, Fy)
        if feg:
            new = trees.plus(new, rest * fast, Fx)
        new = problem.resolvent(new, step)
        Fnew = problem.operator(new)
        again = jnp.asarray(tries) > 1
        return AnchoredExtragradientState(
            new, Fnew, state.anchor if fixed else trees.where(again, new, state.anchor),
            jnp.where(again, 0.0, age + 1.0).astype(age.dtype),
            self._next(problem, kind, step, age), problem.merit(new, Fnew), state.first,
            state.calls + tries + 1, state.resolvents + tries + 1,
        )  # fmt: skip

    def _next(self, problem: Inclusion, kind: str, step: Any, age: Any) -> Any:
        if kind != "eag-v":
            return step
        square = (step * problem.lipschitz) ** 2
        ratio = (age + 2.0) ** 2 / ((age + 1.0) * (age + 3.0))
        return (step * (1.0 - ratio * square) / (1.0 - square)).astype(step.dtype)

    def measure(self, problem: Inclusion, state: AnchoredExtragradientState) -> Any:
        return state.merit

    def iterate(self, problem: Inclusion, state: AnchoredExtragradientState) -> tuple[Any, None]:
        return state.x, None

    def status(self, state: AnchoredExtragradientState) -> Any:
        return ending(state.merit, state.first)

    def calls(self, problem: Inclusion, state: AnchoredExtragradientState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents}
