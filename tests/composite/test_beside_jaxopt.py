"""The problems that JAXopt's own tests solve, by both libraries: one answer.

They are stated anew here, with other data. JAXopt is asked for more than its default tolerance, so
that a difference says something.
"""

import functools
import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import resolvent as rs
from resolvent import functions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    jaxopt = pytest.importorskip("jaxopt")
    objective, projection, prox, linear_solve = (
        importlib.import_module(f"jaxopt.{name}")
        for name in ("objective", "projection", "prox", "linear_solve")
    )

pytestmark = pytest.mark.filterwarnings("ignore")
composite, fixed_point = rs.composite, rs.fixed_point


@pytest.fixture(autouse=True)
def double():
    """JAXopt solves in the precision that JAX is set to."""
    with jax.enable_x64(True):
        yield


def regression(n=40, p=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.linspace(-2.0, 2.0, p) + 0.3 * rng.standard_normal(n)


def three_classes(n=60, p=4, seed=1):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    return rng.standard_normal((n, p)) + rng.standard_normal((3, p))[labels], labels


def program(n=6, m=3, seed=2):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    return root @ root.T + np.eye(n), rng.standard_normal(n), rng.standard_normal((m, n))


def same(found, expected, atol):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    assert all(np.allclose(a, b, rtol=0.0, atol=atol) for a, b in pairs)


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def test_lasso():
    X, y = regression()
    # Its steps are shorter by the number of samples than they need to be.
    solver = jaxopt.BlockCoordinateDescent(
        objective.least_squares, prox.prox_lasso, tol=1e-9, maxiter=20_000
    )
    theirs = solver.run(np.zeros(6), 0.2, (X, y)).params
    ours = rs.solve(rs.GeneralizedLinear(X, y, penalty=functions.L1(0.2)), rtol=1e-10)
    same(ours.x, theirs, 1e-5)


def test_quadratic_program_with_equations_and_inequalities():
    P, q, A = program()
    G, h = -np.eye(6), np.full(6, 0.3)
    solver = jaxopt.OSQP(tol=1e-8, maxiter=20_000)
    theirs = solver.run(params_obj=(P, q), params_eq=(A, np.ones(3)), params_ineq=(G, h)).params
    ours = rs.solve(rs.QuadraticProgram(P, q, A, 1.0, 1.0, lower=-0.3), rtol=1e-9)
    same(ours.x, theirs.primal, 1e-5)
    same(ours.witness.rows, theirs.dual_eq, 1e-4)


def test_equality_constrained_program():
    P, q, A = program(seed=3)
    theirs = jaxopt.EqualityConstrainedQP(tol=1e-10).run(
        params_obj=(P, q), params_eq=(A, np.ones(3))
    ).params  # fmt: skip
    ours = rs.solve(rs.QuadraticProgram(P, q, A, 1.0, 1.0), composite.ActiveSet(), rtol=1e-10)
    same(ours.x, theirs.primal, 1e-6)
    same(ours.witness.rows, theirs.dual_eq, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", [composite.ActiveSet(), composite.OperatorSplitting()])
def test_program_in_a_box(method):
    P, q, _ = program(seed=4)
    low, high = np.full(6, -0.2), np.full(6, 0.1)
    solver = jaxopt.BoxCDQP(tol=1e-9, maxiter=5000)
    theirs = solver.run(np.zeros(6), params_obj=(P, q), params_ineq=(low, high)).params
    ours = rs.solve(rs.QuadraticProgram(P, q, lower=low, upper=high), method, rtol=1e-9)
    same(ours.x, theirs, 1e-6)


@pytest.mark.slow
def test_elastic_net():
    X, y = regression(seed=5)
    solver = jaxopt.ProximalGradient(
        objective.least_squares, prox.prox_elastic_net, tol=1e-10, maxiter=5000
    )
    theirs = solver.run(np.zeros(6), hyperparams_prox=(0.2, 0.5), data=(X, y)).params
    penalty = functions.ElasticNet(0.2 * 1.5, 1 / 1.5)
    for method in (composite.CoordinateDescent(), composite.ProximalGradient()):
        problem = rs.GeneralizedLinear(X, y, penalty=penalty)
        same(rs.solve(problem, method, rtol=1e-9).x, theirs, 1e-4)


@pytest.mark.slow
def test_several_targets_share_their_features():
    """The group lasso over rows of a matrix of coefficients."""
    X, _ = regression(seed=6)
    Y = X[:, :3] + 0.2 * np.random.default_rng(6).standard_normal((40, 3))

    def rows(W, weight, scaling=1.0):
        return jax.vmap(lambda w: prox.prox_group_lasso(w, weight, scaling))(W)

    solver = jaxopt.ProximalGradient(objective.least_squares, rows, tol=1e-10, maxiter=5000)
    theirs = solver.run(np.zeros((6, 3)), 0.1, data=(X, Y)).params
    groups = functions.GroupL2(np.repeat(np.arange(6), 3), 0.1, np.ones(6))
    problem = rs.Composite(
        lambda w, data: 0.5 * ((data[0] @ w.reshape(6, 3) - data[1]) ** 2).mean(), groups,
        start=np.zeros(18), args=(X, Y),
    )  # fmt: skip
    same(rs.solve(problem, rtol=1e-8).x.reshape(6, 3), theirs, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", [composite.LBFGS(), composite.NonlinearCG()])
def test_multiclass_logistic_regression(method):
    X, labels = three_classes()
    solver = jaxopt.LBFGS(objective.l2_multiclass_logreg_with_intercept, tol=1e-9, maxiter=2000)
    first = (np.zeros((4, 3)), np.zeros(3))
    W, c = solver.run(first, l2reg=0.1, data=(X, labels)).params
    problem = rs.GeneralizedLinear(
        X, labels, functions.MulticlassLogistic(), functions.SquaredL2(0.1), intercept=True
    )
    found, constant = rs.solve(problem, method, rtol=1e-12).x
    same(found, W, 1e-5)
    same(constant - constant.mean(), c - c.mean(), 1e-5)  # a constant shift changes nothing


@pytest.mark.slow
def test_binary_logistic_regression():
    X, y = regression(seed=7)
    labels = (y > 0).astype(int)
    solver = jaxopt.BFGS(
        lambda w: objective.binary_logreg(w, (X, labels)) + 0.05 * (w @ w), tol=1e-9, maxiter=1000
    )
    problem = rs.GeneralizedLinear(X, labels, functions.Logistic(), functions.SquaredL2(0.1))
    same(rs.solve(problem, rtol=1e-12).x, solver.run(np.zeros(6)).params, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", [composite.PolyakGradient(), composite.ArmijoGradient()])
def test_interpolation_by_batches(method):
    """Where one model fits all samples, stochastic steps find it."""
    X, _ = regression(seed=8)
    y = X @ np.ones(6)
    kind = jaxopt.PolyakSGD if isinstance(method, composite.PolyakGradient) else jaxopt.ArmijoSGD
    theirs = kind(objective.least_squares, tol=1e-8, maxiter=5000).run(np.zeros(6), data=(X, y))
    ours = rs.solve(rs.GeneralizedLinear(X, y), method, rtol=1e-12)
    same(ours.x, theirs.params, 1e-3)
    same(ours.x, np.ones(6), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [composite.MirrorDescent(), composite.ProximalGradient(), composite.FrankWolfe()]
)
def test_dual_of_a_multiclass_support_vector_machine(method):
    X, labels = three_classes(n=21)
    Y, first = np.eye(3)[labels], np.full((21, 3), 1 / 3)
    solver = jaxopt.BlockCoordinateDescent(
        objective.multiclass_linear_svm_dual,
        lambda row, _, scaling: projection.projection_simplex(row), tol=1e-8, maxiter=5000,
    )  # fmt: skip
    beta = solver.run(first, None, 10.0, (X, Y)).params

    def dual(beta, data):
        X, Y = data
        return 0.5 / 10.0 * ((X.T @ (Y - beta)) ** 2).sum() + (beta * (Y - 1)).sum()

    problem = rs.Composite(dual, functions.Simplex(), start=first, args=(X, Y))
    sol = rs.solve(problem, method, rtol=1e-4, max_steps=100_000)
    same(X.T @ (Y - sol.x) / 10.0, X.T @ (Y - beta) / 10.0, 1e-3)  # the primal weights


@pytest.mark.slow
def test_nonnegative_least_squares():
    X, y = regression(seed=9)
    expected = scipy.optimize.nnls(X, y)[0]
    solver = jaxopt.ProjectedGradient(
        objective.least_squares, projection.projection_non_negative, tol=1e-10, maxiter=5000
    )
    theirs = solver.run(np.zeros(6), data=(X, y)).params
    same(theirs, expected, 1e-5)
    problem = rs.GeneralizedLinear(X, y, penalty=functions.Nonnegative())
    for method in (composite.CoordinateDescent(), composite.ProximalGradient(), composite.LBFGSB()):
        same(rs.solve(problem, method, rtol=1e-10).x, expected, 1e-5)


@pytest.mark.slow
def test_least_squares_in_a_ball():
    X, y = regression(seed=10)
    solver = jaxopt.ProjectedGradient(
        objective.least_squares, projection.projection_l2_ball, tol=1e-10, maxiter=5000
    )
    theirs = solver.run(np.zeros(6), 1.0, data=(X, y)).params
    problem = rs.GeneralizedLinear(X, y, penalty=functions.Ball(1.0))
    same(rs.solve(problem, rtol=1e-10).x, theirs, 1e-5)


@pytest.mark.slow
def test_random_programs_of_operator_splitting():
    for seed in range(3):
        P, q, A = program(seed=20 + seed)
        low, high = np.full(3, -0.1), np.array([0.2, np.inf, 0.1])
        theirs = jaxopt.BoxOSQP(tol=1e-8, maxiter=20_000).run(
            params_obj=(P, q), params_eq=A, params_ineq=(low, high)
        ).params  # fmt: skip
        for method in (composite.OperatorSplitting(), composite.ActiveSet()):
            ours = rs.solve(rs.QuadraticProgram(P, q, A, low, high), method, rtol=1e-9)
            same(ours.x, theirs.primal[0], 1e-5)


@pytest.mark.slow
def test_programs_without_an_answer_are_told():
    """JAXopt reports a status; here the reason and the proof are part of the solution."""
    crossed = rs.QuadraticProgram(np.eye(2), np.zeros(2), np.eye(2)[:1], 1.0, 1.0, upper=0.0)
    endless = rs.QuadraticProgram(np.zeros((2, 2)), -np.ones(2), lower=0.0)
    for problem, word in ((crossed, "infeasible"), (endless, "unbounded")):
        sol = rs.solve(problem, throw=False)
        assert not sol.converged
        assert sol.reason == rs.Reason.infeasible
        assert sol.certificate.details[word]


@pytest.mark.slow
@pytest.mark.parametrize("method", [composite.LBFGS(), composite.NonlinearCG()])
def test_curved_valley(method):
    solver = jaxopt.LBFGS(rosenbrock, tol=1e-8, maxiter=2000)
    theirs = solver.run(np.zeros(8)).params
    ours = rs.solve(rs.Composite(rosenbrock, start=np.zeros(8)), method, rtol=1e-8)
    same(ours.x, theirs, 1e-5)


@pytest.mark.slow
def test_curved_valley_under_bounds():
    low, high = np.full(4, -1.0), np.full(4, 0.6)
    theirs = jaxopt.LBFGSB(rosenbrock, tol=1e-8, maxiter=500).run(np.zeros(4), (low, high)).params
    problem = rs.Composite(rosenbrock, functions.Box(low, high), start=np.zeros(4))
    same(rs.solve(problem, composite.LBFGSB(), rtol=1e-8).x, theirs, 1e-5)


def shifted_cosine(x, theta):
    return jnp.cos(x) * 0.9 + theta


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [fixed_point.Picard(), fixed_point.Anderson(), fixed_point.Broyden()],
    ids=lambda method: method.name,
)
def test_fixed_point_and_its_derivative(method):
    first, theta = np.array([0.3, 0.8]), np.array([0.0, 0.5])
    solver = jaxopt.FixedPointIteration(shifted_cosine, tol=1e-12, maxiter=1000)

    def ours(theta):
        problem = rs.FixedPoint(shifted_cosine, jnp.asarray(first), theta)
        return rs.solve(problem, method, rtol=1e-10).x

    theta = jnp.asarray(theta)
    theirs = solver.run(first, theta).params
    same(ours(theta), theirs, 1e-8)
    same(
        jax.jacobian(ours)(theta),
        jax.jacobian(lambda theta: solver.run(first, theta).params)(theta),
        1e-6,
    )


@pytest.mark.slow
def test_affine_contraction():
    rng = np.random.default_rng(11)
    M = rng.standard_normal((5, 5))
    M, shift = 0.5 * M / np.linalg.norm(M, 2), rng.standard_normal(5)

    def affine(x, args):
        return args[0] @ x + args[1]

    solver = jaxopt.AndersonAcceleration(affine, tol=1e-10, ridge=1e-12, maxiter=200)
    theirs = solver.run(np.zeros(5), (M, shift)).params
    problem = rs.FixedPoint(affine, np.zeros(5), (M, shift))
    for method in (fixed_point.Anderson(), fixed_point.Broyden()):
        same(rs.solve(problem, method, rtol=1e-10).x, theirs, 1e-7)


@pytest.mark.slow
def test_least_squares_of_a_curve():
    """Michaelis and Menten's law, fitted to made-up rates."""
    t = np.linspace(0.05, 4.0, 12)
    rates = 0.4 * t / (0.6 + t) + 0.01 * np.sin(7 * t)

    def residual(x, t, rates):
        return rates - x[0] * t / (x[1] + t)

    first = np.array([0.5, 0.5])
    problem = rs.Composite(
        lambda x, args: 0.5 * (residual(x, *args) ** 2).sum(), start=first, args=(t, rates)
    )
    ours = rs.solve(problem, composite.LBFGS(), rtol=1e-9).x
    for kind in (jaxopt.GaussNewton, jaxopt.LevenbergMarquardt):
        same(ours, kind(residual, tol=1e-10, maxiter=200).run(first, t, rates).params, 1e-5)


@pytest.mark.slow
def test_derivative_of_a_ridge_regression():
    X, y = regression(seed=12)
    solver = jaxopt.LBFGS(objective.ridge_regression, tol=1e-11, maxiter=1000)

    def theirs(weight):
        return solver.run(jnp.zeros(6), weight, (X, y)).params

    def ours(weight):
        problem = rs.GeneralizedLinear(
            jnp.asarray(X), jnp.asarray(y), penalty=functions.SquaredL2(weight)
        )
        return rs.solve(problem, composite.LBFGS(), rtol=1e-12).x

    exact = -np.linalg.solve(X.T @ X / 40 + 0.3 * np.eye(6), ours(0.3))
    same(jax.jacobian(ours)(0.3), exact, 1e-5)
    same(jax.jacobian(ours)(0.3), jax.jacobian(theirs)(0.3), 1e-5)


@pytest.mark.slow
def test_derivative_of_a_lasso():
    X, y = regression(seed=13)
    solver = jaxopt.ProximalGradient(
        objective.least_squares, prox.prox_lasso, tol=1e-11, maxiter=5000
    )

    def theirs(weight):
        return solver.run(jnp.zeros(6), weight, data=(X, y)).params

    def ours(weight):
        problem = rs.GeneralizedLinear(jnp.asarray(X), jnp.asarray(y), penalty=functions.L1(weight))
        return rs.solve(problem, composite.ProximalGradient(), rtol=1e-12).x

    same(jax.jacobian(ours)(0.3), jax.jacobian(theirs)(0.3), 1e-4)


@pytest.mark.slow
def test_derivative_of_a_support_vector_machine():
    """In the unique primal weights: dual answers need not be unique."""
    X, labels = three_classes(n=12)
    Y, first = np.eye(3)[labels], jnp.full((12, 3), 1 / 3)

    def dual(beta, weight):
        return 0.5 / weight * ((X.T @ (Y - beta)) ** 2).sum() + (beta * (Y - 1)).sum()

    def ours(weight):
        problem = rs.Composite(dual, functions.Simplex(), start=first, args=weight)
        beta = rs.solve(problem, composite.ProximalGradient(), rtol=1e-9, max_steps=100_000).x
        return (X.T @ (Y - beta) / weight) ** 2

    step = 1e-4
    differences = (ours(10.0 + step) - ours(10.0 - step)) / (2 * step)
    same(jax.jacfwd(ours)(10.0), differences, 1e-4)


@pytest.mark.slow
def test_isotonic_regression_and_its_derivative():
    """Beside SciPy: the kernel of JAXopt refuses the read-only arrays that JAX hands to it now."""
    x = np.random.default_rng(14).standard_normal(9)
    found = scipy.optimize.isotonic_regression(x)
    same(functions.isotonic_regression(jnp.asarray(x)), found.x, 1e-12)
    sizes = np.diff(found.blocks)
    means = np.repeat(np.repeat(np.diag(1 / sizes), sizes, axis=0), sizes, axis=1)
    same(jax.jacobian(functions.isotonic_regression)(jnp.asarray(x)), means, 1e-12)


@pytest.mark.slow
def test_derivatives_of_projections():
    x = jnp.asarray(np.random.default_rng(15).standard_normal(7))
    for ours, theirs in (
        (functions.Simplex(), projection.projection_simplex),
        (functions.L1Ball(), projection.projection_l1_ball),
        (functions.Ball(), projection.projection_l2_ball),
    ):
        same(jax.jacobian(ours.project)(x), jax.jacobian(theirs)(x), 1e-10)


@pytest.mark.slow
def test_linear_systems():
    P, q, A = program(seed=16)
    general = P + np.triu(A.T @ A, 1)
    for name, method, matrix in (
        ("solve_cg", rs.linear.CG(), P),
        ("solve_gmres", rs.linear.GMRES(), general),
        ("solve_bicgstab", rs.linear.BiCGStab(), general),
    ):
        theirs = getattr(linear_solve, name)(functools.partial(jnp.matmul, matrix), q, tol=1e-12)
        same(rs.solve(rs.LinearSystem(matrix, q), method, rtol=1e-10).x, theirs, 1e-7)
