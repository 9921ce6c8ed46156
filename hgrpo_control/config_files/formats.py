"""TOML and JSON files of settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hgrpo_control.config_files.tables import TableError, plain
from hgrpo_files import read_bytes, write_new

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_READERS = {".toml": tomllib.loads, ".json": json.loads}


def read_file(path: Path) -> dict[str, Any]:
    """The table in a file; raises TableError if it holds none, FileError if it cannot be read."""
    if path.suffix not in _READERS:
        raise TableError(f"{path} is no file of settings; allowed: a name that ends in {' or '.join(_READERS)}")
    try:
        table = _READERS[path.suffix](read_bytes(path).decode())
    except ValueError as error:  # also for bytes that are no text
        raise TableError(f"{path} cannot be read as {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(table, dict):
        raise TableError(f"{path} must hold a table of settings; given {table!r}")
    return table


def write_toml(path: Path, table: Mapping[str, Any], comment: str) -> None:
    """Write a new TOML file.

    Args:
        path: The file, which must not exist.
        table: Its content.
        comment: The first line.

    Raises:
        TableError: The name does not end in .toml.
        FileError: The file exists or cannot be written.
    """
    import tomli_w

    if path.suffix != ".toml":
        raise TableError(f"settings are written as TOML; given {path}; allowed: a name that ends in .toml")
    write_new(path, f"# {comment}\n{tomli_w.dumps(plain(dict(table)))}".encode())
