"""The learners of the relaxation parameter, against closed forms and batch computations."""

import math

import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.polynomial.chebyshev import chebvander

from resolvent.linear.bandit import OMEGAS, BinnedTsallisINF, ChebCB, TsallisINF

SMALL = (1.0, 1.2, 1.4, 1.6, 1.8)
EVERY = [
    TsallisINF(),
    TsallisINF(published_newton=True),
    BinnedTsallisINF(low=0.0, high=1.0),
    ChebCB(low=0.0, high=1.0),
]
CONTEXTUAL = [BinnedTsallisINF(low=0.0, high=1.0), ChebCB(low=0.0, high=1.0)]


def bumpy_cost(context, arm, rng):
    return 20.0 + 30.0 * (context - arm / 19.0) ** 2 + 5.0 * rng.random()


def play(learner, contexts, cost, seed=0):
    """Play the contexts; return the final state and the history of choices and costs."""
    rng, noise = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    state, choices, costs = learner.start(), [], []
    for context in contexts:
        choices.append(learner.choose(state, context, rng))
        costs.append(cost(context, choices[-1].arm, noise))
        state = learner.update(state, choices[-1], context, costs[-1])
    return state, choices, np.array(costs)


def leaves(state):
    return [np.array(leaf) for leaf in jax.tree.leaves(state)]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
    st.integers(-3, 6),
    st.integers(1, 100_000),
    st.floats(1e-3, 1e3),
)
def test_tsallis_probabilities_solve_their_equation(shares, exponent, rounds, mean):
    estimates = np.array(shares) * 10.0**exponent
    learner = TsallisINF(grid=np.linspace(1.0, 1.9, estimates.size))
    state = learner.start()._replace(
        estimates=estimates[None], rounds=np.array([rounds]), excess=np.array([mean * rounds])
    )
    choice = learner.choose(state, None, np.random.default_rng(0))
    p = choice.probabilities
    assert choice.sound
    assert abs(p.sum() - 1.0) < 1e-12
    assert p.min() > 0.0
    # 1 / sqrt(p_i) = eta (K_i / s - x) / 2: all of one x
    x = estimates / mean - math.sqrt(rounds + 1.0) / np.sqrt(p)
    assert np.ptp(x) <= 1e-13 * (estimates.max() / mean + math.sqrt(rounds))
    assert np.all(x < estimates.min() / mean)


@pytest.mark.parametrize("arms", [1, 2, 7, 20])
@pytest.mark.parametrize("level", [0.0, 1e-3, 1e6])
def test_equal_estimates_give_the_uniform_distribution(arms, level):
    learner = TsallisINF(grid=np.linspace(1.0, 1.9, arms))
    state = learner.start()._replace(estimates=np.full((1, arms), level), rounds=np.array([10]))
    p = learner.choose(state, None, np.random.default_rng(0)).probabilities
    assert np.all(p == p[0])
    assert p[0] == pytest.approx(1.0 / arms, rel=1e-14)


@pytest.mark.parametrize(
    "learner",
    [
        TsallisINF(grid=(1.3,)),
        TsallisINF(grid=(1.3,), published_newton=True),
        BinnedTsallisINF(low=0.0, high=1.0, grid=(1.3,)),
        ChebCB(low=0.0, high=1.0, grid=(1.3,)),
    ],
)
def test_a_grid_of_one_always_gives_its_value(learner):
    contexts = np.random.default_rng(5).random(40)
    _, choices, _ = play(learner, contexts, lambda c, arm, rng: 10.0 + 90.0 * rng.random())
    assert {learner.omega(choice.arm) for choice in choices} == {1.3}
    assert all(choice.probabilities.shape == (1,) for choice in choices)


def test_one_bin_equals_no_bins():
    contexts = np.random.default_rng(2).uniform(-1.0, 2.0, 300)
    plain, first, costs = play(TsallisINF(), contexts, bumpy_cost)
    binned, second, same = play(BinnedTsallisINF(low=-1.0, high=2.0, bins=1), contexts, bumpy_cost)
    assert [c.arm for c in first] == [c.arm for c in second]
    assert np.array_equal(costs, same)
    for ours, theirs in zip(leaves(plain), leaves(binned), strict=True):
        assert np.array_equal(ours, theirs)


def test_bins_learn_independently():
    learner = BinnedTsallisINF(low=0.0, high=1.0, bins=4)
    contexts = np.random.default_rng(3).random(200)
    state, choices, costs = play(learner, contexts, bumpy_cost)
    centres = (np.arange(4) + 0.5) / 4
    places = np.abs(contexts[:, None] - centres).argmin(axis=1)
    for place in range(4):
        mine = np.flatnonzero(places == place)
        assert state.rounds[place] == mine.size
        assert state.excess[place] == pytest.approx((costs[mine] - 1.0).sum())
        expected = np.zeros(20)
        for t in mine:
            expected[choices[t].arm] += (costs[t] - 1.0) / choices[t].probabilities[choices[t].arm]
        np.testing.assert_allclose(state.estimates[place], expected, rtol=1e-12)


def test_one_chebyshev_term_ignores_the_context():
    learner = ChebCB(low=0.0, high=1.0, terms=1)

    def blind(context, arm, rng):
        return bumpy_cost(0.4, arm, rng)

    first, one, _ = play(learner, np.zeros(300), blind)
    second, two, _ = play(learner, np.random.default_rng(0).random(300), blind)
    assert [c.arm for c in one] == [c.arm for c in two]
    np.testing.assert_array_equal(first.theta, second.theta)


def published_weights(estimates, scale, t):
    eta, x = 2.0 / np.sqrt(t), -1.0
    for _ in range(20):
        p = 4.0 / (eta * (estimates / scale - x)) ** 2
        x = x - (p.sum() - 1.0) / (eta * np.sum(p**1.5))
    return p


def test_published_newton_iteration_is_replicated_with_its_failures():
    learner = TsallisINF(published_newton=True)
    rng, noise, state = np.random.default_rng(0), np.random.default_rng(1), learner.start()
    unsound = 0
    for t in range(1, 300):
        choice = learner.choose(state, None, rng)
        scale = state.excess[0] / (t - 1) if t > 1 else 1.0
        raw = published_weights(state.estimates[0], scale, t)
        np.testing.assert_allclose(choice.weight, raw[choice.arm], rtol=1e-6)
        np.testing.assert_allclose(choice.probabilities, raw / raw.sum(), rtol=1e-6)
        unsound += abs(raw.sum() - 1.0) >= 1e-10
        state = learner.update(state, choice, None, bumpy_cost(0.5, choice.arm, noise))
    assert unsound > 0
    assert abs(state.flagged - unsound) <= 2


@pytest.mark.parametrize("learner", EVERY, ids=repr)
def test_broken_state_falls_back_to_uniform_and_is_counted(learner):
    state, _, _ = play(learner, [0.5] * 3, bumpy_cost)
    for bad in (np.nan, np.inf):
        name = "theta" if isinstance(learner, ChebCB) else "estimates"
        broken = state._replace(**{name: np.full_like(getattr(state, name), bad)})
        choice = learner.choose(broken, 0.5, np.random.default_rng(0))
        np.testing.assert_array_equal(choice.probabilities, np.full(20, 1.0 / 20))
        assert choice.weight == 1.0 / 20
        assert not choice.sound
        assert learner.update(broken, choice, 0.5, 10.0).flagged == state.flagged + 1


def box_solution(learner, features, targets):
    """The fit of one arm from its history: shortest least squares, or SciPy's in the box."""
    from scipy.optimize import lsq_linear

    theta = np.linalg.lstsq(features, targets, rcond=1e-10)[0]
    if np.all(np.abs(theta) <= learner.bound):
        return theta, 0.0
    box = (-learner.bound, learner.bound)
    theta = lsq_linear(features, targets, box, method="bvls", tol=1e-15, max_iter=1000).x
    return theta, float(np.sum((features @ theta - targets) ** 2))


@pytest.mark.parametrize("spread", [1.0, 0.2])
def test_chebcb_state_equals_recomputation_from_the_whole_history(spread):
    learner = ChebCB(low=0.0, high=1.0)
    rng, noise = np.random.default_rng(7), np.random.default_rng(8)
    contexts = 0.4 + spread * (rng.random(600) - 0.4)
    features = chebvander(2.0 * contexts - 1.0, learner.terms - 1)
    state, arms, costs, predicted = learner.start(), [], [], []
    boxed = free = 0
    for t, context in enumerate(contexts, start=1):
        before = state.eta
        choice = learner.choose(state, context, rng)
        arms.append(choice.arm)
        predicted.append(choice.predicted)
        costs.append(bumpy_cost(context, choice.arm, noise) * (10.0 if t == 300 else 1.0))
        state = learner.update(state, choice, context, costs[-1])
        if t not in (1, 2, 10, 50, 299, 300, 301, 600):
            continue
        scale = max(costs) * learner.normalisation
        targets = (np.array(costs) - 1.0) / scale
        rho = 0.0
        for arm in range(20):
            mine = np.flatnonzero(np.array(arms) == arm)
            if mine.size == 0:
                assert np.all(state.theta[arm] == 0.0)
                continue
            own, wanted = features[:t][mine], targets[mine]
            theta, left = box_solution(learner, own, wanted)
            error = np.sum((own @ theta - wanted) ** 2)
            found = np.sum((own @ state.theta[arm] - wanted) ** 2)
            assert np.all(np.abs(state.theta[arm]) <= learner.bound)
            assert abs(found - error) <= 1e-12 * np.sum(wanted**2)
            if left == 0.0 or np.linalg.matrix_rank(own) == learner.terms:
                np.testing.assert_allclose(state.theta[arm], theta, atol=1e-9)
            boxed, free = boxed + (left > 0.0), free + (left == 0.0)
            if arm == arms[-1]:
                rho = left
        np.testing.assert_allclose(state.squares, np.sum(np.square(predicted)), rtol=1e-12)
        errors = np.sum((np.array(predicted) - targets) ** 2)
        m, norm = learner.terms, learner.normalisation
        alpha = (math.pi + 2 / math.pi * math.log(2 * m + 1)) / (2 * norm * (m + 1))
        slack = errors - rho + 2.0 * alpha**2 * t
        expected = 2.0 * t * math.sqrt(20 * t / slack) if slack > 0.0 else before
        assert state.eta == pytest.approx(expected, rel=1e-9)
    assert boxed > 0
    assert free > 0


def test_the_triangular_factor_keeps_the_accuracy_of_direct_least_squares():
    from resolvent.linear.kernels_bandit import append_row, least_norm

    rng = np.random.default_rng(0)
    features = chebvander(0.3 + 0.1 * rng.standard_normal(200), 5)
    assert np.linalg.cond(features) > 1e4
    exact = rng.standard_normal(6)
    factor = np.zeros((7, 7))
    for row in features:
        append_row(factor, np.append(row, row @ exact))
    found = least_norm(factor[:6, :6].copy(), factor[:6, 6].copy())
    direct = np.linalg.lstsq(features, features @ exact)[0]
    limit = 50 * np.finfo(float).eps * np.linalg.cond(features) * np.linalg.norm(exact)
    assert np.linalg.norm(direct - exact) <= limit
    assert np.linalg.norm(found - exact) <= limit
    np.testing.assert_allclose(factor.T @ factor, _gram(features, exact), rtol=1e-12, atol=1e-9)


def _gram(features, exact):
    rows = np.column_stack([features, features @ exact])
    return rows.T @ rows


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 8), st.integers(1, 7), st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_least_norm_agrees_with_numpy_at_every_rank(rows, columns, rank, seed):
    from resolvent.linear.kernels_bandit import least_norm

    rng = np.random.default_rng(seed)
    matrix = rng.integers(-3, 4, (rows, rank)) @ rng.integers(-3, 4, (rank, columns)) * 1.0
    target = rng.standard_normal(rows)
    found = least_norm(matrix, target)
    expected = np.linalg.lstsq(matrix, target, rcond=1e-10)[0]
    np.testing.assert_allclose(found, expected, atol=1e-9 * (1.0 + np.abs(expected).max()))


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(-3, 3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_box_least_squares_is_optimal(rows, columns, exponent, deficient, seed):
    from scipy.optimize import lsq_linear

    from resolvent.linear.kernels_bandit import box_least_squares, least_norm

    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((rows, columns))
    if deficient:
        matrix[:, -1] = matrix[:, 0]
    target = rng.standard_normal(rows) * 10.0**exponent
    bound = rng.uniform(0.01, 1.0, columns)
    x = box_least_squares(matrix, target, bound, least_norm(matrix, target))
    assert np.all(np.abs(x) <= bound)
    gradient = matrix.T @ (matrix @ x - target)
    at_wall = np.clip(x - gradient, -bound, bound)
    assert np.abs(x - at_wall).max() <= 1e-10 * (1.0 + np.linalg.norm(target))
    peer = lsq_linear(matrix, target, (-bound, bound), "bvls", tol=1e-15, max_iter=1000)
    value = 0.5 * np.sum((matrix @ x - target) ** 2)
    assert value <= peer.cost + 1e-10 * (1.0 + peer.cost)
    if np.linalg.matrix_rank(matrix) == columns and np.linalg.cond(matrix) < 1e3:
        np.testing.assert_allclose(x, peer.x, atol=1e-7)


@pytest.mark.parametrize("learner", EVERY, ids=repr)
def test_update_leaves_the_old_state_alone_and_its_size_constant(learner):
    state, _, _ = play(learner, np.linspace(0.0, 1.0, 30), bumpy_cost)
    before = leaves(state)
    choice = learner.choose(state, 0.3, np.random.default_rng(0))
    following = learner.update(state, choice, 0.3, 500.0)
    for old, now in zip(before, leaves(state), strict=True):
        np.testing.assert_array_equal(old, now)
    assert any(np.any(a != b) for a, b in zip(before, leaves(following), strict=True))
    late, _, _ = play(learner, np.linspace(0.0, 1.0, 400), bumpy_cost)
    assert [leaf.shape for leaf in leaves(late)] == [leaf.shape for leaf in leaves(learner.start())]


@pytest.mark.parametrize("learner", EVERY, ids=repr)
def test_a_state_of_plain_arrays_continues_identically(learner):
    state, _, _ = play(learner, np.linspace(0.0, 1.0, 50), bumpy_cost)
    stored = jax.tree.map(np.asarray, state)
    one = learner.choose(state, 0.6, np.random.default_rng(4))
    two = learner.choose(stored, 0.6, np.random.default_rng(4))
    assert one.arm == two.arm
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    for a, b in zip(
        leaves(learner.update(state, one, 0.6, 33)),
        leaves(learner.update(stored, two, 0.6, 33)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("learner", EVERY, ids=repr)
def test_learners_are_static_hashable_values(learner):
    assert jax.tree.leaves(learner) == []
    assert hash(learner) == hash(type(learner)(**vars(learner)))
    assert learner == type(learner)(**vars(learner))
    assert learner.omega(0) == 1.0
    assert learner.omega(19) == pytest.approx(1.95)
    assert learner.grid == OMEGAS


@pytest.mark.parametrize("learner", CONTEXTUAL, ids=repr)
@pytest.mark.parametrize("context", [-1e308, -0.1, 1.1, 1e308])
def test_contexts_outside_the_range_are_clipped_and_counted(learner, context):
    state, _, _ = play(learner, np.random.default_rng(0).random(100), bumpy_cost)
    assert state.outside == 0
    edge = 0.0 if context < 0.0 else 1.0
    choice = learner.choose(state, context, np.random.default_rng(0))
    at_edge = learner.choose(state, edge, np.random.default_rng(0))
    np.testing.assert_array_equal(choice.probabilities, at_edge.probabilities)
    following = learner.update(state, choice, context, 30)
    assert following.outside == 1
    for a, b in zip(
        leaves(following._replace(outside=0)),
        leaves(learner.update(state, choice, edge, 30)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("learner", EVERY, ids=repr)
def test_costs_of_zero_and_one_keep_the_state_finite(learner):
    state, choices, _ = play(learner, [0.2] * 30, lambda c, arm, rng: rng.integers(0, 2))
    assert all(np.all(np.isfinite(leaf)) for leaf in leaves(state))
    for choice in choices:
        if isinstance(learner, ChebCB):
            assert choice.sound
        else:
            np.testing.assert_allclose(choice.probabilities, 0.05, rtol=1e-12)


def test_tsallis_settles_on_the_best_fixed_parameter():
    _, choices, _ = play(
        TsallisINF(grid=SMALL), [0.0] * 3000, lambda c, arm, r: (90, 60, 20, 70, 99)[arm]
    )
    late = [choice.arm for choice in choices[-750:]]
    assert late.count(2) > 0.85 * len(late)


def test_context_pays_where_the_best_parameter_depends_on_it():
    contexts = np.random.default_rng(11).random(3000)

    def cost(context, arm, rng):
        return 10.0 + 80.0 * abs(context - arm / 4.0) + 2.0 * rng.random()

    def late_mean(learner):
        return play(learner, contexts, cost)[2][-750:].mean()

    fixed = np.mean(10.0 + 80.0 * np.abs(contexts - 0.5) + 1.0)
    assert late_mean(BinnedTsallisINF(low=0.0, high=1.0, grid=SMALL)) < fixed
    assert late_mean(ChebCB(low=0.0, high=1.0, grid=SMALL)) < 0.75 * fixed


def test_a_seed_fixes_the_run():
    contexts = np.random.default_rng(0).random(100)
    for learner in EVERY:
        one, two = (play(learner, contexts, bumpy_cost, seed=3) for _ in range(2))
        assert [c.arm for c in one[1]] == [c.arm for c in two[1]]


@pytest.mark.parametrize("grid", [(0.0,), (1.0, 2.0), (-1.0,), (math.nan,), (1.0, math.inf)])
def test_grid_outside_the_open_interval_is_refused(grid):
    for build in (
        lambda: TsallisINF(grid=grid),
        lambda: BinnedTsallisINF(low=0.0, high=1.0, grid=grid),
        lambda: ChebCB(low=0.0, high=1.0, grid=grid),
    ):
        with pytest.raises(ValueError, match="between 0 and 2"):
            build()


def test_empty_grid_is_refused():
    with pytest.raises(ValueError, match="grid: given an empty one"):
        TsallisINF(grid=())


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (-1e308, 1e308)]
)
@pytest.mark.parametrize("kind", [BinnedTsallisINF, ChebCB])
def test_bad_context_range_is_refused(kind, low, high):
    with pytest.raises(ValueError, match="range of contexts"):
        kind(low=low, high=high)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_bad_counts_are_refused(count):
    with pytest.raises((TypeError, ValueError), match="^bins: given"):
        BinnedTsallisINF(low=0.0, high=1.0, bins=count)
    with pytest.raises((TypeError, ValueError), match="^terms: given"):
        ChebCB(low=0.0, high=1.0, terms=count)


@pytest.mark.parametrize("learner", EVERY, ids=repr)
@pytest.mark.parametrize("cost", [math.nan, math.inf, -1.0])
def test_bad_costs_are_refused(learner, cost):
    state = learner.start()
    choice = learner.choose(state, 0.5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="^cost: given"):
        learner.update(state, choice, 0.5, cost)


@pytest.mark.parametrize("learner", CONTEXTUAL, ids=repr)
def test_missing_and_non_finite_contexts_are_refused(learner):
    state, rng = learner.start(), np.random.default_rng(0)
    choice = learner.choose(state, 0.5, rng)
    for context, words in ((None, "given none"), (math.nan, "finite"), (math.inf, "finite")):
        with pytest.raises(ValueError, match=words):
            learner.choose(state, context, rng)
        with pytest.raises(ValueError, match=words):
            learner.update(state, choice, context, 10.0)


@pytest.mark.parametrize("learner", EVERY, ids=repr)
def test_a_state_of_another_grid_is_refused(learner):
    other = type(learner)(**(vars(learner) | {"grid": (1.0, 1.5)})).start()
    with pytest.raises(ValueError, match="another grid"):
        learner.choose(other, 0.5, np.random.default_rng(0))
