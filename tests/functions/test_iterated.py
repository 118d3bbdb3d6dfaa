"""Sets whose projections are iterations: against SciPy, their inequality and differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog, nnls

from resolvent.functions import L1, Ball, Box, HalfSpace, Simplex
from resolvent.functions.intersections import Intersection
from resolvent.functions.polyhedra import Polyhedron
from resolvent.functions.transport_sets import Birkhoff, TransportPolytope

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
N = 9
rng = np.random.default_rng(0)
ROWS, NORMAL = rng.standard_normal((6, N)), rng.standard_normal(N)
LOWER = np.array([-1.0, -np.inf, 0.3, -0.2, -np.inf, -1.0])
UPPER = np.array([1.0, 0.5, 0.3, np.inf, 1.0, 2.0])
SUMS = np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.0, 0.4])
MARGINALS = np.r_[np.kron(np.eye(3), np.ones(3)), np.kron(np.ones(3), np.eye(3))]
POSITIVE, ALL = (np.eye(N), 0.0, np.inf), (np.ones((1, N)), 1.0, 1.0)
HALF = (NORMAL[None], -np.inf, -0.5)
THREE = HalfSpace(NORMAL, -0.5), Box(-1.0, 2.0), Ball(1.5)
SETS = {
    "one row": (Polyhedron(ROWS[:1], LOWER[:1], UPPER[:1]), [(ROWS[:1], LOWER[:1], UPPER[:1])]),
    "polyhedron": (Polyhedron(ROWS, LOWER, UPPER), [(ROWS, LOWER, UPPER)]),
    "rows that depend": (
        Polyhedron(np.r_[ROWS, ROWS[:2], ROWS[:1] + ROWS[1:2]], np.r_[LOWER, LOWER[:2], -3.0],
                   np.r_[UPPER, UPPER[:2], 1.5]),
        [(ROWS, LOWER, UPPER)],
    ),
    "birkhoff": (Birkhoff(), [POSITIVE, (MARGINALS, 1.0, 1.0)]),
    "plans": (
        TransportPolytope(*SUMS),
        [POSITIVE, (MARGINALS, np.concatenate(SUMS), np.concatenate(SUMS))],
    ),
    "two sets": (Intersection((Simplex(), HalfSpace(NORMAL, -0.5))), [POSITIVE, ALL, HALF]),
    "two sets at once": (
        Intersection((Simplex(), HalfSpace(NORMAL, -0.5)), "douglas-rachford"),
        [POSITIVE, ALL, HALF],
    ),
    "three sets": (Intersection(THREE), None),
}  # fmt: skip
MATRICES = "birkhoff", "plans"


def rarely(*what):
    """In the long run alone: the same code is compiled once more."""
    return pytest.param(*what, marks=pytest.mark.slow)


POINTS = hnp.arrays(np.float64, N, elements=st.floats(-5, 5, allow_subnormal=False))


def projected(name):
    part, shape = SETS[name][0], (3, 3) if name in MATRICES else (N,)
    return lambda x: part.project(x.reshape(shape)).ravel()


@functools.cache
def compiled(name):
    """Both functions as one program: compilation is what takes time."""
    shape = (3, 3) if name in MATRICES else (N,)

    def program(part, x):
        near = part.project(x.reshape(shape)).ravel()
        return {"project": near, "value": part.value(x.reshape(shape))}

    return jax.jit(program)


def double(name, which, x, part=None):
    with jax.enable_x64(True):
        return np.asarray(compiled(name)(part or SETS[name][0], np.asarray(x, float))[which])


def nearest(constraints, x):
    """The projection by SciPy's active-set method: the shortest y with G y >= h."""
    rows, bounds = [], []
    for A, lower, upper in constraints:
        for sign, bound in ((1, lower), (-1, upper)):
            bound = np.broadcast_to(bound, len(A))
            rows.append(sign * A[np.isfinite(bound)])
            bounds.append(sign * bound[np.isfinite(bound)])
    G = np.concatenate(rows)
    E = np.vstack([G.T, np.concatenate(bounds) - G @ x])
    left = E @ nnls(E, np.eye(N + 1)[N])[0] - np.eye(N + 1)[N]
    return x - left[:N] / left[N]


@pytest.mark.parametrize("name", [name for name in SETS if SETS[name][1]])
def test_projection_agrees_with_scipy(name):
    for x in np.random.default_rng(1).normal(0, 2, (2, N)):
        assert np.allclose(double(name, "project", x), nearest(SETS[name][1], x), atol=1e-8)


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=15)
@given(x=POINTS, y=POINTS)
def test_projection_is_what_its_inequality_says(name, x, y):
    px, py = double(name, "project", x), double(name, "project", y)
    assert double(name, "value", px) == 0
    assert (x - px) @ (py - px) <= 1e-8
    assert np.allclose(double(name, "project", px), px, rtol=0, atol=1e-9)
    assert double(name, "value", px + 1e-6 * NORMAL) == np.inf or name in ("one row", "three sets")


@pytest.mark.parametrize("name", ["polyhedron", "birkhoff", "two sets", rarely("two sets at once")])
def test_derivatives_agree_with_differences(name):
    x = np.random.default_rng(2).normal(0, 2, N)
    function = projected(name)

    @jax.jit
    def program(x):
        _, linear = jax.linearize(function, x)
        back = jax.linear_transpose(linear, x)
        return jax.vmap(lambda v: back(v)[0])(jnp.eye(N)), linear(jnp.asarray(NORMAL))

    with jax.enable_x64(True):
        slope, along = program(x)
    changes = [
        (double(name, "project", x + 1e-4 * e) - double(name, "project", x - 1e-4 * e)) / 2e-4
        for e in np.eye(N)
    ]
    assert np.allclose(np.asarray(slope).T, np.stack(changes), atol=1e-5)
    assert np.allclose(along, np.asarray(slope) @ NORMAL, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["polyhedron", *map(rarely, ("birkhoff", "two sets", "two sets at once"))]
)
def test_batches_and_single_precision(name):
    x = np.random.default_rng(5).normal(size=(2, N)).astype(np.float32)
    part, shape = SETS[name][0], (3, 3) if name in MATRICES else (N,)

    @jax.jit
    def program(x):
        whole = jax.vmap(projected(name))(x)
        return whole, jax.vmap(lambda row: part.value(row.reshape(shape)))(whole)

    whole, values = program(x)
    assert whole.dtype == jnp.float32
    assert np.allclose(whole, [double(name, "project", each) for each in x], atol=1e-4)
    assert (np.asarray(values) == 0).all()


@settings(max_examples=10)
@given(size=st.sampled_from([0.0, 1e-3, 1.0, 1e4]), seed=st.integers(0, 100))
def test_plans_of_uneven_sums_are_found(size, seed):
    """The scale runs from nearly one product of the sums to nearly a vertex."""
    own = np.random.default_rng(seed)
    a, b = own.dirichlet(np.full(3, 0.3)), own.dirichlet(np.full(3, 0.3))
    cost = size * own.standard_normal((3, 3))
    part = TransportPolytope(a, b)
    near = double("plans", "project", cost.ravel(), part).reshape(3, 3)
    assert double("plans", "value", near.ravel(), part) == 0
    # No plan is farther in the direction from the projection to the matrix.
    away = (cost - near).ravel()
    best = linprog(-away, A_eq=MARGINALS, b_eq=np.r_[a, b], bounds=(0, None))
    assert away @ near.ravel() >= -best.fun - 1e-9 * (1 + size)


def test_nothing_is_planned_of_nothing():
    part = TransportPolytope(np.zeros(3), np.zeros(3))
    assert np.array_equal(double("plans", "project", np.eye(3).ravel(), part), np.zeros(N))
    assert double("plans", "value", np.zeros(N), part) == 0


@pytest.mark.parametrize("kind", ["polyhedral", rarely("plans"), rarely("ball")])
def test_derivatives_of_data(kind):
    """With respect to the bounds and rows of a polyhedron, the sums of plans, a radius."""
    x = np.random.default_rng(2).normal(0, 2, N)

    def polyhedral(scale):
        part = Polyhedron(jnp.asarray(ROWS) * scale, LOWER, jnp.asarray(UPPER) + 0.1 * scale**2)
        return part.project(jnp.asarray(x))[0]

    def plans(scale):
        b = jnp.array([0.6, 0.0, 0.4]) + (scale - 1) * jnp.array([0.3, 0.0, -0.3])
        return TransportPolytope(jnp.asarray(SUMS[0]), b).project(jnp.asarray(x).reshape(3, 3))[
            0, 2
        ]

    def ball(scale):
        parts = HalfSpace(jnp.asarray(NORMAL), -0.5 * scale), Ball(1.2 * scale)
        return Intersection(parts, rtol=1e-13).project(jnp.asarray(x))[0]

    with jax.enable_x64(True):
        function = {"polyhedral": polyhedral, "plans": plans, "ball": ball}[kind]
        slope = jax.jit(jax.value_and_grad(function))
        change = (slope(1.0 + 1e-5)[0] - slope(1.0 - 1e-5)[0]) / 2e-5
        assert float(slope(1.0)[1]) == pytest.approx(float(change), abs=1e-6)


def test_empty_sets_have_no_members():
    """Where no point can be found, the value says so: a point comes back, and it is no member."""
    x = np.ones(N, np.float32)
    apart = Polyhedron(np.r_[ROWS[:1], ROWS[:1]], [-np.inf, 1.0], [0.0, np.inf], max_steps=60)
    disjoint = Intersection((Box(1.0, 2.0), Box(-2.0, -1.0)), max_steps=50)
    for part in (apart, disjoint):
        assert jax.jit(lambda x, part=part: part.value(part.project(x)))(x) == np.inf


def test_limits_of_steps_are_kept():
    rough = Intersection((Simplex(), HalfSpace(NORMAL, -0.5)), max_steps=1)
    judged = jax.jit(lambda x: rough.value(rough.project(x)))
    assert judged((10 * NORMAL).astype(np.float32)) == np.inf


def test_diameter_is_that_of_the_smallest():
    assert Intersection(THREE).diameter() == 3.0
    assert Intersection(THREE[:2]).diameter() == np.inf


REFUSED = {
    "no sets": lambda: Intersection(()),
    "another algorithm": lambda: Intersection(THREE, "alternating"),
    "no tolerance": lambda: Intersection(THREE, rtol=0.0),
    "no steps": lambda: Birkhoff(max_steps=0),
    "upside down": lambda: Polyhedron(ROWS, UPPER + 1, LOWER),
    "bound of nan": lambda: Polyhedron(ROWS, np.nan, 1.0),
    "rows of nan": lambda: Polyhedron(np.full((1, 2), np.nan), 0.0, 1.0),
    "row of zeros": lambda: Polyhedron(np.zeros((1, 2)), 0.0, 1.0),
    "other rows": lambda: Polyhedron(ROWS, LOWER[:2], UPPER),
    "columns": lambda: Polyhedron(ROWS, LOWER, UPPER).check(np.ones(3)),
    "oblong": lambda: Birkhoff().check(np.ones((2, 3))),
    "other sums": lambda: TransportPolytope(np.ones(2), np.ones(3)),
    "negative sums": lambda: TransportPolytope(np.array([2.0, -1.0]), np.ones(1)),
    "sums of nan": lambda: TransportPolytope(np.array([np.nan, 1.0]), np.ones(1)),
    "sums of a table": lambda: TransportPolytope(np.ones((2, 2)), np.ones(4)),
    "another table": lambda: TransportPolytope(*SUMS).check(np.ones((2, 3))),
    "member of another size": lambda: Intersection((Box(np.zeros(3), 1.0),)).check(np.ones(4)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_set_is_refused_in_words(name):
    with pytest.raises(ValueError, match=VOICE):
        REFUSED[name]()


def test_what_is_no_set_at_all_is_refused_in_words():
    with pytest.raises(TypeError, match=VOICE):
        Intersection((Simplex(), L1(1.0)))
