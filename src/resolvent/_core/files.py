"""One file format for methods, memories and checkpoints: checked, versioned, never executed.

A file is a line of magic and format version, a line with the SHA-256 of the rest, and an
uncompressed NumPy archive whose entry `tree` is JSON (the structure) and whose other entries are
the arrays. Files are written beside their place and moved onto it, so that a reader sees the old
file or the new one, never half of one.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from resolvent._core.checks import refuse

_MAGIC = b"RESOLVENT"
_VERSION = 1


class DamagedFile(ValueError):
    """A file is not ours, was cut short or was altered."""


def save(path: str | os.PathLike[str], value: Any) -> None:
    """Write a method, a memory, or any tree of arrays, numbers and texts to one file, atomically.

    Args:
        path: where to write; an existing file is replaced only once the new one is whole.
        value: nested dicts, lists, tuples, numbers, texts, arrays, methods, memories.

    Raises:
        TypeError: for a value that a file cannot hold (a function, an open handle).

    Example:
        ```python
        import resolvent as rs
        rs.save("method.rs", rs.linear.CG())
        method = rs.load("method.rs")
        ```
    """
    arrays: list[np.ndarray] = []
    tree = _encode(value, arrays, "value")
    buffer = io.BytesIO()
    entries: dict[str, Any] = {f"a{i}": array for i, array in enumerate(arrays)}
    entries["tree"] = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **entries)
    body = buffer.getvalue()
    head = b"%s %d\n%s\n" % (_MAGIC, _VERSION, hashlib.sha256(body).hexdigest().encode())
    write_atomically(path, head + body)


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace the file at `path` by `content`, or leave it untouched."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent or ".", prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote. Nothing in the file is executed.

    Args:
        path: a file written by `save`.

    Returns:
        The value, with NumPy arrays where arrays were.

    Raises:
        DamagedFile: if the file is foreign, cut short, altered or of a newer format.
        FileNotFoundError: if there is none.

    Example:
        ```python
        import resolvent as rs
        rs.save("method.rs", rs.linear.SOR(omega=1.5))
        assert rs.load("method.rs").omega == 1.5
        ```
    """
    content = Path(path).read_bytes()
    head, _, rest = content.partition(b"\n")
    digest, _, body = rest.partition(b"\n")
    words = head.split()
    if len(words) != 2 or words[0] != _MAGIC or not words[1].isdigit():
        refuse(
            DamagedFile, str(path), given="a file that does not begin as this library's files do",
            needed="a file written by resolvent.save", advice="Check the path.",
        )  # fmt: skip
    if int(words[1]) > _VERSION:
        refuse(
            DamagedFile, str(path), given=f"format version {int(words[1])}",
            needed=f"version {_VERSION} or older", advice="Update resolvent.",
        )  # fmt: skip
    if hashlib.sha256(body).hexdigest().encode() != digest:
        refuse(
            DamagedFile, str(path), given="content that does not match its checksum",
            needed="the file as it was written",
            advice="It was cut short or altered; use the previous one or start again.",
        )  # fmt: skip
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        tree = json.loads(arrays.pop("tree").tobytes().decode())
        return _decode(tree, arrays)
    except DamagedFile:
        raise
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        refuse(
            DamagedFile, str(path), given=f"a structure that cannot be read ({error})",
            needed="a file as resolvent.save writes it", advice="Use another one.",
        )  # fmt: skip


def _encode(value: Any, arrays: list[np.ndarray], place: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
            return {"key": _encode(np.asarray(jax.random.key_data(value)), arrays, place)}
        array = np.asarray(value)
        if array.dtype.kind in "OV":
            refuse(
                TypeError, place, given=f"an array of dtype {array.dtype}",
                needed="arrays of numbers", advice="Convert it first.",
            )  # fmt: skip
        arrays.append(array)
        return {"array": len(arrays) - 1, "jax": isinstance(value, jax.Array)}
    if isinstance(value, dict):
        return {
            "dict": [
                [_encode(name, arrays, place), _encode(item, arrays, f"{place}[{name!r}]")]
                for name, item in value.items()
            ]
        }
    if isinstance(value, list | tuple | frozenset):
        items = sorted(value) if isinstance(value, frozenset) else value
        encoded = [_encode(item, arrays, f"{place}[{i}]") for i, item in enumerate(items)]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {"record": _class_name(type(value), place), "items": encoded}
        return {type(value).__name__: encoded}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _encode(getattr(value, field.name), arrays, f"{place}.{field.name}")
            for field in dataclasses.fields(value)
            if hasattr(value, field.name)
        }
        return {"module": _class_name(type(value), place), "fields": fields}
    refuse(
        TypeError, place, given=f"a {type(value).__name__}",
        needed="numbers, texts, arrays, and modules of them",
        advice="A function cannot be saved: build it again after loading.",
    )  # fmt: skip


def _class_name(cls: type, place: str) -> str:
    if "<locals>" in cls.__qualname__:
        refuse(
            TypeError, place, given=f"an instance of the local class {cls.__qualname__}",
            needed="a class defined at the top of a module",
            advice="Move the class out of the function.",
        )  # fmt: skip
    return f"{cls.__module__}:{cls.__qualname__}"


def _find_class(name: str) -> type:
    module_name, _, qualified = name.partition(":")
    if module_name not in sys.modules and module_name.split(".")[0] == "resolvent":
        # The library's own modules only define things; foreign code is never imported by a file.

        with contextlib.suppress(ImportError):
            importlib.import_module(module_name)
    found: Any = sys.modules.get(module_name)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and (dataclasses.is_dataclass(found) or _is_record(found))):
        refuse(
            DamagedFile, name, given="a class that is not loaded in this program",
            needed="a class that was imported before the file is read",
            advice=f"Run 'import {module_name}' first if you trust it.",
        )  # fmt: skip
    return found


def _is_record(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def _decode(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "float" in tree:
        return float.fromhex(tree["float"])
    if "key" in tree:
        return jax.random.wrap_key_data(jax.numpy.asarray(_decode(tree["key"], arrays)))
    if "array" in tree:
        array = arrays[f"a{tree['array']}"]
        if not tree["jax"]:
            return array
        if array.dtype.itemsize == 8 and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
            with jax.enable_x64(True):
                return jax.numpy.asarray(array)
        return jax.numpy.asarray(array)
    if "dict" in tree:
        return {_decode(name, arrays): _decode(item, arrays) for name, item in tree["dict"]}
    for name, kind in (("list", list), ("tuple", tuple), ("frozenset", frozenset)):
        if name in tree:
            return kind(_decode(item, arrays) for item in tree[name])
    if "record" in tree:
        return _find_class(tree["record"])(*(_decode(item, arrays) for item in tree["items"]))
    if "module" in tree:
        cls = _find_class(tree["module"])
        module = object.__new__(cls)
        known = {field.name for field in dataclasses.fields(cls)}
        if set(tree["fields"]) - known:
            refuse(
                DamagedFile, tree["module"],
                given=f"fields {sorted(set(tree['fields']) - known)} that this version lacks",
                needed=f"fields among {sorted(known)}", advice="Use the version that wrote it.",
            )  # fmt: skip
        for name, item in tree["fields"].items():
            object.__setattr__(module, name, _decode(item, arrays))
        return module
    raise DamagedFile(f"unknown structure {sorted(tree)} in a file of format {_VERSION}")


class Checkpoint:
    """A file that always holds a whole checkpoint, with the one before it kept beside it.

    Args:
        path: the checkpoint's place; the previous one lies at `path` + `.previous`.
    """

    def __init__(self, path: str | os.PathLike[str]):
        if not isinstance(path, str | os.PathLike):
            refuse(
                TypeError, "checkpoint", given=f"a {type(path).__name__}", needed="a path",
                advice="Pass a file name.",
            )  # fmt: skip
        self.path = Path(path)
        self.previous = self.path.with_name(self.path.name + ".previous")

    def write(self, value: Any) -> None:
        """Make `value` the newest checkpoint."""
        if self.path.exists():
            os.replace(self.path, self.previous)
        save(self.path, value)

    def read(self) -> tuple[Any, str | None]:
        """The newest whole checkpoint (None if there is none), and what was wrong with a newer."""
        complaint = None
        for place in (self.path, self.previous):
            if not place.exists():
                continue
            try:
                return load(place), complaint
            except DamagedFile as error:
                complaint = str(error)
        if complaint is not None:
            raise DamagedFile(complaint)
        return None, None

    def remove(self) -> None:
        """Delete both files: the work they stood for is done."""
        self.path.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)
