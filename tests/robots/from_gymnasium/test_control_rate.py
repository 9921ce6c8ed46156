"""How many control steps a second of an adapted environment has."""

from __future__ import annotations

import pytest
from support import buggy_envs

import robots
from robots.from_gymnasium.options import EnvironmentRefusedError
from robots.from_gymnasium.simulator import GymnasiumSimulator


class Timed(buggy_envs.SavedCart):
    """A cart that states its rates as it is told."""

    def __init__(self, dt: object, fps: int | None) -> None:
        super().__init__()
        self.dt = dt
        self.metadata = {} if fps is None else {"render_fps": fps}


def rate(dt: object, fps: int | None, **options: float) -> float:
    return GymnasiumSimulator(Timed(dt, fps), max_episode_steps=40, **options).spec.control_hz


def test_the_duration_of_a_step_goes_before_the_rate_of_pictures() -> None:
    assert rate(0.02, 30) == rate(0.02, None) == 50.0
    assert rate(0.02, 30, control_hz=80.0) == 80.0
    assert robots.make("gymnasium/Pendulum-v1").spec.control_hz == 20.0  # its dt is 0.05 s, its render_fps 30


@pytest.mark.parametrize("dt", [0.0, -0.02, float("nan"), float("inf"), "0.02", None])
def test_a_dt_that_is_no_duration_is_not_taken_for_one(dt: object) -> None:
    assert rate(dt, 30) == 30.0
    with pytest.raises(EnvironmentRefusedError, match="does not define its control rate"):
        rate(dt, None)
