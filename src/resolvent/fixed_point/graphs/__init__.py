"""Networks on graphs whose predictions are fixed points of contractive maps."""

from resolvent.fixed_point.graphs.graph import Graph as Graph
from resolvent.fixed_point.graphs.graph import GraphBatch as GraphBatch
from resolvent.fixed_point.graphs.graph import batched as batched
from resolvent.fixed_point.graphs.maps import GraphFixedPoint as GraphFixedPoint
from resolvent.fixed_point.graphs.maps import head_weights as head_weights
from resolvent.fixed_point.graphs.solver import ConvergentGraphSolver as ConvergentGraphSolver
from resolvent.fixed_point.graphs.solver import Prediction as Prediction
from resolvent.fixed_point.graphs.tasks import PoreNetwork as PoreNetwork
from resolvent.fixed_point.graphs.tasks import Task as Task
from resolvent.fixed_point.graphs.tasks import decision_graphs as decision_graphs
from resolvent.fixed_point.graphs.tasks import pore_network as pore_network
from resolvent.fixed_point.graphs.tasks import pore_networks as pore_networks
from resolvent.fixed_point.graphs.tasks import reachability as reachability

__all__ = [
    "ConvergentGraphSolver",
    "Graph",
    "GraphBatch",
    "GraphFixedPoint",
    "PoreNetwork",
    "Prediction",
    "Task",
    "batched",
    "decision_graphs",
    "head_weights",
    "pore_network",
    "pore_networks",
    "reachability",
]
