"""Plots that can be read without zooming."""

import numpy as np
import pytest
from core.toys import Halve, HostHalve, problem

import resolvent as rs

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


@pytest.fixture(scope="module")
def sols():
    return [rs.solve(problem(), cls(factor=0.9), rtol=1e-6) for cls in (Halve, HostHalve)]


@pytest.mark.parametrize(
    ("against", "label"),
    [("steps", "iterations"), ("calls", "oracle calls"), ("seconds", "seconds")],
)
def test_axes(sols, against, label):
    axes = rs.plot_histories(sols, against=against)
    assert axes.get_xlabel() == label
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "halve", "halve-on-host"
    ]  # fmt: skip
    for sol, line in zip(sols, axes.get_lines()[::2], strict=False):
        across = getattr(sol.history, against)
        assert line.get_xdata()[-1] == across[-1]


def test_curves_hold_the_history(sols):
    (sol, _) = sols
    axes = sol.plot(relative=False)
    curve = axes.get_lines()[0]
    assert np.array_equal(curve.get_xdata(), sol.history.steps)
    assert np.array_equal(curve.get_ydata(), sol.history.measures)


def test_a_file_and_given_axes(sols, tmp_path):
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    place = tmp_path / "plot.png"
    again = rs.plot_histories(sols, labels=["one", "two"], ax=axes, path=str(place))
    assert again is axes
    assert place.read_bytes().startswith(b"\x89PNG")


def test_solutions_at_the_answer_and_failures_can_be_drawn(tmp_path):
    exact = rs.solve(problem(), Halve(), x0=np.full(2, 3.0))
    failed = rs.solve(problem(), HostHalve(mood="nan"), throw=False)
    rs.plot_histories([exact, failed], path=str(tmp_path / "plot.png"))
    assert exact.plot() is not None


def test_bad_requests_are_refused(sols):
    with pytest.raises(ValueError, match=VOICE):
        rs.plot_histories(sols, against="time")
    with pytest.raises(ValueError, match=VOICE):
        rs.plot_histories(sols, labels=["one"])
    with pytest.raises(ValueError, match=VOICE):
        rs.plot_histories([])
    import jax
    import jax.numpy as jnp
    from core.toys import Shrink

    traced = jax.jit(lambda a: rs.solve(Shrink(a), Halve(), rtol=1e-4))(jnp.ones(2))
    with pytest.raises(ValueError, match="without history"):
        traced.plot()
    with pytest.raises(TypeError, match=VOICE):
        rs.plot_histories(sols[0])
