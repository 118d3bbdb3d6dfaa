"""The sums of the experiments on variance-reduced Halpern iterations, and how courses are run."""

import math
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.traced import join, split
from resolvent._core.value import Value


class AffineSum(NamedTuple):
    """Components M_i u - q_i, their answer and their constants.

    Attributes:
        M: shape [n, d, d].
        q: shape [n, d].
        answer: u with mean(M_i) u = mean(q_i).
        cocoercive: the constant L of cocoercivity on average; infinite for operators that turn.
        average: the Lipschitz constant on average.
        plain: that of the mean.
    """

    M: np.ndarray
    q: np.ndarray
    answer: np.ndarray
    cocoercive: float
    average: float
    plain: float

    def problem(self) -> Any:
        """The inclusion, which begins at zero."""
        import resolvent as rs
        from resolvent.inclusion import FiniteSum

        constants = {"lipschitz": self.average}
        if math.isfinite(self.cocoercive):
            constants["cocoercive"] = self.cocoercive
        F = FiniteSum(affine, (self.M, self.q), whole=self.mean, **constants)
        return rs.Inclusion(F, start=np.zeros(self.M.shape[1]))

    @property
    def mean(self) -> Any:
        """F itself, in one product: evaluating it is charged as n components all the same."""
        from resolvent.inclusion import AffineOperator

        return AffineOperator(self.M.mean(0), -self.q.mean(0))

    def residual(self, u: Any) -> float:
        """||F(u)||."""
        return float(np.linalg.norm(self.M.mean(0) @ np.asarray(u) - self.q.mean(0)))


def affine(u: Any, data: Any) -> Any:
    """One component."""
    return data[0] @ u - data[1]


def cocoercive_sum(n: int, d: int = 20, seed: int = 0) -> AffineSum:
    """Positive semidefinite components with one ill-conditioned mean, and noise in what they want.

    H_i = R (B_i^T B_i / d) R^T with B_i of standard normal entries and R R^T of eigenvalues from 1
    down to 1e-4; q_i = H_i u* + 0.1 xi_i with xi centred.
    """
    rng = np.random.default_rng(seed)
    root = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.sqrt(np.logspace(0, -4, d))
    B = rng.standard_normal((n, d, d))
    roots = B @ root.T
    H = np.einsum("nki,nkj->nij", roots, roots, optimize=True) / d
    answer, noise = rng.standard_normal(d), rng.standard_normal((n, d))
    q = H @ answer + 0.1 * (noise - noise.mean(0))
    square, mean = np.einsum("nki,nkj->ij", H, H, optimize=True) / n, H.mean(0)
    L = float(np.linalg.eigvals(np.linalg.solve(mean, square)).real.max())
    average = math.sqrt(np.linalg.norm(square, 2))
    return AffineSum(H, q, answer, L, average, float(np.linalg.norm(mean, 2)))


def bilinear_sum(n: int, d: int = 10, seed: int = 0) -> AffineSum:
    """Components (A_i y, -A_i^T x) whose mean has singular values from 1 down to 1e-2."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2))
    noise = rng.standard_normal((n, d, d)) / np.sqrt(d)
    A = (U * np.logspace(0, -2, d)) @ V.T + noise - noise.mean(0)
    M = np.zeros((n, 2 * d, 2 * d))
    M[:, :d, d:], M[:, d:, :d] = A, -A.transpose(0, 2, 1)
    answer = rng.standard_normal(2 * d)
    q = np.broadcast_to(M.mean(0) @ answer, (n, 2 * d))
    square = np.einsum("nki,nkj->ij", M, M, optimize=True) / n
    average, plain = math.sqrt(np.linalg.norm(square, 2)), float(np.linalg.norm(M.mean(0), 2))
    return AffineSum(M, q, answer, math.inf, average, plain)


class _Columns(Value):
    """What x_i and the i-th multiplier meet in M (x, y) + q: two columns of M."""

    q: Any

    def __call__(self, u: Any, data: Any) -> Any:
        of_x, of_y, place = data
        n = u.shape[0] // 2
        return n * (of_x * u[place] + of_y * u[n + place]) + self.q


def constrained_quadratic_sum(n: int) -> Any:
    """The saddle point of min x^T H x / 2 - h^T x subject to A x = b, as a sum over columns.

    Component i holds what x_i and the i-th multiplier meet: a column of H, one of A, a row of A.
    It begins at 1/n everywhere.
    """
    import resolvent as rs
    from resolvent.inclusion import FiniteSum
    from resolvent.inclusion.generators import constrained_quadratic

    whole: Any = constrained_quadratic(n).F
    M = whole.A
    pairs = np.stack([M[:, :n].T, M[:, n:].T], axis=2)
    data = np.ascontiguousarray(M[:, :n].T), np.ascontiguousarray(M[:, n:].T), np.arange(n)
    average = math.sqrt(n) * float(np.linalg.norm(pairs, 2, axis=(1, 2)).max())
    F = FiniteSum(_Columns(whole.q), data, whole=whole, lipschitz=average)
    return rs.Inclusion(F, start=np.full(2 * n, 1 / n))


def game_of_the_authors(n: int) -> Any:
    """Their policeman and burglar, in which it is the burglar who wants the payoff small.

    x mixes houses and y posts, and y^T A x is minimized over x.
    """
    import resolvent as rs
    from resolvent.inclusion.generators import policeman_and_burglar

    return rs.MatrixGame(np.ascontiguousarray(policeman_and_burglar(n, seed=1).A.T))


class HalpernState(NamedTuple):
    x: Any
    Fx: Any
    anchor: Any
    k: Any
    merit: Any


class ForwardBackwardHalpern(Method):
    """Algorithm 1 with all of F at every step: x <- J(l x_0 + (1 - l) x - step F(x))."""

    step_size: Any

    name: ClassVar[str] = "forward-backward-halpern"
    solves: ClassVar = ()
    engines: ClassVar = ("traced",)

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> HalpernState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        return HalpernState(x, Fx, x, 0.0 * problem.merit(x, Fx), problem.merit(x, Fx))

    def step(self, problem: Any, state: HalpernState) -> HalpernState:
        pull = 2.0 / (state.k + 4.0)
        moved = trees.combined(
            (pull, state.anchor), (1.0 - pull, state.x), (-self.step_size, state.Fx)
        )
        x = problem.resolvent(moved, self.step_size)
        Fx = problem.operator(x)
        return HalpernState(x, Fx, state.anchor, state.k + 1.0, problem.merit(x, Fx))

    def measure(self, problem: Any, state: HalpernState) -> Any:
        return state.merit

    def iterate(self, problem: Any, state: HalpernState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: Any, state: HalpernState) -> dict[str, Any]:
        return {"operator": 1.0 + state.k}


class Course(NamedTuple):
    """What one method reached at what cost.

    Attributes:
        epochs: evaluations of components so far, over their number: at some moments.
        residuals: natural residual then.
        reached: for each accuracy that was asked about, the epochs until the residual stays below.
        first: for each of them, the epochs until `solve` would have ended.
    """

    epochs: np.ndarray
    residuals: np.ndarray
    reached: np.ndarray
    first: np.ndarray

    def at(self, epochs: float) -> float:
        """The residual after so many epochs, one of the `moments` of `course`; NaN beyond."""
        place = np.searchsorted(self.epochs, epochs)
        return float(self.residuals[place]) if place < self.epochs.size else math.nan


def course(
    problem: Any, method: Any, epochs: float, accuracies: Any = (), key: int = 0,
    *, moments: Any = (), points: int = 120, outer: bool = False,
) -> Course:  # fmt: skip
    """Run a method through the library for so many epochs; all methods are charged alike.

    A component costs 1 / n epochs, all of F one epoch, whatever tricks it is evaluated by. Methods
    that take all of F count operators, others count components. Residuals are those of the point
    that the method would return; with `outer`, where an outer iteration has just ended.
    """
    with jax.enable_x64(True):
        prepared = problem.prepare("traced")
        method = method.bind(prepared)
        levels = jnp.asarray(np.asarray(accuracies, float))
        static, dynamic = split((prepared, method))
        carry, residual = _begin(static, dynamic, jax.random.key(key), levels)
        seen = [(float(carry[3]), float(residual))]
        for limit in np.union1d(np.geomspace(2.0, epochs, points), moments):
            carry, residual = _until(static, dynamic, carry, levels, limit, outer)
            seen.append((float(carry[3]), float(residual)))
    cost, residuals = (np.array(column) for column in zip(*seen, strict=True))
    last, first = np.asarray(carry[1]), np.asarray(carry[2])
    if outer:
        ends = [np.flatnonzero(residuals > level).max(initial=-1) + 1 for level in accuracies]
        last = np.append(cost, np.inf)[np.array(ends, int)]
    return Course(cost, residuals, np.where(last < cost[-1], last, np.inf), first)


def _spent(problem: Any, method: Any, state: Any) -> Any:
    """Epochs so far."""
    calls = method.calls(problem, state)
    if "component" in calls:
        return calls["component"] / problem.F.components
    return 1.0 * jnp.asarray(calls["operator"])


@partial(jax.jit, static_argnums=0)
def _begin(static: Any, dynamic: Any, key: Any, levels: Any) -> Any:
    problem, method = join(static, dynamic)
    state = method.init(problem, problem.first, Memory(), key)
    cost, residual = (
        jnp.asarray(_spent(problem, method, state), float),
        method.measure(problem, state),
    )
    return (state, jnp.zeros(levels.shape), jnp.full(levels.shape, jnp.inf), cost), residual


@partial(jax.jit, static_argnums=(0, 5))
def _until(static: Any, dynamic: Any, carry: Any, levels: Any, limit: Any, outer: bool) -> Any:
    problem, method = join(static, dynamic)

    def goes_on(carry: Any) -> Any:
        return (carry[3] < limit) | (outer and carry[0].inner > 0)

    def body(carry: Any) -> Any:
        state, last, first, _ = carry
        state = method.step(problem, state)
        cost = jnp.asarray(_spent(problem, method, state), float)
        high = method.measure(problem, state) > levels
        return (
            state,
            jnp.where(high, cost, last),
            jnp.where(high, first, jnp.minimum(first, cost)),
            cost,
        )

    carry = jax.lax.while_loop(goes_on, body, carry)
    return carry, method.measure(problem, carry[0])


def halpern(total: AffineSum, eta: float, steps: int, *, classical: bool = False) -> np.ndarray:
    """||F(u_k)|| of the deterministic iteration, which costs one epoch a step.

    Args:
        total: the sum.
        eta: of u_{k+1} = p u_0 + (1 - p) u_k - eta F(u_k) with p = 2 / (k + 4).
        steps: how many.
        classical: take u_{k+1} = p u_0 + (1 - p) (u_k - eta F(u_k)) with p = 1 / (k + 2) instead.
    """
    M, q = total.M.mean(0), total.q.mean(0)
    u = first = np.zeros(len(q))
    sizes = np.empty(steps)
    for k in range(steps):
        value = M @ u - q
        sizes[k] = np.linalg.norm(value)
        pull = 1 / (k + 2) if classical else 2 / (k + 4)
        u = pull * first + (1 - pull) * u - eta * (1 - pull if classical else 1.0) * value
    return sizes


def exact_resolvents(total: AffineSum, eta: float, steps: int) -> np.ndarray:
    """The lesser of ||F(v_k)|| and ||F(u_k)|| in Algorithm 2 with a direct solver inside."""
    M, q = total.M.mean(0), total.q.mean(0)
    inverse = np.linalg.inv(np.eye(len(q)) + eta * M)
    u = first = np.zeros(len(q))
    sizes = [total.residual(u)]
    for k in range(steps):
        v = inverse @ (u + eta * q)
        u = first / (k + 2) + (1 - 1 / (k + 2)) * v
        sizes.append(min(total.residual(u), total.residual(v)))
    return np.array(sizes)


def stays_below(sizes: np.ndarray, accuracy: float) -> float:
    """Epochs until deterministic residuals, one an epoch, stay below an accuracy."""
    above = np.flatnonzero(sizes > accuracy)
    if above.size == 0:
        return 1.0
    return float(above[-1] + 2) if above[-1] + 1 < sizes.size else math.inf


def iterates(problem: Any, method: Any, moments: Any, key: int) -> Any:
    """A method's points after so many steps, of the outer iteration in Algorithm 2."""
    with jax.enable_x64(True):
        prepared = problem.prepare("traced")
        method = method.bind(prepared)
        static, dynamic = split((prepared, method))
        (state, *_), _ = _begin(static, dynamic, jax.random.key(key), jnp.zeros(0))
        found = []
        for moment in moments:
            state = _to(static, dynamic, state, int(moment))
            found.append(np.asarray(state.x))
    return found


@partial(jax.jit, static_argnums=0)
def _to(static: Any, dynamic: Any, state: Any, k: Any) -> Any:
    problem, method = join(static, dynamic)
    return jax.lax.while_loop(lambda s: s.k < k, lambda s: method.step(problem, s), state)
