"""Composite problems: a smooth function plus one that is known by its proximal operator."""

from resolvent.composite import registry as _registry
from resolvent.composite.registry import *  # noqa: F403

__all__ = sorted(name for name in vars(_registry) if not name.startswith("_"))  # pyright: ignore[reportUnsupportedDunderAll]
