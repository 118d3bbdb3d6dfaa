"""Entropic optimal transport: plans whose marginals and duality gap are measured, not believed.

The problem is `EntropicTransport`. Its cost may be a matrix, a function of two points that is
evaluated when it is needed (`PointCost`), or a sum over the axes of a grid (`GridCost`). What a
solve returns is a `Coupling`: two potentials, from which the plan, its marginals and its cost
follow when they are asked for.

`exact_transport` solves the problem without regularization, to compare with; `round_plan` moves
anybody's plan onto the marginals.
"""

from resolvent.transport import registry as _registry
from resolvent.transport.registry import *  # noqa: F403

__all__ = sorted(name for name in vars(_registry) if not name.startswith("_"))  # pyright: ignore[reportUnsupportedDunderAll]
