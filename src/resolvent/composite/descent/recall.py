"""What coordinate descent remembers of coefficients, and what it makes of what it is given."""

from typing import Any

import numpy as np


def packed(w: Any) -> dict[str, Any]:
    """The coefficients that are not zero, and where they are."""
    on = np.flatnonzero(w != 0)
    return {"size": int(w.size), "places": on, "values": w[on]}


def unpacked(value: Any, like: Any) -> Any:
    """The vector that was packed, if it is one in the place of `like`; else None."""
    if not isinstance(value, dict) or set(value) != {"size", "places", "values"}:
        return None
    size, places, values = (np.asarray(value[name]) for name in ("size", "places", "values"))
    if size.shape or size != like.size or not _are_places(places, like.size):
        return None
    if values.shape != places.shape or values.dtype.kind != "f" or not np.isfinite(values).all():
        return None
    w = np.zeros_like(like)
    w[places] = values
    return w


def _are_places(places: Any, size: int) -> bool:
    """Whether these are indices of some of so many things, none of them twice."""
    if not isinstance(places, np.ndarray) or places.ndim != 1 or places.dtype.kind not in "iu":
        return False
    inside = not places.size or 0 <= places.min() <= places.max() < size
    return bool(inside and np.unique(places).size == places.size)
