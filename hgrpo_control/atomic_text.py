"""Text files that are either the old one or the new one, whatever interrupts the writing."""

from __future__ import annotations

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Put a UTF-8 text at `path`; raises OSError, and leaves what was there, if that cannot be done."""
    temporary = path.with_name(path.name + ".partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
