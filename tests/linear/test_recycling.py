"""GMRES(m) and GCRO-DR(m, k) cycles against their defining identities."""

import numpy as np
import pytest
import scipy.sparse

from resolvent.linear import harmonic, recycling
from resolvent.papers.krylov_recycling_data import (
    darcy_family,
    darcy_matrix_official,
    darcy_systems,
    gaussian_field,
    helmholtz_systems,
)


def convection(side=14, dtype=np.float64):
    """A nonsymmetric five-point matrix with complex harmonic Ritz values."""
    line = scipy.sparse.diags([-1.6, 2.0, -0.4], [-1, 0, 1], shape=(side, side))
    eye = scipy.sparse.identity(side)
    return (scipy.sparse.kron(line, eye) + scipy.sparse.kron(eye, line)).tocsr().astype(dtype)


def solve(matrix, b, rtol, cycle, recycle, space=None, precondition=None, chunk=10_000):
    state = recycling.begin(
        np.zeros_like(b),
        b,
        matrix.dot,
        cycle=cycle,
        recycle=recycle,
        preconditioned=precondition is not None,
        space=space,
    )
    target = rtol * float(np.linalg.norm(b))
    trace = []
    while state.code == recycling.RUNNING and not state.norm <= target:
        state, part = recycling.advance(state, matrix.dot, precondition, steps=chunk, target=target)
        trace.extend(part)
    return recycling.iterate(state), state, np.array(trace)


def relative(matrix, x, b):
    return np.linalg.norm(b - matrix @ x) / np.linalg.norm(b)


@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize(
    "matrix", [convection(), darcy_systems(np.random.default_rng(3), 18, 1)[0].matrix]
)
def test_arnoldi_and_recycling_identities_hold_after_every_cycle(matrix, preconditioned):
    size = matrix.shape[0]
    b = np.random.default_rng(0).standard_normal(size)
    scale = 1.0 / (matrix.diagonal() * np.linspace(0.5, 2.0, size))
    precondition = (lambda v: scale * v) if preconditioned else None
    state = recycling.begin(
        np.zeros(size), b, matrix.dot, cycle=20, recycle=8, preconditioned=preconditioned
    )
    for _ in range(4):
        length = 20 - state.recycled if state.steps else 20
        state, _ = recycling.advance(state, matrix.dot, precondition, steps=length, target=1e-300)
        kept, steps = state.recycled, state.position
        images = state.basis[: kept + steps + 1]
        if preconditioned:
            directions = state.directions[kept : kept + steps]
            assert np.allclose(directions, state.basis[kept : kept + steps] * scale, atol=1e-14)
        else:
            directions = state.basis[kept : kept + steps]
        projections = state.projections[:steps, : kept + steps + 1]
        norm = scipy.sparse.linalg.norm(matrix)
        assert np.abs(matrix @ directions.T - images.T @ projections.T).max() <= 1e-10 * norm
        assert np.abs(images @ images.T - np.eye(len(images))).max() <= 1e-10
        space, state = recycling.remember(state)
        assert 7 <= len(space.images) <= 9
        assert np.abs(matrix @ space.directions.T - space.images.T).max() <= 1e-10
        gram = space.images @ space.images.T
        assert np.abs(gram - np.eye(len(gram))).max() <= 1e-10
        assert np.abs(space.images @ state.residual).max() <= 1e-10 * np.linalg.norm(b)
        assert np.isclose(state.norm, np.linalg.norm(b - matrix @ state.x), rtol=1e-6)


def test_recycled_space_holds_the_harmonic_ritz_vectors():
    matrix = convection(8)
    b = np.random.default_rng(1).standard_normal(64)
    state = recycling.begin(np.zeros(64), b, matrix.dot, cycle=12, recycle=4)
    state, _ = recycling.advance(state, matrix.dot, None, steps=12, target=0.0)
    basis = state.basis[:13].T.copy()
    rectangular = state.projections[:12, :13].T.copy()
    space, _ = recycling.remember(state)
    square = rectangular[:12]
    unit = np.zeros(12)
    unit[-1] = 1.0
    correction = np.outer(np.linalg.solve(square.T, unit), unit) * rectangular[12, 11] ** 2
    values, vectors = np.linalg.eig(square + correction)
    order = np.argsort(np.abs(values))[: len(space.directions)]
    ritz = basis[:, :12] @ vectors[:, order]
    span = np.linalg.qr(space.directions.T)[0]
    assert np.linalg.norm(ritz - span @ (span.T @ ritz)) <= 1e-9


def test_the_symmetric_eigenproblem_chooses_the_space_of_the_general_one(monkeypatch):
    matrix = darcy_systems(np.random.default_rng(15), 20, 1)[0].matrix
    b = np.random.default_rng(16).standard_normal(matrix.shape[0])

    def kept():
        state = recycling.begin(np.zeros_like(b), b, matrix.dot, cycle=20, recycle=6)
        state, _ = recycling.advance(state, matrix.dot, None, steps=40, target=0.0)
        return recycling.remember(state)[0].images

    symmetric = kept()
    monkeypatch.setattr(harmonic, "_SYMMETRIC", -1.0)
    general = kept()
    assert np.abs(general - symmetric).max() > 0.0  # the other branch did run
    assert len(general) == len(symmetric) == 6
    assert np.linalg.norm(symmetric - symmetric @ general.T @ general) <= 1e-8


@pytest.mark.parametrize(("spread", "renewed"), [(3.0, False), (1e6, True)])
def test_only_cycles_that_gain_little_renew_the_space(spread, renewed):
    matrix = scipy.sparse.diags(np.geomspace(1.0, spread, 150)).tocsr()
    rng = np.random.default_rng(17)
    _, state, _ = solve(matrix, rng.standard_normal(150), 1e-2, 12, 4)
    space, _ = recycling.remember(state)
    b = rng.standard_normal(150)
    state = recycling.begin(np.zeros(150), b, matrix.dot, cycle=12, recycle=4, space=space)
    length = 12 - state.recycled
    state, trace = recycling.advance(state, matrix.dot, None, steps=length + 1, target=0.0)
    assert (trace[length - 1] > 0.3 * np.linalg.norm(b)) == renewed
    assert (state.renewals == 1) == renewed
    state, _ = recycling.advance(state, matrix.dot, None, steps=3 * length, target=0.0)
    assert state.renewals >= 1  # a good space is not kept for ever


@pytest.mark.parametrize("cycle", [5, 17, 196])
def test_without_recycling_a_cycle_is_gmres(cycle):
    matrix = convection()
    b = np.random.default_rng(2).standard_normal(196)
    state = recycling.begin(np.zeros(196), b, matrix.dot, cycle=cycle)
    state, trace = recycling.advance(state, matrix.dot, None, steps=3 * cycle, target=1e-12)
    x, expected = np.zeros(196), []
    while len(expected) < len(trace):
        residual = b - matrix @ x
        krylov = [residual]
        for _ in range(cycle):
            basis = np.linalg.qr(np.stack(krylov, 1))[0]
            weights = np.linalg.lstsq(matrix @ basis, residual, rcond=None)[0]
            expected.append(np.linalg.norm(residual - matrix @ basis @ weights))
            if expected[-1] <= 1e-12:
                break
            krylov.append(matrix @ basis[:, -1])
        x = x + basis @ weights
    assert np.allclose(trace, expected[: len(trace)], rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize("recycle", [0, 6])
def test_steps_can_be_taken_in_pieces(recycle):
    matrix = convection()
    b = np.random.default_rng(4).standard_normal(196)
    whole = solve(matrix, b, 1e-9, 16, recycle)
    pieces = solve(matrix, b, 1e-9, 16, recycle, chunk=3)
    assert np.array_equal(whole[2], pieces[2])
    assert np.array_equal(whole[0], pieces[0])
    assert relative(matrix, whole[0], b) <= 1e-9 * (1.0 + 1e-6)


def test_iterate_inside_a_cycle_has_the_running_residual():
    matrix = convection()
    b = np.random.default_rng(5).standard_normal(196)
    state = recycling.begin(np.zeros(196), b, matrix.dot, cycle=12, recycle=4)
    for _ in range(30):
        state, trace = recycling.advance(state, matrix.dot, None, steps=1, target=0.0)
        x = recycling.iterate(state)
        assert np.isclose(np.linalg.norm(b - matrix @ x), trace[-1], rtol=1e-8)


def test_a_new_right_hand_side_of_the_same_matrix_costs_less_and_no_set_up():
    matrix = darcy_systems(np.random.default_rng(6), 26, 1)[0].matrix
    rng = np.random.default_rng(7)
    _, state, _ = solve(matrix, rng.standard_normal(matrix.shape[0]), 1e-8, 30, 12)
    space, _ = recycling.remember(state)
    b = rng.standard_normal(matrix.shape[0])
    x, state, warm = solve(matrix, b, 1e-8, 30, 12, space)
    fresh = solve(matrix, b, 1e-8, 30, 12)[2]
    assert len(warm) < 0.8 * len(fresh)
    assert state.products == len(warm) + 1
    assert relative(matrix, x, b) <= 1.01e-8


def test_counts_equal_the_real_calls():
    systems = darcy_family(np.random.default_rng(8), 20, 2)
    calls = {"op": 0, "precondition": 0}
    space = None
    for system in systems:
        scale = 1.0 / system.matrix.diagonal()
        calls["op"] = calls["precondition"] = 0

        def op(v, matrix=system.matrix):
            calls["op"] += 1
            return matrix @ v

        def precondition(v, scale=scale):
            calls["precondition"] += 1
            return scale * v

        state = recycling.begin(
            np.zeros_like(system.rhs),
            system.rhs,
            op,
            cycle=20,
            recycle=8,
            preconditioned=True,
            space=space,
        )
        target = 1e-8 * float(np.linalg.norm(system.rhs))
        state, _ = recycling.advance(state, op, precondition, steps=500, target=target)
        space, state = recycling.remember(state)
        assert state.norm <= target
        assert (state.products, state.preconditions) == (calls["op"], calls["precondition"])


def test_an_exact_eigenspace_gives_the_deflated_convergence():
    spectrum = np.concatenate([np.geomspace(1e-5, 1e-3, 8), np.linspace(1.0, 2.0, 192)])
    matrix = scipy.sparse.diags(spectrum).tocsr()
    b = np.ones(200)
    eigenvectors = np.eye(200)[:8]
    space = recycling.RecycledSpace(eigenvectors, np.zeros((8, 200)), np.zeros((0, 200)))
    _, _, trace = solve(matrix, b, 1e-8, 60, 8, space)
    deflated = solve(matrix[8:, 8:], b[8:], 1e-8 * np.sqrt(200 / 192), 60, 0)[2]
    assert len(trace) == len(deflated)
    assert np.allclose(trace, deflated, rtol=1e-6)


def test_flexible_preconditioning_may_change_every_step():
    matrix = convection()
    b = np.random.default_rng(9).standard_normal(196)
    rng = np.random.default_rng(10)
    x, _, _ = solve(
        matrix, b, 1e-9, 20, 8, precondition=lambda v: rng.uniform(0.5, 2.0, v.size) * v
    )
    assert relative(matrix, x, b) <= 1.01e-9


@pytest.mark.parametrize("recycle", [0, 8])
def test_float32_stays_float32(recycle):
    matrix = convection(dtype=np.float32)
    b = np.random.default_rng(11).standard_normal(196).astype(np.float32)
    x, state, _ = solve(matrix, b, 1e-5, 20, recycle)
    assert x.dtype == state.basis.dtype == np.float32
    assert relative(matrix, x, b) <= 2e-5


def test_happy_breakdown_gives_the_solution():
    matrix = scipy.sparse.diags(np.repeat([1.0, 2.0, 3.0], 10)).tocsr()
    b = np.ones(30)
    x, state, trace = solve(matrix, b, 1e-12, 10, 4)
    assert len(trace) == 3
    assert np.allclose(matrix @ x, b)
    recycling.remember(state)


@pytest.mark.parametrize("recycle", [0, 3])
def test_a_singular_inconsistent_system_is_reported(recycle):
    matrix = scipy.sparse.diags(np.r_[0.0, np.linspace(1.0, 2.0, 29)]).tocsr()
    _, state, _ = solve(matrix, np.ones(30), 1e-10, 10, recycle)
    assert state.code in (recycling.STALLED, recycling.BREAKDOWN)


def test_a_stalled_cycle_is_reported():
    size = 30
    shift = scipy.sparse.csr_matrix(np.roll(np.eye(size), 1, axis=0))
    b = np.eye(size)[0]
    _, state, trace = solve(shift, b, 1e-8, 10, 0)
    assert state.code == recycling.STALLED
    assert len(trace) == 10


def test_values_that_are_not_finite_are_reported():
    matrix = scipy.sparse.diags(np.r_[np.nan, np.ones(9)]).tocsr()
    _, state, _ = solve(matrix, np.ones(10), 1e-8, 5, 2)
    assert state.code == recycling.NONFINITE


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((4, 196)),
        np.ones((4, 196)),
        np.full((4, 196), np.nan),
        np.random.default_rng(0).standard_normal((4, 196)) * 1e150,
    ],
)
def test_a_bad_recycled_space_never_spoils_the_answer(rows):
    matrix = convection()
    b = np.random.default_rng(12).standard_normal(196)
    space = recycling.RecycledSpace(rows, rows, np.zeros((0, 196)))
    with np.errstate(all="ignore"):
        x, state, _ = solve(matrix, b, 1e-9, 20, 8, space)
    assert state.norm <= 1e-9 * np.linalg.norm(b)
    assert relative(matrix, x, b) <= 1.01e-9


def test_sizes_are_checked():
    matrix, b = convection(), np.ones(196)
    with pytest.raises(ValueError, match="recycle"):
        recycling.begin(b, b, matrix.dot, cycle=5, recycle=5)
    space = recycling.RecycledSpace(np.eye(3), np.eye(3), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="size 3"):
        recycling.begin(b, b, matrix.dot, cycle=9, recycle=3, space=space)
    state = recycling.begin(b, b, matrix.dot, cycle=9)
    with pytest.raises(ValueError, match="preconditioned"):
        recycling.advance(state, matrix.dot, np.copy, steps=1, target=0.0)


def test_recycling_along_a_family_needs_fewer_products():
    systems = darcy_family(np.random.default_rng(13), 26, 12)
    space, fresh, recycled = None, 0, 0
    for system in systems:
        fresh += solve(system.matrix, system.rhs, 1e-8, 40, 20)[1].products
        x, state, _ = solve(system.matrix, system.rhs, 1e-8, 40, 20, space)
        recycled += state.products
        space, _ = recycling.remember(state)
        assert relative(system.matrix, x, system.rhs) <= 1.01e-8
    assert recycled < 0.9 * fresh


def test_generators_are_seeded_and_have_their_symmetry():
    first, second = (darcy_systems(np.random.default_rng(14), 12, 1)[0] for _ in range(2))
    assert np.array_equal(first.matrix.toarray(), second.matrix.toarray())
    assert abs(first.matrix - first.matrix.T).max() <= 1e-15
    assert np.linalg.eigvalsh(first.matrix.toarray())[0] > 0.0
    official = darcy_matrix_official(np.exp(gaussian_field(np.random.default_rng(14), 12)))
    assert abs(official - official.T).max() > 0.01
    wave = helmholtz_systems(np.random.default_rng(14), 12, 1)[0]
    difference = (first.matrix - wave.matrix).toarray()
    assert np.allclose(difference, wave.wave_number**2 / 121.0 * np.eye(100))
    constant = darcy_matrix_official(np.ones((6, 6)))
    assert constant.diagonal().tolist() == [4.0] * 16
    assert constant.sum() == 4.0 * 16 - 2 * 24
