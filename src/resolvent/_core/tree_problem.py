"""Problems whose unknown is an array or a tree of arrays, and whose methods run compiled."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine, Problem
from resolvent._core.solution import Certificate
from resolvent._core.traced import called, judged
from resolvent._core.value import static

_FAR = 1e15  # what x grows to only where there is no answer


class TreeProblem(Problem):
    """A problem that knows its unknown by a first guess, and answers in arrays of the same kind."""

    first: Any
    unit: Any
    numpy: bool = static()

    exact_forms: ClassVar[bool] = True

    def start(self, key: Any) -> Any:
        """The user's first guess."""
        return self.first

    def scale(self, x: Any) -> Any:
        """What a relative tolerance refers to."""
        return self.unit

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """Traced."""
        return "traced"

    def prepare(self, engine: Engine) -> Any:
        """The same problem with JAX's arrays."""
        return jax.tree_util.tree_map(as_jax, self)

    def judge(self, x: Any, witness: Any = None) -> Any:
        """The certificate, as one compiled program where the data are JAX's."""
        if self.engine(("traced", "host")) == "host":
            return self.certify(x, witness)
        return called(judged, self.prepare("traced"), x, witness)

    def restore(self, x: Any) -> Any:
        """NumPy where the first guess was NumPy."""
        if self.numpy:
            return jax.tree_util.tree_map(np.array, x)
        with self.data_precision(x):
            return jax.tree_util.tree_map(jnp.asarray, x)

    def data_precision(self, *given: Any) -> Any:
        """Double precision where the first guess has it, whatever the user's setting is."""
        return scope(needs_double(self.first) and not is_traced((self, given)))

    def is_beyond(self, x: Any) -> Any:
        """Whether x has gone where it goes only if there is no answer."""
        return trees.norm(x) > _FAR * (1 + trees.norm(self.first))

    def check_start(self, certificate: Certificate) -> None:
        """Refuse a first guess at which the user's functions are not finite."""
        if not np.isfinite(certificate.value).all():
            refuse(
                ValueError, "x0",
                given=f"a point at which the {certificate.name} is {certificate.value}",
                needed="one at which the problem's functions are finite",
                advice="Look at what they return there, or begin elsewhere.",
            )  # fmt: skip

    def unknowns(self) -> int:
        """How many numbers the first guess holds."""
        return sum(int(np.prod(leaf.shape)) for leaf in trees.leaves(self.first))


def as_jax(leaf: Any) -> Any:
    """A NumPy array as JAX's; anything else as it is."""
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf


def first_guess(name: str, value: Any) -> tuple[Any, bool]:
    """A tree of finite real arrays, and whether they are NumPy's."""
    value = jax.tree_util.tree_map(lambda leaf: real_array(name, leaf), value)
    parts = trees.leaves(value)
    if not parts or not all(part.size for part in parts):
        refuse(
            ValueError, name, given="no numbers", needed="an array or a tree of arrays",
            advice="Give a value that looks like the unknown.",
        )  # fmt: skip
    for part in parts:
        finite(name, part)
    return value, all(isinstance(part, np.ndarray) for part in parts)
