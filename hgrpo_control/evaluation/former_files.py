"""What an earlier evaluation left behind: it is named as such, so that no old film lies beside new figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hgrpo_files import FileError, read_bytes, writing


def episodes_replaced(figures: Path, episodes: int) -> str:
    """What to say where figures over another number of episodes lie already; empty where there are none."""
    if not figures.exists():
        return ""
    try:
        before = json.loads(read_bytes(figures))["episodes"]
    except FileError:
        raise
    except (ValueError, LookupError, TypeError):
        return f" ({episodes} episodes in place of figures that could not be read)"
    return "" if before == episodes else f" ({episodes} episodes in place of the {before} that were there)"


def holds(path: Path, text: str) -> bool:
    """Whether a file is there already, with this very text."""
    return path.exists() and read_bytes(path) == text.encode()


@contextmanager
def set_aside(films: Sequence[Path]) -> Iterator[None]:
    """Rename those that exist to former-NAME; those that are there again in the end replace them.

    What was renamed for good is printed, also where what was to be made fails.
    """
    moved = {path: path.with_name(f"former-{path.name}") for path in films if path.exists()}
    for path, former in moved.items():
        with writing(former):
            path.replace(former)
    try:
        yield
    finally:
        for path, former in moved.items():
            if path.exists():
                with writing(former):
                    former.unlink()
            else:
                print(f"{path} showed other episodes than these: it is {former} now")
