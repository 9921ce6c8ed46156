"""A film of a session, drawn without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hgrpo_control.config.film import USUAL, Film
from hgrpo_control.evaluation.video import TRAIL_SECONDS, captioned
from hgrpo_control.watch.session import Flight, Session
from robots.drawing.offscreen import write_video


def film(session: Session, path: Path, seconds: float, settings: Film = USUAL) -> None:
    """Write an mp4 of the next seconds of a session, several flights side by side.

    Args:
        session: The flights.
        path: File to write; its name ends in .mp4.
        seconds: Length [s].
        settings: Size of each flight's picture, and frame rate.

    Raises:
        HgrpoError: The name does not end in .mp4.
        FileError: The file cannot be written.
        MissingGraphicsError: This machine cannot draw.
    """
    write_video(path, frames(session, seconds, settings), settings.fps)


def frames(session: Session, seconds: float, settings: Film = USUAL) -> Iterator[np.ndarray]:
    """Frames (height, flights * width, 3) uint8 in real time; the session is stepped between them."""
    began, hz = session.steps, session.control_hz
    for frame in range(max(1, round(seconds * settings.fps))):
        while session.steps - began < int(frame / settings.fps * hz + 1e-6):
            session.step()
        yield np.hstack([_picture(session, flight, settings) for flight in session.flights])


def _picture(session: Session, flight: Flight, settings: Film) -> np.ndarray:
    simulator = flight.simulator
    trail = np.array(flight.trail)[-round(TRAIL_SECONDS * session.control_hz) :]
    picture = simulator.render(flight.state, 0, settings.width, settings.height, trail)
    ended = f", {flight.outcome}" if flight.outcome else ""
    lines = (
        f"{session.task}, {flight.pilot.name}",
        f"start {session.seed}, {session.episode_time:.2f} s, return {flight.total:.1f}{ended}",
    )
    return captioned(picture, lines)
