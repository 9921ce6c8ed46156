"""Signals of the server, handled also while the event loop is blocked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from hgrpo_signals import ALL, HANGUP, STOP, handled, release

_OVER = b"\0"  # no signal number
_log = logging.getLogger("hgrpo.server")


class Signals:
    """While active, SIGTERM, SIGINT and SIGHUP call the functions of `listen`.

    Earlier signals are kept for them.

    A thread reads the signals from Python's wakeup pipe, so it receives them even if a policy blocks the main thread.
    If the process still runs `seconds` after a signal to stop, the thread ends it with status 1.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._handled = handled(ALL, _ignore)

    def __enter__(self) -> Signals:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._sender_before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._handled.__enter__()
        release()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._handled.__exit__(kind, error, at)
        signal.set_wakeup_fd(self._sender_before)
        self._sender.setblocking(True)
        self._sender.send(_OVER)
        if self._thread is not None:
            self._thread.join()
        self._sender.close()
        self._receiver.close()

    def listen(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """Call `stop` for SIGTERM and SIGINT, and `reload` for SIGHUP, in the running event loop."""
        args = asyncio.get_running_loop(), stop, reload
        self._thread = threading.Thread(target=self._listen, args=args, name="signals", daemon=True)
        self._thread.start()

    def _listen(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        while (number := self._receiver.recv(1)) != _OVER:
            stopping = number[0] in STOP
            if stopping or number[0] == HANGUP:
                with contextlib.suppress(RuntimeError):  # the loop has been closed
                    loop.call_soon_threadsafe(stop if stopping else reload)
            if stopping and not self._over.wait(self._seconds):
                _log.error("ended by force: still busy %g s after the signal to stop", self._seconds)
                os._exit(1)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Empty handler; Python writes to the wakeup pipe only for signals with a handler."""
