"""Exports replace what an export wrote, told by a mark in each file, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hgrpo_files
from sim2real.export.exportable import ExportError
from sim2real.policy.metadata import DISTRIBUTION

MARK = f"Written by {DISTRIBUTION}, which replaces this file as long as this line comes first."
"""The first line of texts, within a comment."""

IsOwn = Callable[[bytes], bool]


def is_own_text(content: bytes) -> bool:
    """Whether the first line of a file, without the signs of a comment, is the mark."""
    line = content.split(b"\n", 1)[0]
    return line.decode("utf-8", "replace").strip("/*#<!-> \t\r") == MARK


def require_replaceable(path: Path, is_own: IsOwn = is_own_text) -> None:
    """Raise ExportError unless a file can be put at `path`: there is a folder for it, and nothing but what is our own.

    `is_own` tells by the content.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ExportError(f"cannot write {path}: it {'is a folder' if path.is_dir() else 'lies in no existing folder'}")
    if os.path.lexists(path) and not (path.is_file() and is_own(hgrpo_files.read_bytes(path))):
        raise ExportError(f"{path} was not written by {DISTRIBUTION} and stays; move it away or choose another name")


@contextmanager
def replacing(path: Path, is_own: IsOwn = is_own_text) -> Iterator[Path]:
    """A new path beside `path`, whose file takes the place of `path` in the end; raises as require_replaceable does.

    After any error `path` is as it was, and nothing is left beside it.
    """
    require_replaceable(path, is_own)
    with hgrpo_files.replacing(path) as temporary:
        yield temporary
        require_replaceable(path, is_own)
