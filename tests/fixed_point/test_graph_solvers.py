"""Graph solvers: maps that contract by construction, certified fixed points, true gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.fixed_point.graphs import (
    ConvergentGraphSolver,
    Graph,
    GraphFixedPoint,
    batched,
    decision_graphs,
    head_weights,
    pore_network,
    pore_networks,
    reachability,
)
from resolvent.fixed_point.graphs.graph import roomy
from resolvent.fixed_point.graphs.maps import sweeps_needed
from resolvent.fixed_point.graphs.tasks import backups
from resolvent.fixed_point.graphs.training import labelled, mean_loss, sample, trained
from resolvent.fixed_point.picard import Picard

SMALL = ConvergentGraphSolver(heads=3, layers=0, hidden=6, decoder=(6,), contraction=0.7)


def edges_of(n, m, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, n, m), rng.integers(0, n, m)
    return rows, columns, rng.standard_normal((m, 2)), rng.standard_normal((n, 2))


def with_rows_of_one_at_most(rows, n, logits, normalization="clip"):
    with jax.enable_x64(True):
        return np.asarray(head_weights(jnp.asarray(logits), rows, n, None, normalization))


def random_problem(q=0.5, n=12, m=40, seed=0, **options):
    rows, columns, logits, b = edges_of(n, m, seed)
    weights = with_rows_of_one_at_most(rows, n, logits)
    return GraphFixedPoint(weights, rows, columns, b, q, **options)


def dense(problem, head):
    weights, b, rows, columns, q = problem.args
    A = np.zeros((len(b), len(b)))
    np.add.at(A, (np.asarray(rows), np.asarray(columns)), np.asarray(weights)[:, head])
    return q * A, np.asarray(b)[:, head]


@pytest.fixture(scope="module")
def pores():
    return pore_networks(6, 20, key=0)


@pytest.fixture(scope="module")
def fitted(pores):
    return SMALL.fit(*pores, key=1, steps=30, batch=3, learning_rate=1e-2, held_out=pores, looks=3)


# The map


@pytest.mark.parametrize("normalization", ["clip", "sigmoid", "softmax"])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_rows_sum_to_one_at_most_whatever_the_logits(normalization, scale):
    rows, _, logits, _ = edges_of(30, 100)
    real = np.arange(100) < 90
    weights = np.asarray(
        head_weights(jnp.asarray(scale * logits), jnp.asarray(rows), 30, real, normalization)
    )
    sums = np.zeros((30, 2))
    np.add.at(sums, rows, weights)
    assert weights.min() >= 0.0
    assert sums.max() <= 1.0 + 1e-6
    assert not weights[~real].any()
    if normalization == "softmax":
        used = np.unique(rows[real])
        assert np.allclose(sums[used], 1.0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("q", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_sweeps_never_exceed_their_bound(q, scale):
    for seed in range(3):
        problem = random_problem(q, seed=seed)
        weights, b, *rest = problem.args
        problem = GraphFixedPoint(weights, *rest[:2], scale * b, q)
        sol = rs.solve(problem, Picard(), rtol=1e-9)
        assert sol.steps <= sweeps_needed(q, 1e-9)


def test_fixed_points_are_those_of_a_dense_solve():
    for q in (0.5, 0.9):
        problem = random_problem(q)
        sol = rs.solve(problem, rtol=1e-12)
        assert sol.certificate.kind == "bound"
        for head in range(2):
            A, b = dense(problem, head)
            truth = np.linalg.solve(np.eye(len(b)) - A, b)
            assert np.abs(sol.x[:, head] - truth).max() <= max(sol.certificate.value, 1e-13)
        loose = rs.certify(problem, sol.x + 0.1)
        assert 0.1 - 1e-9 <= loose.value <= 0.1 / (1 - q) * (1 + q)
        assert not loose.holds


def test_every_start_leads_to_the_same_fixed_point():
    rng = np.random.default_rng(0)
    problem = random_problem(0.9, activation="tanh")
    first = rs.solve(problem, rtol=1e-11).x
    for scale in (1.0, 1e3):
        start = scale * rng.standard_normal(first.shape)
        assert np.abs(rs.solve(problem, rtol=1e-11, x0=start).x - first).max() < 1e-9


@pytest.mark.slow
def test_full_rows_and_ones_give_the_sum_of_the_geometric_series():
    rows, columns, _, _ = edges_of(12, 40)
    rows, columns = np.append(rows, np.arange(12)), np.append(columns, np.arange(12))
    weights = with_rows_of_one_at_most(rows, 12, np.ones((52, 1)))
    sol = rs.solve(GraphFixedPoint(weights, rows, columns, np.ones((12, 1)), 0.8), rtol=1e-12)
    assert np.allclose(sol.x, 5.0, rtol=1e-10)


def test_without_weights_or_contraction_the_bias_is_the_answer():
    rows, columns, logits, b = edges_of(12, 40)
    none = with_rows_of_one_at_most(rows, 12, -abs(logits))
    assert np.array_equal(rs.solve(GraphFixedPoint(none, rows, columns, b, 0.5)).x, b)
    sol = rs.solve(random_problem(0.0), rtol=1e-15)
    assert np.array_equal(sol.x, b)
    assert sol.steps == 1


@pytest.mark.slow
def test_equal_attention_is_personalised_pagerank():
    n, q = 10, 0.8
    rows, columns, _, X = edges_of(n, 30)
    weights = with_rows_of_one_at_most(rows, n, np.zeros((30, 2)), "softmax")
    found = rs.solve(GraphFixedPoint(weights, rows, columns, (1 - q) * X, q), rtol=1e-12).x
    walk = np.zeros((n, n))
    np.add.at(walk, (rows, columns), 1.0)
    walk /= np.maximum(walk.sum(axis=1, keepdims=True), 1.0)
    assert np.allclose(found, (1 - q) * np.linalg.inv(np.eye(n) - q * walk) @ X, atol=1e-9)


def test_nodes_without_edges_keep_their_bias():
    weights = with_rows_of_one_at_most(np.array([0, 0]), 4, np.ones((2, 1)), "softmax")
    b = np.array([[1.0], [2.0], [3.0], [4.0]])
    problem = GraphFixedPoint(weights, np.array([0, 0]), np.array([1, 2]), b, 0.5)
    assert np.allclose(rs.solve(problem, rtol=1e-12).x.ravel(), [2.25, 2.0, 3.0, 4.0])


def test_rows_above_one_are_refused_or_never_certified():
    rows, columns = np.array([0, 0]), np.array([0, 1])
    weights, b = np.full((2, 1), 0.6), np.ones((2, 1))
    with pytest.raises(ValueError, match="row sum of 1.2"):
        GraphFixedPoint(weights, rows, columns, b, 0.9)

    @jax.jit
    def value(weights):
        problem = GraphFixedPoint(weights, rows, columns, jnp.asarray(b), 0.9)
        return problem.certify(jnp.ones((2, 1))).value

    assert value(jnp.full((2, 1), 0.5)) < 100.0
    assert value(jnp.full((2, 1), 0.6)) == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones((3, 2))}, "weights: given shape"),
        ({"rows": np.full(40, 12)}, "rows: given numbers"),
        ({"columns": np.full(40, -1)}, "columns: given numbers"),
        ({"contraction": 1.0}, "contraction: given 1.0"),
        ({"activation": "exp"}, "activation: given 'exp'"),
        ({"bias": np.full((12, 2), np.nan)}, "bias: given 24 entries"),
        ({"start": np.zeros(3)}, "start: given shape"),
    ],
)
def test_bad_maps_are_refused(change, message):
    rows, columns, _, b = edges_of(12, 40)
    given = {"weights": np.zeros((40, 2)), "rows": rows, "columns": columns, "bias": b}
    with pytest.raises(ValueError, match=message):
        GraphFixedPoint(**{**given, **change})


# Gradients


@pytest.mark.slow
def test_implicit_gradients_are_those_of_the_unrolled_loop():
    rows, columns, logits, b = edges_of(12, 40)
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        probe = jnp.asarray(rng.standard_normal(b.shape))

        def total(given, adjoint):
            weights = head_weights(given[0], rows, 12, None, "sigmoid")
            problem = GraphFixedPoint(weights, rows, columns, given[1], 0.6, activation="tanh")
            return (probe * rs.solve(problem, rtol=1e-13, max_steps=70, adjoint=adjoint).x).sum()

        @jax.jit
        def slopes(given):
            adjoints = rs.Implicit(), rs.Unrolled()
            implicit, unrolled = (jax.grad(total)(given, adjoint) for adjoint in adjoints)
            return total(given, None), implicit, unrolled

        given = jnp.asarray(logits), jnp.asarray(b)
        _, implicit, unrolled = slopes(given)
        for one, other in zip(implicit, unrolled, strict=True):
            assert np.abs(one - other).max() < 1e-6 * np.abs(other).max()
        ahead, behind = (
            slopes((given[0].at[3, 1].add(step), given[1]))[0] for step in (1e-5, -1e-5)
        )
        assert np.isclose(implicit[0][3, 1], (ahead - behind) / 2e-5, rtol=1e-5)


def test_a_slope_that_is_not_certified_is_no_number():
    rows, columns, logits, b = edges_of(12, 40)

    @jax.jit
    @jax.grad
    def slope(b, steps):
        problem = GraphFixedPoint(jnp.asarray(weights), rows, columns, b, 0.9)
        return rs.solve(problem, rtol=1e-4, max_steps=steps).x.sum()

    weights = with_rows_of_one_at_most(rows, 12, logits).astype(np.float32)
    b = jnp.asarray(b, jnp.float32)
    assert np.isfinite(slope(b, 200)).all()
    assert np.isnan(slope(b, 3)).all()


def test_neither_values_nor_gradients_hold_dense_matrices():
    n = 400
    chain = Graph(np.ones(n), np.arange(n - 1), np.arange(1, n))
    network = SMALL.initialised(1, 1, 1, key=0).network
    arrays, rest = eqx.partition(network, eqx.is_inexact_array)
    data = sample(labelled([chain], [np.ones(n)], "squared", False), [0])

    def loss(arrays):
        return mean_loss(eqx.combine(arrays, rest), data, "squared")

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            for variable in equation.outvars:
                yield int(np.prod(variable.aval.shape)) if hasattr(variable.aval, "shape") else 0
            for part in jax.tree_util.tree_leaves(
                list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
            ):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from sizes(inner)

    found = list(sizes(jax.make_jaxpr(jax.grad(loss))(arrays).jaxpr))
    assert len(found) > 300
    assert max(found) <= 20 * roomy(n + 1)


# The solver


@pytest.mark.slow
def test_training_lowers_the_loss_and_predictions_are_certified(fitted, pores):
    curve = fitted.curve
    assert curve.losses.shape == (30,)
    assert curve.held_out[-1] < 0.6 * curve.held_out[0]
    assert curve.steps[0] == 0
    assert curve.steps[-1] == 30
    prediction = fitted.predict(pores.graphs, rtol=1e-10)
    assert prediction.certificate.holds
    assert prediction.certificate.kind == "bound"
    assert prediction.certificate.details["contraction"] <= 0.7 + 1e-9
    squares = [
        np.mean((found - truth) ** 2)
        for found, truth in zip(prediction.values, pores.targets, strict=True)
    ]
    assert np.isclose(np.mean(squares), curve.held_out[-1], rtol=1e-3)


@pytest.mark.slow
def test_the_same_key_gives_the_same_network_and_training_goes_on(fitted, pores):
    options = {"steps": 30, "batch": 3, "learning_rate": 1e-2, "held_out": pores, "looks": 3}
    again = SMALL.fit(*pores, key=1, **options)
    assert np.array_equal(again.curve.losses, fitted.curve.losses)
    further = fitted.fit(*pores, key=2, **options)
    assert further.curve.held_out[0] == pytest.approx(fitted.curve.held_out[-1], rel=1e-5)
    assert further.curve.held_out[-1] < fitted.curve.held_out[-1]


@pytest.mark.slow
def test_the_order_of_nodes_and_edges_does_not_matter(fitted, pores):
    graph, *others = pores.graphs
    rng = np.random.default_rng(0)
    nodes, edges = rng.permutation(graph.n), rng.permutation(graph.m)
    place = np.argsort(nodes)
    moved = Graph(
        graph.nodes[nodes], place[graph.senders[edges]], place[graph.receivers[edges]],
        graph.edges[edges],
    )  # fmt: skip
    found, same = (fitted.predict([one, *others]).values[0] for one in (moved, graph))
    assert np.abs(found - same[nodes]).max() < 1e-5


@pytest.mark.slow
def test_a_union_of_graphs_is_each_by_itself(fitted, pores):
    together = fitted.predict(pores.graphs, rtol=1e-10).values
    reverse = fitted.predict(pores.graphs[::-1], rtol=1e-10).values[::-1]
    for found, other in zip(together, reverse, strict=True):
        assert np.abs(found - other).max() < 1e-5
    (alone,) = fitted.predict(pores.graphs[:1], rtol=1e-10).values
    assert np.abs(together[0] - alone).max() < 1e-5


def test_idle_nodes_and_edges_change_nothing(pores):
    maps = eqx.filter_jit(SMALL.initialised(2, 3, 1, key=0).network.maps)
    total = sum(graph.m for graph in pores.graphs[:2])
    narrow, wide = (maps(batched(pores.graphs[:2], room)) for room in ((41, total), (100, 400)))
    for i, size in ((0, total), (3, 40)):
        first, second = np.asarray(narrow[i]), np.asarray(wide[i])
        assert np.abs(first[:size] - second[:size]).max() < 1e-6
        assert not second[size:].any()


def test_rows_say_where_the_information_comes_from_and_dead_heads_are_found():
    chain = Graph(np.arange(3.0), np.array([0, 1]), np.array([1, 2]))
    made = SMALL.but(rows="receivers", normalization="clip").initialised(1, 1, 1, key=3)
    biases = made.network.encoder[-1].edge.biases[-1]
    network = eqx.tree_at(
        lambda net: net.encoder[-1].edge.biases[-1],
        made.network,
        jnp.full_like(biases, 1e3).at[1].set(-1e3),
    )
    solver = made.but(network=network)
    weights, _, rows, columns, _ = solver.problem([chain]).args
    assert (rows[:2].tolist(), columns[:2].tolist()) == ([1, 2], [0, 1])
    assert np.array_equal(weights[:2], np.array([[1.0, 0.0, 1.0]] * 2))
    assert solver.dead_heads([chain]).tolist() == [1]


def test_a_readout_gives_one_answer_a_graph():
    graphs, labels = reachability(3, 10, key=0)
    options = {"readout": "mean", "loss": "cross_entropy", "aggregate": "max", "layers": 1}
    solver = SMALL.but(**options).initialised(2, 1, 2, key=0)
    prediction = solver.predict(graphs)
    decoder = solver.network.decoder
    means = prediction.solution.x[:30].reshape(3, 10, -1).mean(axis=1)
    assert np.allclose(np.array(prediction.values), decoder(jnp.asarray(means)), atol=1e-5)
    assert labelled(graphs, labels, "cross_entropy", True).outputs == 2


def test_one_program_serves_all_batches():
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 9, 12)
    graphs = [Graph(np.ones(n), np.arange(n), (np.arange(n) + 1) % n) for n in sizes]
    seen = []

    class Counted(eqx.Module):
        weight: jax.Array

        def __call__(self, batch):
            seen.append(batch.nodes.shape)
            return self.weight * batch.nodes

    data = labelled(graphs, [np.ones(n) for n in sizes], "squared", False)
    network, curve = trained(Counted(jnp.zeros(())), data, 0, steps=23, batch=4, renew=3)
    assert len(set(seen)) == 1
    assert len(seen) <= 3
    assert curve.losses.shape == (23,)
    assert 0.0 < network.weight < 1.0


def test_graphs_that_do_not_fit_are_refused(fitted, pores):
    ring = Graph(np.ones(5), np.arange(5), (np.arange(5) + 1) % 5)
    with pytest.raises(ValueError, match="Call fit"):
        SMALL.predict([ring])
    with pytest.raises(ValueError, match="1 features of nodes, 1 of edges"):
        fitted.predict([ring])
    with pytest.raises(ValueError, match="2 for 1 graphs"):
        SMALL.fit([ring], [np.ones(5)] * 2)
    with pytest.raises(ValueError, match="5 rows, one for each node"):
        SMALL.fit([ring], [np.ones(4)])
    with pytest.raises(TypeError, match="needed classes"):
        SMALL.but(loss="cross_entropy").fit([ring], [np.ones(5)])
    with pytest.raises(ValueError, match="the same features on all"):
        batched([ring, pores.graphs[0]])
    with pytest.raises(ValueError, match="at least one graph"):
        batched([])
    with pytest.raises(ValueError, match="at least 6 nodes"):
        batched([ring], room=(5, 5))
    with pytest.raises(ValueError, match="from 0 to 4"):
        Graph(np.ones(5), np.array([5]), np.array([0]))
    with pytest.raises(TypeError, match="needed integers"):
        Graph(np.ones(5), np.array([0.5]), np.array([0]))
    with pytest.raises(ValueError, match="not finite"):
        Graph(np.array([1.0, np.nan]), np.array([0]), np.array([1]))
    with pytest.raises(ValueError, match="given no node"):
        Graph(np.ones(0), np.array([], int), np.array([], int))
    for change in ({"contraction": 1.0}, {"heads": 0}, {"readout": "max"}, {"rtol": 0.0}):
        with pytest.raises(ValueError, match=next(iter(change))):
            ConvergentGraphSolver(**change)
    with pytest.raises(TypeError, match="traced method for fixed points"):
        ConvergentGraphSolver(method=rs.linear.CG())


# The tasks


def test_pressures_balance_the_flow():
    made = pore_network(60, key=1)
    graph, pressure = made.graph, made.pressure
    flow = made.conductance * (pressure[graph.senders] - pressure[graph.receivers])
    net = np.zeros(60)
    np.add.at(net, graph.receivers, flow)
    free = graph.nodes[:, 0] == 0.0
    assert np.abs(net[free]).max() < 1e-9 * made.conductance.max()
    assert (~free).sum() == 14
    assert 0.0 <= pressure.min() <= pressure.max() <= 1.0
    assert np.array_equal(pressure[~free], graph.nodes[~free, 1])
    assert net.sum() == pytest.approx(0.0, abs=1e-9 * made.conductance.max())


def test_values_solve_the_equation_of_bellman():
    graphs, values = decision_graphs(3, (20, 30), (3, 6), key=0)
    for graph, target in zip(graphs, values, strict=True):
        a = graph.m // graph.n
        found = backups(graph.edges[:, 0], target[:, 0], graph.senders, a)
        assert np.abs(found.max(axis=1) - target[:, 0]).max() < 1e-6
        assert (graph.senders != graph.receivers).all()
        assert np.array_equal(graph.receivers, np.repeat(np.arange(graph.n), a))
        assert 20 <= graph.n < 30
        assert 3 <= a < 6


def test_labels_say_whether_there_is_a_path():
    graphs, labels = reachability(20, 16, key=0)
    for graph, label in zip(graphs, labels, strict=True):
        reached = graph.nodes[:, 0] > 0
        for _ in range(16):
            reached[graph.receivers[reached[graph.senders]]] = True
        assert bool(label) == bool(reached[graph.nodes[:, 1] > 0][0])
    assert np.mean(labels) == 0.5


def test_tasks_are_what_their_key_says():
    for make in (
        lambda key: pore_networks(2, 12, key),
        lambda key: decision_graphs(2, 12, 3, key),
        lambda key: reachability(2, 12, key),
    ):
        first, same, other = make(4), make(4), make(5)
        assert np.array_equal(first.graphs[1].edges, same.graphs[1].edges)
        assert np.array_equal(first.targets[1], same.targets[1])
        different = [
            np.array_equal(getattr(first.graphs[1], name), getattr(other.graphs[1], name))
            for name in ("edges", "senders", "nodes")
        ]
        assert not all(different)
