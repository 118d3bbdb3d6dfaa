"""The check that guards the documentation finds what it should, and nothing in the package."""

import coverage_check
import public


def faults_of(value):
    return list(coverage_check.name_faults(public.Name("somewhere", "thing", value)))


def undocumented():
    return None


def without_arguments(x):
    """Do something."""


def misnamed(x):
    """Do something.

    Args:
        y: not what it is called.
    """


def without_returns() -> int:
    """Count something."""
    return 1


def complete(x, *rest, flag: bool = True) -> int:
    """Count something.

    Args:
        x: first.
        *rest: others.
        flag: whether.

    Returns:
        The count.
    """
    return 1


def test_missing_docstring_is_a_fault():
    assert faults_of(undocumented) == ["has no docstring"]


def test_inherited_docstring_of_a_class_is_a_fault():
    class Documented:
        """Something."""

    class Derived(Documented):
        pass

    assert faults_of(Documented) == []
    assert faults_of(Derived) == ["has no docstring"]


def test_missing_arguments_are_a_fault():
    assert faults_of(without_arguments) == ["has no `Args:` section"]


def test_misnamed_argument_is_two_faults():
    assert faults_of(misnamed) == [
        "does not document the arguments x",
        "documents arguments that it does not take: y",
    ]


def test_missing_returns_is_a_fault():
    assert faults_of(without_returns) == ["has no `Returns:` section"]


def test_complete_docstring_has_no_fault():
    assert faults_of(complete) == []


def test_package_is_documented():
    assert coverage_check.faults() == []
