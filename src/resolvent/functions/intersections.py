"""Intersections of sets, by algorithms that project onto each."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import one_of, refuse
from resolvent._core.value import static
from resolvent.functions.function import ConvexSet
from resolvent.functions.iterated import IteratedSet, in_precision

_ALGORITHMS = "dykstra", "douglas-rachford"


class Intersection(IteratedSet):
    """The points that several sets have in common.

    Both algorithms find the nearest point, not just some point: with p_i normal to the set i at
    its projection, and x - sum p_i the answer. Dykstra's projects onto one set after the other,
    Douglas-Rachford's onto all at once, from the mean of x and their corrected answers. They end
    when a round changes the corrections by no more than the tolerance, relative to 1 + the length
    of the answer.

    Args:
        parts: the sets; their intersection must not be empty.
        algorithm: "dykstra" or "douglas-rachford".
        rtol: positive; None for the rounding error to the power 2/3: 4e-11 or 2e-5.
        max_steps: limit of rounds; where it cuts the iteration short, the value of the point that
            comes back is infinite.

    Raises:
        TypeError: for a part that is no set.
        ValueError: for no part, another algorithm, or a tolerance or limit out of range.

    Cost: one projection onto each set a round. Rounds depend on the angles of the sets: few for
        polyhedra, many for sets that hardly touch.

    Derivatives are those of the projection, by a linear system in the corrections.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        sets = rs.functions
        both = sets.Intersection((sets.Ball(1.0), sets.HalfSpace(jnp.array([1.0, 1.0]), 0.0)))
        x = both.project(jnp.array([3.0, 3.0]))
        assert jnp.allclose(x, 0.0, atol=1e-5)
        ```

    Reference: J. P. Boyle, R. L. Dykstra (1986), A method for finding projections onto the
    intersection of convex sets in Hilbert spaces; P.-L. Lions, B. Mercier (1979), Splitting
    algorithms for the sum of two nonlinear operators; E. G. Birgin, M. Raydan (2005), Robust
    stopping criteria for Dykstra's algorithm.
    """

    parts: tuple[Any, ...]
    algorithm: str = static("dykstra")

    def __post_init__(self) -> None:
        vars(self)["parts"] = parts = tuple(self.parts)
        if not parts:
            refuse(
                ValueError, "parts", given="no set", needed="at least one",
                advice="Take Everything for no constraint.",
            )  # fmt: skip
        for part in parts:
            if not getattr(part, "is_set", False):
                refuse(
                    TypeError, "parts", given=f"a {type(part).__name__}", needed="ConvexSets",
                    advice="See resolvent.functions for sets.",
                )  # fmt: skip
        one_of("algorithm", self.algorithm, _ALGORITHMS)
        self._check_limits()

    def violation(self, x: Any) -> Any:
        distances = [trees.norm(trees.minus(x, part.nearest(x))) for part in self.parts]
        return jnp.stack(distances).max()

    def project(self, x: Any) -> Any:
        return _common(in_precision(self, jnp.result_type(*trees.leaves(x))), x)

    def diameter(self) -> Any:
        """At most that of the smallest set."""
        return min(getattr(part, "diameter", lambda: float("inf"))() for part in self.parts)

    def bounded(self) -> bool:
        return any(isinstance(part, ConvexSet) and part.bounded() for part in self.parts)

    def check(self, point: Any) -> None:
        for part in self.parts:
            part.check(point)


@jax.jit
def _common(sets: Intersection, x: Any) -> Any:
    """The projection, as the root of what Douglas-Rachford's iteration changes."""
    parts, number = sets.parts, len(sets.parts)
    dtype = jnp.result_type(*trees.leaves(x))
    rtol = sets.tolerance(dtype)
    # The distance to a set is at most twice the sum of the changes.
    share, rounding = 0.5 * rtol / number, jnp.finfo(dtype).eps * trees.norm(x)

    def judged(changes: Any, near: Any) -> Any:
        return trees.norm(changes) / jnp.maximum(share * (1.0 + trees.norm(near)), 8 * rounding)

    def center(points: Any) -> Any:
        """The mean of x and the mean of the points."""
        terms = [(0.5 / number, point) for point in points]
        return trees.combined((0.5, x), *terms)

    def round_(points: Any) -> Any:
        middle = center(points)
        reflected = [trees.combined((2.0, middle), (-1.0, point)) for point in points]
        return tuple(
            trees.minus(part.nearest(point), middle)
            for part, point in zip(parts, reflected, strict=True)
        )

    def reflections(change: Any, points: Any) -> Any:
        del change
        changes = round_(points)
        moved = tuple(trees.plus(p, 1.0, c) for p, c in zip(points, changes, strict=True))
        return judged(changes, center(moved)), moved

    def cycle(change: Any, state: Any) -> Any:
        del change
        near, normals = state
        changes, turned = [], []
        for part, normal in zip(parts, normals, strict=True):
            moved = trees.plus(near, 1.0, normal)
            near = part.nearest(moved)
            turned.append(trees.minus(moved, near))
            changes.append(trees.minus(turned[-1], normal))
        return judged(changes, near), (near, tuple(turned))

    def iterated(step: Any, start: Any) -> Any:
        def goes_on(carry: Any) -> Any:
            done, (change, _) = carry
            return (done < sets.max_steps) & (change > 1)

        def advance(carry: Any) -> Any:
            done, (change, state) = carry
            return done + 1, step(change, state)

        state = 0, (jnp.full_like(trees.norm(x), jnp.inf), start)
        return jax.lax.while_loop(goes_on, advance, state)[1][1]

    def solve(_: Any, start: Any) -> Any:
        if sets.algorithm == "douglas-rachford":
            return iterated(reflections, start)
        zeros = tuple(trees.zeros(x) for _ in parts)
        near, normals = iterated(cycle, (x, zeros))
        return tuple(trees.plus(near, -float(number), normal) for normal in normals)

    def tangent(linear: Any, right: Any) -> Any:
        # Corrections need not be unique, the point is: the least-squares ones will do.
        back = jax.linear_transpose(linear, right)

        def normal(direction: Any) -> Any:
            return back(linear(direction))[0]

        def conjugate_gradients(product: Any, right: Any) -> Any:
            return jax.scipy.sparse.linalg.cg(product, right, tol=rtol)[0]

        return jax.lax.custom_linear_solve(
            normal, back(right)[0], conjugate_gradients, symmetric=True
        )

    return center(jax.lax.custom_root(round_, (x,) * number, solve, tangent))
