"""Quadratic models on few coordinates, minimized with a separable penalty."""

from typing import Any

import numpy as np

from resolvent.composite.descent import kernels_descent as kernels
from resolvent.composite.descent.separable import Separable

_EPOCHS = 5  # between two steps on the support
_CALL = 50_000  # products that take as long as a call
_ROUNDS = 50
_DEPTH = 5  # iterates that are extrapolated
_HALVINGS = 4


def by_gram(
    penalty: Separable, gram: Any, g: Any, w: Any, least: float, newton: bool, exact: bool
) -> tuple[int, int]:
    """Minimize w^T gram w / 2 plus the penalty, with the gradient g kept beside w; in place.

    Descends by epochs until signs stay, steps to the minimizer on the present support, and so on.
    Ends when an epoch gains no more than `least`, but where the minimum is to be `exact` not before
    a step of the second kind: without it, a small gain may only mean slow progress. Returns the
    numbers of epochs and of systems solved.
    """
    epochs = systems = 0
    gain = np.inf
    # As many as cost no more than to call them.
    some = max(_EPOCHS, min(_CALL // w.size**2, 10 * _EPOCHS))
    for _ in range(_ROUNDS):
        # A system on the support costs about as much as so many epochs.
        alive = int(np.count_nonzero(w))
        most = max(some, alive * alive // (25 * w.size)) if newton else some
        for _ in range(0, most, some):
            signs = np.sign(w)
            gain = kernels.gram_epochs(
                penalty.kind, penalty.gamma, gram, g, w, penalty.bars, penalty.free, some, least
            )
            epochs += some
            if gain <= least or np.array_equal(signs, np.sign(w)):
                break
        if gain <= least and (systems or not (newton and exact)):
            break
        if newton:
            systems += 1
            newton = _to_support_minimizer(penalty, gram, g, w)
    return epochs, systems


def _to_support_minimizer(penalty: Separable, gram: Any, g: Any, w: Any) -> bool:
    """Move to the minimizer among points of the same signs, or towards it; False if it fails."""
    support = np.flatnonzero((w != 0) | penalty.smooth_at_zero())
    if not support.size:
        return True
    old = w[support]
    own = penalty._replace(bars=penalty.bars[support])
    slope, bend = own.derivatives(old)
    system = np.empty((support.size,) * 2, gram.dtype)
    kernels.gathered(gram, support, system)
    system[np.diag_indices(support.size)] += bend
    turn = solved(system, -(g[support] + slope))
    if turn is None:
        return False
    before, move = own.value(old), np.zeros_like(w)
    for halving in range(_HALVINGS):
        new = own.kept_signs(old, old + 0.5**halving * turn)
        move[support] = new - old
        change = gram @ move
        if (g + 0.5 * change) @ move + own.value(new) <= before:
            w[support] = new
            g += change
            return True
    return True


def solved(system: Any, right: Any) -> Any:
    """The solution of a system that may be singular, by its lower triangle; None where that is
    not positive definite.

    By NumPy as all that is dense here: SciPy brings BLAS threads of its own, and while some work
    the others wait busily.
    """
    diagonal = system.diagonal().copy()
    ridge = np.finfo(system.dtype).eps * max(diagonal.max(), 0.0)
    for _ in range(2):
        ridge *= 100
        system[np.diag_indices(diagonal.size)] = diagonal + ridge
        try:
            factor = np.linalg.cholesky(system)
        except np.linalg.LinAlgError:
            continue
        found = np.array(right)
        kernels.substituted(factor, found)
        if np.isfinite(found).all():
            return found
    return None


class Columns:
    """A model whose Gram matrix is not formed: g . d + sum of weights (X d)^2 / 2 + ridge.

    Args:
        block: dense columns [n, k], or the (data, rows, starts) of a sparse X.
        chosen: the columns of the sparse X.
        squares: [k], the sums of weights X^2 over the columns.
        weights: [n].
        ridge: times w^2 / 2, intercept apart.
        free: 1 where the first of w is an intercept, else 0.
    """

    def __init__(
        self, block: Any, chosen: Any, squares: Any, weights: Any, ridge: float, free: int
    ):
        self.block: Any = block
        self.chosen, self.weights, self.ridge = chosen, weights, ridge
        self.curvatures = np.append([weights.sum()] * free, squares + ridge)
        self.curvatures = self.curvatures.astype(weights.dtype)
        self.free = free

    def epochs(
        self, penalty: Separable, g: Any, w: Any, fit: Any, number: int, least: float
    ) -> float:
        """Some epochs of descent, in place; the gain of the last one."""
        shared: Any = (
            self.curvatures, self.ridge, self.weights, fit, g, w, penalty.bars, number, least,
        )  # fmt: skip
        dense = isinstance(self.block, np.ndarray)
        run: Any = kernels.dense_epochs if dense else kernels.sparse_epochs
        parts = (self.block,) if dense else (*self.block, self.chosen)
        return run(penalty.kind, penalty.gamma, *parts, *shared)

    def value(self, penalty: Separable, g: Any, w: Any, base: Any, fit: Any) -> float:
        """The model at w."""
        own = w[self.free :]
        ridge = 0.5 * self.ridge * (own @ own)
        quadratic = g @ (w - base) + 0.5 * (self.weights * fit * fit).sum()
        return float(quadratic + ridge) + penalty.value(w)


def by_columns(
    model: Columns, penalty: Separable, g: Any, w: Any, fit: Any, least: float, extrapolate: bool
) -> int:
    """Minimize a model from w, where fit = 0; in place. Returns the number of epochs.

    Epochs of descent, and after every few of them their extrapolation where it is lower.
    """
    base, epochs = w.copy(), 0
    points, fits = [], []
    for _ in range(_ROUNDS):
        for _ in range(_DEPTH):
            gain = model.epochs(penalty, g, w, fit, 1, least)
            epochs += 1
            if gain <= least:
                return epochs
            points.append(w.copy())
            fits.append(fit.copy())
        if extrapolate:
            _extrapolated(model, penalty, g, w, base, fit, points, fits)
        points, fits = [], []
    return epochs


def _extrapolated(
    model: Columns, penalty: Separable, g: Any, w: Any, base: Any, fit: Any, points: Any, fits: Any
) -> None:
    moves = np.diff(points, axis=0)
    # Not by BLAS, whose threads cost more than they give here.
    inner = np.einsum("ik,jk->ij", moves, moves)
    try:
        shares = np.linalg.solve(
            inner + 1e-10 * np.trace(inner) * np.eye(len(inner)), np.ones(len(inner))
        )
    except np.linalg.LinAlgError:
        return
    shares = shares / shares.sum()
    if not np.isfinite(shares).all():
        return
    new = np.einsum("i,ij->j", shares, points[1:])
    new_fit = np.einsum("i,ij->j", shares, fits[1:])
    if penalty.kind == kernels.NONNEGATIVE and (new[penalty.free :] < 0).any():
        return
    if model.value(penalty, g, new, base, new_fit) < model.value(penalty, g, w, base, fit):
        w[:], fit[:] = new, new_fit
