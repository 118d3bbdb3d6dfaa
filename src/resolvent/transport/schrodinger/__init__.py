"""Schroedinger bridges through snapshots, with the reference process learned as well.

The problem is `SchrodingerBridge`: unpaired samples at several times, a known noise, and a family
of drifts. `IterativeReferenceRefinement` finds the drift of the family and the process through all
snapshots that fit each other best; what it returns, a `BridgedProcess`, draws trajectories.

Families: `Brownian` (the classical bridge), `LinearDrift`, `LotkaVolterra`, `Repressilator`,
`GradientField` (nonparametric); others are a few lines from `ReferenceFamily`.
"""

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
