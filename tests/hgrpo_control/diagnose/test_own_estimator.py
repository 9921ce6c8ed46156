"""The row of `hgrpo diagnose` for the run's own estimator, whatever its options."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from support.analytic_envs import ConstantReward, ScalarLQR, fresh_policy

import policies
from hgrpo_control import algorithms
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.run import Config
from hgrpo_control.diagnose.estimators import own_estimator
from hgrpo_control.diagnose.fixed_roots import on_policy_states, rollouts
from hgrpo_control.diagnose.measurement import diagnose
from hgrpo_control.diagnose.replicates import draw_gradients
from hgrpo_control.diagnose.settings import DiagnoseSettings
from hgrpo_control.sampling import guidance

pytestmark = pytest.mark.slow

SMALL = DiagnoseSettings(
    roots=4, steps=8, samples=(2,), branch_steps=(4,), lambdas=(0.7,), budget=512, reference_branches=32, horizon=4
)  # fmt: skip


def config(algorithm: Algorithm) -> Config:
    return Config("scalar-lqr", algorithm, num_envs=4, rollout_steps=60)


@pytest.mark.parametrize(
    ("algorithm", "note", "numbers"),
    [
        (PPO(gae_lambda=0.7), "ppo", (1, 8, 0.7)),
        (
            GRPO(num_samples=3, branch_steps=4, scale="batch", baseline="leave_one_out", credit="reward_to_go"),
            "grpo, scale batch, baseline leave_one_out, credit reward_to_go",
            (3, 4, None),
        ),
        (GRPO(drop_zero_variance=True), "grpo, drop_zero_variance True", (4, 8, None)),
        (
            HybridGRPO(gae_lambda=0.6, branch_steps=1, estimator="group_shrunk", reward_transform="tanh"),
            "hybrid-grpo, reward_transform tanh, estimator group_shrunk",
            (4, 1, 0.6),
        ),
        (HybridGRPO(num_samples=1, estimator="per_sample"), "hybrid-grpo, estimator per_sample", (1, 8, 1.0)),
        (
            HybridGRPO(branch_steps=6, estimator="paper"),
            "hybrid-grpo, estimator paper; its branches have 6 steps and are measured with 4, which divides 8 "
            "(--steps)",
            (4, 4, 1.0),
        ),
        (
            HybridGRPO(branch_steps=60),
            "hybrid-grpo, estimator group; its branches have 60 steps and are cut at 8 (--steps)",
            (4, 8, 1.0),
        ),
    ],
)
def test_every_algorithm_has_a_row_that_says_what_it_is(
    algorithm: Algorithm, note: str, numbers: tuple[int, int, float | None]
) -> None:
    own = own_estimator(SMALL, config(algorithm), torch.ones(1))
    assert (own.name, own.note) == ("This run", note)
    assert (own.num_samples, own.branch_length, own.gae_lambda) == numbers
    simulator = ScalarLQR(0.9, 20.0, max_episode_steps=5)  # episodes end inside branches
    policy = fresh_policy(simulator, critic=algorithm.needs_critic)
    roots = on_policy_states(simulator, policy, 4, 0)
    (rollout,) = rollouts(simulator, policy, roots, own.num_samples, own.branch_length, 8, 1, 0)
    ours, expected = own.read(rollout), algorithms.make_batch(rollout, algorithm)
    assert torch.equal(ours.advantage, expected.advantage)
    assert torch.equal(ours.weight, expected.weight)
    diagnosis = diagnose(policy, ScalarLQR(0.9, 20.0, 100), config(algorithm), SMALL, lambda done, total: None)
    assert diagnosis.own is not None
    assert diagnosis.own.estimator.note == note
    assert diagnosis.own.measurement.replicates == 512 // (8 * 4 * own.num_samples)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        (PPO(gae_lambda=0.7), "PPO"),
        (GRPO(num_samples=2, branch_steps=4), "GRPO"),
        (GRPO(num_samples=2, branch_steps=4, scale="none"), "GRPO unscaled"),
        (HybridGRPO(num_samples=2, branch_steps=4, gae_lambda=0.5), "Hybrid group"),
        (HybridGRPO(num_samples=2, branch_steps=4, estimator="paper"), "Hybrid paper"),
    ],
)
def test_it_is_the_same_as_the_row_of_the_same_settings(algorithm: Algorithm, name: str) -> None:
    simulator = ScalarLQR(0.9, 20.0, max_episode_steps=100)
    diagnosis = diagnose(fresh_policy(simulator), simulator, config(algorithm), SMALL, lambda done, total: None)
    (row,) = (row for row in diagnosis.rows if row.estimator.name == name)
    assert diagnosis.own is not None
    assert repr(diagnosis.own.measurement) == repr(row.measurement)  # as text, because a NaN differs from itself
    assert diagnosis.every_row[0] is diagnosis.own


def test_more_samples_than_the_budget_holds_are_measured_in_four_replicates() -> None:
    simulator = ScalarLQR(0.9, 20.0, max_episode_steps=100)
    run = config(HybridGRPO(num_samples=16))  # 8 x 4 x 16 = 512 steps, one replicate
    diagnosis = diagnose(fresh_policy(simulator), simulator, run, SMALL, lambda done, total: None)
    assert diagnosis.own is not None
    assert diagnosis.own.measurement.replicates == 4


def test_guided_samples_are_guided_and_weighted_here_too() -> None:
    simulator = ConstantReward(4, ends=True)
    run = config(HybridGRPO(num_samples=4, branch_steps=2, guided_candidates=8))
    policy = fresh_policy(simulator)
    guide = guidance.make(policy, run.algorithm, run.learning, 0)
    assert guide is not None
    with torch.no_grad():  # a Q that prefers some actions
        for parameter in guide.learner.action_value.parameters():
            parameter.copy_(torch.linspace(-2.0, 2.0, parameter.numel()).view_as(parameter))
    roots, own = on_policy_states(simulator, policy, 4, 0), own_estimator(SMALL, run, policy.sigma)
    assert own.note == "hybrid-grpo, guided_candidates 8, estimator group"
    (rollout,) = rollouts(simulator, policy, roots, 4, 2, 8, 1, 0, proposals=guide.proposals)
    assert rollout.weight is not None
    weight = rollout.weight.unflatten(0, (-1, 2))
    assert bool((weight[:, 0, :, 2:] != 1.0).any())  # the first actions of the last two of four samples
    assert bool((weight[:, 1] == 1.0).all() and (weight[..., :2] == 1.0).all())
    drawn = (draw_gradients(policy, simulator, roots, [own], run, SMALL, lambda steps: None, None, g)
             for g in (guide.proposals, None))  # fmt: skip
    guided, plain = drawn
    assert not torch.equal(guided, plain)


TRAIN = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TRAIN += ("--num-minibatches", "2", "--total-steps", "512")
TINY = ("--roots", "4", "--steps", "4", "--samples", "2", "--branch-steps", "4", "--lambdas", "1")
TINY += ("--budget", "256", "--reference-branches", "32", "--horizon", "5")


@pytest.mark.usefixtures("undrawn")
def test_a_guided_run_is_diagnosed_with_its_own_q(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    words = ["train", "hybrid-grpo", "quadrotor-hover", *TRAIN, "--guided-candidates", "4", "--estimator", "group"]
    words += ["--pathwise", "off", "--num-samples", "4"]
    assert main([*words, "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["diagnose", str(run), *TINY]) == 0
    assert "This run: hybrid-grpo, guided_candidates 4, estimator group." in capsys.readouterr().out
    with (run / "diagnosis.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (same,) = (row for row in rows if row["estimator"] == "Hybrid group")
    assert rows[0]["estimator"] == "This run"
    assert float(rows[0]["variance"]) > 0.0
    assert (rows[0]["num_samples"], same["num_samples"]) == ("4", "2")
    # a checkpoint that was saved by itself holds no Q
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    policies.save(bare / "checkpoint.pt", policies.load(run))
    assert json.loads((bare / "config.json").read_text())["algorithm"]["guided_candidates"] == 4
    assert main(["diagnose", str(bare), *TINY]) == 2
    assert "does not hold the Q that guides this run; it was not saved in training" in capsys.readouterr().err
