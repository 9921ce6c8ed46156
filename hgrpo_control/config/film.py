"""Size and frame rate of films; importable without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from hgrpo_control.config.run import ConfigError
from hgrpo_fields import Range, check

SIZES = range(192, 4097, 2)
"""Allowed widths and heights [pixels]; H.264 takes even ones only."""
SLOWEST, FASTEST = 1.0, 240.0
"""Allowed frame rates [frames per second]."""


class Film(NamedTuple):
    """How a film is made."""

    width: int = 640
    """Of a frame [pixels]."""
    height: int = 480
    fps: float = 25.0
    """Frames per second; a film runs in real time at every rate."""


USUAL = Film()


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """Options of a command that can make a film."""

    size: str | None = None
    """Size of the film, WIDTHxHEIGHT [pixels]; None is 640x480."""
    fps: Annotated[float | None, Range(least=SLOWEST, most=FASTEST)] = None
    """Frames per second of the film, which runs in real time; None is 25."""

    def film(self, video: bool) -> Film:
        """The film of these options; raises ConfigError for wrong values, and for any without `video`."""
        if self.as_args and not video:
            raise ConfigError(f"{' '.join(self.as_args)} changes a film; give --video too")
        check(self, ConfigError)
        film = USUAL
        if self.size is not None:
            numbers = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", self.size)
            if numbers is None or not all(int(number) in SIZES for number in numbers.groups()):
                raise ConfigError(
                    f"--size is {self.size!r}; allowed: WIDTHxHEIGHT, both even and from {SIZES[0]} to {SIZES[-1]}, "
                    "such as 640x480"
                )
            film = film._replace(width=int(numbers[1]), height=int(numbers[2]))
        if self.fps is not None:
            film = film._replace(fps=self.fps)
        return film

    @property
    def as_args(self) -> list[str]:
        """The given options as arguments of a command."""
        size = [] if self.size is None else ["--size", self.size]
        return size + ([] if self.fps is None else ["--fps", f"{self.fps:g}"])
