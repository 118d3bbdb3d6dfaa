"""Block coordinate descent with greedy rules, steps of second order and message passing."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import count, one_of, refuse
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.blocks.admission import admit
from resolvent.composite.blocks.working import Working
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.composite.quadratic import Quadratic

PARTITIONS = (
    "variable", "order", "random", "average", "sort", "hsort", "havg", "coloring", "tree",
    "forest", "given",
)  # fmt: skip
SELECTIONS = ("gs", "gsl", "gsd", "gsq", "mi", "random", "cyclic", "lipschitz")
UPDATES = ("gradient", "matrix", "newton", "two-metric")
_QUIET = 200  # steps, or 20 epochs, without a better measure that end a solve
_STUCK = 10  # for how many of them one counts that moved nothing


class BlockState(NamedTuple):
    x: Any
    """[N], the unknowns in one row."""
    z: Any
    """The predictions of x, where there are any."""
    g: Any
    """The gradient of the smooth part, followed or of the last time that it was measured."""
    members: Any
    starts: Any
    """The fixed blocks, or empty."""
    constants: Any
    """[N], what is known of constants that are searched for."""
    words: Any
    """The key of the counter-based generator."""
    steps: int
    measure: float
    value: float
    best: float
    quiet: int
    changed: int
    """The last step that changed which coordinates rest."""
    status: int
    gradients: int
    values: int


class BlockCoordinateDescent(Method):
    """Descent along one block of coordinates after the other.

    Solves `Quadratic` problems and `GeneralizedLinear` ones with smooth losses, with penalties that
    are sums over coordinates (l1, elastic net, weights, squares, bounds, MCP, SCAD) or without any.
    One step chooses a block by a rule, and moves it by a rule, with the prox of the penalty where
    there is one:

    - Blocks are fixed ("order", "random", "sort" by curvature, "average" that mixes large and small
      ones, "hsort" and "havg" by row sums of the Hessian's bound, "given"), or any set of so many
      coordinates ("variable"). Where the matrix of a quadratic is sparse, blocks may be huge: those
      of a "coloring", of a "tree" partition into forests, or the "forest" of coordinates taken in
      greedy or random order. Then systems are solved by passing messages along the trees.
    - Blocks are chosen at "random", "cyclic", by probabilities as constants are ("lipschitz"), or
      greedily: by the slope ("gs"), or by what a model of the block gains, the model of one
      constant a block ("gsl"), a diagonal one ("gsd"), or the whole matrix ("gsq", which for
      variable blocks is approximated by iterative hard thresholding; "mi" says that this is the
      largest improvement, which it is for quadratics).
    - Moves are a "gradient" step, a step by a "matrix" above the Hessian, a "newton" step with a
      line search, or a "two-metric" projection. For quadratics the second and third are exact.

    Where penalties have kinks or bounds, `memory.get("active set")` of a solution has the last step
    that `changed` which coordinates rest there, and the `size` of the others;
    `identification_bound` says when that step must be over.

    Args:
        partition: one of the names above.
        selection: one of the names above.
        update: one of the names above.
        block_size: of blocks that are not given by a graph; None for the cube root of the number
            of unknowns, so that dense systems cost no more than a look at all coordinates.
        constants: "known", or "searched" for gradient steps whose constants are doubled until the
            model lies above f.
        diagonal: of the model of "gsd" and "gsq": "lipschitz" constants of coordinates, these
            "scaled" by the block size (a bound for every block), or "rows" sums of the matrix.
        blocks: arrays of indices, each index in one of them, for the partition "given".
        working: models and factors of the problem; filled in by `bind`.

    Raises:
        ValueError: for names that are not among these, rules that do not go together, a penalty
            that is no such sum, a loss without the derivatives or constants that a rule needs.

    Cost per iteration:
        Least squares of n samples and N unknowns, blocks of t: n t + N t for the gradient where
        its Gram matrix is kept (N up to 1500), a pass over the data otherwise; t^3 for a matrix or
        Newton step or the constant of a variable block. Random and cyclic rules look at the block
        alone. Quadratics: the entries of the block's columns; a forest costs its edges.

    Convergence:
        The objective never rises, and converges to the least one for convex penalties. With strong
        convexity mu, fixed blocks and constants L_b, greedy rules that match the update shrink the
        gap by 1 - mu / (number of blocks max L_b) a step at least. Once the support of a sparse
        answer is found and fits into a variable block, Newton and two-metric steps converge
        superlinearly, in one step for quadratics.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = 2 * np.eye(9) - np.eye(9, k=1) - np.eye(9, k=-1)  # a chain: a tree
        method = rs.composite.BlockCoordinateDescent("tree", "cyclic")
        sol = rs.solve(rs.composite.Quadratic(A, np.ones(9)), method, rtol=1e-12)
        assert sol.steps == 1
        ```

    Reference:
        J. Nutini, I. Laradji, M. Schmidt (2022), Let's make block coordinate descent converge
        faster: faster greedy rules, message-passing, active-set complexity, and superlinear
        convergence, arXiv 1712.08859.
    """

    partition: str = static(default="variable")
    selection: str = static(default="gsd")
    update: str = static(default="newton")
    block_size: int | None = static(default=None)
    constants: str = static(default="known")
    diagonal: str = static(default="lipschitz")
    blocks: Any = None
    working: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "block-coordinate-descent"
    solves: ClassVar = (GeneralizedLinear, Quadratic)
    needs: ClassVar[tuple[str, ...]] = ("smooth",)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    in_order: ClassVar[bool] = True
    ahead: ClassVar[bool] = True
    # Steps can be far smaller than a pass over the unknowns: `status` sees to stalls.
    monitored: ClassVar[int] = 1_000_000

    def __post_init__(self) -> None:
        one_of("partition", self.partition, PARTITIONS)
        one_of("selection", self.selection, SELECTIONS)
        one_of("update", self.update, UPDATES)
        one_of("constants", self.constants, ("known", "searched"))
        one_of("diagonal", self.diagonal, ("lipschitz", "scaled", "rows"))
        if self.block_size is not None:
            count("block_size", self.block_size, least=1)
        if (self.blocks is None) != (self.partition != "given"):
            refuse(
                ValueError, "blocks", given=f"partition='{self.partition}' with "
                + ("no blocks" if self.blocks is None else "blocks"),
                needed="blocks for the partition 'given', and for no other",
                advice="Pass partition='given', blocks=[...] for blocks of your own.",
            )  # fmt: skip
        if self.constants == "searched" and self.update != "gradient":
            refuse(
                ValueError, "constants", given=f"'searched' with update='{self.update}'",
                needed="update='gradient'", advice="Other updates use no such constants.",
            )  # fmt: skip

    def check(self, problem: Any) -> None:
        admit(self, problem)

    def bind(self, problem: Any) -> Any:
        bound = self.but(working=Working(self, problem))
        if "random" in (self.partition, self.selection) or self.selection == "lipschitz":
            return bound.but(random=True)
        variable = self.partition == "variable" and self.selection == "cyclic"
        return bound.but(random=True) if variable else bound

    def limit(self, problem: Any) -> int:
        return max(100_000, 1000 * problem.unknowns())

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> BlockState:
        working = self.working
        words = np.zeros(2, np.uint64) if key is None else key.integers(0, 2**64, 2, np.uint64)
        x = working.begun(x0)
        z = working.model.predictions(x)
        members, starts = working.fixed(words)
        constants = np.full(x.size, working.model.unit, x.dtype)
        state = BlockState(
            x, z, np.zeros_like(x), members, starts, constants, words,
            0, np.inf, np.inf, np.inf, 0, 0, 0, 0, 0,
        )  # fmt: skip
        return self._seen(problem, state, afresh=True)

    def _seen(self, problem: Any, state: BlockState, afresh: bool = False) -> BlockState:
        """The state with its measure, and with its gradient computed from the data if asked."""
        working, x, z, g = self.working, state.x, state.z, state.g
        gradients = state.gradients
        if afresh or not working.follows:
            g, gradients = working.model.gradient(x, z), gradients + 1
        measure = working.measured(problem, x, z, g)
        value = working.model.value(x, z, g) + working.model.terms.value(x)
        # Every step descends: what rises is no minimum of the model that it was taken for.
        room = 1e5 * float(np.finfo(x.dtype).eps) * max(abs(value), abs(state.value))
        rises = value > state.value + room
        status = Reason.breakdown.code if rises else state.status
        return state._replace(
            g=g, measure=measure, value=value, best=min(measure, state.best), status=status,
            quiet=0 if measure < state.best else state.quiet, gradients=gradients,
        )  # fmt: skip

    def step(self, problem: Any, state: BlockState) -> BlockState:
        own = state._replace(
            x=state.x.copy(), g=state.g.copy(), constants=state.constants.copy()
        )  # fmt: skip
        return self.advance(problem, own, 1, -1.0)[0]

    def advance(
        self, problem: Any, state: BlockState, steps: int, goal: float
    ) -> tuple[BlockState, Any]:
        trace = []
        while len(trace) < steps and not state.measure <= goal and not self.status(state):
            state = self._improved(problem, state)
            trace.append(state.measure)
            if not np.isfinite(state.measure):
                break
        return state, np.array(trace)

    def _improved(self, problem: Any, state: BlockState) -> BlockState:
        working, model = self.working, self.working.model
        x, z, g = state.x, state.z, state.g
        rng = working.drawn(state.words, state.steps)
        block, number = working.chosen(state, rng)
        slope = g[block] if working.follows else model.partial(x, z, block)
        move = working.moved(state, block, number, slope)
        old = x[block]
        if self.constants == "searched" and move.constant > 0:
            state.constants[block] = move.constant
        d = move.y - old
        status = Reason.breakdown.code if move.failed else state.status
        changed, quiet = state.changed, state.quiet + 1
        if d.any():
            if not model.terms.absent:
                resting = model.terms.of(block).resting
                if not np.array_equal(resting(old), resting(move.y)):
                    changed = state.steps + 1
            z = model.moved(z, block, d)
            x[block] = move.y
            if working.follows:
                g = model.follow(g, x, z, block, d)
        elif working.greedy:
            quiet += _STUCK
        following = state._replace(
            z=z, g=g, steps=state.steps + 1, changed=changed, quiet=quiet, status=status,
            values=state.values + move.values,
            gradients=state.gradients + (working.follows and not model.cheap and bool(d.any())),
        )  # fmt: skip
        if following.steps % working.every:
            return following
        afresh = following.steps % working.afresh < working.every
        return self._seen(problem, following, afresh)

    def measure(self, problem: Any, state: BlockState) -> Any:
        return state.measure

    def status(self, state: BlockState) -> Any:
        if state.quiet >= max(_QUIET, 20 * self.working.epoch):
            return Reason.stalled.code
        return state.status

    def iterate(self, problem: Any, state: BlockState) -> tuple[Any, Any]:
        return self.working.point(state.x), None

    def refresh(self, problem: Any, state: BlockState) -> BlockState:
        z = self.working.model.predictions(state.x)
        return self._seen(problem, state._replace(z=z), afresh=True)

    def remember(self, problem: Any, state: BlockState) -> dict[str, Entry]:
        resting = self.working.model.terms.resting(state.x)
        found = {"changed": state.changed, "size": int(np.count_nonzero(~resting))}
        return {"active set": Entry(found)}

    def calls(self, problem: Any, state: BlockState) -> dict[str, Any]:
        return {"block": state.steps, "gradient": state.gradients, "value": state.values}
