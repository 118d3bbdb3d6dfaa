"""Monotone inclusions, variational inequalities, saddle points and games."""

from resolvent.inclusion import registry as _registry
from resolvent.inclusion.registry import *  # noqa: F403

__all__ = sorted(name for name in vars(_registry) if not name.startswith("_"))  # pyright: ignore[reportUnsupportedDunderAll]
