"""GRPO in every form learns what it can learn, and is trained, resumed and evaluated by its options' names."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from support.analytic_envs import ActionReward, TwoStepCredit, train
from support.signals import assert_same, press_ctrl_c_in

import policies
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.trainer import Trainer

pytestmark = pytest.mark.slow

LEARNING = Learning(learning_rate=0.15, update_epochs=3, num_minibatches=1, normalize_advantage=False)
SCALES, BASELINES, CREDITS = ("group", "batch", "none"), ("mean", "leave_one_out"), ("outcome", "reward_to_go")
GROUPS = ("executed_path", "initial_states")


@pytest.mark.parametrize(
    ("scale", "baseline", "credit", "groups", "drop"),
    [*product(SCALES, BASELINES, CREDITS, GROUPS, (False, True))],
)
def test_the_best_action_of_a_bandit(scale: Any, baseline: Any, credit: Any, groups: Any, drop: bool) -> None:
    # -(a - 2)^2, bounds +-4
    options = {"scale": scale, "baseline": baseline, "credit": credit, "groups": groups, "drop_zero_variance": drop}
    policy = train(ActionReward(2.0), GRPO(0.8, num_samples=4, branch_steps=2, **options), 7, 32, 4, LEARNING)
    assert policy(torch.zeros(1)).item() == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("groups", GROUPS)
def test_reward_to_go_gives_credit_to_the_step_that_earned_it(groups: Any) -> None:
    # -(a_0 + 1)^2 paid in the second step, bounds +-2
    grpo = GRPO(0.8, num_samples=4, credit="reward_to_go", groups=groups)
    policy = train(TwoStepCredit(-1.0), grpo, 20, 64, 2, LEARNING)
    assert policy(torch.zeros(1, 2)).item() == pytest.approx(-1.0, abs=0.15)


def test_where_no_sample_is_ever_better_nothing_is_learned() -> None:
    # one-step groups of the two-step task: in phase 0 all earn 0, in phase 1 all pay for the same first action
    grpo = GRPO(0.8, num_samples=4, branch_steps=1, drop_zero_variance=True)
    policy, fresh = (train(TwoStepCredit(-1.0), grpo, iterations, 8, 2, LEARNING) for iterations in (3, 0))
    for ours, theirs in zip(policy.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(ours, theirs)


# Through the whole command line

TINY = ("--num-envs", "8", "--rollout-steps", "32", "--branch-steps", "16", "--num-samples", "2")
TINY += ("--hidden-sizes", "8", "--update-epochs", "1", "--num-minibatches", "2", "--total-steps", str(3 * 512))
OPTIONS = ("--scale", "none", "--baseline", "leave_one_out", "--credit", "reward_to_go")
OPTIONS += ("--groups", "initial_states", "--drop-zero-variance", "--clip-high", "0.28")


def test_a_run_with_every_option_can_be_stopped_resumed_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "grpo", "quadrotor-hover", *TINY, *OPTIONS, "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as patched:
        press_ctrl_c_in(1, patched)
        assert main([*command, str(tmp_path / "stopped")]) == 130
    folder = RunFolder(tmp_path / "stopped")
    assert len(folder.read_metrics()) == 1
    assert main(["resume", str(folder.path)]) == 0
    assert_same(folder.path, tmp_path / "whole")
    # six branches of 16 steps, each begun anew: along the executed path, episodes would have lasted up to 96
    _, elapsed, _ = policies.restore(folder.path)[1]["sampler"]["roots"]
    assert elapsed.max() == 16

    config = folder.read_config()
    assert config.learning.clip_high == 0.28
    assert config.algorithm == GRPO(
        num_samples=2,
        branch_steps=16,
        scale="none",
        baseline="leave_one_out",
        credit="reward_to_go",
        groups="initial_states",
        drop_zero_variance=True,
    )
    assert main(["evaluate", str(folder.path), "--episodes", "2"]) == 0
    assert json.loads(folder.evaluation.read_text())["episodes"] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--scale", "bach"), "scale"),
        (("--clip-high", "0"), "clip_high must be above 0; given 0.0"),
        (("--num-samples", "1", "--groups", "initial_states"), "num_samples must be at least 2; given 1"),
        (("--kl-coef", "0.1"), "kl_coef 0.1 needs a reference policy: name its run folder with --reference"),
        (("--kl-coef", "-1", "--reference", "runs/a"), "kl_coef must be at least 0; given -1.0"),
        (("--reference", "runs/a"), "the reference runs/a does nothing with kl_coef 0"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "grpo", "quadrotor-hover", *words]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def cut_config(curriculum: dict[str, str], groups: Any = "initial_states") -> Config:
    """Hover for 100 of 500 steps, long enough for a fresh policy to crash."""
    grpo = GRPO(num_samples=2, groups=groups)
    learning = Learning(update_epochs=1, num_minibatches=1)
    return Config("quadrotor-hover", grpo, num_envs=8, rollout_steps=100, learning=learning, curriculum=curriculum)


def test_crashes_in_cut_episodes_are_not_reported_as_all_episodes() -> None:
    crashed, cut = (Trainer.from_config(cut_config({}, groups)).step() for groups in GROUPS)
    assert math.isfinite(crashed["episode_return"])
    assert all(map(math.isnan, (cut["episode_return"], cut["episode_length"], cut["success_rate"])))


def test_a_curriculum_cannot_wait_for_the_success_of_cut_episodes() -> None:
    with pytest.raises(ConfigError, match=r"branch_steps 100 cuts episodes of 500 steps.*allowed"):
        Trainer.from_config(cut_config({"difficulty": "0.8:1@success:0.5:0.5"}))
    assert Trainer.from_config(cut_config({"difficulty": "0.8:1@steps:0:500"})).sampler.cuts_episodes
