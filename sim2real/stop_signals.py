"""Ctrl-C and SIGTERM during a flight: a wish to stop at the next tick, so that no command is cut in two."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StopSignals:
    """While active, Ctrl-C and SIGTERM raise KeyboardInterrupt; after `defer` the first only makes `requested` true.

    What raised, and `ignore`, make them harmless from then on, so that stopping the vehicle is not interrupted.
    Signals reach the main thread only; elsewhere nothing is installed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._patience = 0  # signals to come that do not raise
        self._ignored = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}

    def defer(self) -> None:
        """The next signal is obeyed by whoever looks at `requested`; the one after it raises."""
        self._patience = 1

    def ignore(self) -> None:
        """No signal raises any more."""
        self._ignored = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._ignored:
            return
        if self._patience == 0:
            self._ignored = True
            raise KeyboardInterrupt
        self._patience -= 1
