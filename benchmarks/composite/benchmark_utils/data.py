"""Matrices of samples: dense and correlated, sparse as texts are, and two real ones."""

from pathlib import Path

import numpy as np
import scipy.sparse

DENSE, SPARSE = (1000, 4000), (20_000, 50_000)
SHARED = Path(__file__).parents[4] / "shared" / "data"  # beside a checkout that has it


def regression(kind):
    """Samples and targets of a few hundred true coefficients, with a noise of a third."""
    rng = np.random.default_rng(1)
    X, true = _dense(rng) if kind == "dense" else _sparse(rng)
    w = np.zeros(X.shape[1])
    w[rng.choice(w.size, true, replace=False)] = rng.choice([-1.0, 1.0], true)
    z = X @ w
    return X, z + rng.standard_normal(z.size) * np.linalg.norm(z) / np.sqrt(z.size) / 3.0


def _dense(rng):
    X = rng.standard_normal(DENSE)
    for j in range(1, DENSE[1]):
        X[:, j] = 0.5 * X[:, j - 1] + np.sqrt(0.75) * X[:, j]
    return np.asfortranarray(X), 100


def _sparse(rng):
    n, p = SPARSE
    number = n * p // 1000
    rows, columns = rng.integers(0, n, number), rng.integers(0, p, number)
    values = np.exp(rng.standard_normal(number))
    X = scipy.sparse.csc_matrix((values, (rows, columns)), shape=(n, p))
    X.sum_duplicates()
    return X, 500


def classification(name):
    """Samples and labels -1 and 1, features in units of their deviation; None without the file."""
    if name == "a9a":
        if not (SHARED / "a9a.t").exists():
            return None
        from sklearn.datasets import load_svmlight_file

        X, y = load_svmlight_file(str(SHARED / "a9a.t"))
        return X.tocsc(), np.where(y > 0, 1.0, -1.0)
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return np.asfortranarray(X), np.where(y > 0, 1.0, -1.0)
