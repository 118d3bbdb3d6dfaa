"""Constants of the players of a game: own curvature, coupling, and where they were seen."""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, count, finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.randomness import generator
from resolvent.functions import Ball, Box, Function, Product
from resolvent.inclusion.finite_games import QuadraticGame

_ROOM = 20_000_000  # numbers that the derivatives at all points may take


class BlockConstants(NamedTuple):
    """What is known of the derivative of F, block by block.

    Attributes:
        curvature: mu_i, with `<F_i(x) - F_i(y), x_i - y_i> >= mu_i ||x_i - y_i||^2` where x and y
            differ in x_i alone, shape [players].
        coupling: L_ij, Lipschitz constants of F_i in x_j, shape [players, players], zero diagonal.
        own: Lipschitz constants of F_i in x_i, shape [players].
        jacobians: derivatives [points, n, n] from which the constants come, or None.
        points: at how many points they were sampled; 0 where they hold by proof or by word.
    """

    curvature: Any
    coupling: Any
    own: Any
    jacobians: Any = None
    points: int = 0


def cube(center: Any, half_width: float) -> Product:
    """The points whose entries are no further from a game's point than half_width.

    Args:
        center: a tuple of one array a player.
        half_width: positive, in the unit of x.

    Returns:
        A region: the product of one `Box` a player.

    Raises:
        TypeError: for a center that is no tuple.
        ValueError: for a width that is not positive, or a center that is not finite.

    Example:
        ```python
        import numpy as np
        from resolvent.inclusion.block_constants import cube
        region = cube((np.zeros(2), np.ones(1)), 0.5)
        assert region.parts[1].lower == 0.5
        ```
    """
    between("half_width", half_width, 0.0, math.inf, "A cube has a positive width.")
    if not isinstance(center, tuple | list):
        refuse(
            TypeError, "center", given=f"a {type(center).__name__}", needed="a tuple of arrays",
            advice="Give one array a player.",
        )  # fmt: skip
    blocks = [real_array("center", block) for block in center]
    for block in blocks:
        finite("center", block)
    return Product([Box(block - half_width, block + half_width) for block in blocks])


def sizes_of(problem: Any) -> tuple[int, ...]:
    """How many unknowns each player has; refuses what has fewer than two players."""
    first = problem.first
    if not isinstance(first, tuple | list) or len(first) < 2:
        given = f"{len(first)}" if isinstance(first, tuple | list) else "one array for all"
        refuse(
            ValueError, "players", given=given, needed="a tuple of two blocks or more",
            advice="With one player there is no coupling: F contracts where it is strongly "
            "monotone.",
        )  # fmt: skip
    return tuple(sum(leaf.size for leaf in trees.leaves(block)) for block in first)


def block_constants(
    problem: Any,
    region: Function | None = None,
    *,
    samples: int = 256,
    grid: int = 2,
    key: Any = None,
) -> BlockConstants:
    """The players' constants: exact for a quadratic game, else sampled on a region.

    Sampled constants are the best that was seen: true curvatures may be smaller, true couplings
    larger. They cost one derivative of F a point.

    Args:
        problem: a game, or an `Inclusion` of a tuple of blocks.
        region: for other games than quadratic ones, a `Box` or `Ball` that is bounded, or a
            `Product` of them, one a player.
        samples: at how many points F is differentiated, at most, beside the center.
        grid: points along each axis of a region of boxes: its vertices, for 2. Where the grid has
            more than `samples` points, vertices and inner points are drawn instead.
        key: an integer, from which drawn points follow; None for 0.

    Returns:
        The constants.

    Raises:
        TypeError: for a region that is no Function.
        ValueError: for one player, a region of another dimension, one that is unbounded or not
            made of boxes and balls, or none where F is not affine.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.inclusion.block_constants import block_constants
        game = rs.QuadraticGame(np.array([[2.0, 3.0], [0.5, 1.0]]), sizes=(1, 1))
        found = block_constants(game)
        assert found.curvature.tolist() == [2.0, 1.0] and found.coupling[0, 1] == 3.0
        ```
    """
    sizes = sizes_of(problem)
    parts = None if region is None else region_parts(problem, region)
    if isinstance(problem, QuadraticGame):
        H = problem.F.H
        if is_traced(H):
            return of_jacobians(H[None], sizes)
        return of_jacobians(np.asarray(H, np.float64)[None], sizes)
    if parts is None:
        refuse(
            ValueError, "region", given="none for a game whose constants are not known",
            needed="a bounded region, or the constants",
            advice="Pass cube(x, half_width), or `curvature`, `coupling` and `own`; a "
            "QuadraticGame needs neither.",
        )  # fmt: skip
    if is_traced((problem, region)):
        refuse(
            TypeError, "region", given="a game or region inside a JAX transformation",
            needed="concrete numbers", advice="Sample outside of it and pass the certificate.",
        )  # fmt: skip
    points = _points(parts, problem.first, count("samples", samples, least=1), grid, key)
    room = max(1, _ROOM // sum(sizes) ** 2)
    pieces = [_jacobians(problem, points[i : i + room]) for i in range(0, len(points), room)]
    found = [of_jacobians(piece, sizes) for piece in pieces]
    return BlockConstants(
        np.min([one.curvature for one in found], axis=0),
        np.max([one.coupling for one in found], axis=0),
        np.max([one.own for one in found], axis=0),
        pieces[0] if len(pieces) == 1 else None,
        len(points),
    )


def of_jacobians(jacobians: Any, sizes: tuple[int, ...]) -> BlockConstants:
    """The constants of derivatives [points, n, n]: least curvatures, largest norms of blocks."""
    xp: Any = jnp if isinstance(jacobians, jax.Array) else np
    ends = np.cumsum((0, *sizes))
    spans = [slice(*pair) for pair in itertools.pairwise(ends)]
    curvature, norms = [], []
    for rows in spans:
        curvature.append(least_eigenvalue(jacobians[:, rows, rows]))
        norms.append(xp.stack([spectral_norm(jacobians[:, rows, columns]) for columns in spans]))
    norms = xp.stack(norms)
    own = xp.diagonal(norms)
    return BlockConstants(xp.stack(curvature), norms - xp.diag(own), own, jacobians)


def least_eigenvalue(matrices: Any) -> Any:
    """The least eigenvalue of symmetric parts, over all leading axes."""
    if not isinstance(matrices, jax.Array):
        return np.linalg.eigvalsh((matrices + matrices.swapaxes(-1, -2)) / 2).min()
    symmetric = (matrices + matrices.swapaxes(-1, -2)) / 2
    # Its derivative is that of a Rayleigh quotient, also where eigenvalues coincide.
    vector = jnp.linalg.eigh(jax.lax.stop_gradient(symmetric))[1][..., 0]
    return jnp.einsum("...i,...ij,...j->...", vector, symmetric, vector).min()


def spectral_norm(matrices: Any) -> Any:
    """The largest singular value, over all leading axes."""
    if not isinstance(matrices, jax.Array):
        return np.linalg.norm(matrices, ord=2, axis=(-2, -1)).max()
    u, _, v = jnp.linalg.svd(jax.lax.stop_gradient(matrices), full_matrices=False)
    return jnp.einsum("...i,...ij,...j->...", u[..., 0], matrices, v[..., 0, :]).max()


def given_constants(problem: Any, curvature: Any, coupling: Any, own: Any) -> BlockConstants:
    """The user's constants, checked."""
    players = len(sizes_of(problem))
    if isinstance(problem, QuadraticGame):
        refuse(
            ValueError, "curvature", given="constants of a quadratic game, which are known",
            needed="none", advice="Leave them out: they are computed from H.",
        )  # fmt: skip
    if curvature is None or coupling is None:
        refuse(
            ValueError, "curvature", given="some of the constants alone",
            needed="both `curvature` and `coupling`", advice="Or neither, and a region.",
        )  # fmt: skip
    curvature = _vector("curvature", curvature, players)
    coupling = np.asarray(real_array("coupling", coupling), np.float64)
    if coupling.shape != (players, players):
        refuse(
            ValueError, "coupling", given=f"shape {coupling.shape}",
            needed=f"shape {(players, players)}", advice="Entry i, j is that of F_i in x_j.",
        )  # fmt: skip
    finite("coupling", coupling)
    if not (coupling >= 0).all() or coupling.diagonal().any():
        refuse(
            ValueError, "coupling", given="negative numbers, or a diagonal that is not zero",
            needed="Lipschitz constants of F_i in x_j, j != i",
            advice="The own blocks are described by `curvature` and `own`.",
        )  # fmt: skip
    if own is None and problem.lipschitz is None:
        refuse(
            ValueError, "own", given="none, for a game without `lipschitz`",
            needed="Lipschitz constants of F_i in x_i", advice="They bound the step sizes.",
        )  # fmt: skip
    # No block has a larger constant than the whole.
    own = np.full(players, float(problem.lipschitz)) if own is None else own
    own = _vector("own", own, players)
    if not (own >= np.maximum(curvature, 0)).all():
        refuse(
            ValueError, "own", given="a Lipschitz constant below the curvature of its block",
            needed="own >= curvature", advice="One of both is wrong.",
        )  # fmt: skip
    return BlockConstants(curvature, coupling, own)


def region_parts(problem: Any, region: Any) -> tuple[Any, ...]:
    """A set for each player; refuses regions that are not bounded boxes and balls of the game."""
    blocks = tuple(problem.first)
    if not isinstance(region, Function):
        refuse(
            TypeError, "region", given=f"a {type(region).__name__}",
            needed="a Box or Ball, or a Product of them", advice="Try cube(x, half_width).",
        )  # fmt: skip
    if isinstance(region, Ball):
        refuse(
            ValueError, "region", given="one Ball for all players", needed="one set a player",
            advice="Use a Product of balls.",
        )  # fmt: skip
    parts = region.parts if isinstance(region, Product) else (region,) * len(blocks)
    if isinstance(region, Product):
        region.check(blocks)
    for part, block in zip(parts, blocks, strict=True):
        if not isinstance(part, Box | Ball):
            refuse(
                ValueError, "region", given=f"a {type(part).__name__}",
                needed="boxes and balls", advice="Enclose the set in a box.",
            )  # fmt: skip
        part.check(block)
        if not is_traced(part) and isinstance(part, Box):
            ends = (np.asarray(part.lower), np.asarray(part.upper))
            if not all(np.isfinite(end).all() for end in ends):
                refuse(
                    ValueError, "region", given="a box without an end", needed="a bounded region",
                    advice="Say where the constants are wanted, as by cube(x, half_width).",
                )  # fmt: skip
    return parts


def _vector(name: str, value: Any, players: int) -> np.ndarray:
    value = np.asarray(real_array(name, value), np.float64)
    if value.shape != (players,):
        refuse(
            ValueError, name, given=f"shape {value.shape}", needed=f"shape {(players,)}",
            advice="One number a player.",
        )  # fmt: skip
    finite(name, value)
    return value


def _jacobians(problem: Any, points: np.ndarray) -> np.ndarray:
    """Derivatives of F at flat points, in double precision as far as F has it."""
    with scope(needs_double(problem)):
        ready = problem.prepare("traced")
        like = jax.tree_util.tree_map(jnp.asarray, ready.first)

        def flat(vector: Any) -> Any:
            return trees.raveled(ready.operator(trees.unraveled(vector, like)))

        dtype = jnp.result_type(*trees.leaves(like))
        found = jax.jit(lambda given: jax.lax.map(jax.jacfwd(flat), given))(
            jnp.asarray(points, dtype)
        )
        found = np.asarray(found, np.float64)
    finite("F", found)
    return found


def _points(parts: Any, blocks: Any, samples: int, grid: int, key: Any) -> np.ndarray:
    """The center of a region and points of it, flat, [points, n]."""
    grid, rng = count("grid", grid, least=2), generator(key)
    ends = [_ends(part, block) for part, block in zip(parts, blocks, strict=True)]
    lower, upper = (np.concatenate([end[side] for end in ends]) for side in (0, 1))
    center, wide = (lower + upper) / 2, upper > lower
    boxes = all(isinstance(part, Box) for part in parts)
    if boxes and int(wide.sum()) * math.log(grid) <= math.log(samples) + 1e-9:
        ticks = np.linspace(0.0, 1.0, grid)
        places = np.array(list(itertools.product(ticks, repeat=int(wide.sum()))))
        points = np.tile(lower, (len(places), 1))
        points[:, wide] += places.reshape(len(places), -1) * (upper - lower)[wide]
        return np.concatenate([center[None], points])
    # Vertices, where derivatives are often extreme, and inner points.
    places = rng.random((samples, lower.size))
    places[: (samples + 1) // 2] = np.round(places[: (samples + 1) // 2])
    points, begin = lower + places * (upper - lower), 0
    for part, (low, high) in zip(parts, ends, strict=True):
        span = slice(begin, begin + low.size)
        begin += low.size
        if isinstance(part, Ball):
            draws = rng.standard_normal((samples, low.size))
            draws /= np.linalg.norm(draws, axis=1, keepdims=True)
            draws[samples // 2 :] *= rng.random((samples - samples // 2, 1)) ** (1 / low.size)
            points[:, span] = (low + high) / 2 + draws * (high - low) / 2
    return np.concatenate([center[None], points])


def _ends(part: Any, block: Any) -> tuple[np.ndarray, np.ndarray]:
    """Opposite vertices of a box, or of the box around a ball."""
    leaves = [np.asarray(leaf, np.float64) for leaf in trees.leaves(block)]
    if isinstance(part, Ball):
        centers = [0 * leaf for leaf in leaves] if part.center is None else part.center
        middle = np.concatenate([np.ravel(leaf) for leaf in trees.leaves(centers)])
        radius = float(part.radius)
        return middle - radius, middle + radius
    low, high = (
        np.concatenate([np.broadcast_to(np.asarray(end), leaf.shape).ravel() for leaf in leaves])
        for end in (part.lower, part.upper)
    )
    return low.astype(np.float64), high.astype(np.float64)
