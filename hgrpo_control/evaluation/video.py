"""Film of recorded episodes, one after the other, with a caption in every frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from hgrpo_control.config.film import USUAL, Film
from hgrpo_control.evaluation.evaluate import Recording
from hgrpo_control.evaluation.outcome import outcome_of
from robots.drawing.offscreen import write_video
from robots.simulator import Simulator

TRAIL_SECONDS = 1.5
_LETTERS, _LEAST_LETTERS = 28, 10  # of a caption: a frame's height over that of its letters, and their least height


def film(simulator: Simulator, recording: Recording, path: Path, policy: str, settings: Film = USUAL) -> None:
    """Write an mp4 of every recorded episode in real time, from first to last state.

    Args:
        simulator: Draws the states.
        recording: Episodes of `simulator`.
        path: File to write; its name ends in .mp4.
        policy: Name of the policy, for the caption.
        settings: Size and frame rate.

    Raises:
        HgrpoError: For a recording of no episode.
        FileError: Where the file cannot be written.
    """
    write_video(path, frames(simulator, recording, policy, settings), settings.fps)


def require_drawable(simulator: Simulator, settings: Film = USUAL) -> None:
    """Draw the beginning of an episode.

    Raises what drawing raises: EnvironmentRefusedError, MissingGraphicsError.
    """
    state = simulator.reset(1, 0)
    trail = simulator.position(state).double().cpu().numpy()
    simulator.render(state, 0, settings.width, settings.height, trail)


def frames(simulator: Simulator, recording: Recording, policy: str, settings: Film = USUAL) -> Iterator[np.ndarray]:
    """Frames (height, width, 3) uint8 of all episodes; states are left out or repeated to keep real time."""
    hz, (width, height, fps) = simulator.spec.control_hz, settings
    remembered = round(hz * TRAIL_SECONDS)
    path = torch.stack([simulator.position(state) for state in recording.states]).double().numpy()
    episodes = recording.alive.shape[1]
    for row in range(episodes):
        last = recording.last_step(row)
        lines = (
            f"{simulator.spec.name}, policy {policy}",
            f"episode {row + 1} of {episodes}: {outcome(simulator, recording, row)}, "
            f"return {float(recording.episode_return[row]):.1f}",
        )
        drawn, picture = -1, np.empty(0)
        for frame in range(int(last / hz * fps + 1e-6) + 1):
            step = int(frame / fps * hz + 1e-6)
            if step != drawn:
                trail = path[max(0, step - remembered) : step + 1, row]
                plain = simulator.render(recording.states[step], row, width, height, trail)
                drawn, picture = step, captioned(plain, (lines[0], f"{lines[1]}, {step / hz:.2f} s"))
            yield picture


def outcome(simulator: Simulator, recording: Recording, row: int) -> str:
    """How a recorded episode ended, as `outcome_of`."""
    return outcome_of(simulator, recording.states[recording.last_step(row)], row, bool(recording.terminated[row]))


def captioned(picture: np.ndarray, text: Sequence[str]) -> np.ndarray:
    """A picture (height, width, 3) uint8 with wrapped lines of text on a dark band along its lower edge."""
    height, width, _ = picture.shape
    image = Image.fromarray(picture)
    size = max(_LEAST_LETTERS, height // _LETTERS)
    font, step, margin = ImageFont.load_default(size), 1.25 * size, 0.4 * size
    lines: list[str] = []
    for line in text:
        lines.append("")
        for word in line.split():
            longer = f"{lines[-1]} {word}".lstrip()
            if font.getlength(longer) <= width - 2 * margin:
                lines[-1] = longer
            else:
                lines.append(word)
    top = height - len(lines) * step - 2 * margin
    band = Image.new("L", image.size)
    ImageDraw.Draw(band).rectangle((0, top, width, height), fill=150)
    image.paste((0, 0, 0), mask=band)
    draw = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        draw.text((margin, top + margin + index * step), line, fill=(255, 255, 255), font=font)
    return np.asarray(image)
