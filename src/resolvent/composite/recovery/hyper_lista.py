"""HyperLISTA: shrinkage with analytic weights, of which only three numbers are tuned."""

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, count, is_traced, one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine
from resolvent._core.value import Value, static
from resolvent.composite.sparse_recovery import SparseRecovery, column_lengths

_MOST = 0.9  # of the momentum: more diverges on instances with many nonzeros
_THRESHOLD, _MOMENTUM, _FEW = 4.0, 1.0, 8  # 4 / (m + 8), 1 / (m + 8)
_SETTLED = 3  # layers with one support before conjugate gradients take over


class Layer(Value):
    """The matrices of a layer, which depend on A alone.

    Attributes:
        A: [m, n], whose they are.
        columns: [m, n], those of A in units in which the layer works.
        units: [n], what a coefficient of A is multiplied by in these units.
        pull: [n, m], the weights W^T: of the residual in the user's units.
        inverse: [n, m], the pseudo-inverse, None where it is `pull` times `shares`.
        shares: [n], the diagonal of A^+ A.
    """

    A: Any
    columns: Any
    units: Any
    pull: Any
    inverse: Any
    shares: Any

    def pulled(self, r: Any) -> tuple[Any, Any]:
        """W^T r and A^+ r."""
        w = self.pull @ r
        return w, w * self.shares if self.inverse is None else self.inverse @ r


def layer_of(A: Any, weights: str) -> Layer:
    """The matrices of a layer for A.

    Among all W with w_j . a_j = 1, that of the least ||W^T A - I|| has the rows of the
    pseudo-inverse for its columns, each divided by its product with a_j: one product with a vector
    gives both W^T r and A^+ r.
    """
    lengths = column_lengths(A)
    if weights == "analytic":
        columns = A / lengths
        inverse = jnp.linalg.pinv(columns)
        shares = jnp.einsum("nm,mn->n", inverse, columns)
        return Layer(A, columns, lengths, inverse / shares[:, None], None, shares)
    # B = G A with G = (A A^T)^(-1/2), the inverse taken on the range of A.
    values, vectors = jnp.linalg.eigh((A / lengths) @ (A / lengths).T)
    floor = values[-1] * values.size * jnp.finfo(A.dtype).eps
    seen = values > floor
    G = (vectors * jnp.where(seen, jnp.where(seen, values, 1.0) ** -0.5, 0.0)) @ vectors.T
    B = G @ (A / lengths)
    own = jnp.sqrt((B * B).sum(axis=0))
    B, units = B / own, lengths * own
    return Layer(A, A / units, units, B.T @ G, jnp.linalg.pinv(B) @ G, jnp.ones_like(own))


class ListaState(NamedTuple):
    x: Any
    before: Any
    """The x of the layer before."""
    r: Any
    """A x - b."""
    size: Any
    """||A^+ b||_1."""
    measure: Any
    products: Any
    finish: Any
    """A `Finish`, or None."""


class Finish(NamedTuple):
    """Conjugate gradients on a support."""

    direction: Any
    pulled: Any
    """A^T (b - A x) on the support."""
    square: Any
    on: Any
    """[n], the support; that of the last try where none runs."""
    left: Any
    """How many steps it has; 0 where none runs."""
    settled: Any
    """Layers since the support of x changed."""


class HyperLISTA(Method):
    """Shrinkage with analytic weights, momentum and support selection, tuned by three numbers.

    Solves `SparseRecovery` problems without a loss. With columns of length 1, the pseudo-inverse
    A^+ and weights W, a layer takes

        e = ||A^+ (A x - b)||_1, threshold = c1 e, momentum = c2 ||x||_0,
        z = x - W^T (A x - b) + momentum (x - x_before),

    shrinks the entries of z towards zero by the threshold, and lets those pass as they are that
    exceed it and are among the n c3 log(||A^+ b||_1 / e) largest.

    Args:
        c1: of the threshold; None for 4 / (m + 8).
        c2: of the momentum, which is held below 0.9; None for
            1 / (m + 8).
        c3: of the share of entries that pass.
        weights: "analytic" for the W of the least ||W^T A - I|| with w_j . a_j = 1, or "symmetric"
            for (A A^T)^(-1/2) A, with columns of length 1, in place of both W and A.
        finish: once a support of at most m / 2 entries has stayed for three layers, find the
            least-squares fit on it by conjugate gradients, and go on with layers if that is not
            the answer.
        layer: the matrices of a layer; filled in by `bind` and `fit`.

    Raises:
        ValueError: for a number that is negative or not finite, or another word for the weights.

    Cost per iteration:
        Two products with matrices of the size of A and a sort of n numbers; three products with
        symmetric weights. A pseudo-inverse once a solve, or once for all problems of a matrix where
        the method was bound to it.

    Convergence:
        Linear to a sparse x with A x = b, as long as the threshold is no less than the largest
        abs(w_i . a_j) times ||x - answer||_1, which e estimates. There is no guarantee for other
        numbers: they are tuned by `fit` for a matrix and the answers that one expects. With
        `finish` and the support of the answer, no more than ||x||_0 further steps.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        A, x = rng.standard_normal((60, 120)), np.zeros(120)
        x[[3, 50, 70]] = [1.0, -2.0, 1.5]
        sol = rs.solve(rs.SparseRecovery(A, A @ x, 3), rs.composite.HyperLISTA(), rtol=1e-8)
        assert np.allclose(sol.x, x)
        ```

    Reference:
        X. Chen, J. Liu, Z. Wang, W. Yin (2021), Hyperparameter tuning is all you need for LISTA,
        arXiv 2110.15900.
    """

    c1: Any = None
    c2: Any = None
    c3: Any = 0.2
    weights: str = static(default="analytic")
    finish: bool = static(default=False)
    layer: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "hyper-lista"
    solves: ClassVar = (SparseRecovery,)
    needs: ClassVar[tuple[str, ...]] = ("equations",)
    engines: ClassVar[tuple[Engine, ...]] = ("traced",)

    def __post_init__(self) -> None:
        for name in ("c1", "c2", "c3"):
            value: Any = getattr(self, name)
            if value is None and name != "c3":
                continue
            if isinstance(value, int) and not isinstance(value, bool):
                vars(self)[name] = value = float(value)  # so that another one compiles nothing
            between(
                name, cast(Any, value), -math.ulp(0.0), math.inf, "Zero switches this part off."
            )
        one_of("weights", self.weights, ("analytic", "symmetric"))

    def bind(self, problem: SparseRecovery) -> Any:
        return self if self._fits(problem.A) else self.but(layer=_layer_of(problem.A, self.weights))

    def _fits(self, A: Any) -> bool:
        """Whether the matrices of the layer are those of A, as far as one can tell."""
        if self.layer is None or self.layer.A.shape != A.shape or self.layer.A.dtype != A.dtype:
            return False
        if self.layer.A is A or is_traced((A, self.layer)):
            return True
        return np.array_equal(np.asarray(self.layer.A), np.asarray(A))

    def numbers(self, A: Any) -> tuple[Any, Any, Any]:
        """c1, c2 and c3 for a matrix."""
        # In the pseudo-inverse's image, an error d on few of n columns has an l1 norm of about
        # m ||d|| / sqrt(n) and entries beside them of about ||d|| / sqrt(n).
        m = A.shape[0] + _FEW
        c1 = _THRESHOLD / m if self.c1 is None else self.c1
        c2 = _MOMENTUM / m if self.c2 is None else self.c2
        return c1, c2, self.c3

    def init(self, problem: SparseRecovery, x0: Any, memory: Memory, key: Any) -> ListaState:
        r = problem.residual(x0)
        size = jnp.abs(self.layer.pulled(problem.b)[1]).sum()
        finish = None
        if self.finish:
            zero = jnp.zeros((), r.dtype)
            finish = Finish(
                jnp.zeros_like(x0), jnp.zeros_like(x0), zero, jnp.zeros(x0.shape, bool),
                jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32),
            )  # fmt: skip
        return ListaState(
            x0, x0, r, size, jnp.asarray(problem.shortfall(x0, r)),
            jnp.full((), 2, jnp.int32), finish,
        )  # fmt: skip

    def step(self, problem: SparseRecovery, state: ListaState) -> ListaState:
        if state.finish is None:
            return self._layered(problem, state)
        return jax.lax.cond(
            state.finish.left > 0, partial(self._fitted, problem), partial(self._watched, problem),
            state,
        )  # fmt: skip

    def _layered(self, problem: SparseRecovery, state: ListaState) -> ListaState:
        layer = self.layer
        x = layered(
            layer, state.x * layer.units, state.before * layer.units, state.r, state.size,
            self.numbers(problem.A),
        ) / layer.units  # fmt: skip
        r = problem.residual(x)
        return state._replace(
            x=x,
            before=state.x,
            r=r,
            measure=problem.shortfall(x, r),
            products=state.products + (2 if layer.inverse is None else 3),
        )

    def _watched(self, problem: SparseRecovery, state: ListaState) -> ListaState:
        """A layer, and conjugate gradients begun where its support has settled."""
        new = self._layered(problem, state)
        finish, on = state.finish, new.x != 0
        settled = jnp.where((on == (state.x != 0)).all(), finish.settled + 1, 0)
        count = on.sum()
        begins = (settled >= _SETTLED) & (count > 0) & (2 * count <= new.r.size)
        begins = begins & (on != finish.on).any()
        # As with the sparsity of the problem: the layer's own units.
        pulled = jnp.where(on, -(new.r @ self.layer.columns), 0.0)
        square = (pulled * pulled).sum()
        chosen = Finish(
            jnp.where(begins, pulled, finish.direction), jnp.where(begins, pulled, finish.pulled),
            jnp.where(begins, square, finish.square), jnp.where(begins, on, finish.on),
            jnp.where(begins, count.astype(jnp.int32) + 2, 0),
            jnp.where(begins, 0, settled).astype(jnp.int32),
        )  # fmt: skip
        return new._replace(finish=chosen, products=new.products + 1)

    def _fitted(self, problem: SparseRecovery, state: ListaState) -> ListaState:
        """A step of conjugate gradients on the support."""
        finish, columns = state.finish, self.layer.columns
        image = columns @ finish.direction
        curvature = image @ image
        fine = curvature > 0
        step = jnp.where(fine, finish.square / jnp.where(fine, curvature, 1.0), 0.0)
        x = state.x + step * finish.direction / self.layer.units
        r = problem.residual(x)
        pulled = jnp.where(finish.on, -(r @ columns), 0.0)
        square = (pulled * pulled).sum()
        share = jnp.where(fine, square / jnp.where(fine, finish.square, 1.0), 0.0)
        return state._replace(
            x=x, before=x, r=r, measure=problem.shortfall(x, r), products=state.products + 3,
            finish=finish._replace(
                direction=pulled + share * finish.direction, pulled=pulled, square=square,
                left=jnp.where(fine, finish.left - 1, 0).astype(jnp.int32),
            ),
        )  # fmt: skip

    def measure(self, problem: SparseRecovery, state: ListaState) -> Any:
        return state.measure

    def iterate(self, problem: SparseRecovery, state: ListaState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: SparseRecovery, state: ListaState) -> dict[str, Any]:
        return {"matvec": state.products}

    def fit(
        self,
        problems: Sequence[SparseRecovery],
        key: Any = None,
        *,
        answers: Any = None,
        layers: int = 16,
        grid: tuple[Any, Any, Any] | None = None,
        refine: int = 1,
    ) -> "HyperLISTA":
        """Choose the three numbers that leave the least error after some layers.

        Args:
            problems: with the same matrix.
            key: not used: the search is deterministic.
            answers: [problems, n], what they should be solved by; without them, their residuals
                and excess entries count.
            layers: after how many the error is taken.
            grid: values of c1, c2 and c3 that are all tried together.
            refine: how often the grid is laid anew around the best three, at half of its spacing.

        Returns:
            A copy with the best numbers and the matrices of a layer.

        Raises:
            ValueError: for no problems, problems of different matrices or with a loss, or answers
                of another shape.
        """
        problems = list(problems)
        _check_sample(problems)
        count("layers", layers, least=1)
        with scope(needs_double(problems[0].A)):
            own = [problem.prepare("traced") for problem in problems]
            ready = self.bind(own[0])
            b = jnp.stack([problem.b for problem in own])
            truth = None
            if answers is not None:
                truth = jnp.asarray(np.asarray(answers), b.dtype)
                if truth.shape != (len(own), own[0].A.shape[1]):
                    refuse(
                        ValueError, "answers", given=f"shape {truth.shape}",
                        needed=f"shape {(len(own), own[0].A.shape[1])}",
                        advice="One row a problem.",
                    )  # fmt: skip
            return ready._searched(own[0], b, truth, layers, _GRID if grid is None else grid,
                                   refine)  # fmt: skip

    def _searched(
        self, problem: Any, b: Any, truth: Any, layers: int, grid: Any, refine: int
    ) -> "HyperLISTA":
        first = self.numbers(problem.A)
        best, least = tuple(float(c) for c in first), math.inf
        tried: set[tuple[float, ...]] = set()
        axes = [np.asarray(axis, float) for axis in grid]
        for _ in range(refine + 1):
            for three in np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3):
                three = tuple(float(c) for c in three)
                if three in tried:
                    continue
                tried.add(three)
                error = float(_error_of(problem, self.layer, b, truth, three, layers))
                if error < least:
                    best, least = three, error
            axes = [_around(axis, c) for axis, c in zip(axes, best, strict=True)]
        return self.but(c1=best[0], c2=best[1], c3=best[2])


# Orders of magnitude around what matrices of some hundred columns ask for.
_GRID = (
    np.geomspace(1e-3, 0.1, 9),
    np.array([0.0, 1.0, 3.0, 5.0, 8.0, 12.0, 20.0]) * 1e-3,
    np.array([0.01, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4]),
)


def layered(layer: Layer, z: Any, before: Any, r: Any, size: Any, three: Any) -> Any:
    """The next coefficients, in the units of the layer."""
    c1, c2, c3 = three
    pulled, distances = layer.pulled(r)
    e = jnp.abs(distances).sum()
    some = (e > 0) & (size > 0)
    ratio = jnp.where(some, size, 1.0) / jnp.where(some, e, 1.0)
    momentum = jnp.minimum(c2 * (z != 0).sum(), _MOST).astype(z.dtype)
    passing = jnp.round(jnp.clip(c3 * jnp.log(ratio), 0.0, 1.0) * z.size).astype(jnp.int32)
    moved = z - pulled + momentum * (z - before)
    threshold = c1 * e
    length = jnp.abs(moved)
    order = jax.lax.top_k(jax.lax.stop_gradient(length), z.size)[0]
    least = jnp.where(passing > 0, order[jnp.maximum(passing - 1, 0)], jnp.inf)
    whole = (length >= least) & (length >= threshold)
    shrunk = jnp.sign(moved) * jnp.maximum(length - threshold, 0.0)
    return jnp.where(whole, moved, shrunk)


@partial(jax.jit, static_argnums=1)
def _layer_of(A: Any, weights: str) -> Layer:
    return layer_of(A, weights)


def depths(problem: Any, layer: Layer, b: Any, three: Any, layers: int) -> Any:
    """The points after each layer for one right-hand side, [layers, n]."""
    problem = problem.but(b=b)
    size = jnp.abs(layer.pulled(b)[1]).sum()

    def body(carry: Any, _: Any) -> Any:
        x, before = carry
        new = layered(
            layer, x * layer.units, before * layer.units, problem.residual(x), size, three
        ) / layer.units  # fmt: skip
        return (new, x), new

    zero = jnp.zeros_like(problem.first)
    return jax.lax.scan(body, (zero, zero), length=layers)[1]


@partial(jax.jit, static_argnums=5)
def _error_of(problem: Any, layer: Layer, b: Any, truth: Any, three: Any, layers: int) -> Any:
    """What some layers leave of the answers, all problems together."""

    def last(b: Any) -> Any:
        return depths(problem, layer, b, three, layers)[-1]

    x = jax.vmap(last)(b)
    if truth is not None:
        return ((x - truth) ** 2).sum() / (truth**2).sum()
    left = jax.vmap(lambda x, b: problem.shortfall(x, problem.A @ x - b))(x, b)
    return (left**2).sum() / (b**2).sum()


def _around(axis: np.ndarray, best: float) -> np.ndarray:
    """The value that was best, and those half-way to its neighbours."""
    i = int(np.argmin(np.abs(axis - best)))
    near = [best]
    for j in (i - 1, i + 1):
        if 0 <= j < axis.size:
            other = float(axis[j])
            product = best * other
            near.append(math.sqrt(product) if product > 0 else 0.5 * (best + other))
    return np.sort(near)


def _check_sample(problems: list[Any]) -> None:
    alike = all(isinstance(problem, SparseRecovery) for problem in problems)
    if not problems or not alike or any(problem.loss is not None for problem in problems):
        refuse(
            ValueError, "problems", given="none" if not problems else "others among them",
            needed="SparseRecovery problems without a loss", advice="Draw some that are typical.",
        )  # fmt: skip
    first = problems[0].A
    if any(
        problem.A is not first and not np.array_equal(np.asarray(problem.A), np.asarray(first))
        for problem in problems
    ):
        refuse(
            ValueError, "problems", given="problems of different matrices", needed="one matrix",
            advice="The numbers are tuned for a matrix: fit a method for each.",
        )  # fmt: skip
