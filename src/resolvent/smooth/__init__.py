"""Smooth problems: minimize one function, by its gradients and its Hessians."""

from resolvent.composite.gradients.lbfgs import LBFGS as LBFGS
from resolvent.composite.gradients.nonlinear_cg import NonlinearCG as NonlinearCG
from resolvent.smooth import registry as _registry
from resolvent.smooth.registry import *  # noqa: F403

__all__ = sorted(  # pyright: ignore[reportUnsupportedDunderAll]
    ["LBFGS", "NonlinearCG", *(name for name in vars(_registry) if not name.startswith("_"))]
)
