"""What may change between two rollouts: difficulty, which decides how episodes begin, and the weights of the reward."""

from __future__ import annotations

import pytest
import torch
from support.states import same

import robots
from robots.options import OptionError
from robots.privileged import Privileged
from robots.quadrotor.tasks import hover
from robots.quadrotor.tasks.hover import HoverOptions, QuadrotorHover
from robots.simulator import Adjustable, Measured, episode_metrics


def test_difficulty_scales_where_hover_begins() -> None:
    """With the same draws, half the difficulty is half the offset, speed and rate; none is at rest on the target."""
    simulator = QuadrotorHover(dtype=torch.float64)
    hard = simulator.reset(20, 0).body
    simulator.adjust("difficulty", 0.5)
    half = simulator.reset(20, 0).body
    target = torch.tensor([hover.TARGET], dtype=torch.float64)
    torch.testing.assert_close(half.position - target, 0.5 * (hard.position - target))
    torch.testing.assert_close(half.velocity, 0.5 * hard.velocity)
    torch.testing.assert_close(half.angular_velocity, 0.5 * hard.angular_velocity)
    simulator.adjust("difficulty", 0.0)
    easy = simulator.reset(20, 0).body
    torch.testing.assert_close(easy.position, torch.tensor([hover.TARGET]).double().repeat(20, 1))
    assert not easy.velocity.any()
    assert not easy.quaternion[:, 1:3].any()  # level, any heading
    option = QuadrotorHover(HoverOptions(difficulty=0.5), dtype=torch.float64)
    assert same(option.reset(20, 0).body, half)


def test_a_weight_counts_from_the_next_step_on() -> None:
    simulator = QuadrotorHover(dtype=torch.float64)
    assert simulator.settings == {"difficulty": 1.0, "at_target": 1.0, "near_target": 0.5, "action_difference": 0.1}
    state = simulator.reset(9, 0)
    before = simulator.step(state, state.last_action)
    simulator.adjust("near_target", 2.5)
    after = simulator.step(state, state.last_action)
    assert same(before.state, after.state)
    distance = (after.state.body.position - torch.tensor([hover.TARGET]).double()).norm(dim=1)
    torch.testing.assert_close(after.reward - before.reward, 2.0 / (1.0 + distance**2))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dificulty", 0.5, "quadrotor-hover has no setting 'dificulty'; did you mean 'difficulty'?"),
        ("difficulty", 1.1, "difficulty must lie in [0, 1]; given 1.1"),
        ("at_target", float("nan"), "at_target must be finite; given nan"),
    ],
)
def test_a_setting_that_is_not_there_is_refused(name: str, value: float, message: str) -> None:
    simulator = QuadrotorHover()
    with pytest.raises(OptionError) as caught:
        simulator.adjust(name, value)
    assert str(caught.value) == message


def test_a_privileged_simulator_passes_settings_and_figures_on() -> None:
    simulator = Privileged(robots.make("quadrotor-hover", mass=0.3))
    assert isinstance(simulator, Adjustable)
    assert isinstance(simulator, Measured)
    simulator.adjust("difficulty", 0.25)
    assert simulator.settings["difficulty"] == simulator.simulator.difficulty == 0.25  # type: ignore[attr-defined]
    assert set(episode_metrics(simulator, simulator.reset(2, 0))) == {"position error [m]"}
