"""Rollouts from fixed roots: the same states, luck of their own."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from probes import ClockState, ConstantReward, ScalarLQR, fresh_policy
from torch import Tensor

import robots
from hgrpo_control.fixed_roots import first_steps, own_states, rollouts, with_new_luck
from hgrpo_control.rollout import Rollout
from robots.simulator import num_rows


def drawn(number: int, num_samples: int = 3, branch_steps: int = 4, seed: int = 0, roots: int = 5) -> list[Rollout]:
    lqr = ScalarLQR(0.9, 20.0, 100)
    policy = fresh_policy(lqr)
    states = own_states(lqr, policy, roots, seed=7)
    return list(rollouts(lqr, policy, states, num_samples, branch_steps, 8, number, seed))


def test_own_states_come_from_all_ages_of_an_episode() -> None:
    # A clock shows its age: ten states of a time limit of 50 are met 5 steps apart, the first at the very beginning.
    clock = ConstantReward(period=1000, ends=False, max_episode_steps=50)
    states = own_states(clock, fresh_policy(clock), 10, seed=0)
    assert states.state.phase.tolist() == list(range(0, 50, 5))
    assert not states.elapsed.any()


def test_own_states_may_outnumber_the_steps_of_an_episode() -> None:
    clock = ConstantReward(period=1000, ends=False, max_episode_steps=4)
    states = own_states(clock, fresh_policy(clock), 6, seed=0)
    assert states.state.phase.tolist() == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("branch_steps", [1, 4, 8])
def test_every_rollout_starts_at_the_roots_and_goes_its_own_way(branch_steps: int) -> None:
    found = drawn(4, branch_steps=branch_steps)
    assert len(found) == 4
    for rollout in found:
        assert rollout.done.shape == (8, 5, 3)
        assert rollout.branch_steps == branch_steps
        assert torch.equal(rollout.observation[0, :, 0], found[0].observation[0, :, 0])
    actions = torch.stack([rollout.action for rollout in found])
    assert len(actions[:, 0, 0, 0, 0].unique()) == 4


def test_chunks_do_not_repeat_each_other() -> None:
    # 4096 rows hold 4 rollouts of 512 roots x 2 samples: 5 rollouts take two chunks
    actions = torch.stack([rollout.action for rollout in drawn(5, num_samples=2, roots=512)])
    assert len(actions[:, 0, 0, 0, 0].unique()) == 5


def test_the_seed_decides() -> None:
    one, same, other = (drawn(2, seed=seed)[1].action for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one[:, :, 0], drawn(2, num_samples=2)[1].action[:, :, 0]), "settings do not share noise"


def test_the_first_steps_of_a_rollout() -> None:
    (rollout,) = drawn(1)
    cut = first_steps(rollout, 3)
    assert torch.equal(cut.reward, rollout.reward[:3])
    assert cut.value is not None
    assert cut.observation.shape[0] == cut.value.shape[0] == cut.done.shape[0] == 3


class Inner(NamedTuple):
    noise_key: Tensor
    other: Tensor


class Outer(NamedTuple):
    inner: Inner
    clock: ClockState


def test_luck_is_drawn_anew_wherever_it_lies_and_nothing_else() -> None:
    keys = torch.arange(4)
    state = Outer(Inner(keys, keys), ClockState(keys))
    new = with_new_luck(state, torch.Generator().manual_seed(0))
    assert isinstance(new, Outer)
    assert len(set(new.inner.noise_key.tolist()) | set(keys.tolist())) == 8
    assert torch.equal(new.inner.other, keys)
    assert torch.equal(new.clock.phase, keys)


def test_luck_of_the_hover_task() -> None:
    state = robots.make("quadrotor-hover").reset(3, 0)
    new = with_new_luck(state, torch.Generator().manual_seed(0))
    assert num_rows(new) == 3
    assert torch.equal(new.body.position, state.body.position)
    assert not torch.equal(new.noise_key, state.noise_key)
