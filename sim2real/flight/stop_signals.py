"""Ctrl-C, SIGTERM and SIGHUP during a flight: a wish to stop at the next tick, so that no command is cut in two."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StopSignals:
    """While active, Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt; after `defer` the first only sets `requested`.

    What raised, and `ignore`, make them harmless from then on, so that stopping the vehicle is not interrupted.
    SIGHUP, a closed terminal, stays ignored where the process was started so (nohup).
    Signals reach the main thread only; elsewhere nothing is installed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._patience = 0  # signals to come that do not raise
        self._ignored = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                numbers.append(signal.SIGHUP)
            for number in numbers:
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
