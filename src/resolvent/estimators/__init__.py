"""Linear models with the interface of scikit-learn, which has to be installed for them."""

import importlib
from typing import TYPE_CHECKING, Any

from resolvent._core.checks import refuse

if TYPE_CHECKING:
    from resolvent.estimators.classification import LogisticRegression as LogisticRegression
    from resolvent.estimators.cross_validated import LassoCV as LassoCV
    from resolvent.estimators.cross_validated import SparseLogisticCV as SparseLogisticCV
    from resolvent.estimators.regression import ElasticNet as ElasticNet
    from resolvent.estimators.regression import GroupLasso as GroupLasso
    from resolvent.estimators.regression import HuberRegression as HuberRegression
    from resolvent.estimators.regression import Lasso as Lasso
    from resolvent.estimators.regression import MCPRegression as MCPRegression

# Names are imported at first use: nothing else of the package needs scikit-learn.
_HOMES = {
    "ElasticNet": "regression",
    "GroupLasso": "regression",
    "HuberRegression": "regression",
    "Lasso": "regression",
    "LassoCV": "cross_validated",
    "LogisticRegression": "classification",
    "MCPRegression": "regression",
    "SparseLogisticCV": "cross_validated",
}

__all__ = [
    "ElasticNet",
    "GroupLasso",
    "HuberRegression",
    "Lasso",
    "LassoCV",
    "LogisticRegression",
    "MCPRegression",
    "SparseLogisticCV",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resolvent.estimators' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"resolvent.estimators.{_HOMES[name]}")
    except ImportError as error:
        if not (error.name or "").startswith("sklearn"):
            raise
        refuse(
            ImportError, f"resolvent.estimators.{name}", given="no scikit-learn, or an old one",
            needed="scikit-learn 1.6 or newer",
            advice="Install it with pip install 'resolvent[sklearn]'.",
        )  # fmt: skip
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
