"""Oracle calls are true: the method's numbers against calls that really happened."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.problems import PAIRS

import resolvent as rs
from resolvent.linear.operators import DenseMatrix


class Tally:
    """Counts calls, from compiled code too."""

    def __init__(self):
        self.count = 0

    def add(self, *_):
        self.count += 1


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

    def __init__(self, A, b, tally):
        super().__init__(CountingMatrix(A, tally), b)
        self.__dict__["referee"] = A

    def certify(self, x, witness=None):
        return self.but(operator=DenseMatrix(self.referee)).certify_plain(x)

    def certify_plain(self, x):
        return rs.LinearSystem.certify(self, x)


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.family == "linear"], ids=str)
@pytest.mark.parametrize(
    ("limit", "guess"), [(None, "zero"), (None, "ones"), (3, "ones"), (0, "zero")]
)
def test_products_are_counted(pair, limit, guess):
    matrix, rhs = pair.house.data()
    if pair.engine == "traced":
        matrix, rhs = jnp.asarray(matrix, jnp.float32), jnp.asarray(rhs, jnp.float32)
    tally = Tally()
    problem = CountedSystem(matrix, rhs, tally)
    sol = rs.solve(
        problem, pair.method, rtol=1e-4, max_steps=limit, throw=False,
        x0=None if guess == "zero" else np.ones(rhs.size),
    )  # fmt: skip
    jax.effects_barrier()
    assert sol.engine.startswith(pair.engine)
    assert sol.calls
    assert all(isinstance(n, int) and n >= 0 for n in sol.calls.values())
    if "matvec" in sol.calls:
        assert sol.calls["matvec"] == tally.count
    if limit != 0:
        assert sum(sol.calls.values()) >= sol.steps


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.family == "linear"], ids=str)
def test_refreshed_solves_are_counted(pair):
    matrix, rhs = pair.house.data()
    if pair.engine == "traced":
        matrix, rhs = jnp.asarray(matrix, jnp.float32), jnp.asarray(rhs, jnp.float32)
    tally = Tally()
    sol = rs.solve(CountedSystem(matrix, rhs, tally), pair.method, rtol=1e-30, throw=False)
    jax.effects_barrier()
    if "matvec" in sol.calls:
        assert sol.calls["matvec"] == tally.count


@pytest.mark.parametrize(
    "pair",
    [p for p in PAIRS if "preconditioner" in {f.name for f in dataclasses.fields(p.cls)}],
    ids=str,
)
def test_preconditioner_calls_are_counted(pair):
    matrix, rhs = pair.house.data()
    if pair.engine == "traced":
        matrix, rhs = jnp.asarray(matrix, jnp.float32), jnp.asarray(rhs, jnp.float32)
    tally = Tally()

    def half(r):
        if isinstance(r, np.ndarray):
            tally.add()
        else:
            jax.debug.callback(tally.add, jnp.zeros(()))
        return 0.5 * r

    method = pair.cls(preconditioner=rs.linear.FunctionPreconditioner(half))
    sol = rs.solve(rs.LinearSystem(matrix, rhs), method, rtol=1e-4)
    jax.effects_barrier()
    assert sol.calls["precondition"] == tally.count
    plain = rs.solve(rs.LinearSystem(matrix, rhs), pair.method, rtol=1e-4)
    assert sol.converged
    assert plain.converged


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.engine == "host"], ids=str)
def test_rows_and_dense_storage_agree(pair):
    for kind in pair.house.kinds(pair.cls):
        matrix, rhs = pair.house.data(kind)
        rows = rs.solve(pair.house.wrap(matrix, rhs, "host").problem, pair.method, rtol=1e-9)
        dense = rs.solve(rs.LinearSystem(matrix, rhs), pair.method, rtol=1e-9)
        if dense.engine.startswith("host"):
            assert rows.steps == dense.steps
            assert rows.calls == dense.calls
        assert np.allclose(rows.x, dense.x, rtol=0, atol=1e-7 * np.abs(rows.x).max())


@pytest.mark.parametrize(
    "pair", [p for p in PAIRS if p.engine == "host" and "traced" in p.cls().runs_on()], ids=str
)
def test_engines_agree(pair):
    host, traced = pair.house.sample("host"), pair.house.sample("traced")
    one = rs.solve(host.problem, pair.method, rtol=1e-9, key=1)
    two = rs.solve(traced.problem, pair.method, rtol=1e-9, key=1)
    assert host.error(one.x) <= 1e-7
    assert host.error(two.x) <= 1e-7
    if not pair.cls.random:
        assert one.steps == two.steps
        assert one.calls == two.calls
