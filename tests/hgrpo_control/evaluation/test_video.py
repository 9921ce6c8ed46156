"""Films show every recorded episode from beginning to end at the speed at which it was flown."""

from __future__ import annotations

import dataclasses
import math
import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import torch

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.evaluation.evaluate import Recording, evaluate
from hgrpo_control.evaluation.video import (
    FRAMES_PER_SECOND,
    TRAIL_SECONDS,
    film,
    frames,
)
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.drawing.offscreen import MissingGraphicsError, require_gl
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover import QuadrotorHover

STEPS = 30


class Slate(QuadrotorHover):
    """The hover task, drawn without graphics: the picture holds the height of the quadrotor and the trail's length."""

    def __init__(self, control_hz: float = 100.0, limit: int = STEPS) -> None:
        super().__init__()
        self.spec = dataclasses.replace(self.spec, control_hz=control_hz, max_episode_steps=limit)
        self.drawn: list[tuple[float, int]] = []

    def render(
        self, state: FlightState, row: int = 0, width: int = 640, height: int = 480, trail: Any = None
    ) -> np.ndarray:
        self.drawn.append((float(state.body.position[row, 2]), len(trail)))
        return np.full((height, width, 3), 40 + len(self.drawn) % 200, dtype=np.uint8)


def flown(simulator: QuadrotorHover, record: int = 2) -> Recording:
    spec = policy_spec(simulator.spec, Network((8,)), critic=True)
    policy = ActorCritic(spec, generator=torch.Generator().manual_seed(0))
    return evaluate(policy, simulator, episodes=3, seed=1, record=record)[1]


def test_every_fourth_state_of_each_episode_is_shown_in_order() -> None:
    simulator = Slate()
    recording = flown(simulator)
    pictures = list(frames(simulator, recording, 64, 48))
    # 100 states per second for 25 frames per second; steps 0, 4, ..., 28 of 30, twice.
    assert len(pictures) == 2 * 8
    heights = [float(recording.states[step].body.position[row, 2]) for row in (0, 1) for step in range(0, STEPS, 4)]
    assert [height for height, _ in simulator.drawn] == heights
    assert all(picture.shape == (48, 64, 3) for picture in pictures)


def test_an_episode_that_ended_is_shown_no_longer() -> None:
    simulator = Slate()
    recording = flown(simulator)
    ended = recording.alive.clone()
    ended[9:, 0] = False  # steps 0, 4 and 8 are left of the first
    assert len(list(frames(simulator, recording._replace(alive=ended), 64, 48))) == 3 + 8


def test_the_trail_is_the_way_flown_so_far_and_no_longer_than_its_time() -> None:
    simulator = Slate(limit=200)
    simulator_steps = round(TRAIL_SECONDS * 100.0)
    recording = flown(simulator, record=1)
    alive = torch.ones_like(recording.alive)
    list(frames(simulator, recording._replace(alive=alive), 64, 48))
    lengths = [length for _, length in simulator.drawn]
    assert lengths == [min(step, simulator_steps) + 1 for step in range(0, len(recording.states), 4)]


@pytest.mark.parametrize("control_hz", [10.0, 25.0, 50.0, 60.0, 100.0])
def test_a_film_runs_at_the_speed_of_the_flight(tmp_path: Path, control_hz: float) -> None:
    simulator = Slate(control_hz)
    recording = flown(simulator, record=1)
    assert len(recording.states) == STEPS + 1
    film(simulator, recording, tmp_path / "video.mp4", 64, 48)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))
    # 30 steps, to within one frame, since the last one may be shown for more steps than are left.
    assert seconds == pytest.approx(STEPS / control_hz, abs=1.1 * seconds / count)


def test_a_film_of_the_hover_task(tmp_path: Path) -> None:
    try:
        require_gl()
    except MissingGraphicsError as missing:
        pytest.skip(str(missing))
    hover = robots.make("quadrotor-hover")
    hover.spec = dataclasses.replace(hover.spec, max_episode_steps=STEPS)
    recording = flown(hover)
    film(hover, recording, tmp_path / "video.mp4", 128, 96)
    per_episode = math.ceil(STEPS * FRAMES_PER_SECOND / hover.spec.control_hz)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))
    assert count == 2 * per_episode
    assert seconds == pytest.approx(2 * per_episode / FRAMES_PER_SECOND, abs=0.02)
    pictures = decoded(tmp_path / "video.mp4", 128, 96)
    assert len(pictures) == count
    assert pictures[0].std() > 5.0, "not blank"
    assert not np.array_equal(pictures[0], pictures[per_episode - 1]), "the quadrotor moves"


def decoded(path: Path, width: int, height: int) -> np.ndarray:
    """(frames, height, width, 3) uint8 of a video."""
    command = (imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path))
    done = subprocess.run((*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"), capture_output=True, check=True)
    return np.frombuffer(done.stdout, dtype=np.uint8).reshape(-1, height, width, 3)


def test_a_recording_of_nothing_is_no_film(tmp_path: Path) -> None:
    simulator = Slate()
    with pytest.raises(ValueError, match="no frames"):
        film(simulator, flown(simulator, record=0), tmp_path / "video.mp4", 64, 48)
    assert list(tmp_path.iterdir()) == []
