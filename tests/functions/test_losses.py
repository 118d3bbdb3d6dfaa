"""Losses against their definitions: values, derivatives, conjugates, proxes, targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize, minimize_scalar

from resolvent.functions.fit import Fit, SVMDual
from resolvent.functions.losses import Huber, LeastSquares, Poisson, Quantile
from resolvent.functions.losses_classification import (
    Hinge,
    Logistic,
    MulticlassLogistic,
    SmoothedHinge,
    SquaredHinge,
)

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
REAL = np.array([0.3, -1.7, 2.0, 0.0])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
COUNTS = np.array([0.0, 1.0, 4.0, 0.5])
STEP = 0.7


def pinball(z, y):
    return 0.3 * max(y - z, 0) + 0.7 * max(z - y, 0)


def huber(z, y):
    r = abs(z - y)
    return r**2 / 2 if r <= 0.8 else 0.8 * r - 0.32


def rounded(z, y):
    m = y * z
    return 0.0 if m > 1 else (1 - m) ** 2 / 0.8 if m >= 0.6 else 1 - m - 0.2


# The loss, its targets, its definition, and slopes at the ends of its conjugate's domain.
LOSSES = {
    "least squares": (LeastSquares(), REAL, lambda z, y: (z - y) ** 2 / 2, None),
    "huber": (Huber(0.8), REAL, huber, lambda y: (-0.8, 0.8)),
    "poisson": (Poisson(), COUNTS, lambda z, y: np.exp(z) - y * z, lambda y: (-y, None)),
    "quantile": (Quantile(0.3), REAL, pinball, lambda y: (-0.3, 0.7)),
    "logistic": (Logistic(), SIGNS, lambda z, y: np.log(1 + np.exp(-y * z)), lambda y: (-y, 0)),
    "hinge": (Hinge(), SIGNS, lambda z, y: max(0, 1 - y * z), lambda y: (-y, 0)),
    "smoothed hinge": (SmoothedHinge(0.4), SIGNS, rounded, lambda y: (-y, 0)),
    "squared hinge": (SquaredHinge(), SIGNS, lambda z, y: max(0, 1 - y * z) ** 2,
                      lambda y: (None, 0) if y > 0 else (0, None)),
}  # fmt: skip
MARGINS = ["logistic", "hinge", "smoothed hinge", "squared hinge"]
POINTS = hnp.arrays(np.float64, 4, elements=st.floats(-4, 4, allow_subnormal=False))
LABELS = np.array([2, 0, 1, 1])
ROWS = hnp.arrays(np.float64, (4, 3), elements=st.floats(-4, 4, allow_subnormal=False))


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=20)
@given(z=POINTS)
def test_values_are_those_of_the_definition(name, z):
    loss, y, defined, _ = LOSSES[name]
    expected = [defined(*pair) for pair in zip(z, y, strict=True)]
    assert np.allclose(loss.each(z, y), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives_agree_with_differences(name):
    loss, y, _, _ = LOSSES[name]
    h = 1e-6
    for z in np.random.default_rng(0).normal(0, 2, (20, 4)):
        change = (loss.each(z + h, y) - loss.each(z - h, y)) / (2 * h)
        assert np.allclose(loss.slope(z, y), change, atol=1e-7)
        bend = (loss.slope(z + h, y) - loss.slope(z - h, y)) / (2 * h)
        assert np.allclose(loss.curvature(z, y), bend, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_smoothness_is_the_largest_curvature(name):
    loss, y, _, _ = LOSSES[name]
    z = np.linspace(-5, 5, 1001)
    most = max(loss.curvature(z, np.full_like(z, target)).max() for target in y)
    if np.isfinite(loss.smoothness):
        assert most == pytest.approx(loss.smoothness, rel=1e-9)
    elif loss.smooth:
        assert loss.curvature(np.array([50.0]), y[:1]) > 1e20
    else:
        h = 1e-9  # a jump of the slope
        kink = y[:1]
        assert abs(loss.slope(kink + h, y[:1]) - loss.slope(kink - h, y[:1])) > 0.9


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=25)
@given(z=POINTS, other=POINTS, share=st.floats(0, 1))
def test_conjugate_is_an_upper_bound_that_is_reached(name, z, other, share):
    """v u <= loss(u) + loss*(v), with equality at the slope."""
    loss, y, _, _ = LOSSES[name]
    v = loss.dual(z, y)
    assert np.allclose(loss.each(z, y) + loss.conjugate(v, y), v * z, rtol=1e-12, atol=1e-12)
    v = share * v
    assert (loss.each(other, y) + loss.conjugate(v, y) >= v * other - 1e-12).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name][3]])
def test_conjugate_ends_where_it_should(name):
    loss, y, _, domain = LOSSES[name]
    for target in y:
        low, high = sorted(domain(target), key=lambda end: (end is not None and end > 0, end or 0))
        for end, out in ((low, -1e-9), (high, 1e-9)):
            if end is None:
                continue
            assert np.isfinite(loss.conjugate(np.array([end]), np.array([target])))
            assert loss.conjugate(np.array([end + out]), np.array([target])) == np.inf


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=25)
@given(z=POINTS, other=POINTS)
def test_no_other_point_is_better_than_prox(name, z, other):
    loss, y, _, _ = LOSSES[name]

    def objective(u):
        return loss.each(u, y) + (u - z) ** 2 / (2 * STEP)

    near = loss.prox(z, y, STEP)
    gained = objective(other) - objective(near)
    assert (gained >= (other - near) ** 2 / (2 * STEP) - 1e-13).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("step", [1e-6, 1e-2, 3.0, 1e3, 1e8])
def test_prox_satisfies_moreau_at_every_step(name, step):
    """(z - prox) / step is a slope at the prox: the inequality of conjugates is an equality."""
    loss, y, _, _ = LOSSES[name]
    for z in np.random.default_rng(1).normal(0, 3, (5, 4)):
        near = loss.prox(z, y, np.full(4, step))
        # Rounding of the difference, magnified, may lead out of the domain.
        v = (1 - 1e-8) * (z - near) / step
        gap = loss.each(near, y) + loss.conjugate(v, y) - v * near
        assert (abs(gap) <= 1e-7 * (1 + abs(near) + v**2)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["logistic", "poisson"])
@pytest.mark.parametrize("step", [0.0, 1e-10, 1e-3, 0.5, 4.0, 50.0, 1e5, 1e9])
def test_prox_by_newton_is_a_root_to_rounding(name, dtype, step):
    """A Newton step in more digits, from what was found, says how far the root is."""
    z = np.array([-1e4, -50.3, -3.0, -1e-3, 0.0, 0.7, 20.0, 300.0])
    z = np.r_[z, z - step / 2, z - step].astype(dtype)
    found = LOSSES[name][0].prox(z, np.ones_like(z), dtype(step))
    assert found.dtype == dtype
    u, step = found.astype(np.longdouble), np.longdouble(dtype(step))
    if name == "poisson":
        slope, bend = np.exp(u) - 1, np.exp(u)
    else:
        slope = -1 / (1 + np.exp(u))
        bend = -slope * (1 + slope)
    distance = abs(u - z + step * slope) / (1 + step * bend)
    assert (distance <= 8 * np.finfo(dtype).eps * (1 + abs(z) + abs(u))).all()


def everything(loss, z, y, step):
    return (
        loss.each(z, y), loss.slope(z, y), loss.curvature(z, y), loss.conjugate(0.9 * z, y),
        loss.conjugate(0.9 * loss.dual(z, y), y), loss.prox(z, y, step),
    )  # fmt: skip


EVERY = {**{name: parts[:2] for name, parts in LOSSES.items()},
         "multiclass": (MulticlassLogistic(), LABELS)}  # fmt: skip


def predictions(name, dtype=np.float64):
    shape = (4, 3) if name == "multiclass" else 4
    return np.random.default_rng(3).normal(0, 2, shape).astype(dtype)


compiled = jax.jit(everything)  # losses are trees: one program a class


@pytest.mark.parametrize("name", EVERY)
def test_jax_and_numpy_agree(name):
    loss, y = EVERY[name]
    z = predictions(name)
    plain = everything(loss, z, y, STEP)
    with jax.enable_x64(True):
        traced = compiled(loss, jnp.asarray(z), jnp.asarray(y), STEP)
        for one, other in zip(plain, traced, strict=True):
            assert type(one) is np.ndarray
            assert np.allclose(one, other, rtol=1e-13, atol=1e-14)
            assert other.dtype == jnp.float64


@pytest.mark.parametrize("name", EVERY)
def test_single_precision_stays_single(name):
    loss, y = EVERY[name]
    for part in everything(loss, predictions(name, np.float32), y, STEP):
        assert part.dtype == np.float32
    z = jax.ShapeDtypeStruct(predictions(name).shape, jnp.float32)
    with jax.enable_x64(True):  # or nothing else is possible
        for part in jax.eval_shape(compiled, loss, z, y, STEP):
            assert part.dtype == jnp.float32


@pytest.mark.parametrize("name", ["logistic", "poisson", "multiclass"])
def test_derivatives_of_prox_agree_with_differences(name):
    """Although the Newton steps inside are not differentiated."""
    loss, y = EVERY[name]
    z = predictions(name)
    turn = np.random.default_rng(4).standard_normal(z.shape)

    def along(t, z):
        return (turn * loss.prox(z + t[0] * turn, y, t[1])).sum()

    h, at = 1e-5, np.array([0.1, 0.74])
    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(along))
        here = both(at, z)[1]
        again = jax.jit(jax.jacfwd(jax.grad(along)))(at, z) if name != "multiclass" else None
        # Without a step the prox moves with its point, and with minus the slope, also where
        # exp(z) has no number.
        start, far = both(0 * at, z)[1], both(0 * at, np.full_like(z, 1e3))[1]
        assert np.allclose(start, [(turn**2).sum(), -(turn * loss.slope(z, y)).sum()], rtol=1e-12)
        assert far[0] == pytest.approx((turn**2).sum(), rel=1e-12)
        for i, direction in enumerate(np.eye(2)):
            ahead, behind = both(at + h * direction, z), both(at - h * direction, z)
            assert here[i] == pytest.approx(float(ahead[0] - behind[0]) / (2 * h), rel=1e-8)
            if again is not None:
                assert np.allclose(again[i], (ahead[1] - behind[1]) / (2 * h), rtol=1e-7)


@pytest.mark.parametrize("name", ["least squares", "huber", "logistic", "multiclass"])
def test_jax_differentiates_the_value(name):
    loss, y = EVERY[name]
    z = predictions(name)
    z.flat[0] = y[0] if name == "huber" else 0.0
    with jax.enable_x64(True):
        total = jax.grad(lambda z: loss.each(z, y).sum())
        slope, bend = jax.jit(lambda z: jax.jvp(total, (z,), (jnp.ones_like(z),)))(jnp.asarray(z))
    assert np.allclose(slope, loss.slope(z, y), atol=1e-14)
    expected = 0.0 if name == "multiclass" else loss.curvature(z, y)
    assert np.allclose(bend, expected, atol=1e-14)


def far(z, pair):
    """What logistic losses of two classes are, by both classes, and their duality gaps."""
    two, many, y, one = Logistic(), MulticlassLogistic(), np.ones(4), np.ones(4, int)
    return (
        (two.each(z, y), two.slope(z, y), two.curvature(z, y), two.conjugate(two.dual(z, y), y)),
        (many.each(pair, one), many.slope(pair, one)[:, 1], many.curvature(pair, one)[:, 1],
         many.conjugate(many.dual(pair, one), one)),
    )  # fmt: skip


@pytest.mark.parametrize("run", [far, jax.jit(far)], ids=["numpy", "jax"])
def test_far_predictions_neither_overflow_nor_cancel(run):
    z = np.array([-1e4, -60.0, 60.0, 1e4], np.float32)
    tiny = np.exp(np.float64(-60.0))
    for value, slope, bend, conjugate in run(z, np.stack([0 * z, z], axis=1)):
        assert np.allclose(value, [1e4, 60, tiny, 0], rtol=1e-5, atol=0)
        assert np.allclose(slope, [-1, -1, -tiny, 0], rtol=1e-5, atol=0)
        assert np.allclose(bend, [0, tiny, tiny, 0], rtol=1e-5, atol=0)
        assert np.isfinite(conjugate).all()
    assert np.allclose(Huber(2.0).each(z * np.float32(1e30), 0 * z), 2e30 * abs(z), rtol=1e-6)
    assert Poisson().slope(z, 0 * z + 1)[0] == -1.0
    assert np.isposinf(Poisson().each(z, 0 * z)[3])


@settings(max_examples=20)
@given(z=ROWS, other=ROWS)
def test_multiclass_is_what_it_says(z, other):
    loss = MulticlassLogistic()
    rows = np.arange(4)
    expected = np.log(np.exp(z).sum(axis=1)) - z[rows, LABELS]
    assert np.allclose(loss.each(z, LABELS), expected, rtol=1e-12, atol=1e-14)
    v = loss.dual(z, LABELS)
    reached = loss.each(z, LABELS) + loss.conjugate(v, LABELS)
    assert np.allclose(reached, (v * z).sum(axis=1), atol=1e-12)
    bound = loss.each(other, LABELS) + loss.conjugate(0.5 * v, LABELS)
    assert (bound >= 0.5 * (v * other).sum(axis=1) - 1e-12).all()

    def objective(u):
        return loss.each(u, LABELS) + ((u - z) ** 2).sum(axis=1) / (2 * STEP)

    near = loss.prox(z, LABELS, STEP)
    gained = objective(other) - objective(near)
    assert (gained >= ((other - near) ** 2).sum(axis=1) / (2 * STEP) - 1e-12).all()


def test_multiclass_slope_and_curvature_agree_with_differences():
    loss, z, h = MulticlassLogistic(), predictions("multiclass"), 1e-6
    for j, e in enumerate(np.eye(3)):
        change = (loss.each(z + h * e, LABELS) - loss.each(z - h * e, LABELS)) / (2 * h)
        assert np.allclose(loss.slope(z, LABELS)[:, j], change, atol=1e-8)
        bend = (loss.slope(z + h * e, LABELS) - loss.slope(z - h * e, LABELS)) / (2 * h)
        assert np.allclose(loss.curvature(z, LABELS)[:, j], bend[:, j], atol=1e-8)
    tied = np.array([[5.0, 5.0, -30.0]])
    assert np.allclose(loss.curvature(tied, LABELS[:1])[0, :2], 0.25)
    p = np.array([0.5, 0.5, 0.0])
    assert np.linalg.norm(np.diag(p) - np.outer(p, p), 2) == pytest.approx(loss.smoothness)


def test_multiclass_conjugate_ends_where_it_should():
    loss, y = MulticlassLogistic(), np.array([0])
    assert loss.conjugate(np.array([[-1.0, 1.0, 0.0]]), y) == 0
    for v in ([-1 - 1e-9, 1 + 1e-9, 0], [-0.5, 0.5 + 1e-9, 0], [-0.5, 0.6, -0.1], [0.1, -0.1, 0]):
        assert loss.conjugate(np.array([v]), y) == np.inf


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("step", [0.0, 1e-9, 1e-2, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("scale", [0.1, 10.0, 1e3])
def test_multiclass_prox_is_a_root_to_rounding(dtype, step, scale):
    """One exact Newton step in more digits, from what was found, says how far the root is."""
    rng = np.random.default_rng(5)
    z = (scale * rng.standard_normal((30, 7))).astype(dtype)
    y = rng.integers(0, 7, 30)
    u = MulticlassLogistic().prox(z, y, dtype(step)).astype(np.longdouble)
    step = np.longdouble(dtype(step))
    p = np.exp(u - u.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    balance = u - z + step * (p - np.eye(7)[y])
    eps = np.finfo(dtype).eps
    for r, q, row in zip(balance, p, z, strict=True):
        matrix = np.eye(7) + step * (np.diag(q) - np.outer(q, q))
        distance = np.linalg.solve(matrix.astype(float), r.astype(float))
        assert abs(distance).max() <= 16 * eps * (10 + abs(row).max())


def test_shapes_of_predictions():
    assert MulticlassLogistic().outputs(LABELS) == (3,)
    assert MulticlassLogistic().outputs(np.zeros(2, int)) == (2,)
    assert MulticlassLogistic().outputs(jnp.asarray(LABELS)) == (3,)
    for name in LOSSES:
        assert LOSSES[name][0].outputs(LOSSES[name][1]) == ()
    with pytest.raises(TypeError, match=VOICE):
        jax.eval_shape(lambda y: np.zeros(MulticlassLogistic().outputs(y)), LABELS)


def test_multiclass_of_two_is_logistic():
    z = np.linspace(-30, 30, 9)
    y = np.arange(9) % 2
    pair = np.stack([-z / 2, z / 2], axis=1)
    many, two = MulticlassLogistic(), Logistic()
    signs = 2.0 * y - 1
    assert np.allclose(many.each(pair, y), two.each(z, signs), rtol=1e-13, atol=0)
    near = many.prox(pair, y, 1.3)
    # The difference of both entries moves twice as far.
    assert np.allclose(near[:, 1] - near[:, 0], two.prox(z, signs, 2.6), rtol=1e-13, atol=1e-13)


def test_kinks_are_hit_exactly():
    y = np.array([0.1, 0.7, -123.456])
    assert (Quantile(0.3).prox(y + 1e-3, y, 1.0) == y).all()
    assert (Hinge().prox(np.array([0.3, -0.9]), SIGNS[:2], 1.0) == SIGNS[:2]).all()


WEIGHTED = np.array([1.0, 2.0, 0.5, 0.7])


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "huber"])
@pytest.mark.parametrize("weights", [None, WEIGHTED])
def test_constant_is_the_best_constant(name, weights):
    loss, y, _, _ = LOSSES[name]
    best = float(loss.constant(y, weights))

    def total(c):
        return (np.ones(4) if weights is None else weights) @ loss.each(np.full(4, c), y)

    found = minimize_scalar(total, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9})
    assert total(best) <= found.fun + 1e-12
    assert jax.eval_shape(loss.constant, y, weights).shape == ()


@pytest.mark.parametrize("width", [0.2, 1.0, 1.5, 5.0])
@pytest.mark.parametrize("up", [0.1, 1.0, 1.2, 4.0])
def test_constant_of_a_rounded_hinge(width, up):
    loss, y, weights = SmoothedHinge(width), np.array([1.0, -1.0]), np.array([up, 1.0])
    best = float(loss.constant(y, weights))
    balance = weights @ loss.slope(np.full(2, best), y)
    assert abs(balance) <= 1e-14


def test_constant_of_counts_and_classes():
    assert Poisson().constant(np.zeros(3)) == -np.inf
    assert Huber().constant(REAL) is None
    shares = MulticlassLogistic().constant(LABELS, WEIGHTED)
    slope = MulticlassLogistic().slope(np.tile(shares, (4, 1)), LABELS)
    assert np.allclose(WEIGHTED @ slope, 0, atol=1e-15)


def test_targets_take_their_form():
    for labels in ([0, 1], ["a", "b"], [False, True], np.array([3.0, 7.0]), jnp.array([-1, 1])):
        assert np.array_equal(Logistic().targets(labels), [-1.0, 1.0])
    assert Hinge().targets(np.array([0, 1], np.float32)).dtype == np.float32
    assert isinstance(Hinge().targets(jnp.array([0, 1])), jax.Array)
    assert LeastSquares().targets([1, 2]).dtype == np.float64
    assert Poisson().targets(np.array([0.0, 2.5]))[1] == 2.5
    for labels in ([0, 2], np.array([0.0, 2.0]), jnp.array([0, 2])):
        found = MulticlassLogistic().targets(labels)
        assert found.dtype.kind == "i"
        assert np.array_equal(found, [0, 2])
    traced = jax.jit(lambda y: Logistic().targets(y) + Poisson().targets(y))(jnp.ones(2))
    assert np.array_equal(traced, [2.0, 2.0])


REFUSED = {
    "one class": lambda: Logistic().targets([1, 1]),
    "three classes": lambda: Hinge().targets([0, 1, 2]),
    "labels of nan": lambda: SquaredHinge().targets([0.0, np.nan, 1.0]),
    "column of labels": lambda: SmoothedHinge().targets([[0], [1]]),
    "no labels": lambda: Logistic().targets([]),
    "targets of nan": lambda: LeastSquares().targets([np.nan]),
    "column of targets": lambda: Huber().targets(np.ones((3, 1))),
    "negative counts": lambda: Poisson().targets([1.0, -1.0]),
    "half a class": lambda: MulticlassLogistic().targets([0.5, 1.0]),
    "negative class": lambda: MulticlassLogistic().targets([-1, 1]),
    "class of nan": lambda: MulticlassLogistic().targets([np.nan, 1]),
    "delta of nothing": lambda: Huber(0.0),
    "delta of nan": lambda: Huber(np.nan),
    "level of one": lambda: Quantile(1.0),
    "width of nothing": lambda: SmoothedHinge(0.0),
    "too few weights": lambda: Fit(LeastSquares(), REAL, np.ones(3)),
    "negative weights": lambda: Fit(LeastSquares(), REAL, -np.ones(4)),
    "no weight": lambda: Fit(LeastSquares(), REAL, np.zeros(4)),
    "weights of nan": lambda: Fit(LeastSquares(), REAL, np.full(4, np.nan)),
    "predictions": lambda: Fit(LeastSquares(), REAL).check(np.ones(3)),
    "predictions of classes": lambda: Fit(MulticlassLogistic(), LABELS).check(np.ones(4)),
    "missing class": lambda: Fit(MulticlassLogistic(), LABELS).check(np.ones((4, 2))),
    "C of nothing": lambda: SVMDual(SIGNS, 0.0),
    "point of a dual": lambda: SVMDual(SIGNS).check(np.ones(3)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_words(name):
    with pytest.raises(ValueError, match=VOICE):
        REFUSED[name]()


@pytest.mark.parametrize(
    "make",
    [lambda: Fit(abs, REAL), lambda: Logistic().targets(np.array([1, "a"], object)),
     lambda: LeastSquares().targets(["a", "b"]), lambda: MulticlassLogistic().targets(["a", "b"])],
    ids=["function", "mixed labels", "words", "named classes"],
)  # fmt: skip
def test_what_is_of_another_kind_is_refused_in_words(make):
    with pytest.raises(TypeError, match=VOICE):
        make()


@pytest.mark.parametrize("name", EVERY)
def test_weights_count_samples(name):
    """A sample of weight 2 is two samples, one of weight 0 is none."""
    loss, y = EVERY[name]
    z = predictions(name)
    weights = np.array([1.0, 2.0, 1.0, 0.0])
    fit = Fit(loss, y).but(weights=weights)
    often = np.array([0, 1, 1, 2])
    many = Fit(loss, y).but(y=y[often])
    assert fit.value(z) == pytest.approx(float(many.value(z[often])), rel=1e-14)
    near = fit.prox(z, STEP)
    assert np.array_equal(near[3], z[3])
    assert np.allclose(near[1], loss.prox(z[1:2], y[1:2], 2 * STEP)[0], rtol=1e-14)
    v = fit.gradient(z)
    gap = fit.value(z) + fit.conjugate(v) - (v * z).sum()
    assert abs(gap) <= 1e-12
    assert fit.conjugate(np.ones_like(v)) == np.inf
    assert fit.smoothness == 2 * loss.smoothness
    at = fit.subdifferential_distance(near, (z - near) / STEP)
    away = fit.subdifferential_distance(near, (z - near) / STEP + 1e-3)
    assert at <= 1e-14 < 1e-5 < away


def test_fit_is_a_tree_under_jit():
    fit = Fit(Huber(0.5), REAL.astype(np.float32), np.ones(4))
    z = np.ones(4, np.float32)
    value, near = jax.jit(lambda fit, z: (fit.value(z), fit.prox(z, 0.5)))(fit, z)
    assert value == pytest.approx(float(fit.value(z)))
    assert near.dtype == jnp.float32


DUAL = SVMDual(SIGNS, 1.5)


@jax.jit
def of_dual(x, other, v):
    near, member, best = DUAL.prox(x, STEP), DUAL.nearest(other), DUAL.response(v)
    values = (
        DUAL.value(near),
        DUAL.value(member),
        DUAL.value(best),
        DUAL.value(-1e-6 * SIGNS + 0 * x),
    )
    moved = DUAL.displacement(x, v), x - DUAL.prox(x - v, 1.0)
    return near, member, best, values, moved, DUAL.conjugate(v)


@settings(max_examples=20)
@given(x=POINTS, other=POINTS, v=POINTS)
def test_dual_of_a_machine(x, other, v):
    with jax.enable_x64(True):
        parts = jax.tree_util.tree_map(np.asarray, of_dual(x, other, v))
    near, member, best, values, moved, most = parts
    gained = values[1] + ((member - x) ** 2).sum() / (2 * STEP)
    gained -= values[0] + ((near - x) ** 2).sum() / (2 * STEP)
    assert gained >= ((member - near) ** 2).sum() / (2 * STEP) - 1e-12
    assert np.allclose(*moved, atol=1e-14)
    assert most >= v @ member - values[1] - 1e-12
    assert most == pytest.approx(v @ best - values[2], abs=1e-12)
    hinges = Fit(Hinge(), SIGNS, np.full(4, 1.5))
    assert values[1] == pytest.approx(float(hinges.conjugate(-member)), abs=1e-12)
    assert values[3] == np.inf


def test_dual_finds_the_machine():
    """Without a gap to the primal problem, at the dual's answer."""
    rng = np.random.default_rng(6)
    X = rng.standard_normal((4, 2))
    term, fit = DUAL, Fit(Hinge(), SIGNS, np.full(4, 1.5))
    found = minimize(
        lambda b: 0.5 * b @ X @ X.T @ b - SIGNS @ b, np.zeros(4), method="L-BFGS-B",
        bounds=[(0, 1.5) if s > 0 else (-1.5, 0) for s in SIGNS],
        options={"ftol": 1e-15, "gtol": 1e-12},
    )  # fmt: skip
    w = X.T @ found.x
    with jax.enable_x64(True):
        below = -0.5 * w @ w - float(jax.jit(term.value)(found.x))
    assert 0.5 * w @ w + fit.value(X @ w) == pytest.approx(below, abs=1e-6)
