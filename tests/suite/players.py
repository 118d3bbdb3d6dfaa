"""The house of games with certificates: quadratic losses of players who feel each other little."""

import dataclasses
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
from suite.inclusions import SIZES, Equilibrium, Inclusions

import resolvent as rs


def sizes_of(n: int) -> tuple[int, ...]:
    """Unknowns of three players, or of one each where there are two."""
    return (1, 1) if n == 2 else (*SIZES[:2], n - sum(SIZES[:2]))


class Players(Inclusions):
    """Three players on a box, or without one, lopsided but contracting."""

    def suited(self, cls: type) -> "Players":
        """The variant for a method."""
        needs: tuple[str, ...] = cls.needs
        return Players(free="unconstrained" in needs)

    @property
    def kind(self) -> str:
        return "quadratic"

    def kinds(self, cls: type) -> list[str]:
        """Quadratic games alone: others need a certificate."""
        return ["quadratic"]

    def data(self, seed: int = 0, n: int | None = None, kind: str = "quadratic") -> Any:
        """A matrix with symmetric own blocks, and an offset."""
        n = self.size if n is None else n
        sizes, rng = sizes_of(n), np.random.default_rng([seed, 34])
        matrix = 0.3 * rng.standard_normal((n, n)) / np.sqrt(n)
        ends = np.cumsum((0, *sizes))
        spans = [slice(*pair) for pair in itertools.pairwise(ends)]
        for i, j in itertools.product(range(3), repeat=2):
            matrix[spans[i], spans[j]] *= 2.0 ** (j - i)
        for own in spans:
            root = matrix[own, own]
            matrix[own, own] = np.eye(len(root)) + root @ root.T
        return matrix, rng.standard_normal(n)

    def _written(
        self, kind: str, matrix: Any, offset: Any, start: Any, bound: float, constants: Any
    ) -> Any:
        sizes = sizes_of(offset.shape[0])
        sets = None if bound == np.inf else [rs.functions.Box(-bound, bound)] * len(sizes)
        return rs.QuadraticGame(matrix, offset, sizes=sizes, sets=sets, **constants)

    def one_unknown(self, value: float, engine: str) -> Equilibrium:
        """A game of one entry for each player."""
        free = dataclasses.replace(self, free=True)
        matrix = value * np.array([[1.0, 0.2], [-0.1, 1.0]])
        return free.wrap(matrix, np.array([-6.0, 3.0]), engine)

    def effortless(self, engine: str) -> tuple[Equilibrium, list[Any]]:
        """Nobody has anything to gain from leaving zero."""
        matrix, offset = self.data()
        sample = self.wrap(matrix, 0 * offset, engine)
        return dataclasses.replace(sample, unit=1.0), [None, sample.answer]

    def permuted(self, engine: str, dtype: Any) -> tuple[Equilibrium, Equilibrium, Any]:
        """A game, the same with each player's unknowns in another order, and how views follow."""
        matrix, offset = self.data()
        rng = np.random.default_rng(3)
        ends = np.cumsum((0, *SIZES))
        order = np.concatenate([rng.permutation(np.arange(*e)) for e in itertools.pairwise(ends)])
        plain = self.wrap(matrix, offset, engine, dtype)
        mixed = self.wrap(matrix[np.ix_(order, order)], offset[order], engine, dtype)
        return plain, mixed, lambda view: view[..., order]

    def guess(self) -> Any:
        return self._split(np.linspace(-1.0, 1.0, self.size))

    def integer_guess(self) -> Any:
        return self._split(np.arange(self.size))

    def _split(self, x: Any) -> Any:
        return tuple(np.split(x, np.cumsum(SIZES)[:-1]))

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        first, second, third = self._split(np.ones(self.size))
        points: list[tuple[Any, type]] = [
            (np.full(SIZES[0], np.nan), ValueError),
            (np.ones(SIZES[0] - 1), ValueError),
            (np.ones((SIZES[0], 1)), ValueError),
            (1.0, ValueError),
            (np.ones(0), ValueError),
            (np.ones(SIZES[0], complex), TypeError),
            ("zero", TypeError),
            (np.ones(SIZES[0], np.float16), TypeError),
        ]
        triples: list[tuple[Any, type]] = [((bad, second, third), kind) for bad, kind in points]
        return [*triples, ((first, second), ValueError), (np.ones(self.size), ValueError)]

    def view(self, x: Any) -> Any:
        """All players' variables side by side, or a batch of them."""
        return np.concatenate([np.asarray(part) for part in x], axis=-1)

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        parts, read, slope = super().scene()
        return parts, lambda x: read(jnp.concatenate(x)), slope
