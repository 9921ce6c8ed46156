"""TOML and JSON files of settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hgrpo_control.config_files.tables import TableError, plain
from hgrpo_files import MARK, is_own_text, read_bytes, write_new, write_text

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


def write_toml(path: Path, table: Mapping[str, Any], replace: bool = False) -> None:
    """Write a TOML file.

    Args:
        path: The file.
        table: Its content.
        replace: Whether a file that was written so may be replaced; no other file is.

    Raises:
        TableError: The name does not end in .toml.
        FileError: The file exists or cannot be written.
    """
    import tomli_w

    if path.suffix != ".toml":
        raise TableError(f"settings are written as TOML; given {path}; allowed: a name that ends in .toml")
    text = f"# {MARK}\n{tomli_w.dumps(plain(dict(table)))}" if replace else tomli_w.dumps(plain(dict(table)))
    if replace and path.exists() and is_own_text(read_bytes(path)):
        write_text(path, text)
    else:
        write_new(path, text.encode())
