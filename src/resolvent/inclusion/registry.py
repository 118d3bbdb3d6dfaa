"""Everything public of the family, one line each: methods, problems, operators."""

from resolvent.inclusion.accelerated_optimistic_gradient import (
    AcceleratedOptimisticGradient as AcceleratedOptimisticGradient,
)
from resolvent.inclusion.accelerated_primal_dual import (
    AcceleratedPrimalDual as AcceleratedPrimalDual,
)
from resolvent.inclusion.anchored_extragradient import (
    AnchoredExtragradient as AnchoredExtragradient,
)
from resolvent.inclusion.average_constants import average_constants as average_constants
from resolvent.inclusion.bilinear import BilinearGame as BilinearGame
from resolvent.inclusion.bilinear import BilinearOperator as BilinearOperator
from resolvent.inclusion.bilinear import MatrixGame as MatrixGame
from resolvent.inclusion.block_constants import block_constants as block_constants
from resolvent.inclusion.block_constants import cube as cube
from resolvent.inclusion.certified_dynamics import CertifiedEuler as CertifiedEuler
from resolvent.inclusion.certified_dynamics import CertifiedRungeKutta as CertifiedRungeKutta
from resolvent.inclusion.comonotone import observed_comonotonicity as observed_comonotonicity
from resolvent.inclusion.composite_saddle import CompositeSaddlePoint as CompositeSaddlePoint
from resolvent.inclusion.douglas_rachford import DouglasRachford as DouglasRachford
from resolvent.inclusion.extragradient import Extragradient as Extragradient
from resolvent.inclusion.finite_games import FiniteGame as FiniteGame
from resolvent.inclusion.finite_games import QuadraticGame as QuadraticGame
from resolvent.inclusion.forward_backward import ForwardBackward as ForwardBackward
from resolvent.inclusion.forward_backward_forward import (
    ForwardBackwardForward as ForwardBackwardForward,
)
from resolvent.inclusion.forward_reflected_backward import (
    ForwardReflectedBackward as ForwardReflectedBackward,
)
from resolvent.inclusion.games import Game as Game
from resolvent.inclusion.games import SaddlePoint as SaddlePoint
from resolvent.inclusion.generators import constrained_quadratic as constrained_quadratic
from resolvent.inclusion.generators import markov_game as markov_game
from resolvent.inclusion.generators import policeman_and_burglar as policeman_and_burglar
from resolvent.inclusion.generators import shared_market as shared_market
from resolvent.inclusion.geometry import Geometry as Geometry
from resolvent.inclusion.geometry import geometry_of as geometry_of
from resolvent.inclusion.golden_ratio import GoldenRatio as GoldenRatio
from resolvent.inclusion.matrix_components import MatrixComponents as MatrixComponents
from resolvent.inclusion.matrix_components import by_components as by_components
from resolvent.inclusion.mirror_prox import MirrorProx as MirrorProx
from resolvent.inclusion.operators import AffineOperator as AffineOperator
from resolvent.inclusion.operators import FiniteSum as FiniteSum
from resolvent.inclusion.operators import FunctionOperator as FunctionOperator
from resolvent.inclusion.operators import Operator as Operator
from resolvent.inclusion.optimistic_gradient import OptimisticGradient as OptimisticGradient
from resolvent.inclusion.primal_dual import PrimalDual as PrimalDual
from resolvent.inclusion.problem import Inclusion as Inclusion
from resolvent.inclusion.proximal_point import ProximalPoint as ProximalPoint
from resolvent.inclusion.regret import dynamic_regret as dynamic_regret
from resolvent.inclusion.regret import external_regret as external_regret
from resolvent.inclusion.regret import trajectory as trajectory
from resolvent.inclusion.small_gain import SmallGain as SmallGain
from resolvent.inclusion.small_gain import small_gain as small_gain
from resolvent.inclusion.variance_reduced_baselines import (
    VarianceReducedExtragradient as VarianceReducedExtragradient,
)
from resolvent.inclusion.variance_reduced_baselines import (
    VarianceReducedForwardReflected as VarianceReducedForwardReflected,
)
from resolvent.inclusion.variance_reduced_halpern import (
    VarianceReducedHalpern as VarianceReducedHalpern,
)
from resolvent.inclusion.variance_reduced_resolvent import (
    VarianceReducedResolvent as VarianceReducedResolvent,
)
