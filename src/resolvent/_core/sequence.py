"""Related problems one after the other: memory threads through, finished work is never redone."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from resolvent._core.checks import count, refuse
from resolvent._core.files import Checkpoint, DamagedFile, load, save
from resolvent._core.memory import Memory, mark
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Problem
from resolvent._core.progress import Progress, wanted
from resolvent._core.randomness import fold, words_of
from resolvent._core.solution import Certificate, Reason, Solution
from resolvent._core.solve import certify, check_options, signature, solve
from resolvent._core.warm import WarmStart


def solve_sequence(
    problems: Iterable[Any],
    method: Any = None,
    *,
    warm_start: WarmStart | None = None,
    memory: Memory | None = None,
    order: Sequence[int] | None = None,
    key: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    pieces: int = 1,
    progress: bool | None = None,
    callback: Callable[[Solution], Any] | None = None,
    throw: bool = False,
    **options: Any,
) -> Iterator[Solution]:
    """Solve related problems in turn; what a method learns on one serves the next.

    Streams: a generator of problems is pulled one at a time, and nothing of it is kept. Every
    solution carries its place in `index` and the memory so far in `memory`.

    Args:
        problems: the problems; a list where `order` or `pieces` is used.
        method: the method of every solve; each problem's default when absent.
        warm_start: how to make first guesses from the last solutions (`Previous`, `Extrapolated`,
            a family's own); None starts each solve cold.
        memory: memory to begin with.
        order: solve in this order (`resolvent.linear.sort_greedy` makes one); the solutions
            come in this order too.
        key: randomness; problem `i` uses the key folded with `i`.
        checkpoint: a folder that every finished solution is written to, and the newest memory; a
            later run with the same folder returns them from there (without their memory) and goes
            on behind them.
        executor: any `concurrent.futures` executor; the sequence is cut into `pieces` consecutive
            ones, each with a memory of its own.
        pieces: how many such pieces.
        progress: show a bar; None shows it in a terminal or notebook after one second.
        callback: called with every solution; a true value ends the sequence.
        throw: raise `NotConverged` at the first solve that misses its target.
        options: further arguments of `solve` (`rtol`, `max_steps`, ...).

    Yields:
        The solutions.

    Raises:
        TypeError: for an argument that `solve` does not take, or a generator where a list is
            needed.
        ValueError: for an order that is no permutation, or a checkpoint of another run.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problems = (rs.LinearSystem(np.diag([2.0, 3.0 + t]), np.ones(2)) for t in range(3))
        sols = list(rs.solve_sequence(problems, rs.linear.CG(), rtol=1e-10))
        assert all(sol.converged for sol in sols)
        ```
    """
    taken = {"x0", "rtol", "atol", "max_steps", "seconds", "adjoint"}
    if unknown := set(options) - taken:
        refuse(
            TypeError, "solve_sequence", given=f"unknown arguments {sorted(unknown)}",
            needed=f"arguments among {sorted(taken)}", advice="Check the spelling.",
        )  # fmt: skip
    count("pieces", pieces, least=1)
    if isinstance(problems, Problem) or not isinstance(problems, Iterable):
        refuse(
            TypeError, "problems", given=f"a {type(problems).__name__}",
            needed="problems one after the other, a list or a generator",
            advice="Use resolvent.solve for a single problem.",
        )  # fmt: skip
    if warm_start is not None and not isinstance(warm_start, WarmStart):
        refuse(
            TypeError, "warm_start", given=f"{warm_start!r}", needed="a WarmStart or None",
            advice="Write warm_start=resolvent.Previous().",
        )  # fmt: skip
    if executor is not None and not hasattr(executor, "submit"):
        refuse(
            TypeError, "executor", given=f"a {type(executor).__name__}",
            needed="an executor with a submit method",
            advice="Pass a concurrent.futures executor.",
        )  # fmt: skip
    check_options(key, memory, None, callback)
    if executor is None and pieces != 1:
        refuse(
            ValueError, "pieces", given=f"{pieces} without an executor",
            needed="an executor to run them on",
            advice="Pass executor=concurrent.futures.ProcessPoolExecutor().",
        )  # fmt: skip
    if order is not None or executor is not None:
        if not isinstance(problems, Sequence):
            refuse(
                TypeError, "problems", given=f"a {type(problems).__name__}",
                needed="a list when order or executor is given",
                advice="Call list(problems), or leave the order to the stream.",
            )  # fmt: skip
        if order is not None and np.asarray(order).dtype.kind not in "iu" and len(order):
            refuse(
                TypeError, "order", given=f"numbers of dtype {np.asarray(order).dtype}",
                needed="integers", advice="Use resolvent.linear.sort_greedy.",
            )  # fmt: skip
        places = list(range(len(problems))) if order is None else [int(i) for i in order]
        if sorted(places) != list(range(len(problems))):
            refuse(
                ValueError, "order", given=f"{len(places)} indices for {len(problems)} problems",
                needed="each index once", advice="Use resolvent.linear.sort_greedy.",
            )  # fmt: skip
        numbered: Iterable[tuple[int, Any]] = ((i, problems[i]) for i in places)
        total: int | None = len(places)
    else:
        numbered = enumerate(problems)
        total = len(problems) if isinstance(problems, Sequence) else None
        places = []
    chain = _Chain(method, warm_start, key, checkpoint, throw, options)
    if executor is not None:
        assert isinstance(problems, Sequence)  # checked above
        sols = _on_executor(executor, pieces, places, problems, chain, memory)
    else:
        sols = chain.run(numbered, memory)
    return _watched(sols, total, progress, callback)


def _watched(
    sols: Iterator[Solution], total: int | None, progress: bool | None, callback: Any
) -> Iterator[Solution]:
    bar = Progress("sequence") if wanted(progress) else None
    steps = 0
    try:
        for done, sol in enumerate(sols, 1):
            steps += int(np.max(np.asarray(sol.steps)))
            if bar is not None:
                bar.sequence(done, total, steps)
            yield sol
            if callback is not None and callback(sol):
                return
    finally:
        if bar is not None:
            bar.close()


class _Chain:
    """One run through consecutive problems with one memory."""

    def __init__(
        self, method: Any, warm_start: WarmStart | None, key: Any, checkpoint: Any, throw: bool,
        options: dict[str, Any],
    ):  # fmt: skip
        self.method, self.warm_start, self.key = method, warm_start, key
        self.throw, self.options = throw, options
        self.folder = None if checkpoint is None else Path(checkpoint)

    def run(self, numbered: Iterable[tuple[int, Any]], memory: Memory | None) -> Iterator[Solution]:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        known = Memory() if memory is None else memory
        ledger: Checkpoint | None = None
        before: int | None = None
        read = False
        for index, problem in numbered:
            if self.folder is not None and ledger is None:
                # One ledger a piece, named after its first system: pieces do not share memory.
                ledger = Checkpoint(self.folder / f"memory-{index:08d}.rs")
            finished = self._finished(index, problem)
            if finished is not None:
                before, read = index, True
                yield finished
                continue
            if read:
                known = self._memory_after(ledger, before, known)
                read = False
            sol = self._one(index, problem, known)
            if sol.reason is Reason.interrupted:
                # Half a solution is nobody's: it is handed out, not kept, and ends the sequence.
                yield sol
                return
            known, before = sol.memory, index
            if self.folder is not None and ledger is not None:
                # The memory first: a solution without its memory would change what comes after.
                ledger.write({"index": index, "memory": known})
                save(self._place(index), self._packed(sol, problem))
            yield sol

    def _memory_after(self, ledger: Any, index: int | None, start: Memory) -> Memory:
        """What was known after the system `index`; a killed run may have written one more."""
        for place in (ledger.path, ledger.previous):
            try:
                found = load(place)
            except (DamagedFile, FileNotFoundError):
                continue
            if isinstance(found, dict) and found.get("index") == index:
                return found["memory"]
        return start

    def _one(self, index: int, problem: Any, memory: Memory) -> Solution:
        options = dict(self.options)
        if self.warm_start is not None:
            # A start of the problem's own is given as well: one compiled program serves them all.
            with scope(needs_double(problem)):
                guess = None
                if "solutions" in memory:
                    guess = self.warm_start.guess(problem, memory.fresh(problem)[0])
                options["x0"] = problem.start(None) if guess is None else guess
        sol = solve(
            problem, self.method, key=fold(self.key, index), memory=memory, progress=False,
            throw=self.throw, **options,
        )  # fmt: skip
        memory = sol.memory
        if self.warm_start is not None:
            last = self.warm_start.remember(memory, problem.as_point(sol.x))
            memory = memory.updated(mark(last, problem))
        # replace() would run through every field's tree; the index and memory are all that change.
        object.__setattr__(sol, "index", index)
        object.__setattr__(sol, "memory", memory)
        return sol

    def _place(self, index: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{index:08d}.rs"

    def _finished(self, index: int, problem: Any) -> Solution | None:
        if self.folder is None or not self._place(index).exists():
            return None
        try:
            packed = load(self._place(index))
        except DamagedFile:
            return None  # solved again, and written anew
        if packed["mark"] != self._mark(problem):
            refuse(
                ValueError, "checkpoint",
                given=f"{self._place(index)}, written for another problem",
                needed=f"solutions of this sequence: {problem.describe()}",
                advice="Give another folder, or delete this one to start afresh.",
            )  # fmt: skip
        # What was certified then is measured again now: tolerances may be tighter, and a function
        # that stands for a matrix leaves no fingerprint.
        found = _unpacked(packed, problem)
        rtol, atol = self.options.get("rtol", 1e-6), self.options.get("atol", 0.0)
        certificate = certify(problem, found.x, found.witness, rtol=rtol, atol=atol)
        if not certificate.holds and (found.converged or packed["options"] != str(self.options)):
            return None
        return dataclasses.replace(found, certificate=certificate)

    def _mark(self, problem: Any) -> list[Any]:
        key = None if self.key is None else list(words_of(self.key))
        return [
            signature(self.method), signature(self.warm_start), key, problem.describe(),
            problem.fingerprint("data"),
        ]  # fmt: skip

    def _packed(self, sol: Solution, problem: Any) -> dict[str, Any]:
        certificate = sol.certificate
        return {
            "options": str(self.options),
            "mark": self._mark(problem),
            "x": problem.as_point(sol.x), "reason_code": sol.reason_code, "steps": sol.steps,
            "calls": sol.calls, "seconds": sol.seconds, "method": sol.method,
            "problem": sol.problem,
            "engine": sol.engine, "notes": list(sol.notes), "index": sol.index,
            "certificate": {
                "value": certificate.value, "scale": certificate.scale,
                "target": certificate.target, "details": certificate.details,
                "kind": certificate.kind, "name": certificate.name,
                "statement": certificate.statement,
            },
        }  # fmt: skip


def _unpacked(packed: dict[str, Any], problem: Any) -> Solution:
    fields = {name: value for name, value in packed.items() if name not in ("mark", "options")}
    fields["certificate"] = Certificate(**fields["certificate"])
    fields["x"] = problem.as_answer(fields["x"])
    fields["notes"] = (*fields["notes"], "read from the checkpoint")
    return Solution(**fields)


def _on_executor(
    executor: Executor,
    pieces: int,
    places: list[int],
    problems: Sequence[Any],
    chain: _Chain,
    memory: Memory | None,
) -> Iterator[Solution]:
    cuts = np.linspace(0, len(places), min(pieces, max(1, len(places))) + 1).astype(int)
    futures = [
        executor.submit(_piece, chain, [(i, problems[i]) for i in places[low:high]], memory)
        for low, high in itertools.pairwise(cuts)
    ]
    try:
        for future in futures:
            yield from future.result()
    finally:
        for future in futures:
            future.cancel()


def _piece(chain: _Chain, numbered: list[tuple[int, Any]], memory: Memory | None) -> list[Solution]:
    return list(chain.run(numbered, memory))
