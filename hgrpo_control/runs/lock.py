"""Lock of a run folder for one process. The kernel frees it when the process ends."""

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

_LOCKED_BYTE = 1 << 20  # of Windows' lock, which prevents others from reading the locked bytes: far behind the text


class RunInUseError(HgrpoError):
    """Raised for a run folder that another process uses; names the process and its machine."""


class RunLock:
    """A held lock on a run folder, and a file in it that names the holder; freed by `release`.

    Only the kernel's lock on the file counts, so a file left by a killed process is reused. Raises RunInUseError where
    another process, or another part of this one, holds the lock, and FileError where the file cannot be written.
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
            os.close(descriptor)  # its holder removed it after it was opened here
        self.release = weakref.finalize(self, _release, descriptor, path, os.getpid())
        """Free the folder; called also when this object is deleted. A second call has no effect."""


def _sign(descriptor: int, path: Path) -> None:
    """Write process, machine and time into a held lock file; remove the file where that fails."""
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    try:
        with writing(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()} {since}\n".encode())
    except FileError:
        path.unlink()
        raise


def _release(descriptor: int, path: Path, owner: int) -> None:
    if os.getpid() != owner:  # a forked process shares the lock of its parent, which still runs
        return
    with contextlib.suppress(OSError):  # before the lock is freed, so that no file of a later holder is removed
        path.unlink()
    os.close(descriptor)
    if os.name == "nt":  # where an open file cannot be removed
        with contextlib.suppress(OSError):
            path.unlink()


def _locked(descriptor: int, path: Path) -> bool:
    """Lock an open file without waiting; False where another holder has it."""
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
            f"{path.parent} cannot be locked ({error.strerror}): make sure that only one process trains there",
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
    """The holder that a lock file names: process, machine and time."""
    words = os.read(descriptor, 300).decode(errors="replace").split(maxsplit=2)
    if len(words) < 3:  # opened before its holder wrote into it
        return "another process"
    process, host, since = words
    whose = f"this process ({process})" if process == str(os.getpid()) else f"process {process} on {host}"
    return f"{whose} since {since.strip()}"
