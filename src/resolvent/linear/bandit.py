"""Learners of the relaxation parameter: Tsallis-INF, plain and in bins of contexts, and ChebCB."""

import math
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.random import Generator

from resolvent._core.checks import count
from resolvent._core.value import static
from resolvent.linear.learner import (
    OMEGAS as OMEGAS,
)
from resolvent.linear.learner import (
    Choice,
    Learner,
    check_state,
    checked_context,
    excess_of,
    set_range,
)


class TsallisState(NamedTuple):
    """What Tsallis-INF has learned, one row a bin of contexts.

    Attributes:
        estimates: importance-weighted sums of k - 1, shape (bins, arms).
        excess: sum of k - 1 over the rounds of each bin, shape (bins,).
        rounds: rounds played in each bin, shape (bins,).
        flagged: rounds whose distribution was not sound (see `Choice`).
        outside: rounds whose context lay outside the declared range.
    """

    estimates: np.ndarray
    excess: np.ndarray
    rounds: np.ndarray
    flagged: int
    outside: int


class ChebState(NamedTuple):
    """What ChebCB has learned.

    Attributes:
        theta: Chebyshev coefficients of each arm's cost (k - 1) / S, shape (arms, terms).
        factors: triangular factors of each arm's rows (features, k - 1), which hold all that a
            least-squares fit needs, shape (arms, terms + 1, terms + 1).
        eta: learning rate of the next round.
        largest: largest cost so far (0 before the first round).
        squares: sum of predicted^2 over the rounds.
        products: sum of predicted * (k - 1).
        targets: sum of (k - 1)^2.
        rounds: rounds played.
        flagged: rounds whose distribution was not sound (see `Choice`).
        outside: rounds whose context lay outside the declared range.
    """

    theta: np.ndarray
    factors: np.ndarray
    eta: float
    largest: float
    squares: float
    products: float
    targets: float
    rounds: int
    flagged: int
    outside: int


def _empty_bins(bins: int, arms: int) -> TsallisState:
    return TsallisState(np.zeros((bins, arms)), np.zeros(bins), np.zeros(bins, np.int64), 0, 0)


def _choose_in_bin(state: TsallisState, place: int, published: bool, rng: Generator) -> Choice:
    from resolvent.linear.kernels_bandit import choose_tsallis

    rounds = int(state.rounds[place])
    mean = float(state.excess[place]) / rounds if rounds else 0.0
    scale = mean if mean > 0.0 else 1.0
    arm, p, weight, sound = choose_tsallis(
        state.estimates[place], scale, rounds + 1.0, published, rng.random()
    )
    return Choice(arm, p, weight, 0.0, sound)


def _update_bin(
    state: TsallisState, place: int, choice: Choice, cost: float, outside: bool
) -> TsallisState:
    excess = excess_of(cost)
    estimates = state.estimates.copy()
    estimates[place, choice.arm] += excess / choice.weight
    total = state.excess.copy()
    total[place] += excess
    rounds = state.rounds.copy()
    rounds[place] += 1
    flagged = int(state.flagged) + (not choice.sound)
    return TsallisState(estimates, total, rounds, flagged, int(state.outside) + outside)


class TsallisINF(Learner):
    """Tsallis-INF: learns the best single relaxation parameter from iteration counts alone.

    Minimises sum_t k_t(omega_t) over omega_t in the grid, where only k_t(omega_t) is seen. In
    round t it draws arm i with probability p_i = 4 / (eta (K_i / s - x))^2, eta = 2 / sqrt(t),
    where x < min K / s makes the sum one; then K_i += (k - 1) / p_i and s = mean(k) - 1. The
    root x is found by Newton's iteration from x = min K / s - 2 / eta, which decreases to it.

    Args:
        grid: relaxation parameters, strictly between 0 and 2 (dimensionless), shape (arms,).
        published_newton: run twenty Newton steps from x = -1 as in the authors' program, which
            often end at weights that are not normalised: the arm is then drawn from the
            renormalised weights (uniformly if they are not finite), while the cost is divided
            by the raw weight. For replication only; such rounds are counted in `flagged`.

    Raises:
        ValueError: the grid is empty or leaves (0, 2).

    Cost:
        O(arms) a round, whatever the number of rounds.

    Guarantee:
        Expected regret against the best fixed parameter of the grid is O(k_max sqrt(arms T))
        for any sequence of costs in [1, k_max] fixed in advance; rescaling by the running mean
        replaces the unknown k_max and is a heuristic.

    Example:
        ```python
        import numpy as np, resolvent as rs
        learner = rs.linear.TsallisINF(grid=(1.0, 1.5))
        state, rng = learner.start(), np.random.default_rng(0)
        for _ in range(200):
            choice = learner.choose(state, None, rng)
            cost = 40 if learner.omega(choice.arm) == 1.5 else 90
            state = learner.update(state, choice, None, cost)
        assert learner.choose(state, None, rng).probabilities[1] > 0.8
        ```

    Reference:
        J. Zimmert, Y. Seldin (2021), "Tsallis-INF: An Optimal Algorithm for Stochastic and
        Adversarial Bandits", arXiv 1807.07623; M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar
        (2024), "Learning to Relax", arXiv 2310.02246.
    """

    published_newton: bool = static(default=False)

    def start(self) -> TsallisState:
        """Return the state before the first round."""
        return _empty_bins(1, len(self.grid))

    def choose(self, state: TsallisState, context: float | None, rng: Generator) -> Choice:
        """Draw an arm; the context is not used. Consumes one uniform number of `rng`."""
        check_state(state.estimates.shape, (1, len(self.grid)), "TsallisINF")
        return _choose_in_bin(state, 0, self.published_newton, rng)

    def update(
        self, state: TsallisState, choice: Choice, context: float | None, cost: float
    ) -> TsallisState:
        """Return the state after a solve of `cost` iterations (fewer than one count as one)."""
        return _update_bin(state, 0, choice, cost, False)


class BinnedTsallisINF(Learner):
    """Tsallis-INF with contexts: an independent learner in each of several bins of contexts.

    Minimises sum_t k_t(omega_t) against policies omega(c) that are constant on each of `bins`
    equal pieces of [low, high]. The piece with the nearest centre low + (high - low) (j - 1/2) /
    bins plays the round; a context outside the range goes to the first or last piece and is
    counted in `outside`.

    Args:
        low: smallest context, in the context's own unit.
        high: largest context, in the same unit.
        bins: number of pieces.
        grid: relaxation parameters, strictly between 0 and 2 (dimensionless), shape (arms,).
        published_newton: as in `TsallisINF`.

    Raises:
        ValueError: the grid is empty or leaves (0, 2), low >= high, bins < 1; in a round, the
            context is missing or not finite, or the cost is not finite.

    Cost:
        O(arms) to choose and O(bins arms) to copy the state, whatever the number of rounds.

    Guarantee:
        Regret O(T^(3/4)) against the best policy when cost is Lipschitz in the context and
        bins and arms are of order T^(1/4).

    Example:
        ```python
        import numpy as np, resolvent as rs
        learner = rs.linear.BinnedTsallisINF(low=0.0, high=1.0, bins=4)
        state, rng = learner.start(), np.random.default_rng(0)
        choice = learner.choose(state, 0.3, rng)
        state = learner.update(state, choice, 0.3, cost=25)
        assert state.rounds.tolist() == [0, 1, 0, 0]
        ```

    Reference:
        M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar (2024), "Learning to Relax: Setting Solver
        Parameters Across a Sequence of Linear System Instances", arXiv 2310.02246.
    """

    low: float = static()
    high: float = static()
    bins: int = static(default=5)
    published_newton: bool = static(default=False)

    contextual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_range(self)
        count("bins", self.bins, least=1)

    def start(self) -> TsallisState:
        """Return the state before the first round."""
        return _empty_bins(self.bins, len(self.grid))

    def choose(self, state: TsallisState, context: float | None, rng: Generator) -> Choice:
        """Draw an arm for a system with this context. Consumes one uniform number of `rng`."""
        value = checked_context(context, "BinnedTsallisINF")
        check_state(state.estimates.shape, (self.bins, len(self.grid)), "BinnedTsallisINF")
        return _choose_in_bin(state, self.bin(value), self.published_newton, rng)

    def update(
        self, state: TsallisState, choice: Choice, context: float | None, cost: float
    ) -> TsallisState:
        """Return the state after a solve of `cost` iterations (fewer than one count as one)."""
        value = checked_context(context, "BinnedTsallisINF")
        outside = not self.low <= value <= self.high
        return _update_bin(state, self.bin(value), choice, cost, outside)

    def bin(self, context: float) -> int:
        """Return the index of the piece whose centre is nearest to the context."""
        share = min(max((context - self.low) / (self.high - self.low), 0.0), 1.0)
        return min(int(share * self.bins), self.bins - 1)


class ChebCB(Learner):
    """ChebCB: learns the relaxation parameter as a function of a context, by regression.

    Minimises sum_t k_t(omega_t) against the best parameter for each context. The cost of each
    arm is modelled as (k - 1) / S = sum_j theta_j T_j(u), T_j the Chebyshev polynomials and u
    the context mapped from [low, high] to [-1, 1]. With predictions y_i and best arm i*, the
    arms i != i* have probability 1 / (d + eta (y_i - y_i*)) and i* the rest. theta is the
    shortest least-squares fit to the arm's past, or, if that leaves the box |theta_0| <= 1 / N,
    |theta_j| <= 2 / (N j), the fit within the box; the box decay is that of a cost that is
    Lipschitz in the context. Directions of the fit whose pivots lie below 1e-10 of the largest
    count as undetermined. With R the sum of squared prediction errors, rho what the box leaves
    of the last arm's residual and alpha the truncation error, eta is
    2 t sqrt(d t / (R - rho + 2 alpha^2 t)), or unchanged if the denominator is not positive.

    Two choices that the published text and program leave open: the smallest cost that enters
    the Lipschitz constant is taken as zero, so that N = 2 + 4 (1 + log terms) is a constant and
    the scale S = N max k changes only with a new largest cost; and the errors in R compare
    like with like, (k - 1) / S with its prediction.

    Args:
        low: smallest context, in the context's own unit.
        high: largest context, in the same unit. Contexts outside are moved to the nearer end,
            where the polynomials are still bounded by one, and counted in `outside`.
        terms: number of Chebyshev polynomials (degree + 1).
        grid: relaxation parameters, strictly between 0 and 2 (dimensionless), shape (arms,).

    Raises:
        ValueError: the grid is empty or leaves (0, 2), low >= high, terms < 1; in a round, the
            context is missing or not finite, or the cost is not finite.

    Cost:
        O(arms terms) to choose, O(terms^3) to refit one arm and O(arms terms^2) to copy the
        state; O(arms terms^3) in the rounds that bring a new largest cost.

    Guarantee:
        Sublinear regret against the best policy for costs that are Lipschitz in the context,
        when arms and terms grow slowly with the number of rounds.

    Example:
        ```python
        import numpy as np, resolvent as rs
        learner = rs.linear.ChebCB(low=0.0, high=1.0, grid=(1.0, 1.5))
        state, rng = learner.start(), np.random.default_rng(0)
        for _ in range(300):
            context = rng.random()
            choice = learner.choose(state, context, rng)
            cost = 20 + 60 * abs(context - choice.arm)
            state = learner.update(state, choice, context, cost)
        last = [learner.choose(state, c, rng).probabilities.argmax() for c in (0.1, 0.9)]
        assert last == [0, 1]
        ```

    Reference:
        M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar (2024), "Learning to Relax", arXiv
        2310.02246; D. Foster, A. Rakhlin (2020), "Beyond UCB: Optimal and Efficient Contextual
        Bandits with Regression Oracles", arXiv 2002.04926.
    """

    low: float = static()
    high: float = static()
    terms: int = static(default=6)

    contextual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_range(self)
        count("terms", self.terms, least=1)

    @property
    def normalisation(self) -> float:
        """The constant N; costs are divided by N times the largest one."""
        return 2.0 + 4.0 * (1.0 + math.log(self.terms))

    @property
    def bound(self) -> np.ndarray:
        """Half-widths of the box of coefficients, shape (terms,)."""
        from resolvent.linear.kernels_bandit import half_widths

        return half_widths(self.terms, self.normalisation)

    def start(self) -> ChebState:
        """Return the state before the first round."""
        arms, size = len(self.grid), self.terms + 1
        theta, factors = np.zeros((arms, self.terms)), np.zeros((arms, size, size))
        return ChebState(theta, factors, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0)

    def choose(self, state: ChebState, context: float | None, rng: Generator) -> Choice:
        """Draw an arm for a system with this context. Consumes one uniform number of `rng`."""
        from resolvent.linear.kernels_bandit import choose_chebyshev

        value = checked_context(context, "ChebCB")
        check_state(state.theta.shape, (len(self.grid), self.terms), "ChebCB")
        arm, p, predicted, sound = choose_chebyshev(
            state.theta, float(state.eta), self._coordinate(value), rng.random()
        )
        return Choice(arm, p, float(p[arm]), predicted, sound)

    def update(
        self, state: ChebState, choice: Choice, context: float | None, cost: float
    ) -> ChebState:
        """Return the state after a solve of `cost` iterations (fewer than one count as one)."""
        from resolvent.linear.kernels_bandit import learn_chebyshev

        value = checked_context(context, "ChebCB")
        target = excess_of(cost)
        largest = max(float(state.largest), target + 1.0)
        norm = self.normalisation
        scale = largest * norm
        theta, factors = state.theta.copy(), state.factors.copy()
        rho = learn_chebyshev(
            theta,
            factors,
            choice.arm,
            self._coordinate(value),
            target,
            largest,
            largest != state.largest,
            norm,
        )
        predicted, t = float(choice.predicted), int(state.rounds) + 1
        squares = float(state.squares) + predicted * predicted
        products = float(state.products) + predicted * target
        targets = float(state.targets) + target * target
        errors = squares - 2.0 * products / scale + targets / scale**2
        terms = self.terms
        alpha = (math.pi + 2.0 / math.pi * math.log(2 * terms + 1)) / (2 * norm * (terms + 1))
        slack = errors - rho + 2.0 * alpha * alpha * t
        eta = 2.0 * t * math.sqrt(len(self.grid) * t / slack) if slack > 0.0 else float(state.eta)
        flagged = int(state.flagged) + (not choice.sound)
        outside = int(state.outside) + (not self.low <= value <= self.high)
        return ChebState(
            theta, factors, eta, largest, squares, products, targets, t, flagged, outside
        )

    def _coordinate(self, context: float) -> float:
        u = (2.0 * context - self.low - self.high) / (self.high - self.low)
        return min(max(u, -1.0), 1.0)
