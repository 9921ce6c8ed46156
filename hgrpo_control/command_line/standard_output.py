"""Standard output that nobody reads any more, or that takes nothing more."""

from __future__ import annotations

import io
import os
import select
import sys

from hgrpo_errors import HgrpoError


class OutputError(HgrpoError):
    """Raised where standard output takes nothing more, as a file on a full disk."""


class _Output(io.TextIOWrapper):
    """Standard output whose errors tell that they are its own; one whose reader has gone breaks as ever."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _of_output(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _of_output(error) from error


def _of_output(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error
    give_up()  # or what still waits would fail again at the end
    return OutputError(f"the output cannot be written: {error.strerror}")


def watch() -> None:
    """Have standard output raise OutputError from here on."""
    plain = sys.stdout
    if isinstance(plain, io.TextIOWrapper):
        encoding, errors, buffered = plain.encoding, plain.errors, plain.line_buffering
        sys.stdout = _Output(plain.detach(), encoding, errors, line_buffering=buffered)


def is_of_output(error: OSError) -> bool:
    """Whether an error came from writing standard output: what it could not write still waits, or its reader has gone.

    Args:
        error: What was raised while a command ran; it may come from a file or a socket just as well.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return True
    return isinstance(error, BrokenPipeError) and _reader_has_gone()


def give_up() -> None:
    """Point standard output at nothing, so that the interpreter does not fail at its end with what still waits."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _reader_has_gone() -> bool:
    if not hasattr(select, "poll"):
        return True  # Windows cannot tell; a pipe is what breaks there as well
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(events & select.POLLERR for _, events in poll.poll(0))
