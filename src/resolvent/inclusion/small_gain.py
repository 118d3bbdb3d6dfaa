"""Small-Gain Nash: a metric in which a game contracts, found from bounds of its blocks."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import is_traced, one_of, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.value import Value, static
from resolvent.functions import L1, Box, Everything, Function, Nonnegative, Product
from resolvent.inclusion.block_constants import (
    BlockConstants,
    block_constants,
    given_constants,
    least_eigenvalue,
    region_parts,
    sizes_of,
)
from resolvent.inclusion.block_metrics import (
    balanced_weights,
    checked_weights,
    margin,
    metric_lipschitz,
    ratio_band,
    scaled,
    scanned_weights,
    spread_weights,
    weighted,
)

RK4 = 2.5  # of the longest step of the Runge-Kutta method, times beta


class SmallGain(Value):
    """What a small-gain analysis found: a block metric and how fast the game contracts in it.

    The metric is `||x||_w^2 = sum_i w_i ||x_i||^2`. With a margin alpha > 0 and the Lipschitz
    constant beta of F in it, `<F(x) - F(y), x - y>_w >= alpha ||x - y||_w^2`, the flow x' = -F(x)
    draws trajectories together like exp(-alpha t), and Euler steps shorter than 2 alpha / beta^2
    contract. On a region these are statements about points of it.

    Attributes:
        weights: w_i, the first of them 1, shape [players].
        margin: alpha, by the bounds of blocks; not positive where they prove nothing.
        lipschitz: beta.
        true_margin: the strong monotonicity of F itself in this metric, at least alpha: exact for
            quadratic games, the least one seen for sampled ones, None where only constants are
            known.
        curvature: mu_i, the players' own curvatures, shape [players].
        coupling: L_ij, Lipschitz constants of F_i in x_j, shape [players, players].
        sizes: how many unknowns each player has.
        region: where the constants hold; None for everywhere.
        points: at how many points the constants were sampled, 0 where they are exact or given.
    """

    weights: Any
    margin: Any
    lipschitz: Any
    true_margin: Any
    curvature: Any
    coupling: Any
    region: Any
    sizes: tuple[int, ...] = static()
    points: int = static()

    @property
    def empirical(self) -> bool:
        """Whether the constants were sampled: then nothing here is proved."""
        return self.points > 0

    @property
    def contracts(self) -> Any:
        """Whether the margin is positive, be its constants proved or sampled."""
        return self.margin > 0

    @property
    def certified(self) -> Any:
        """Whether the margin is positive and rests on constants that hold."""
        return self.contracts & (not self.empirical)

    @property
    def verdict(self) -> str:
        """ "certified", "sampled" (a positive margin of sampled constants), or "no certificate"."""
        if not self.contracts:
            return "no certificate"
        return "sampled" if self.empirical else "certified"

    @property
    def step_sizes(self) -> tuple[float, Any]:
        """The open interval of Euler steps that contract; empty where nothing does."""
        return 0.0, self._where_contracting(2.0 * self.margin / self.lipschitz**2)

    @property
    def best_step(self) -> Any:
        """alpha / beta^2, the Euler step with the smallest factor."""
        return self._where_contracting(self.margin / self.lipschitz**2)

    @property
    def rk4_step(self) -> Any:
        """2.5 / beta: a guideline for the stability of the classical Runge-Kutta method."""
        return self._where_contracting(RK4 / self.lipschitz)

    @property
    def gain(self) -> Any:
        """The spectral radius of (L_ij / mu_i): below 1 where some metric has a positive margin."""
        if not (np.asarray(self.curvature) > 0).all():
            return math.inf
        ratios = np.asarray(self.coupling) / np.asarray(self.curvature)[:, None]
        return float(np.abs(np.linalg.eigvals(ratios)).max())

    def factor(self, step: Any) -> Any:
        """By what an Euler step brings two points together at least, in the metric.

        Args:
            step: positive; None for the best one.

        Returns:
            sqrt(1 - 2 step alpha + step^2 beta^2).

        Example:
            ```python
            import numpy as np, resolvent as rs
            found = rs.inclusion.small_gain(rs.QuadraticGame(2.0 * np.eye(2), sizes=(1, 1)))
            assert found.factor(0.25) == 0.5
            ```
        """
        step = self.best_step if step is None else step
        square = 1.0 - 2.0 * step * self.margin + (step * self.lipschitz) ** 2
        # Rounding can make it negative where the factor is zero.
        return (0.5 * (square + abs(square))) ** 0.5

    def norm(self, x: Any) -> Any:
        """`||x||_w` of a point.

        Args:
            x: a tuple of the players' variables.

        Returns:
            A number.

        Example:
            ```python
            import numpy as np, resolvent as rs
            found = rs.inclusion.small_gain(rs.QuadraticGame(np.eye(2), sizes=(1, 1)))
            assert np.isclose(found.norm((np.array([3.0]), np.array([4.0]))), 5.0)
            ```
        """
        return trees.norm(weighted(self.weights, x))

    def weight_band(self, margin: float = 0.0) -> tuple[float, float]:
        """The ratios w_2 / w_1 of two players' weights with this margin at least.

        Args:
            margin: below both curvatures.

        Returns:
            The ends of the interval, or two NaN where it is empty.

        Raises:
            ValueError: for another number of players than two.

        Example:
            ```python
            import numpy as np, resolvent as rs
            game = rs.QuadraticGame(np.array([[1.0, 10.0], [0.05, 1.0]]), sizes=(1, 1))
            low, high = rs.inclusion.small_gain(game).weight_band()
            assert round(low, 2) == 34.31 and round(high, 1) == 1165.7
            ```
        """
        if len(self.sizes) != 2:
            refuse(
                ValueError, "players", given=f"{len(self.sizes)}", needed="two",
                advice="For more, `weights` are those with the largest margin.",
            )  # fmt: skip
        return ratio_band(self.curvature, self.coupling, margin)

    def error_bound(self, problem: Any, x: Any) -> Any:
        """How far an equilibrium of the region is from x at most, in the metric.

        Args:
            problem: the game that was analysed.
            x: a point.

        Returns:
            `||F(x)||_w / alpha` without constraints, else `||x - y||_w / (1 - q)` for y one Euler
            step from x and its factor q; infinite without a certificate. For sampled constants
            an estimate, and no bound.

        Raises:
            ValueError: for a game with other players, or a set across players in a metric that
                weighs them differently.

        Example:
            ```python
            import numpy as np, resolvent as rs
            game = rs.QuadraticGame(np.eye(2), np.array([-1.0, 0.0]), sizes=(1, 1))
            found = rs.inclusion.small_gain(game)
            assert np.isclose(found.error_bound(game, (np.zeros(1), np.zeros(1))), 1.0)
            ```
        """
        self.fits(problem)
        with scope(needs_double(problem) and not is_traced((problem, x))):
            ready = problem.prepare("traced")
            x = jax.tree_util.tree_map(jnp.asarray, x)
            Fx = ready.operator(x)
            if problem.lacks("unconstrained") is None:
                bound = self.norm(Fx) / self.margin
            else:
                if not is_traced(self.weights):
                    self.projects(problem)
                step = self.best_step
                y = ready.resolvent(trees.plus(x, -step, Fx), step)
                bound = self.norm(trees.minus(x, y)) / (1.0 - self.factor(step))
            bound = jnp.where(self.contracts, bound, jnp.inf)
            return bound if is_traced(bound) else float(bound)

    def fits(self, problem: Any) -> None:
        """Refuse a problem with other players than the one that was analysed."""
        sizes = sizes_of(problem)
        if sizes != self.sizes:
            refuse(
                ValueError, "certificate", given=f"that of players of sizes {self.sizes}",
                needed=f"that of players of sizes {sizes}", advice="Analyse this game.",
            )  # fmt: skip

    def projects(self, problem: Any) -> None:
        """Refuse a G whose resolvent may expand in the metric: one for several players."""
        separable = isinstance(problem.G, Product | Everything | Box | Nonnegative | L1)
        if not separable and not (self.weights == self.weights[0]).all():
            refuse(
                ValueError, "G", given=f"one {type(problem.G).__name__} for several players",
                needed="one set or penalty a player", advice="The projection in the metric is "
                "that of each block alone only for products.",
            )  # fmt: skip

    def __str__(self) -> str:
        if not self.contracts:
            return (
                f"no certificate: margin {self.margin:.3g} with the best weights found. This is "
                "no proof of divergence: bounds of blocks do not see signs."
            )
        _, high = self.step_sizes
        text = (
            f"{self.verdict}: contracts like exp(-{self.margin:.3g} t) in the metric with weights "
            f"({', '.join(f'{w:.3g}' for w in np.asarray(self.weights))}); Euler steps in "
            f"(0, {high:.3g}), best factor {self.factor(None):.6g}"
        )
        if not self.empirical:
            return text
        return (
            f"{text}. The constants are the worst at {self.points} points of the region: evidence, "
            "but no proof"
        )

    def _where_contracting(self, value: Any) -> Any:
        if is_traced(self.margin):
            return jnp.where(self.margin > 0, value, 0.0)
        return value if self.margin > 0 else 0.0


def small_gain(
    game: Any,
    region: Function | None = None,
    *,
    weights: Float[Any, " players"] | None = None,
    aim: str = "margin",
    curvature: Float[Any, " players"] | None = None,
    coupling: Float[Any, "players players"] | None = None,
    own: Float[Any, " players"] | None = None,
    samples: int = 256,
    grid: int = 2,
    key: Any = None,
) -> SmallGain:
    """A block metric in which a game contracts, its margin and safe step sizes, or none.

    From own curvatures mu_i > 0 and couplings L_ij alone: with weights w the pseudo-gradient F is
    strongly monotone in the metric with the constant alpha(w), the least eigenvalue of the
    symmetric part of W^1/2 (diag(mu) - L) W^-1/2. The weights v_i / u_i, of the right and left
    Perron vectors u and v of L - diag(mu), have the largest margin; it is positive exactly if the
    spectral radius of (L_ij / mu_i) is below 1. F need not be monotone in the Euclidean metric.

    Args:
        game: a `Game`, `QuadraticGame` or `SaddlePoint`, or an `Inclusion` whose points are tuples
            of one block a player.
        region: where the constants are wanted: a bounded `Box`, or a `Product` of one `Box` or
            `Ball` a player, as `cube` makes them. Without constants F is differentiated at points
            of it, and the verdict rests on these: `empirical` says so. For a quadratic game, whose
            constants are computed, it may be None.
        weights: positive; None for the best ones.
        aim: what weights are best for: "margin" for alpha; "euler" for alpha / beta^2, the range
            of Euler steps; "rk4" for alpha / beta, the decay in one Runge-Kutta step. The latter
            two are found by a scan around the first.
        curvature: mu_i, where they are known on the region.
        coupling: L_ij, likewise, with a zero diagonal.
        own: Lipschitz constants of F_i in x_i, likewise; None for the game's `lipschitz`.
        samples: at how many points F is differentiated, beside the region's center.
        grid: points along each axis of the region: its vertices, for 2.
        key: an integer, from which points follow where the grid has more than `samples`.

    Returns:
        A `SmallGain`: weights, margin, rate, step sizes and verdict.

    Raises:
        TypeError: for a region that is no Function, or a game or region to be sampled inside a JAX
            transformation.
        ValueError: for one player; a region of another dimension or without an end; neither
            constants nor region; constants that contradict each other, or of a quadratic game;
            weights that are not positive.

    Cost:
        An eigenvalue problem of the size of the number of players, singular values of one matrix
        [n, n] a point, and one derivative of F a point.

    Example:
        ```python
        import numpy as np, resolvent as rs
        H = np.array([[1.0, 5.0], [0.02, 1.0]])
        game = rs.QuadraticGame(H, np.array([-1.0, 0.5]), sizes=(1, 1))
        found = rs.inclusion.small_gain(game)
        assert found.verdict == "certified" and np.linalg.eigvalsh(H + H.T)[0] < 0
        sol = rs.solve(game, rs.inclusion.CertifiedEuler(found), rtol=1e-8)
        ```

    Reference:
        V. Sharma (2025), Small-Gain Nash: certified contraction to Nash equilibria in
        differentiable games, arXiv 2512.06791. The weights for more than two players are an
        addition.
    """
    sizes = sizes_of(game)
    one_of("aim", aim, ("margin", "euler", "rk4"))
    given = None
    if weights is not None:
        given = checked_weights(weights, len(sizes), aim)
    if curvature is None and coupling is None and own is None:
        constants = block_constants(game, region, samples=samples, grid=grid, key=key)
    else:
        constants = given_constants(game, curvature, coupling, own)
        if region is not None:
            region_parts(game, region)
    if given is not None:
        return _found(constants, given, sizes, region)
    best = balanced_weights(constants.curvature, constants.coupling)
    if aim != "margin":
        if is_traced(best):
            refuse(
                ValueError, "aim", given=f"{aim!r} inside a JAX transformation",
                needed="'margin'", advice="Scan outside of it, and pass the weights.",
            )  # fmt: skip
        best = scanned_weights(constants, best, sizes, 2 if aim == "euler" else 1)
    return _found(constants, best, sizes, region)


def _found(
    constants: BlockConstants, weights: Any, sizes: tuple[int, ...], region: Any
) -> SmallGain:
    true_margin = None
    if constants.jacobians is not None:
        spread = spread_weights(weights, sizes)
        true_margin = _number(least_eigenvalue(scaled(constants.jacobians, spread)))
    return SmallGain(
        weights, _number(margin(constants.curvature, constants.coupling, weights)),
        _number(metric_lipschitz(constants, weights, sizes)), true_margin, constants.curvature,
        constants.coupling, region, sizes, constants.points,
    )  # fmt: skip


def _number(value: Any) -> Any:
    return value if is_traced(value) else float(value)
