"""What houses share whose unknowns are vectors: views, first guesses, and what is none."""

from typing import Any

import jax
import numpy as np


def bad_vectors(n: int) -> list[tuple[Any, type]]:
    """What is no vector of n numbers, and how it is refused."""
    return [
        (np.full(n, np.nan), ValueError),
        (np.r_[np.ones(n - 1), np.inf], ValueError),
        (np.ones(n - 1), ValueError),
        (np.ones((n, 1)), ValueError),
        (1.0, ValueError),
        (np.ones(0), ValueError),
        (np.ones(n, complex), TypeError),
        (np.array([None] * n), TypeError),
        ("zero", TypeError),
        (np.ones(n, np.float16), TypeError),
    ]


class Vectors:
    """A house of problems with `size` unknowns."""

    size: int

    def parts(self, x: Any) -> tuple[Any, ...]:
        """The arrays that an answer consists of."""
        return tuple(jax.tree_util.tree_leaves(x))

    def view(self, x: Any) -> Any:
        """What of an answer, or of a batch of them, its problem determines."""
        return np.asarray(x)

    def guess(self) -> Any:
        """A first guess that is far from the answer."""
        return np.linspace(-1.0, 1.0, self.size)

    def integer_guess(self) -> Any:
        return np.arange(self.size)

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        return bad_vectors(self.size)


class VectorSample:
    """What referees share whose problems have a first guess, and whose answers are vectors."""

    problem: Any
    answer: Any

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(part) for part in self.problem.args]

    @property
    def like(self) -> tuple[Any, ...]:
        return (self.problem.first,)

    def view(self, x: Any) -> np.ndarray:
        return np.asarray(x)

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        away = float(np.linalg.norm(np.asarray(x, np.float64) - self.answer))
        return away / float(np.linalg.norm(self.answer))
