"""Files that are written whole or not at all, and one line where a file fails; imports only `hgrpo_errors`."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from hgrpo_errors import HgrpoError

PARTIAL = ".partial"
"""How the names of files end that are not whole yet."""

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
    errno.ENOTDIR: "what it names as a folder is a file",
    errno.EISDIR: "name a file in it",
    errno.EEXIST: "name another",
}


_RIGHT = "give yourself the right to read it"
_TO_READ = {errno.EACCES: _RIGHT, errno.EPERM: _RIGHT}


class FileError(HgrpoError):
    """Raised for a file that cannot be read or written; says which, why, and what to do."""


def unwritable(path: str | Path, error: OSError) -> FileError:
    """The error to raise for a file that could not be written."""
    return _told(f"cannot write {path}", error, _TO_WRITE)


def _told(what: str, error: OSError, ways_out: dict[int, str]) -> FileError:
    way_out = ways_out.get(error.errno or 0)
    return FileError(f"{what}: {error.strerror or error}" + (f"; {way_out}" if way_out else ""))


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn the OSError of a block that does nothing but read or look at `path` into FileError."""
    try:
        yield
    except OSError as error:
        raise _told(f"cannot read {path}", error, _TO_READ) from error


def read_bytes(path: str | Path) -> bytes:
    """Content of a file; raises FileError."""
    with reading(path):
        return Path(path).read_bytes()


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn the OSError of a block that does nothing but write `path`, or files on the way to it, into FileError."""
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
    """A path beside `path` to write under: it takes that name once the block ends without an error.

    Otherwise it is removed, and what was at `path` stays. A link is followed. Raises FileError.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}{PARTIAL}")  # nobody else's
    try:
        yield partial
        with writing(path):
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, target)
    finally:
        with contextlib.suppress(OSError):  # whatever made the writing fail is what to tell
            partial.unlink()


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Put bytes at `path`, or leave what was there; a device or pipe is written to as it is. Raises FileError."""
    path = Path(path)
    with writing(path):
        as_it_is = path.exists() and not path.is_file() and not path.is_dir()
        if as_it_is:
            path.write_bytes(content)
    if not as_it_is:
        with replacing(path) as partial, writing(path):
            partial.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Put a UTF-8 text at `path`, or leave what was there; raises FileError."""
    write_bytes(path, text.encode())


def is_own_text(content: bytes) -> bool:
    """Whether the first line of a file, without the signs of a comment, is the mark."""
    line = content.split(b"\n", 1)[0]
    return line.decode("utf-8", "replace").strip("/*#<!-> \t\r") == MARK


def append_text(path: str | Path, text: str) -> None:
    """Add a UTF-8 text to the end of `path`, or leave it as it was; raises FileError."""
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
    """Put bytes at a `path` where nothing is yet; raises FileError, also where something is."""
    path = Path(path)
    with writing(path), path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            path.unlink()
            raise


def make_folder(path: str | Path) -> None:
    """Make a folder, and those that it lies in, where it is not there yet; raises FileError."""
    with writing(path):
        Path(path).mkdir(parents=True, exist_ok=True)
