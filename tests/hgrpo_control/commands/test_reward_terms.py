"""`hgrpo train --reward-terms`: weights of the reward as task options of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import robots
from hgrpo_control.commands.train_options import parse_train_options

TRAIN = ("ppo", "quadrotor-hover", "--reward-terms")


def test_training_keeps_the_weights_with_its_task_options() -> None:
    config = parse_train_options([*TRAIN, "at_target=2", "action_difference=0.3", "near_target=0"]).config
    assert config.task_options == {"reward_terms": "at_target=2,near_target=0", "action_difference_penalty": "0.3"}
    weights = robots.make(config.task, **config.task_options).settings
    assert weights == {"difficulty": 1.0, "at_target": 2.0, "near_target": 0.0, "action_difference": 0.3}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("at_target=2", "--task-options", "reward_terms=near_target=1"), "reward_terms"),
        (("action_difference=2", "--task-options", "action_difference_penalty=1"), "action_difference_penalty"),
        (("at_target=2", "--curriculum", "at_target=0:1@steps:0:100"), "curriculum of at_target"),
        (("at_target",), "NAME=WEIGHT"),
        (("at_targt=2",), "did you mean 'at_target'"),
    ],
)
def test_two_settings_of_one_weight_are_refused(
    more: tuple[str, ...], said: str, complaint: Callable[..., str]
) -> None:
    assert said in complaint("train", *TRAIN, *more)
