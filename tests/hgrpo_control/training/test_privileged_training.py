"""Training with a privileged critic: from the command line to what flies, and what the critic makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from support.analytic_envs import Probe, generator_of
from support.signals import StopAt, assert_same, left_behind
from torch import Tensor

import policies
from hgrpo_control import algorithms
from hgrpo_control.api.run import train
from hgrpo_control.cli import main
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.learning.learner import Learner
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.privileged import Privileged
from robots.simulator import Channel, Step
from sim2real.policy.onnx_policy import OnnxPolicy

pytestmark = pytest.mark.slow

TINY = ("--num-envs", "16", "--rollout-steps", "32", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--privileged-critic", "--seed", "3")
# Three iterations each, long enough for episodes to end and restart.
PPO_RUN = ("ppo", "quadrotor-hover-randomized", *TINY, "--total-steps", "1536")
HYBRID_RUN = ("hybrid-grpo", "quadrotor-hover", *TINY, "--num-samples", "2", "--total-steps", "3072")
HYBRID_RUN += ("--sibling-noise", "split", "--task-options", "mass=0.3", "wind=1", "gust=4")
RUNS = {"ppo": PPO_RUN, "hybrid-grpo": HYBRID_RUN}


@pytest.fixture(scope="module", params=RUNS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A finished run and the words that started it."""
    folder, words = tmp_path_factory.mktemp("trained") / "run", RUNS[request.param]
    assert main(["train", *words, "--out", str(folder)]) == 0
    return folder, words


def test_a_run_is_evaluated_and_exported_without_what_was_hidden(
    trained: tuple[Path, tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = trained
    policy = policies.load(folder)
    assert (policy.spec.observation_size, policy.spec.privileged_size) == (16, 15)
    assert main(["evaluate", str(folder), "--episodes", "3"]) == 0
    assert json.loads((folder / "evaluation.json").read_text())["task"] == policy.spec.task
    assert main(["export", str(folder)]) == 0
    assert capsys.readouterr().err == ""
    observation = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = policy(observation)
    assert torch.from_numpy(OnnxPolicy(folder / "policy.onnx")(observation.numpy())) == pytest.approx(
        expected, abs=1e-5
    )


def test_the_critic_has_taken_in_what_was_hidden(trained: tuple[Path, tuple[str, ...]]) -> None:
    """The first observations of 16 roots, then those of 32 x 16 executed steps in each of three iterations."""
    folder, words = trained
    policy = policies.load(folder)
    assert policy.privileged_normalizer is not None
    assert policy.normalizer.count == policy.privileged_normalizer.count == 16 + 3 * 32 * 16
    config = parse_train_options(list(words)).config
    assert config.network.privileged_critic
    ranges = {"mass_factor": 0.3, "rotor_1_thrust_factor": 0.09 if config.task.endswith("randomized") else 0.0}
    for i, entry in enumerate(policy.spec.privileged):
        if entry.name in ranges:  # uniform over 1 +- s has the deviation s / sqrt(3)
            assert policy.privileged_normalizer.mean[i] == pytest.approx(1.0, abs=ranges[entry.name] / 2)
            deviation = policy.privileged_normalizer.variance[i].sqrt().item()
            assert deviation == pytest.approx(ranges[entry.name] / 3**0.5, rel=0.4)


def test_an_interrupted_and_resumed_run_equals_one_that_never_stopped(
    trained: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    folder, words = trained
    config = parse_train_options(list(words)).config
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", (StopAt(2),))
    assert policies.restore(tmp_path / "run")[1]["iteration"] == 2
    assert main(["resume", str(tmp_path / "run")]) == 0

    assert_same(tmp_path / "run", folder)
    paths = left_behind(folder)[0]
    assert (
        sum(path.startswith("/training/sampler/roots/") for path in paths) == 1 + 4 + 7 + 1 + 1
    )  # body, task, hidden, age, memory
    rows = RunFolder(folder).read_metrics()
    assert any(row["episode_length"] == row["episode_length"] for row in rows), "restarts have to be part of this"


class LuckState(NamedTuple):
    """What nobody sees."""

    luck: Tensor
    """(B,) -1 or +1."""


class HiddenLuck(Probe):
    """One step per episode, paid with luck that no observation shows: V is the luck to who sees it, else 0."""

    def __init__(self) -> None:
        super().__init__("hidden-luck", ("nothing",), 1.0, 1000)
        self.spec = self.spec.__class__(**{**vars(self.spec), "privileged": (Channel("luck"),)})

    def reset(self, num: int, seed: int | torch.Generator) -> LuckState:
        """Either luck."""
        return LuckState(2.0 * torch.randint(2, (num,), generator=generator_of(seed)).float() - 1.0)

    def observe(self, state: LuckState) -> Tensor:
        """(B, 1) zeros."""
        return torch.zeros(len(state.luck), 1)

    def privileged(self, state: LuckState) -> Tensor:
        """(B, 1) luck."""
        return state.luck.unsqueeze(1)

    def step(self, state: LuckState, action: Tensor) -> Step:
        """Pay and end."""
        return Step(state, self.observe(state), state.luck, torch.ones(len(action), dtype=torch.bool))


@pytest.mark.parametrize("privileged", [True, False])
def test_only_a_privileged_critic_learns_what_is_hidden(privileged: bool) -> None:
    """Luck explains all of the return: its variance is explained wholly, or not at all. Both policies stay the same,
    since no action earns anything, and both act on the observation alone."""
    simulator: Any = Privileged(HiddenLuck()) if privileged else HiddenLuck()
    spec = policy_spec(simulator.spec, Network((), privileged_critic=privileged), critic=True)
    policy = ActorCritic(spec, 0.5, torch.Generator().manual_seed(0))
    sampler = Sampler(simulator, policy, num_envs=64, num_samples=1, branch_length=8, rollout_steps=8, seed=0)
    learner = Learner(policy, Learning(learning_rate=3e-2, update_epochs=4, num_minibatches=4), seed=0)
    policy.update_normalizers(sampler.root_observation)
    for _ in range(15):
        rollout, _ = sampler.collect()
        stats = learner.update(algorithms.make_batch(rollout, PPO()))
        policy.update_normalizers(rollout.executed_observation)
    seen = torch.tensor([[0.0, -1.0], [0.0, 1.0]])[:, : simulator.spec.observation_size]
    value = policy.value(seen).detach()
    if privileged:
        assert stats["explained_variance"] > 0.99
        torch.testing.assert_close(value, torch.tensor([-1.0, 1.0]), rtol=0, atol=0.05)
    else:
        assert stats["explained_variance"] < 0.05
        assert value.abs().max() < 0.3
    assert policy(torch.zeros(3, 1)).shape == (3, 1)
