"""Files that are written as a whole or not at all; imports only `hgrpo_errors`."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from hgrpo_errors import HgrpoError

PARTIAL = ".partial"
"""Suffix of a file that is not complete yet."""

MARK = "Written by hgrpo-control, which replaces this file as long as this line comes first."
"""The first line, within a comment, of texts that this package may replace."""

_ELSEWHERE = "or write elsewhere"
_TO_WRITE = {
    errno.ENOSPC: f"free some, {_ELSEWHERE}",
    errno.EDQUOT: f"free some, {_ELSEWHERE}",
    errno.EFBIG: f"raise the limit (ulimit -f), {_ELSEWHERE}",
    errno.EACCES: f"give yourself the right to write there, {_ELSEWHERE}",
    errno.EPERM: f"give yourself the right to write there, {_ELSEWHERE}",
    errno.EROFS: "write elsewhere",
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "a folder in its path is a file",
    errno.EISDIR: "name a file in it",
    errno.EEXIST: "name another",
}


_RIGHT = "give yourself the right to read it"
_TO_READ = {errno.EACCES: _RIGHT, errno.EPERM: _RIGHT}


class FileError(HgrpoError):
    """Raised for a file that cannot be read or written.

    The line has its path, the cause and a remedy.
    """


def unwritable(path: str | Path, error: OSError) -> FileError:
    """The error for a file that could not be written."""
    return _file_error(f"cannot write {path}", error, _TO_WRITE)


def _file_error(failure: str, error: OSError, remedies: dict[int, str]) -> FileError:
    remedy = remedies.get(error.errno or 0)
    return FileError(f"{failure}: {error.strerror or error}" + (f"; {remedy}" if remedy else ""))


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn an OSError of the block into FileError; the block may only read `path`."""
    try:
        yield
    except OSError as error:
        raise _file_error(f"cannot read {path}", error, _TO_READ) from error


def read_bytes(path: str | Path) -> bytes:
    """Content of a file; raises FileError."""
    with reading(path):
        return Path(path).read_bytes()


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an OSError of the block into FileError.

    The block may only write `path` or files on the way to it.
    """
    try:
        yield
    except FileError as error:
        if isinstance(error.__cause__, OSError):
            raise unwritable(path, error.__cause__) from error.__cause__
        raise
    except OSError as error:
        raise unwritable(path, error) from error


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it replaces `path` if the block ends without an error.

    After an error it is removed, and `path` stays as it was. A link is followed. Raises FileError.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}{PARTIAL}")  # no other process uses this name
    try:
        yield partial
        with writing(path):
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, target)
    finally:
        with contextlib.suppress(OSError):  # the error of the block is the one to report
            partial.unlink()


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file as a whole, or leave `path` as it was; raises FileError.

    A device or pipe is written directly.
    """
    path = Path(path)
    with writing(path):
        is_special = path.exists() and not path.is_file() and not path.is_dir()
        if is_special:
            path.write_bytes(content)
    if not is_special:
        with replacing(path) as partial, writing(path):
            partial.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text as a whole, or leave `path` as it was; raises FileError."""
    write_bytes(path, text.encode())


def is_own_text(content: bytes) -> bool:
    """Whether the first line of a file, without the signs of a comment, is the mark."""
    line = content.split(b"\n", 1)[0]
    return line.decode("utf-8", "replace").strip("/*#<!-> \t\r") == MARK


def append_text(path: str | Path, text: str) -> None:
    """Append a UTF-8 text, or leave `path` as it was; raises FileError."""
    path = Path(path)
    with writing(path):
        new = not path.exists()
        with path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            rest = memoryview(text.encode())
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):  # a device has no length
                    path.unlink() if new else file.truncate(size)
                raise


def write_new(path: str | Path, content: bytes | memoryview) -> None:
    """Write a new file; raises FileError, also if `path` exists."""
    path = Path(path)
    with writing(path), path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            path.unlink()
            raise


def make_folder(path: str | Path) -> None:
    """Make a folder and its parents if they do not exist; raises FileError."""
    with writing(path):
        Path(path).mkdir(parents=True, exist_ok=True)
