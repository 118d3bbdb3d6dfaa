"""Data and functions that say what an answer is."""

import abc
import zlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax
import numpy as np

from resolvent._core.checks import finite, real_array, refuse
from resolvent._core.solution import Certificate
from resolvent._core.value import Value

Engine = Literal["traced", "host"]


class Problem(Value):
    """What an answer is. Immutable; a family's problem types derive from it.

    A subclass must give `residual` and `start`; everything else has a default that serves
    fixed points and equations of arrays.
    """

    exact_forms: ClassVar[bool] = False
    """Whether the engine's form of the data is the user's, digit by digit."""

    @abc.abstractmethod
    def residual(self, x: Any) -> Any:
        """Zero exactly at an answer; the implicit derivative is taken through it."""

    @abc.abstractmethod
    def start(self, key: Any) -> Any:
        """The default first guess."""

    def scale(self, x: Any) -> Any:
        """What a relative tolerance refers to, at the first guess."""
        return 1.0

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """Measure `x` from the problem's own data; a method's beliefs play no part."""
        residual = self.residual(x)
        total = sum((leaf * leaf).sum() for leaf in jax.tree_util.tree_leaves(residual))
        value = total**0.5
        if isinstance(value, np.floating):
            value = float(value)
        return Certificate(value=value, scale=self.scale(x))

    def admit(self, x0: Any, name: str = "x0") -> Any:
        """A user's point, checked against the problem's own, in its dtype."""
        pattern = self.start(None)
        given, wanted = jax.tree_util.tree_structure(x0), jax.tree_util.tree_structure(pattern)
        if given != wanted:
            refuse(
                ValueError, name, given=f"structure {given}", needed=f"structure {wanted}",
                advice="Give it the structure of the unknown.",
            )  # fmt: skip

        def one(leaf: Any, like: Any) -> Any:
            leaf = real_array(name, leaf)
            if leaf.shape != like.shape:
                refuse(
                    ValueError, name, given=f"shape {leaf.shape}", needed=f"shape {like.shape}",
                    advice="Give it the shape of the unknown.",
                )  # fmt: skip
            finite(name, leaf)
            return leaf.astype(like.dtype)

        return jax.tree_util.tree_map(one, x0, pattern)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """Which of a method's engines suits these data."""
        return "traced" if "traced" in engines else "host"

    def prepare(self, engine: Engine) -> "Problem":
        """The same problem with its data in the engine's form."""
        return self

    def judge(self, x: Any, witness: Any = None) -> Certificate:
        """The certificate of a point outside of solves, where `certify` may need compilation."""
        return self.certify(x, witness)

    def restore(self, x: Any) -> Any:
        """A point in the kind of array that the user's data have."""
        data = [leaf for leaf in jax.tree_util.tree_leaves(self) if hasattr(leaf, "shape")]
        if data and not any(isinstance(leaf, jax.Array) for leaf in data):
            return jax.tree_util.tree_map(np.array, x)
        return x

    def restore_witness(self, witness: Any) -> Any:
        """A witness in the kind of array that the user's data have."""
        return witness

    def optimality(self, x: Any) -> Any:
        """What the implicit derivative is taken through: zero at an answer, regular there."""
        return self.residual(x)

    def slope_solver(self, x: Any) -> Callable[[Any, bool], Any] | None:
        """A function `(target, transposed)` that solves with the derivative of `optimality` at an
        answer or with its transpose, where the problem knows better than a general solver."""
        return None

    def as_answer(self, x: Any) -> Any:
        """What a solution holds as `x` for a point: the point, or a value made of it."""
        return x

    def as_answers(self, x: Any, problems: Any) -> Any:
        """The same for the points of a batch, stacked along a leading axis."""
        return x

    def as_point(self, answer: Any) -> Any:
        """The point of an answer, which is what methods, memories and files know."""
        return answer

    def check_start(self, certificate: Certificate) -> None:
        """Refuse the certificate of a first guess from which a solve has diverged, where it was
        the guess that no method can begin at."""

    def units(self, method: Any) -> Any:
        """Other `Units` for a solve whose data are far from 1 in scale; None where they are not."""
        return None

    def form(self) -> str:
        """How the data are stored, for summaries."""
        return ""

    def lacks(self, need: str) -> str | None:
        """What is missing for a method that needs `need`, in words; None if nothing is."""
        return None

    def missing(self, needs: tuple[str, ...]) -> tuple[str, str] | None:
        """The first of a method's needs that is not met, and why; None if all are."""
        for need in needs:
            why = self.lacks(need)
            if why is not None:
                return need, why
        return None

    def default_method(self) -> Any:
        """The method of a bare `solve(problem)`."""
        refuse(
            TypeError, "method", given="none", needed=f"a method for {type(self).__name__}",
            advice="This problem type has no default: pass one.",
        )  # fmt: skip

    def adapt(self, method: Any) -> Any:
        """The method as it suits these data; the method itself unless a family wraps it."""
        return method

    def fingerprint(self, aspect: str) -> Any:
        """A value that changes when an aspect of the problem does (`size`, or the whole `data`)."""
        leaves = [leaf for leaf in jax.tree_util.tree_leaves(self) if hasattr(leaf, "shape")]
        if aspect == "size":
            return tuple((tuple(leaf.shape), str(leaf.dtype)) for leaf in leaves)
        mark = 0
        for leaf in leaves:
            mark = zlib.crc32(np.ascontiguousarray(np.asarray(leaf)).data, mark)
        return mark

    def describe(self) -> str:
        """A few words for summaries."""
        return type(self).__name__
