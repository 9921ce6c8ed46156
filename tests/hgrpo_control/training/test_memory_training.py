"""Policies with memory: every algorithm trains them, and settings that do not fit are refused in one line."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import robots
from hgrpo_control.api.run import resume, train
from hgrpo_control.command_line.parsing import UsageError
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.evaluation.evaluate import evaluate
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.trainer import Trainer
from policies.checkpoint import CheckpointError

GRU, HISTORY = {"memory": "gru", "memory_size": 4}, {"memory": "history", "memory_size": 2}
SLOPES = HybridGRPO(num_samples=1, branch_steps=16, pathwise="1")
RUNS: list[tuple[Algorithm, dict[str, Any], dict[str, Any]]] = [
    (PPO(), GRU, {}),
    (PPO(), GRU | {"privileged_critic": True}, {}),
    (PPO(), GRU, {"sequence_steps": 4, "burn_in": 2}),
    (GRPO(num_samples=4), GRU, {}),
    (GRPO(num_samples=4, groups="initial_states"), GRU, {}),
    (HybridGRPO(num_samples=2, branch_steps=1), GRU, {}),
    (HybridGRPO(num_samples=2, branch_steps=8, pathwise="auto"), GRU, {}),
    (SLOPES, GRU | {"privileged_critic": True}, {"sequence_steps": 8}),
    (SLOPES, HISTORY, {}),
    (HybridGRPO(num_samples=2), HISTORY | {"privileged_critic": True}, {}),
]


def config(algorithm: Algorithm, network: dict[str, Any], learning: dict[str, Any]) -> Config:
    """Two iterations on the randomised hover."""
    return Config(
        "quadrotor-hover-randomized",
        algorithm,
        seed=1,
        total_steps=2 * 16 * 16 * algorithm.num_samples,
        num_envs=16,
        rollout_steps=16,
        network=Network(hidden_sizes=(8,), **network),
        learning=Learning(update_epochs=2, num_minibatches=2, **learning),
    )


@pytest.mark.parametrize(("algorithm", "network", "learning"), RUNS, ids=repr)
def test_every_algorithm_trains_a_policy_with_memory(
    algorithm: Algorithm, network: dict[str, Any], learning: dict[str, Any]
) -> None:
    trainer = Trainer.from_config(config(algorithm, network, learning))
    before = [parameter.clone() for parameter in trainer.policy.actor.parameters()]
    for _ in range(2):
        figures = trainer.step()
        assert math.isfinite(figures["policy_loss"])
        assert figures["grad_norm"] > 0.0
    after = list(trainer.policy.actor.parameters())
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    evaluation, _ = evaluate(trainer.policy, robots.make("quadrotor-hover-randomized"), episodes=3)
    assert math.isfinite(evaluation.return_mean)


@pytest.mark.parametrize(
    ("network", "learning", "named"),
    [
        ({"memory": "gru", "memory_size": 0}, {}, "memory_size must be at least 1; given 0"),
        ({"memory_size": 8}, {}, "memory_size 8 does nothing with memory none"),
        (GRU, {"sequence_steps": 5}, "sequence_steps 5 does not divide the 16 steps"),
        (GRU, {"burn_in": 2}, "burn_in 2 does nothing"),
        (HISTORY, {"sequence_steps": 4}, "sequence_steps 4 does nothing with memory history"),
    ],
)
def test_settings_of_memory_that_do_not_fit(network: dict[str, Any], learning: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        config(PPO(), network, learning)


def test_too_few_sequences_for_the_minibatches() -> None:
    with pytest.raises(ConfigError, match="3 does not divide the 16 sequences"):
        dataclasses.replace(
            config(PPO(), GRU, {}), rollout_steps=18, total_steps=1000, learning=Learning(num_minibatches=3)
        )


def test_memory_and_guided_samples_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="memory gru siblings cannot be guided"):
        config(HybridGRPO(num_samples=3, guided_candidates=4), GRU, {})


def test_a_checkpoint_without_memory_is_not_resumed_with_it(tmp_path: Path) -> None:
    made = config(PPO(), {}, {})
    train(dataclasses.replace(made, total_steps=256), tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    (folder.path / "config.json").write_text(dataclasses.replace(made, network=Network((8,), **GRU)).to_json())
    with pytest.raises(CheckpointError, match=r"memory none.*memory gru of 4"):
        resume(tmp_path / "run", total_steps=1024)


def test_memory_none_leaves_out_the_memory_of_a_preset() -> None:
    words = ["hybrid-grpo", "quadrotor-hover-gusty"]
    preset = parse_train_options(words).config
    assert (preset.network.memory, preset.learning.sequence_steps) == ("gru", 32)
    without = parse_train_options([*words, "--memory", "none"]).config
    assert (without.network.memory, without.network.memory_size) == ("none", Network.memory_size)
    assert without.learning.sequence_steps is None
    with pytest.raises(ConfigError, match="memory_size 8 does nothing with memory none"):
        parse_train_options([*words, "--memory=none", "--memory-size", "8"])


def test_network_raptor_has_its_layers() -> None:
    words = ["hybrid-grpo", "quadrotor-hover", "--network", "raptor", "--sequence-steps", "32"]
    network = parse_train_options(words).config.network
    assert (network.hidden_sizes, network.activation, network.memory, network.memory_size) == ((16,), "relu", "gru", 16)
    with pytest.raises(UsageError, match=r"--network raptor.*memory_size 8"):
        parse_train_options([*words, "--memory-size", "8"])
    with pytest.raises(UsageError, match=r"--network.*rapter.*raptor"):
        parse_train_options([*words[:-4], "--network", "rapter"])
