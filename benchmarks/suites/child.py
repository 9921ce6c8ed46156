"""The command `hgrpo` as a child process that stops when whoever started it closes its standard input, or dies.

Training that is asked to stop saves first. A child that outlived its parent would go on writing into a run folder
that somebody else resumes.
"""

from __future__ import annotations

import os
import signal
import threading

from hgrpo_control.cli import entry_point


def main() -> None:
    """Run the command line while the parent lives."""
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    entry_point()


def _stop_with_parent() -> None:
    while os.read(0, 4096):  # empty at end of file; not sys.stdin, whose lock a daemon thread must not hold at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
