"""Curricula: schedules as words, where a setting stands after steps and successes, and bits across a resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from support.analytic_envs import ConstantReward

import robots
from hgrpo_control.algorithms.rollout import FinishedEpisodes
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.named_values import read_named_values, write_named_values
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.config.schedules import (
    StepSchedule,
    SuccessSchedule,
    read_schedule,
)
from hgrpo_control.training.curriculum import JUDGED_EPISODES, Curriculum
from hgrpo_control.training.trainer import Trainer
from policies import checkpoint
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.tasks.hover import QuadrotorHover


def finished(successes: int, episodes: int) -> FinishedEpisodes:
    success = torch.arange(episodes) < successes
    return FinishedEpisodes(torch.zeros(episodes), torch.ones(episodes, dtype=torch.int64), success)


def config(**changes: object) -> Config:
    plain = Config(
        task="quadrotor-hover",
        algorithm=PPO(),
        total_steps=4 * 16 * 8,
        num_envs=16,
        rollout_steps=8,
        network=Network((8,)),
        learning=Learning(update_epochs=1, num_minibatches=2),
        curriculum={"difficulty": "0.2:1@steps:128:384", "near_target": "0.5:0.1@success:0.5:0.5"},
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_schedules_are_read_from_words() -> None:
    assert read_schedule("difficulty", "0:1@steps:0:2e6") == StepSchedule(0.0, 1.0, 0.0, 2e6)
    assert read_schedule("difficulty", "0.2:1@success:0.8:0.1") == SuccessSchedule(0.2, 1.0, 0.8, 0.1)
    words = ["difficulty=0:1@steps:0:2e6", "crash=-1:-5@success:0.8:0.1"]
    assert write_named_values(read_named_values(words)) == words


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("0:1", "a curriculum is written NAME=FROM:TO@steps:BEGIN:END or NAME=FROM:TO@success:RATE:SHARE; given x=0:1"),
        ("0:1@step:0:9", "given x=0:1@step:0:9"),
        ("0:nan@steps:0:9", "given x=0:nan@steps:0:9"),
        ("0:1@steps:9:9", "curriculum of x: BEGIN must be below END; given 9:9"),
        ("0:1@success:1.1:0.1", "curriculum of x: rate must be above 0 and at most 1; given 1.1"),
        ("0:1@success:0.8:0", "curriculum of x: share must be above 0 and at most 1; given 0.0"),
    ],
)
def test_a_schedule_that_means_nothing_is_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(curriculum={"x": word})
    assert str(caught.value).endswith(message)


def test_a_setting_moves_linearly_with_executed_steps() -> None:
    simulator = QuadrotorHover()
    curriculum = Curriculum({"difficulty": "0.2:1@steps:100:300"}, simulator)
    seen = []
    for steps in (0, 100, 150, 300, 1000):
        curriculum.update(steps, finished(0, 0))
        seen.append(simulator.difficulty)
    assert seen == pytest.approx([0.2, 0.2, 0.4, 1.0, 1.0])  # a quarter of the way is 0.2 + 0.8 / 4


def test_a_setting_moves_when_enough_of_enough_episodes_succeed() -> None:
    simulator = QuadrotorHover()
    curriculum = Curriculum({"difficulty": "0:1@success:0.8:0.4"}, simulator)
    half = JUDGED_EPISODES // 2
    seen = []
    for successes in (half, half, 0, half, 40, 40, half, half):  # judged after every second: 100, 50, 80 and 100 %
        curriculum.update(0, finished(successes, half))
        seen.append(simulator.difficulty)
    assert seen == pytest.approx([0.0, 0.4, 0.4, 0.4, 0.4, 0.8, 0.8, 1.0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"dificulty": "0:1@steps:0:9"},
            "quadrotor-hover has no setting 'dificulty' for a curriculum; did you mean 'difficulty'?",
        ),
        ({"difficulty": "0:2@steps:0:9"}, "curriculum of difficulty: difficulty must lie in [0, 1]; given 2.0"),
    ],
)
def test_a_setting_that_the_task_does_not_take_is_refused(words: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Curriculum(words, QuadrotorHover())
    assert str(caught.value) == message


def test_a_task_without_settings_is_refused() -> None:
    with pytest.raises(ConfigError, match="constant-reward has no setting 'difficulty' for a curriculum; it has none"):
        Curriculum({"difficulty": "0:1@steps:0:9"}, ConstantReward(2, False))


def test_training_moves_its_settings_and_says_so() -> None:
    """Each iteration takes 128 steps; difficulty goes from 0.2 at 128 to 1 at 384. A row tells what its rollout had."""
    trainer = Trainer.from_config(config())
    flight = trainer.sampler.simulator
    assert isinstance(flight, QuadrotorFlight)
    assert flight.difficulty == 0.2
    reach = (trainer.sampler.roots.state.body.position - torch.tensor([[0.0, 0.0, 2.0]])).norm(dim=1)
    assert reach.max() <= 0.2 + 1e-6  # the first episodes began at it
    assert [trainer.step()["difficulty"] for _ in range(4)] == pytest.approx([0.2, 0.2, 0.6, 1.0])
    assert robots.make("quadrotor-hover").difficulty == 1.0  # type: ignore[attr-defined]


def test_a_resumed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, first, second = (Trainer.from_config(config()) for _ in range(3))
    for _ in range(2):
        whole.step()
        first.step()
    first.curriculum.episodes["near_target"] = whole.curriculum.episodes["near_target"] = 99
    checkpoint.save(tmp_path / "checkpoint.pt", first.policy, first.state_dict())
    second.load(*checkpoint.restore(tmp_path / "checkpoint.pt"))
    assert second.curriculum.state_dict() == whole.curriculum.state_dict()
    assert second.sampler.simulator.settings == whole.sampler.simulator.settings  # type: ignore[attr-defined]
    for _ in range(2):
        whole.step()
        second.step()
    pairs = zip(whole.policy.state_dict().values(), second.policy.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert second.curriculum.state_dict() == whole.curriculum.state_dict()


def test_a_config_with_a_curriculum_survives_json() -> None:
    assert Config.from_json(config().to_json()) == config()


def test_without_a_curriculum_a_checkpoint_says_nothing_of_one() -> None:
    assert "curriculum" not in Trainer.from_config(config(curriculum={})).state_dict()
