"""Sums with a linear map: the fused lasso, total variation, basis pursuit, constraints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import resolvent as rs
from resolvent import functions

ADMM, PDHG = rs.composite.ADMM, rs.composite.PDHG
slow = pytest.mark.slow
both = pytest.mark.parametrize("method", [PDHG(), ADMM()], ids=str)


def staircase(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat([0.0, 2.0, 1.0, 4.0], n // 4) + 0.2 * rng.standard_normal(n)


def differences(n):
    return np.diff(np.eye(n), axis=0)


def squares(x, args):
    A, b = args
    return 0.5 * ((A @ x - b) ** 2).sum()


@pytest.mark.parametrize("method", [PDHG(), pytest.param(ADMM(), marks=slow)], ids=str)
def test_total_variation_in_one_dimension_is_exact(method):
    signal = staircase()
    problem = rs.SplitComposite(
        functions.L1(0.7), differences(40), g=functions.SquaredL2(1.0, center=signal)
    )
    sol = rs.solve(problem, method, rtol=1e-12)
    with jax.enable_x64(True):
        exact = np.asarray(functions.Fused(0.7).prox(jnp.asarray(signal), 1.0))
    assert sol.certificate.kind == "bound"
    # The gap bounds half of the squared distance.
    assert np.linalg.norm(sol.x[0] - exact) <= np.sqrt(2 * sol.certificate.value)
    assert (sol.witness == sol.x[1]).all()


@pytest.mark.parametrize("method", [PDHG(), pytest.param(ADMM(), marks=slow)], ids=str)
def test_basis_pursuit_is_a_linear_program(method):
    rng = np.random.default_rng(1)
    A, truth = rng.standard_normal((12, 30)), np.zeros(30)
    truth[[2, 9, 17]] = 1.0, -2.0, 0.5
    b = A @ truth
    sol = rs.solve(rs.SplitComposite(functions.Box(b, b), A, g=functions.L1()), method, rtol=1e-9)
    program = scipy.optimize.linprog(np.ones(60), A_eq=np.c_[A, -A], b_eq=b)
    assert np.abs(sol.x[0]).sum() == pytest.approx(program.fun, rel=1e-7)
    assert np.allclose(sol.x[0], program.x[:30] - program.x[30:], atol=1e-7)
    # Its dual: the largest <b, y> with entries of A^T y between -1 and 1.
    assert -b @ sol.x[1] == pytest.approx(program.fun, rel=1e-6)
    assert np.abs(A.T @ sol.x[1]).max() <= 1 + 1e-7


def lasso_of_steps(n=24, quadratic=True):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((30, n))
    b = A @ np.repeat([0.0, 1.0, -1.0], n // 3) + 0.1 * rng.standard_normal(30)
    return A, b, rs.SplitComposite(
        functions.L1(1.5), differences(n), g=functions.L1(0.4), f=squares, args=(A, b),
        quadratic=quadratic,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "quadratic"),
    [
        (ADMM(), True),
        pytest.param(PDHG(), True, marks=slow),
        pytest.param(ADMM(), False, marks=slow),
    ],
    ids=str,
)
def test_the_fused_lasso_agrees_with_its_proximal_operator(method, quadratic):
    A, b, problem = lasso_of_steps(quadratic=quadratic)
    x = rs.solve(problem, method, rtol=0.0, atol=1e-9).x[0]
    # Zero exactly where x is the best: the prox of both penalties together is exact.
    with jax.enable_x64(True):
        gradient = A.T @ (A @ x - b)
        moved = functions.Fused(1.5, 0.4).prox(jnp.asarray(x - 0.01 * gradient), 0.01)
    assert np.linalg.norm(x - np.asarray(moved)) <= 1e-8


@slow
@both
def test_a_point_nearest_to_another_on_an_affine_set(method):
    rng = np.random.default_rng(3)
    K, b, c = rng.standard_normal((3, 6)), rng.standard_normal(3), rng.standard_normal(6)
    problem = rs.SplitComposite(functions.Box(b, b), K, g=functions.SquaredL2(1.0, center=c))
    x, y = rs.solve(problem, method, rtol=1e-10).x
    nearest = c - K.T @ np.linalg.solve(K @ K.T, K @ c - b)
    assert np.allclose(x, nearest, atol=1e-8)
    assert np.allclose(x - c, -K.T @ y, atol=1e-8)


@slow
def test_two_terms_without_a_map_are_split_as_douglas_and_rachford_did():
    c = np.array([3.0, 1.0, -1.0, 0.2])
    problem = rs.SplitComposite(
        functions.Simplex(2.0), f=lambda x: 0.5 * ((x - c) ** 2).sum(),
        g=functions.Box(-1.0, 1.2), start=np.zeros(4),
    )  # fmt: skip
    for method in (ADMM(), PDHG()):
        sol = rs.solve(problem, method, rtol=1e-10)
        assert np.allclose(sol.x[0], [1.2, 0.8, 0.0, 0.0], atol=1e-8)


@slow
def test_ways_to_give_a_map_agree():
    K, signal = differences(12), staircase(12)
    square = functions.SquaredL2(1.0, center=signal)
    ways = [
        K, scipy.sparse.csr_matrix(K), jnp.diff,
        (lambda x: jnp.diff(x), lambda y: -jnp.diff(y, prepend=0, append=0)),
    ]  # fmt: skip
    found = [
        rs.solve(
            rs.SplitComposite(functions.L1(0.5), way, g=square, start=0 * signal, norm=2.0),
            PDHG(), rtol=1e-9,
        )
        for way in ways
    ]  # fmt: skip
    for sol in found[1:]:
        assert sol.steps == found[0].steps
        assert np.allclose(sol.x[0], found[0].x[0], atol=1e-12)


@slow
@both
def test_trees_of_arrays(method):
    target = {"a": np.array([3.0, -0.2]), "b": np.array([1.0])}

    def turned(x, scale):
        return scale * jnp.concatenate([x["a"], x["b"]])

    problem = rs.SplitComposite(
        functions.L1(0.5), turned, g=functions.SquaredL2(1.0, center=target), args=2.0,
        start={"a": np.zeros(2), "b": np.zeros(1)},
    )  # fmt: skip
    x, y = rs.solve(problem, method, rtol=1e-10).x
    assert np.allclose(x["a"], [2.0, 0.0], atol=1e-4)
    assert np.allclose(x["b"], 0.0, atol=1e-4)
    assert y.shape == (3,)


@slow
def test_systems_that_are_not_factorized_are_solved_by_conjugate_gradients():
    signal = staircase(800)

    problem = rs.SplitComposite(
        functions.L1(0.7), jnp.diff, g=functions.SquaredL2(1.0, center=signal), start=0 * signal
    )
    sol = rs.solve(problem, ADMM(), rtol=1e-9)
    with jax.enable_x64(True):
        exact = np.asarray(functions.Fused(0.7).prox(jnp.asarray(signal), 1.0))
    assert np.linalg.norm(sol.x[0] - exact) <= np.sqrt(2 * sol.certificate.value)


@slow
@pytest.mark.parametrize("method", [PDHG(), ADMM()], ids=str)
def test_derivatives_exist_where_dual_points_are_not_unique(method):
    """Two equal rows of K share a slope in any way."""
    K = np.vstack([differences(5), differences(5)[:1]])

    def first(weight):
        problem = rs.SplitComposite(
            functions.L1(weight), jnp.asarray(K),
            g=functions.SquaredL2(1.0, center=jnp.array([0.0, 0.1, 5.0, 5.1, 7.0])),
        )  # fmt: skip
        return rs.solve(problem, method, rtol=1e-13).x[0][0]

    with jax.enable_x64(True):
        slope = float(jax.grad(first)(0.5))
        change = float(first(0.5 + 1e-4) - first(0.5 - 1e-4)) / 2e-4
    assert slope == pytest.approx(change, rel=1e-6)


def test_a_function_beside_another_is_known_by_its_value():
    fit = functions.Fit(functions.LeastSquares(), np.array([1.0, 2.0, 3.0]))
    alone = rs.SplitComposite(functions.L1(), differences(3), f=fit)
    assert alone.f is None
    assert alone.gapped
    beside = rs.SplitComposite(functions.L1(), differences(3), f=fit, g=functions.Nonnegative())
    assert not beside.gapped
    assert float(beside.smooth(jnp.zeros(3))) == 7.0


def test_a_point_alone_is_judged_with_slopes_of_its_own():
    signal = staircase(12)
    problem = rs.SplitComposite(
        functions.L1(0.5), differences(12), g=functions.SquaredL2(1.0, center=signal)
    )
    found = rs.certify(problem, signal)
    assert found.kind == "bound"
    x, y = problem.admit(signal)
    pulled = differences(12).T @ y
    primal = 0.5 * np.abs(np.diff(x)).sum()
    gap = primal + 0.5 * pulled @ pulled - pulled @ signal
    assert np.abs(y).max() <= 0.5
    assert found.value == pytest.approx(gap, rel=1e-12)


@slow
@both
def test_a_constraint_that_nothing_meets_is_never_met(method):
    K, b = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0.0, 1.0])
    problem = rs.SplitComposite(functions.Box(b, b), K, g=functions.L1())
    sol = rs.solve(problem, method, max_steps=3000, throw=False)
    assert not sol.converged


@slow
def test_smooth_terms_whose_curvature_at_the_start_is_too_small_are_minimized():
    c = np.linspace(-2.0, 2.0, 6)

    def f(x):
        return ((x - c) ** 4).sum() + 0.05 * ((x - c) ** 2).sum()

    problem = rs.SplitComposite(functions.L1(0.3), differences(6), f=f, start=0.5 * c)
    answers = [rs.solve(problem, m, rtol=1e-7, throw=False) for m in (PDHG(), ADMM())]
    assert all(sol.converged for sol in answers)
    assert np.allclose(answers[0].x[0], answers[1].x[0], atol=1e-5)


BAD = {
    "h that is none": ((0.3, np.eye(3)), {}, TypeError, "h: given a float"),
    "h that is not convex": ((functions.L0(1.0), np.eye(3)), {}, ValueError, "not convex"),
    "g that is none": ((functions.L1(), np.eye(3)), {"g": 1.0}, TypeError, "g: given"),
    "f that is none": ((functions.L1(), np.eye(3)), {"f": 1.0}, TypeError, "f: given"),
    "many values": (
        (functions.L1(), np.eye(3)), {"f": lambda x: x}, ValueError, "one real number",
    ),
    "a map of text": ((functions.L1(), "K"), {}, TypeError, "K: given a str"),
    "a map with NaN": ((functions.L1(), np.full((2, 3), np.nan)), {}, ValueError, "not finite"),
    "no start": ((functions.L1(), jnp.diff), {}, ValueError, "start: given none"),
    "a start that does not fit": (
        (functions.L1(), np.eye(3)), {"start": np.zeros(4)}, ValueError, "column of K",
    ),
    "a set that does not fit": (
        (functions.Ball(1.0, np.zeros(2)), np.eye(3)), {}, ValueError, "center",
    ),
    "a norm of zero": ((functions.L1(), np.eye(3)), {"norm": 0.0}, ValueError, "norm"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_refused_in_words(name):
    args, options, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        rs.SplitComposite(*args, **options)


def test_bad_parameters_are_refused_in_words():
    problem = rs.SplitComposite(functions.L1(), np.eye(3), g=functions.L1(), norm=1.0)
    with pytest.raises(ValueError, match="step_size"):
        rs.solve(problem, PDHG(step_size=1.1))
    with pytest.raises(ValueError, match="balance"):
        PDHG(balance=0.0)
    with pytest.raises(ValueError, match="acceleration"):
        PDHG(acceleration="nesterov")
    with pytest.raises(ValueError, match="penalty"):
        ADMM(penalty=-1.0)
    with pytest.raises(ValueError, match="relaxation"):
        ADMM(relaxation=2.0)


# --- pictures ---------------------------------------------------------------------------------


def noisy(shape=(9, 7), seed=4):
    picture = np.zeros(shape)
    picture[: shape[0] // 2, shape[1] // 3 :] = 1.0
    return picture + 0.2 * np.random.default_rng(seed).standard_normal(shape)


def gap(picture, weight, x, field, isotropic):
    """The duality gap by its definition, the objective less its bound."""
    down, right = np.zeros_like(x), np.zeros_like(x)
    down[:-1], right[:, :-1] = np.diff(x, axis=0), np.diff(x, axis=1)
    lengths = np.hypot(down, right) if isotropic else np.abs(down) + np.abs(right)
    back = np.zeros_like(x)
    back[1:] += field[0][:-1]
    back[:-1] -= field[0][:-1]
    back[:, 1:] += field[1][:, :-1]
    back[:, :-1] -= field[1][:, :-1]
    primal = 0.5 * ((x - picture) ** 2).sum() + weight * lengths.sum()
    return primal - 0.5 * (picture**2).sum() + 0.5 * ((picture - back) ** 2).sum()


@pytest.mark.parametrize("isotropic", [True, False])
def test_lengths_of_fields_are_shortened(isotropic):
    p = tuple(jnp.asarray(np.random.default_rng(6).standard_normal((2, 3, 4)), jnp.float32))
    g = functions.FieldLength(0.7, isotropic)
    near = np.stack(g.prox(p, 2.0))
    whole = np.stack(p)
    sizes = np.hypot(*whole) if isotropic else np.abs(whole)
    assert np.allclose(near, whole * np.maximum(1 - 1.4 / sizes, 0), atol=1e-6)
    # What is taken away is a subgradient at what is left: equality of Fenchel and Young.
    slope = tuple((whole - near) / 2.0)
    assert float(g.value(tuple(near)) + g.conjugate(slope)) == pytest.approx(
        float((near * np.stack(slope)).sum()), rel=1e-5
    )
    assert np.allclose(np.stack(g.displacement(p, p)), np.stack(p), atol=1e-6)
    share, value = g.scaled_conjugate(tuple(10 * part for part in p))
    assert value == 0.0
    assert float(share) == pytest.approx(0.07 / float(sizes.max()), rel=1e-6)
    with pytest.raises(ValueError, match="a pair of arrays"):
        g.check(p[0])


@pytest.mark.parametrize("isotropic", [True, pytest.param(False, marks=slow)])
def test_pictures_are_denoised_to_the_gap_that_is_stated(isotropic):
    picture = noisy()
    problem = rs.TotalVariationDenoising(picture, 0.3, isotropic=isotropic)
    sol = rs.solve(problem, rtol=1e-10)
    x, field = sol.x
    sizes = np.hypot(*field) if isotropic else np.abs(field)
    assert sizes.max() <= 0.3 * (1 + 1e-12)
    value = gap(picture, 0.3, x, field, isotropic)
    # The definition is a difference of sums, and loses digits that the certificate keeps.
    assert abs(sol.certificate.value - value) <= 1e-13 * (picture**2).sum()
    with jax.enable_x64(True):
        variation = functions.TotalVariation2D(0.3, isotropic, accuracy=1e-6, most_steps=5000)
        near, left = variation.prox_and_gap(jnp.asarray(picture), 1.0)
    away = np.linalg.norm(x - np.asarray(near))
    assert away <= np.sqrt(2 * sol.certificate.value) + np.sqrt(2 * float(left))


@slow
@both
def test_pictures_are_denoised_by_traced_methods(method):
    problem = rs.TotalVariationDenoising(jnp.asarray(noisy(), jnp.float32), 0.3)
    one, two = rs.solve(problem, rtol=1e-5), rs.solve(problem, method, rtol=1e-5)
    assert one.x[0].dtype == two.x[0].dtype == jnp.float32
    room = sum(float(np.sqrt(2 * sol.certificate.value)) for sol in (one, two))
    assert float(jnp.linalg.norm(one.x[0] - two.x[0])) <= room


@slow
def test_pictures_inside_a_transformation():
    def total(weight):
        problem = rs.TotalVariationDenoising(jnp.asarray(noisy((4, 3))), weight)
        return (rs.solve(problem, rtol=1e-13).x[0] ** 2).sum()

    with jax.enable_x64(True):
        slope = float(jax.jit(jax.grad(total))(0.3))
        change = float(total(0.3 + 1e-4) - total(0.3 - 1e-4)) / 2e-4
    assert slope == pytest.approx(change, rel=1e-4)


@pytest.mark.parametrize(
    ("image", "weight", "kind", "words"),
    [
        (np.zeros(4), 1.0, ValueError, "an image"),
        (np.zeros((0, 3)), 1.0, ValueError, "an image"),
        (np.full((2, 2), np.nan), 1.0, ValueError, "finite"),
        (np.zeros((2, 2)), 0.0, ValueError, "weight"),
        (np.zeros((2, 2), complex), 1.0, TypeError, "complex"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(image, weight, kind, words):
    with pytest.raises(kind, match=words):
        rs.TotalVariationDenoising(image, weight)
