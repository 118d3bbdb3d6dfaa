"""The experiments on metrics: their data, their courses, verdicts that can fail."""

import numpy as np

from resolvent import constrained
from resolvent.papers import Settings
from resolvent.papers import project_and_forget as paper
from resolvent.papers import project_and_forget_data as data


def course(errors=(1.0, 0.1), rows=(4, 4), pulling=4, seconds=1.0, size=10):
    return data.Course(np.array(errors), np.array(rows), pulling, 0, seconds, size)


def test_graphs_are_what_they_say():
    signs = data.planted(200, 8.0, 0)
    assert abs(signs - signs.T).max() == 0
    assert set(np.unique(signs.data)) == {-1.0, 1.0}
    assert 7 <= signs.nnz / signs.shape[0] <= 9
    assert constrained.CorrelationClustering(signs).graph.nodes == signs.shape[0] >= 190
    D = data.dissimilarities(10, 1)
    assert (D == D.T).all()
    assert (D >= 0).all()


def test_courses_are_those_of_solves():
    import resolvent as rs

    problem = constrained.MetricNearness(data.dissimilarities(15, 0))
    method = constrained.ProjectAndForget(sweeps=3)
    found, sol = data.forget(problem, method, 1e-6), rs.solve(problem, method, rtol=1e-6)
    assert found.errors.size - 1 == sol.steps
    assert found.looks == sol.calls["oracle"]
    assert found.pulling == sol.witness.values.size
    fixed = data.fix(problem, 1e-6)
    again = rs.solve(problem, constrained.TriangleFixing(), rtol=1e-6)
    assert fixed.errors.size - 1 == again.steps
    assert fixed.bytes == 8 * 15 * 14 * 13 // 2


def test_long_lists_change_the_verdict(monkeypatch):
    lists = {100: [course(), course()]}
    monkeypatch.setattr(paper, "_lists", lambda settings: lists)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    lists[100][1] = course(rows=(4, 20_000), pulling=20_000)
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
    lists[100][1] = course(rows=(4, 20_000))
    assert paper.claim_1(Settings()).verdict == "not confirmed"


def test_slow_courses_change_the_verdict(monkeypatch):
    race = {300: (course(), course(seconds=2.0, size=200))}
    monkeypatch.setattr(paper, "_race", lambda settings: race)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    race[300] = (course(seconds=3.0), race[300][1])
    assert paper.claim_2(Settings()).verdict == "confirmed in part"
    race[300] = (course(seconds=3.0, size=50), race[300][1])
    assert paper.claim_2(Settings()).verdict == "not confirmed"


def test_bent_lines_change_the_verdict(monkeypatch):
    straight = 10.0 ** -np.linspace(0, 11, 60)
    rates = [straight]
    monkeypatch.setattr(paper, "_rates", lambda settings: rates)
    assert paper.claim_3(Settings()).verdict == "confirmed"
    rates[0] = 1.0 / np.arange(1, 1000.0) ** 2
    # Slower and slower, and not there in the end.
    assert paper.claim_3(Settings()).verdict == "not confirmed"


def test_looks_and_forgetting_change_the_verdict(monkeypatch):
    looks = {"nearness": np.array([[9, 5, 2]]), "clustering": np.array([[9, 9, 2]])}
    monkeypatch.setattr(paper, "_looks", lambda settings: looks)
    assert paper.claim_4(Settings()).verdict == "confirmed in part"
    looks["clustering"][0, 1] = 3
    assert paper.claim_4(Settings()).verdict == "confirmed"
    kept = [course(rows=(1, 10)), course(rows=(1, 20)), 1e-9]
    monkeypatch.setattr(paper, "_kept", lambda settings: kept)
    assert paper.claim_5(Settings()).verdict == "confirmed"
    kept[2] = 1e-3
    assert paper.claim_5(Settings()).verdict == "confirmed in part"
    kept[1] = kept[0]
    assert paper.claim_5(Settings()).verdict == "not confirmed"
