"""Exports replace only files that an export wrote, recognised by a mark in each file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hgrpo_files
from hgrpo_files import is_own_text
from sim2real.export.exportable import ExportError
from sim2real.policy.metadata import DISTRIBUTION

IsOwn = Callable[[bytes], bool]


def require_replaceable(path: Path, is_own: IsOwn = is_own_text) -> None:
    """Raise ExportError unless a file can be written at `path`.

    Args:
        path: The file; its folder has to exist.
        is_own: Whether the content of an existing file is of an export.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ExportError(f"cannot write {path}: it {'is a folder' if path.is_dir() else 'lies in no existing folder'}")
    if os.path.lexists(path) and not (path.is_file() and is_own(hgrpo_files.read_bytes(path))):
        raise ExportError(f"{path} was not written by {DISTRIBUTION} and is kept; move it away or choose another name")


@contextmanager
def replacing(path: Path, is_own: IsOwn = is_own_text) -> Iterator[Path]:
    """A temporary path beside `path`; its file replaces `path` at the end.

    After an error `path` is unchanged and the temporary file is gone. Raises as `require_replaceable` does.
    """
    require_replaceable(path, is_own)
    with hgrpo_files.replacing(path) as temporary:
        yield temporary
        require_replaceable(path, is_own)
