"""Every algorithm has settings for every task, and they can be compared with each other."""

from __future__ import annotations

import dataclasses

import pytest

import robots
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.training.simulation import make_simulator
from robots import registry
from robots.quadrotor.tasks.hover import QuadrotorHover


@pytest.mark.parametrize("task", robots.names())
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_pair_of_algorithm_and_task_has_a_valid_config(algorithm: str, task: str) -> None:
    config = preset(algorithm, task)
    assert config.task == task
    assert type(config.algorithm) is ALGORITHMS[algorithm]
    assert config.num_iterations >= 1
    assert config.batch_rows % config.learning.num_minibatches == 0
    assert Config.from_json(config.to_json()) == config
    assert make_simulator(config).spec.name == task


@pytest.mark.parametrize("task", robots.names())
def test_presets_without_slopes_of_one_task_spend_the_same_simulator_steps(task: str) -> None:
    configs = [preset(algorithm, task) for algorithm in ALGORITHMS]
    compared = [config for config in configs if not config.algorithm.uses_slopes]
    # GRPO does not learn with small updates, in as few steps as the others.
    with_critic = [config for config in compared if config.algorithm.needs_critic]
    assert len({config.total_steps for config in with_critic}) == 1
    assert len({config.network for config in compared}) == 1
    assert len({config.network.hidden_sizes for config in configs}) == 1


@pytest.mark.parametrize("task", robots.names())
def test_presets_with_slopes_are_for_differentiable_tasks_and_take_fewer_steps(task: str) -> None:
    hybrid, ppo = preset("hybrid-grpo", task), preset("ppo", task)
    if hybrid.algorithm.uses_slopes:
        assert make_simulator(hybrid).spec.differentiable
        assert hybrid.total_steps < ppo.total_steps


def test_hidden_luck_with_gusts_takes_more_steps() -> None:
    for algorithm in ("ppo", "hybrid-grpo"):
        randomized, gusty = (preset(algorithm, f"quadrotor-hover-{kind}") for kind in ("randomized", "gusty"))
        assert gusty.total_steps > randomized.total_steps
    assert preset("hybrid-grpo", "quadrotor-hover-gusty").network.memory == "gru"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_task_without_a_preset_gets_the_general_settings(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._FACTORIES, "brand-new", QuadrotorHover)
    assert preset(algorithm, "brand-new") == Config(task="brand-new", algorithm=ALGORITHMS[algorithm]())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_environments_that_are_stepped_one_by_one_get_small_batches(algorithm: str) -> None:
    foreign = preset(algorithm, "gymnasium/HalfCheetah-v5")
    assert foreign == dataclasses.replace(preset(algorithm, "Walker2d-v5"), task="gymnasium/HalfCheetah-v5")


def test_hover_aviaries_have_settings_for_whole_episodes_and_other_aviaries_small_batches() -> None:
    for task in ("gpd/HoverAviary", "gpd/MultiHoverAviary"):
        hybrid, ppo = preset("hybrid-grpo", task), preset("ppo", task)
        assert hybrid.task == ppo.task == task
        assert hybrid.steps_per_iteration == ppo.steps_per_iteration
        # 8 s at 30 Hz; the environment compares the time before a step, so that an episode has two steps more.
        assert hybrid.rollout_steps == ppo.rollout_steps == 8 * 30 + 2
        assert (hybrid.network, hybrid.learning, hybrid.total_steps) == (ppo.network, ppo.learning, ppo.total_steps)
    assert preset("ppo", "gpd/VelocityAviary") == dataclasses.replace(
        preset("ppo", "Walker2d-v5"), task="gpd/VelocityAviary"
    )


@pytest.mark.parametrize(
    ("algorithm", "task", "message"),
    [
        ("hybrid-grop", "quadrotor-hover", "unknown algorithm 'hybrid-grop'; did you mean 'hybrid-grpo'?"),
        ("sac", "quadrotor-hover", "unknown algorithm 'sac'; allowed: ppo, grpo, hybrid-grpo"),
        ("ppo", "quadrotor-hoover", "unknown task 'quadrotor-hoover'; did you mean 'quadrotor-hover'?"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(algorithm: str, task: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        preset(algorithm, task)
    assert str(caught.value) == message


def test_a_task_like_no_other_is_told_with_all_names() -> None:
    with pytest.raises(ConfigError, match=r"^unknown task '~'; allowed: .*quadrotor-hover"):
        preset("ppo", "~")
