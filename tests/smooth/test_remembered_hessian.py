"""Lazy Newton steps through a sequence: factorizations that an earlier solve has made."""

import jax.numpy as jnp
import numpy as np
import pytest
from smooth.functions import soft

import resolvent as rs
from resolvent.smooth import LazyNewton

n, METHOD = 5, LazyNewton("adaptive", 8, M=1e-3)


def drifting(t=0.0):
    """One of a family of convex problems that changes smoothly with t."""
    rng = np.random.default_rng(4)
    A, change = rng.standard_normal((2, 30, n))
    return rs.Minimize(soft, (A + t * change,), x0=np.full(n, 2.0))


@pytest.fixture(scope="module")
def cold():
    """A solve that remembers nothing."""
    return rs.solve(drifting(), METHOD, rtol=1e-8)


def test_a_sequence_saves_factorizations(cold):
    times = 0.01 * np.arange(1, 6)
    alone, sols = [cold], [cold]
    for t in times:
        guess = {"x0": alone[-1].x}
        alone.append(rs.solve(drifting(t), METHOD, rtol=1e-8, **guess))
        sols.append(rs.solve(drifting(t), METHOD, rtol=1e-8, memory=sols[-1].memory, **guess))
    made, needed = (sum(sol.calls["factorization"] for sol in each[1:]) for each in (sols, alone))
    assert needed >= len(times)
    assert made <= 0.5 * needed
    for one, other in zip(sols, alone, strict=True):
        assert one.converged
        assert np.allclose(one.x, other.x, atol=1e-6)


def remembering(sol, matrix):
    """The memory of a solve, with another Hessian."""
    entry = sol.memory.entries["hessian"]
    values, vectors = np.linalg.eigh(matrix)
    value = {"matrix": matrix, "values": values, "vectors": vectors}
    assert entry.value.keys() == value.keys()
    return rs.Memory({"hessian": entry.but(value=value)})


def hessian(problem, x):
    (A,) = problem.args
    bend = 1 - np.tanh(A @ x) ** 2
    return (A.T * bend) @ A / len(A)


def test_another_hessian_is_refused_at_the_cost_of_a_product(cold):
    problem = drifting()
    near = hessian(problem, problem.first)
    entry = remembering(cold, near).entries["hessian"]
    foreign = entry.value | {"values": 3.0 * entry.value["values"]}
    foreign = rs.Memory({"hessian": entry.but(value=foreign)})
    for memory in (remembering(cold, 3.0 * near), remembering(cold, -near), foreign):
        sol = rs.solve(problem, METHOD, rtol=1e-8, memory=memory)
        assert (sol.x == cold.x).all()
        assert sol.calls == cold.calls | {"product": cold.calls["product"] + 1}


@pytest.mark.parametrize("variant", ["adaptive", pytest.param("newton", marks=pytest.mark.slow)])
def test_what_serves_along_the_gradient_alone_gives_way_to_a_hessian(variant, cold):
    """It leaves no trace: a step with an old Hessian says nothing about M."""
    method, problem = METHOD, drifting()
    if variant == "newton":
        method, problem = LazyNewton("newton", 8), problem.but(first=cold.x + 0.01)
        cold = rs.solve(problem, method, rtol=1e-8)
    (A,), x = problem.args, problem.first
    H, g = hessian(problem, x), A.T @ np.tanh(A @ x) / len(A) - 0.3 * np.eye(n)[0]
    g /= np.linalg.norm(g)
    across = np.linalg.qr(np.column_stack([g, H @ g]))[0][:, 1]
    # Off by a third along g, and flat across it, where steps lead astray.
    away = 0.3 * np.linalg.norm(H @ g) * np.outer(across, g)
    wrong = H + away + away.T - (across @ H @ across) * np.outer(across, across)
    sol = rs.solve(problem, method, rtol=1e-8, memory=remembering(cold, wrong))
    assert (sol.x == cold.x).all()
    assert sol.witness["rejected"] == cold.witness["rejected"] + 1
    assert sol.calls["hessian"] == cold.calls["hessian"]
    # At most a cycle was in vain.
    assert 1 <= sol.calls["gradient"] - cold.calls["gradient"] <= 8


@pytest.mark.slow
def test_memory_of_single_precision_serves_double(cold):
    entry = cold.memory.entries["hessian"]
    value = {name: jnp.asarray(part, jnp.float32) for name, part in entry.value.items()}
    memory = rs.Memory({"hessian": entry.but(value=value)})
    sol = rs.solve(drifting(), METHOD, x0=cold.x + 0.01, rtol=1e-6, memory=memory)
    assert sol.calls["hessian"] == 0
    assert sol.x.dtype == np.float64
