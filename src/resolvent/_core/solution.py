"""What comes back from a solve: the point, why the loop ended, what is known about the point."""

import dataclasses
import enum
import html
import math
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from resolvent._core.history import History
from resolvent._core.value import Value


class Reason(enum.StrEnum):
    """Why the loop ended. It says nothing about the answer: that is the certificate's task."""

    running = "running"
    target = "target"
    max_steps = "max_steps"
    time = "time"
    stalled = "stalled"
    breakdown = "breakdown"
    diverged = "diverged"
    infeasible = "infeasible"
    interrupted = "interrupted"

    @property
    def code(self) -> int:
        """The integer that stands for the reason inside compiled loops."""
        return _CODES[self]

    @property
    def advice(self) -> str:
        """What to try when a solve ended for this reason without its target."""
        return _ADVICE[self]


_CODES = {reason: code for code, reason in enumerate(Reason)}
_REASONS = tuple(Reason)
_ADVICE = {
    Reason.running: "the solve has not ended",
    Reason.target: "the certificate meets its target",
    Reason.max_steps: "(a) raise max_steps; (b) use a preconditioner or another method; "
    "(c) loosen rtol",
    Reason.time: "(a) raise seconds; (b) use a preconditioner or another method; (c) loosen rtol",
    Reason.stalled: "no progress any more: (a) the precision of the data may be exhausted: loosen "
    "rtol or use float64; (b) the problem may have no answer (singular, inconsistent); "
    "(c) another method or preconditioner may go on",
    Reason.breakdown: "the method met a division that its theory excludes: (a) the problem lacks a "
    "property that the method needs; (b) the problem is singular; (c) use a more robust method",
    Reason.diverged: "the iterates grew without bound or became NaN: (a) a parameter is outside "
    "its stable range; (b) the method does not converge on this problem",
    Reason.infeasible: "there is evidence that the problem has no answer; the certificate and its "
    "details say how much, and whether it is a proof",
    Reason.interrupted: "the solve was interrupted; solve again from x0=sol.x to go on",
}


def reason_of(code: int) -> Reason:
    """The reason that an integer of a compiled loop stands for."""
    return _REASONS[int(code)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Certificate:
    """An inequality about one point, read from the problem's data and that point alone.

    It claims `value <= target`. `value` has the unit of the problem's measure, `scale` is what a
    relative tolerance refers to, and `target = max(rtol * scale, atol)`. Both may be arrays (one
    entry a right-hand side or a batch element); the claim then holds for each.

    `kind` is `bound` (proved), `residual` (necessary), `statistical` (held-out estimate, `value` is
    the upper end of its interval) or `none` (nothing is known, success is never claimed).
    """

    value: Any
    scale: Any
    target: Any = np.nan
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    kind: str = dataclasses.field(default="residual", metadata={"static": True})
    name: str = dataclasses.field(default="residual norm", metadata={"static": True})
    statement: str = dataclasses.field(
        default="||residual(x)|| <= target", metadata={"static": True}
    )

    def against(self, rtol: float, atol: float) -> "Certificate":
        """The same certificate with the target that these tolerances ask for."""
        if type(self.scale) is float and type(rtol) is float and type(atol) is float:
            target = max(rtol * self.scale, atol)
        elif any(isinstance(number, jax.Array) for number in (self.scale, rtol, atol)):
            target = jax.numpy.maximum(rtol * self.scale, atol)
        else:
            target = np.maximum(rtol * np.asarray(self.scale), atol)
        certificate = object.__new__(Certificate)
        certificate.__dict__.update(self.__dict__, target=target)
        return certificate

    def with_numbers(self, value: float, scale: float) -> "Certificate":
        """The same certificate with these for its value and scale."""
        certificate = object.__new__(Certificate)
        certificate.__dict__.update(self.__dict__, value=value, scale=scale, target=math.nan)
        return certificate

    def as_numbers(self) -> "Certificate":
        """The same certificate with its scalars as Python floats and arrays as NumPy's."""
        value, scale, target, details = jax.device_get(
            (self.value, self.scale, self.target, self.details)
        )
        return dataclasses.replace(
            self, value=_number(value), scale=_number(scale), target=_number(target),
            details={name: _number(detail) for name, detail in details.items()},
        )  # fmt: skip

    @property
    def holds(self) -> Any:
        """Whether `value <= target`, entry by entry; NaN and infinity never, kind `none` never."""
        if isinstance(self.value, float) and isinstance(self.target, float):
            return self.kind != "none" and self.value <= self.target and self.value < math.inf
        # A scale that overflows makes an infinite target: that must not bless an infinite value.
        return (self.value <= self.target) & (self.value < math.inf) & (self.kind != "none")

    @property
    def relative(self) -> Any:
        """`value / scale`, with 0/0 = 0: the worst entry, as a float when it is concrete."""
        value, scale = np.asarray(self.value, float), np.asarray(self.scale, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(value == 0, 0.0, value / scale)
        return float(np.max(ratio)) if ratio.size else 0.0

    def __str__(self) -> str:
        return f"{self.name} {self.relative:.2e} ({self.kind})"


class NotConverged(RuntimeError):
    """A solve ended without meeting its target; the point that was reached is in `solution`."""

    def __init__(self, solution: "Solution"):
        self.solution = solution
        reason = solution.reason
        super().__init__(
            f"the solve ended without its target: given {solution.problem} and {solution.method}, "
            f"it stopped with reason '{reason}' after {int(solution.steps)} steps at "
            f"{solution.certificate}, value {_worst(solution.certificate.value):.2e}; needed value "
            f"<= {_worst(solution.certificate.target):.2e}. "
            f"What to do: {getattr(reason, 'advice', '')}. "
            "The best point is in the exception's .solution; throw=False returns it instead."
        )


def _worst(value: Any) -> float:
    array = np.asarray(value, float)
    return float(array.max()) if array.size else 0.0


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Solution:
    """The point that a solve returns, with what is known about it.

    Attributes:
        x: the point, of the same kind (NumPy or JAX) and dtype as the problem's data.
        certificate: what the problem itself measured at `x`.
        steps: iterations done.
        calls: oracle calls by name, for example `{"matvec": 53}`.
        memory: what the method learned, for the next solve.
        witness: the method's by-product (dual point, multipliers, plan), or None.
        seconds: wall time of the solve (None under a JAX transformation).
        history: measure against steps, calls and seconds (None under a JAX transformation).
        notes: what happened on the way that a user should know.
    """

    x: Any
    certificate: Certificate
    reason_code: Any
    steps: Any
    calls: dict[str, Any]
    memory: Any = None
    witness: Any = None
    seconds: float | None = dataclasses.field(default=None, metadata={"static": True})
    history: History | None = dataclasses.field(default=None, metadata={"static": True})
    method: str = dataclasses.field(default="", metadata={"static": True})
    problem: str = dataclasses.field(default="", metadata={"static": True})
    engine: str = dataclasses.field(default="", metadata={"static": True})
    notes: tuple[str, ...] = dataclasses.field(default=(), metadata={"static": True})
    index: int | None = dataclasses.field(default=None, metadata={"static": True})

    def __getattr__(self, name: str) -> Any:
        """What the point itself offers, where it is more than arrays: `solution.plan` and such."""
        # Copying and unpickling ask for names before there are any fields.
        x = self.__dict__.get("x")
        if name.startswith("_") or not isinstance(x, Value):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(x, name)

    def __dir__(self) -> list[str]:
        offered = dir(self.x) if isinstance(self.x, Value) else ()
        return sorted({*super().__dir__(), *(name for name in offered if name[0] != "_")})

    @property
    def converged(self) -> Any:
        """`certificate.value <= certificate.target`; a Python bool outside transformations."""
        holds = self.certificate.holds
        if isinstance(holds, Tracer):
            return holds
        if getattr(holds, "ndim", 0):
            return np.asarray(holds)
        return bool(holds)

    @property
    def reason(self) -> Any:
        """Why the loop ended: a `Reason`, or a tuple of them for a batch."""
        if isinstance(self.reason_code, Tracer):
            return self.reason_code
        codes = np.asarray(self.reason_code)
        if codes.ndim == 0:
            return reason_of(int(codes))
        return tuple(reason_of(int(code)) for code in codes.ravel())

    @property
    def measure(self) -> float:
        """The certificate's relative value, for tables."""
        return self.certificate.relative

    def plot(self, against: str = "steps", **options: Any) -> Any:
        """The residual on a log scale against `steps`, `calls` or `seconds`; returns the axes."""
        from resolvent._core.plot import plot_histories

        return plot_histories([self], against=against, **options)

    def summary(self) -> dict[str, Any]:
        """The facts of the solve as plain Python values, ready for JSON."""
        certificate = self.certificate
        return {
            "problem": self.problem,
            "method": self.method,
            "engine": self.engine,
            "converged": bool(np.all(self.converged)),
            "reason": str(self.reason) if not isinstance(self.reason, tuple) else
            [str(reason) for reason in self.reason],
            "certificate": {
                "name": certificate.name,
                "kind": certificate.kind,
                "value": _worst(certificate.value),
                "target": _worst(certificate.target),
                "relative": certificate.relative,
                **{name: _plain(value) for name, value in certificate.details.items()},
            },
            "steps": int(np.max(np.asarray(self.steps))),
            "calls": {name: int(np.max(np.asarray(n))) for name, n in self.calls.items()},
            "seconds": self.seconds,
            "notes": list(self.notes),
        }  # fmt: skip

    def _lines(self) -> list[tuple[str, str]]:
        facts = self.summary()
        certificate = facts["certificate"]
        verdict = "converged" if facts["converged"] else "not converged"
        calls = ", ".join(f"{count} {name}" for name, count in facts["calls"].items())
        seconds = "" if self.seconds is None else f" in {self.seconds:.3g} s"
        lines = [
            ("problem", facts["problem"]),
            ("method", f"{facts['method']} ({facts['engine']})"),
            ("result", f"{verdict}, reason {facts['reason']}, {facts['steps']} steps{seconds}"),
            (
                "certificate",
                f"{certificate['name']} {certificate['relative']:.2e} ({certificate['kind']}): "
                f"{certificate['value']:.3e} against target {certificate['target']:.3e}",
            ),
        ]
        lines += [
            (name, f"{value:.3e}" if isinstance(value, float) else str(value))
            for name, value in certificate.items()
            if name not in ("name", "kind", "value", "target", "relative")
        ]
        if calls:
            lines.append(("calls", calls))
        lines += [("note", note) for note in self.notes]
        return lines

    def __str__(self) -> str:
        if any(isinstance(leaf, Tracer) for leaf in jax.tree_util.tree_leaves(self)):
            return f"Solution(traced, method={self.method})"
        width = max(len(name) for name, _ in self._lines())
        return "\n".join(f"{name:>{width}}  {text}" for name, text in self._lines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:right'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        return f"<table>{rows}</table>"


def _number(value: Any) -> Any:
    if np.ndim(value):
        return value
    return bool(value) if np.asarray(value).dtype == bool else float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array.tolist()
