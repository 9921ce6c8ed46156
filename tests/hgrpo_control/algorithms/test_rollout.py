"""What a rollout refuses to hold, and what it reports when nothing ended."""

from __future__ import annotations

import pytest
import torch
from support.analytic_envs import fresh_policy
from support.replay_env import TIME_LIMIT, Ledger, spelled_out_critic
from torch import Tensor

from hgrpo_control.algorithms.rollout import NotFiniteError, Rollout, value_of
from hgrpo_control.sampling.sampler import Sampler
from robots.simulator import Step

E, N, T = 6, 3, 8
BRANCHES = pytest.mark.parametrize("branch_length", [1, 4, T])


def collect(ledger: Ledger, branch_length: int) -> Rollout:
    return Sampler(ledger, spelled_out_critic(ledger), E, N, branch_length, T, seed=3).collect()[0]


def spoiled(step: Step, name: str, value: float, where: Tensor) -> Step:
    field = getattr(step, name)
    mask = where.unsqueeze(1) if field.dim() == 2 else where
    return step._replace(**{name: torch.where(mask, torch.full_like(field, value), field)})


@BRANCHES
@pytest.mark.parametrize("name", ["observation", "reward"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_reported(branch_length: int, name: str, value: float) -> None:
    ledger = Ledger(lambda step: spoiled(step, name, value, (step.state.age == 2) & ~step.terminated))
    with pytest.raises(NotFiniteError, match=rf"{name} values are not finite, the first at step \d of root \d"):
        collect(ledger, branch_length)


@BRANCHES
def test_the_last_observation_of_a_branch_or_episode_has_to_be_finite_too(branch_length: int) -> None:
    # it is never acted on, only bootstrapped from
    def cut(step: Step) -> Step:
        return spoiled(step, "observation", float("nan"), (step.state.age == TIME_LIMIT) & ~step.terminated)

    with pytest.raises(NotFiniteError, match="observation"):
        collect(Ledger(cut), branch_length)


@BRANCHES
def test_what_a_terminated_episode_looks_like_at_its_end_does_not_matter(branch_length: int) -> None:
    ledger = Ledger(lambda step: spoiled(step, "observation", float("nan"), step.terminated))
    rollout = collect(ledger, branch_length)
    assert rollout.terminated.any()


def test_a_policy_that_is_not_finite_is_reported() -> None:
    ledger = Ledger()
    policy = spelled_out_critic(ledger)
    torch.nn.init.constant_(policy.raw_sigma, float("nan"))
    with pytest.raises(NotFiniteError, match="values are not finite"):
        Sampler(ledger, policy, E, N, T, T, seed=3).collect()


def test_a_rollout_in_which_no_episode_ends_reports_none_of_the_same_types() -> None:
    ledger = Ledger()
    collecting = Sampler(ledger, spelled_out_critic(ledger), E, 1, 1, 1, seed=3)
    reports = [collecting.collect()[1] for _ in range(10)]
    assert {len(report.length) == 0 for report in reports} == {True, False}
    kinds = {tuple((x.dtype, x.dim()) for x in report) for report in reports}
    assert kinds == {((torch.float64, 1), (torch.int64, 1), (torch.bool, 1))}


@torch.no_grad()
def test_values_computed_in_blocks_are_those_of_all_rows_at_once() -> None:
    policy = fresh_policy(Ledger())
    observation = torch.randn(9000, policy.spec.observation_size, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(value_of(policy, observation), policy.value(observation), rtol=1e-6, atol=1e-7)
