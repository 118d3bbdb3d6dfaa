"""What a solve by blocks keeps beside its state: the model, fixed blocks and their factors."""

from typing import Any

import numpy as np
import scipy.sparse.linalg

from resolvent.composite.blocks import selection, updates
from resolvent.composite.blocks.forests import solved
from resolvent.composite.blocks.gaps import duality_gap
from resolvent.composite.blocks.models import LinearModel, MulticlassModel, model_of
from resolvent.composite.blocks.partitions import Blocks, fixed_blocks

_DRIFT = 10  # steps after which a gradient that was followed is computed again, at least
_HUGE = 500  # members from which on a block's matrix is not made dense if it can be avoided


class Working:
    """One method on one problem."""

    def __init__(self, method: Any, problem: Any):
        self.method, self.problem, self.model = method, problem, model_of(problem)
        size = self.model.size
        self.block_size = min(size, method.block_size or int(np.ceil(size ** (1 / 3))))
        self.greedy = method.selection in selection.GREEDY
        self.follows = self.greedy or self.model.cheap
        self.graph = method.partition in ("coloring", "tree", "forest")
        self.has_blocks = method.partition not in ("variable", "forest")
        self.epoch = 1 if self.graph else -(-size // self.block_size)
        if method.partition == "given":
            self.epoch = len(method.blocks)
        quadratic = not isinstance(self.model, LinearModel | MulticlassModel)
        self.every = 1 if self.greedy and quadratic else max(1, self.epoch // 2)
        self.afresh = max(self.epoch, _DRIFT)
        self._blocks: Any = None
        self._place = np.full(size, -1)
        self._cyclic: Any = (None, -1, None)

    def begun(self, x0: Any) -> Any:
        """A first guess as a row, within its bounds; what has no curvature where it costs least."""
        parts = x0 if isinstance(x0, tuple) else (x0,)
        x = np.concatenate([np.ravel(part) for part in parts]).astype(self.model.dtype)
        terms = self.model.terms
        x = np.minimum(np.maximum(x, terms.lower), terms.upper)
        if self.model.bounded and terms.convex:
            least = np.minimum(np.maximum(0, terms.lower), terms.upper).astype(x.dtype)
            x = np.where((self.model.lipschitz == 0) & (terms.bars > 0), least, x)
        return x

    def point(self, x: Any) -> Any:
        """A row as the problem's unknown."""
        first = self.problem.first
        if not isinstance(first, tuple):
            return x.reshape(first.shape)
        own = first[0].size
        return x[:own].reshape(first[0].shape), x[own:].reshape(first[1].shape)

    def fixed(self, words: Any) -> tuple[Any, Any]:
        """Members and starts of the fixed blocks; nothing where there are none."""
        if not self.has_blocks:
            return np.empty(0, np.intp), np.empty(0, np.intp)
        return fixed_blocks(
            self.method.partition, self.block_size, self.model, self.method.blocks,
            np.random.Generator(np.random.Philox(key=words, counter=[0, 0, 1, 0])),
        )  # fmt: skip

    def blocks(self, state: Any) -> Blocks:
        """The fixed blocks of a state, with what is known of them."""
        known = self._blocks
        if known is None or (
            known.members is not state.members and not np.array_equal(known.members, state.members)
        ):
            known = self._blocks = Blocks(state.members, state.starts, self.model)
        return known

    def drawn(self, words: Any, step: int) -> Any:
        """The generator of a step: it depends on the key and the step alone."""
        if self.greedy or (self.has_blocks and self.method.selection == "cyclic"):
            return None
        return np.random.Generator(np.random.Philox(key=words, counter=[0, 0, 0, step]))

    def measured(self, problem: Any, x: Any, z: Any, g: Any) -> float:
        """The certificate's value, or a bound of it."""
        terms, model = self.model.terms, self.model
        linear = isinstance(model, LinearModel | MulticlassModel)
        if linear and problem.dual:
            return duality_gap(problem, terms, x, z, g - terms.ridge * x)
        if terms.convex and not terms.ridge.any():
            size = np.linalg.norm(x - terms.near(x - g, 1.0)) if not terms.absent else (
                np.linalg.norm(g))  # fmt: skip
        else:
            size = np.linalg.norm(terms.violations(x, g))
        if not linear:
            return float(size)
        w = x[: problem.first[0].size] if problem.intercept else x
        return float(size) + float(problem.endless(z, w))

    def _curvatures(self, state: Any) -> Any:
        """The diagonal model of greedy rules."""
        method, model = self.method, self.model
        if method.constants == "searched":
            own = state.constants
            if method.selection == "gsl":
                blocks = self.blocks(state)
                most = np.maximum.reduceat(own[blocks.members], blocks.starts[:-1])
                return blocks.spread(most)
            return own
        if method.selection == "gsl":
            blocks = self.blocks(state)
            return blocks.spread(blocks.largest)
        if method.diagonal == "rows":
            return model.row_sums
        if method.diagonal == "scaled":
            return self.block_size * model.lipschitz
        return model.lipschitz

    def chosen(self, state: Any, rng: Any) -> tuple[Any, int]:
        """The next block, and its number if it is one of the fixed ones, else -1."""
        rule, x, g = self.method.selection, state.x, state.g
        curvatures = self._curvatures(state) if rule in ("gsl", "gsd", "gsq") else None
        if self.has_blocks:
            blocks = self.blocks(state)
            if rule == "cyclic":
                number = state.steps % blocks.count
            else:
                number = selection.chosen_fixed(rule, blocks, x, g, curvatures, rng)
            return blocks[number], number
        if self.method.partition == "forest":
            return selection.chosen_forest(rule, self.model, x, g, curvatures, rng), -1
        if rule == "cyclic":
            return self._next_piece(state), -1
        return selection.chosen_variable(
            rule, self.model, self.block_size, x, g, curvatures, rng
        ), -1  # fmt: skip

    def _next_piece(self, state: Any) -> Any:
        """A piece of this epoch's permutation."""
        pieces = -(-self.model.size // self.block_size)
        epoch, piece = divmod(state.steps, pieces)
        if self._cyclic[1] != epoch or self._cyclic[0] is not state.words:
            rng = np.random.Generator(np.random.Philox(key=state.words, counter=[0, 0, 2, epoch]))
            self._cyclic = (state.words, epoch, rng.permutation(self.model.size))
        begin = piece * self.block_size
        return self._cyclic[2][begin : begin + self.block_size]

    def moved(self, state: Any, block: Any, number: int, g: Any) -> updates.Move:
        """Where the update moves a block."""
        update, model, x, z = self.method.update, self.model, state.x, state.z
        if update == "gradient" and self.method.constants == "searched":
            constant = float(state.constants[block].max())
            return updates.searched_step(model, x, z, g, block, constant)
        if update == "gradient":
            known = number >= 0
            constant = self._blocks.largest[number] if known else None
            constant = updates.block_constant(model, block) if constant is None else constant
            return updates.gradient_step(model, x, g, block, float(constant))
        if update == "two-metric":
            return updates.two_metric_step(model, x, z, g, block)
        if self.graph or (block.size >= _HUGE and model.terms.absent and model.fixed):
            return self._by_messages(block, x, g)
        # Beside penalties that are not convex a line need not lead downhill; below a bound it does.
        majorized = update == "matrix" or (model.bounded and not model.terms.convex)
        if majorized or model.fixed:
            if number >= 0 and model.terms.absent and block.size < _HUGE:
                return updates.Move(x[block] - self._blocks.inverses[number] @ g)
            return updates.matrix_step(model, x, g, block, model.bound(block))
        return updates.newton_step(model, x, z, g, block)

    def _by_messages(self, block: Any, x: Any, g: Any) -> updates.Move:
        matrix, ridge = self.model.matrix, self.model.terms.ridge
        if matrix is None:
            return updates.matrix_step(self.model, x, g, block, self.model.bound(block))
        d, trouble = solved(matrix, ridge, block, -g, self._place)
        if trouble == "cycle":
            own = matrix[block][:, block] + scipy.sparse.diags_array(ridge[block])
            d = scipy.sparse.linalg.spsolve(own.tocsc(), -g)
        return updates.Move(x[block] + d, failed=trouble == "indefinite")
