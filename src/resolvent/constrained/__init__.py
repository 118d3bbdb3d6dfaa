"""Constrained problems: a smooth function under equations, inequalities and bounds."""

from resolvent.constrained import registry as _registry
from resolvent.constrained.registry import *  # noqa: F403

__all__ = sorted(name for name in vars(_registry) if not name.startswith("_"))  # pyright: ignore[reportUnsupportedDunderAll]
