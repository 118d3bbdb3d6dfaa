"""Operator splitting for quadratic programs: one matrix, factorized once for many iterations."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from resolvent._core.checks import between, count
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.programs import quadratic_conditions as conditions
from resolvent.composite.programs.equilibration import (
    Scaled,
    equilibrated,
    is_sparse,
    rescaled,
)
from resolvent.composite.programs.reduced_systems import factored, held_point
from resolvent.composite.quadratic_program import Multipliers, QuadraticProgram

_PROXIMAL = 1e-6  # sigma at least, and so many units in the last place: where P is singular,
_SEEN = 1e4  # rounding errors of the inverse move x by one over this, each iteration
_EQUATIONS = 1e3  # how much more equations are penalized
_LEAST, _MOST = 1e-6, 1e6
_APART = 5.0  # by what factor the penalty must be wrong to be changed
_LONG = 2000.0  # iterations until a change of the penalty must be twice as large


class SplittingState(NamedTuple):
    x: Any
    """Of the scaled program, as all that follows up to `inverse`."""
    v: Any
    """[n + m]: x within its bounds, then the image within its."""
    y: Any
    penalty: Any
    inverse: Any
    """Of the matrix of the iteration; empty where sparse factors stand for it."""
    scaled: Scaled
    point: Any
    rows: Any
    ray: Any
    code: Any
    merit: Any
    k: Any
    factorizations: Any


class OperatorSplitting(Method):
    """Alternate between a quadratic function of x and bounds of copies of x and A x.

    Solves `QuadraticProgram` by the alternating direction method of multipliers in the form of
    OSQP, on a program whose rows and columns are equilibrated: with K = P + sigma + A' rho A,

        x~ = K^-1 (sigma x - q + A' (rho v - y)),    x <- alpha x~ + (1 - alpha) x,
        t = alpha A x~ + (1 - alpha) v + y / rho,    v <- clip(t, l, u),    y <- rho (t - v),

    where A includes the identity for the bounds of x. A step is `every` such iterations; then rho,
    which equations have a thousandfold, is balanced between the primal and the dual residual, and
    K factorized again if rho changed by more than a factor of five. The differences of successive
    iterates prove infeasible and unbounded programs.

    Args:
        relaxation: alpha.
        penalty: the first rho, for equilibrated data.
        every: iterations a step.
        polish: after each step solve with the constraints as equations whose multipliers are not
            zero, and take that point if its certificate is better. Costs a factorization.
        scalings: rounds of equilibration.
        working: what is set up once a solve; leave it out.

    Raises:
        ValueError: for a relaxation outside (0, 2), a penalty that is not positive, counts below 1.

    Cost per iteration:
        `every` products with an inverse of K, n^2 multiplications each, and two with A; where data
        are sparse, solves with sparse factors.

    Convergence:
        For every convex program that has an answer, at a linear rate in the end, which depends on
        rho. Where there is none, the differences of iterates converge to a proof of it.

    Example:
        ```python
        import numpy as np, resolvent as rs
        program = rs.QuadraticProgram(
            np.array([[4.0, 1.0], [1.0, 2.0]]), np.ones(2), np.ones((1, 2)), 1.0, 1.0,
            lower=0.0, upper=0.7,
        )
        sol = rs.solve(program, rs.composite.OperatorSplitting(), rtol=1e-8)
        assert np.allclose(sol.x, [0.3, 0.7], atol=1e-6)
        ```

    Reference:
        B. Stellato, G. Banjac, P. Goulart, A. Bemporad, S. Boyd (2020), OSQP: an operator splitting
        solver for quadratic programs, arXiv 1711.08013.
    """

    relaxation: Any = 1.6
    penalty: Any = 0.1
    every: int = static(default=25)
    polish: bool = static(default=False)
    scalings: int = static(default=10)
    working: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "operator-splitting"
    solves: ClassVar = (QuadraticProgram,)
    engines: ClassVar = ("host", "traced")
    reads: ClassVar[tuple[str, ...]] = ("splitting",)
    monitored: ClassVar[int] = 200

    def __post_init__(self) -> None:
        between("relaxation", self.relaxation, 0.0, 2.0, "Theory asks for it.")
        between("penalty", self.penalty, 0.0, math.inf, "It is a positive weight.")
        count("every", self.every, least=1)
        count("scalings", self.scalings)

    def limit(self, problem: QuadraticProgram) -> int:
        return 20_000

    def bind(self, problem: QuadraticProgram) -> Any:
        # Sparse factors are no arrays that a state could hold; they follow from the penalty.
        return self.but(working={}) if isinstance(problem.q, np.ndarray) else self

    def init(self, problem: QuadraticProgram, x0: Any, memory: Memory, key: Any) -> SplittingState:
        xp, dtype = conditions.namespace(problem.q), problem.q.dtype
        scaled, own = self._own(problem, equilibrated(problem, self.scalings))
        point = xp.clip(x0, problem.lower, problem.upper)
        known = _remembered(memory, problem)
        rows = conditions.multipliers(problem, point) if known is None else known[0]
        found = conditions.conditions(problem, point, rows)
        bounds = found.bounds if known is None else known[1]
        penalty = xp.asarray(self.penalty if known is None else known[2], dtype)
        x = point / scaled.columns
        w = scaled.rows * problem.image(point)
        low, high = _limits(problem, scaled)
        y = scaled.cost * xp.concatenate([bounds * scaled.columns, rows / scaled.rows])
        zero = xp.zeros((), np.int32)
        return SplittingState(
            x=x, v=xp.clip(xp.concatenate([x, w]), low, high), y=y, penalty=penalty,
            inverse=self._inverse(problem, own, penalty), scaled=scaled, point=point, rows=rows,
            ray=xp.zeros_like(point), code=zero, merit=found.value, k=zero, factorizations=zero + 1,
        )  # fmt: skip

    def _own(self, problem: QuadraticProgram, scaled: Scaled) -> tuple[Scaled, Scaled]:
        """What a state holds of a scaled program, and all of it: sparse matrices are no arrays."""
        if not is_sparse(problem):
            return scaled, scaled
        known = {} if self.working is None else self.working
        if scaled.P is not None:
            known["scaled"] = scaled
        elif "scaled" not in known:
            known["scaled"] = rescaled(problem, scaled)
        return scaled._replace(P=None, A=None), known["scaled"]

    def _penalties(self, problem: QuadraticProgram, penalty: Any) -> Any:
        """One for each bound and row: more for equations, none where nothing bounds."""
        xp = conditions.namespace(problem.q)
        low = xp.concatenate([problem.lower, problem.l])
        high = xp.concatenate([problem.upper, problem.u])
        each = xp.where(low == high, _EQUATIONS * penalty, penalty)
        loose = ~(xp.isfinite(low) | xp.isfinite(high))
        return xp.where(loose, 0.0, each).astype(problem.q.dtype)

    def _inverse(self, problem: QuadraticProgram, scaled: Scaled, penalty: Any) -> Any:
        """The inverse of K, where it is dense."""
        xp, n = conditions.namespace(problem.q), problem.q.shape[0]
        if scipy.sparse.issparse(scaled.P):
            return np.zeros((0, 0), problem.q.dtype)
        each = self._penalties(problem, penalty)
        K = scaled.P + xp.diag(each[:n] + xp.asarray(_proximal(each.dtype), each.dtype))
        if scaled.A is not None:
            K = K + (scaled.A.T * each[n:]) @ scaled.A
        if xp is np:
            solve = factored(K)
            return np.full_like(K, np.nan) if solve is None else solve(np.eye(n, dtype=K.dtype))
        return jax.scipy.linalg.cho_solve(
            (jnp.linalg.cholesky(K), True), jnp.eye(n, dtype=K.dtype)
        )  # fmt: skip

    def _solver(self, problem: QuadraticProgram, scaled: Scaled, penalty: Any, inverse: Any) -> Any:
        if not scipy.sparse.issparse(scaled.P):
            return lambda target: inverse @ target
        known = {} if self.working is None else self.working
        factor = known.get(float(penalty))
        n = problem.q.size
        each = self._penalties(problem, penalty)
        if factor is None:
            K = scaled.P + scipy.sparse.diags(each[:n] + _proximal(each.dtype))
            bounding = each[n:] > 0
            if bounding.any():
                A = scaled.A.tocsr()[bounding]
                K = scipy.sparse.bmat([[K, A.T], [A, scipy.sparse.diags(-1 / each[n:][bounding])]])
            factor = scipy.sparse.linalg.splu(
                scipy.sparse.csc_matrix(K), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=1e-3,
                options={"SymmetricMode": True},
            )  # fmt: skip
            scaled_too = known.get("scaled")
            known.clear()
            known.update({float(penalty): factor, "scaled": scaled_too})
        rest = np.zeros(factor.shape[0] - n, problem.q.dtype)
        return lambda target: factor.solve(np.concatenate([target, rest]))[:n]

    def step(self, problem: QuadraticProgram, state: SplittingState) -> SplittingState:
        xp, n = conditions.namespace(problem.q), problem.q.shape[0]
        scaled, alpha = self._own(problem, state.scaled)[1], self.relaxation
        low, high = _limits(problem, scaled)
        each = self._penalties(problem, state.penalty)
        weak = xp.where(each > 0, 1.0 / xp.where(each > 0, each, 1.0), 0.0)
        solve = self._solver(problem, scaled, state.penalty, state.inverse)

        def image(x: Any) -> Any:
            return x if scaled.A is None else xp.concatenate([x, scaled.A @ x])

        def pulled(y: Any) -> Any:
            return y if scaled.A is None else y[:n] + scaled.A.T @ y[n:]

        def once(x: Any, v: Any, y: Any) -> Any:
            ahead = solve(_proximal(x.dtype) * x - scaled.q + pulled(each * v - y))
            t = alpha * image(ahead) + (1.0 - alpha) * v + weak * y
            v = xp.clip(t, low, high)
            return alpha * ahead + (1.0 - alpha) * x, v, each * (t - v)

        begun = state.x, state.v, state.y
        if xp is np:
            for _ in range(self.every - 1):
                begun = once(*begun)
        else:
            begun = jax.lax.fori_loop(0, self.every - 1, lambda _, s: once(*s), begun)
        x, v, y = once(*begun)
        # How the residuals compare, in the units of the iteration.
        bent, borne, w = scaled.P @ x, pulled(y), image(x)
        primal = conditions.largest(xp.where(each > 0, w - v, 0))
        primal = primal / xp.maximum(
            xp.maximum(conditions.largest(w), conditions.largest(v)), 1e-30
        )
        dual = conditions.largest(bent + scaled.q + borne) / xp.maximum(
            xp.maximum(conditions.largest(bent), conditions.largest(borne)),
            xp.maximum(conditions.largest(scaled.q), 1e-30),
        )
        turn = xp.sqrt(xp.maximum(primal, 1e-30) / xp.maximum(dual, 1e-30))
        wish = xp.clip(turn * state.penalty, _LEAST, _MOST)
        apart = _APART * (1.0 + state.k * self.every / _LONG)
        change = (wish > apart * state.penalty) | (wish * apart < state.penalty)
        change = change & xp.isfinite(wish)
        penalty = xp.where(change, wish, state.penalty).astype(state.penalty.dtype)
        if xp is jnp:
            # A choice between equally good iterations, without a derivative worth having.
            penalty = jax.lax.stop_gradient(penalty)
        if xp is np:
            inverse = self._inverse(problem, scaled, penalty) if change else state.inverse
        else:
            inverse = jax.lax.cond(
                change, lambda: self._inverse(problem, scaled, penalty), lambda: state.inverse
            )
        point = xp.clip(scaled.columns * x, problem.lower, problem.upper)
        rows = scaled.rows * y[n:] / scaled.cost
        found = conditions.conditions(problem, point, rows)
        value = found.value
        drift = scaled.rows * (y - begun[2])[n:] / scaled.cost
        ray = scaled.columns * (x - begun[0])
        infeasible = conditions.proves_infeasible(problem, drift)
        unbounded = conditions.proves_unbounded(problem, point, ray)
        if self.polish:
            point, rows, value = _polished(problem, point, rows, y, n, value)
        code = xp.where(infeasible | unbounded, Reason.infeasible.code, 0).astype(np.int32)
        return SplittingState(
            x=x, v=v, y=y, penalty=penalty, inverse=inverse, scaled=state.scaled, point=point,
            rows=xp.where(infeasible, drift, rows), ray=xp.where(unbounded, ray, 0), code=code,
            merit=value, k=state.k + 1,
            factorizations=state.factorizations + change.astype(np.int32) + int(self.polish),
        )  # fmt: skip

    def measure(self, problem: QuadraticProgram, state: SplittingState) -> Any:
        return state.merit

    def status(self, state: SplittingState) -> Any:
        return state.code

    def iterate(self, problem: QuadraticProgram, state: SplittingState) -> tuple[Any, Multipliers]:
        found = conditions.conditions(problem, state.point, state.rows)
        return state.point, Multipliers(state.rows, found.bounds, state.ray)

    def calls(self, problem: QuadraticProgram, state: SplittingState) -> dict[str, Any]:
        done = state.factorizations, self.every * state.k
        if isinstance(state.x, np.ndarray):
            done = int(done[0]), int(done[1])
        return {"factorization": done[0], "solve": done[1]}

    def remember(self, problem: QuadraticProgram, state: SplittingState) -> dict[str, Entry]:
        n = problem.q.shape[0]
        bounds = state.y[:n] / (state.scaled.cost * state.scaled.columns)
        return {"splitting": Entry((state.rows, bounds, state.penalty), depends=("size",))}


def _proximal(dtype: Any) -> float:
    """sigma, for equilibrated data."""
    return max(_PROXIMAL, _SEEN * float(jnp.finfo(dtype).eps))


def _limits(problem: QuadraticProgram, scaled: Scaled) -> tuple[Any, Any]:
    """Bounds of the scaled x and of its image."""
    xp = conditions.namespace(problem.q)
    low = xp.concatenate([problem.lower / scaled.columns, scaled.rows * problem.l])
    return low, xp.concatenate([problem.upper / scaled.columns, scaled.rows * problem.u])


def _polished(
    problem: QuadraticProgram, point: Any, rows: Any, y: Any, n: int, value: Any
) -> tuple[Any, Any, Any]:
    """The minimizer with the constraints as equations that have multipliers, if it is better."""
    xp = conditions.namespace(problem.q)
    sides = xp.where(problem.lower == problem.upper, -1.0, xp.sign(y[:n]))
    on = xp.where(problem.l == problem.u, -1.0, xp.sign(y[n:]))
    other, turned = held_point(problem, sides, on, point, rows)
    other = xp.clip(other, problem.lower, problem.upper)
    found = conditions.conditions(problem, other, turned).value
    better = found < value
    return (
        xp.where(better, other, point), xp.where(better, turned, rows),
        xp.where(better, found, value),
    )  # fmt: skip


def _remembered(memory: Memory, problem: QuadraticProgram) -> tuple[Any, Any, Any] | None:
    """Multipliers and the penalty of an earlier solve, where they are such."""
    value, dtype = memory.get("splitting"), problem.q.dtype
    shapes = (problem.l.shape, problem.q.shape, ())
    if not conditions.are_arrays(value, shapes):
        return None
    xp = conditions.namespace(problem.q)
    rows, bounds, penalty = (xp.nan_to_num(xp.asarray(part, dtype)) for part in value)
    rows = conditions.admissible(xp, rows, problem.l, problem.u)
    bounds = conditions.admissible(xp, bounds, problem.lower, problem.upper)
    return rows, bounds, xp.clip(penalty, _LEAST, _MOST)
