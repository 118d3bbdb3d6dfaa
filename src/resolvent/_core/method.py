"""One algorithm: its fields are its parameters, with the field's names."""

import abc
from typing import Any, ClassVar

from resolvent._core.memory import Entry, Memory
from resolvent._core.problem import Engine, Problem
from resolvent._core.value import Value


class Method(Value):
    """An iteration, without its loop: the driver owns limits, judging, recording and resuming.

    A subclass names itself and says what it solves, then gives `init`, `step`, `measure` and
    `iterate`. States are trees of arrays and numbers, so that they can be traced and saved. A host
    method may also run many steps at once in `advance`, and may change its state in place there.
    """

    name: ClassVar[str]
    solves: ClassVar[tuple[type[Problem], ...]]
    needs: ClassVar[tuple[str, ...]] = ()
    engines: ClassVar[tuple[Engine, ...]] = ("traced", "host")
    reads: ClassVar[tuple[str, ...]] = ()
    """The memory entries that `init` uses; it is given no others."""
    random: ClassVar[bool] = False
    """Whether `init` is given a key."""
    in_order: ClassVar[bool] = False
    """Whether its steps depend on the order of the unknowns."""
    ahead: ClassVar[bool] = False
    """Whether `measure` tells of an earlier point than `iterate`, which may be an answer before."""
    monitored: ClassVar[int] = 1000
    """The solve counts as stalled when no step of so many is a new best."""

    @abc.abstractmethod
    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> Any:
        """The state before the first step."""

    @abc.abstractmethod
    def step(self, problem: Any, state: Any) -> Any:
        """One iteration, pure."""

    @abc.abstractmethod
    def measure(self, problem: Any, state: Any) -> Any:
        """The method's own cheap estimate of `certificate.value`; the loop stops on it."""

    @abc.abstractmethod
    def iterate(self, problem: Any, state: Any) -> tuple[Any, Any]:
        """The current point, and a witness for the certificate or None."""

    def status(self, state: Any) -> Any:
        """0 while all is well, else the code of a `Reason`."""
        return 0

    def aim(self, state: Any, goal: Any) -> Any:
        """The state, told what `measure` is to come down to, for methods whose parts may rest."""
        return state

    def refresh(self, problem: Any, state: Any) -> Any:
        """Recompute from the data what the recurrences may have lost."""
        return state

    def calls(self, problem: Any, state: Any) -> dict[str, Any]:
        """Oracle calls so far, by name."""
        return {}

    def remember(self, problem: Any, state: Any) -> dict[str, Entry]:
        """What the next solve may use."""
        return {}

    def recall(self, problem: Any, memory: Memory) -> Memory:
        """The entries as `init` takes them, so that memories of every kind share one program."""
        return memory

    def runs_on(self) -> tuple[Engine, ...]:
        """The engines of this instance: a parameter (a preconditioner) may rule one out."""
        return self.engines

    def bind(self, problem: Any) -> "Method":
        """The method with what it sets up once a solve (factors, spectral bounds)."""
        return self

    def check(self, problem: Any) -> None:
        """Refuse parameters that the problem does not admit."""

    def limit(self, problem: Any) -> int:
        """The step limit when the user gives none."""
        return 100_000

    def fit(self, problems: Any, key: Any = None) -> "Method":
        """Train the learned parts on sample problems; a method without any returns itself."""
        return self

    def __str__(self) -> str:
        return self.name
