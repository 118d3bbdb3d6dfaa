"""Everything public of the family, one line each: methods and problems."""

from resolvent.constrained.augmented_lagrangian import AugmentedLagrangian as AugmentedLagrangian
from resolvent.constrained.conditions import Multipliers as Multipliers
from resolvent.constrained.l1_sqp import L1SQP as L1SQP
from resolvent.constrained.problem import ConstrainedProblem as ConstrainedProblem
from resolvent.constrained.sketched_newton import SketchedNewton as SketchedNewton
