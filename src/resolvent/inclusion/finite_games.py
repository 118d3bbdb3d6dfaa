"""Games whose best responses are cheap: quadratic ones, and finite ones in mixed strategies."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import count, finite, is_traced, one_of, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.functions import Function, Product, Simplex
from resolvent.inclusion.bilinear import as_strategy
from resolvent.inclusion.operators import Operator
from resolvent.inclusion.problem import Inclusion


class _BlockOperator(Operator):
    """H x + q on blocks."""

    H: Any
    q: Any
    sizes: tuple[int, ...] = static()

    def __call__(self, x: Any) -> Any:
        ends = np.cumsum(self.sizes)[:-1]
        value = self.H @ jnp.concatenate(x)
        return tuple(jnp.split(value if self.q is None else value + self.q, ends))


class QuadraticGame(Inclusion):
    """A game of quadratic losses: player i pays x_i^T (H_ii x_i / 2 + sum_j H_ij x_j + q_i).

    Args:
        H: [n, n], the pseudo-gradient's matrix, whose blocks H_ii are symmetric.
        q: [n], or None for zero.
        sizes: how many entries each player has, with sum n.
        sets: one `Function` a player, or None for no constraints.
        start: the tuple of first guesses; None for the points of the sets next to zero.
        certificate: "residual" for the natural residual; "gap", for bounded sets, for the bound
            sum_i sup over u of <F_i(x), x_i - u> of what the players could gain, each alone.
        lipschitz: as in `Inclusion`.
        strong: as in `Inclusion`.
        comonotone: as in `Inclusion`.
        unit: what a relative tolerance refers to; None for the norm of q, or 1 where that is zero.

    Raises:
        ValueError: for shapes or sizes that do not fit, fewer than two players, blocks H_ii that
            are not symmetric, or "gap" where a set is unbounded.

    Example:
        ```python
        import numpy as np, resolvent as rs
        H = np.array([[2.0, 1.0], [-1.0, 2.0]])
        game = rs.QuadraticGame(H, np.array([-1.0, 0.0]), sizes=(1, 1))
        sol = rs.solve(game, rs.inclusion.Extragradient(), rtol=1e-8)
        assert np.allclose(np.concatenate(sol.x), [0.4, 0.2])
        ```
    """

    measured: str = static(default="residual")

    def __init__(
        self,
        H: Float[Any, "n n"],
        q: Float[Any, " n"] | None = None,
        *,
        sizes: Sequence[int],
        sets: Sequence[Function | None] | None = None,
        start: Any = None,
        certificate: str = "residual",
        lipschitz: float | None = None,
        strong: float | None = None,
        comonotone: float = 0.0,
        unit: float | None = None,
    ):
        sizes = tuple(count("sizes", size, least=1) for size in sizes)
        H = real_array("H", H)
        if H.shape != (sum(sizes),) * 2:
            refuse(
                ValueError, "H", given=f"shape {H.shape} for players of sizes {sizes}",
                needed=f"shape {(sum(sizes),) * 2}", advice="One row and column an entry of x.",
            )  # fmt: skip
        finite("H", H)
        vector: Any = None if q is None else real_array("q", q)
        if vector is not None:
            if vector.shape != H.shape[:1]:
                refuse(
                    ValueError, "q", given=f"shape {vector.shape}", needed=f"shape {H.shape[:1]}",
                    advice="One entry a row of H.",
                )  # fmt: skip
            finite("q", vector)
            vector = vector.astype(H.dtype)
        _check_players(len(sizes), sets)
        _check_symmetric(H, sizes)
        one_of("certificate", certificate, ("residual", "gap"))
        G = Product((None,) * len(sizes) if sets is None else sets)
        start = _begin(H, sizes, G) if start is None else tuple(start)
        if unit is None:
            unit = _size(vector)
        fields = self._fields(
            _BlockOperator(H, vector, sizes), G, start, lipschitz, strong, comonotone, 1.0
        )
        vars(self).update({**fields, "unit": unit, "measured": certificate})
        if certificate == "gap" and not _bounded(G, start):
            refuse(
                ValueError, "certificate", given="'gap' where a player's set is unbounded",
                needed="bounded sets", advice="Use 'residual'.",
            )  # fmt: skip

    def gains(self, x: Any) -> Any:
        """What each player could gain by moving alone: a bound, exact for blocks H_ii = h I.

        Args:
            x: the tuple of the players' points.

        Returns:
            An array of one number a player, infinite where that is unbounded.

        Example:
            ```python
            import numpy as np, resolvent as rs
            box = rs.functions.Box(-1.0, 1.0)
            game = rs.QuadraticGame(np.eye(2), sizes=(1, 1), sets=(box, box))
            gains = game.gains((np.ones(1), np.zeros(1)))
            assert np.allclose(gains, [0.5, 0.0])
            ```
        """
        with scope(needs_double(self.F.H) and not is_traced((x, self))):
            x = jax.tree_util.tree_map(jnp.asarray, x)
            F, begin, gains = self.operator(x), 0, []
            for own, slope, part, size in zip(x, F, self.G.parts, self.F.sizes, strict=True):
                block = self.F.H[begin : begin + size, begin : begin + size]
                begin += size
                linear = slope @ own + part.conjugate(-slope)
                h = jnp.diagonal(block).mean()
                round_block = (jnp.abs(block - h * jnp.eye(size, dtype=block.dtype)) == 0).all()
                # The best response to a loss with such a block is a projection.
                scale = jnp.where(h > 0, h, 1.0)
                best = part.prox(own - slope / scale, 1.0 / scale)
                move = own - best
                gain = slope @ move - 0.5 * h * (move @ move) + part.value(own) - part.value(best)
                gains.append(jnp.where(round_block & (h > 0), gain, linear + part.value(own)))
            found = jnp.stack(gains)
            return found if is_traced(found) or not self.numpy else np.asarray(found)

    def as_answer(self, x: Any) -> Any:
        """A point of the sets where gains are certified, whatever the first guess was."""
        if self.measured == "residual":
            return x
        with scope(needs_double(x) and not is_traced(x)):
            near = self.G.nearest(jax.tree_util.tree_map(jnp.asarray, x))
        numpy = all(isinstance(part, np.ndarray) for part in x)
        return jax.tree_util.tree_map(np.asarray, near) if numpy else near

    def as_answers(self, x: Any, problems: Any) -> Any:
        return x if self.measured == "residual" else jax.vmap(self.as_answer)(x)

    def merit(self, x: Any, Fx: Any) -> Any:
        """The certificate's value at a point whose F(x) is known."""
        if self.measured == "residual":
            return super().merit(x, Fx)
        return jax.lax.stop_gradient(_linear_gap(self.G, x, Fx))

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """The natural residual, or for bounded sets the bound of all gains together."""
        if self.measured == "residual":
            return super().certify(x, witness)
        # Gains of points outside the sets may be negative and prove nothing.
        x = self.G.nearest(jax.tree_util.tree_map(jnp.asarray, x))
        gap = jnp.maximum(self.merit(x, self.operator(x)), 0.0)
        return Certificate(
            gap, self.unit, kind="bound", name="Nikaido-Isoda gap",
            statement="sum_i sup_u <F_i(x), x_i - u> <= max(rtol unit, atol)",
        )  # fmt: skip


class _ExpectedCosts(Operator):
    """What each player's pure strategies cost against the mixtures of the others."""

    costs: tuple[Any, ...]

    def __call__(self, x: Any) -> Any:
        found = []
        for player, cost in enumerate(self.costs):
            # From the last axis on, so that those before keep their places.
            for other in reversed(range(len(x))):
                if other != player:
                    cost = jnp.tensordot(cost, x[other], axes=(other, 0))
            found.append(cost)
        return tuple(found)


class FiniteGame(Inclusion):
    """A game of finitely many pure strategies, in mixed strategies.

    The certificate is the exploitability: what all players together could gain, each by any
    other strategy of the own against the mixtures of the others. It is a bound for every game. The
    operator is monotone for zero-sum games of two players and of pairwise zero-sum interactions;
    for others no method promises an equilibrium, and the certificate alone says what was found.

    Args:
        costs: one array a player, of one axis a player: what the player pays for each choice of
            pure strategies by all.
        lipschitz: as in `Inclusion`.

    Raises:
        ValueError: for fewer than two players, or arrays whose shapes differ or have another
            number of axes.

    Example:
        ```python
        import numpy as np, resolvent as rs
        pay = np.array([[0.0, 1.0], [2.0, 0.0]])
        game = rs.FiniteGame((pay, -pay))
        sol = rs.solve(game, rs.inclusion.Extragradient(), rtol=1e-6)
        assert np.allclose(sol.x[0], [2 / 3, 1 / 3], atol=1e-5)
        ```
    """

    def __init__(self, costs: Sequence[Float[Any, "..."]], *, lipschitz: float | None = None):
        costs = tuple(real_array("costs", cost) for cost in costs)
        _check_players(len(costs), None)
        shapes = {cost.shape for cost in costs}
        if len(shapes) > 1 or costs[0].ndim != len(costs) or not costs[0].size:
            refuse(
                ValueError, "costs", given=f"shapes {[cost.shape for cost in costs]}",
                needed="the same shape for all, with one axis a player",
                advice="Axis i is the choice of player i.",
            )  # fmt: skip
        for cost in costs:
            finite("costs", cost)
        costs = tuple(cost.astype(costs[0].dtype) for cost in costs)
        xp = jnp if isinstance(costs[0], jax.Array) else np
        start = tuple(xp.full(n, 1.0 / n, costs[0].dtype) for n in costs[0].shape)
        fields = self._fields(
            _ExpectedCosts(costs), Product((Simplex(),) * len(costs)), start, lipschitz
        )
        vars(self).update({**fields, "unit": _largest(costs)})

    def as_answer(self, x: Any) -> Any:
        """Mixed strategies, whatever a first guess was that nothing improved on."""
        return tuple(as_strategy(part) for part in x)

    def as_answers(self, x: Any, problems: Any) -> Any:
        return self.as_answer(x)

    def merit(self, x: Any, Fx: Any) -> Any:
        """The exploitability of mixed strategies whose expected costs are known."""
        return jax.lax.stop_gradient(_linear_gap(self.G, x, Fx))

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`sum_i (<x_i, c_i> - min c_i) <= max(rtol max |costs|, atol)`, c_i what choices cost."""
        x = tuple(as_strategy(jnp.asarray(part)) for part in x)
        Fx = self.operator(x)
        details = {
            f"gain of player {i}": own @ cost - cost.min()
            for i, (own, cost) in enumerate(zip(x, Fx, strict=True))
        }
        return Certificate(
            jnp.maximum(sum(details.values()), 0.0), self.unit, details=details, kind="bound",
            name="exploitability", statement="sum_i (x_i c_i - min c_i) <= max(rtol unit, atol)",
        )  # fmt: skip


def _linear_gap(G: Product, x: Any, Fx: Any) -> Any:
    """sup over u in the sets of <F(x), x - u>."""
    return trees.dot(Fx, x) + G.conjugate(trees.times(-1.0, Fx))


def _check_players(players: int, sets: Any) -> None:
    if players < 2:
        refuse(
            ValueError, "sizes", given=f"{players} players", needed="two or more",
            advice="With one player this is a minimization.",
        )  # fmt: skip
    if sets is not None and len(sets) != players:
        refuse(
            ValueError, "sets", given=f"{len(sets)} for {players} players", needed="one a player",
            advice="None stands for no constraint.",
        )  # fmt: skip


def _check_symmetric(H: Any, sizes: tuple[int, ...]) -> None:
    if is_traced(H):
        return
    begin, array = 0, np.asarray(H)
    for player, size in enumerate(sizes):
        block = array[begin : begin + size, begin : begin + size]
        begin += size
        if not np.allclose(block, block.T, rtol=1e-5, atol=1e-6 * np.abs(block).max()):
            refuse(
                ValueError, "H", given=f"a block H_ii of player {player} that is not symmetric",
                needed="symmetric blocks: second derivatives of the own loss",
                advice="Use (H_ii + H_ii^T) / 2, or an Inclusion with an AffineOperator.",
            )  # fmt: skip


def _begin(H: Any, sizes: tuple[int, ...], G: Product) -> Any:
    xp = jnp if isinstance(H, jax.Array) else np
    with scope(needs_double(H) and not is_traced(H)):
        zero = tuple(jnp.zeros(size, H.dtype) for size in sizes)
        return jax.tree_util.tree_map(xp.asarray, G.nearest(zero))


def _bounded(G: Product, start: Any) -> bool:
    with scope(needs_double(start)):
        support = G.conjugate(jax.tree_util.tree_map(jnp.ones_like, start))
        against = G.conjugate(jax.tree_util.tree_map(lambda leaf: -jnp.ones_like(leaf), start))
        return is_traced((support, against)) or bool(np.isfinite(support + against))


def _size(q: Any) -> Any:
    if q is None:
        return 1.0
    xp = jnp if isinstance(q, jax.Array) else np
    size = (q * q).sum() ** 0.5
    size = xp.where(size > 0, size, 1.0).astype(q.dtype)
    return size if isinstance(q, jax.Array) else float(size)


def _largest(costs: tuple[Any, ...]) -> Any:
    xp = jnp if isinstance(costs[0], jax.Array) else np
    largest = xp.stack([abs(cost).max() for cost in costs]).max()
    largest = xp.where(largest > 0, largest, 1.0).astype(costs[0].dtype)
    return largest if isinstance(costs[0], jax.Array) else float(largest)
