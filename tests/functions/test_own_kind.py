"""NumPy's points in double precision, with JAX set to single precision."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resolvent import functions as F

X, V = np.array([0.3, -1.7, 2.5, 0.1]), np.array([0.2, 0.4, -0.3, 0.1])
TERMS = {
    "l1": F.L1(0.3), "weighted": F.WeightedL1(np.full(4, 0.3)), "elastic": F.ElasticNet(0.3, 0.5),
    "l2": F.L2(0.3), "square": F.SquaredL2(0.3, center=V), "box": F.Box(-0.2, V + 1),
    "nonnegative": F.Nonnegative(), "simplex": F.Simplex(1.1), "ball": F.Ball(0.9),
    "l1 ball": F.L1Ball(0.9), "largest": F.MaxBall(0.9), "half": F.HalfSpace(V, 0.1),
    "affine": F.Affine(V[None], np.array([0.1])), "everything": F.Everything(),
    "groups": F.GroupL2([0, 0, 1, 1], 0.3), "sparse groups": F.SparseGroup([0, 0, 1, 1], 0.3),
    "fused": F.Fused(0.3), "sorted": F.SortedL1(np.array([0.4, 0.3, 0.2, 0.1])),
    "mcp": F.MCP(0.3), "scad": F.SCAD(0.3), "l0": F.L0(0.3), "lp": F.Lp(0.3),
    "isotonic": F.Isotonic(increasing=True), "cone": F.SecondOrderCone(),
}  # fmt: skip
USUAL = {"l1", "square", "box", "mcp"}
METHODS = ("value", "prox", "displacement", "subdifferential_distance", "conjugate", "nearest")


def called(term, name, x, v):
    method = getattr(term, name)
    if name == "prox":
        return method(x, 0.7)
    if name in ("displacement", "subdifferential_distance"):
        return method(x, v)
    return method(x)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in USUAL else pytest.mark.slow) for name in TERMS]
)
def test_terms_answer_in_the_kind_and_precision_of_the_point(name):
    term = TERMS[name]
    for method in METHODS:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found = called(term, method, X, V)
            except NotImplementedError:
                continue
        assert not isinstance(found, jax.Array), method
        assert np.asarray(found).dtype == np.float64, method
        with jax.enable_x64(True):
            exact = np.asarray(called(term, method, jnp.asarray(X), jnp.asarray(V)))
        assert np.allclose(found, exact, rtol=1e-13, atol=1e-14), method
    assert jnp.ones(2).dtype == jnp.float32  # the setting is as it was


LOSSES = {
    "squares": (F.LeastSquares(), V), "huber": (F.Huber(0.5), V), "quantile": (F.Quantile(0.3), V),
    "poisson": (F.Poisson(), np.array([1.0, 0.0, 2.0, 3.0])),
    "logistic": (F.Logistic(), np.array([1.0, -1, 1, -1])),
    "hinge": (F.Hinge(), np.array([1.0, -1, 1, -1])),
    "smoothed": (F.SmoothedHinge(), np.array([1.0, -1, 1, -1])),
    "squared": (F.SquaredHinge(), np.array([1.0, -1, 1, -1])),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_losses_answer_in_the_kind_and_precision_of_the_predictions(name):
    loss, y = LOSSES[name]
    for method, args in {"each": (), "slope": (), "curvature": (), "prox": (0.7,)}.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found = getattr(loss, method)(X, y, *args)
            except NotImplementedError:
                continue
        assert isinstance(found, np.ndarray), method
        assert found.dtype == np.float64, method
        with jax.enable_x64(True):
            exact = getattr(loss, method)(jnp.asarray(X), jnp.asarray(y), *args)
        assert np.allclose(found, exact, rtol=1e-12, atol=1e-13), method


def test_jax_points_stay_as_they_are():
    x = jnp.asarray(X, jnp.float32)
    assert F.L1(0.3).prox(x, 0.7).dtype == jnp.float32
    assert jax.jit(lambda x: F.L1(0.3).prox(x, 0.7))(X).dtype == jnp.float32

    @jax.jit
    def inside(t):
        return t * F.L1(0.3).prox(X, 0.7).sum()

    assert inside(1.0).dtype == jnp.float32


def test_functions_without_a_class_do_the_same():
    for function in (F.simplex_projection, F.isotonic_regression):
        found = function(X)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float64
    assert F.simplex_projection(X).sum() == pytest.approx(1.0, abs=1e-15)
