"""Files of an earlier evaluation; films of other episodes are renamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hgrpo_files import FileError, read_bytes, writing


def episodes_replaced(figures: Path, episodes: int) -> str:
    """Note that figures over another number of episodes are replaced; empty where there are none."""
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
    """Whether a file exists and has exactly this text."""
    return path.exists() and read_bytes(path) == text.encode()


@contextmanager
def set_aside(films: Sequence[Path]) -> Iterator[None]:
    """Rename existing films to former-NAME while new ones are made.

    A new film replaces the renamed one.

    A film that is not made again keeps its new name, which is printed, also after an error.
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
                print(f"{path} showed other episodes than these; it was renamed to {former}")
