"""Weights of the reward as a task option."""

from __future__ import annotations

import pytest
import torch

import robots
from robots.catalogue import QUADROTOR_TASKS
from robots.options import OptionError


@pytest.mark.parametrize("task", QUADROTOR_TASKS)
def test_twice_every_weight_is_twice_the_reward(task: str) -> None:
    usual = robots.make(task, action_difference_penalty=0.0)
    terms = {name: weight for name, weight in usual.settings.items() if name not in ("difficulty", "action_difference")}
    words = ", ".join(f"{name}={2.0 * weight}" for name, weight in terms.items())
    changed = robots.make(task, action_difference_penalty=0.0, reward_terms=words)
    assert changed.settings == usual.settings | {name: 2.0 * weight for name, weight in terms.items()}
    rewards = []
    for simulator in (usual, changed):
        state = simulator.reset(8, seed=0)
        for _ in range(5):
            step = simulator.step(state, torch.zeros(8, 4))
            state = step.state
        rewards.append(step.reward)
    torch.testing.assert_close(rewards[1], 2.0 * rewards[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("at_targt=2", "'at_targt'; did you mean 'at_target'"),
        ("at_target=x", "at_target"),
        ("at_target=inf", "finite"),
        ("at_target=1,at_target=2", "twice"),
    ],
)
def test_a_wrong_term_is_named(words: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        robots.make("quadrotor-hover", reward_terms=words)
