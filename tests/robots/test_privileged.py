"""The simulator that shows what it hides: the same in everything but the width of its observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.states import same
from torch import Tensor

import robots
from robots.privileged import Privileged
from robots.quadrotor.tasks.hover import HoverProgress
from robots.simulator import Simulator, repeat

PLAIN = robots.make("quadrotor-hover-gusty")
SHOWN = Privileged(PLAIN)
ROWS = 9


def flown(steps: int = 8) -> tuple[Any, Tensor]:
    """A state on the way and an action for it."""
    state, generator = PLAIN.reset(ROWS, 0), torch.Generator().manual_seed(0)
    actions = 2.0 * torch.rand(steps + 1, ROWS, 4, generator=generator) - 1.0
    for action in actions[:-1]:
        state = PLAIN.step(state, action).state
    return state, actions[-1]


def test_it_is_a_simulator_with_the_names_of_both() -> None:
    assert isinstance(SHOWN, Simulator)
    ours, theirs = SHOWN.spec, PLAIN.spec
    assert ours.observation == theirs.observation + theirs.privileged
    assert ours.observation_size == theirs.observation_size + theirs.privileged_size == 31
    assert ours.privileged == theirs.privileged
    for name in ("name", "action", "action_low", "action_high", "control_hz", "max_episode_steps", "robot"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.neutral_action == theirs.neutral_action


def test_the_observation_is_what_is_seen_and_then_what_is_hidden() -> None:
    state, _ = flown()
    observation = SHOWN.observe(state)
    assert torch.equal(observation[:, :16], PLAIN.observe(state))
    assert torch.equal(observation[:, 16:], PLAIN.privileged(state))


def test_a_step_is_that_of_the_simulator_seen_in_full() -> None:
    state, action = flown()
    ours, theirs = SHOWN.step(state, action), PLAIN.step(state, action)
    assert same(ours.state, theirs.state)
    assert torch.equal(ours.reward, theirs.reward)
    assert torch.equal(ours.terminated, theirs.terminated)
    assert torch.equal(ours.observation, SHOWN.observe(theirs.state))
    assert ours.observation.shape == (ROWS, 31)


def test_everything_else_is_passed_on() -> None:
    state, _ = flown()
    assert same(SHOWN.reset(ROWS, 5), PLAIN.reset(ROWS, 5))
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    assert same(SHOWN.reset(ROWS, ours), PLAIN.reset(ROWS, theirs))
    assert torch.equal(ours.get_state(), theirs.get_state())
    assert torch.equal(SHOWN.privileged(state), PLAIN.privileged(state))
    index = torch.arange(2).repeat(ROWS)
    assert same(SHOWN.split_noise(repeat(state, 2), index), PLAIN.split_noise(repeat(state, 2), index))
    inside = state._replace(mission=HoverProgress(25 * torch.arange(ROWS).unsqueeze(1)))
    assert SHOWN.success(inside).tolist() == PLAIN.success(inside).tolist() == [i >= 4 for i in range(ROWS)]
    assert torch.equal(SHOWN.position(state), PLAIN.position(state))
    shown, plain = SHOWN.signals(state), PLAIN.signals(state)
    assert list(shown) == list(plain)
    assert all(torch.equal(shown[name], plain[name]) for name in plain)


def test_a_picture_is_asked_for_as_it_was() -> None:
    class Camera:
        spec = PLAIN.spec

        def render(self, *arguments: Any) -> np.ndarray:
            self.asked = arguments
            return np.zeros((7, 9, 3), np.uint8)

    camera, trail = Camera(), np.zeros((2, 3))
    picture = Privileged(camera).render("state", row=4, width=9, height=7, trail=trail)  # type: ignore[arg-type]
    assert picture.shape == (7, 9, 3)
    assert camera.asked == ("state", 4, 9, 7, trail)


def test_a_simulator_that_hides_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^quadrotor-hover has no hidden entries.* --task-options mass=0.3$"):
        Privileged(robots.make("quadrotor-hover"))
    assert Privileged(robots.make("quadrotor-hover", mass="0.3")).spec.observation_size == 31
