import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent._core import compiling


def _distance(target):
    return rs.Minimize(lambda x: jnp.sum((x - target) ** 2), x0=jnp.zeros(3))


def test_words_that_xla_does_not_know_are_not_said():
    assert compiling.known((("xla_of_another_time", 1),)) is None
    assert compiling.known((("xla_cpu_parallel_codegen_split_count", 1),)) is not None


def test_what_users_tell_xla_is_left_alone(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=true")
    assert compiling._options() is None
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    told = compiling._options()
    assert (told is None) == (jax.default_backend() != "cpu")
    plus = compiling.program(0)(lambda known, x: known + x)
    assert [float(plus(1, jnp.float32(k))) for k in (1, 2)] == [2.0, 3.0]
    assert plus.compilations() == 1


def test_a_solve_within_a_compiled_function_that_does_not_depend_on_it_has_its_value():
    problem = _distance(1.0)
    found = jax.jit(lambda y: y * rs.solve(problem).x)(2.0)
    np.testing.assert_allclose(found, 2.0, rtol=1e-5)
    value = jax.jit(lambda y: y * rs.certify(problem, jnp.ones(3)).value)(2.0)
    assert float(value) == 0.0


@pytest.mark.parametrize("transformed", [jax.vmap, jax.grad], ids=["vmap", "grad"])
def test_values_under_a_transformation_belong_in_args(transformed):
    def least(y):
        return rs.solve(_distance(y)).x.sum()

    given = jnp.ones(2) if transformed is jax.vmap else 1.0
    with pytest.raises(TypeError, match=re.escape("Pass them as args=")):
        transformed(least)(given)


BRANCHES = """
import resolvent as rs
from resolvent.papers.sif_problems import sif_problem

sol = rs.solve(sif_problem("DEMBO7"), rtol=1e-6)
assert sol.converged
"""


@pytest.mark.slow
def test_programs_whose_loops_branch_compile_in_a_minute_or_two():
    """As users compile them: LLVM's second level had not ended after five minutes."""
    named = ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS", "JAX_COMPILATION_CACHE_DIR")
    plain = {name: value for name, value in os.environ.items() if name not in named}
    subprocess.run([sys.executable, "-c", BRANCHES], env=plain, timeout=300, check=True)
