"""What every method for barycenters must get right, and no other family knows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.barycenters import Barycenters
from suite.problems import PAIRS
from suite.tally import TALLY, CountedCost, Table

import resolvent as rs

AVERAGES = [pair for pair in PAIRS if isinstance(pair.house, Barycenters)]
each = pytest.mark.parametrize("pair", AVERAGES, ids=str)


class CountedBarycenter(rs.EntropicBarycenter):
    """A problem whose certificate reads its costs in silence."""

    def __init__(self, *data, **options):
        super().__init__(*data, **options)

    def certify(self, x, witness=None):
        own = None if self.own is None else self.own.but(silent=True)
        silent = self.but(costs=tuple(cost.but(silent=True) for cost in self.costs), own=own)
        return rs.EntropicBarycenter.certify(silent, x, witness)


def counted(pair, kind):
    """A problem that tells of all passes over its costs."""
    cost, masses, weights, reference, own = pair.house.data(kind)
    tell = Table
    if pair.engine == "traced":
        cost, masses, weights = jax.tree_util.tree_map(
            lambda part: jnp.asarray(part, jnp.float32), (cost, masses, weights)
        )
        tell = CountedCost
    costs = [tell(one) for one in cost] if isinstance(cost, list) else tell(cost)
    onto = False if own is None else tell(own)
    return CountedBarycenter(
        costs, masses, weights, pair.house.epsilon, debias=onto, reference=reference
    )


# The debiased steps are compiled slowly, and are the same functions on the host.
@pytest.mark.parametrize(
    ("pair", "kind"),
    [(pair, kind) for pair in AVERAGES for kind in ("shared", "debiased")
     if kind == "shared" or pair.engine == "host"],
    ids=str,
)  # fmt: skip
def test_passes_are_counted(pair, kind):
    problem = counted(pair, kind)
    guess = pair.house.guess() if kind == "shared" else None
    for limit, x0, rtol in [
        (None, None, 1e-4), (None, guess, 1e-4), (3, guess, 1e-4), (0, None, 1e-4),
        (None, guess, 1e-30),
    ]:  # fmt: skip
        TALLY.count = 0
        options = {"rtol": rtol, "max_steps": limit, "throw": False, "x0": x0}
        sol = rs.solve(problem, pair.method, **options)
        jax.effects_barrier()
        assert sol.engine.startswith(pair.engine)
        assert sol.calls["kernel"] == TALLY.count > 0


@each
def test_mass_that_is_not_one(pair):
    """Of measures c b_k the barycenter is c a."""
    cost, masses, *rest = pair.house.data()
    one = pair.house.wrap(cost, masses, *rest, pair.engine)
    for factor in (1e-12, 1e9):
        many = pair.house.wrap(cost, [factor * b for b in masses], *rest, pair.engine)
        sol = rs.solve(many.problem, pair.method, rtol=pair.house.tight)
        assert many.measure(sol.x) <= 1.01 * pair.house.tight * many.scale
        distance = np.abs(many.view(sol.x) / factor - one.view(one.answer)).sum()
        assert distance <= one.view(one.answer).sum() * one.allowed(2 * pair.house.tight)


def hard(house, name):
    """Problems that have an answer, which is hard to come by."""
    cost, masses, weights, reference, own = house.data("debiased" if "own" in name else "shared")
    epsilon = house.epsilon
    if "very sharp" in name:
        epsilon = 1e-9
    elif "sharp" in name:
        epsilon = 1e-4
    elif "empty points" in name:
        reference = np.ones(house.shape[0])
        masses[0][1], masses[1][2], reference[3] = 0.0, 0.0, 0.0
        masses = [b / b.sum() for b in masses]
    elif "dust" in name:
        masses[0][1:3], masses[1][2] = 1e-250, 1e-300
        masses = [b / b.sum() for b in masses]
    elif "single points" in name:
        masses = [np.eye(b.size)[k] for k, b in enumerate(masses)]
    elif name == "far":
        cost[2], cost[:, 4] = 1e6, 1e7
    elif name == "one counts":
        weights = np.array([0.0, 1.0])
    return cost, masses, weights, reference, own, epsilon


HARD = [
    "sharp", "very sharp", "empty points", "dust", "single points", "far", "one counts",
    "sharp own", "very sharp own", "empty points own", "dust own", "single points own",
]  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "name"),
    [(pair, name) for pair in AVERAGES for name in HARD
     if pair.engine == "host" or "own" not in name],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_hard_problems_are_judged_truly(pair, name):
    *data, epsilon = hard(pair.house, name)
    sample = pair.house.wrap(*data, pair.engine, epsilon=epsilon)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-8, max_steps=300, throw=False)
    start = sample.measure(sample.zero)
    truth = sample.measure(sol.x)
    rounding = sample.rounding_at(sol.x)
    assert sol.certificate.value == pytest.approx(truth, rel=1e-6, abs=rounding)
    if sol.converged:
        assert truth <= 1e-8 * sample.scale + rounding
    else:
        assert sol.reason is not rs.Reason.target
        assert truth <= start * (1 + 1e-12)
    if name in ("empty points", "dust", "single points", "one counts"):
        assert sol.converged
    if "empty points" in name:
        masses = np.asarray(sol.masses)
        assert masses[3] == 0
        assert np.isfinite(masses).all()


@each
@pytest.mark.parametrize("unit", [1e-200, 1e-100, 1e100, 1e200])
@pytest.mark.filterwarnings("error")
def test_extreme_units_of_cost_change_nothing(pair, unit):
    cost, *rest = pair.house.data()
    epsilon = unit * pair.house.epsilon
    sample = pair.house.wrap(unit * cost, *rest, pair.engine, epsilon=epsilon)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-8)
    assert sample.measure(sol.x) <= 1.01e-8 * sample.scale
