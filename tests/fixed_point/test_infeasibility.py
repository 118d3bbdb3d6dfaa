"""Maps without a fixed point: the displacement vector, and what proves it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fixed_point import maps

import resolvent as rs
from resolvent.fixed_point import FixedPoint, Halpern, KrasnoselskiiMann, Picard

METHODS = [Picard, KrasnoselskiiMann, Halpern]
each = pytest.mark.parametrize("method", METHODS)
SPLITTINGS = {
    "douglas-rachford": (maps.douglas_rachford, maps.douglas_rachford_proves, "start"),
    "primal-dual": (maps.primal_dual, maps.primal_dual_proves, "pair"),
}


def flat(v):
    return np.concatenate([np.asarray(part).ravel() for part in jax.tree_util.tree_leaves(v)])


def splitting(name, program, verify=True):
    fn, proves, start = SPLITTINGS[name]
    return FixedPoint(fn, getattr(program, start), program.args, verify=proves if verify else None)


def detected(problem, method, **options):
    sol = rs.solve(problem, method, throw=False, **options)
    assert sol.reason is rs.Reason.infeasible
    assert not sol.converged
    return sol


@pytest.mark.slow
@each
@pytest.mark.parametrize("numpy", [False, True])
def test_translations_are_found_to_the_bit(method, numpy):
    v = np.array([1.0, 0.0, -2.5])
    fn = (lambda x, v: np.array(x) - v) if numpy else maps.translation
    sol = detected(FixedPoint(fn, np.zeros(3), v), method(detect=True))
    assert isinstance(sol.witness, np.ndarray)
    assert np.allclose(sol.witness, v, rtol=1e-12)
    details = sol.certificate.details
    assert details["displacement"] == pytest.approx(np.linalg.norm(v))
    assert details["agreement"] <= 1e-9
    assert details["verified"] is False
    assert sol.engine.startswith("host" if numpy else "traced")
    with pytest.raises(rs.NotConverged, match="infeasible"):
        rs.solve(FixedPoint(fn, np.zeros(3), v), method(detect=True))


def test_iterates_of_a_translation_are_what_theory_says():
    v = np.array([1.0, 0.0, -2.5])
    problem, start = FixedPoint(maps.translation, np.ones(3), v), np.ones(3)
    for k in (1, 7, 20):
        plain = rs.solve(problem, Picard(), max_steps=k, throw=False, callback=None)
        assert plain.certificate.value == pytest.approx(np.linalg.norm(v))
        method = Halpern(restart=None)
        with jax.enable_x64(True):
            state = method.init(problem, start, None, None)
            for _ in range(k):
                state = method.step(problem, state)
        assert np.allclose(state.x, start - k / 2 * v, rtol=1e-12)
        assert np.allclose(state.x - state.image, v, rtol=1e-12)


@pytest.mark.slow
@each
@pytest.mark.parametrize("name", SPLITTINGS)
@pytest.mark.parametrize("kind", ["INFEASIBLE", "UNBOUNDED", "BOTH"])
def test_linear_programs_without_an_answer_are_proved_so(method, name, kind):
    program = getattr(maps, kind)
    sol = detected(splitting(name, program), method(detect=True))
    assert sol.certificate.details["verified"] is True
    assert sol.certificate.details["displacement"] > 1e-3
    assert bool(SPLITTINGS[name][1](sol.witness, program.args))
    assert jax.tree_util.tree_structure(sol.witness) == jax.tree_util.tree_structure(sol.x)


@pytest.mark.slow
@each
@pytest.mark.parametrize("name", SPLITTINGS)
@pytest.mark.parametrize("verify", [False, True])
def test_linear_programs_with_an_answer_are_solved(method, name, verify):
    problem = splitting(name, maps.FEASIBLE, verify)
    sol = rs.solve(problem, method(detect=True), rtol=1e-6)
    assert sol.converged
    x = np.maximum(flat(sol.x)[:3], 0.0)
    if name == "primal-dual":
        # The cheapest corner: x = (0, 1/2, 3/2) costs 9/2, x = (1, 0, 1) costs 3.
        assert np.allclose(x, [1.0, 0.0, 1.0], atol=1e-4)


@pytest.mark.slow
@each
def test_disc_and_half_plane(method):
    start = np.array([5.0, -3.0])
    problem = FixedPoint(maps.disc_and_half_plane, start, verify=maps.separates)
    sol = detected(problem, method(detect=True))
    assert sol.certificate.details["verified"] is True
    assert np.allclose(sol.witness, maps.GAP, atol=1e-5)
    suspected = detected(FixedPoint(maps.disc_and_half_plane, start), method(detect=True))
    assert suspected.certificate.details["verified"] is False
    assert np.allclose(suspected.witness, maps.GAP, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", [Picard, Halpern])
def test_rotations_with_drift_are_suspected(method):
    """Differences of the plain iteration do not converge here, averages do."""
    args = maps.angles(-1.5, 0.3, 10, 1.0)
    start = np.random.default_rng(0).standard_normal(21) / 10
    problem = FixedPoint(maps.turning, start, args)
    sol = detected(problem, method(detect=True, agreement=1e-3))
    assert np.allclose(sol.witness, np.eye(21)[-1], atol=2e-3)
    if method is Picard:
        assert sol.certificate.details["agreement"] > 0.1


@pytest.mark.slow
@each
def test_rotations_without_drift_are_not(method):
    args = maps.angles(-1.5, 0.3, 10, 0.0)
    start = np.random.default_rng(0).standard_normal(21) / 10
    problem = FixedPoint(maps.turning, start, args)
    sol = rs.solve(problem, method(detect=True), rtol=1e-3, max_steps=20_000, throw=False)
    assert sol.reason is (rs.Reason.max_steps if method is Picard else rs.Reason.target)


@pytest.mark.slow
@each
def test_a_long_way_to_a_fixed_point_is_no_proof(method):
    """Steps of length 1 towards zero, from afar: only a check that can tell is of use."""

    def walk(x):
        return x - jnp.clip(x, -1.0, 1.0)

    start = np.array([5e4])
    suspected = detected(FixedPoint(walk, start), method(detect=True))
    assert suspected.certificate.details["verified"] is False
    patient = method(detect=True, patience=10**6)
    assert rs.solve(FixedPoint(walk, start), patient, max_steps=300_000).converged
    honest = FixedPoint(walk, start, verify=lambda v: jnp.asarray(False))
    assert rs.solve(honest, method(detect=True), max_steps=300_000).converged


@pytest.mark.slow
@each
def test_a_known_contraction_is_never_suspected(method):
    problem = FixedPoint(lambda x: (1 - 1e-9) * x, np.array([1e3]), contraction=1 - 1e-9)
    sol = rs.solve(problem, method(detect=True), max_steps=5000, throw=False)
    assert sol.reason is rs.Reason.max_steps


@pytest.mark.slow
@each
def test_jit_and_batches(method):
    method = method(detect=True)

    def run(v):
        problem = FixedPoint(maps.translation, jnp.zeros(2), v, verify=lambda v, _: v[0] > 0.5)
        return rs.solve(problem, method, max_steps=500)

    many = jax.vmap(run)(jnp.array([[1.0, 0.0], [0.0, 0.0], [0.2, 1.0]]))
    codes = [rs.Reason.infeasible.code, rs.Reason.target.code, rs.Reason.max_steps.code]
    assert np.asarray(many.reason_code).tolist() == codes
    assert np.asarray(many.certificate.details["verified"]).tolist() == [True, False, False]
    assert np.asarray(many.witness[0]).tolist() == [1.0, 0.0]


def test_single_precision_suspects_as_well():
    v = jnp.array([1.0, 3.0], jnp.float32)
    sol = detected(FixedPoint(maps.translation, 0 * v, v), Halpern(detect=True, agreement=1e-4))
    assert sol.witness.dtype == jnp.float32
    assert np.allclose(sol.witness, v, rtol=1e-4)


def test_without_detection_there_is_no_witness_and_no_verdict():
    problem = FixedPoint(maps.translation, np.zeros(2), np.ones(2))
    sol = rs.solve(problem, KrasnoselskiiMann(), throw=False)
    assert sol.witness is None
    assert sol.reason is rs.Reason.stalled
    assert "verified" not in sol.certificate.details


def test_certify_judges_a_vector_of_anybody():
    problem = FixedPoint(
        maps.translation, np.zeros(2), np.ones(2), verify=lambda v, _: (v > 0.9).all()
    )
    good = rs.certify(problem, np.zeros(2), np.ones(2)).details
    assert good == {"displacement": pytest.approx(2**0.5), "agreement": 0.0, "verified": True}
    bad = rs.certify(problem, np.zeros(2), np.zeros(2)).details
    assert bad == {"displacement": 0.0, "agreement": 1.0, "verified": False}
    assert not rs.certify(problem, np.zeros(2), np.full(2, np.nan)).details["verified"]


def test_verify_must_be_a_function_and_maps_for_numpy_may_have_one():
    with pytest.raises(TypeError, match=r"verify: given a str; needed"):
        FixedPoint(jnp.cos, np.ones(1), verify="yes")  # pyright: ignore[reportArgumentType]
    problem = FixedPoint(maps.translation, np.zeros(2), np.ones(2), verify=lambda v, _: bool(v[0]))
    assert not problem.traceable
    sol = detected(problem, Picard(detect=True))
    assert sol.engine.startswith("host")
    assert sol.steps == 50


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"detect": "yes"}, TypeError), ({"detect": 1}, TypeError),
        ({"agreement": 0.0}, ValueError), ({"agreement": 2.0}, ValueError),
        ({"patience": 0}, ValueError), ({"patience": 1.5}, TypeError),
    ],
)  # fmt: skip
@each
def test_parameters_are_checked(method, options, kind):
    with pytest.raises(kind, match=r"given .*needed"):
        method(**options)
