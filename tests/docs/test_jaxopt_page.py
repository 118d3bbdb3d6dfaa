"""Every public name of JAXopt stands on its page, and every line beside one runs and agrees."""

import functools
import importlib
import re
import types
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs/guide/jaxopt.md"
CODE = re.compile(r"`([^`]+)`")

# Of JAXopt 0.8.5, which has no later version.
NAMES = {
    "jaxopt": """
        AndersonAcceleration AndersonWrapper ArmijoSGD BFGS BacktrackingLineSearch Bisection
        BlockCoordinateDescent BoxCDQP BoxOSQP Broyden CvxpyQP EqualityConstrainedQP
        FixedPointIteration GaussNewton GradientDescent HagerZhangLineSearch IterativeRefinement
        LBFGS LBFGSB LevenbergMarquardt MirrorDescent NonlinearCG OSQP OptStep OptaxSolver PolyakSGD
        ProjectedGradient ProximalGradient ScipyBoundedLeastSquares ScipyBoundedMinimize
        ScipyLeastSquares ScipyMinimize ScipyRootFinding ZoomLineSearch
    """,
    "jaxopt.base": """
        AutoOrBoolean IterativeSolver KKTSolution LinearOperator OptStep StochasticSolver
    """,
    "jaxopt.cond": "cond",
    "jaxopt.implicit_diff": "custom_fixed_point custom_root root_jvp root_vjp",
    "jaxopt.isotonic": "isotonic_l2_pav",
    "jaxopt.linear_solve": """
        solve_bicgstab solve_cg solve_cholesky solve_gmres solve_inv solve_iterative_refinement
        solve_lu solve_normal_cg solve_qr
    """,
    "jaxopt.loop": "while_loop",
    "jaxopt.loss": """
        binary_hinge_loss binary_logistic_loss binary_perceptron_loss binary_sparsemax_loss
        huber_loss make_fenchel_young_loss multiclass_hinge_loss multiclass_logistic_loss
        multiclass_perceptron_loss multiclass_sparsemax_loss sparse_plus sparse_sigmoid
    """,
    "jaxopt.objective": """
        CompositeLinearFunction binary_logreg l2_multiclass_logreg
        l2_multiclass_logreg_with_intercept least_squares multiclass_linear_svm_dual
        multiclass_logreg multiclass_logreg_with_intercept ridge_regression
    """,
    "jaxopt.perturbations": """
        Gumbel Normal make_perturbed_argmax make_perturbed_fun make_perturbed_max
    """,
    "jaxopt.projection": """
        kl_projection_birkhoff kl_projection_transport projection_affine_set projection_birkhoff
        projection_box projection_box_section projection_halfspace projection_hypercube
        projection_hyperplane projection_l1_ball projection_l1_sphere projection_l2_ball
        projection_l2_sphere projection_linf_ball projection_non_negative projection_polyhedron
        projection_simplex projection_sparse_simplex projection_transport
    """,
    "jaxopt.prox": """
        make_prox_from_projection prox_elastic_net prox_group_lasso prox_lasso
        prox_non_negative_lasso prox_non_negative_ridge prox_none prox_ridge
    """,
    "jaxopt.tree_util": """
        broadcast_pytrees tree_add tree_add_scalar_mul tree_conj tree_div tree_dot tree_imag
        tree_inf_norm tree_l2_norm tree_map tree_mul tree_negative tree_ones_like tree_real
        tree_reduce tree_scalar_mul tree_sub tree_sum tree_vdot tree_vdot_real tree_where
        tree_zeros_like
    """,
}
ITERATIONS = ("run(", "solve_", "transport", "birkhoff", "polyhedron", "box_section", "root_vjp")


def rows():
    """The cells of all rows of all tables, without those of headings."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    return [row for row in cells if row[0] != "JAXopt" and set(row[0]) != {"-"}]


def code(cell):
    """The one piece of code that a cell is."""
    (found,) = CODE.findall(cell)
    assert cell == f"`{found}`"
    return found


def prelude():
    """The names that the block at the top of the page leaves."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    names = {"__name__": "page"}
    exec(compile(block, PAGE.name, "exec"), names)
    return names


def words(text):
    """The names in a piece of code."""
    return set(re.findall(r"\w+", text))


def is_slow(line):
    """Whether a line compiles a solve."""
    problems = {"Composite", "FixedPoint", "ArmijoGradient", "PolyakGradient"}
    solves = line.startswith("rs.solve(rs") and bool(words(line) & problems)
    return solves or bool(words(line) & {"ridge", "fixed"})


@pytest.fixture(scope="module")
def answer():
    """What a line of the page returns; each runs once."""
    names = prelude()

    @functools.cache
    def run(line):
        try:
            return eval(line, names)
        except Exception as error:
            error.add_note(f"in the line {line}")
            raise

    return run


def test_no_cell_is_empty():
    table = rows()
    assert len(table) > 130
    for theirs, ours, _ in table:
        assert theirs
        assert code(ours)


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_has_a_row(module):
    named = set().union(*(words(theirs) for theirs, _, _ in rows()))
    assert set(NAMES[module].split()) <= named


@pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["others", "compiled"]
)
def test_every_line_runs(answer, compiled):
    """And whatever was solved is certified: a missed target would have raised."""
    lines = dict.fromkeys(code(ours) for _, ours, _ in rows())
    chosen = [line for line in lines if is_slow(line) == compiled]
    assert len(chosen) > 20
    for line in chosen:
        leaves = [leaf for leaf in jax.tree.leaves(plain(answer(line))) if hasattr(leaf, "dtype")]
        assert all(np.isfinite(leaf).all() for leaf in leaves), line


def jaxopt():
    """JAXopt, which warns of its own end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("jaxopt")


def test_names_are_those_of_jaxopt():
    jaxopt()
    for module, expected in NAMES.items():
        home = importlib.import_module(module)
        public = {
            name for name, value in vars(home).items()
            if not name.startswith("_") and not isinstance(value, types.ModuleType)
        }  # fmt: skip
        assert public == set(expected.split()), module


def plain(answer):
    """The answer itself, without what solvers put around it."""
    for name in ("x", "params", "primal"):
        if hasattr(answer, name):
            answer = getattr(answer, name)
    return answer


# Its kernel, compiled by Numba, refuses the read-only arrays that JAX hands to callbacks now.
BROKEN = ("isotonic_l2_pav",)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lines_agree_with_those_of_jaxopt(answer):
    jaxopt()
    names = prelude()
    for module in NAMES:
        home = importlib.import_module(module)
        names |= {name: getattr(home, name) for name in NAMES[module].split()}
    public = set(" ".join(NAMES.values()).split())
    compared = 0
    for theirs, ours, _ in rows():
        line = CODE.findall(theirs)[0]
        if not re.match(r"[\w.]+\(", line) or not words(line) & public:
            continue
        # Polyak's steps are shown on a problem whose least value is known.
        if line.startswith(("PolyakSGD", *BROKEN)):
            continue
        expected, found = plain(eval(line, names)), plain(answer(code(ours)))
        rough = any(word in line for word in ITERATIONS)
        one, two = jax.tree.leaves(found), jax.tree.leaves(expected)
        assert len(one) == len(two), line
        for a, b in zip(one, two, strict=True):
            size = 2e-2 if rough else 1e-5
            assert np.allclose(a, b, rtol=size, atol=size), (line, a, b)
        compared += 1
    assert compared > 100
