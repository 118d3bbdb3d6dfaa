"""What every method for entropic transport must get right, and no other family knows."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.problems import PAIRS
from suite.tally import TALLY, CountedCost, Table, Tally
from suite.transport import Entropic

import resolvent as rs
from resolvent.transport import greenkhorn, kernels_newton, sinkhorn_host

PLANS = [pair for pair in PAIRS if isinstance(pair.house, Entropic)]
each = pytest.mark.parametrize("pair", PLANS, ids=str)


class CountedTransport(rs.EntropicTransport):
    """A problem whose certificate reads its cost in silence."""

    def __init__(self, *data, **options):
        super().__init__(*data, **options)

    def certify(self, x, witness=None):
        silent = self.but(cost=self.cost.but(silent=True))
        return rs.EntropicTransport.certify(silent, x, witness)


LIMITS = pytest.mark.parametrize(
    ("limit", "warm", "rtol"),
    [(None, False, 1e-4), (None, True, 1e-4), (3, True, 1e-4), (0, False, 1e-4),
     (None, True, 1e-30)],
    ids=["whole", "from-a-guess", "three-steps", "no-step", "refreshed"],
)  # fmt: skip


def counted_solve(pair, problem, limit, warm, rtol):
    TALLY.count = 0
    x0 = pair.house.guess() if warm else None
    sol = rs.solve(problem, pair.method, rtol=rtol, max_steps=limit, throw=False, x0=x0)
    jax.effects_barrier()
    return sol


# The traced sweeps are the same arithmetic with and without penalties, and slow to compile.
@pytest.mark.parametrize(
    ("pair", "kind"),
    [(p, kind) for p in PLANS if "traced" in p.cls.engines for kind in ("balanced", "penalized")
     if kind == "balanced" or p.engine == "host"],
    ids=str,
)  # fmt: skip
@LIMITS
def test_passes_are_counted(pair, limit, warm, rtol, kind):
    cost, a, b, penalty = pair.house.data(kind)
    if pair.engine == "traced":
        cost, a, b = (jnp.asarray(part, jnp.float32) for part in (cost, a, b))
        cost = CountedCost(cost)
    else:
        cost = Table(cost)
    problem = CountedTransport(cost, a, b, pair.house.epsilon, penalty=penalty)
    sol = counted_solve(pair, problem, limit, warm, rtol)
    assert sol.engine.startswith(pair.engine)
    assert sol.calls["kernel"] == TALLY.count > 0


def told(function, worth=lambda result: 1):
    """A function that tells of each of its calls."""

    def call(*arguments):
        result = function(*arguments)
        TALLY.count += worth(result)
        return result

    return call


def watch_sweeps(monkeypatch):
    """Count what Sinkhorn's iteration does on the host, and nothing that a certificate does."""
    scaling, storing, softmin = (
        types.SimpleNamespace(**vars(getattr(sinkhorn_host, name)))
        for name in ("scaling", "storing", "softmin")
    )
    for name in ("sweep_dense", "sweep_sparse"):
        setattr(scaling, name, told(getattr(scaling, name), lambda result: result[0]))
    scaling.pass_log = told(scaling.pass_log)
    storing.build_dense = told(storing.build_dense)
    storing.build_sparse = told(storing.build_sparse, lambda result: 2)
    softmin.marginals = told(softmin.marginals)
    softmin.softmin_columns = told(softmin.softmin_columns)
    for name, module in (("scaling", scaling), ("storing", storing), ("softmin", softmin)):
        monkeypatch.setattr(sinkhorn_host, name, module)


@pytest.mark.parametrize("kind", ["balanced", "penalized"])
@LIMITS
def test_passes_of_newton_are_counted(monkeypatch, limit, warm, rtol, kind):
    (pair,) = [pair for pair in PLANS if pair.cls.name == "sinkhorn-newton-sparse"]
    products = Tally()

    def cg(*arguments):
        done, rest = whole(*arguments)
        products.count += done
        return done, rest

    whole = kernels_newton.cg
    monkeypatch.setattr(kernels_newton, "cg", cg)
    monkeypatch.setattr(kernels_newton, "plan_pass", told(kernels_newton.plan_pass))
    watch_sweeps(monkeypatch)
    problem = pair.house.sample("host", kind=kind).problem
    sol = counted_solve(pair, problem, limit, warm, rtol)
    assert sol.calls["kernel"] == TALLY.count > 0
    assert sol.calls["matvec"] == products.count


@pytest.mark.parametrize("kind", ["balanced", "penalized"])
@LIMITS
def test_passes_of_greenkhorn_are_counted(monkeypatch, limit, warm, rtol, kind):
    (pair,) = [pair for pair in PLANS if pair.cls.name == "greenkhorn"]
    monkeypatch.setattr(greenkhorn, "marginals", told(greenkhorn.marginals))
    problem = pair.house.sample("host", kind=kind).problem
    sol = counted_solve(pair, problem, limit, warm, rtol)
    assert sol.calls["kernel"] == TALLY.count > 0


@pytest.mark.parametrize("pair", [p for p in PLANS if p.engine == "host"], ids=str)
@pytest.mark.parametrize("storage", ["columns", "points"])
def test_storages_agree(pair, storage):
    tight = pair.house.tight
    rows = rs.solve(pair.house.stored("rows"), pair.method, rtol=tight)
    other = rs.solve(pair.house.stored(storage), pair.method, rtol=tight)
    assert np.allclose(rows.x.plan, other.x.plan, rtol=0, atol=100 * tight)


@each
def test_mass_that_is_not_one(pair):
    """With masses c a and c b the plan is c P."""
    cost, a, b, penalty = pair.house.data()
    one = pair.house.wrap(cost, a, b, penalty, pair.engine)
    for factor in (1e-12, 1e9):
        many = pair.house.wrap(cost, factor * a, factor * b, penalty, pair.engine)
        sol = rs.solve(many.problem, pair.method, rtol=pair.house.tight)
        assert many.measure(sol.x) <= 1.01 * pair.house.tight * many.scale
        distance = np.abs(many.view(sol.x) / factor - one.view(one.answer)).sum()
        assert distance <= one.allowed(2 * pair.house.tight)


def hard(house, name):
    """Problems that have an answer, which is hard to come by."""
    cost, a, b, penalty = house.data()
    epsilon = house.epsilon
    if name == "sharp":
        epsilon = 1e-4
    elif name == "very sharp":
        epsilon = 1e-9
    elif name == "empty points":
        a[[0, 5]], b[3] = 0.0, 0.0
        a, b = a / a.sum(), b / b.sum()
    elif name == "dust":
        a[1:4], b[2] = 1e-250, 1e-300
        a, b = a / a.sum(), b / b.sum()
    elif name == "far":
        cost[2], cost[:, 4] = 1e6, 1e7
    elif name == "twins":
        cost[1], cost[:, 1] = cost[0], cost[:, 0]
    return cost, a, b, penalty, epsilon


@each
@pytest.mark.parametrize("name", ["sharp", "very sharp", "empty points", "dust", "far", "twins"])
@pytest.mark.filterwarnings("error")
def test_hard_problems_are_judged_truly(pair, name):
    *data, epsilon = hard(pair.house, name)
    sample = pair.house.wrap(*data, pair.engine, epsilon=epsilon)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-8, max_steps=300, throw=False)
    start = sample.measure(tuple(map(np.zeros, pair.house.shape)))
    truth = sample.measure(sol.x)
    rounding = sample.rounding_at(sol.x)
    assert sol.certificate.value == pytest.approx(truth, rel=1e-6, abs=rounding)
    if sol.converged:
        assert truth <= 1e-8 * sample.scale + rounding
    else:
        assert sol.reason is not rs.Reason.target
        assert truth <= start * (1 + 1e-12)
    if name in ("empty points", "twins"):
        assert sol.converged
        assert (sample.view(sol.x)[sample.a == 0] == 0).all()


@each
@pytest.mark.parametrize("unit", [1e-200, 1e-100, 1e100, 1e200])
@pytest.mark.filterwarnings("error")
def test_extreme_units_of_cost_change_nothing(pair, unit):
    cost, a, b, penalty = pair.house.data()
    epsilon = unit * pair.house.epsilon
    sample = pair.house.wrap(unit * cost, a, b, penalty, pair.engine, epsilon=epsilon)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-8)
    assert sample.measure(sol.x) <= 1.01e-8 * sample.scale
