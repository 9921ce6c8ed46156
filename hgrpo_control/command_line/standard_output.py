"""Standard output whose reader is gone, or that cannot be written, as on a full disk."""

from __future__ import annotations

import io
import os
import select
import sys

from hgrpo_errors import HgrpoError


class OutputError(HgrpoError):
    """Raised if standard output cannot be written, as a file on a full disk."""


class _Output(io.TextIOWrapper):
    """Standard output that raises OutputError for its own errors; BrokenPipeError stays."""

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
    give_up()  # or the rest of the buffer would fail again at the end
    return OutputError(f"the output cannot be written: {error.strerror}")


def watch() -> None:
    """Replace standard output by one that raises OutputError."""
    plain = sys.stdout
    if isinstance(plain, io.TextIOWrapper):
        encoding, errors, buffered = plain.encoding, plain.errors, plain.line_buffering
        sys.stdout = _Output(plain.detach(), encoding, errors, line_buffering=buffered)


def is_of_output(error: OSError) -> bool:
    """Whether an error came from writing standard output, and not from a file or a socket.

    Args:
        error: Error of a command.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return True
    return isinstance(error, BrokenPipeError) and _reader_has_gone()


def give_up() -> None:
    """Redirect standard output to the null device, so that the interpreter can end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _reader_has_gone() -> bool:
    if not hasattr(select, "poll"):
        return True  # Windows has no poll; there a broken pipe is that of the output
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    return any(events & select.POLLERR for _, events in poll.poll(0))
