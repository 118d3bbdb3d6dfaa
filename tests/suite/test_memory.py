"""The law of memory: it may change the cost, never the certified answer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.problems import PAIRS, TRACED, a_family, in_full

import resolvent as rs

each = pytest.mark.parametrize("pair", PAIRS, ids=str)
each_house = pytest.mark.parametrize("pair", in_full(), ids=str)
# Methods that read no memory meet it in the long run.
each_reader = pytest.mark.parametrize(
    "pair",
    [
        pair if pair.cls.reads else pytest.param(pair, marks=pytest.mark.slow) for pair in PAIRS
    ],
    ids=str,
)  # fmt: skip


def remembers(pair):
    """Whether the method reads a memory of its own, which could be spoiled."""
    return bool(pair.cls.reads)


def leaves(change):
    """A spoiler that changes every array of an entry."""

    def spoil(value):
        def one(leaf):
            kind = jnp if isinstance(leaf, jax.Array) else np
            with jax.enable_x64(getattr(leaf, "dtype", None) == np.float64):
                return change(kind, kind.asarray(leaf))

        return jax.tree_util.tree_map(one, value)

    return spoil


def as_float(leaf):
    return leaf.dtype if leaf.dtype.kind == "f" else np.dtype(np.float32)


SPOILERS = {
    "nan": leaves(lambda kind, leaf: kind.full(leaf.shape, np.nan, as_float(leaf))),
    "infinite": leaves(lambda kind, leaf: kind.full(leaf.shape, np.inf, as_float(leaf))),
    "huge": leaves(
        lambda kind, leaf: kind.full(leaf.shape, np.finfo(as_float(leaf)).max / 4, as_float(leaf))
    ),
    "zero": leaves(lambda kind, leaf: kind.zeros_like(leaf)),
    "negative": leaves(lambda kind, leaf: -3 * leaf - 1),
    "random": leaves(
        lambda kind, leaf: kind.asarray(
            np.random.default_rng(0).standard_normal(leaf.shape), as_float(leaf)
        )
    ),
    "longer": leaves(lambda kind, leaf: kind.concatenate([kind.atleast_1d(leaf)] * 2)),
    "shorter": leaves(lambda kind, leaf: kind.atleast_1d(leaf)[:-1]),
    "flat": leaves(lambda kind, leaf: kind.ravel(leaf)),
    "integers": leaves(lambda kind, leaf: kind.ones(leaf.shape, np.int32)),
    "text": lambda value: "not an array",
    "nothing": lambda value: None,
    "empty": lambda value: (),
    "foreign": lambda value: {"surprise": np.ones(3)},
}


def learned(pair):
    """Problem and memory after a short sequence."""
    memory = None
    sample = pair.house.sample(pair.engine)
    for seed in range(2):
        one = pair.house.sample(pair.engine, seed=seed)
        memory = rs.solve(one.problem, pair.method, rtol=pair.house.tight, memory=memory).memory
    return sample, memory


def same(pair, one, other):
    parts = zip(pair.house.parts(one), pair.house.parts(other), strict=True)
    return all(np.array_equal(first, second) for first, second in parts)


def honest(sample, sol, rtol):
    truth = sample.measure(sol.x) / sample.scale
    if sol.converged:
        assert truth <= 1.01 * rtol
    assert sol.certificate.relative == pytest.approx(truth, rel=1e-3, abs=1e-13)


def rare(pair, spoiler):
    """Whether the long run is enough: for traced methods each shape of garbage is a program."""
    return pair.engine == "traced" and spoiler not in ("negative", "shorter")


@pytest.mark.parametrize(
    ("pair", "spoiler"),
    [
        pytest.param(pair, spoiler, marks=pytest.mark.slow if rare(pair, spoiler) else ())
        for pair in PAIRS if remembers(pair) for spoiler in SPOILERS
    ],
    ids=str,
)  # fmt: skip
def test_garbage_never_changes_the_answer(pair, spoiler):
    sample, memory = learned(pair)
    entries = {
        # Without dependencies nothing is dropped for its origin: the method itself must cope.
        name: rs.Entry(SPOILERS[spoiler](entry.value), depends=())
        for name, entry in memory.entries.items()
    }
    assert entries
    sol = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, memory=rs.Memory(entries))
    assert sol.converged
    honest(sample, sol, pair.house.tight)


@each_house
def test_entries_of_others_are_left_alone(pair):
    sample = pair.house.sample(pair.engine)
    cold = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=1)
    for spoil in SPOILERS.values():
        memory = rs.Memory({"of nobody": rs.Entry(spoil(np.ones(4)), depends=())})
        sol = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=1, memory=memory)
        assert same(pair, sol.x, cold.x)


@each_reader
def test_memory_of_another_size_is_dropped_in_words(pair):
    _, memory = learned(pair)
    other = pair.house.larger(pair.engine)
    sol = rs.solve(other.problem, pair.method, rtol=pair.house.tight, memory=memory)
    assert sol.converged
    honest(other, sol, pair.house.tight)
    tied = [name for name, entry in memory.entries.items() if "size" in entry.depends]
    for name in tied:
        assert any(name in note and "size" in note for note in sol.notes)


@each_reader
def test_memory_of_an_unrelated_problem_is_harmless(pair):
    _, memory = learned(pair)
    for kind in pair.house.kinds(pair.cls):
        other = pair.house.sample(pair.engine, kind=kind, seed=9)
        sol = rs.solve(other.problem, pair.method, rtol=pair.house.tight, memory=memory)
        assert sol.converged
        honest(other, sol, pair.house.tight)


SINGLE = [pair for pair in PAIRS if np.float32 in pair.house.dtypes]


@pytest.mark.parametrize("pair", in_full(SINGLE), ids=str)
def test_memory_of_the_other_precision_is_harmless(pair):
    _, memory = learned(pair)
    sample = pair.house.sample(pair.engine, np.float32)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-4, memory=memory)
    assert sol.converged
    assert all(part.dtype == np.float32 for part in pair.house.parts(sol.x))


@each
def test_memory_is_a_value(pair, tmp_path):
    sample, memory = learned(pair)
    before = [np.array(leaf) for leaf in jax.tree_util.tree_leaves(memory)]
    first = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, memory=memory, key=1)
    for old, leaf in zip(before, jax.tree_util.tree_leaves(memory), strict=True):
        assert np.array_equal(old, leaf)
    memory.save(tmp_path / "memory.rs")
    loaded = rs.Memory.load(tmp_path / "memory.rs")
    assert loaded.entries.keys() == memory.entries.keys()
    again = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, memory=loaded, key=1)
    assert same(pair, first.x, again.x)
    assert first.steps == again.steps
    assert not any("dropped" in note for note in again.notes)


@each_house
def test_cold_solve_knows_nothing_of_earlier_ones(pair):
    sample = pair.house.sample(pair.engine, seed=5)
    first = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=1)
    learned(pair)
    again = rs.solve(sample.problem, pair.method, rtol=pair.house.tight, key=1)
    assert same(pair, first.x, again.x)
    assert first.calls == again.calls


@each
@pytest.mark.parametrize("warm_start", [None, rs.Previous()], ids=["cold", "previous"])
def test_sequence_is_certified_member_by_member(pair, warm_start):
    samples = [pair.house.sample(pair.engine, seed=seed) for seed in (0, 0, 1, 2)]
    problems = [sample.problem for sample in samples]
    sols = list(
        rs.solve_sequence(problems, pair.method, warm_start=warm_start, rtol=pair.house.tight)
    )
    assert [sol.index for sol in sols] == [0, 1, 2, 3]
    for sample, sol in zip(samples, sols, strict=True):
        assert sol.converged
        honest(sample, sol, pair.house.tight)
    if warm_start is not None:
        assert sols[1].steps == 0


@pytest.mark.parametrize("pair", a_family([pair for pair in TRACED if remembers(pair)]), ids=str)
def test_garbage_under_jit_is_never_a_false_success(pair):
    """Inside a transformation nothing can be dropped: the certificate alone protects."""
    sample = pair.house.sample("traced", np.float32)
    data = [jnp.asarray(part, jnp.float32) for part in pair.house.arrays()]
    memory = rs.solve(pair.house.traced(*data), pair.method, rtol=1e-4).memory

    def run(memory, *data):
        return rs.solve(pair.house.traced(*data), pair.method, rtol=1e-4, memory=memory)

    compiled = jax.jit(run)
    for spoiler in ("nan", "huge", "shorter", "text"):
        entries = {
            name: rs.Entry(SPOILERS[spoiler](entry.value), depends=())
            for name, entry in memory.entries.items()
        }
        spoiled = rs.Memory(entries)
        # Arrays are arguments, so that those of one shape are of one program; a text is none.
        if spoiler == "text":
            sol = jax.jit(partial(run, spoiled))(*data)
        else:
            sol = compiled(spoiled, *data)
        assert not sol.converged or sample.measure(sol.x) <= 1.1e-4 * sample.scale
