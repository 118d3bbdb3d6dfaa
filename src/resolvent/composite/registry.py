"""Everything public of the family, one line each: methods and problems."""

from resolvent.composite.coordinate_descent import CoordinateDescent as CoordinateDescent
from resolvent.composite.generalized_linear import GeneralizedLinear as GeneralizedLinear
from resolvent.composite.problem import Composite as Composite
from resolvent.composite.proximal_gradient import ProximalGradient as ProximalGradient
