"""What a method carries from one solve to the next: an explicit value, never a hidden cache."""

import dataclasses
import math
import os
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from resolvent._core.checks import refuse
from resolvent._core.value import Value, static


class Entry(Value):
    """One remembered thing.

    Args:
        value: arrays and numbers, nested in dicts and tuples.
        depends: the aspects of the problem that it is tied to, for example `("size",)` or
            `("size", "operator")`. An entry is dropped when one of them has changed.
        marks: the fingerprints of these aspects when it was made; filled in by the solve.
    """

    value: Any
    depends: tuple[str, ...] = static(default=("size",))
    marks: tuple[Any, ...] = static(default=())


class Memory(Value):
    """Named entries. Immutable: a solve takes one and returns another.

    Args:
        entries: the entries by name.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problem = rs.LinearSystem(np.diag([1.0, 2.0, 3.0]), np.ones(3))
        first = rs.solve(problem, rs.linear.GCRODR())
        first.memory.save("memory.rs")
        again = rs.solve(problem, rs.linear.GCRODR(), memory=rs.Memory.load("memory.rs"))
        ```
    """

    entries: dict[str, Entry] = dataclasses.field(default_factory=dict)

    def get(self, name: str) -> Any:
        """The value of an entry, or None."""
        entry = self.entries.get(name)
        return None if entry is None else entry.value

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def updated(self, entries: dict[str, Entry]) -> "Memory":
        """This memory with `entries` put over its own."""
        return Memory({**self.entries, **entries}) if entries else self

    def only(self, names: tuple[str, ...]) -> "Memory":
        """The entries of these names that are there."""
        return Memory({name: self.entries[name] for name in names if name in self.entries})

    def without(self, *names: str) -> "Memory":
        """This memory less some entries."""
        return Memory({n: entry for n, entry in self.entries.items() if n not in names})

    def fresh(self, problem: Any) -> tuple["Memory", list[str]]:
        """The entries that fit `problem`, and a note for each one that was dropped."""
        kept: dict[str, Entry] = {}
        notes: list[str] = []
        for name, entry in self.entries.items():
            changed = [
                aspect
                for aspect, mark in zip(entry.depends, entry.marks, strict=False)
                if problem.fingerprint(aspect) != mark
            ]
            if changed:
                notes.append(f"memory entry '{name}' dropped: {', '.join(changed)} changed")
            elif not _is_finite(entry.value):
                notes.append(f"memory entry '{name}' dropped: it holds NaN or infinity")
            else:
                kept[name] = entry
        return (self if not notes else Memory(kept)), notes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to one file, atomically, with a checksum and no pickle."""
        from resolvent._core.files import save

        save(path, self)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Memory":
        """Read what `save` wrote; a damaged or foreign file is refused in words."""
        from resolvent._core.files import load

        value = load(path)
        if not isinstance(value, Memory):
            refuse(
                ValueError, str(path), given=f"a saved {type(value).__name__}",
                needed="a saved Memory", advice="Use resolvent.load for other things.",
            )  # fmt: skip
        return value

    def __repr__(self) -> str:
        parts = []
        for name, entry in self.entries.items():
            leaves = jax.tree_util.tree_leaves(entry.value)
            size = sum(getattr(leaf, "nbytes", 8) for leaf in leaves)
            parts.append(
                f"{name}: {size / 1e3:.1f} kB, depends on {', '.join(entry.depends) or 'nothing'}"
            )
        return "Memory(" + "; ".join(parts) + ")"


def mark(entries: dict[str, Entry], problem: Any) -> dict[str, Entry]:
    """The entries with the fingerprints of the problem that they were made on."""
    return {
        name: entry
        if entry.marks or not entry.depends
        else entry.but(marks=tuple(problem.fingerprint(aspect) for aspect in entry.depends))
        for name, entry in entries.items()
    }


def _is_finite(value: Any) -> bool:
    for leaf in jax.tree_util.tree_leaves(value):
        if isinstance(leaf, Tracer | int):
            continue
        if isinstance(leaf, float):
            if not math.isfinite(leaf):
                return False
            continue
        array = np.asarray(leaf)
        # The sum decides nearly always, in half of the time; it may overflow by itself.
        suspect = array.dtype.kind == "f" and not math.isfinite(array.sum())
        if suspect and not np.isfinite(array).all():
            return False
    return True
