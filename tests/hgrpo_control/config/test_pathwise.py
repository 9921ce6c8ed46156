"""`--pathwise`: what is allowed, what does nothing beside it, and where there are no slopes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hgrpo_control.config.algorithms import GRPO, PPO, HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.training.build import build


def config(**given: Any) -> Config:
    """A small run with slopes, with other settings."""
    given = {"algorithm": HybridGRPO(pathwise="auto"), "num_envs": 8, **given}
    return Config(task="quadrotor-hover", **given)


@pytest.mark.parametrize("value", ["off", "auto", "1", "0.3", "1.0"])
@pytest.mark.parametrize("kind", [PPO, HybridGRPO])
def test_shares_that_are_allowed(kind: Any, value: str) -> None:
    algorithm = config(algorithm=kind(pathwise=value)).algorithm
    assert algorithm.uses_slopes == (value != "off")
    assert algorithm.fixed_share == (None if value in ("off", "auto") else float(value))


@pytest.mark.parametrize("value", ["2", "0", "-0.5", "nan", "inf", "aut", ""])
def test_other_shares_are_refused_in_one_line(value: str) -> None:
    with pytest.raises(ConfigError, match=r"pathwise .*above 0, at most 1") as error:
        config(algorithm=HybridGRPO(pathwise=value))
    assert "\n" not in str(error.value)
    assert value in str(error.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"algorithm": HybridGRPO(pathwise="1", guided_candidates=4)}, "guided_candidates"),
        ({"algorithm": GRPO(pathwise="1")}, "scale group"),
        ({"algorithm": HybridGRPO(pathwise="1", gamma=0.5)}, "gamma 0.5"),
        ({"algorithm": PPO(pathwise="auto"), "num_envs": 1}, "num_envs 1"),
        ({"learning": Learning(clip_coef=0.1)}, "clip_coef 0.1"),
        ({"learning": Learning(clip_high=0.3)}, "clip_high 0.3"),
        ({"learning": Learning(normalize_advantage=False)}, "normalize_advantage False"),
        ({"algorithm": HybridGRPO(), "learning": Learning(leash=1.0)}, "leash 1.0"),
    ],
)
def test_settings_that_do_nothing_or_contradict_slopes_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        config(**given)


@pytest.mark.parametrize(("task", "options"), [("Hopper-v5", {}), ("quadrotor-hover", {"physics": "mujoco"})])
def test_a_task_without_slopes_is_refused_and_others_are_named(task: str, options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"pathwise 1 needs a differentiable simulator.*quadrotor-gates") as error:
        build(dataclasses.replace(config(algorithm=HybridGRPO(pathwise="1")), task=task, task_options=options))
    assert task in str(error.value)


def test_a_transformed_reward_has_no_slopes() -> None:
    with pytest.raises(ConfigError, match="identity; given tanh"):
        build(config(algorithm=HybridGRPO(pathwise="1", reward_transform="tanh")))


def test_a_preset_that_transforms_rewards_names_the_task_first() -> None:
    ours = preset("hybrid-grpo", "Hopper-v5")
    assert ours.algorithm.reward_transform != "identity"
    with pytest.raises(ConfigError, match="Hopper-v5 is none"):
        build(dataclasses.replace(ours, algorithm=dataclasses.replace(ours.algorithm, pathwise="auto")))
