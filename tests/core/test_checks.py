"""Errors for bad input: one place, one voice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from resolvent._core import checks

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


@given(arrays.arrays(st.sampled_from([np.float32, np.float64]), arrays.array_shapes(max_dims=2)))
def test_real_arrays_pass_as_they_are(array):
    assert checks.real_array("x", array) is array


@given(arrays.arrays(arrays.integer_dtypes() | arrays.boolean_dtypes(), 3))
def test_integers_become_double(array):
    made = checks.real_array("x", array)
    assert made.dtype == np.float64
    assert np.array_equal(made, array.astype(np.float64))


@pytest.mark.parametrize(
    "value",
    [
        np.ones(2, complex), np.array([None, 1]), np.ones(2, np.float16), np.array(["1", "2"]),
        np.array([b"x"]), np.array(["2020-01-01"], "datetime64[D]"), np.zeros(2, [("a", float)]),
        jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.complex64), "text", None, object(), {}, {1, 2},
        [[1, 2], [3]], lambda x: x,
    ],
    ids=lambda value: str(getattr(value, "dtype", type(value).__name__)),
)  # fmt: skip
def test_other_kinds_are_refused_in_words(value):
    with pytest.raises((TypeError, ValueError), match=VOICE) as caught:
        checks.real_array("b", value)
    assert str(caught.value).startswith("b: given")


@given(
    arrays.arrays(np.float64, st.integers(1, 20), elements=st.floats(allow_nan=True)),
)
def test_finite_is_exactly_isfinite(array):
    if np.isfinite(array).all():
        checks.finite("x", array)
    else:
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        with pytest.raises(ValueError, match=VOICE) as caught:
            checks.finite("x", array)
        assert f"({where},)" in str(caught.value)


def test_traced_values_pass_the_finite_check():
    @jax.jit
    def run(x):
        checks.finite("x", x)
        return x

    assert np.isnan(run(jnp.array([jnp.nan]))[0])


@given(st.one_of(st.floats(), st.integers(-5, 5), st.booleans(), st.text(max_size=2), st.none()))
def test_nonnegative(value):
    admissible = isinstance(value, int | float) and not isinstance(value, bool)
    if admissible and 0 <= value < np.inf:
        assert checks.nonnegative("rtol", value) == value
    elif admissible:
        with pytest.raises(ValueError, match=VOICE):
            checks.nonnegative("rtol", value)
    else:
        with pytest.raises(TypeError, match=VOICE):
            checks.nonnegative("rtol", value)


@given(st.one_of(st.floats(), st.integers(-5, 5), st.booleans(), st.text(max_size=2), st.none()))
def test_count(value):
    if isinstance(value, int) and not isinstance(value, bool):
        if value >= 1:
            assert checks.count("k", value, least=1) == value
        else:
            with pytest.raises(ValueError, match=VOICE):
                checks.count("k", value, least=1)
    else:
        with pytest.raises(TypeError, match=VOICE):
            checks.count("k", value, least=1)


@given(st.floats())
def test_between_is_open_and_excludes_nan(value):
    if 0.0 < value < 2.0:
        checks.between("omega", value, 0.0, 2.0, "It diverges there.")
    else:
        with pytest.raises(ValueError, match="It diverges there"):
            checks.between("omega", value, 0.0, 2.0, "It diverges there.")


@pytest.mark.parametrize(("closed", "inside", "outside"), [("low", 0.0, 2.0), ("high", 2.0, 0.0)])
def test_between_may_have_one_of_its_ends(closed, inside, outside):
    checks.between("omega", inside, 0.0, 2.0, "It diverges there.", closed=closed)
    sign = "<= omega" if closed == "low" else "omega <="
    for value in (outside, np.nan, -1.0, 3.0):
        with pytest.raises(ValueError, match=sign):
            checks.between("omega", value, 0.0, 2.0, "It diverges there.", closed=closed)


@pytest.mark.parametrize("value", ["1.0", None, [1.0], 1j])
def test_between_refuses_what_is_no_number(value):
    with pytest.raises((TypeError, ValueError), match=VOICE):
        checks.between("omega", value, 0.0, 2.0, "It diverges there.")


def test_one_of_names_the_choices():
    checks.one_of("storage", "auto", ("auto", "rows"))
    with pytest.raises(ValueError, match=r"given 'row'; needed one of 'auto', 'rows'"):
        checks.one_of("storage", "row", ("auto", "rows"))
