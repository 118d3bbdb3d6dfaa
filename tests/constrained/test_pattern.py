"""Jacobians by colours: as many products as colours, the same derivatives, refused gaps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent.constrained.derivatives import local
from resolvent.constrained.pattern import coloured

slow = pytest.mark.slow
N = 12


def band(x):
    return x[1:] ** 2 - x[:-1] * x[1:] + jnp.sin(x[:-1])


BAND = sp.diags_array([np.ones(N - 1)] * 2, offsets=[0, 1], shape=(N - 1, N))


def near(x):
    return 0.5 * ((x - 1.5) ** 2).sum()


def banded(**given):
    return rs.ConstrainedProblem(near, band, x0=np.linspace(1.0, 2.0, N), **given)


def test_no_row_meets_a_colour_twice():
    rng = np.random.default_rng(0)
    for matrix in (rng.random((20, 30)) < 0.1, rng.random((30, 20)) < 0.2, np.zeros((3, 4), bool)):
        colours = coloured(sp.csr_array(matrix))
        assert colours.min() == 0
        for row in matrix:
            assert len(set(colours[row])) == row.sum()


def test_a_grid_of_any_size_takes_few_colours():
    counts = []
    for side in (8, 16):
        line = sp.diags_array([np.ones(side)] * 3, offsets=[-1, 0, 1], shape=(side, side))
        grid = sp.kron(sp.eye_array(side), line) + sp.kron(line, sp.eye_array(side))
        counts.append(coloured(sp.csr_array(grid)).max() + 1)
    assert counts[0] == counts[1] <= 9


@pytest.mark.parametrize(
    "forward", [True, pytest.param(False, marks=slow)], ids=["columns", "rows"]
)
def test_a_jacobian_takes_as_many_products_as_colours(forward):
    """Products are counted where they happen: each row of a batch calls back once."""
    done = []

    @jax.custom_jvp
    def counted(x):
        return band(x)

    @counted.defjvp
    def _(primals, tangents):
        jax.debug.callback(lambda t: done.append(1), tangents[0].sum())
        return jax.jvp(band, primals, tangents)

    @jax.custom_vjp
    def backward(x):
        return sums(x)

    def sums(x):
        return jnp.append(x**3, x @ x)  # the last row meets all others, which meet no other

    def back(x, ct):
        jax.debug.callback(lambda t: done.append(1), ct.sum())
        return jax.vjp(sums, x)[1](ct)

    backward.defvjp(lambda x: (sums(x), x), back)
    function, plain = (counted, band) if forward else (backward, sums)
    with jax.enable_x64(True):
        x = jnp.linspace(1.0, 2.0, N)
        whole = np.asarray(jax.jacfwd(plain)(x))
        marks = np.abs(whole) > 0
        problem = rs.ConstrainedProblem(near, function, x0=np.asarray(x), pattern=marks)
        pattern = problem.patterns[0]
        jax.effects_barrier()
        done.clear()
        found = local(problem, x).jacobian
        jax.effects_barrier()
    assert pattern.forward == forward
    assert len(done) == pattern.count < min(whole.shape)
    np.testing.assert_allclose(found, whole, atol=1e-14)


@slow
def test_a_pattern_changes_no_answer_and_no_certificate():
    plain, sparse = banded(), banded(pattern=BAND)
    method = rs.constrained.AugmentedLagrangian()
    one, two = (rs.solve(problem, method, rtol=1e-8) for problem in (plain, sparse))
    np.testing.assert_allclose(one.x, two.x, atol=1e-7)
    away = np.linspace(0.5, 1.0, N)
    for witness in (None, one.witness):
        here, there = (rs.certify(problem, away, witness) for problem in (plain, sparse))
        if witness is None:  # by conjugate gradients beside a factorization
            assert here.value == pytest.approx(there.value, rel=1e-9)
        else:  # least squares are not asked for where a witness is given
            assert here.value <= there.value


@slow
def test_least_squares_find_the_same_multipliers_of_inequalities():
    def h(x):
        return jnp.stack([x[0] + x[1] - 1, x[1] * x[2] - 2, -x[3], x[0] - x[3] + 5])

    marks = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 0, 0, 1]])
    x0 = np.array([0.6, 0.5, 3.0, 0.1])
    given = [
        rs.ConstrainedProblem(lambda x: -x.sum() + x[2] ** 2, None, h, x0=x0, pattern=pattern)
        for pattern in (None, (None, marks))
    ]
    one, two = (np.asarray(problem.multipliers(x0).inequalities) for problem in given)
    np.testing.assert_allclose(one, two, atol=1e-9)
    assert one.max() > 0.1
    assert one.min() == 0.0


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [(np.eye(N - 1, N), ValueError), (np.ones((N, N)), ValueError), (3.0, TypeError)],
    ids=["gaps", "shape", "number"],
)
def test_patterns_that_do_not_fit_are_refused(pattern, kind):
    with pytest.raises(kind, match=r"(?s)^pattern: given .+; needed .+\. .+"):
        banded(pattern=pattern)


@slow
def test_problems_with_patterns_are_made_and_differentiated_inside_transformations():
    def total(t, pattern):
        problem = rs.ConstrainedProblem(
            lambda x, t: 0.5 * ((x - t) ** 2).sum(), lambda x, t: band(x), args=t,
            x0=jnp.linspace(1.0, 2.0, N), pattern=pattern,
        )  # fmt: skip
        return rs.solve(problem, rs.constrained.L1SQP(solver="minres"), rtol=1e-10).x.sum()

    with jax.enable_x64(True):
        found = [
            np.asarray(jax.jit(jax.value_and_grad(lambda t, marks=marks: total(t, marks)))(1.5))
            for marks in (None, BAND)
        ]
    np.testing.assert_allclose(*found, atol=1e-8)
