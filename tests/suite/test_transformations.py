"""Traced methods under jit, vmap and grad, and what gets compiled when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.problems import RULED_BY_ROUNDING, TRACED, a_family, in_full, same_steps

import resolvent as rs
from resolvent._core import traced

each_house = pytest.mark.parametrize("pair", in_full(TRACED), ids=str)
each_family = pytest.mark.parametrize("pair", a_family(TRACED), ids=str)
RATE = 1e-4


def finest(pair):
    """The tolerance of solves whose answers are differentiated."""
    return getattr(pair.house, "finest", 1e-11)


def single(pair, seed=0):
    return tuple(jnp.asarray(part, jnp.float32) for part in pair.house.arrays(seed))


def near(pair, one, other):
    """Whether two views agree as far as single precision goes."""
    part = RATE if pair.cls.name in RULED_BY_ROUNDING else 1e-5
    return np.allclose(one, other, rtol=0, atol=part * float(np.abs(other).max()))


def solver(pair, **options):
    """A function of the problem's arrays that returns the solution."""
    method = pair.method

    def run(*data, **more):
        return rs.solve(pair.house.traced(*data), method, **options, **more)

    return run


@each_house
def test_jit_equals_eager_and_keeps_the_step_limit(pair):
    data = single(pair)
    run = solver(pair, rtol=RATE, key=3)
    eager = run(*data)
    # The limit is an argument, so that both solves are of one program.
    bounded = jax.jit(lambda limit, *data: run(*data, max_steps=limit))
    compiled = bounded(pair.method.limit(pair.house.traced(*data)), *data)
    assert same_steps(pair, compiled.steps, eager.steps)
    assert compiled.converged
    assert compiled.reason is rs.Reason.target
    if compiled.steps == eager.steps:
        assert jax.tree_util.tree_map(int, compiled.calls) == eager.calls
    for part in (*pair.house.parts(compiled.x), *pair.house.parts(eager.x)):
        assert part.dtype == jnp.float32
    assert near(pair, pair.house.view(compiled.x), pair.house.view(eager.x))
    limit = min(2, int(eager.steps) - 1)
    assert limit > 0
    sol = bounded(limit, *data)
    assert sol.steps == limit
    assert not sol.converged
    assert sol.reason is rs.Reason.max_steps


@each_family
def test_batch_equals_a_loop(pair):
    data = [single(pair, seed) for seed in range(3)]
    problems = [pair.house.traced(*one) for one in data]
    loop = [rs.solve(one, pair.method, rtol=RATE, key=(0, i)) for i, one in enumerate(problems)]
    batch = rs.solve_batch(problems, pair.method, rtol=RATE, key=0)
    assert batch.converged.all()
    assert all(
        same_steps(pair, *two) for two in zip(batch.steps, (one.steps for one in loop), strict=True)
    )
    views = pair.house.view(batch.x)
    assert views.shape == (3, *pair.house.view(loop[0].x).shape)
    for view, one in zip(views, loop, strict=True):
        assert near(pair, view, pair.house.view(one.x))


@each_house
def test_batch_members_end_one_by_one(pair):
    data = [single(pair, seed) for seed in range(3)]
    easy = pair.house.easy(*data[0])
    problems = [pair.house.traced(*one) for one in (easy, *data[1:])]
    batch = rs.solve_batch(problems, pair.method, rtol=RATE)
    assert batch.steps[0] == 0
    assert (batch.steps[1:] > 0).all()
    assert batch.converged.all()


@each_family
def test_vmap_equals_a_loop(pair):
    which = pair.house.mapped
    fixed = single(pair)
    varied = jnp.stack([single(pair, seed)[which] for seed in range(3)])
    run = solver(pair, rtol=RATE, key=3)

    def solve(part):
        return run(*fixed[:which], part, *fixed[which + 1 :])

    many = jax.jit(jax.vmap(solve))(varied)
    views = pair.house.view(many.x)
    for i in range(3):
        one = solve(varied[i])
        assert same_steps(pair, many.steps[i], one.steps)
        assert near(pair, views[i], pair.house.view(one.x))


def readout(pair):
    """A read-out of the answer along a parameter, in double precision, and its slope."""
    parts, read, slope = pair.house.scene()

    def value(t, **options):
        problem = pair.house.traced(*map(jnp.asarray, parts(t)))
        return read(rs.solve(problem, pair.method, **options).x)

    return value, slope


@each_house
def test_implicit_derivatives_agree_with_finite_differences(pair):
    with jax.enable_x64(True):
        value, slope = readout(pair)

        @jax.jit
        def derivatives(t, rtol, atol):
            _, push = jax.linearize(lambda t: value(t, rtol=rtol, atol=atol), t)
            return push(1.0), jax.linear_transpose(push, t)(1.0)[0]

        forward, backward = derivatives(0.3, finest(pair), 0.0)
        assert float(forward) == pytest.approx(slope, rel=1e-6)
        assert float(backward) == pytest.approx(slope, rel=1e-6)
        # A target that nothing can meet leaves no derivative, and no wrong one.
        assert np.isnan(derivatives(0.3, -1.0, -1.0)).all()


@each_family
def test_unrolled_gradient_agrees_with_finite_differences(pair):
    parts, read, slope = pair.house.scene()
    with jax.enable_x64(True):
        problem = pair.house.traced(*map(jnp.asarray, pair.house.arrays()))
        # Three steps more than needed: the loop idles and its derivative must stay finite.
        limit = 3 + int(rs.solve(problem, pair.method, rtol=finest(pair)).steps)

        @jax.jit
        def value(t, rtol):
            one = pair.house.traced(*map(jnp.asarray, parts(t)))
            sol = rs.solve(one, pair.method, rtol=rtol, max_steps=limit, adjoint=rs.Unrolled())
            return read(sol.x)

        gradient = jax.jit(jax.grad(value))
        rel = getattr(pair.house, "unrolled_error", 1e-5)
        assert float(gradient(0.3, finest(pair))) == pytest.approx(slope, rel=rel)
        # An unfinished iterate has a derivative of its own.
        change = float(value(0.3 + 1e-6, 1e-2) - value(0.3 - 1e-6, 1e-2)) / 2e-6
        assert float(gradient(0.3, 1e-2)) == pytest.approx(change, rel=1e-4, abs=1e-7)


@each_house
def test_no_adjoint_means_no_derivative(pair):
    with jax.enable_x64(True):
        value, _ = readout(pair)
        gradient = jax.jit(jax.grad(lambda t: value(t, rtol=finest(pair), adjoint=None)))
        assert float(gradient(0.3)) == 0.0


@each_house
def test_second_solve_of_a_shape_compiles_nothing(pair, traces):
    def run(seed, **options):
        rs.solve(pair.house.traced(*single(pair, seed)), pair.method, throw=False, **options)

    run(0, rtol=1e-4)
    for seed in (0, 3, 4):
        run(seed, rtol=1e-30)  # the refreshing continuation, if the answer is not met to the bit
    run(0, rtol=1e-5, max_steps=7)  # an end that is compared with the start
    programs, events = traced.compilations(), traces()
    run(1, rtol=1e-3)
    run(2, rtol=1e-5, max_steps=7, key=9)
    run(3, rtol=1e-30)
    assert traced.compilations() == programs
    assert traces() == events


@each_family
def test_points_are_judged_by_one_program(pair, traces):
    def judge(seed):
        problem = pair.house.traced(*single(pair, seed))
        return rs.certify(problem, problem.start(None))

    judge(0)
    events = traces()
    judge(1)
    assert traces() == events


@each_family
def test_precision_of_the_user_is_untouched(pair):
    sample = pair.house.sample("traced", np.float64)

    def other():
        return jnp.arange(3.0).dtype, (jnp.ones(2) * 2.5).dtype

    before = jax.config.jax_enable_x64, other()
    seen = []
    rs.solve(
        sample.problem, pair.method, rtol=1e-30, throw=False,
        callback=lambda report: seen.append((jax.config.jax_enable_x64, other())),
    )  # fmt: skip
    assert (jax.config.jax_enable_x64, other()) == before
    assert set(seen) <= {before}
