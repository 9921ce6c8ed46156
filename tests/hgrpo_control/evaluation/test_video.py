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
from hgrpo_control.config.film import Film
from hgrpo_control.config.learning import Network
from hgrpo_control.evaluation.evaluate import Recording, evaluate
from hgrpo_control.evaluation.video import TRAIL_SECONDS, captioned, film, frames, outcome
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.drawing.offscreen import MissingGraphicsError, require_gl
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover import QuadrotorHover

pytestmark = pytest.mark.slow

STEPS = 30
SMALL = Film(64, 48)


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
    pictures = list(frames(simulator, recording, "mine", SMALL))
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
    assert len(list(frames(simulator, recording._replace(alive=ended), "mine", SMALL))) == 3 + 8


def test_the_trail_is_the_way_flown_so_far_and_no_longer_than_its_time() -> None:
    simulator = Slate(limit=200)
    simulator_steps = round(TRAIL_SECONDS * 100.0)
    recording = flown(simulator, record=1)
    alive = torch.ones_like(recording.alive)
    list(frames(simulator, recording._replace(alive=alive), "mine", SMALL))
    lengths = [length for _, length in simulator.drawn]
    assert lengths == [min(step, simulator_steps) + 1 for step in range(0, len(recording.states), 4)]


@pytest.mark.parametrize("control_hz", [10.0, 25.0, 60.0, 100.0])
@pytest.mark.parametrize("fps", [10.0, 25.0, 59.94, 240.0])
def test_a_film_takes_as_long_as_the_episode(tmp_path: Path, control_hz: float, fps: float) -> None:
    simulator = Slate(control_hz)
    recording = flown(simulator, record=1)
    assert len(recording.states) == STEPS + 1
    film(simulator, recording, tmp_path / "video.mp4", "mine", Film(64, 48, fps))
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))
    assert count == int(STEPS / control_hz * fps + 1e-6) + 1  # the first state at 0 s
    assert seconds == pytest.approx(STEPS / control_hz, abs=1.1 / fps)
    assert len(simulator.drawn) <= min(count, STEPS + 1)  # a repeated state is drawn once


def test_an_episode_is_captioned_with_its_outcome() -> None:
    simulator = Slate()
    recording = flown(simulator)
    yes, no = torch.tensor([True, True]), torch.tensor([False, False])
    simulator.success = lambda state: no  # type: ignore[assignment, method-assign]
    assert outcome(simulator, recording._replace(terminated=yes), 0) == "crashed"
    assert outcome(simulator, recording._replace(terminated=no), 1) == "time limit"
    simulator.success = lambda state: yes  # type: ignore[assignment, method-assign]
    assert outcome(simulator, recording._replace(terminated=no), 0) == "success"
    simulator.spec = dataclasses.replace(simulator.spec, goal="")
    assert outcome(simulator, recording._replace(terminated=yes), 0) == "ended early"


def test_an_end_that_the_task_does_not_count_as_a_crash_is_none() -> None:
    simulator = Slate()
    recording = flown(simulator)._replace(terminated=torch.tensor([True, True]))
    simulator.success = lambda state: torch.tensor([False, False])  # type: ignore[assignment, method-assign]
    crashes = {"crash rate [1]": torch.tensor([1.0, 0.0])}
    simulator.metrics = lambda state: crashes  # type: ignore[assignment, method-assign]
    assert [outcome(simulator, recording, row) for row in (0, 1)] == ["crashed", "ended early"]


@pytest.mark.parametrize("size", [(192, 192), (640, 480), (1920, 1080)])
def test_captions_fit_below_a_picture(size: tuple[int, int]) -> None:
    width, height = size
    plain = np.full((height, width, 3), 200, dtype=np.uint8)
    picture = captioned(plain, ("quadrotor-hover-randomized, policy mine", "episode 1 of 4: crashed, return 1234.5"))
    changed = np.flatnonzero((picture != 200).any(axis=(1, 2)))
    assert changed[0] > (0.5 if width == 192 else 0.85) * height  # narrow ones need more lines
    assert changed[-1] == height - 1
    letters = np.flatnonzero((picture > 230).all(axis=2).any(axis=0))
    assert 0 < letters[0] < letters[-1] < width - 1


def test_a_film_of_the_hover_task(tmp_path: Path) -> None:
    try:
        require_gl()
    except MissingGraphicsError as missing:
        pytest.skip(str(missing))
    hover = robots.make("quadrotor-hover")
    hover.spec = dataclasses.replace(hover.spec, max_episode_steps=STEPS)
    recording = flown(hover)
    film(hover, recording, tmp_path / "video.mp4", "mine", Film(128, 96))
    per_episode = math.ceil(STEPS * Film().fps / hover.spec.control_hz)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))
    assert count == 2 * per_episode
    assert seconds == pytest.approx(2 * per_episode / Film().fps, abs=0.02)
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
        film(simulator, flown(simulator, record=0), tmp_path / "video.mp4", "mine", SMALL)
    assert list(tmp_path.iterdir()) == []
