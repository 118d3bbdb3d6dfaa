"""Everything public of the family, one line each: methods and problems."""

from resolvent.composite.active_set import ActiveSet as ActiveSet
from resolvent.composite.admm import ADMM as ADMM
from resolvent.composite.approximate_cross_validation import (
    ApproximateCrossValidation as ApproximateCrossValidation,
)
from resolvent.composite.approximate_cross_validation import (
    approximate_cross_validate as approximate_cross_validate,
)
from resolvent.composite.block_coordinate_descent import (
    BlockCoordinateDescent as BlockCoordinateDescent,
)
from resolvent.composite.blocks.forests import lattice_combs as lattice_combs
from resolvent.composite.coordinate_descent import CoordinateDescent as CoordinateDescent
from resolvent.composite.cross_validation import CrossValidation as CrossValidation
from resolvent.composite.cross_validation import cross_validate as cross_validate
from resolvent.composite.denoising import (
    TotalVariationDenoising as TotalVariationDenoising,
)
from resolvent.composite.dinkelbach import Dinkelbach as Dinkelbach
from resolvent.composite.dual_coordinate_descent import (
    DualCoordinateDescent as DualCoordinateDescent,
)
from resolvent.composite.fractional import FractionalProgram as FractionalProgram
from resolvent.composite.fractional_coordinate_descent import (
    FractionalCoordinateDescent as FractionalCoordinateDescent,
)
from resolvent.composite.fractional_terms import AffineTerm as AffineTerm
from resolvent.composite.fractional_terms import LargestSum as LargestSum
from resolvent.composite.fractional_terms import QuadraticTerm as QuadraticTerm
from resolvent.composite.fractional_terms import QuarticNorm as QuarticNorm
from resolvent.composite.fractional_terms import SquaredResidual as SquaredResidual
from resolvent.composite.frank_wolfe import FrankWolfe as FrankWolfe
from resolvent.composite.generalized_linear import GeneralizedLinear as GeneralizedLinear
from resolvent.composite.gradient_projection import (
    FastGradientProjection as FastGradientProjection,
)
from resolvent.composite.group_descent import GroupDescent as GroupDescent
from resolvent.composite.hard_thresholding import CoSaMP as CoSaMP
from resolvent.composite.hard_thresholding import HardThresholdingPursuit as HardThresholdingPursuit
from resolvent.composite.hard_thresholding import (
    IterativeHardThresholding as IterativeHardThresholding,
)
from resolvent.composite.hyper_lista import HyperLISTA as HyperLISTA
from resolvent.composite.identification import IdentificationBound as IdentificationBound
from resolvent.composite.identification import identification_bound as identification_bound
from resolvent.composite.interior_point import InteriorPoint as InteriorPoint
from resolvent.composite.lbfgs import LBFGS as LBFGS
from resolvent.composite.lbfgsb import LBFGSB as LBFGSB
from resolvent.composite.linear_separation import LinearSeparation as LinearSeparation
from resolvent.composite.matching_pursuit import (
    OrthogonalMatchingPursuit as OrthogonalMatchingPursuit,
)
from resolvent.composite.mirror_descent import MirrorDescent as MirrorDescent
from resolvent.composite.nonconvex_acceleration import (
    NonconvexAcceleratedGradient as NonconvexAcceleratedGradient,
)
from resolvent.composite.nonlinear_cg import NonlinearCG as NonlinearCG
from resolvent.composite.normalized_logistic import (
    NormalizedLogisticGradient as NormalizedLogisticGradient,
)
from resolvent.composite.null_model import largest_weight as largest_weight
from resolvent.composite.operator_splitting import OperatorSplitting as OperatorSplitting
from resolvent.composite.paths import Path as Path
from resolvent.composite.paths import path as path
from resolvent.composite.pdhg import PDHG as PDHG
from resolvent.composite.perceptron import BatchPerceptron as BatchPerceptron
from resolvent.composite.perceptron import Perceptron as Perceptron
from resolvent.composite.problem import Composite as Composite
from resolvent.composite.proximal_gradient import ProximalGradient as ProximalGradient
from resolvent.composite.proximal_gradient_subgradient import (
    ProximalGradientSubgradient as ProximalGradientSubgradient,
)
from resolvent.composite.proximal_newton import ProximalNewton as ProximalNewton
from resolvent.composite.quadratic import Quadratic as Quadratic
from resolvent.composite.quadratic_program import QuadraticProgram as QuadraticProgram
from resolvent.composite.sampled_gradient import ArmijoGradient as ArmijoGradient
from resolvent.composite.sampled_gradient import PolyakGradient as PolyakGradient
from resolvent.composite.screening import ProvedZeros as ProvedZeros
from resolvent.composite.screening import proved_zeros as proved_zeros
from resolvent.composite.sparse_recovery import SparseRecovery as SparseRecovery
from resolvent.composite.split import SplitComposite as SplitComposite
