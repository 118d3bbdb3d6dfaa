"""Everything public of the family, one line each: methods and problems."""

from resolvent.composite.blocks.block_coordinate_descent import (
    BlockCoordinateDescent as BlockCoordinateDescent,
)
from resolvent.composite.blocks.forests import lattice_combs as lattice_combs
from resolvent.composite.blocks.identification import IdentificationBound as IdentificationBound
from resolvent.composite.blocks.identification import identification_bound as identification_bound
from resolvent.composite.denoising import (
    TotalVariationDenoising as TotalVariationDenoising,
)
from resolvent.composite.descent.coordinate_descent import CoordinateDescent as CoordinateDescent
from resolvent.composite.descent.dual_coordinate_descent import (
    DualCoordinateDescent as DualCoordinateDescent,
)
from resolvent.composite.descent.group_descent import GroupDescent as GroupDescent
from resolvent.composite.fractional import FractionalProgram as FractionalProgram
from resolvent.composite.generalized_linear import GeneralizedLinear as GeneralizedLinear
from resolvent.composite.gradients.frank_wolfe import FrankWolfe as FrankWolfe
from resolvent.composite.gradients.lbfgs import LBFGS as LBFGS
from resolvent.composite.gradients.lbfgsb import LBFGSB as LBFGSB
from resolvent.composite.gradients.mirror_descent import MirrorDescent as MirrorDescent
from resolvent.composite.gradients.nonconvex_acceleration import (
    NonconvexAcceleratedGradient as NonconvexAcceleratedGradient,
)
from resolvent.composite.gradients.nonlinear_cg import NonlinearCG as NonlinearCG
from resolvent.composite.gradients.polynomial_proximal import (
    PolynomialProximalGradient as PolynomialProximalGradient,
)
from resolvent.composite.gradients.proximal_gradient import ProximalGradient as ProximalGradient
from resolvent.composite.gradients.proximal_newton import ProximalNewton as ProximalNewton
from resolvent.composite.gradients.sampled_gradient import ArmijoGradient as ArmijoGradient
from resolvent.composite.gradients.sampled_gradient import PolyakGradient as PolyakGradient
from resolvent.composite.linear_separation import LinearSeparation as LinearSeparation
from resolvent.composite.problem import Composite as Composite
from resolvent.composite.programs.active_set import ActiveSet as ActiveSet
from resolvent.composite.programs.interior_point import InteriorPoint as InteriorPoint
from resolvent.composite.programs.operator_splitting import OperatorSplitting as OperatorSplitting
from resolvent.composite.quadratic import Quadratic as Quadratic
from resolvent.composite.quadratic_program import QuadraticProgram as QuadraticProgram
from resolvent.composite.ratios.dinkelbach import Dinkelbach as Dinkelbach
from resolvent.composite.ratios.fractional_coordinate_descent import (
    FractionalCoordinateDescent as FractionalCoordinateDescent,
)
from resolvent.composite.ratios.fractional_terms import AffineTerm as AffineTerm
from resolvent.composite.ratios.fractional_terms import LargestSum as LargestSum
from resolvent.composite.ratios.fractional_terms import QuadraticTerm as QuadraticTerm
from resolvent.composite.ratios.fractional_terms import QuarticNorm as QuarticNorm
from resolvent.composite.ratios.fractional_terms import SquaredResidual as SquaredResidual
from resolvent.composite.ratios.proximal_gradient_subgradient import (
    ProximalGradientSubgradient as ProximalGradientSubgradient,
)
from resolvent.composite.recovery.hard_thresholding import CoSaMP as CoSaMP
from resolvent.composite.recovery.hard_thresholding import (
    HardThresholdingPursuit as HardThresholdingPursuit,
)
from resolvent.composite.recovery.hard_thresholding import (
    IterativeHardThresholding as IterativeHardThresholding,
)
from resolvent.composite.recovery.hyper_lista import HyperLISTA as HyperLISTA
from resolvent.composite.recovery.matching_pursuit import (
    OrthogonalMatchingPursuit as OrthogonalMatchingPursuit,
)
from resolvent.composite.selection.approximate_cross_validation import (
    ApproximateCrossValidation as ApproximateCrossValidation,
)
from resolvent.composite.selection.approximate_cross_validation import (
    approximate_cross_validate as approximate_cross_validate,
)
from resolvent.composite.selection.cross_validation import CrossValidation as CrossValidation
from resolvent.composite.selection.cross_validation import cross_validate as cross_validate
from resolvent.composite.selection.null_model import largest_weight as largest_weight
from resolvent.composite.selection.paths import Path as Path
from resolvent.composite.selection.paths import path as path
from resolvent.composite.selection.screening import ProvedZeros as ProvedZeros
from resolvent.composite.selection.screening import proved_zeros as proved_zeros
from resolvent.composite.separation.normalized_logistic import (
    NormalizedLogisticGradient as NormalizedLogisticGradient,
)
from resolvent.composite.separation.perceptron import BatchPerceptron as BatchPerceptron
from resolvent.composite.separation.perceptron import Perceptron as Perceptron
from resolvent.composite.sparse_recovery import SparseRecovery as SparseRecovery
from resolvent.composite.split import SplitComposite as SplitComposite
from resolvent.composite.splitting.admm import ADMM as ADMM
from resolvent.composite.splitting.gradient_projection import (
    FastGradientProjection as FastGradientProjection,
)
from resolvent.composite.splitting.pdhg import PDHG as PDHG
