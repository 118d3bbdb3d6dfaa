"""Sparse recovery: what certificates claim, greedy gains against brute force, thresholding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.composite.recovery.greedy_losses import RULES, best_fit, gains, misfit, price

Pursuit = rs.composite.OrthogonalMatchingPursuit
ITERATIONS = (
    rs.composite.IterativeHardThresholding,
    rs.composite.HardThresholdingPursuit,
    rs.composite.CoSaMP,
)


def scene(seed=0, m=12, n=18, s=3, noise=0.1):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    x = np.zeros(n)
    x[rng.choice(n, s, replace=False)] = 1 + rng.random(s)
    return A, x, A @ x + noise * rng.standard_normal(m)


def first_selected(**options):
    """The columns in the order in which they join, and the problem."""
    problem = rs.SparseRecovery(**options)
    method = Pursuit().bind(problem)
    state = method.init(problem, problem.start(None), rs.Memory(), None)
    while state.measure > 1e-12 * problem.unit and not method.status(state):
        state = method.step(problem, state)
    return list(state.support), problem


@pytest.mark.parametrize("loss", RULES)
@pytest.mark.parametrize("parameter", [0.05, 1.0])
def test_gains_are_those_of_brute_force(loss, parameter):
    rule = RULES[loss]
    for seed in range(2):
        A, _, b = scene(seed)
        A /= np.linalg.norm(A, axis=0)
        rng = np.random.default_rng(seed)
        weights = rng.uniform(0.2, 1.5, 18)
        bars = parameter * (weights if rule.power else weights**2)
        support = rng.choice(18, 4, replace=False)
        x, on = np.zeros(18), np.zeros(18, bool)
        on[support] = True
        x[support] = best_fit(rule, A[:, support], b)
        r = b - A @ x
        found = gains(rule, np.ascontiguousarray(A.T), r, x, on, bars)
        for j in range(18):
            # Absolute values turn where a residual vanishes.
            t = np.r_[0.0, -x[j], np.linspace(-12, 12, 6001), r / A[:, j]]
            residuals = r[:, None] - np.outer(A[:, j], t)
            kind = {"absolute": 1, "root": 2, "squares": 2}[rule.misfit]
            sizes = np.linalg.norm(residuals, kind, axis=0) ** (1 + (rule.misfit == "squares"))
            changed = x[j] + t
            prices = bars[j] * (np.abs(changed) if rule.power else (changed != 0))
            losses = sizes + prices
            # The grid misses the best change by little, and never beats it.
            assert losses[0] - losses.min() <= found[j] + 1e-9
            assert found[j] <= losses[0] - losses.min() + 1e-4


def test_the_loss_is_misfit_and_price():
    A, x, b = scene()
    w = np.linspace(0.5, 2, 18)
    for loss, rule in RULES.items():
        problem = rs.SparseRecovery(A, b, loss=loss, parameter=0.3, weights=w)
        bars = 0.3 * (w if rule.power else w**2)
        assert problem.objective(x) == pytest.approx(misfit(rule, A @ x - b) + price(rule, x, bars))
    assert misfit(RULES["lad-lasso-l0"], np.array([1.0, -2.0])) == 3.0
    assert misfit(RULES["lasso-l0"], np.array([3.0, 4.0])) == 25.0
    assert misfit(RULES["sr-lasso-l1"], np.array([3.0, 4.0])) == 5.0


def test_absolute_fits_are_the_best():
    A, _, b = scene()
    z = best_fit(RULES["lad-lasso-l1"], A[:, :3], b)
    r = A[:, :3] @ z - b
    assert (np.abs(r) < 1e-12).sum() == 3  # a vertex
    rng = np.random.default_rng(0)
    near = z + 1e-3 * rng.standard_normal((2000, 3))
    assert np.abs(near @ A[:, :3].T - b).sum(1).min() >= np.abs(r).sum()


def test_without_a_price_losses_select_as_correlations_do():
    A, _, b = scene(noise=0.01)
    plain, _ = first_selected(A=A, b=b, sparsity=8)
    for loss in ("lasso-l0", "lasso-l1", "sr-lasso-l0", "sr-lasso-l1"):
        assert first_selected(A=A, b=b, loss=loss, parameter=0.0)[0][:8] == plain


def test_high_prices_select_nothing_and_lower_ones_what_their_threshold_says():
    A, _, b = scene()
    c = np.abs(b @ A / np.linalg.norm(A, axis=0))
    j = int(c.argmax())
    lengths = np.linalg.norm(A, axis=0)
    ends = {"lasso-l1": 2 * c * lengths, "sr-lasso-l1": c * lengths / np.linalg.norm(b)}
    for loss, bars in ends.items():
        highest = float(bars.max())
        none = rs.solve(rs.SparseRecovery(A, b, loss=loss, parameter=1.001 * highest), Pursuit())
        assert none.converged
        assert not none.x.any()
        assert first_selected(A=A, b=b, loss=loss, parameter=0.999 * highest)[0]
    unit = A / lengths
    assert first_selected(A=unit, b=b, loss="lasso-l0", parameter=0.9 * c[j] ** 2)[0][0] == j


def test_an_orthonormal_matrix_keeps_what_is_worth_its_price():
    rng = np.random.default_rng(1)
    Q = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    b = rng.standard_normal(10)
    squares = (Q.T @ b) ** 2
    support, _ = first_selected(A=Q, b=b, loss="lasso-l0", parameter=0.5)
    order = np.argsort(-squares)
    assert support == list(order[squares[order] > 0.5])


@pytest.mark.parametrize(("loss", "power"), [("sr-lasso-l1", 0), ("lasso-l1", 1), ("lasso-l0", 2)])
def test_selection_in_another_unit_of_the_data(loss, power):
    A, _, b = scene()
    support, _ = first_selected(A=A, b=b, loss=loss, parameter=0.2)
    assert support
    other, _ = first_selected(A=A, b=8 * b, loss=loss, parameter=0.2 * 8**power)
    assert other == support


def test_columns_in_other_units_are_the_same_problem():
    A, x, b = scene()
    d = 2.0 ** np.arange(-9, 9)
    w = np.linspace(0.5, 2, 18)
    for loss, rule in RULES.items():
        one = rs.SparseRecovery(A, b, loss=loss, parameter=0.2, weights=w)
        scaled = w * d if rule.power else w
        two = rs.SparseRecovery(A * d, b, loss=loss, parameter=0.2, weights=scaled)
        sols = rs.solve(one, Pursuit()), rs.solve(two, Pursuit())
        assert np.allclose(d * sols[1].x, sols[0].x, rtol=1e-9)
        assert one.objective(x) == pytest.approx(two.objective(x / d))


def test_a_greedy_gap_is_no_mere_residual():
    A, _, b = scene()
    problem = rs.SparseRecovery(A, b, loss="lasso-l1", parameter=0.5)
    sol = rs.solve(problem, Pursuit())
    assert rs.certify(problem, sol.x).holds
    moved = sol.x * 1.01  # not the best fit on its support
    assert not rs.certify(problem, moved).holds
    fewer = np.where(np.arange(18) == np.flatnonzero(sol.x)[0], 0.0, sol.x)
    assert not rs.certify(problem, fewer).holds
    whole = np.linalg.lstsq(A, b, rcond=None)[0]  # every equation holds, by more columns than rows
    assert rs.certify(problem, whole).value >= problem.unit
    with pytest.raises(TypeError, match=r"loss: given 'lasso-l1' inside"):
        jax.jit(lambda x: rs.certify(problem, x).value)(jnp.asarray(sol.x))


def test_excess_entries_count():
    A, x, b = scene(noise=0.0)
    problem = rs.SparseRecovery(A, b, 3)
    assert rs.certify(problem, x).value <= 1e-12
    other = np.flatnonzero(x == 0)[0]
    y = x + 0.01 * (np.arange(18) == other)
    length = np.linalg.norm(A[:, other])
    assert rs.certify(problem, y).value == pytest.approx(0.02 * length)
    kept = np.where(x != 0, y, 0.0)
    assert np.linalg.norm(A @ kept - b) <= rs.certify(problem, y).value
    assert rs.SparseRecovery(A, b).sparsity == 6


@pytest.mark.parametrize("cls", [Pursuit, *ITERATIONS])
def test_noise_is_allowed_for(cls):
    rng = np.random.default_rng(6)
    A, x, e = rng.standard_normal((40, 60)), np.zeros(60), 0.01 * rng.standard_normal(40)
    x[[3, 30, 50]] = [1.0, -2.0, 1.5]
    sol = rs.solve(rs.SparseRecovery(A, A @ x + e, 3, noise=float(np.linalg.norm(e))), cls())
    assert sol.converged
    assert set(np.flatnonzero(sol.x)) == {3, 30, 50}
    assert np.abs(sol.x - x).max() < 0.01
    with pytest.raises(rs.NotConverged):
        rs.solve(rs.SparseRecovery(A, A @ x + e, 3), cls())


def test_pursuit_stops_at_its_sparsity_in_words():
    A, _, b = scene()
    sol = rs.solve(rs.SparseRecovery(A, b, 2), Pursuit(), throw=False)
    assert sol.reason is rs.Reason.stalled
    assert sol.steps == np.count_nonzero(sol.x) == 2


def test_columns_that_depend_on_one_another_break_pursuit_off():
    A = np.ones((4, 3))
    A[0] = [1.0, 1.0 + 1e-15, 1.0]
    sol = rs.solve(
        rs.SparseRecovery(A, np.array([1.0, 2.0, 3.0, 5.0]), loss="lasso-l1", parameter=0.0),
        Pursuit(), throw=False, rtol=0.0,
    )  # fmt: skip
    assert not sol.converged or np.count_nonzero(sol.x) == 1


def test_weights_favour_columns():
    A, _, b = scene()
    first = first_selected(A=A, b=b, sparsity=1)[0][0]
    other = (first + 1) % 18
    weights = np.where(np.arange(18) == other, 1e-3, 1.0)
    assert first_selected(A=A, b=b, sparsity=1, weights=weights)[0][0] == other
    prices = {"A": A, "b": b, "parameter": 60.0, "weights": weights}
    assert first_selected(loss="lasso-l1", **prices)[0][0] == other


def test_hard_thresholding_never_raises_the_residual():
    A, _, b = scene(3)
    problem = rs.SparseRecovery(A, b, 4)
    method = rs.composite.IterativeHardThresholding().bind(problem)
    state = method.init(problem, problem.start(None), rs.Memory(), None)
    sizes = [np.linalg.norm(b)]
    for _ in range(30):
        state = method.step(problem, state)
        assert np.count_nonzero(state.x) <= 4
        sizes.append(np.linalg.norm(A @ state.x - b))
        assert np.allclose(state.r, b - A @ state.x)
    assert (np.diff(sizes) <= 1e-12).all()
    assert sizes[-1] < 0.9 * sizes[0]


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"sparsity": 0}, ValueError, "sparsity"),
        ({"sparsity": 13}, ValueError, "never independent"),
        ({"loss": "lasso"}, ValueError, "loss: given 'lasso'"),
        ({"loss": "lasso-l1"}, ValueError, "parameter"),
        ({"parameter": 1.0}, ValueError, "parameter"),
        ({"loss": "lasso-l1", "parameter": -1.0}, ValueError, "parameter"),
        ({"loss": "lasso-l1", "parameter": np.nan}, ValueError, "parameter"),
        ({"loss": "lasso-l1", "parameter": 1.0, "sparsity": 3}, ValueError, "sparsity"),
        ({"loss": "lasso-l1", "parameter": 1.0, "noise": 1.0}, ValueError, "noise"),
        ({"noise": -1.0}, ValueError, "noise"),
        ({"weights": np.zeros(18)}, ValueError, "weights"),
        ({"weights": np.ones(3)}, ValueError, "weights"),
        ({"b": np.ones(3)}, ValueError, "b: given"),
        ({"b": np.full(12, np.nan)}, ValueError, "b: given"),
        ({"A": np.ones(12)}, ValueError, "A: given"),
        ({"A": np.eye(12)[:, :11] * np.r_[np.ones(10), 0]}, ValueError, "column 10"),
    ],
)
def test_what_is_refused(options, kind, text):
    A, _, b = scene()
    with pytest.raises(kind, match=r"given .*needed ") as caught:
        rs.SparseRecovery(**{"A": A, "b": b} | options)
    assert text in str(caught.value)


def test_methods_say_what_they_need():
    A, _, b = scene()
    greedy = rs.SparseRecovery(A, b, loss="sr-lasso-l1", parameter=0.5)
    for cls in (*ITERATIONS, rs.composite.HyperLISTA):
        with pytest.raises(ValueError, match="greedy selection for the loss"):
            rs.solve(greedy, cls())
    for cls in ITERATIONS:
        with pytest.raises(ValueError, match="number of nonzeros is not stated"):
            rs.solve(rs.SparseRecovery(A, b), cls())
    assert isinstance(greedy.default_method(), Pursuit)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("unit", [1e-200, 1e-170, 1e170, 1e200])
def test_columns_of_any_unit_count(unit):
    A, x, _ = scene(noise=0.0)
    problem = rs.SparseRecovery(unit * A, unit * (A @ x), sparsity=3)
    dense = np.linalg.pinv(A) @ (A @ x)  # solves the equations, with too many entries
    plain = rs.SparseRecovery(A, A @ x, sparsity=3).certify(dense).value
    assert np.isclose(problem.certify(dense).value / unit, plain)
    for method in (Pursuit(), *(iteration() for iteration in ITERATIONS)):
        sol = rs.solve(problem, method, rtol=1e-6, max_steps=100, throw=False)
        truth = rs.solve(rs.SparseRecovery(A, A @ x, 3), method, rtol=1e-6, max_steps=100,
                         throw=False)  # fmt: skip
        assert sol.converged == truth.converged
        assert np.allclose(sol.x, truth.x, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_losses_that_cannot_be_told_from_zero_or_infinity_are_refused(unit):
    A, _, b = scene()
    with pytest.raises(ValueError, match="Divide b by its largest entry"):
        rs.SparseRecovery(A, unit * b, loss="lasso-l0", parameter=0.0)
