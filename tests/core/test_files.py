"""Files: whole or refused, atomic, never executed."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core.toys import Halve, HostHalve, problem
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import resolvent as rs
from resolvent._core import files
from resolvent._core.files import Checkpoint, DamagedFile, load, save, write_atomically

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ARRAYS = arrays.arrays(
    arrays.floating_dtypes(sizes=(32, 64)) | arrays.integer_dtypes() | arrays.boolean_dtypes(),
    arrays.array_shapes(min_dims=0, min_side=0, max_side=3),
)
TREES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one, two):
    if isinstance(one, np.ndarray):
        return (
            isinstance(two, np.ndarray)
            and one.dtype == two.dtype
            and one.shape == two.shape
            and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
        )
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return (
            type(one) is type(two)
            and len(one) == len(two)
            and all(same(a, b) for a, b in zip(one, two, strict=True))
        )
    return type(one) is type(two) and (one == two or (one != one and two != two))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("files") / "value.rs"


@given(value=TREES)
def test_what_is_saved_is_loaded(place, value):
    save(place, value)
    assert same(value, load(place))


def test_jax_values_and_keys_come_back_as_such(tmp_path):
    key = jax.random.key(3)
    save(tmp_path / "v", {"key": key, "x": jnp.arange(3.0), "y": np.arange(3.0)})
    value = load(tmp_path / "v")
    assert isinstance(value["x"], jax.Array)
    assert value["x"].dtype == jnp.float32
    assert isinstance(value["y"], np.ndarray)
    assert (jax.random.uniform(value["key"], 2) == jax.random.uniform(key, 2)).all()


def test_memory_and_methods_come_back(tmp_path):
    memory = rs.Memory({"space": rs.Entry({"U": np.eye(3)}, ("size",), (((3,), "float64"),))})
    memory.save(tmp_path / "memory.rs")
    back = rs.Memory.load(tmp_path / "memory.rs")
    assert back.entries["space"].depends == ("size",)
    assert back.entries["space"].marks == (((3,), "float64"),)
    assert np.array_equal(back.get("space")["U"], np.eye(3))
    save(tmp_path / "method.rs", Halve(factor=0.25, mood="stuck"))
    method = load(tmp_path / "method.rs")
    assert type(method) is Halve
    assert (method.factor, method.mood, method.after) == (0.25, "stuck", 5)


def test_memory_load_refuses_another_value(tmp_path):
    save(tmp_path / "v", [1, 2])
    with pytest.raises(ValueError, match="given a saved list; needed a saved Memory"):
        rs.Memory.load(tmp_path / "v")


@pytest.mark.parametrize(
    "value",
    [lambda x: x, {1, 2}, object(), np.array([None]), np.zeros(2, [("a", float)]), 1j, b"bytes"],
    ids=lambda value: type(value).__name__,
)
def test_what_a_file_cannot_hold_is_refused_with_its_place(tmp_path, value):
    with pytest.raises(TypeError, match=VOICE) as caught:
        save(tmp_path / "v", {"inner": [1, value]})
    assert "value['inner'][1]" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(min_value=0))
def test_a_cut_file_is_refused(place, cut):
    save(place, {"x": np.arange(50.0)})
    content = place.read_bytes()
    place.write_bytes(content[: cut % len(content)])
    with pytest.raises(DamagedFile, match=VOICE):
        load(place)


@given(where=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused(place, where, bit):
    save(place, {"x": np.arange(50.0)})
    content = bytearray(place.read_bytes())
    content[where % len(content)] ^= 1 << bit
    place.write_bytes(bytes(content))
    with pytest.raises(DamagedFile, match=VOICE):
        load(place)


@given(content=st.binary(max_size=200))
def test_a_foreign_file_is_refused(place, content):
    place.write_bytes(content)
    with pytest.raises(DamagedFile, match=VOICE):
        load(place)


def test_foreign_formats_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    (tmp_path / "a.txt").write_text("hello")
    for name in ("a.npy", "a.npz", "a.txt"):
        with pytest.raises(DamagedFile, match="does not begin"):
            load(tmp_path / name)


def test_a_newer_format_is_refused(tmp_path):
    save(tmp_path / "v", 1)
    content = (tmp_path / "v").read_bytes()
    (tmp_path / "v").write_bytes(content.replace(b"RESOLVENT 1", b"RESOLVENT 9", 1))
    with pytest.raises(DamagedFile, match=r"version 9.*Update"):
        load(tmp_path / "v")


def forged(place, tree):
    """A file with a right checksum and a wrong heart."""
    import hashlib
    import io
    import json

    buffer = io.BytesIO()
    np.savez(buffer, tree=np.frombuffer(json.dumps(tree).encode(), np.uint8))
    body = buffer.getvalue()
    digest = hashlib.sha256(body).hexdigest().encode()
    place.write_bytes(b"RESOLVENT 1\n" + digest + b"\n" + body)


@pytest.mark.parametrize(
    "tree",
    [
        {"module": "os:system", "fields": {}},
        {"module": "subprocess:Popen", "fields": {"args": "true"}},
        {"module": "this:s", "fields": {}},
        {"record": "builtins:exec", "items": ["1"]},
        {"record": "resolvent._core.files:nothing", "items": []},
        {"module": "resolvent._core.memory:Entry", "fields": {"surprise": 1}},
        {"unknown": 1},
        {"array": 7, "jax": False},
        {"float": "wide"},
        {"module": "no colon"},
        {},
        {"record": "core.toys:State", "items": [1, 2, 3, 4]},
    ],
    ids=lambda tree: "-".join(str(v) for v in tree.values())[:40] or "empty",
)
def test_a_forged_file_is_refused_and_runs_nothing(tmp_path, tree, capfd):
    forged(tmp_path / "v", tree)
    with pytest.raises(DamagedFile):
        load(tmp_path / "v")
    assert capfd.readouterr().out == ""


def test_the_format_never_unpickles(tmp_path):
    import io
    import pickle  # noqa: TID251

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    import hashlib

    buffer = io.BytesIO()
    np.savez(buffer, tree=np.array([Bomb()], object))
    body = buffer.getvalue()
    head = b"RESOLVENT 1\n" + hashlib.sha256(body).hexdigest().encode() + b"\n"
    (tmp_path / "v").write_bytes(head + body)
    with pytest.raises(DamagedFile):
        load(tmp_path / "v")
    (tmp_path / "w").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DamagedFile):
        load(tmp_path / "w")
    assert not (tmp_path / "exploded").exists()


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    place = tmp_path / "v"
    save(place, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        save(place, "new")
    monkeypatch.undo()
    assert load(place) == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["v"]


def test_a_relative_path_is_written_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("here.rs", 3)
    assert load("here.rs") == 3
    write_atomically("raw", b"x")
    assert Path("raw").read_bytes() == b"x"


class TestCheckpoint:
    def test_the_newest_and_the_one_before(self, tmp_path):
        checkpoint = Checkpoint(tmp_path / "c.rs")
        assert checkpoint.read() == (None, None)
        checkpoint.write(1)
        checkpoint.write(2)
        assert checkpoint.read() == (2, None)
        checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-3])
        value, complaint = checkpoint.read()
        assert value == 1
        assert "checksum" in complaint
        checkpoint.path.unlink()
        assert checkpoint.read()[0] == 1
        checkpoint.remove()
        assert list(tmp_path.iterdir()) == []

    def test_two_damaged_files_are_refused(self, tmp_path):
        checkpoint = Checkpoint(tmp_path / "c.rs")
        checkpoint.path.write_bytes(b"x")
        checkpoint.previous.write_bytes(b"y")
        with pytest.raises(DamagedFile, match=VOICE):
            checkpoint.read()

    def test_a_failed_write_keeps_a_whole_checkpoint(self, tmp_path, monkeypatch):
        checkpoint = Checkpoint(tmp_path / "c.rs")
        checkpoint.write(1)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(files, "save", full)
        with pytest.raises(OSError, match="No space"):
            checkpoint.write(2)
        assert checkpoint.read()[0] == 1

    def test_a_damaged_newest_one_does_not_push_out_a_whole_one(self, tmp_path):
        checkpoint = Checkpoint(tmp_path / "c.rs")
        checkpoint.write(1)
        checkpoint.write(2)
        checkpoint.path.write_bytes(b"damaged")
        checkpoint.write(3)
        assert checkpoint.read() == (3, None)


@pytest.mark.parametrize("cls", [Halve, HostHalve], ids=["traced", "host"])
class TestResume:
    def interrupted(self, cls, place, looks=1):
        seen = []

        def stop(report):
            seen.append(report.steps)
            if len(seen) == looks:
                raise KeyboardInterrupt

        method = cls(factor=0.999)
        return rs.solve(problem(), method, rtol=0, atol=1e-6, callback=stop, checkpoint=place)

    def test_goes_on_where_it_stopped(self, cls, tmp_path):
        place, method = tmp_path / "c.rs", cls(factor=0.999)
        whole = rs.solve(problem(), method, rtol=0, atol=1e-6)
        half = self.interrupted(cls, place)
        assert 0 < half.steps < whole.steps
        rest = rs.solve(problem(), method, rtol=0, atol=1e-6, checkpoint=place)
        assert rest.steps == whole.steps
        assert np.array_equal(rest.x, whole.x)
        assert rest.calls == whole.calls
        assert any(f"at step {half.steps}" in note for note in rest.notes)
        assert not place.exists()
        assert rest.history.steps[-1] == rest.steps

    def test_the_step_limit_counts_all_steps(self, cls, tmp_path):
        place = tmp_path / "c.rs"
        half = self.interrupted(cls, place)
        rest = rs.solve(
            problem(), cls(factor=0.999), rtol=0, atol=1e-6, checkpoint=place, throw=False,
            max_steps=half.steps + 5,
        )  # fmt: skip
        assert rest.steps == half.steps + 5
        assert rest.reason is rs.Reason.max_steps

    def test_a_checkpoint_of_another_problem_is_refused(self, cls, tmp_path):
        self.interrupted(cls, tmp_path / "c.rs")
        with pytest.raises(ValueError, match=VOICE) as caught:
            rs.solve(
                problem(value=4.0), cls(factor=0.999), rtol=0, atol=1e-6,
                checkpoint=tmp_path / "c.rs",
            )  # fmt: skip
        assert "another" in str(caught.value)

    def test_a_checkpoint_of_other_parameters_is_refused(self, cls, tmp_path):
        self.interrupted(cls, tmp_path / "c.rs")
        with pytest.raises(ValueError, match=VOICE):
            rs.solve(problem(), cls(factor=0.9), rtol=0, atol=1e-6, checkpoint=tmp_path / "c.rs")

    def test_a_damaged_newest_checkpoint_falls_back(self, cls, tmp_path):
        place = tmp_path / "c.rs"
        self.interrupted(cls, place)
        self.interrupted(cls, place)
        place.write_bytes(place.read_bytes()[:-1])
        sol = rs.solve(problem(), cls(factor=0.999), rtol=0, atol=1e-6, checkpoint=place)
        assert sol.converged
        assert any("unusable" in note for note in sol.notes)
        assert any("resumed" in note for note in sol.notes)

    def test_damage_everywhere_is_refused_in_words(self, cls, tmp_path):
        place = tmp_path / "c.rs"
        place.write_bytes(b"nonsense")
        with pytest.raises(ValueError, match=VOICE):
            rs.solve(problem(), cls(factor=0.999), checkpoint=place)

    def test_a_value_that_is_no_checkpoint_is_refused(self, cls, tmp_path):
        place = tmp_path / "c.rs"
        save(place, {"x": 1})
        with pytest.raises(ValueError, match=VOICE):
            rs.solve(problem(), cls(factor=0.999), checkpoint=place)
