"""Sets: projections against SciPy, brute force and their defining inequality; support functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import LinearConstraint, linprog, minimize

import resolvent as rs
from resolvent._core import trees
from resolvent.functions import (
    L1,
    MCP,
    Affine,
    Ball,
    Box,
    ConvexSet,
    Everything,
    HalfSpace,
    L1Ball,
    MaxBall,
    Nonnegative,
    Product,
    Simplex,
    SquaredL2,
    simplex_projection,
)  # fmt: skip

N = 4
rng = np.random.default_rng(0)
ROWS, NORMAL, CENTER = rng.standard_normal((2, N)), rng.standard_normal(N), rng.standard_normal(N)
PROJECTED = jax.jit(simplex_projection)
POINTS = hnp.arrays(np.float64, N, elements=st.floats(-20, 20, allow_subnormal=False))
VOICE = r"(?s)^.+: given .+; needed .+\. .+"


def sets():
    """Each set, and its constraints A x = b, C x <= d, or None where SciPy cannot have them."""
    eye, ones = np.eye(N), np.ones((1, N))
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * N)).reshape(N, -1).T
    return {
        "everything": (Everything(), None, None),
        "box": (Box(-0.5, 2.0), None, (np.r_[eye, -eye], np.r_[np.full(N, 2.0), np.full(N, 0.5)])),
        "half box": (Box(lower=-0.5), None, (-eye, np.full(N, 0.5))),
        "nonnegative": (Nonnegative(), None, (-eye, np.zeros(N))),
        "simplex": (Simplex(), (ones, np.ones(1)), (-eye, np.zeros(N))),
        "wide simplex": (Simplex(7.0), (ones, np.full(1, 7.0)), (-eye, np.zeros(N))),
        "l1": (L1Ball(1.5), None, (corners, np.full(2**N, 1.5))),
        "half": (HalfSpace(NORMAL, 0.3), None, (NORMAL[None], np.full(1, 0.3))),
        "affine": (Affine(ROWS, np.ones(2)), (ROWS, np.ones(2)), None),
        "ball": (Ball(1.2), None, None),
        "moved ball": (Ball(1.2, CENTER), None, None),
    }


@pytest.fixture(scope="module")
def known():
    """The sets in double precision, their functions compiled."""
    return {name: (Compiled(part), *rest) for name, (part, *rest) in sets().items()}


class Compiled:
    """All functions of a set as one program: compilation is what takes time."""

    def __init__(self, part):
        self.part, self.diameter = part, part.diameter
        self.compiled = jax.jit(lambda x: (part.project(x), part.value(x), part.support(x)))

    def all(self, x):
        with jax.enable_x64(True):
            return [np.asarray(found) for found in self.compiled(np.asarray(x, float))]

    def project(self, x):
        return self.all(x)[0]

    def value(self, x):
        return self.all(x)[1]

    def support(self, x):
        return self.all(x)[2]


NAMES = list(sets())
POLYHEDRA = [name for name, (_, A, C) in sets().items() if A is not None or C is not None]


@pytest.mark.parametrize("name", POLYHEDRA)
def test_projection_agrees_with_scipy(known, name):
    part, equal, below = known[name]
    constraints = []
    if equal is not None:
        constraints.append(LinearConstraint(equal[0], equal[1], equal[1]))
    if below is not None:
        constraints.append(LinearConstraint(below[0], -np.inf, below[1]))
    for x in np.random.default_rng(1).normal(0, 3, (4, N)):
        found = minimize(
            lambda u, x=x: 0.5 * ((u - x) ** 2).sum(), np.zeros(N), jac=lambda u, x=x: u - x,
            constraints=constraints, method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        assert np.allclose(part.project(x), found.x, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(x=POINTS, y=POINTS)
def test_projection_is_what_its_inequality_says(known, name, x, y):
    """<x - P(x), P(y) - P(x)> <= 0, which no other point satisfies for all y."""
    part = known[name][0]
    px, py = part.project(x), part.project(y)
    again, value, _ = part.all(px)
    assert value == 0
    assert np.allclose(again, px, rtol=0, atol=1e-13 * (1 + abs(px).max()))
    size = (1 + np.abs(x).max()) * (1 + np.abs(y).max())
    assert (x - px) @ (py - px) <= 1e-12 * size
    assert np.linalg.norm(px - py) <= np.linalg.norm(x - y) + 1e-12 * size


@pytest.mark.parametrize("name", [name for name in NAMES if name != "everything"])
def test_value_tells_members_from_others(known, name):
    part = known[name][0]
    outside = 100.0 * (ROWS[0] + NORMAL)
    assert part.value(outside) == np.inf or part.value(-outside) == np.inf
    near = part.project(outside)
    beyond = near + 1e-6 * (outside - near)
    assert part.value(beyond) == np.inf or np.array_equal(near, outside)
    assert np.isfinite(part.value(near))


@pytest.mark.parametrize("name", POLYHEDRA)
def test_support_function_agrees_with_linear_programming(known, name):
    part, equal, below = known[name]
    if type(part.part).conjugate is ConvexSet.conjugate:
        pytest.skip("no closed form")
    A, b = (None, None) if equal is None else equal
    C, d = (None, None) if below is None else below
    directions = [*np.random.default_rng(2).standard_normal((4, N)), -np.ones(N), NORMAL, ROWS[0]]
    for v in directions:
        found = linprog(-v, A_ub=C, b_ub=d, A_eq=A, b_eq=b, bounds=(None, None))
        expected = np.inf if found.status == 3 else -found.fun
        assert np.allclose(part.support(v), expected, atol=1e-9)


@pytest.mark.parametrize("name", ["ball", "moved ball", "l1", "simplex", "wide simplex"])
@settings(max_examples=20)
@given(v=POINTS, x=POINTS)
def test_support_function_bounds_what_members_reach(known, name, v, x):
    part = known[name][0]
    member, most = part.project(x), part.support(v)
    size = (1 + np.abs(v).max()) * 10
    assert v @ member <= most + 1e-13 * size
    # The farthest point in the direction of v is a projection from far away.
    length = 1e9 / (1e-3 + np.abs(v).max())
    assert v @ part.project(length * v) >= most - 1e-5 * size


@pytest.mark.parametrize("name", ["ball", "l1", "simplex", "wide simplex"])
def test_diameter_is_the_largest_distance(known, name):
    part = known[name][0]
    ends = [part.project(s * 1e6 * e) for e in np.eye(N) for s in (1, -1)]
    far = max(np.linalg.norm(one - other) for one in ends for other in ends)
    assert far == pytest.approx(float(part.diameter()), rel=1e-6)


@settings(max_examples=60)
@given(
    x=hnp.arrays(np.float64, st.sampled_from([1, 7, 50]), elements=st.floats(-1e6, 1e6)),
    total=st.floats(1e-3, 1e3),
)
def test_simplex_projection_agrees_with_sorting(x, total):
    u = np.sort(x.astype(np.longdouble))[::-1]
    sums = np.cumsum(u) - total
    last = np.nonzero(u * np.arange(1, x.size + 1) > sums)[0][-1]
    expected = np.maximum(x - sums[last] / (last + 1), 0)
    with jax.enable_x64(True):
        found = np.asarray(PROJECTED(jnp.asarray(x), total))
    assert np.allclose(found, np.asarray(expected, float), rtol=0, atol=1e-9)
    assert float(found.sum()) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    "x",
    [[-1e308, 1e308, 0.0], [1e-300, 0.0], [5.0], [0.0] * 7, [1e16, 1e16 + 2, -1e16],
     list(2.0 ** -np.arange(50))],
    ids=["huge", "tiny", "one", "equal", "coarse", "falling"],
)  # fmt: skip
def test_simplex_projection_of_odd_points(x):
    with jax.enable_x64(True):
        found = np.asarray(PROJECTED(np.asarray(x), 1.0))
        again = np.asarray(PROJECTED(found, 1.0))
    assert found.sum() == pytest.approx(1.0, rel=1e-14)
    assert (found >= 0).all()
    assert np.allclose(found, again, rtol=0, atol=1e-15)


def test_simplex_projection_of_nan_is_nan():
    assert np.isnan(PROJECTED(np.array([np.nan, 1.0], np.float32), 1.0)).any()


@pytest.mark.slow
def test_simplex_projection_has_the_derivative_of_its_face():
    with jax.enable_x64(True):
        x = jnp.array([0.5, 0.4, -3.0, 0.3])
        slope = jax.jacrev(simplex_projection)(x)
        step = 1e-6
        changes = [
            (simplex_projection(x + step * e) - simplex_projection(x - step * e)) / (2 * step)
            for e in jnp.eye(4)
        ]
        assert np.allclose(slope.T, np.stack(changes), atol=1e-8)
        assert np.allclose(jax.jacfwd(simplex_projection)(x), slope)
        by_total = jax.grad(lambda t: simplex_projection(x, t)[0])(1.0)
        assert by_total == pytest.approx(1 / 3)


def test_simplex_projection_of_many_rows_is_each_alone():
    x = np.random.default_rng(4).normal(0, 2, (3, 5, 7))
    with jax.enable_x64(True):
        whole, mapped = jax.jit(lambda x: (simplex_projection(x), jax.vmap(simplex_projection)(x)))(
            x
        )
        alone = [[PROJECTED(row, 1.0) for row in rows] for rows in x]
    assert whole.shape == x.shape
    assert np.allclose(whole, alone, rtol=0, atol=1e-15)
    assert np.allclose(whole, mapped, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_stays_single(name):
    part, x = sets()[name][0], jax.ShapeDtypeStruct((N,), jnp.float32)
    with jax.enable_x64(True):  # or nothing else is possible
        found = jax.eval_shape(part.project, x)
    assert found.dtype == jnp.float32


def test_product_acts_block_by_block():
    both = Product((Simplex(), None, L1(0.5)))

    @jax.jit
    def program(point, v):
        inside = both.nearest(point)
        away = both.subdifferential_distance(inside, v)
        return both.prox(point, 1.0), inside, both.value(inside), away

    point = np.ones(2), np.ones(3), np.array([2.0, 0.1])
    v = np.zeros(2), np.array([2.0, 0.0, 0.0]), np.array([0.5, -0.5])
    near, inside, value, away = program(point, v)
    assert np.allclose(near[0], 0.5)
    assert np.array_equal(near[1], point[1])
    assert np.allclose(near[2], [1.5, 0.0])
    assert np.array_equal(inside[2], np.float32(point[2]))
    assert float(value) == pytest.approx(0.5 * 2.1)
    assert float(away) == pytest.approx(np.hypot(2.0, 1.0))
    assert Product((Simplex(), Ball(1.0))).diameter() == pytest.approx(np.sqrt(2 + 4))


def test_a_product_is_convex_where_all_parts_are():
    assert Product((Simplex(), L1(0.5), None)).convex
    assert not Product((Simplex(), Product((L1(0.5), MCP())))).convex


def test_sets_work_on_trees():
    @jax.jit
    def program(point):
        negative = trees.times(-1.0, point)
        return Ball(1.0).project(point), L1Ball(1.0).project(point), Nonnegative().project(negative)

    near, diamond, positive = program({"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])})
    assert np.allclose(near["a"], [0.6, 0.0])
    assert np.allclose(near["b"], 0.8)
    assert diamond["b"].shape == (1, 1)
    assert positive["b"] == 0.0


@jax.jit
def of_slopes(x):
    parts = Ball(0.5), HalfSpace(NORMAL, 0.3), Simplex(), L1Ball(5.0), Box(0.0)
    return [jax.jacfwd(part.project)(x) for part in parts], [
        jax.grad(part.conjugate)(x) for part in (Ball(0.5), Box(0.0), MaxBall(1.5))
    ]


def test_slopes_exist_at_the_center():
    with jax.enable_x64(True):
        slopes, turns = of_slopes(np.zeros(N))
    assert all(np.isfinite(slope).all() for slope in (*slopes, *turns))
    assert np.array_equal(slopes[0], np.eye(N))  # a point inside of a ball moves freely


def test_slopes_of_support_functions_are_farthest_points():
    with jax.enable_x64(True):
        turns = of_slopes(np.array([-1.0, -3.0, -2.0, -2.0]))[1]
    assert np.allclose(turns[0], 0.5 * np.array([-1, -3, -2, -2]) / np.sqrt(18))
    assert np.array_equal(turns[1], np.zeros(N))  # 0, although the box has no end above
    assert np.array_equal(turns[2], np.full(N, -1.5))


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_half_spaces_are_those_of_their_direction(size):
    """The square of such a normal has no number in single precision."""
    x, v = np.array([[3.0, 2.0, 0, 0], [1.0, 0, 0, 0]], np.float32)
    normal = np.array([size, 0, 0, 0])

    @jax.jit
    def program(normal, offset, x, v):
        part = HalfSpace(normal, offset)
        near = part.project(x)
        return near, part.conjugate(v), part.subdifferential_distance(near, 2.0 * v)

    near, support, away = program(np.float32(normal), np.float32(size), x, v)
    assert np.array_equal(near, [1.0, 2.0, 0.0, 0.0])
    assert support == 1.0
    assert away == 0.0


REFUSED = {
    "box upside down": lambda: Box(1.0, 0.0),
    "box of nan": lambda: Box(np.nan, 1.0),
    "simplex of nothing": lambda: Simplex(0.0),
    "negative simplex": lambda: Simplex(-1.0),
    "ball of nan": lambda: Ball(np.nan),
    "center of nan": lambda: Ball(1.0, np.array([np.nan, 1.0])),
    "ball of nothing": lambda: Ball(0.0),
    "l1 ball of nothing": lambda: L1Ball(0.0),
    "no normal": lambda: HalfSpace(np.zeros(2)),
    "normal of nan": lambda: HalfSpace(np.array([np.nan, 1.0])),
    "offset of nan": lambda: HalfSpace(np.ones(2), np.nan),
    "rows that depend": lambda: Affine(np.ones((2, 3)), np.ones(2)),
    "rows and b": lambda: Affine(np.ones((1, 3)), np.ones(2)),
    "rows of nan": lambda: Affine(np.full((1, 3), np.nan), np.ones(1)),
    "simplex of a number": lambda: Simplex().check(np.ones(())),
    "simplex of no entries": lambda: Simplex().check(np.ones((3, 0))),
    "weight of nothing": lambda: L1(0.0),
    "weight of nan": lambda: SquaredL2(np.nan),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_set_is_refused_in_words(name):
    with pytest.raises(ValueError, match=VOICE):
        REFUSED[name]()


def test_what_is_no_function_is_refused_in_words():
    with pytest.raises(TypeError, match=VOICE):
        Product((Simplex(), "box"))
    with pytest.raises(TypeError, match=VOICE):
        SquaredL2(1.0, domain=L1(1.0))


MISFITS = {
    "bounds": Box(np.zeros(3), np.ones(3)),
    "normal": HalfSpace(np.ones(3)),
    "rows": Affine(np.ones((1, 3)), np.ones(1)),
    "center": Ball(1.0, np.zeros(3)),
    "centers of squares": SquaredL2(1.0, np.zeros(3)),
    "domain of squares": SquaredL2(1.0, domain=Box(np.zeros(3), np.ones(3))),
    "blocks": Product((Simplex(), Simplex())),
}


@pytest.mark.parametrize("name", MISFITS)
def test_sets_of_another_dimension_are_refused(name):
    with pytest.raises(ValueError, match=VOICE):
        rs.Inclusion(lambda x: x, MISFITS[name], start=np.ones(4))


def test_sets_are_made_under_jit():
    @jax.jit
    def total(bound, x):
        parts = (Box(-bound, bound), Ball(bound), L1Ball(bound), HalfSpace(x, bound))
        return sum(part.project(x).sum() for part in parts) + Box(-1.0, 1.0).project(x).sum()

    assert np.isfinite(total(0.5, np.arange(3.0)))


def test_a_half_space_takes_numpy_s_points():
    ones = np.ones(3, np.float32)
    found = HalfSpace(ones, 1.0).project(ones)
    assert np.allclose(found, 1 / 3, atol=1e-6)
