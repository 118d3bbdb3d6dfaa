"""The command line: JSON alone on standard output, one clear line for bad input, exit codes."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import resolvent as rs
from resolvent._core.registry import methods
from resolvent.cli import app
from resolvent.linear.files import parse_matrix_market, read_array, read_system
from resolvent.papers import all_papers

COMMANDS = ("solve", "methods", "papers", "reproduce", "tour")


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})


def refused(result, *words):
    """Exit code 2, nothing on standard output, one line without a traceback."""
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("resolvent: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def spd(n=30):
    return sp.csr_array(sp.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(n, n)))


def general(n=30):
    return sp.csr_array(sp.diags_array([-1.5, 4.0, -0.5], offsets=[-1, 0, 1], shape=(n, n)))


@pytest.fixture
def mtx(tmp_path):
    path = tmp_path / "A.mtx"
    scipy.io.mmwrite(path, spd())
    return path


def write(folder, kind, matrix):
    """The matrix in a file of a kind; returns its path."""
    path = folder / f"matrix{kind}"
    if kind == ".npy":
        np.save(path, matrix.toarray())
    elif kind == ".npz":
        sp.save_npz(path, matrix)
    elif kind == ".mtx":
        scipy.io.mmwrite(path, matrix)
    else:
        scipy.io.mmwrite(folder / "plain.mtx", matrix)
        path.write_bytes(gzip.compress((folder / "plain.mtx").read_bytes()))
    return path


KINDS = (".mtx", ".mtx.gz", ".npz", ".npy")


# --- help and start-up ------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "Usage:" in result.stdout


def test_help_lists_the_commands():
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command in result.stdout


def test_the_version_is_the_packages():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.strip() == rs.__version__


def test_help_does_not_import_jax_or_scipy():
    code = (
        "import sys\nfrom resolvent.cli import app\n"
        "try:\n    app(['solve', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'jax', 'scipy', 'numpy', 'matplotlib', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_option_is_bad_input(mtx):
    assert run("solve", mtx, "--omega", "1").exit_code == 2
    assert run("solve").exit_code == 2


# --- solve ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_solve_reads_every_kind_and_finds_the_ones(tmp_path, kind):
    matrix = write(tmp_path, kind, spd())
    out = tmp_path / "x.npy"
    result = run("solve", matrix, "--rtol", "1e-10", "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["converged"] is True
    assert facts["certificate"]["relative"] <= 1e-10
    x = np.load(out)
    np.testing.assert_allclose(x, 1.0, atol=1e-8)
    b = spd() @ np.ones(30)
    assert np.linalg.norm(b - spd() @ x) <= 1e-10 * np.linalg.norm(b)


@pytest.mark.parametrize("kind", KINDS)
def test_solve_reads_a_right_hand_side_of_every_kind(tmp_path, kind, mtx):
    b = np.arange(1.0, 31.0)
    rhs = tmp_path / f"b{kind}"
    if kind == ".npy":
        np.save(rhs, b)
    elif kind == ".npz":
        sp.save_npz(rhs, sp.csr_array(b[:, None]))
    elif kind == ".mtx":
        scipy.io.mmwrite(rhs, b[:, None])
    else:
        scipy.io.mmwrite(tmp_path / "plain.mtx", b[:, None])
        rhs.write_bytes(gzip.compress((tmp_path / "plain.mtx").read_bytes()))
    out = tmp_path / "x.npy"
    assert run("solve", mtx, rhs, "--rtol", "1e-12", "--out", out).exit_code == 0
    np.testing.assert_allclose(np.load(out), np.linalg.solve(spd().toarray(), b), rtol=1e-9)


def test_solve_prints_the_summary_of_the_solution(mtx):
    facts = json.loads(run("solve", mtx, "--json").stdout)
    expected = rs.solve(read_system(mtx), key=0).summary()
    assert facts.keys() == expected.keys()
    for name in ("problem", "method", "engine", "reason", "steps", "calls", "certificate"):
        assert facts[name] == expected[name]


def test_solve_without_json_says_it_on_standard_error(mtx):
    result = run("solve", mtx)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "converged" in result.stderr
    assert "relative residual" in result.stderr


@pytest.mark.parametrize("name", ["cg", "minres", "gmres", "bicgstab"])
def test_solve_takes_a_method_by_name(mtx, name):
    facts = json.loads(run("solve", mtx, "--method", name, "--json").stdout)
    assert facts["method"].startswith(name)
    assert facts["converged"] is True


def test_solve_draws_the_convergence(mtx, tmp_path):
    plot = tmp_path / "p.png"
    assert run("solve", mtx, "--plot", plot).exit_code == 0
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_solve_that_does_not_converge_exits_1_and_still_writes_its_point(tmp_path):
    # Singular and inconsistent: no x comes nearer than a tenth of the way.
    matrix, rhs, out = tmp_path / "A.npy", tmp_path / "b.npy", tmp_path / "x.npy"
    np.save(matrix, np.ones((2, 2)))
    np.save(rhs, np.array([1.0, -1.0]))
    result = run("solve", matrix, rhs, "--out", out, "--json")
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["converged"] is False
    assert facts["reason"] != "target"
    assert np.load(out).shape == (2,)
    assert "what to do" in run("solve", matrix, rhs).stderr


def test_solve_of_a_zero_right_hand_side_is_zero(tmp_path, mtx):
    np.save(tmp_path / "b.npy", np.zeros(30))
    out = tmp_path / "x.npy"
    assert run("solve", mtx, tmp_path / "b.npy", "--out", out).exit_code == 0
    np.testing.assert_array_equal(np.load(out), 0.0)


def test_json_has_no_nan(mtx, tmp_path):
    np.save(tmp_path / "A.npy", np.array([[0.0, 1.0], [0.0, 0.0]]))
    np.save(tmp_path / "b.npy", np.array([0.0, 1.0]))
    result = run("solve", tmp_path / "A.npy", tmp_path / "b.npy", "--json")
    assert result.exit_code == 1

    def refuse_constant(text):
        raise AssertionError(text)

    json.loads(result.stdout, parse_constant=refuse_constant)


# --- solve: bad input -------------------------------------------------------------------------


def test_bad_tolerance(mtx):
    refused(run("solve", mtx, "--rtol", "-1"), "rtol")
    refused(run("solve", mtx, "--rtol", "nan"), "rtol")


def test_unknown_method_lists_those_that_exist(mtx):
    refused(run("solve", mtx, "--method", "magic"), "magic", "cg")


def test_cg_on_a_matrix_that_is_not_symmetric(tmp_path):
    matrix = write(tmp_path, ".mtx", general())
    refused(run("solve", matrix, "--method", "cg"), "not symmetric")


def test_a_missing_file(tmp_path):
    refused(run("solve", tmp_path / "none.mtx"), "none.mtx", "no such file")
    refused(run("solve", tmp_path), "ends in")


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    refused(run("solve", tmp_path / "folder.npy"), "folder.npy")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file(tmp_path, kind):
    path = tmp_path / f"empty{kind}"
    path.write_bytes(b"")
    refused(run("solve", path), path.name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind(tmp_path, kind):
    path = tmp_path / f"poem{kind}"
    path.write_text("Shall I compare thee to a summer's day?\n" * 5)
    refused(run("solve", path), path.name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file(tmp_path, kind):
    path = write(tmp_path, kind, spd())
    whole = path.read_bytes()
    for length in (len(whole) // 3, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        refused(run("solve", path), path.name)


def test_an_unknown_suffix(tmp_path):
    path = tmp_path / "A.csv"
    path.write_text("1,2\n3,4\n")
    refused(run("solve", path), ".mtx", ".npy")


def test_shapes_that_do_not_match(tmp_path, mtx):
    np.save(tmp_path / "b.npy", np.ones(7))
    refused(run("solve", mtx, tmp_path / "b.npy"), "7 rows", "b.npy")
    np.save(tmp_path / "wide.npy", np.ones((3, 4)))
    refused(run("solve", tmp_path / "wide.npy"), "square")
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    refused(run("solve", tmp_path / "cube.npy"), "(2, 2, 2)")
    np.save(tmp_path / "none.npy", np.ones((0, 0)))
    refused(run("solve", tmp_path / "none.npy"), "empty")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_entries_that_are_not_finite(tmp_path, mtx, bad):
    matrix = spd().toarray()
    matrix[2, 2] = bad
    np.save(tmp_path / "A.npy", matrix)
    refused(run("solve", tmp_path / "A.npy"), "A.npy", "not finite")
    b = np.ones(30)
    b[4] = bad
    np.save(tmp_path / "b.npy", b)
    refused(run("solve", mtx, tmp_path / "b.npy"), "b.npy", "not finite")


def test_complex_and_object_data(tmp_path):
    np.save(tmp_path / "A.npy", spd().toarray() * 1j)
    refused(run("solve", tmp_path / "A.npy"), "complex")
    scipy.io.mmwrite(tmp_path / "A.mtx", spd().astype(complex) * 1j)
    refused(run("solve", tmp_path / "A.mtx"), "complex")
    np.save(tmp_path / "O.npy", np.array([[object()]]))
    refused(run("solve", tmp_path / "O.npy"), "O.npy")


def test_integers_are_read_as_numbers(tmp_path):
    np.save(tmp_path / "A.npy", np.array([[2, 1], [1, 3]]))
    out = tmp_path / "x.npy"
    assert run("solve", tmp_path / "A.npy", "--out", out).exit_code == 0
    np.testing.assert_allclose(np.load(out), 1.0, atol=1e-6)


def test_indices_out_of_range_in_a_sparse_file(tmp_path):
    path = tmp_path / "A.npz"
    matrix = spd()
    matrix.indices[3] = 10_000_000
    np.savez(
        path, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, format=b"csr",
        shape=np.array(matrix.shape),
    )  # fmt: skip
    refused(run("solve", path), "A.npz")


def test_outputs_that_cannot_be_written_are_refused_before_the_solve(mtx, tmp_path):
    refused(run("solve", mtx, "--out", tmp_path / "none" / "x.npy"), "--out")
    refused(run("solve", mtx, "--out", tmp_path / "x.txt"), "--out", ".npy")
    refused(run("solve", mtx, "--plot", tmp_path / "p.xyz"), "--plot", ".png")
    (tmp_path / "taken.npy").mkdir()
    refused(run("solve", mtx, "--out", tmp_path / "taken.npy"), "--out")


# --- Matrix Market ----------------------------------------------------------------------------


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
@pytest.mark.parametrize("dense", [False, True])
def test_matrix_market_agrees_with_scipy(tmp_path, symmetry, dense):
    matrix = np.random.default_rng(1).standard_normal((7, 7)).round(3)
    matrix[np.abs(matrix) < 0.5] = 0.0
    if symmetry == "symmetric":
        matrix = matrix + matrix.T
    elif symmetry == "skew-symmetric":
        matrix = matrix - matrix.T
    path = tmp_path / "A.mtx"
    scipy.io.mmwrite(path, matrix if dense else sp.coo_array(matrix), symmetry=symmetry)
    found = read_array(path)
    assert sp.issparse(found) != dense
    np.testing.assert_array_equal(found if dense else found.toarray(), matrix)


def test_matrix_market_without_values_means_ones():
    text = b"%%MatrixMarket matrix coordinate pattern symmetric\n% a comment\n\n2 2 2\n1 1\n2 1\n"
    np.testing.assert_array_equal(parse_matrix_market(text).toarray(), [[1.0, 1.0], [1.0, 0.0]])


def test_matrix_market_of_a_rectangle_and_with_windows_line_ends():
    text = b"%%MatrixMarket matrix array real general\r\n2 3\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n"
    np.testing.assert_array_equal(parse_matrix_market(text), [[1, 3, 5], [2, 4, 6]])


HEAD = "%%MatrixMarket matrix coordinate real general\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2 2 1\n1 1 1.0\n", "first line"),
        (HEAD, "size line"),
        (HEAD + "2 2\n1 1 1.0\n", "size line"),
        (HEAD + "2 x 1\n1 1 1.0\n", "size line"),
        (HEAD + "2 2 2\n1 1 1.0\n", "truncated"),
        (HEAD + "2 2 1\n1 1 1.0\n2 2 1.0\n", "altered"),
        (HEAD + "2 2 1\n3 1 1.0\n", "outside"),
        (HEAD + "2 2 1\n0 1 1.0\n", "outside"),
        (HEAD + "2 2 1\n1.5 1 1.0\n", "outside"),
        (HEAD + "2 2 1\n1 1 5x\n", "not a number"),
        (HEAD + "2 2 1\n1 1 1.\0002\n", "not a number"),
        (HEAD.replace("general", "odd") + "2 2 1\n1 1 1\n", "symmetry"),
        (HEAD.replace("general", "symmetric") + "2 3 1\n1 1 1\n", "2 x 3"),
        (HEAD.replace("coordinate", "list") + "2 2 1\n1 1 1\n", "format"),
        (HEAD.replace("real", "quaternion") + "2 2 1\n1 1 1\n", "field"),
        (HEAD.replace("coordinate", "array") + "2 2\n1\n2\n3\n", "truncated"),
    ],
)
def test_matrix_market_that_is_wrong_is_refused_in_words(text, word):
    with pytest.raises(ValueError, match=word):
        parse_matrix_market(text.encode())


@settings(max_examples=150)
@given(
    kind=st.sampled_from(KINDS),
    cut=st.floats(0.0, 1.0),
    changes=st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 255)), max_size=5),
)
def test_a_damaged_file_is_read_or_refused_in_words(tmp_path_factory, kind, cut, changes):
    """Whatever happens to the bytes, a ValueError names the file, or there is an array."""
    folder = tmp_path_factory.mktemp("damaged")
    path = write(folder, kind, spd(8))
    data = bytearray(path.read_bytes())
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    path.write_bytes(data[: int(cut * len(data))])
    problem = None
    try:
        found = read_array(path)
    except ValueError as error:
        problem = str(error)
    if problem is None:
        assert sp.issparse(found) or isinstance(found, np.ndarray)
    else:
        assert path.name in problem


# --- methods ----------------------------------------------------------------------------------


def test_methods_lists_the_registry():
    facts = json.loads(run("methods", "--json").stdout)["methods"]
    assert {row["name"] for row in facts} == set(methods())
    for row in facts:
        assert row["summary"]
        assert row["solves"]
        assert set(row["engines"]) <= {"traced", "host"}
    (cg,) = [row for row in facts if row["name"] == "cg"]
    assert cg["family"] == "linear"
    assert cg["class"] == "resolvent.linear.CG"
    assert cg["needs"] == ["symmetric", "positive_definite"]


def test_methods_of_a_family():
    some = json.loads(run("methods", "linear", "--json").stdout)["methods"]
    every = json.loads(run("methods", "--json").stdout)["methods"]
    assert some == [one for one in every if one in some]
    assert 0 < len(some) < len(every)
    result = run("methods", "linear")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "bicgstab" in result.stderr
    refused(run("methods", "alchemy"), "alchemy", "linear")


# --- papers and reproduce ---------------------------------------------------------------------


def test_papers_lists_all_and_searches():
    facts = json.loads(run("papers", "--json").stdout)["papers"]
    assert [row["name"] for row in facts] == [paper.name for paper in all_papers()]
    nothing = run("papers", "--search", "zebra unicorn", "--json")
    assert nothing.exit_code == 0
    assert json.loads(nothing.stdout) == {"papers": []}
    assert "zebra" in run("papers", "--search", "zebra unicorn").stderr


def result_of(paper="some-paper"):
    rows = [
        {
            "claim": 1, "published": "3 s", "measured": "2 s", "verdict": "confirmed",
            "seconds": 2.0, "figure": None,
        },
        {
            "claim": 2, "published": "[x] 10", "measured": "40", "verdict": "not confirmed",
            "seconds": 1.0, "figure": "some-paper-2.png",
        },
    ]  # fmt: skip
    return {"paper": paper, "claims": rows}


def test_reproduce_hands_its_options_on_and_prints_json_alone(monkeypatch, tmp_path):
    given = []

    def fake(paper, claim, full, out, progress):
        given.append((paper, claim, full, out))
        progress("claim 2: [bold] it is fast")
        return result_of()

    monkeypatch.setattr("resolvent.papers.reproduce", fake)
    out = tmp_path / "results"
    result = run("reproduce", "some-paper", "--claim", 2, "--full", "--out", out, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == result_of()
    assert given == [("some-paper", 2, True, out)]
    assert "claim 2: [bold] it is fast" in result.stderr


def test_reproduce_prints_published_beside_measured(monkeypatch):
    monkeypatch.setattr("resolvent.papers.reproduce", lambda *given: result_of())
    result = run("reproduce", "some-paper")
    assert result.exit_code == 0  # an honest "not confirmed" is a result, no failure
    assert result.stdout == ""
    for word in ("3 s", "2 s", "not confirmed", "[x] 10", "some-paper-2.png"):
        assert word in result.stderr


def test_numbers_of_an_earlier_run_are_not_called_published(monkeypatch):
    result = result_of()
    result["claims"][0]["source"] = "measured before"
    monkeypatch.setattr("resolvent.papers.reproduce", lambda *given: result)
    shown = " ".join(run("reproduce", "some-paper").stderr.split())
    assert "measured before: 3 s" in shown


def test_reproduce_of_an_unknown_paper():
    refused(run("reproduce", "no-such-paper"), "no-such-paper")
