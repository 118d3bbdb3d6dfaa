"""Linear systems: one, or a sequence whose members get cheaper.

What is public here is what `registry.py` imports.
"""

from resolvent.linear import registry as _registry
from resolvent.linear.registry import *  # noqa: F403

__all__ = sorted(name for name in vars(_registry) if not name.startswith("_"))  # pyright: ignore[reportUnsupportedDunderAll]
