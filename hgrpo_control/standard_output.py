"""Standard output that nobody reads any more, or that takes nothing more."""

from __future__ import annotations

import os
import select
import sys


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
