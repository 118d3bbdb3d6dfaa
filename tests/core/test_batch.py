"""Batches: one compiled program for many problems of one shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core.toys import Halve, HostHalve, Shrink

import resolvent as rs
from resolvent._core import traced

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


def problems(count=3, n=2, kind=jnp):
    return [Shrink(kind.full(n, 1.0 + i)) for i in range(count)]


def test_members_stop_one_by_one():
    many = [Shrink(jnp.array([0.0])), Shrink(jnp.array([5.0]))]
    starts = [jnp.array([1e-9]), jnp.array([1029.0])]
    sols = rs.solve_batch(many, Halve(), x0=starts, atol=1.0, rtol=0)
    assert list(sols.steps) == [0, 10]
    assert sols.converged.tolist() == [True, True]
    assert sols.reason == (rs.Reason.target, rs.Reason.target)


def test_failures_are_told_apart():
    many = [Shrink(jnp.array([0.0])), Shrink(jnp.array([0.0]))]
    starts = [jnp.array([1.0]), jnp.array([1e6])]
    sols = rs.solve_batch(many, Halve(), x0=starts, atol=1e-3, rtol=0, max_steps=12)
    assert sols.converged.tolist() == [True, False]
    assert sols.reason == (rs.Reason.target, rs.Reason.max_steps)


def test_summary_of_a_batch_is_plain():
    import json

    sols = rs.solve_batch(problems(), Halve(), rtol=1e-5)
    facts = json.loads(json.dumps(sols.summary()))
    assert facts["converged"] is True
    assert "3 x" in facts["problem"]
    assert str(sols)


def test_numpy_batches_come_back_as_numpy():
    many = [rs.LinearSystem(np.diag([1.0, 2.0 + i]), np.ones(2)) for i in range(3)]
    sols = rs.solve_batch(many, rs.linear.CG(), rtol=1e-12)
    assert isinstance(sols.x, np.ndarray)
    assert sols.x.dtype == np.float64
    assert sols.converged.all()
    assert np.allclose(sols.x[:, 1], 1 / (2.0 + np.arange(3)), rtol=1e-12)


def test_a_shared_operator_is_shared():
    A = jnp.diag(jnp.arange(1.0, 4.0))
    many = [rs.LinearSystem(A, jnp.full(3, 1.0 + i)) for i in range(2)]
    sols = rs.solve_batch(many, rs.linear.CG(), rtol=1e-5)
    assert np.allclose(sols.x * jnp.arange(1.0, 4.0), np.array([[1.0], [2.0]]), rtol=1e-4)


def test_identical_problems_and_single_ones():
    one = problems(1)
    assert rs.solve_batch(one, Halve(), rtol=1e-5).x.shape == (1, 2)
    sols = rs.solve_batch(one * 4, Halve(), rtol=1e-5)
    assert sols.x.shape == (4, 2)
    assert sols.converged.all()


def test_second_batch_of_a_shape_compiles_nothing():
    rs.solve_batch(problems(), Halve(), rtol=1e-5)
    before = traced.compilations()
    rs.solve_batch([Shrink(p.answer + 9) for p in problems()], Halve(factor=0.4), rtol=1e-4)
    assert traced.compilations() == before


@pytest.mark.parametrize(
    ("many", "options", "kind", "name"),
    [
        ([], {}, ValueError, "problems"),
        ([Shrink(jnp.ones(2)), Shrink(jnp.ones(3))], {}, ValueError, "problems"),
        (
            [Shrink(jnp.ones(2)), rs.LinearSystem(jnp.eye(2), jnp.ones(2))], {}, TypeError,
            "method",
        ),
        (problems(), {"rtol": -1.0}, ValueError, "rtol"),
        (problems(), {"max_steps": 1.5}, TypeError, "max_steps"),
        (problems(), {"x0": [jnp.ones(2)]}, ValueError, "x0"),
        (problems(), {"x0": jnp.ones((3, 5))}, ValueError, "x0"),
        (problems(), {"key": "seed"}, TypeError, "key"),
        (np.eye(2), {}, TypeError, "problem"),
    ],
)  # fmt: skip
def test_bad_batches_are_refused(many, options, kind, name):
    with pytest.raises(kind, match=VOICE) as caught:
        rs.solve_batch(many, Halve(), **options)
    assert str(caught.value).startswith(name)


def test_host_methods_are_refused():
    with pytest.raises(TypeError, match=r"runs on the host.*solve_sequence"):
        rs.solve_batch(problems(), HostHalve())


def test_a_host_method_under_jit_is_refused_with_alternatives():
    @jax.jit
    def run(answer):
        return rs.solve(Shrink(answer), HostHalve()).x

    with pytest.raises(TypeError, match="inside a JAX transformation"):
        run(jnp.ones(2))
