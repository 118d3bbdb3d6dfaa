"""Ctrl-C between two steps, never inside the bookkeeping of one."""

import signal
import threading
from typing import Any


class HeldInterrupt:
    """Inside the block Ctrl-C only sets `came`; a second one raises at once.

    A kernel changes its state in place: between its return and the bookkeeping behind it an
    interrupt would leave a point that no longer fits its counters.
    """

    def __init__(self, wanted: bool = True):
        self.wanted = wanted

    def __enter__(self) -> "HeldInterrupt":
        self.came = False
        self._before: Any = None
        if self.wanted and threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGINT, self._note)
            if before is signal.default_int_handler:
                self._before = before
            else:
                # Somebody else's handler, and their decision what Ctrl-C means.
                signal.signal(signal.SIGINT, before)
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
