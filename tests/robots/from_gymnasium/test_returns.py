"""What environments return by mistake is told in one line, at the start and later."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Tuple
from support import buggy_envs

from robots.from_gymnasium.options import EnvironmentRefusedError
from robots.from_gymnasium.returns import EnvironmentFailedError, read_reset, read_step
from robots.from_gymnasium.simulator import GymnasiumSimulator
from robots.from_gymnasium.spaces import FlatSpaces, read_spaces

PAIR = Box(-9.0, 9.0, (2,), np.float32)
PARTS = Dict(a=Box(-9.0, 9.0, (1,)), b=Tuple((Box(-9.0, 9.0, (2,)), Box(-9.0, 9.0, (1, 1)))))
ZERO = np.zeros(2, np.float32)


def spaces_of(observation: gymnasium.Space[Any]) -> FlatSpaces:
    env: gymnasium.Env[Any, Any] = gymnasium.Env()
    env.observation_space, env.action_space = observation, Box(-1.0, 1.0, (1,), np.float32)
    return read_spaces(env, "Some-v0", None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ZERO, "an array of shape (2,) of float32; expected (observation, info)"),
        ((ZERO,), "1 values; expected 2: (observation, info)"),
        ([0.0, 0.0], "the info 0.0; expected a dict"),
        ((ZERO, None), "the info None; expected a dict"),
        ((None, {}), "the observation None, which is no array of numbers; expected numbers of shape (2,)"),
        (([0.0, [1.0]], {}), "the observation [0.0, [1.0]], which is no array of numbers; expected numbers of shape"),
        ((["a", "b"], {}), "which is no array of numbers"),
        ((np.zeros(3), {}), "the observation of 3 numbers, shape (3,); expected numbers of shape (2,)"),
        ((ZERO, {"is_success": np.zeros(2)}), 'info["is_success"] = an array of shape (2,) of float64; expected one'),
    ],
)
def test_a_reset_of_another_form_is_told(answer: Any, told: str) -> None:
    with pytest.raises(EnvironmentFailedError) as caught:
        read_reset("Some-v0", spaces_of(PAIR), answer)
    assert str(caught.value).startswith("Some-v0 returned from reset ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((ZERO, 0.0, False, {}), "4 values; expected 5: (observation, reward, terminated, truncated, info)"),
        (None, "None; expected (observation, reward, terminated, truncated, info)"),
        ((ZERO, None, False, False, {}), "reward = None; expected one number"),
        ((ZERO, "1", False, False, {}), "reward = '1'; expected one number"),
        ((ZERO, np.zeros(2), False, False, {}), "reward = an array of shape (2,) of float64; expected one number"),
        ((ZERO, 0.0, None, False, {}), "terminated = None; expected true or false"),
        ((ZERO, 0.0, False, 7, {}), "truncated = 7; expected true or false"),
        ((ZERO, 0.0, False, False, None), "the info None; expected a dict"),
    ],
)
def test_a_step_of_another_form_is_told(answer: Any, told: str) -> None:
    with pytest.raises(EnvironmentFailedError) as caught:
        read_step("Some-v0", spaces_of(PAIR), answer)
    assert str(caught.value) == f"Some-v0 returned from step {told}"


@pytest.mark.parametrize(
    ("observation", "told"),
    [
        ({"a": [1.0]}, "the observation without its key 'b'; expected a, b"),
        (ZERO, "the observation an array of shape (2,) of float32; expected a dict with the keys a, b"),
        ({"a": [1.0], "b": (ZERO,)}, "the observation['b'] (array([0., 0.], dtype=float32),); expected a tuple of 2"),
        ({"a": [1.0], "b": (ZERO, None)}, "the observation['b'][1] None, which is no array of numbers; expected"),
    ],
)
def test_parts_that_are_missing_are_named(observation: Any, told: str) -> None:
    with pytest.raises(EnvironmentFailedError) as caught:
        read_reset("Some-v0", spaces_of(PARTS), (observation, {}))
    assert told in str(caught.value)


def test_parts_are_flattened_in_the_order_of_gymnasium() -> None:
    value = {"b": (np.array([2.0, 3.0], np.float32), np.array([[4.0]], np.float32)), "a": np.ones(1, np.float32)}
    flat = read_reset("Some-v0", spaces_of(PARTS), (value, {})).observation
    assert flat.tolist() == [1.0, 2.0, 3.0, 4.0] == gymnasium.spaces.utils.flatten(PARTS, value).tolist()


def test_an_observation_is_a_copy() -> None:
    mine = np.array([1.0, 2.0])
    flat = read_reset("Some-v0", spaces_of(PAIR), (mine, {})).observation
    mine[0] = 9.0
    assert flat.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "reward", [3, 3.0, True + 2, np.float32(3.0), np.array([3.0]), np.array([[3]]), torch.tensor(3.0), Fraction(3), [3]]
)
def test_one_number_in_any_wrapping_is_a_reward(reward: Any) -> None:
    outcome = read_step("Some-v0", spaces_of(PAIR), (ZERO, reward, np.bool_(True), np.array([0]), {}))
    assert outcome[1:] == (3.0, True, False, {})


class NoSpaces(gymnasium.Env[Any, Any]):
    def reset(self, **given: Any) -> Any:
        return ZERO, {}


def test_an_environment_without_spaces_is_refused() -> None:
    with pytest.raises(EnvironmentRefusedError, match=r"^NoSpaces must declare its observation_space as a space of"):
        GymnasiumSimulator(NoSpaces, max_episode_steps=10)


@pytest.mark.parametrize("snapshots", ["auto", "none"])
def test_an_action_that_is_nan_does_not_reach_the_environment(snapshots: str) -> None:
    class Listening(buggy_envs.SavedCart):
        heard = [0.0]  # noqa: RUF012  (of all instances)

        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
            self.heard.append(float(action[0]))
            return super().step(action)

    simulator = GymnasiumSimulator(Listening, snapshots=snapshots, max_episode_steps=40)
    state = simulator.reset(2, 0)
    with pytest.raises(EnvironmentFailedError) as caught:
        simulator.step(state, torch.tensor([[0.5], [torch.nan]]))
    assert str(caught.value) == "Listening got action[0] = nan; allowed: numbers from -1 to 1"
    assert np.isfinite(Listening.heard).all()
    assert Listening.heard[-1] == 0.5
