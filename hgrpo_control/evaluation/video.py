"""Film of recorded episodes, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from hgrpo_control.evaluation.evaluate import Recording
from robots.drawing.offscreen import write_video
from robots.simulator import Simulator

FRAMES_PER_SECOND = 25.0
TRAIL_SECONDS = 1.5
WIDTH, HEIGHT = 640, 480  # pixels


def film(simulator: Simulator, recording: Recording, path: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Write an mp4 that shows every recorded episode in real time, from its first state on, as long as it runs."""
    rate = simulator.spec.control_hz / _steps_per_frame(simulator)
    write_video(path, frames(simulator, recording, width, height), rate)


def require_drawable(simulator: Simulator) -> None:
    """Draw the beginning of an episode.

    Raises what drawing raises: EnvironmentRefusedError, MissingGraphicsError.
    """
    state = simulator.reset(1, 0)
    trail = simulator.position(state).double().cpu().numpy()
    simulator.render(state, 0, WIDTH, HEIGHT, trail)


def frames(simulator: Simulator, recording: Recording, width: int, height: int) -> Iterator[np.ndarray]:
    """Pictures (height, width, 3) uint8 of the recorded episodes, at the film's rate."""
    every = _steps_per_frame(simulator)
    remembered = round(simulator.spec.control_hz * TRAIL_SECONDS)
    path = torch.stack([simulator.position(state) for state in recording.states]).double().numpy()
    for row in range(recording.alive.shape[1]):
        for step in range(0, len(recording.states), every):
            if bool(recording.alive[step, row]):
                trail = path[max(0, step - remembered) : step + 1, row]
                yield simulator.render(recording.states[step], row, width, height, trail)


def _steps_per_frame(simulator: Simulator) -> int:
    return max(1, round(simulator.spec.control_hz / FRAMES_PER_SECOND))
