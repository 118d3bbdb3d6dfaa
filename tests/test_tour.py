"""The tour: the diffusion's numerics, honest peers, the report."""

import io
import json
import re

import numpy as np
import pytest
import scipy.sparse.linalg as sla
from rich.console import Console
from typer.testing import CliRunner

import resolvent as rs
from resolvent.cli import app
from resolvent.tour import (
    diffusion,
    matrices,
    missing_packages,
    palettes,
    peers,
    photograph,
    run,
)
from resolvent.tour import section as sections
from resolvent.tour.report import seconds, write_report
from resolvent.tour.section import Attempt, Row, Section, sum_up


def picture(rows=12, columns=9, seed=3):
    """Two flat halves with some noise: one edge down the middle."""
    rng = np.random.default_rng(seed)
    image = np.zeros((rows, columns))
    image[:, columns // 2 :] = 0.8
    return image + 0.02 * rng.standard_normal(image.shape)


# --- the diffusion ----------------------------------------------------------------------------


def dense_reference(image, tau, kappa, sigma):
    """I + tau L(u), edge by edge."""
    rows, columns = image.shape
    g = diffusion.diffusivity(image, kappa, sigma)
    A = np.eye(image.size)

    def couple(i, j, k, m):
        p, q, weight = i * columns + j, k * columns + m, tau * (g[i, j] + g[k, m]) / 2
        A[p, p] += weight
        A[q, q] += weight
        A[p, q] -= weight
        A[q, p] -= weight

    for i in range(rows):
        for j in range(columns):
            if i + 1 < rows:
                couple(i, j, i + 1, j)
            if j + 1 < columns:
                couple(i, j, i, j + 1)
    return A


@pytest.mark.parametrize("shape", [(12, 9), (2, 7), (5, 2)])
def test_assemble_matches_a_sum_over_the_edges(shape):
    image = picture(*shape)
    A = diffusion.assemble(image, 3.0, 0.1, 0.7)
    np.testing.assert_allclose(A.toarray(), dense_reference(image, 3.0, 0.1, 0.7), atol=1e-14)
    assert A.has_canonical_format


def test_assemble_is_symmetric_definite_and_keeps_constants():
    A = diffusion.assemble(picture(), 5.0, 0.05)
    dense = A.toarray()
    np.testing.assert_array_equal(dense, dense.T)
    np.testing.assert_allclose(dense.sum(axis=1), 1.0, atol=1e-14)
    assert np.linalg.eigvalsh(dense)[0] == pytest.approx(1.0, abs=1e-12)


def test_a_pattern_made_before_gives_the_same_matrix():
    image = picture()
    pattern = diffusion.stencil(image.shape)
    for tau in (1.0, 4.0):
        fresh = diffusion.assemble(image, tau, 0.1)
        again = diffusion.assemble(image, tau, 0.1, pattern=pattern)
        assert abs(fresh - again).max() == 0.0


def test_diffusivity_is_low_on_the_edge_and_one_in_flat_places():
    image = np.zeros((16, 16))
    image[:, 8:] = 1.0
    g = diffusion.diffusivity(image, 0.05, 1.0)
    assert g[8, 7] < 0.05
    assert g[8, 0] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(diffusion.diffusivity(np.full((6, 6), 0.4), 0.05), 1.0)


def test_a_time_step_keeps_the_mean_and_the_range():
    image = picture()
    solution = rs.solve(diffusion.time_step(image, 4.0, 0.05), rs.linear.CG(), rtol=1e-12)
    assert solution.x.mean() == pytest.approx(image.mean(), abs=1e-11)
    assert image.min() <= solution.x.min()
    assert solution.x.max() <= image.max()
    assert solution.x.std() < image.std()
    exact = np.linalg.solve(dense_reference(image, 4.0, 0.05, 1.0), image.ravel())
    assert np.linalg.norm(solution.x - exact) <= solution.certificate.details["error bound"] + 1e-14


# --- the sequence -----------------------------------------------------------------------------


def test_every_method_solves_every_step_and_memory_saves_iterations():
    steps = 6
    done = photograph.diffuse(picture(24, 20), steps)
    assert set(done.records) == {*photograph.contenders(), "SciPy CG"}
    for record in done.records.values():
        assert len(record.iterations) == len(record.seconds) == steps
        assert all(record.converged)
        assert max(record.certificates) <= sections.RTOL
    cold = sum(done.records["CG, no memory"].iterations)
    warm = sum(done.records["CG, extrapolated"].iterations)
    assert warm < cold


def test_the_sequence_is_the_equation_stepped_by_a_direct_solver():
    image = picture(14, 11)
    done = photograph.diffuse(image, 3)
    expected = image
    for _ in range(3):
        A = diffusion.assemble(expected, photograph.TAU, photograph.KAPPA)
        expected = sla.spsolve(A.tocsc(), expected.ravel()).reshape(image.shape)
    np.testing.assert_allclose(done.image, expected, atol=1e-6)


# --- peers ------------------------------------------------------------------------------------


def small_system():
    return diffusion.time_step(picture(), 4.0, 0.05)


@pytest.mark.parametrize("label", list(matrices.PEERS))
def test_peers_are_certified(label):
    attempt, x = peers.certified(label, matrices.PEERS[label], small_system(), 1e-8)
    assert attempt.converged
    assert attempt.peer
    assert attempt.steps > 0
    assert rs.certify(small_system(), x, rtol=1e-8).holds


def test_a_peer_that_stops_short_is_asked_for_less_and_the_attempt_says_so():
    asked = []

    def optimist(A, b, x0, rtol):
        asked.append(rtol)
        return peers.scipy_cg(A, b, x0, 3 * rtol)

    attempt, _ = peers.certified("optimist", optimist, small_system(), 1e-8)
    assert attempt.converged
    assert attempt.certificate <= 1e-8
    assert min(asked) < 1e-8
    assert "stops short" in attempt.note


def test_a_peer_that_never_gets_there_is_not_called_converged():
    attempt, _ = peers.certified(
        "idle", lambda A, b, x0, rtol: (np.zeros_like(b), 0), small_system(), 1e-8
    )
    assert not attempt.converged


# --- the gallery's matrices -------------------------------------------------------------------


def test_the_airfoil_load_belongs_to_the_mesh():
    found = matrices.airfoil_system()
    assert found.system.n == 260
    # The stiffness matrix couples exactly the inner vertices that share a triangle.
    coupled = np.zeros((len(found.vertices),) * 2, bool)
    for triangle in found.elements:
        coupled[np.ix_(triangle, triangle)] = True
    np.testing.assert_array_equal(found.matrix.toarray() != 0, coupled[:260, :260])
    assert found.system.b.min() > 0


def test_the_local_dg_solution_is_the_known_one():
    found = matrices.local_dg_system()
    known = np.sin(np.pi * found.vertices[:, 0]) * np.sin(np.pi * found.vertices[:, 1])
    x = sla.spsolve(found.matrix.tocsc(), found.system.b)
    np.testing.assert_allclose(x, known, atol=1e-10)


def test_race_certifies_all_and_compares_the_fastest():
    attempts, solutions = matrices.race(small_system(), lambda text: None, repeats=1)
    assert all(one.converged for one in attempts)
    assert set(solutions) == set(matrices.contenders())
    row = sum_up("small", "a small one", 108, attempts)
    ours = [one.seconds for one in attempts if not one.peer]
    theirs = [one.seconds for one in attempts if one.peer]
    assert (row.seconds, row.peer_seconds) == (min(ours), min(theirs))


def test_an_attempt_that_missed_never_wins_over_one_that_holds():
    attempts = [
        Attempt("fast and wrong", 0.1, 1e-3, False),
        Attempt("right", 5.0, 1e-9, True),
        Attempt("peer, wrong", 0.1, 1e-4, False, peer=True),
        Attempt("peer, wronger", 0.01, float("nan"), False, peer=True),
    ]
    row = sum_up("x", "y", 1, attempts)
    assert row.method == "right"
    assert row.converged
    assert row.peer == "peer, wrong"


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """The tour with a tiny picture instead of its stops."""

    def stop(out, say):
        return photograph.photograph(out, say, picture(16, 16), steps=3)

    monkeypatch.setattr(run, "STOPS", {"photograph": stop})


KEYS = [
    "name", "problem", "size", "method", "converged", "certificate", "seconds", "peer",
    "peer_seconds",
]  # fmt: skip


def test_tour_prints_json_alone_and_writes_the_report(short, tmp_path):
    result = CliRunner().invoke(app, ["tour", "--out", str(tmp_path / "new" / "tour"), "--json"])
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert list(facts) == ["stops"]
    (row,) = facts["stops"]
    assert list(row) == KEYS
    assert row["converged"] is True
    assert row["size"] == 256
    assert 0 < row["certificate"] <= 1e-8
    written = {path.name for path in (tmp_path / "new" / "tour").iterdir()}
    assert written == {"report.html", "photograph.png", "photograph-steps.png"}


def test_tour_prints_its_table_to_standard_error(short, tmp_path):
    result = CliRunner().invoke(app, ["tour", "--out", str(tmp_path)], env={"COLUMNS": "160"})
    assert result.exit_code == 0
    assert result.stdout == ""
    for word in ("problem", "certificate", "peer", "photograph", "SciPy CG", "report.html"):
        assert word in result.stderr


def test_tour_exits_1_when_a_row_is_not_certified(monkeypatch, tmp_path):
    def stop(out, say):
        attempts = [Attempt("a", 1.0, 1e-2, False), Attempt("p", 1.0, 1e-9, True, peer=True)]
        return Section("t", (), attempts, sum_up("n", "p", 3, attempts), ())

    monkeypatch.setattr(run, "STOPS", {"n": stop})
    result = CliRunner().invoke(app, ["tour", "--out", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["stops"][0]["converged"] is False


def test_tour_without_its_packages_says_how_to_install_them(monkeypatch, tmp_path):
    monkeypatch.setattr("resolvent.tour.missing_packages", lambda: ["PyAMG", "scikit-image"])
    result = CliRunner().invoke(app, ["tour", "--out", str(tmp_path / "t")])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "pip install 'resolvent[examples]'" in result.stderr
    assert not (tmp_path / "t").exists()


def test_missing_packages_looks_at_what_is_installed(monkeypatch):
    assert missing_packages() == []
    monkeypatch.setattr("resolvent.tour.find_spec", lambda module: None)
    assert missing_packages() == ["POT", "PyAMG", "scikit-image", "scikit-learn"]


def test_tour_into_a_file_is_bad_input(tmp_path):
    (tmp_path / "taken").write_text("")
    result = CliRunner().invoke(app, ["tour", "--out", str(tmp_path / "taken")])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


# Stops whose answers are gaps that are asked for less closely.
GAPS = {"blotto": 1e-6, "denoising": 1e-3}


@pytest.mark.slow
def test_every_stop_is_certified(tmp_path):
    outcome = run.run(tmp_path, Console(file=io.StringIO()))
    assert [row.name for row in outcome.rows] == list(run.STOPS)
    for row in outcome.rows:
        assert row.converged
        assert row.certificate <= GAPS.get(row.name, 1e-8)


# --- the report -------------------------------------------------------------------------------


def test_the_report_stands_alone_and_escapes_its_text(tmp_path):
    figure = photograph.figures.pictures(tmp_path / "p.png", *[picture()] * 3)
    attempts = [
        Attempt("<b>ours</b> & co", 0.5e-3, 1e-9, True, 10),
        Attempt('p"eer', 2.0, 1e-2, False, peer=True, note="a < b"),
    ]
    row = Row("n", "<script>", 10, "m", True, 1e-9, 0.5, "p", 2.0)
    section = Section("T <i>", ["x < y & z"], attempts, row, [(figure, 'caption "q"')])
    text = write_report(tmp_path / "r.html", [section]).read_text(encoding="utf-8")
    body = text.partition("<body>")[2]
    assert "<script>" not in body
    assert "<b>ours" not in body
    assert "&lt;b&gt;ours&lt;/b&gt; &amp; co" in body
    assert "x &lt; y &amp; z" in body
    assert 'alt="caption &quot;q&quot;"' in body
    assert "not certified. a &lt; b" in body
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)


@pytest.mark.parametrize(
    ("value", "text"), [(2e-5, "20 us"), (0.0123, "12.3 ms"), (3.456, "3.46 s")]
)
def test_durations_carry_their_unit(value, text):
    assert seconds(value) == text


# --- the palettes -----------------------------------------------------------------------------


def two_palettes(count=30):
    rng = np.random.default_rng(4)
    first, second = rng.random((8, 10, 3)), rng.random((6, 7, 3))
    x, y = rng.random((count, 3)) * [60, 20, 20], rng.random((count, 3)) * [60, 20, 20] + 20
    return palettes.Palettes(first, second, x, y)


def test_palettes_are_certified_beside_their_peers(tmp_path):
    pytest.importorskip("ot")
    section = palettes.palettes(tmp_path, lambda text: None, two_palettes())
    ours = [one for one in section.attempts if not one.peer]
    assert len(ours) == 2
    assert all(one.converged and one.certificate <= sections.RTOL for one in ours)
    assert any(one.peer for one in section.attempts)
    assert section.row.converged
    for path, caption in section.figures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert caption


def test_a_picture_moves_as_its_colours_do():
    from skimage.color import rgb2lab

    pair = two_palettes()
    same = palettes.recoloured(pair.first, pair.x, pair.x)
    np.testing.assert_allclose(same, pair.first, atol=1e-2)
    grey = np.full((4, 4, 3), 0.4)
    lighter = palettes.recoloured(grey, pair.x, pair.x + np.array([10.0, 0, 0]))
    np.testing.assert_allclose(rgb2lab(lighter)[..., 0], rgb2lab(grey)[..., 0] + 10, atol=1e-6)


def test_a_plan_is_measured_on_both_sides():
    problem = palettes.transport(two_palettes(5), 20.0)
    product = np.outer(problem.a, problem.b)
    assert palettes.marginal_error(problem, product) <= 1e-15
    assert palettes.marginal_error(problem, 2 * product) == pytest.approx(2.0)
    assert palettes.marginal_error(problem, np.full_like(product, np.nan)) == np.inf
