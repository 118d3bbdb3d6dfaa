"""Oracle calls are true: the method's numbers against calls that really happened."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator
from suite.problems import LINEAR, PAIRS, always
from suite.tally import Tally

import resolvent as rs
from resolvent.linear.operators import DenseMatrix


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CountingMatrix(DenseMatrix):
    """A dense matrix that tells a tally of every product."""

    tally: Any = dataclasses.field(metadata={"static": True})

    def mv(self, x):
        if isinstance(x, np.ndarray):
            self.tally.add()
        else:
            jax.debug.callback(self.tally.add, jnp.zeros(()))
        return super().mv(x)


class CountedSystem(rs.LinearSystem):
    """A system whose certificate does not go through the counted operator."""

    referee: Any

    def __init__(self, A, b, referee):
        super().__init__(A, b, positive_definite=True)
        self.__dict__["referee"] = referee

    def certify(self, x, witness=None):
        return self.but(operator=DenseMatrix(self.referee)).certify_plain(x)

    def certify_plain(self, x):
        return rs.LinearSystem.certify(self, x)


TALLY = Tally()  # one for all: it is part of what programs are compiled for
# A host kernel reads entries where nobody can count: there an operator is given instead.
COUNTABLE = [
    pair for pair in LINEAR
    if pair.engine == "traced" or not {"entries", "diagonal"} & set(pair.cls.needs)
]  # fmt: skip


def counted(pair, guess):
    """A problem whose products are counted, and a first guess."""
    matrix, rhs = pair.house.data()
    TALLY.count = 0
    x0 = None if guess == "zero" else np.ones(rhs.size)
    if pair.engine == "traced":
        A = jnp.asarray(matrix, jnp.float32)
        return CountedSystem(CountingMatrix(A, TALLY), jnp.asarray(rhs, jnp.float32), A), x0

    def product(x):
        TALLY.add()
        return matrix @ x

    operator = LinearOperator(matrix.shape, matvec=product, dtype=float)
    return CountedSystem(operator, rhs, matrix), x0


@pytest.mark.parametrize("pair", COUNTABLE, ids=str)
@pytest.mark.parametrize(
    ("limit", "guess", "rtol"),
    [(None, "zero", 1e-4), (None, "ones", 1e-4), (3, "ones", 1e-4), (0, "zero", 1e-4),
     (None, "ones", 1e-30)],
    ids=["whole", "from-ones", "three-steps", "no-step", "refreshed"],
)  # fmt: skip
def test_products_are_counted(pair, limit, guess, rtol):
    problem, x0 = counted(pair, guess)
    options = {"rtol": rtol, "max_steps": limit, "throw": False, "x0": x0}
    try:
        sol = rs.solve(problem, pair.method, **options)
    except ValueError as error:
        if "needed the entries" not in str(error):
            raise
        # Set up from the entries, run on products: these pass through the counting matrix.
        problem = CountedSystem(CountingMatrix(problem.referee, TALLY), problem.b, problem.referee)
        sol = rs.solve(problem, pair.method, **options)
    jax.effects_barrier()
    assert sol.engine.startswith(pair.engine)
    assert all(isinstance(n, int) and n >= 0 for n in sol.calls.values())
    assert sol.calls.get("matvec", 0) == TALLY.count


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_steps_cost_something(pair):
    sol = rs.solve(pair.house.sample(pair.engine).problem, pair.method, rtol=pair.house.tight)
    assert sum(sol.calls.values()) >= sol.steps > 0


PRECONDITIONED = [
    p for p in LINEAR if "preconditioner" in {f.name for f in dataclasses.fields(p.cls)}
]


@pytest.mark.parametrize("pair", PRECONDITIONED, ids=str)
def test_preconditioner_calls_are_counted(pair):
    matrix, rhs = pair.house.data()
    if pair.engine == "traced":
        matrix, rhs = jnp.asarray(matrix, jnp.float32), jnp.asarray(rhs, jnp.float32)
    tally = TALLY

    def half(r):
        if isinstance(r, np.ndarray):
            tally.add()
        else:
            jax.debug.callback(tally.add, jnp.zeros(()))
        return 0.5 * r

    method = pair.cls(preconditioner=rs.linear.FunctionPreconditioner(half))
    # A tolerance that rounding denies makes the solve begin again from the data.
    for rtol in (1e-30, 1e-4):
        tally.count = 0
        sol = rs.solve(rs.LinearSystem(matrix, rhs), method, rtol=rtol, throw=False)
        jax.effects_barrier()
        assert sol.calls["precondition"] == tally.count
    plain = rs.solve(rs.LinearSystem(matrix, rhs), pair.method, rtol=1e-4)
    assert sol.converged
    assert plain.converged


# What a preconditioner finds out for itself is its own affair, not the method's.
CHOSEN = always(PRECONDITIONED)


@pytest.mark.parametrize(
    ("pair", "bounds"),
    [
        pytest.param(pair, bounds, marks=pytest.mark.slow if bounds and pair not in CHOSEN else ())
        for pair in PRECONDITIONED
        for bounds in ({}, {"low": 0.5}, {"low": 0.5, "high": 12.0})
    ],
    ids=str,
)
def test_products_of_preconditioners_and_their_set_up_are_counted(pair, bounds):
    M = rs.linear.ChebyshevPreconditioner(2, **bounds)
    matrix, rhs = pair.house.data()
    A = matrix if pair.engine == "host" else jnp.asarray(matrix, jnp.float32)
    b = rhs if pair.engine == "host" else jnp.asarray(rhs, jnp.float32)
    problem = CountedSystem(CountingMatrix(A, TALLY), b, A)
    TALLY.count = 0
    sol = rs.solve(problem, pair.cls(preconditioner=M), rtol=1e-4, x0=np.ones(rhs.size))
    jax.effects_barrier()
    assert sol.engine.startswith(pair.engine)
    assert sol.calls["matvec"] == TALLY.count
    # A preconditioner that comes set up has spent nothing in this solve.
    ready = M.setup(problem.prepare(pair.engine))
    jax.effects_barrier()
    TALLY.count = 0
    sol = rs.solve(problem, pair.cls(preconditioner=ready), rtol=1e-4, x0=np.ones(rhs.size))
    jax.effects_barrier()
    assert sol.calls["matvec"] == TALLY.count


@pytest.mark.parametrize("pair", [p for p in LINEAR if p.engine == "host"], ids=str)
def test_rows_and_dense_storage_agree(pair):
    for kind in pair.house.kinds(pair.cls):
        matrix, rhs = pair.house.data(kind)
        rows = rs.solve(pair.house.wrap(matrix, rhs, "host").problem, pair.method, rtol=1e-9)
        dense = rs.solve(rs.LinearSystem(matrix, rhs), pair.method, rtol=1e-9)
        # Elsewhere rounding may decide the last step of a method without monotony.
        if dense.engine.startswith("host") and kind == "definite":
            assert rows.steps == dense.steps
            assert rows.calls == dense.calls
        assert np.allclose(rows.x, dense.x, rtol=0, atol=1e-7 * np.abs(rows.x).max())


@pytest.mark.parametrize(
    "pair", [p for p in PAIRS if p.engine == "host" and "traced" in p.cls().runs_on()], ids=str
)
def test_engines_agree(pair):
    host, traced = pair.house.sample("host"), pair.house.sample("traced")
    one = rs.solve(host.problem, pair.method, rtol=pair.house.tight, key=1)
    two = rs.solve(traced.problem, pair.method, rtol=pair.house.tight, key=1)
    assert host.error(one.x) <= 1e-7
    assert host.error(two.x) <= 1e-7
    if not pair.cls.random and pair.house.engines_step_alike:
        assert one.steps == two.steps
        # From a zero guess the host knows the first residual without a product.
        assert abs(sum(one.calls.values()) - sum(two.calls.values())) <= 1
