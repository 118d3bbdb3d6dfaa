"""Errors for bad input: one place, one voice.

Every message has the same three parts: what was given, what is needed, what to do.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import jax
import numpy as np
from jax.core import Tracer


def refuse(kind: type[Exception], name: str, *, given: str, needed: str, advice: str) -> NoReturn:
    """Raise `kind` with the message that every refusal of the library has."""
    raise kind(f"{name}: given {given}; needed {needed}. {advice}")


_PLAIN = {int, float, bool, str, type(None), np.ndarray, np.float64}
_OPAQUE: set[type] = set()  # types that JAX takes for leaves, as they were met


def is_traced(tree: Any) -> bool:
    """Whether any leaf of `tree` is an abstract value of a JAX transformation."""
    kind = type(tree)
    if kind in _PLAIN or kind in _OPAQUE:
        return False
    if isinstance(tree, jax.Array):
        return isinstance(tree, Tracer)
    if isinstance(tree, tuple):
        items = tree
    elif kind is dict:
        items = tree.values()
    elif hasattr(kind, "children"):
        fields = tree.__dict__
        items = [fields[name] for name in kind.children]
    elif hasattr(kind, "__dataclass_fields__"):
        items = tree.__dict__.values()
    else:
        items = None
    if items is not None:
        for item in items:  # noqa: SIM110 -- a plain loop: this is asked at every solve
            if type(item) not in _PLAIN and is_traced(item):
                return True
        return False
    leaves = jax.tree_util.tree_leaves(tree)
    if len(leaves) == 1 and leaves[0] is tree and not isinstance(tree, Tracer):
        _OPAQUE.add(kind)  # a leaf of this type is no array, and so never an abstract one
        return False
    return any(isinstance(leaf, Tracer) for leaf in leaves)


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments, as far as it tells."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # built in, without a signature
        return True
    return True


def real_array(name: str, value: Any) -> Any:
    """`value` as a floating array of its own kind (NumPy or JAX); integers become float64.

    Float16 and bfloat16 are refused: no method here is tested in them.
    """
    array = (
        value if isinstance(value, jax.Array) or type(value) is np.ndarray else _plain(name, value)
    )
    dtype = array.dtype
    if dtype == np.float64 or dtype == np.float32:
        return array
    if dtype.kind in "iub":
        if isinstance(array, jax.Array):
            return array.astype(jax.dtypes.canonicalize_dtype(np.float64))
        return array.astype(np.float64)
    real_dtype(name, dtype)
    return array


def _plain(name: str, value: Any) -> np.ndarray:
    """Lists, matrices, masked arrays and other relatives as a plain array."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        refuse(
            ValueError, name, given="a masked array that hides entries", needed="every entry",
            advice="Drop the masked rows, or fill them with .filled(value).",
        )  # fmt: skip
    try:
        return np.asarray(value).view(np.ndarray)
    except ValueError:
        refuse(
            ValueError, name, given=f"a {type(value).__name__} that is no array",
            needed="rows of one length", advice="Look at the lengths of its rows.",
        )  # fmt: skip


def real_dtype(name: str, dtype: Any) -> None:
    """Refuse a dtype that is neither float32 nor float64, in words that fit it."""
    dtype = np.dtype(dtype)
    if dtype in (np.float32, np.float64) or dtype.kind in "iub":
        return
    if dtype.kind == "c":
        advice = (
            "Split the system into real and imaginary parts: "
            "[[Re A, -Im A], [Im A, Re A]] [Re x; Im x] = [Re b; Im b]."
        )
    elif dtype.kind == "O":
        advice = "Convert it with numpy.asarray(value, dtype=float) and look at what fails."
    else:
        advice = "Convert it with .astype('float32') or .astype('float64')."
    refuse(
        TypeError, name, given=f"dtype {dtype}", needed="real numbers, float32 or float64",
        advice=advice,
    )  # fmt: skip


def finite(name: str, array: Any) -> None:
    """Refuse NaN and infinity, naming the first place; traced arrays pass."""
    if isinstance(array, Tracer):
        return
    host = np.asarray(array)
    # One pass decides nearly always; overflow of the sum alone is no fault of the data. No product
    # of vectors here: BLAS would wake threads that cost more than the check.
    with np.errstate(over="ignore", invalid="ignore"):
        if math.isfinite(host.sum()):
            return
    bad = ~np.isfinite(host)
    if not bad.any():
        return
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    refuse(
        ValueError, name,
        given=f"{int(bad.sum())} entries that are not finite, the first at {where}: {host[where]}",
        needed="finite numbers",
        advice="Find where they come from with numpy.isfinite, or drop those rows.",
    )  # fmt: skip


def nonnegative(name: str, value: float) -> float:
    """A tolerance or a limit: a real number that is not negative and not NaN."""
    if not isinstance(value, int | float | np.floating | np.integer) or isinstance(value, bool):
        refuse(
            TypeError, name, given=f"{type(value).__name__} {value!r}",
            needed="a real number", advice="Pass a Python float.",
        )  # fmt: skip
    if not 0 <= value < float("inf"):
        refuse(
            ValueError, name, given=f"{value}", needed="a finite number >= 0",
            advice=f"Pass {name}=0.0 to switch it off.",
        )  # fmt: skip
    return float(value)


def count(name: str, value: int, *, least: int = 0) -> int:
    """A number of steps or columns: an integer that is at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        refuse(
            TypeError, name, given=f"{type(value).__name__} {value!r}",
            needed="an integer", advice=f"Pass int({name}).",
        )  # fmt: skip
    if value < least:
        refuse(
            ValueError, name, given=f"{value}", needed=f"an integer >= {least}",
            advice="Raise it.",
        )  # fmt: skip
    return int(value)


def between(
    name: str, value: float, low: float, high: float, why: str, *, closed: str = ""
) -> None:
    """A parameter of an interval, open but for what `closed` names, "low", "high" or "both" ends;
    `why` says what fails outside it."""
    if isinstance(value, Tracer):
        return
    if np.ndim(value) or not isinstance(value, int | float | np.number | np.ndarray | jax.Array):
        refuse(
            TypeError, name, given=f"{type(value).__name__} {value!r}", needed="a real number",
            advice="Pass a Python float.",
        )  # fmt: skip
    within = not np.iscomplexobj(value) and (
        low < value < high or (closed in ("low", "both") and value == low)
        or (closed in ("high", "both") and value == high)
    )  # fmt: skip
    if not within:
        first, last = ("<=" if closed in (end, "both") else "<" for end in ("low", "high"))
        needed = f"{low} {first} {name} {last} {high}"
        refuse(ValueError, name, given=f"{value}", needed=needed, advice=why)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """A choice among few values."""
    allowed = tuple(allowed)
    if value not in allowed:
        refuse(
            ValueError, name, given=repr(value),
            needed="one of " + ", ".join(repr(a) for a in allowed),
            advice="Check the spelling.",
        )  # fmt: skip
