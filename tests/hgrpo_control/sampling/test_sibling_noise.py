"""Whether siblings meet the gusts of the executed sample or gusts of their own."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from support.analytic_envs import fresh_policy
from support.replay_env import Ledger
from support.states import leaves
from torch import Tensor

import robots
from hgrpo_control.algorithms.rollout import FinishedEpisodes, Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training.trainer import Trainer
from robots.quadrotor.body.randomization import HiddenParameters
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover import HoverOptions, QuadrotorHover
from robots.simulator import Step

pytestmark = pytest.mark.slow

E, N, T = 5, 4, 8
GUSTY = HoverOptions(mass=0.3, wind=1.0, gust=4.0, gust_time=0.3)


class Watched(QuadrotorHover):
    """Keeps the gusts (B, 3) that act in each step."""

    def __init__(self) -> None:
        super().__init__(GUSTY)
        self.gusts: list[Tensor] = []

    def step(self, state: FlightState, action: Tensor) -> Step:
        assert isinstance(state.hidden, HiddenParameters)
        self.gusts.append(state.hidden.gust)
        return super().step(state, action)


def sampler(
    simulator: Any, split_noise: bool, num_samples: int = N, branch_length: int = T, steps: int = T, falls: bool = False
) -> Sampler:
    policy = fresh_policy(simulator, (16,))
    if falls:
        torch.nn.init.constant_(policy.actor[-1].bias, -1.0)  # rotors off: it falls to the ground
    return Sampler(simulator, policy, E, num_samples, branch_length, steps, seed=1, split_noise=split_noise)


def same(one: Rollout, other: Rollout) -> bool:
    """Equal bits in every tensor, equal values in everything else."""
    pairs = zip(one, other, strict=True)
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in pairs)


def gusts_met(split_noise: bool, branch_length: int) -> Tensor:
    """(T, E, N, 3) gusts of one rollout, too short for an episode to end."""
    simulator = Watched()
    rollout, _ = sampler(simulator, split_noise, branch_length=branch_length).collect()
    assert not rollout.done.any()
    return torch.stack(simulator.gusts).view(T, E, N, 3)


@pytest.mark.parametrize("branch_length", [1, 4, T])
def test_shared_noise_is_one_gust_per_root(branch_length: int) -> None:
    gusts = gusts_met(False, branch_length)
    assert torch.equal(gusts, gusts[:, :, :1].expand_as(gusts))


@pytest.mark.parametrize("branch_length", [1, 4, T])
def test_split_noise_parts_siblings_after_the_first_step_of_a_branch(branch_length: int) -> None:
    """The gust of a branch's first step is there already when it begins, so it is shared."""
    split, shared = gusts_met(True, branch_length), gusts_met(False, branch_length)
    assert torch.equal(split[:, :, 0], shared[:, :, 0])
    for t in range(T):
        different = torch.stack([(split[t, :, i] != split[t, :, j]).any() for i in range(N) for j in range(i)])
        assert different.all() if t % branch_length else not different.any()


def test_every_branch_draws_gusts_that_no_branch_drew_before() -> None:
    """What a step adds, g' - exp(-h / tau) g, is new in every branch, step and sample."""
    gusts = gusts_met(True, 4).unflatten(0, (2, 4))
    added = gusts[:, 1:] - math.exp(-0.01 / GUSTY.gust_time) * gusts[:, :-1]
    assert len(added.flatten().unique()) == added.numel()


@pytest.mark.parametrize("branch_length", [1, 32])
def test_neither_changes_a_bit_of_the_executed_trajectory(branch_length: int) -> None:
    steps = 32

    def collect(split_noise: bool, num_samples: int) -> list[tuple[Rollout, FinishedEpisodes]]:
        simulator = QuadrotorHover(GUSTY)
        collecting = sampler(simulator, split_noise, num_samples, branch_length, steps, falls=True)
        return [collecting.collect() for _ in range(3)]

    alone = collect(split_noise=False, num_samples=1)
    assert sum(len(finished.length) for _, finished in alone) >= 3
    for others in (collect(False, N), collect(True, N)):
        for (one, ended), (other, ended_too) in zip(alone, others, strict=True):
            for name in ("action", "log_prob", "reward", "terminated", "done"):
                assert torch.equal(getattr(one, name)[:, :, 0], getattr(other, name)[:, :, 0]), name
            assert torch.equal(one.executed_observation, other.executed_observation)
            assert all(torch.equal(x, y) for x, y in zip(ended, ended_too, strict=True))


def test_one_sample_has_no_siblings_to_part_from() -> None:
    both = [sampler(QuadrotorHover(GUSTY), split, num_samples=1, branch_length=4) for split in (0, 1)]
    assert same(*(collecting.collect()[0] for collecting in both))
    ours, theirs = (list(leaves(collecting.roots)) for collecting in both)
    assert all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True))


def test_splitting_changes_nothing_where_no_step_draws() -> None:
    assert same(*(sampler(Ledger(), split, branch_length=4).collect()[0] for split in (False, True)))


@pytest.mark.parametrize(
    ("algorithm", "split"),
    [
        (PPO(), False),
        (GRPO(), False),
        (HybridGRPO(), False),
        (GRPO(sibling_noise="split"), True),
        (HybridGRPO(sibling_noise="split"), True),
    ],
)
def test_a_run_samples_as_its_algorithm_says(algorithm: Algorithm, split: bool) -> None:
    config = Config("quadrotor-hover-gusty", algorithm, num_envs=2, rollout_steps=4)
    assert Trainer.from_config(config).sampler.split_noise == split


def test_another_word_for_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^unknown sibling_noise 'splitt'; did you mean 'split'\? allowed: shared,"):
        Config("quadrotor-hover-gusty", GRPO(sibling_noise="splitt"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "options"), [("quadrotor-hover", {"wind": "1", "position_bias": "0.1"}), ("Hopper-v5", {"mass": "0.2"})]
)
def test_noise_is_not_split_where_no_step_draws(task: str, options: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        Trainer.from_config(
            Config(task, HybridGRPO(sibling_noise="split"), num_envs=2, rollout_steps=4, task_options=options)
        )
    assert re.match(f"sibling_noise split does nothing in {task}.*; allowed: shared", str(raised.value))


def test_a_simulator_without_noise_to_split_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    simulator = robots.make("quadrotor-hover")
    monkeypatch.setattr(simulator, "close", lambda: closed.append("once"), raising=False)
    monkeypatch.setattr("robots.make", lambda task, **options: simulator)
    with pytest.raises(ConfigError, match="does nothing in quadrotor-hover"):
        Trainer.from_config(Config("quadrotor-hover", HybridGRPO(sibling_noise="split"), num_envs=2, rollout_steps=4))
    assert closed == ["once"]


@pytest.mark.parametrize(
    ("task", "options"),
    [("quadrotor-hover", {"rate_noise": "0.1"}), ("quadrotor-hover", {"gust": "1"}), ("quadrotor-pursuit", {})],
)
def test_siblings_part_wherever_a_step_draws(task: str, options: dict[str, str]) -> None:
    simulator = robots.make(task, **options)
    state = simulator.reset(3, 0)
    split = simulator.split_noise(state, torch.ones(3, dtype=torch.int64))
    action = torch.tensor([simulator.spec.neutral_action] * 3)
    assert simulator.spec.noise
    for _ in range(2):  # a gust of this step acts in the next
        one, other = simulator.step(state, action), simulator.step(split, action)
        state, split = one.state, other.state
    assert not torch.equal(one.observation, other.observation)
