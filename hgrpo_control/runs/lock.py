"""One process at a time on a run folder: a lock that the kernel frees when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
import weakref
from datetime import datetime
from pathlib import Path

from hgrpo_errors import HgrpoError
from hgrpo_files import FileError, writing

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    import msvcrt

LOCK_NAME = "run.lock"

_LOCKED_BYTE = 1 << 20  # of Windows' lock, which keeps others from reading what it covers: far behind the text


class RunInUseError(HgrpoError):
    """Raised for a run folder that another process works on; says which one, on which machine."""


class RunLock:
    """A held lock on a run folder, and the file in it that says who holds it; freed by `release`.

    A file that a killed process left is taken over: what counts is the kernel's lock on it, not that it is there.
    Raises RunInUseError where another process, or another part of this one, holds it, and FileError where it
    cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK_NAME
        while True:
            with writing(path):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if not _locked(descriptor, path):
                    raise RunInUseError(f"{folder} is in use by {_holder(descriptor)}; wait until that has ended")
                if _is_at(descriptor, path):
                    _sign(descriptor, path)
                    break
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its holder removed it between our opening and our locking
        self.release = weakref.finalize(self, _release, descriptor, path, os.getpid())
        """Free the folder; also done when nothing refers to this object any more. A second call does nothing."""


def _sign(descriptor: int, path: Path) -> None:
    """Say in a lock of our own who holds it; removes it where that cannot be written."""
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    try:
        with writing(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()} {since}\n".encode())
    except FileError:
        path.unlink()
        raise


def _release(descriptor: int, path: Path, owner: int) -> None:
    if os.getpid() != owner:  # a fork shares the lock of its parent, which goes on
        return
    with contextlib.suppress(OSError):  # before the lock is freed, so that nobody's file is removed but ours
        path.unlink()
    os.close(descriptor)
    if os.name == "nt":  # where an open file cannot be removed
        with contextlib.suppress(OSError):
            path.unlink()


def _locked(descriptor: int, path: Path) -> bool:
    """Lock an open file without waiting; False where someone else has."""
    try:
        if os.name == "nt":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        warnings.warn(
            f"{path.parent} cannot be locked ({error.strerror}): see to it that one process alone trains there",
            stacklevel=4,
        )
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    """Whoever the file names: its process, machine and beginning."""
    words = os.read(descriptor, 300).decode(errors="replace").split(maxsplit=2)
    if len(words) < 3:  # opened between its making and its filling
        return "another process"
    process, host, since = words
    whose = f"this process ({process})" if process == str(os.getpid()) else f"process {process} on {host}"
    return f"{whose} since {since.strip()}"
