"""Group penalties: their laws, and groups in any order, of rows, and with their own factors."""

import jax
import numpy as np
import pytest
from functions import convex_laws as laws
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from resolvent.functions.group_penalties import GroupL2, SparseGroup

N = 6
GROUPS = np.array([2, 0, 2, 1, 0, 2])
POINTS = hnp.arrays(np.float64, N, elements=st.floats(-5, 5, allow_subnormal=False))
CORNERS = hnp.arrays(np.int64, N, elements=st.integers(-1, 1)).map(lambda x: x.astype(float))
PENALTIES = {
    "group": GroupL2(GROUPS, 0.8),
    "free group": GroupL2(GROUPS, 0.8, np.array([1.0, 0.0, 2.0])),
    "sparse group": SparseGroup(GROUPS, 0.8, 0.3),
}
VALUE = jax.jit(lambda g, x: g.value(x))


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=15)
@given(x=POINTS, y=POINTS)
def test_prox_and_conjugate(name, x, y):
    laws.prox_and_conjugate(PENALTIES[name], x, y)


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=15)
@given(x=CORNERS, v=POINTS)
def test_distance_to_the_subdifferential(name, x, v):
    laws.distance_is_the_limit_of_prox(PENALTIES[name], x, v)


@pytest.mark.parametrize("name", PENALTIES)
def test_prox_as_a_program(name):
    x = np.array([1.5, -2.0, 0.7, 3.0, -0.4, -2.2])
    laws.prox_has_the_derivatives_of_differences(PENALTIES[name], x)
    laws.single_precision_stays(PENALTIES[name], (N,))
    laws.nan_stays(PENALTIES[name], (N,))


def test_values_are_sums_over_groups():
    x = np.array([1.0, -2.0, 0.5, 3.0, 4.0, -1.0])
    lengths = [np.linalg.norm(x[g == GROUPS]) for g in range(3)]
    roots = np.sqrt(np.bincount(GROUPS))
    found = {name: laws.everything(g, x)["value"] for name, g in PENALTIES.items()}
    assert found["group"] == pytest.approx(0.8 * roots @ lengths, rel=1e-14)
    expected = 0.8 * (0.3 * np.abs(x).sum() + 0.7 * roots @ lengths)
    assert found["sparse group"] == pytest.approx(expected, rel=1e-14)


def test_groups_of_rows_are_groups_of_their_entries():
    rows = np.arange(12.0).reshape(N, 2) - 5
    wide = GroupL2(np.repeat(GROUPS, 2), 0.8)

    whole = laws.everything(PENALTIES["group"], rows, rows + 1)
    flat = laws.everything(wide, rows.ravel(), rows.ravel() + 1)
    for which, found in whole.items():
        assert np.allclose(np.ravel(found), flat[which], rtol=0, atol=1e-14), which


def test_huge_and_tiny_entries_have_lengths():
    g = GroupL2(GROUPS, 1.0, np.ones(3))
    x = np.array([3.0, 0, 4.0, 0, 0, 0], np.float32)
    assert float(VALUE(g, np.float32(1e30) * x)) == pytest.approx(5e30, rel=1e-6)
    assert float(VALUE(g, np.float32(1e-30) * x)) == pytest.approx(5e-30, rel=1e-6)


def test_a_penalty_may_be_a_constant_of_a_program():
    x, g = np.arange(6.0), PENALTIES["group"]
    near = laws.in_double(jax.jit(g.prox), x, 0.6)
    assert np.allclose(near, laws.everything(g, x)["prox"], rtol=0, atol=1e-14)
    assert g.groups.dtype == np.int32


def test_scaled_conjugate_is_that_of_the_longest_group():
    v = np.array([0.3, -1.0, 0.0, 2.0, 1.4, 0.7])
    laws.scaled_conjugate_is_the_largest(PENALTIES["group"], v)
    laws.scaled_conjugate_is_the_largest(GroupL2(GROUPS, 0.8, np.array([1.0, 0.2, 2.0])), v)
    assert PENALTIES["free group"].scaled_conjugate(v) is None
    assert PENALTIES["sparse group"].scaled_conjugate(v) is None


@pytest.mark.parametrize(
    "bad",
    [lambda: GroupL2([0, 2]), lambda: GroupL2([-1, 0]), lambda: GroupL2(GROUPS, 0.0),
     lambda: GroupL2(GROUPS, 1.0, np.ones(2)), lambda: GroupL2(GROUPS, 1.0, -np.ones(3)),
     lambda: SparseGroup(GROUPS, 1.0, 1.0), lambda: SparseGroup(GROUPS, np.nan),
     lambda: GroupL2(GROUPS).check(np.ones(5)), lambda: GroupL2(GROUPS).check({"a": np.ones(N)})],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(bad):
    with pytest.raises(ValueError, match=r"(?s)^.+: given .+; needed .+\. .+"):
        bad()


@pytest.mark.parametrize("groups", [[0.0, 1.0], [], 3])
def test_what_is_no_group_is_refused_in_words(groups):
    with pytest.raises(TypeError, match=r"(?s)^.+: given .+; needed .+\. .+"):
        GroupL2(groups)
