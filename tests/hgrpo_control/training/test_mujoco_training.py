"""Training on MuJoCo robots: stopped and resumed bit for bit, and the executed samples are PPO's whatever branches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.signals import assert_same

from hgrpo_control.api.run import train
from hgrpo_control.config.algorithms import Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.simulation import make_simulator, policy_spec
from hgrpo_control.training.train import run
from hgrpo_control.training.trainer import Trainer
from policies.actor_critic import ActorCritic

pytestmark = pytest.mark.slow

ENVS, STEPS, ITERATIONS = 4, 16, 3


def tiny(task: str, algorithm: Algorithm, **options: float) -> Config:
    """Three iterations, a checkpoint in each."""
    return Config(
        task=task,
        algorithm=algorithm,
        total_steps=ITERATIONS * ENVS * STEPS * algorithm.num_samples,
        num_envs=ENVS,
        rollout_steps=STEPS,
        network=Network(hidden_sizes=(8,), privileged_critic=bool(options)),
        learning=Learning(update_epochs=1, num_minibatches=2),
        checkpoint_every=1,
        task_options=dict(options),
    )


class PowerCut(Exception):
    """Ends a run before anything more is saved."""


class CutAfter:
    """A reporter that ends the run in an iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def report(self, metrics: object) -> None:
        if metrics.get("iteration") == self.iteration:
            raise PowerCut


@pytest.mark.parametrize(
    ("task", "options"), [("Hopper-v5", {}), ("Ant-v5", {}), ("HalfCheetah-v5", {"mass": 0.3, "friction": 0.3})]
)
def test_a_resumed_run_is_the_run_that_never_stopped(task: str, options: dict[str, float], tmp_path: Path) -> None:
    """With plain states, with derived quantities and contact forces in them, and with models of the rows' own."""
    config = tiny(task, HybridGRPO(num_samples=2), **options)
    train(config, tmp_path / "whole")
    folder = RunFolder.create(tmp_path / "cut", config)
    with pytest.raises(PowerCut):
        run(Trainer.from_config(config), folder, (CutAfter(2),))
    trainer = restore_trainer(folder)
    assert trainer.iteration == 1  # the second was not saved yet
    run(trainer, folder)
    assert_same(folder.path, tmp_path / "whole")


@pytest.mark.parametrize("task", ["Hopper-v5", "Humanoid-v5"])
def test_branching_changes_no_bit_of_the_executed_trajectory(task: str) -> None:
    simulator = make_simulator(tiny(task, HybridGRPO()))
    spec = policy_spec(simulator.spec, Network(hidden_sizes=(8,)), critic=True)
    policy = ActorCritic(spec, 0.5, torch.Generator().manual_seed(0))
    alone, branched = (Sampler(simulator, policy, ENVS, n, 1, 64, seed=1).collect()[0] for n in (1, 4))
    assert torch.equal(alone.executed_observation, branched.executed_observation)
    assert torch.equal(alone.reward[..., 0], branched.reward[..., 0])
    assert torch.equal(alone.action[:, :, 0], branched.action[:, :, 0])
    assert bool(alone.done.any())  # some fell and began anew
