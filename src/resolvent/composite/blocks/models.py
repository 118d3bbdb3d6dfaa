"""The smooth part of an objective, as block methods ask for it: gradients and curvature."""

import abc
import functools
from typing import Any

import numpy as np
import scipy.sparse

from resolvent.composite.blocks.terms import Terms, terms_of
from resolvent.composite.design import DenseDesign
from resolvent.functions import LeastSquares

_GRAM = 1500  # columns up to which the Gram matrix of least squares is formed
_FLAT = 1e-3  # of the bound of a coordinate's curvature, which Newton steps take at least


class Model(abc.ABC):
    """A smooth f of a vector x [N], its squares of `terms.ridge` included.

    It keeps predictions z beside x where they are of use, and follows the gradient g through the
    moves of blocks. `fixed` says that f is quadratic: then bounds of curvature are exact.
    """

    size: int
    dtype: Any
    terms: Terms
    fixed: bool
    cheap: bool = False
    """Whether following the gradient costs no more than looking at all of it."""
    bounded: bool = True
    """Whether the curvature has a bound."""
    unit: float = 1.0
    """How large a curvature of 1 is, beside that of a sum over samples."""

    @abc.abstractmethod
    def predictions(self, x: Any) -> Any:
        """What is kept beside x."""

    @abc.abstractmethod
    def gradient(self, x: Any, z: Any) -> Any:
        """All of the gradient."""

    @abc.abstractmethod
    def partial(self, x: Any, z: Any, block: Any) -> Any:
        """The gradient on a block."""

    @abc.abstractmethod
    def bound(self, block: Any) -> Any:
        """A matrix above the Hessian on a block, wherever x is."""

    @abc.abstractmethod
    def hessian(self, x: Any, z: Any, block: Any) -> Any:
        """The Hessian on a block."""

    @abc.abstractmethod
    def value(self, x: Any, z: Any, g: Any = None) -> float:
        """f(x); the gradient there may spare work where it is known."""

    @abc.abstractmethod
    def moved(self, z: Any, block: Any, d: Any) -> Any:
        """The predictions after x[block] += d."""

    @abc.abstractmethod
    def follow(self, g: Any, x: Any, z: Any, block: Any, d: Any) -> Any:
        """The gradient after that move, from the one before it; in place where it can."""

    @abc.abstractmethod
    def bound_times(self, d: Any) -> Any:
        """The bound of the whole Hessian times a vector."""

    @functools.cached_property
    @abc.abstractmethod
    def lipschitz(self) -> Any:
        """[N], the curvatures of single coordinates, bounds of them where they vary."""

    @functools.cached_property
    @abc.abstractmethod
    def row_sums(self) -> Any:
        """[N], the sums of absolute values of the bound's rows."""

    @property
    def matrix(self) -> Any:
        """The Hessian by compressed columns where it is sparse, without squares; or None."""
        return None

    @functools.cached_property
    def steepest(self) -> float:
        """About the largest eigenvalue of the bound in units of its diagonal, from above."""
        root = np.sqrt(np.where(self.lipschitz > 0, self.lipschitz, 1))
        v = np.cos(np.arange(self.size) ** 2.0).astype(self.dtype)
        size = 0.0
        for _ in range(30):
            v /= np.linalg.norm(v) or 1.0
            v = self.bound_times(v / root) / root
            size = float(np.linalg.norm(v))
        return 1.1 * size


class QuadraticModel(Model):
    """x^T A x / 2 - b^T x; nothing is kept beside x."""

    fixed = cheap = True

    def __init__(self, problem: Any):
        design: Any = problem.design
        dense = isinstance(design, DenseDesign)
        self.size, self.dtype, self.b = problem.b.size, design.dtype, problem.b
        self.terms = _terms(problem.g, problem.b.shape, 0, design.dtype)
        self.dense: Any = problem.design.matrix if dense else None
        if self.dense is None:
            parts = tuple(getattr(design, name) for name in ("data", "rows", "starts"))
            self.A = scipy.sparse.csc_array(parts, shape=design.shape)
            self.A.sort_indices()
        else:
            self.A = self.dense
        self.place = np.full(self.size, -1)

    @property
    def matrix(self) -> Any:
        return self._sparse

    @functools.cached_property
    def _sparse(self) -> Any:
        sparse = scipy.sparse.csc_array(self.A)
        if not sparse.data.all():
            sparse = sparse.copy()
            sparse.eliminate_zeros()
        return sparse

    def predictions(self, x: Any) -> Any:
        return np.empty(0, self.dtype)

    def gradient(self, x: Any, z: Any) -> Any:
        return self.A @ x - self.b + self.terms.ridge * x

    def partial(self, x: Any, z: Any, block: Any) -> Any:
        return self.A[:, block].T @ x - self.b[block] + self.terms.ridge[block] * x[block]

    def bound(self, block: Any) -> Any:
        if self.dense is not None:
            H = self.dense[np.ix_(block, block)]
        else:
            from resolvent.composite.blocks import kernels_blocks as kernels

            H = np.zeros((block.size, block.size), self.dtype)
            kernels.submatrix(*_parts(self.A), block, self.place, H)
        H[np.diag_indices(block.size)] += self.terms.ridge[block]
        return H

    def hessian(self, x: Any, z: Any, block: Any) -> Any:
        return self.bound(block)

    def value(self, x: Any, z: Any, g: Any = None) -> float:
        g = self.gradient(x, z) if g is None else g
        return float(0.5 * (x @ (g - self.b)))

    def moved(self, z: Any, block: Any, d: Any) -> Any:
        return z

    def follow(self, g: Any, x: Any, z: Any, block: Any, d: Any) -> Any:
        if self.dense is not None:
            g += d @ self.dense[block]
        else:
            from resolvent.composite.blocks import kernels_blocks as kernels

            kernels.add_columns(*_parts(self.A), block, d, g)
        g[block] += self.terms.ridge[block] * d
        return g

    def bound_times(self, d: Any) -> Any:
        return self.A @ d + self.terms.ridge * d

    @functools.cached_property
    def lipschitz(self) -> Any:
        return np.asarray(self.A.diagonal()) + self.terms.ridge

    @functools.cached_property
    def row_sums(self) -> Any:
        return np.asarray(abs(self.A).sum(axis=0)).ravel() + self.terms.ridge


class LinearModel(Model):
    """The mean loss of predictions X w + c, one number a sample."""

    def __init__(self, problem: Any):
        self.problem, self.loss, self.weights = problem, problem.loss, problem.weights
        free = int(problem.intercept)
        n, p = problem.design.shape
        self.size, self.dtype = p + free, problem.design.dtype
        self.terms = _terms(problem.penalty, (p,), free, self.dtype)
        self.M = columns_of(problem)
        self.fixed = isinstance(self.loss, LeastSquares)
        self.smoothness = float(self.loss.smoothness)
        self.bounded = self.smoothness < np.inf
        self.unit = float(self.weights.max())
        self.work = np.zeros(n, self.dtype)
        self.gram: Any = None
        if self.fixed and self.size <= _GRAM:
            M = self.M
            product = M.T @ (self.weights[:, None] * M if isinstance(M, np.ndarray) else
                             scipy.sparse.diags_array(self.weights) @ M)  # fmt: skip
            self.gram = product if isinstance(product, np.ndarray) else product.toarray()
            self.cheap = True

    def predictions(self, x: Any) -> Any:
        return self.M @ x

    def gradient(self, x: Any, z: Any) -> Any:
        slope = self.weights * self.loss.slope(z, self.problem.y)
        return self.M.T @ slope + self.terms.ridge * x

    def partial(self, x: Any, z: Any, block: Any) -> Any:
        slope = self.weights * self.loss.slope(z, self.problem.y)
        return self._chosen(block).T @ slope + self.terms.ridge[block] * x[block]

    def _chosen(self, block: Any) -> Any:
        return self.M[:, block]

    def _gram(self, block: Any, weights: Any) -> Any:
        if isinstance(self.M, np.ndarray):
            X = self.M[:, block]
            return X.T @ (weights[:, None] * X)
        from resolvent.composite.blocks import kernels_blocks as kernels

        out = np.empty((block.size, block.size), self.dtype)
        kernels.gram(*_parts(self.M), block, weights, self.work, out)
        return out

    def bound(self, block: Any) -> Any:
        if self.gram is not None:
            H = self.gram[np.ix_(block, block)]
        else:
            H = self._gram(block, self.smoothness * self.weights)
        H[np.diag_indices(block.size)] += self.terms.ridge[block]
        return H

    def hessian(self, x: Any, z: Any, block: Any) -> Any:
        if self.fixed:
            return self.bound(block)
        H = self._gram(block, self.weights * self.loss.curvature(z, self.problem.y))
        own = np.diag_indices(block.size)
        if self.bounded:
            # A loss may be flat where it is steep: without any curvature there is no step.
            H[own] = np.maximum(H[own], _FLAT * (self.lipschitz - self.terms.ridge)[block])
        H[own] += self.terms.ridge[block]
        return H

    def value(self, x: Any, z: Any, g: Any = None) -> float:
        return float(self.problem.mean_loss(z) + 0.5 * (self.terms.ridge * x) @ x)

    def moved(self, z: Any, block: Any, d: Any) -> Any:
        return z + self._chosen(block) @ d

    def follow(self, g: Any, x: Any, z: Any, block: Any, d: Any) -> Any:
        if self.gram is None:
            return self.gradient(x, z)
        g += d @ self.gram[block]
        g[block] += self.terms.ridge[block] * d
        return g

    def bound_times(self, d: Any) -> Any:
        return self.M.T @ (self.smoothness * self.weights * (self.M @ d)) + self.terms.ridge * d

    @functools.cached_property
    def lipschitz(self) -> Any:
        return _column_squares(self.M, self.smoothness * self.weights) + self.terms.ridge

    @functools.cached_property
    def row_sums(self) -> Any:
        return self.smoothness * _row_sums(self.M, self.weights, self.gram) + self.terms.ridge


class MulticlassModel(Model):
    """The mean loss of k predictions a sample; x is w by rows, [p, k], and then the intercepts."""

    fixed = False

    def __init__(self, problem: Any):
        self.problem, self.loss, self.weights = problem, problem.loss, problem.weights
        p = problem.design.shape[1]
        (self.classes,) = self.loss.outputs(problem.y)
        free = self.classes * int(problem.intercept)
        self.size, self.dtype = p * self.classes + free, problem.design.dtype
        self.terms = _terms(problem.penalty, (p, self.classes), free, self.dtype)
        self.M = columns_of(problem)
        self.unit = float(self.weights.max())

    def _places(self, block: Any) -> tuple[Any, Any]:
        return block // self.classes, block % self.classes

    def _slope(self, z: Any) -> Any:
        return self.weights[:, None] * self.loss.slope(z, self.problem.y)

    def predictions(self, x: Any) -> Any:
        return self.M @ x.reshape(-1, self.classes)

    def gradient(self, x: Any, z: Any) -> Any:
        return (self.M.T @ self._slope(z)).ravel() + self.terms.ridge * x

    def partial(self, x: Any, z: Any, block: Any) -> Any:
        rows, kinds = self._places(block)
        own = np.einsum("ib,ib->b", self._chosen(rows), self._slope(z)[:, kinds])
        return own + self.terms.ridge[block] * x[block]

    def _chosen(self, rows: Any) -> Any:
        X = self.M[:, rows]
        return X if isinstance(X, np.ndarray) else X.toarray()

    def _mixed(self, block: Any, most: int) -> Any:
        """[u = v] - 1 / (classes that compete in a block), halved: a bound of softmax's Hessian."""
        kinds = block % self.classes
        return 0.5 * ((kinds[:, None] == kinds) - 1.0 / min(self.classes, most))

    def bound(self, block: Any) -> Any:
        rows, kinds = self._places(block)
        X = self._chosen(rows)
        H = (X.T @ (self.weights[:, None] * X)) * self._mixed(block, np.unique(kinds).size + 1)
        H[np.diag_indices(block.size)] += self.terms.ridge[block]
        return H.astype(self.dtype)

    def hessian(self, x: Any, z: Any, block: Any) -> Any:
        from scipy.special import softmax

        rows, kinds = self._places(block)
        X, shares = self._chosen(rows), softmax(z, axis=1)[:, kinds]
        spread = X * shares
        H = -(spread.T @ (self.weights[:, None] * spread))
        same = X.T @ (self.weights[:, None] * spread)
        H += np.where(kinds[:, None] == kinds, same, 0)
        H[np.diag_indices(block.size)] += self.terms.ridge[block]
        return H

    def value(self, x: Any, z: Any, g: Any = None) -> float:
        return float(self.problem.mean_loss(z) + 0.5 * (self.terms.ridge * x) @ x)

    def moved(self, z: Any, block: Any, d: Any) -> Any:
        rows, kinds = self._places(block)
        z = z.copy()
        np.add.at(z.T, kinds, (self._chosen(rows) * d).T)
        return z

    def follow(self, g: Any, x: Any, z: Any, block: Any, d: Any) -> Any:
        return self.gradient(x, z)

    def bound_times(self, d: Any) -> Any:
        fit = self.weights[:, None] * (self.M @ d.reshape(-1, self.classes))
        fit = 0.5 * (fit - fit.mean(axis=1, keepdims=True))
        return (self.M.T @ fit).ravel() + self.terms.ridge * d

    @functools.cached_property
    def lipschitz(self) -> Any:
        squares = _column_squares(self.M, self.weights)
        return np.repeat(0.25 * squares, self.classes).astype(self.dtype) + self.terms.ridge

    @functools.cached_property
    def row_sums(self) -> Any:
        own = (1.0 - 1.0 / self.classes) * _row_sums(self.M, self.weights, None)
        return np.repeat(own, self.classes).astype(self.dtype) + self.terms.ridge


def model_of(problem: Any) -> Model:
    """The model of a problem whose terms are known to be sums over coordinates."""
    from resolvent.composite.quadratic import Quadratic

    if isinstance(problem, Quadratic):
        return QuadraticModel(problem)
    if problem.loss.outputs(problem.y):
        return MulticlassModel(problem)
    return LinearModel(problem)


def known_terms(problem: Any) -> Terms | None:
    """The terms of a problem, or None where it is no sum over coordinates."""
    from resolvent.composite.quadratic import Quadratic

    if isinstance(problem, Quadratic):
        return terms_of(problem.g, problem.b.shape, 0, problem.design.dtype)
    shape = (problem.design.shape[1], *problem.loss.outputs(problem.y))
    return terms_of(problem.penalty, shape, 0, problem.design.dtype)


def _terms(penalty: Any, shape: tuple[int, ...], free: int, dtype: Any) -> Terms:
    found = terms_of(penalty, shape, free, dtype)
    assert found is not None  # `check` has refused the others
    return found


def columns_of(problem: Any) -> Any:
    """X of a linear model, contiguous by columns, with a column of ones last for an intercept."""
    design, n = problem.design, problem.design.shape[0]
    if isinstance(design, DenseDesign):
        X = design.matrix
        if problem.intercept:
            X = np.column_stack([X, np.ones(n, X.dtype)])
        return np.asfortranarray(X)
    X = scipy.sparse.csc_array((design.data, design.rows, design.starts), shape=design.shape)
    if problem.intercept:
        X = scipy.sparse.hstack([X, np.ones((n, 1), X.dtype)], format="csc")
    return X


def _parts(matrix: Any) -> tuple[Any, Any, Any]:
    return matrix.data, matrix.indices, matrix.indptr


def _column_squares(M: Any, weights: Any) -> Any:
    if isinstance(M, np.ndarray):
        return np.einsum("ij,ij,i->j", M, M, weights, optimize=False)
    return np.asarray(M.multiply(M).T @ weights).ravel().astype(M.dtype)


def _row_sums(M: Any, weights: Any, gram: Any) -> Any:
    """The sums over k of |sum over i of weights_i M_ij M_ik|, a slice of columns at a time."""
    if gram is not None:
        return abs(gram).sum(axis=0)
    out = np.empty(M.shape[1], M.dtype)
    width = max(1, 4_000_000 // M.shape[1])
    rows = scipy.sparse.diags_array(weights) if not isinstance(M, np.ndarray) else None
    for begin in range(0, M.shape[1], width):
        part = M[:, begin : begin + width]
        part = weights[:, None] * part if rows is None else rows @ part
        out[begin : begin + width] = np.asarray(abs(M.T @ part).sum(axis=0)).ravel()
    return out
