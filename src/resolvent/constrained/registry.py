"""Everything public of the family, one line each: methods and problems."""

from resolvent.constrained.augmented_lagrangian import AugmentedLagrangian as AugmentedLagrangian
from resolvent.constrained.conditions import Multipliers as Multipliers
from resolvent.constrained.host_function import HostFunction as HostFunction
from resolvent.constrained.interior.primal_dual import (
    PrimalDualInteriorPoint as PrimalDualInteriorPoint,
)
from resolvent.constrained.l1_sqp import L1SQP as L1SQP
from resolvent.constrained.metric.clustering import CorrelationClustering as CorrelationClustering
from resolvent.constrained.metric.cycles import CycleMultipliers as CycleMultipliers
from resolvent.constrained.metric.nearness import MetricNearness as MetricNearness
from resolvent.constrained.metric.project_and_forget import ProjectAndForget as ProjectAndForget
from resolvent.constrained.metric.rows import RowMultipliers as RowMultipliers
from resolvent.constrained.metric.separated import Separated as Separated
from resolvent.constrained.metric.triangle_fixing import TriangleFixing as TriangleFixing
from resolvent.constrained.problem import ConstrainedProblem as ConstrainedProblem
from resolvent.constrained.projected_newton import ProjectedNewton as ProjectedNewton
from resolvent.constrained.second_order import SecondOrder as SecondOrder
from resolvent.constrained.second_order import second_order as second_order
from resolvent.constrained.sketched_newton import SketchedNewton as SketchedNewton
