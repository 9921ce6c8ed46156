"""Claims of runs in a folder that several machines share: one worker trains a run, and no other begins it.

A claim is a file SEED.claimN beside the run folder, made with O_EXCL, which is atomic also on NFS from version 3 on. It
names host and process, and its worker touches it every `HEARTBEAT` seconds. A claim that nobody touched for `EXPIRES`
seconds has expired; whoever makes the file with the next number takes the run over. Files of expired claims stay until
the run is done, so that no number is given twice. The clocks of the machines need not agree: each worker waits by its
own clock for the time stamp to change. A claim of this host expires as soon as its process has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from hgrpo_signals import is_running

HEARTBEAT = 15.0
"""Seconds between two touches of a claim."""
EXPIRES = 300.0
"""Seconds without a touch after which a claim has expired."""


class Claim:
    """A claim that this process holds."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self.lost = False
        """Whether another worker took the run over, because this process did not touch the claim in time."""

    @property
    def path(self) -> Path:
        """The file."""
        return _path(self._folder, self._number)

    def touch(self) -> None:
        """Say that the worker lives, or notice that the claim is lost."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            self.lost = True
        except OSError:
            return  # the server may be away; others cannot touch or take the claim meanwhile either
        self.lost = self.lost or _path(self._folder, self._number + 1).exists()


class Claims:
    """The claims of this process, which a thread touches.

    Args:
        heartbeat: Seconds between two touches.
        expires: Seconds without a touch after which a claim of another worker has expired.
    """

    def __init__(self, heartbeat: float = HEARTBEAT, expires: float = EXPIRES) -> None:
        self._heartbeat, self._expires = heartbeat, expires
        self._held: set[Claim] = set()
        self._seen: dict[Path, tuple[int, float]] = {}  # time stamp of a claim, and when it was first seen here
        self._closed = threading.Event()
        threading.Thread(target=self._touch, daemon=True).start()

    def take(self, folder: Path) -> Claim | None:
        """Claim a run; None if another worker has it.

        Args:
            folder: The run folder. The folder around it must exist.
        """
        number = _latest(folder)
        if number and not self._has_expired(_path(folder, number)):
            return None
        claim = Claim(folder, number + 1)
        worker = {"host": _host(), "process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S%z")}
        try:
            with claim.path.open("x", encoding="utf-8") as file:
                file.write(json.dumps(worker) + "\n")
        except FileExistsError:
            return None
        self._held.add(claim)
        return claim

    def release(self, claim: Claim, done: bool) -> None:
        """Give a claim up.

        Args:
            claim: The claim.
            done: Whether nothing is left to do for the run; then the files of expired claims are removed, too.
        """
        self._held.discard(claim)
        if not claim.lost:
            with contextlib.suppress(OSError):
                for path in [claim.path, *(_claims(claim._folder) if done else ())]:
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the thread and release every claim."""
        self._closed.set()
        for claim in list(self._held):
            self.release(claim, done=False)

    def _touch(self) -> None:
        while not self._closed.wait(self._heartbeat):
            for claim in list(self._held):
                claim.touch()

    def _has_expired(self, path: Path) -> bool:
        try:
            stamp = path.stat().st_mtime_ns
            worker = _worker(path)
        except OSError:
            return False  # released just now, or unreadable; the next try will tell
        if worker.get("host") == _host() and not is_running(int(worker["process"])):
            return True
        now = time.monotonic()
        former, since = self._seen.get(path, (stamp, now))
        self._seen[path] = (stamp, since if former == stamp else now)
        return former == stamp and now - since >= self._expires


def _path(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.claim{number}")


def _claims(folder: Path) -> list[Path]:
    return [path for path in folder.parent.glob(f"{folder.name}.claim*") if _number(path)]


def _number(path: Path) -> int:
    digits = path.suffix.removeprefix(".claim")
    return int(digits) if digits.isdecimal() else 0


def _latest(folder: Path) -> int:
    """Number of the last claim of a run; 0 without one."""
    return max(map(_number, _claims(folder)), default=0)


def _worker(path: Path) -> dict[str, Any]:
    """Host and process in a claim; empty for one that is just being written."""
    try:
        worker = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return worker if isinstance(worker, dict) else {}


def _host() -> str:
    """Name of this machine, with the space of its process ids, which differs between containers."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}".strip()
