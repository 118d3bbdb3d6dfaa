"""Everything public of the family, one line each: methods and problems."""

from resolvent.smooth.damped_newton import DampedNewton as DampedNewton
from resolvent.smooth.lazy_newton import LazyNewton as LazyNewton
from resolvent.smooth.polynomial_gradient import PolynomialGradient as PolynomialGradient
from resolvent.smooth.problem import Minimize as Minimize
from resolvent.smooth.trust_region import TrustRegion as TrustRegion
