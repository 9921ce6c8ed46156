"""Child processes that stop when their parent closes their standard input or dies.

Run as a module, this file is the command `hgrpo` as such a process.

Training that is asked to stop saves first. A child that outlived its parent would go on writing into a run folder
that somebody else resumes.
"""

from __future__ import annotations

import os
import signal
import threading

from hgrpo_control.cli import entry_point


def main() -> None:
    """Run the command line of `hgrpo` while the parent lives."""
    stop_with_parent()
    entry_point()


def stop_with_parent() -> None:
    """Send SIGTERM to this process once its standard input ends."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    while os.read(0, 4096):  # empty at end of file; not sys.stdin, whose lock a daemon thread must not hold at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
