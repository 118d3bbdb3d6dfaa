"""Processes answer within seconds of their own, and start again after they were killed."""

import time

import pytest

pytest.importorskip("psutil")
# JAX warns of its threads, which what is forked here does not use.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


def echo(pipe):
    """Sends back what it gets: "busy" after it worked for ever, "asleep" after it slept."""
    while True:
        asked = pipe.recv()
        while asked == "busy":
            pass
        if asked == "asleep":
            time.sleep(1.0)
        if asked == "dead":
            raise SystemExit
        pipe.send(asked)


@pytest.fixture
def worker(smooth):
    found = smooth["processes"].Worker(echo)
    yield found
    found.stop()


def test_time_counts_where_the_process_works(worker):
    assert worker.ask("asleep", 0.2) == ["asleep"]
    assert worker.ask("busy", 0.2) == []
    assert worker.ask("again", 5.0) == ["again"]


def test_a_process_that_never_answers_is_given_up(worker, smooth, monkeypatch):
    monkeypatch.setattr(smooth["processes"], "ASLEEP", 2.0)
    assert worker.ask("asleep", 0.25) == []


def test_a_process_that_died_has_no_answer(worker):
    assert worker.ask("dead", 1.0) == []
    assert worker.ask("again", 5.0) == ["again"]
