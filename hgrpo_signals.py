"""The signals that end a program, and temporary handlers for them.

Imports nothing of ours.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType

STOP = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what service managers and containers send."""
HANGUP = getattr(signal, "SIGHUP", None)
"""A closed terminal; None on systems that do not have it. A server reads its files again."""
ALL = STOP if HANGUP is None else (*STOP, HANGUP)

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handled(numbers: Sequence[int], handler: Handler) -> Iterator[None]:
    """Handle signals while the context lasts.

    Python runs handlers in the main thread. In any other thread nothing is installed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handler that raises KeyboardInterrupt, as Ctrl-C does."""
    raise KeyboardInterrupt


def is_running(process: int) -> bool:
    """Whether a process of this machine is running, by its number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's
    return True


def hold() -> None:
    """Hold the signals back until `release`.

    Without this, the first process of a container loses signals that come before a handler is installed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL)


def release() -> None:
    """Deliver the signals that were held back, and those that come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)


class StopSignals:
    """While active, the first signal sets `requested` and the second raises KeyboardInterrupt.

    Later signals do nothing, so that cleaning up is not interrupted. SIGHUP stays
    ignored where the process was started so (nohup).

    Args:
        deferred: Whether the first signal waits. If false, it raises as well until `defer` is called.
    """

    def __init__(self, deferred: bool = True) -> None:
        self.requested = False
        self._deferred, self._ignored = deferred, False
        self._handled = handled(self._numbers(), self._handle)

    @staticmethod
    def _numbers() -> Sequence[int]:
        nohup = HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_IGN
        return STOP if nohup else ALL

    def __enter__(self) -> StopSignals:
        self._handled.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._handled.__exit__(kind, error, at)

    def defer(self) -> None:
        """From now on the first signal only sets `requested`."""
        self._deferred = True

    def ignore(self) -> None:
        """From now on no signal raises."""
        self._ignored = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._ignored:
            return
        if not self._deferred:
            self._ignored = True
            raise KeyboardInterrupt
        self._deferred = False
