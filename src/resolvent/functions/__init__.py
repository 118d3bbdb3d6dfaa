"""Terms of objectives and inclusions: losses, penalties and sets, with prox and conjugate."""

from resolvent.functions.balls import MaxBall as MaxBall
from resolvent.functions.cones import PSDCone as PSDCone
from resolvent.functions.cones import SecondOrderCone as SecondOrderCone
from resolvent.functions.fit import Fit as Fit
from resolvent.functions.fit import SVMDual as SVMDual
from resolvent.functions.function import ConvexSet as ConvexSet
from resolvent.functions.function import Function as Function
from resolvent.functions.group_penalties import GroupL2 as GroupL2
from resolvent.functions.group_penalties import SparseGroup as SparseGroup
from resolvent.functions.intersections import Intersection as Intersection
from resolvent.functions.isotonic import Isotonic as Isotonic
from resolvent.functions.isotonic import isotonic_regression as isotonic_regression
from resolvent.functions.losses import Huber as Huber
from resolvent.functions.losses import LeastSquares as LeastSquares
from resolvent.functions.losses import Loss as Loss
from resolvent.functions.losses import Poisson as Poisson
from resolvent.functions.losses import Quantile as Quantile
from resolvent.functions.losses_classification import Hinge as Hinge
from resolvent.functions.losses_classification import Logistic as Logistic
from resolvent.functions.losses_classification import MulticlassLogistic as MulticlassLogistic
from resolvent.functions.losses_classification import SmoothedHinge as SmoothedHinge
from resolvent.functions.losses_classification import SquaredHinge as SquaredHinge
from resolvent.functions.matrix_penalties import Nuclear as Nuclear
from resolvent.functions.nonconvex_penalties import L0 as L0
from resolvent.functions.nonconvex_penalties import MCP as MCP
from resolvent.functions.nonconvex_penalties import SCAD as SCAD
from resolvent.functions.nonconvex_penalties import Lp as Lp
from resolvent.functions.norms import L2 as L2
from resolvent.functions.norms import ElasticNet as ElasticNet
from resolvent.functions.norms import WeightedL1 as WeightedL1
from resolvent.functions.penalties import L1 as L1
from resolvent.functions.penalties import SquaredL2 as SquaredL2
from resolvent.functions.polyhedra import Polyhedron as Polyhedron
from resolvent.functions.product import Product as Product
from resolvent.functions.sets import Affine as Affine
from resolvent.functions.sets import Ball as Ball
from resolvent.functions.sets import Box as Box
from resolvent.functions.sets import Everything as Everything
from resolvent.functions.sets import HalfSpace as HalfSpace
from resolvent.functions.sets import L1Ball as L1Ball
from resolvent.functions.sets import Nonnegative as Nonnegative
from resolvent.functions.sets import Simplex as Simplex
from resolvent.functions.simplex import simplex_projection as simplex_projection
from resolvent.functions.sorted_l1 import SortedL1 as SortedL1
from resolvent.functions.total_variation import FieldLength as FieldLength
from resolvent.functions.total_variation import Fused as Fused
from resolvent.functions.total_variation import TotalVariation2D as TotalVariation2D
from resolvent.functions.transport_sets import Birkhoff as Birkhoff
from resolvent.functions.transport_sets import TransportPolytope as TransportPolytope

__all__ = [
    "L0",
    "L1",
    "L2",
    "MCP",
    "SCAD",
    "Affine",
    "Ball",
    "Birkhoff",
    "Box",
    "ConvexSet",
    "ElasticNet",
    "Everything",
    "FieldLength",
    "Fit",
    "Function",
    "Fused",
    "GroupL2",
    "HalfSpace",
    "Hinge",
    "Huber",
    "Intersection",
    "Isotonic",
    "L1Ball",
    "LeastSquares",
    "Logistic",
    "Loss",
    "Lp",
    "MaxBall",
    "MulticlassLogistic",
    "Nonnegative",
    "Nuclear",
    "PSDCone",
    "Poisson",
    "Polyhedron",
    "Product",
    "Quantile",
    "SVMDual",
    "SecondOrderCone",
    "Simplex",
    "SmoothedHinge",
    "SortedL1",
    "SparseGroup",
    "SquaredHinge",
    "SquaredL2",
    "TotalVariation2D",
    "TransportPolytope",
    "WeightedL1",
    "isotonic_regression",
    "simplex_projection",
]  # fmt: skip
