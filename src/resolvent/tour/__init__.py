"""Real problems from installed packages, solved beside the usual tools: `resolvent tour`.

A stop is a function that solves one problem with several methods and returns a `Section`; the list
of stops is in `run.py`.
"""

from importlib.util import find_spec

_PACKAGES = {
    "ot": "POT", "pyamg": "PyAMG", "skimage": "scikit-image", "sklearn": "scikit-learn",
}  # fmt: skip


def missing_packages() -> list[str]:
    """The packages that the tour needs and that are not installed, by their names."""
    return [name for module, name in _PACKAGES.items() if find_spec(module) is None]
