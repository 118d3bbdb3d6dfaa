"""Families of reference drifts: what the refinement may choose the reference process from.

A family is a drift `b(theta, x, t)` of one point, written in `jax.numpy`, with its parameters in
one vector. Everything else (Jacobians, the fit to increments) follows from it; a new family needs
`drift`, `start` and `names`.
"""

import abc
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import nonnegative, real_array, refuse
from resolvent._core.precision import scope
from resolvent._core.value import Value, static


class ReferenceFamily(Value):
    """Drifts b(theta, x, t) of dX = b dt + sigma dW, with parameters in one vector.

    Subclasses give `drift`, `start` and `names`, and say with the class variables below what is
    known about the drift.

    Example:
        ```python
        import jax.numpy as jnp, numpy as np
        from resolvent.transport.schrodinger import ReferenceFamily

        class Spring(ReferenceFamily):
            linear = True

            def drift(self, theta, x, t):
                return -theta[0] * jnp.sin(x)

            def start(self, d):
                return np.zeros(1)

            def names(self, d):
                return ("stiffness",)

        x = np.linspace(-1.0, 1.0, 20)[:, None]
        assert np.allclose(Spring().fit(x, -3.0 * np.sin(x)), 3.0)
        ```
    """

    affine: ClassVar[bool] = False
    """Whether the drift is affine in x: then its Euler chain is Gaussian and all is exact."""
    linear: ClassVar[bool] = False
    """Whether the drift is affine in theta: then one least-squares solve fits it."""
    dimension: ClassVar[int | None] = None
    """The dimension of the state, where the family has only one."""

    @abc.abstractmethod
    def drift(self, theta: Any, x: Any, t: Any) -> Any:
        """The drift at one point x of shape (d,), in `jax.numpy`; shape (d,)."""

    @abc.abstractmethod
    def start(self, d: int) -> np.ndarray:
        """The parameters that the refinement starts from, best those of zero drift; shape (p,)."""

    @abc.abstractmethod
    def names(self, d: int) -> tuple[str, ...]:
        """One name a parameter."""

    def lower(self, d: int) -> np.ndarray:
        """Lower bounds of the parameters, -inf where there is none; shape (p,)."""
        return np.full(len(self.start(d)), -np.inf)

    def weight_decay(self) -> float:
        """The factor of |theta|^2 / 2 that is added to the objective, in nats."""
        return 0.0

    def parameters(self, theta: Any, d: int) -> dict[str, Any]:
        """The vector in readable pieces."""
        return dict(zip(self.names(d), np.asarray(theta).tolist(), strict=True))

    def check(self, d: int) -> None:
        """Refuse a state of another dimension than the family's."""
        if self.dimension not in (None, d):
            refuse(
                ValueError, "snapshots", given=f"points of dimension {d}",
                needed=f"dimension {self.dimension}, the one of {type(self).__name__}",
                advice="Choose the columns that the family describes, or another family.",
            )  # fmt: skip

    def velocities(self, theta: Any, x: Any, t: Any = 0.0) -> np.ndarray:
        """The drift at many points.

        Args:
            theta: parameters, shape (p,).
            x: points, shape (count, d).
            t: their times, a number or shape (count,).

        Returns:
            Drifts, shape (count, d).
        """
        x = np.asarray(x, np.float64)
        t = np.broadcast_to(np.asarray(t, np.float64), len(x))
        with scope(True):
            return np.asarray(_velocities(self, jnp.asarray(theta), jnp.asarray(x), jnp.asarray(t)))

    def fit(
        self, x: Any, v: Any, t: Any = 0.0, weights: Any = None, theta: Any = None
    ) -> np.ndarray:
        """Least squares of velocities: min over theta of sum w |v - b(theta, x, t)|^2 / 2.

        This is the maximum-likelihood drift of observed increments v = (x(t + h) - x(t)) / h when
        the weights are h / sigma^2.

        Args:
            x: points, shape (count, d).
            v: velocities there, shape (count, d).
            t: times, a number or shape (count,).
            weights: one a point; ones when absent.
            theta: first guess for families that are not linear in theta; `start` when absent.

        Returns:
            The parameters, within the family's bounds.

        Raises:
            ValueError: shapes that do not fit each other or the family.
        """
        from resolvent.transport.schrodinger.fitting import fit_increments

        x, v = real_array("x", x), real_array("v", v)
        if x.ndim != 2 or x.shape != v.shape:
            refuse(
                ValueError, "x, v", given=f"shapes {x.shape} and {v.shape}",
                needed="points and velocities of one shape (count, d)",
                advice="Give one row a point.",
            )  # fmt: skip
        self.check(x.shape[1])
        return fit_increments(self, x, v, t, weights, theta)


@jax.jit
def _velocities(family: Any, theta: Any, x: Any, t: Any) -> Any:
    return jax.vmap(family.drift, (None, 0, 0))(theta, x, t)


class Brownian(ReferenceFamily):
    """No drift and no parameters: the reference of the classical Schroedinger bridge.

    Example:
        ```python
        import numpy as np
        from resolvent.transport.schrodinger import Brownian
        assert Brownian().fit(np.zeros((3, 2)), np.ones((3, 2))).shape == (0,)
        ```
    """

    affine = True
    linear = True

    def drift(self, theta: Any, x: Any, t: Any) -> Any:
        return jnp.zeros_like(x)

    def start(self, d: int) -> np.ndarray:
        return np.zeros(0)

    def names(self, d: int) -> tuple[str, ...]:
        return ()


class LinearDrift(ReferenceFamily):
    """The drifts A x + b: Ornstein-Uhlenbeck processes, rotations, saddles.

    Their Euler chains are Gaussian, so that transitions, bridges and expectations are exact.

    Args:
        symmetric: only symmetric A, the gradients of quadratics.
        offset: whether there is a b.

    Example:
        ```python
        import numpy as np
        from resolvent.transport.schrodinger import LinearDrift
        A, x = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.random.default_rng(0).normal(size=(9, 2))
        family = LinearDrift()
        assert np.allclose(family.parameters(family.fit(x, x @ A.T), 2)["A"], A)
        ```
    """

    symmetric: bool = static(default=False)
    offset: bool = static(default=True)

    affine = True
    linear = True

    def _entries(self, d: int) -> tuple[np.ndarray, np.ndarray]:
        if self.symmetric:
            return np.triu_indices(d)
        rows, columns = np.indices((d, d))
        return rows.ravel(), columns.ravel()

    def _matrix(self, theta: Any, d: int) -> Any:
        rows, columns = self._entries(d)
        matrix = jnp.zeros((d, d), theta.dtype).at[rows, columns].set(theta[: len(rows)])
        return matrix.at[columns, rows].set(theta[: len(rows)]) if self.symmetric else matrix

    def drift(self, theta: Any, x: Any, t: Any) -> Any:
        d = x.shape[0]
        moved = self._matrix(theta, d) @ x
        return moved + theta[-d:] if self.offset else moved

    def start(self, d: int) -> np.ndarray:
        return np.zeros(len(self.names(d)))

    def names(self, d: int) -> tuple[str, ...]:
        rows, columns = self._entries(d)
        names = tuple(f"A{i}{j}" for i, j in zip(rows, columns, strict=True))
        return names + tuple(f"b{i}" for i in range(d)) if self.offset else names

    def parameters(self, theta: Any, d: int) -> dict[str, Any]:
        """The matrix `A` and the offset `b`."""
        theta = np.asarray(theta)
        rows, columns = self._entries(d)
        A = np.zeros((d, d))
        if self.symmetric:
            A[columns, rows] = theta[: len(rows)]
        A[rows, columns] = theta[: len(rows)]
        return {"A": A, "b": theta[-d:].copy() if self.offset else np.zeros(d)}


class LotkaVolterra(ReferenceFamily):
    """Prey x and predators y: drift (alpha x - beta x y, delta x y - gamma y), all rates >= 0.

    Example:
        ```python
        import numpy as np
        from resolvent.transport.schrodinger import LotkaVolterra
        x = np.random.default_rng(0).uniform(1.0, 5.0, (20, 2))
        theta = np.array([1.0, 0.4, 0.4, 0.1])
        family = LotkaVolterra()
        assert np.allclose(family.fit(x, family.velocities(theta, x)), theta)
        ```
    """

    linear = True
    dimension = 2

    def drift(self, theta: Any, x: Any, t: Any) -> Any:
        alpha, beta, gamma, delta = theta
        prey, predators = x
        met = prey * predators
        return jnp.stack([alpha * prey - beta * met, delta * met - gamma * predators])

    def start(self, d: int) -> np.ndarray:
        return np.zeros(4)

    def names(self, d: int) -> tuple[str, ...]:
        return ("alpha", "beta", "gamma", "delta")

    def lower(self, d: int) -> np.ndarray:
        return np.zeros(4)


class Repressilator(ReferenceFamily):
    """Three genes in a ring, each repressing the next.

    The drift of gene i is beta / (1 + (x_{i-1} / k)^n) - gamma x_i, with the ring closed.
    Concentrations below zero, which noise can reach, repress like zero.

    Args:
        half: first guess of k, the concentration of half repression.
        hill: first guess of the exponent n.

    Example:
        ```python
        import numpy as np
        from resolvent.transport.schrodinger import Repressilator
        x = np.random.default_rng(0).uniform(0.0, 5.0, (60, 3))
        theta, family = np.array([10.0, 3.0, 1.0, 1.0]), Repressilator()
        assert np.allclose(family.fit(x, family.velocities(theta, x)), theta, rtol=1e-4)
        ```
    """

    half: float = static(default=1.0)
    hill: float = static(default=2.0)

    dimension = 3

    def drift(self, theta: Any, x: Any, t: Any) -> Any:
        beta, n, k, gamma = theta
        # (x / k)^n by logarithms, whose derivatives are finite where x is zero or below.
        power = n * jnp.log(jnp.maximum(jnp.roll(x, 1), 1e-9) / jnp.maximum(k, 1e-9))
        return beta * jax.nn.sigmoid(-power) - gamma * x

    def start(self, d: int) -> np.ndarray:
        return np.array([0.0, self.hill, self.half, 0.0])

    def names(self, d: int) -> tuple[str, ...]:
        return ("beta", "n", "k", "gamma")

    def lower(self, d: int) -> np.ndarray:
        return np.array([0.0, 0.5, 1e-3, 0.0])


class GradientField(ReferenceFamily):
    """Nonparametric gradient fields: b = grad of sum_j theta_j k(x, c_j), by kernel ridge.

    The kernel is the Gaussian k(x, c) = l^2 exp(-|x - c|^2 / (2 l^2)). A field that rotates is no
    gradient and cannot be found here.

    Args:
        centres: where the kernels sit, for example some of the snapshots' points, shape
            (count, d), in the units of the state.
        bandwidth: l, in the units of the state.
        ridge: factor of |theta|^2 / 2 in the objective, in nats; what keeps the field from
            following single particles.

    Raises:
        ValueError: centres that are no matrix, a bandwidth or ridge that is not positive.

    Example:
        ```python
        import numpy as np
        from resolvent.transport.schrodinger import GradientField
        x = np.random.default_rng(0).normal(size=(200, 2))
        family = GradientField(centres=x[:30], bandwidth=1.5, ridge=1e-6)
        v = family.velocities(family.fit(x, -x), x)
        assert np.mean((v + x) ** 2) < 1e-2
        ```
    """

    centres: Any
    bandwidth: float = static(default=1.0)
    ridge: float = static(default=1e-2)

    linear = True

    def __post_init__(self) -> None:
        centres = np.asarray(real_array("centres", self.centres), np.float64)
        if centres.ndim != 2 or not len(centres):
            refuse(
                ValueError, "centres", given=f"shape {centres.shape}", needed="shape (count, d)",
                advice="Give one row a centre.",
            )  # fmt: skip
        vars(self)["centres"] = centres
        for name in ("bandwidth", "ridge"):
            if not nonnegative(name, getattr(self, name)) > 0.0:
                refuse(
                    ValueError, name, given="0", needed=f"{name} > 0",
                    advice="Without it the field is not determined.",
                )  # fmt: skip

    def check(self, d: int) -> None:
        if self.centres.shape[1] != d:
            refuse(
                ValueError, "centres", given=f"points of dimension {self.centres.shape[1]}",
                needed=f"dimension {d}, the one of the snapshots",
                advice="Take the centres from the snapshots.",
            )  # fmt: skip

    def drift(self, theta: Any, x: Any, t: Any) -> Any:
        away = self.centres - x
        height = jnp.exp(-0.5 * jnp.sum(away * away, axis=1) / self.bandwidth**2)
        return (theta * height) @ away

    def start(self, d: int) -> np.ndarray:
        return np.zeros(len(self.centres))

    def names(self, d: int) -> tuple[str, ...]:
        return tuple(f"theta{j}" for j in range(len(self.centres)))

    def weight_decay(self) -> float:
        return self.ridge
