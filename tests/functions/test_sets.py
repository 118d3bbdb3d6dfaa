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
    Affine,
    Ball,
    Box,
    ConvexSet,
    Everything,
    HalfSpace,
    L1Ball,
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
        "half": (HalfSpace(jnp.asarray(NORMAL), 0.3), None, (NORMAL[None], np.full(1, 0.3))),
        "affine": (Affine(ROWS, np.ones(2)), (ROWS, np.ones(2)), None),
        "ball": (Ball(1.2), None, None),
        "moved ball": (Ball(1.2, CENTER), None, None),
    }


@pytest.fixture(scope="module")
def known():
    """The sets in double precision, their functions compiled."""
    with jax.enable_x64(True):
        return {name: (Compiled(part), *rest) for name, (part, *rest) in sets().items()}


class Compiled:
    def __init__(self, part):
        self.part, self.diameter = part, part.diameter
        self.project, self.value, self.support = map(
            jax.jit, (part.project, part.value, part.support)
        )


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
        with jax.enable_x64(True):
            assert np.allclose(part.project(jnp.asarray(x)), found.x, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(x=POINTS, y=POINTS)
def test_projection_is_what_its_inequality_says(known, name, x, y):
    """<x - P(x), P(y) - P(x)> <= 0, which no other point satisfies for all y."""
    part = known[name][0]
    with jax.enable_x64(True):
        px, py = part.project(jnp.asarray(x)), part.project(jnp.asarray(y))
        assert part.value(px) == 0
        assert jnp.allclose(part.project(px), px, rtol=0, atol=1e-13 * (1 + abs(px).max()))
        size = (1 + np.abs(x).max()) * (1 + np.abs(y).max())
        assert (x - px) @ (py - px) <= 1e-12 * size
        moved = float(jnp.linalg.norm(px - py))
        assert moved <= np.linalg.norm(x - y) + 1e-12 * size


@pytest.mark.parametrize("name", [name for name in NAMES if name != "everything"])
def test_value_tells_members_from_others(known, name):
    part = known[name][0]
    with jax.enable_x64(True):
        outside = jnp.asarray(100.0 * (ROWS[0] + NORMAL))
        assert part.value(outside) == np.inf or part.value(-outside) == np.inf
        near = part.project(outside)
        beyond = near + 1e-6 * (outside - near)
        assert part.value(beyond) == np.inf or jnp.array_equal(near, outside)
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
        with jax.enable_x64(True):
            assert np.allclose(part.support(jnp.asarray(v)), expected, atol=1e-9)


@pytest.mark.parametrize("name", ["ball", "moved ball", "l1", "simplex", "wide simplex"])
@settings(max_examples=20)
@given(v=POINTS, x=POINTS)
def test_support_function_bounds_what_members_reach(known, name, v, x):
    part = known[name][0]
    with jax.enable_x64(True):
        member, most = part.project(jnp.asarray(x)), float(part.support(jnp.asarray(v)))
        size = (1 + np.abs(v).max()) * 10
        assert v @ member <= most + 1e-13 * size
        # The farthest point in the direction of v is a projection from far away.
        length = 1e9 / (1e-3 + np.abs(v).max())
        assert v @ part.project(jnp.asarray(length * v)) >= most - 1e-5 * size


@pytest.mark.parametrize("name", ["ball", "l1", "simplex", "wide simplex"])
def test_diameter_is_the_largest_distance(known, name):
    part = known[name][0]
    with jax.enable_x64(True):
        points = [jnp.asarray(s * 1e6 * e) for e in np.eye(N) for s in (1, -1)]
        ends = [np.asarray(part.project(point)) for point in points]
    far = max(np.linalg.norm(one - other) for one in ends for other in ends)
    assert far == pytest.approx(float(part.diameter()), rel=1e-6)


@settings(max_examples=60)
@given(
    x=hnp.arrays(np.float64, st.sampled_from([1, 2, 7, 40]), elements=st.floats(-1e6, 1e6)),
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
        found = simplex_projection(jnp.asarray(x))
        found, again = np.asarray(found), np.asarray(simplex_projection(found))
    assert found.sum() == pytest.approx(1.0, rel=1e-14)
    assert (found >= 0).all()
    assert np.allclose(found, again, rtol=0, atol=1e-15)


def test_simplex_projection_of_nan_is_nan():
    assert jnp.isnan(simplex_projection(jnp.array([jnp.nan, 1.0]))).any()


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
    x = jnp.asarray(np.random.default_rng(4).normal(0, 2, (3, 5, 6)), jnp.float32)
    whole = simplex_projection(x)
    assert whole.shape == x.shape
    for i in range(3):
        for j in range(5):
            assert jnp.allclose(whole[i, j], simplex_projection(x[i, j]), atol=1e-7)
    assert jnp.allclose(jax.vmap(jax.jit(simplex_projection))(x), whole, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_stays_single(name):
    part = sets()[name][0]
    assert part.project(jnp.ones(N, jnp.float32)).dtype == jnp.float32


def test_product_acts_block_by_block():
    both = Product((Simplex(), None, L1(0.5)))
    point = jnp.ones(2), jnp.ones(3), jnp.array([2.0, 0.1])
    near = both.prox(point, 1.0)
    assert jnp.allclose(near[0], 0.5)
    assert jnp.array_equal(near[1], point[1])
    assert jnp.allclose(near[2], jnp.array([1.5, 0.0]))
    inside = both.nearest(point)
    assert jnp.array_equal(inside[2], point[2])
    assert both.value(inside) == pytest.approx(0.5 * 2.1)
    assert Product((Simplex(), Ball(1.0))).diameter() == pytest.approx(np.sqrt(2 + 4))


def test_sets_work_on_trees():
    point = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    near = Ball(1.0).project(point)
    assert float(trees.norm(near)) == pytest.approx(1.0)
    assert L1Ball(1.0).project(point)["b"].shape == (1, 1)
    assert Nonnegative().project(trees.times(-1.0, point))["b"] == 0.0


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

    assert np.isfinite(total(0.5, jnp.arange(3.0)))
