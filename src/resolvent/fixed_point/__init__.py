"""Fixed points x = T(x): averaged, anchored and accelerated iterations."""

from typing import TYPE_CHECKING, Any

from resolvent.fixed_point import registry as _registry
from resolvent.fixed_point.registry import *  # noqa: F403

if TYPE_CHECKING:
    from resolvent.fixed_point.adjoint import FixedPointSolver as FixedPointSolver

__all__ = sorted(  # pyright: ignore[reportUnsupportedDunderAll]
    ["FixedPointSolver", *(name for name in vars(_registry) if not name.startswith("_"))]
)


def __getattr__(name: str) -> Any:
    # It derives from a class of lineax, which only those wait for who use it.
    if name == "FixedPointSolver":
        from resolvent.fixed_point.adjoint import FixedPointSolver

        return FixedPointSolver
    raise AttributeError(f"module 'resolvent.fixed_point' has no attribute {name!r}")
