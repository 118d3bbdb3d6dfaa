"""The house of inclusions and games, with a referee who projects and solves in NumPy.

All of its problems but the matrix games are variational inequalities of affine operators on a box,
however they are written: as an inclusion, as a saddle point, as a game, as a finite sum.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog
from suite.vectors import Vectors

import resolvent as rs
from resolvent.inclusion import AffineOperator, FiniteSum

SIZES = (3, 2, 3)  # unknowns of the players of a game
FACTORIZED = {"douglas-rachford"}  # methods that need the resolvent of F
SPLIT = 3  # unknowns of the first player of a saddle point


def affine(x: Any, args: Any) -> Any:
    """An operator that says nothing of itself."""
    return args[0] @ x + args[1]


def component(x: Any, data: Any) -> Any:
    return data[0] @ x + data[1]


def saddle(x: Any, y: Any, args: Any) -> Any:
    """A function whose operator is that of a matrix with blocks P, B, -B^T, Q."""
    matrix, offset = args
    P, Q, B = matrix[:SPLIT, :SPLIT], matrix[SPLIT:, SPLIT:], matrix[:SPLIT, SPLIT:]
    quadratic = 0.5 * x @ P @ x - 0.5 * y @ Q @ y + x @ B @ y
    return quadratic + offset[:SPLIT] @ x - offset[SPLIT:] @ y


def _loss(player: int) -> Any:
    begin, end = sum(SIZES[:player]), sum(SIZES[: player + 1])

    def loss(x: Any, args: Any) -> Any:
        matrix, offset = args
        own, rows = x[player], matrix[begin:end]
        others = jnp.concatenate(x)
        # Half of the own block belongs to the square.
        return (
            own @ (rows @ others) - 0.5 * own @ rows[:, begin:end] @ own + offset[begin:end] @ own
        )

    return loss


LOSSES = tuple(_loss(player) for player in range(len(SIZES)))


@dataclasses.dataclass(frozen=True)
class Equilibrium:
    """One variational inequality on a box, its data in double precision, and its answer."""

    problem: Any
    matrix: np.ndarray
    offset: np.ndarray
    bound: float  # |x_i| <= bound
    unit: float

    @functools.cached_property
    def solution(self) -> np.ndarray:
        """The answer as one vector: contracted until the bounds it meets are known, then solved."""
        x = np.zeros(self.offset.size)
        strong = np.linalg.eigvalsh(self.matrix + self.matrix.T)[0] / 2
        step = strong / np.linalg.norm(self.matrix, 2) ** 2 if strong > 0 else 0.0
        for _ in range(4000):
            x = self._project(x - step * (self.matrix @ x + self.offset))
        free = np.abs(x) < self.bound
        if strong > 0 and free.any():
            rest = self.offset[free] + self.matrix[np.ix_(free, ~free)] @ x[~free]
            x[free] = -np.linalg.solve(self.matrix[np.ix_(free, free)], rest)
        return x

    @property
    def answer(self) -> Any:
        """What `x` should be, in double precision, as `solve` takes it as a first guess."""
        ends = np.cumsum([leaf.size for leaf in self.like])[:-1]
        structure = jax.tree_util.tree_structure(self.problem.first)
        return jax.tree_util.tree_unflatten(structure, np.split(self.solution, ends))

    @property
    def scale(self) -> float:
        """The unit of F."""
        return self.unit

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        leaves = jax.tree_util.tree_leaves(self.problem)
        return [np.array(leaf) for leaf in leaves if hasattr(leaf, "shape")]

    @property
    def like(self) -> tuple[Any, ...]:
        """Arrays of the problem whose kind, precision and shape the parts of `x` share."""
        return tuple(jax.tree_util.tree_leaves(self.problem.first))

    def view(self, x: Any) -> np.ndarray:
        """All unknowns in one vector."""
        return _flat(x)

    def measure(self, x: Any) -> float:
        """The natural residual in double precision."""
        x = _flat(x)
        return float(np.linalg.norm(x - self._project(x - self.matrix @ x - self.offset)))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to a residual that is computed in `dtype`."""
        x = np.abs(self.solution)
        size = np.abs(self.matrix) @ x + np.abs(self.offset) + x
        return float(10 * np.finfo(dtype).eps * np.linalg.norm(size))

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        return float(np.linalg.norm(_flat(x) - self.solution) / np.linalg.norm(self.solution))

    def allowed(self, value: float) -> float:
        """The error that a residual of `value` can hide: (1 + L) / mu of it."""
        strong = np.linalg.eigvalsh(self.matrix + self.matrix.T)[0] / 2
        amplification = (1 + np.linalg.norm(self.matrix, 2)) / strong
        return float(amplification * value / np.linalg.norm(self.solution))

    def _project(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, -self.bound, self.bound)


@dataclasses.dataclass(frozen=True)
class ZeroSum:
    """One matrix game, its payoffs in double precision, and its answer by linear programming."""

    problem: Any
    matrix: np.ndarray

    @functools.cached_property
    def answer(self) -> Any:
        """Both players' strategies, which are the only ones."""
        return _strategy(self.matrix), _strategy(-self.matrix.T)

    scale = Equilibrium.scale
    arrays = Equilibrium.arrays
    like = Equilibrium.like

    @property
    def unit(self) -> float:
        return float(np.abs(self.matrix).max())

    def view(self, x: Any) -> np.ndarray:
        return _flat(x)

    def measure(self, x: Any) -> float:
        """The duality gap in double precision, of the strategies that are meant."""
        p, q = (np.maximum(np.asarray(part, np.float64), 0) for part in x)
        p, q = p / p.sum(), q / q.sum()
        return float((p @ self.matrix).max() - (self.matrix @ q).min())

    def rounding(self, dtype: Any) -> float:
        return float(10 * np.finfo(dtype).eps * self.unit * max(self.matrix.shape))

    def error(self, x: Any) -> float:
        return float(np.linalg.norm(_flat(x) - _flat(self.answer)))

    def allowed(self, value: float) -> float:
        """The error that a gap can hide: it grows at least like a multiple of the distance."""
        return 1000 * value / self.unit


def _strategy(matrix: np.ndarray) -> np.ndarray:
    """The row player's best mixture: least v with A^T x <= v."""
    n, m = matrix.shape
    found = linprog(
        np.r_[np.zeros(n), 1.0], A_ub=np.c_[matrix.T, -np.ones(m)], b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0], bounds=[(0, None)] * n + [(None, None)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    return found.x[:n]


def _flat(x: Any) -> np.ndarray:
    leaves = jax.tree_util.tree_leaves(x)
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in leaves])


@dataclasses.dataclass(frozen=True)
class Inclusions(Vectors):
    """Strongly monotone operators of few unknowns.

    Variants suit methods that ask for more: problems without G, finite sums, and targets for
    methods whose residual falls like 1 / k even here.
    """

    free: bool = False
    components: bool = False
    slow: bool = False

    size = 8
    number = 6  # of components
    bound = 0.5
    dtypes = (np.float64, np.float32)
    alike = True  # the kinds are ways to write such a problem, and no other numbers
    exact = True  # where all unknowns are at their bounds
    returns_guesses = True
    scalings = 2

    def suited(self, cls: type) -> "Inclusions":
        """The variant for a method."""
        needs: tuple[str, ...] = cls.needs
        return Inclusions("unconstrained" in needs, "components" in needs, cls.monitored > 1000)

    @property
    def tight(self) -> float:
        """A relative tolerance that double precision carries, or that a slow method reaches."""
        return 1e-5 if self.slow else 1e-9

    @property
    def floor(self) -> float:
        """What is reached where the tolerance cannot be met."""
        return 1e-6 if self.slow else 1e-12

    @property
    def finest(self) -> float:
        """The tolerance for derivatives."""
        return self.tight if self.slow else 1e-11

    @property
    def sharpest(self) -> float:
        """The tolerance for one unknown."""
        return self.tight if self.slow else 1e-12

    @property
    def unrolled_error(self) -> float:
        """What the derivative of the last iterate may differ by from that of the answer."""
        return 2e-2 if self.slow else 1e-5

    @property
    def endless(self) -> bool:
        """Whether a method may use all its steps before it knows that it cannot do better."""
        return self.slow

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    @property
    def kind(self) -> str:
        """What is solved where a test does not say."""
        return "sum" if self.components else "affine"

    def kinds(self, cls: type) -> list[str]:
        """The ways to write an inclusion that a method's needs allow."""
        if self.components:
            return ["sum"]
        if cls.name in FACTORIZED:
            return ["affine", "matrix"]
        kinds = ["affine", "function", "saddle"]
        turns = self.free or self.slow or "cocoercive" in cls.needs
        return kinds if turns else [*kinds, "matrix"]

    def data(self, seed: int = 0, n: int | None = None, kind: str = "affine") -> Any:
        """Matrix (or one a component) and offset in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 31])
        root = rng.standard_normal((n, n)) / n
        turn = rng.standard_normal((n, n)) / np.sqrt(2 * n)
        matrix, offset = np.eye(n) + root @ root.T, rng.standard_normal(n)
        if kind == "saddle":
            matrix[:SPLIT, SPLIT:] = matrix[SPLIT:, :SPLIT] = 0.0
            turn[:SPLIT, :SPLIT] = turn[SPLIT:, SPLIT:] = 0.0
        elif kind == "game":
            # A player's own block comes from a loss, and is symmetric.
            ends = np.cumsum((0, *SIZES))
            for begin, end in itertools.pairwise(ends):
                turn[begin:end, begin:end] = 0.0
        matrix = matrix + turn - turn.T
        if not self.components:
            return matrix, offset
        noise = 0.3 * rng.standard_normal((self.number, n, n)) / np.sqrt(n)
        more = 0.3 * rng.standard_normal((self.number, n))
        return matrix + noise - noise.mean(0), offset + more - more.mean(0)

    def wrap(
        self, matrix: Any, offset: Any, engine: str, dtype: Any = np.float64,
        kind: str = "affine", lipschitz: bool = True, factor: float = 1.0,
    ) -> Equilibrium:  # fmt: skip
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        matrix, offset = np.asarray(matrix).astype(dtype), np.asarray(offset).astype(dtype)
        whole, drift = (np.array(part, np.float64) for part in (matrix, offset))
        if self.components:
            whole, drift = whole.mean(0), drift.mean(0)
        if dtype == np.float32:
            matrix, offset = jnp.asarray(matrix), jnp.asarray(offset)
        start = (offset * 0)[0] if self.components else offset * 0
        bound = np.inf if self.free else factor * self.bound
        unit = float(np.linalg.norm(drift)) * (100.0 if self.slow else 1.0)
        constants: dict[str, Any] = {"unit": unit}
        if lipschitz and kind != "function":
            constants["lipschitz"] = float(np.linalg.norm(whole, 2)) * 1.0001
        problem = self._written(kind, matrix, offset, start, bound, constants)
        return Equilibrium(problem, whole, drift, bound, unit)

    def _written(
        self, kind: str, matrix: Any, offset: Any, start: Any, bound: float, constants: Any
    ) -> Any:
        box = None if bound == np.inf else rs.functions.Box(-bound, bound)
        if kind == "saddle":
            pair = start[:SPLIT], start[SPLIT:]
            return rs.SaddlePoint(saddle, box, box, start=pair, args=(matrix, offset), **constants)
        if kind == "game":
            ends = np.cumsum((0, *SIZES))
            parts = tuple(start[begin:end] for begin, end in itertools.pairwise(ends))
            boxes = None if box is None else [box] * len(SIZES)
            return rs.Game(LOSSES, boxes, start=parts, args=(matrix, offset), **constants)
        if kind == "function":
            return rs.Inclusion(affine, box, start=start, args=(matrix, offset), **constants)
        if self.components:
            return rs.Inclusion(
                FiniteSum(component, (matrix, offset)), box, start=start, **constants
            )
        return rs.Inclusion(AffineOperator(matrix, offset), box, start=start, **constants)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Any:
        kind = self.kind if kind is None else kind
        if kind == "matrix":
            return matrix_game(seed, dtype)
        matrix, offset = self.data(seed, kind=kind)
        return self.wrap(matrix, offset, engine, dtype, kind)

    def larger(self, engine: str) -> Equilibrium:
        """A problem of another size."""
        matrix, offset = self.data(n=self.size + 3)
        return self.wrap(matrix, offset, engine)

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        return [*super().bad_guesses(), ([np.ones(self.size)], ValueError)]

    def effortless(self, engine: str) -> tuple[Equilibrium, list[Any]]:
        """F is zero at the first guess, which is the answer."""
        matrix, offset = self.data()
        sample = self.wrap(matrix, offset, engine)
        still = sample.problem.F.but(**self._moved(sample.problem.F, sample.offset))
        first = dataclasses.replace(
            sample, problem=sample.problem.but(F=still), offset=0 * sample.offset
        )
        return first, [None, np.zeros(self.size)]

    def _moved(self, F: Any, offset: np.ndarray) -> dict[str, Any]:
        if self.components:
            return {"data": (F.data[0], F.data[1] - offset)}
        return {"q": F.q - offset}

    def one_unknown(self, value: float, engine: str) -> Equilibrium:
        free = dataclasses.replace(self, free=True)
        matrix, offset = np.array([[value]]), np.array([-6.0])
        if self.components:
            matrix, offset = np.stack([matrix] * 2), np.stack([offset] * 2)
        return free.wrap(matrix, offset, engine)

    def scaled(self, index: int, engine: str) -> tuple[Equilibrium, Equilibrium, float]:
        """A problem, the same in another unit of x and F, and what brings its views back."""
        factor, lipschitz = [(2.0**-20, True), (2.0**12, False)][index]
        matrix, offset = self.data()
        plain = self.wrap(matrix, offset, engine, lipschitz=lipschitz)
        scaled = self.wrap(matrix, factor * offset, engine, lipschitz=lipschitz, factor=factor)
        return plain, scaled, 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Equilibrium, Equilibrium, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        matrix, offset = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(matrix, offset, engine, dtype)
        mixed = self.wrap(matrix[..., order, :][..., order], offset[..., order], engine, dtype)
        return plain, mixed, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed=seed)

    def traced(self, matrix: Any, offset: Any) -> Any:
        """A problem of JAX values."""
        start = (0 * offset)[0] if self.components else 0 * offset
        bound = np.inf if self.free else self.bound
        # Derivatives pass through the problem's arrays: its constants are numbers of all seeds.
        constants = {"unit": 200.0 if self.slow else 2.0, "lipschitz": 3.0}
        return self._written(self.kind, matrix, offset, start, bound, constants)

    def easy(self, matrix: Any, offset: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return matrix, 0 * offset

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        matrix, offset = self.data()
        rng = np.random.default_rng(8)
        # Where the answer is known to few digits only, its derivative must not depend on more.
        bump = 0.0 if self.slow else np.diag(rng.uniform(0.1, 0.5, self.size))
        slope, weights = (rng.standard_normal(self.size) for _ in range(2))

        def parts(t: Any) -> tuple[Any, Any]:
            return matrix + t * bump, offset + t * slope

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), "traced").solution)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5


def matrix_game(seed: int = 0, dtype: Any = np.float64, shape: Any = (4, 3)) -> ZeroSum:
    """A game with one equilibrium: all of a square part is played, and nothing else is."""
    rng = np.random.default_rng([seed, 32])
    short = min(shape)
    matrix = rng.uniform(-0.3, 0.3, shape)
    matrix[:short, :short] += np.eye(short)
    matrix[short:] += 1.0
    matrix[:, short:] -= 1.0
    payoffs = matrix.astype(dtype)
    game = rs.MatrixGame(payoffs if dtype == np.float64 else jnp.asarray(payoffs))
    return ZeroSum(game, np.array(payoffs, np.float64))
