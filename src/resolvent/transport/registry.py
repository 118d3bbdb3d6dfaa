"""Everything public of the family, one line each: methods, problems, costs, tools."""

from resolvent.transport.average import Barycenter as Barycenter
from resolvent.transport.average import BarycenterPotentials as BarycenterPotentials
from resolvent.transport.barycenter import EntropicBarycenter as EntropicBarycenter
from resolvent.transport.bregman import BregmanProjections as BregmanProjections
from resolvent.transport.costs import Cost as Cost
from resolvent.transport.costs import DenseCost as DenseCost
from resolvent.transport.costs import GridCost as GridCost
from resolvent.transport.costs import PointCost as PointCost
from resolvent.transport.coupling import Coupling as Coupling
from resolvent.transport.coupling import Potentials as Potentials
from resolvent.transport.divergence import Divergence as Divergence
from resolvent.transport.divergence import sinkhorn_divergence as sinkhorn_divergence
from resolvent.transport.exact import ExactPlan as ExactPlan
from resolvent.transport.exact import exact_transport as exact_transport
from resolvent.transport.greenkhorn import Greenkhorn as Greenkhorn
from resolvent.transport.problem import EntropicTransport as EntropicTransport
from resolvent.transport.rounding import Rounded as Rounded
from resolvent.transport.rounding import round_plan as round_plan
from resolvent.transport.schrodinger.plot import plot_bridges as plot_bridges
from resolvent.transport.schrodinger.problem import SchrodingerBridge as SchrodingerBridge
from resolvent.transport.schrodinger.process import BridgedProcess as BridgedProcess
from resolvent.transport.schrodinger.process import Trajectories as Trajectories
from resolvent.transport.schrodinger.references import Brownian as Brownian
from resolvent.transport.schrodinger.references import GradientField as GradientField
from resolvent.transport.schrodinger.references import LinearDrift as LinearDrift
from resolvent.transport.schrodinger.references import LotkaVolterra as LotkaVolterra
from resolvent.transport.schrodinger.references import ReferenceFamily as ReferenceFamily
from resolvent.transport.schrodinger.references import Repressilator as Repressilator
from resolvent.transport.schrodinger.refinement import (
    IterativeReferenceRefinement as IterativeReferenceRefinement,
)
from resolvent.transport.sinkhorn import Sinkhorn as Sinkhorn
from resolvent.transport.sinkhorn_newton_sparse import (
    SinkhornNewtonSparse as SinkhornNewtonSparse,
)
