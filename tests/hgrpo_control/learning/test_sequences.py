"""Rows of a batch as sequences, and memories that a changed policy refreshes."""

from __future__ import annotations

import pytest
import torch

import robots
from hgrpo_control import algorithms
from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.learning.sequences import in_sequences, refreshed
from hgrpo_control.training.trainer import Trainer

assert robots  # registers the tasks


def trainer(branched: bool = False) -> Trainer:
    algorithm = HybridGRPO(num_samples=3, branch_steps=4) if branched else PPO()
    learning = Learning(num_minibatches=2, update_epochs=2)
    network = Network(hidden_sizes=(8,), memory="gru", memory_size=5)
    return Trainer.from_config(
        Config("InvertedPendulum-v5", algorithm, num_envs=4, rollout_steps=16, network=network, learning=learning)
    )


@pytest.mark.parametrize("branched", [False, True])
def test_rows_follow_one_another_and_the_memory_follows_from_the_row_before(branched: bool) -> None:
    made = trainer(branched)
    for _ in range(2):  # the second rollout begins within episodes
        rollout, _ = made.sampler.collect()
    assert rollout.done.any()
    batch = algorithms.make_batch(rollout, made.config.algorithm)
    batch = in_sequences(batch, rollout, made.config.path_steps, made.policy.memory_width)
    assert batch.memory is not None
    assert batch.restart is not None
    following = made.policy.acting()(batch.observation)[1]
    within = ~batch.restart[1:]
    torch.testing.assert_close(batch.memory[1:][within], following[:-1][within], rtol=1e-5, atol=1e-6)
    paths = torch.arange(len(batch.restart)) % made.config.path_steps == 0
    assert batch.restart[paths].all()
    assert (batch.memory[batch.restart & ~paths] == 0.0).all()
    assert within.sum() > 20


def test_refreshed_memories_are_those_of_the_present_policy() -> None:
    made = trainer()
    rollout, _ = made.sampler.collect()
    batch = in_sequences(algorithms.make_batch(rollout, made.config.algorithm), rollout, 16, made.policy.memory_width)
    assert batch.memory is not None
    assert batch.restart is not None
    unchanged = refreshed(batch, made.policy, 8, 3)
    assert unchanged.memory is not None
    torch.testing.assert_close(unchanged.memory, batch.memory, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        for parameter in made.policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    changed = refreshed(batch, made.policy, 8, 8)
    assert changed.memory is not None
    acting = made.policy.acting()
    for begin in range(8, len(batch.memory), 16):  # the second sequence of each path
        memory = batch.memory[begin - 8]
        for row in range(begin - 8, begin):
            memory = batch.memory[row] if batch.restart[row] else memory
            seen = torch.cat((batch.observation[row, : -len(memory)], memory))
            memory = acting(seen.unsqueeze(0))[1].squeeze(0)
        expected = batch.memory[begin] if batch.restart[begin] else memory
        torch.testing.assert_close(changed.memory[begin], expected)
    first = torch.arange(0, len(batch.memory), 16)
    assert torch.equal(changed.memory[first], batch.memory[first])
