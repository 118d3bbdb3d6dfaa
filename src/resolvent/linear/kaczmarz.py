"""The randomized Kaczmarz iteration."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent.linear.cg import kernel_status
from resolvent.linear.problem import LinearSystem
from resolvent.linear.relaxation import rows_of


class KaczmarzState(NamedTuple):
    x: Any
    words: Any  # the key of the counter-based generator
    epochs: int
    scalars: Any
    status: int
    products: int


class Kaczmarz(Method):
    """Randomized Kaczmarz: project onto the equations, drawn at random.

    Solves A x = b by `x <- x + (b_i - a_i^T x) / ||a_i||^2 a_i`, where row i is drawn with
    probability `||a_i||^2 / ||A||_F^2`. One step is an epoch of n projections, so that its work is
    that of one product with A and step counts compare with those of the other methods.

    Args:
        rows: A by rows with their norms; filled in by `bind`.

    Raises:
        ValueError: if the entries of A are not known.

    Cost per iteration:
        About two passes over the entries of A for the n projections, n random numbers, and one
        pass for the true residual. Numba on compressed rows; a dense matrix is converted once.

    Convergence:
        For every consistent system, without symmetry or a diagonal:
        `E ||e_k||^2 <= (1 - 1 / (||A||_F^2 ||A^-1||^2))^(n k) ||e_0||^2` after k epochs. On an
        inconsistent system it wanders about the least-squares solution and ends as `stalled`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[0.0, 2.0], [3.0, 1.0]])
        assert rs.solve(rs.LinearSystem(A, np.ones(2)), rs.linear.Kaczmarz(), key=0).converged
        ```

    Reference:
        T. Strohmer, R. Vershynin (2009), A randomized Kaczmarz algorithm with exponential
        convergence, arXiv math/0702226.
    """

    rows: Any = dataclasses.field(default=None, kw_only=True)

    name: ClassVar[str] = "kaczmarz"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("entries",)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    random: ClassVar[bool] = True
    in_order: ClassVar[bool] = True
    # The residual of a random walk sets new records rarely, however surely it falls.
    monitored: ClassVar[int] = 10_000

    def bind(self, problem: LinearSystem) -> Any:
        from resolvent.linear import kernels_relax as kernels

        data, indices, indptr = rows_of(problem)
        squares = np.empty(problem.n)
        kernels.row_squares(data, indptr, squares)
        ends = np.cumsum(squares)
        return self.but(rows=(data, indices, indptr, squares, ends))

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> KaczmarzState:
        words = key.integers(0, 2**64, 2, dtype=np.uint64)
        return self._begin(problem, x0.copy(), words, 0, 1)

    def _begin(
        self, problem: LinearSystem, x: Any, words: Any, epochs: int, products: int
    ) -> KaczmarzState:
        r = problem.residual(x)
        scalars = np.array([np.sqrt(np.vdot(r, r)), 0.0])
        total = self.rows[-1][-1]
        # Without a finite positive total there is no distribution to draw from.
        status = 0 if 0.0 < total < np.inf else Reason.breakdown.code
        return KaczmarzState(x, words, epochs, scalars, status, products)

    def step(self, problem: LinearSystem, state: KaczmarzState) -> KaczmarzState:
        own = state._replace(x=state.x.copy(), scalars=state.scalars.copy())
        return self.advance(problem, own, 1, -1.0)[0]

    def advance(
        self, problem: LinearSystem, state: KaczmarzState, steps: int, target: float
    ) -> tuple[KaczmarzState, Any]:
        from resolvent.linear import kernels_relax as kernels

        data, indices, indptr, squares, ends = self.rows
        n, trace = problem.n, np.empty(steps)
        done, status = 0, state.status
        while done < steps and not status and not state.scalars[0] <= target:
            drawn = _draw(state.words, state.epochs + done, ends, n)
            _, _, code = kernels.kaczmarz(
                data, indices, indptr, problem.b, squares, drawn, n, state.x, state.scalars, -1.0,
                trace[done : done + 1],
            )  # fmt: skip
            status = kernel_status(code)
            done += 1
        return state._replace(epochs=state.epochs + done, status=status), trace[:done]

    def measure(self, problem: LinearSystem, state: KaczmarzState) -> Any:
        return state.scalars[0]

    def status(self, state: KaczmarzState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: KaczmarzState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: KaczmarzState) -> KaczmarzState:
        return self._begin(problem, state.x, state.words, state.epochs, state.products + 1)

    def calls(self, problem: LinearSystem, state: KaczmarzState) -> dict[str, Any]:
        projections = state.epochs * problem.n
        return {"matvec": state.products, "row": projections, "residual": state.epochs}


def _draw(words: Any, epoch: int, ends: Any, n: int) -> Any:
    # The numbers of an epoch depend on the key and the epoch alone, so that neither chunks nor
    # an interruption change them.
    random = np.random.Generator(np.random.Philox(key=words, counter=[0, 0, 0, epoch]))
    drawn = np.searchsorted(ends, random.random(n) * ends[-1], side="right")
    return np.minimum(drawn, n - 1)
