"""The progress bar: shown when asked or useful, silent otherwise, on standard error alone."""

import io

import numpy as np
import pytest
from core.toys import Halve, HostHalve, problem

import resolvent as rs
from resolvent._core import progress


@pytest.mark.parametrize("cls", [Halve, HostHalve], ids=["traced", "host"])
def test_silent_by_default_and_when_told(cls, capfd):
    for wish in (None, False):
        rs.solve(problem(), cls(factor=0.9), rtol=1e-6, progress=wish)
    out = capfd.readouterr()
    assert out.out == ""
    assert out.err == ""


@pytest.mark.parametrize("cls", [Halve, HostHalve], ids=["traced", "host"])
def test_a_long_solve_shows_a_bar_on_standard_error(cls, capfd, monkeypatch):
    monkeypatch.setattr(progress.Progress.__init__, "__defaults__", (0.0,))
    rs.solve(problem(), cls(factor=0.999), rtol=1e-6, progress=True, max_steps=5000, throw=False)
    assert capfd.readouterr().out == ""


def test_terminals_and_notebooks_want_a_bar(monkeypatch):
    assert progress.wanted(True)
    assert not progress.wanted(False)
    terminal = io.StringIO()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    assert not progress.wanted(None)
    terminal.isatty = lambda: True
    assert progress.wanted(None)
    terminal.isatty = lambda: False
    monkeypatch.setitem(progress.sys.modules, "ipykernel", object())
    assert progress.wanted(None)


def test_patience():
    bar = progress.Progress("cg", patience=1e6)
    bar.solve(1, 1.0, 1e-6)
    bar.sequence(1, 2, 3)
    assert bar._bar is None
    bar.close()


@pytest.mark.parametrize(
    ("measure", "target"),
    [(1.0, 1e-6), (np.nan, 1e-6), (np.inf, 1e-6), (0.0, 0.0), (1.0, 0.0), (1e-8, 1e-6)],
)
def test_odd_measures_do_not_break_it(measure, target, capfd):
    bar = progress.Progress("cg", patience=0.0)
    try:
        for step in range(3):
            bar.solve(step, measure, target)
            bar.solve(step, 0.5, target)
    finally:
        bar.close()
    bar = progress.Progress("sequence", patience=0.0)
    bar.sequence(1, None, 3)
    bar.sequence(2, 2, 6)
    bar.close()
    assert capfd.readouterr().out == ""


def test_the_bar_goes_away_when_a_solve_fails(monkeypatch):
    closed = []
    monkeypatch.setattr(progress.Progress, "close", lambda self: closed.append(1))

    def fail(report):
        raise LookupError

    with pytest.raises(LookupError):
        rs.solve(problem(), HostHalve(factor=0.999), progress=True, callback=fail)
    assert closed == [1]
