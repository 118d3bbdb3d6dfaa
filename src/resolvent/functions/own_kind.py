"""NumPy's points in double precision are answered by NumPy's numbers in double precision."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from resolvent._core.checks import is_traced


def own_kind(cls: type, names: Iterable[str]) -> None:
    """Let methods that a class defines itself answer in the kind of array that they are given."""
    for name in names:
        method = vars(cls).get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            setattr(cls, name, answering(method, first=1))


def answering(function: Callable[..., Any], first: int = 0) -> Callable[..., Any]:
    """A function that answers in the kind of array that `args[first]` is of."""

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        given = args[first:]
        # JAX's points, of which compiled programs are made, pay for no more than this look.
        if not given or isinstance(given[0], jax.Array):
            return function(*args, **options)
        if not _double(given) or is_traced(args) or (options and is_traced(options)):
            return function(*args, **options)
        if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
            return _plain(function(*args, **options))
        # Numbers at once, even where a program is being compiled, of which they are constants.
        with jax.enable_x64(True), jax.ensure_compile_time_eval():
            return _plain(function(*args, **options))

    return called


def _double(args: Any) -> bool:
    """Whether arrays are all NumPy's, and some of them in double precision."""
    found = False
    for arg in args:
        kind = type(arg)
        for leaf in (arg,) if kind is np.ndarray or kind is float else jax.tree.leaves(arg):
            if isinstance(leaf, jax.Array):
                return False
            found = found or (isinstance(leaf, np.ndarray) and leaf.dtype == np.float64)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list | dict):
        return jax.tree.map(_plain, value)
    if not isinstance(value, jax.Array) or is_traced(value):
        return value
    array = np.asarray(value)
    return array if array.ndim else array[()]
