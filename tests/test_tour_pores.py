"""The tour's stop at pore networks: a peer that solves the same problem, and an honest section."""

import numpy as np
import pytest

import resolvent as rs
from resolvent.fixed_point.graphs import GraphFixedPoint, pore_network
from resolvent.fixed_point.picard import Picard
from resolvent.tour.pores import factorized, pores


def test_the_peer_solves_the_same_problem():
    graph = pore_network(20, key=0).graph
    rng = np.random.default_rng(0)
    degree = np.bincount(graph.senders, minlength=20)[graph.senders]
    weights = rng.random((graph.m, 3)) / degree[:, None]
    problem = GraphFixedPoint(
        weights, graph.senders, graph.receivers, rng.standard_normal((20, 3)), 0.9
    )
    direct = factorized(problem)
    assert rs.certify(problem, direct, rtol=1e-12).holds
    assert np.abs(rs.solve(problem, Picard(), rtol=1e-10).x - direct).max() < 1e-8


@pytest.mark.slow
def test_the_stop_has_certified_lines_and_both_curves(tmp_path):
    section = pores(tmp_path, lambda text: None, updates=16, size=30, repeats=1)
    assert [one.converged for one in section.attempts] == [True] * 3
    assert [one.peer for one in section.attempts] == [False, False, True]
    assert section.row.converged
    assert len(section.figures) == 2
    assert all(path.exists() for path, _ in section.figures)
    assert "message passing" in section.paragraphs[1]
