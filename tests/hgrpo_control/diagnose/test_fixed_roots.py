"""Rollouts from fixed roots: the same states, luck of their own."""

from __future__ import annotations

import pytest
import torch
from support.analytic_envs import ConstantReward, ScalarLQR, fresh_policy
from torch import Tensor

from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.diagnose.fixed_roots import first_steps, on_policy_states, rollouts
from robots.quadrotor.body.randomization import HiddenParameters
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover import HoverOptions, QuadrotorHover
from robots.simulator import Step

pytestmark = pytest.mark.slow


def drawn(number: int, num_samples: int = 3, branch_length: int = 4, seed: int = 0, roots: int = 5) -> list[Rollout]:
    lqr = ScalarLQR(0.9, 20.0, 100)
    policy = fresh_policy(lqr)
    states = on_policy_states(lqr, policy, roots, seed=7)
    return list(rollouts(lqr, policy, states, num_samples, branch_length, 8, number, seed))


def test_on_policy_states_come_from_all_ages_of_an_episode() -> None:
    # A clock shows its age: ten states of a time limit of 50 are met 5 steps apart, the first at the very beginning.
    clock = ConstantReward(period=1000, ends=False, max_episode_steps=50)
    states = on_policy_states(clock, fresh_policy(clock), 10, seed=0)
    assert states.state.phase.tolist() == list(range(0, 50, 5))
    assert not states.elapsed.any()


def test_on_policy_states_may_outnumber_the_steps_of_an_episode() -> None:
    clock = ConstantReward(period=1000, ends=False, max_episode_steps=4)
    states = on_policy_states(clock, fresh_policy(clock), 6, seed=0)
    assert states.state.phase.tolist() == [0, 1, 2, 3, 0, 1]


class Watched(QuadrotorHover):
    """Hover under gusts; keeps the hidden parameters of each step."""

    def __init__(self) -> None:
        super().__init__(HoverOptions(mass=0.3, gust=4.0))
        self.met: list[HiddenParameters] = []

    def step(self, state: FlightState, action: Tensor) -> Step:
        assert isinstance(state.hidden, HiddenParameters)
        self.met.append(state.hidden)
        return super().step(state, action)


@pytest.mark.parametrize("branch_length", [1, 4, 8])
def test_every_rollout_starts_at_the_roots_and_goes_its_own_way(branch_length: int) -> None:
    found = drawn(4, branch_length=branch_length)
    assert len(found) == 4
    for rollout in found:
        assert rollout.done.shape == (8, 5, 3)
        assert rollout.branch_length == branch_length
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


def test_gusts_to_come_differ_between_rollouts_and_what_a_root_holds_does_not() -> None:
    # The gust of the first step and the mass are there already when a rollout starts; later gusts are to come.
    hover = Watched()
    policy = fresh_policy(hover)
    roots = on_policy_states(hover, policy, 3, seed=0)
    hover.met.clear()
    assert len(list(rollouts(hover, policy, roots, 2, 4, 4, number=5, seed=0))) == 5
    gust = torch.stack([hidden.gust for hidden in hover.met]).view(4, 5, 3, 2, 3)
    mass = hover.met[-1].mass.view(5, 3, 2)
    assert torch.equal(mass, mass[:1, :, :1].expand_as(mass))
    assert torch.equal(gust[0], gust[0, :1].expand_as(gust[0]))
    for t in range(1, 4):
        assert len(gust[t, :, 0, 0, 0].unique()) == 5
        assert torch.equal(gust[t, :, :, 0], gust[t, :, :, 1]), "siblings share"


def test_siblings_may_meet_gusts_of_their_own() -> None:
    hover = Watched()
    policy = fresh_policy(hover)
    roots = on_policy_states(hover, policy, 3, seed=0)
    hover.met.clear()
    list(rollouts(hover, policy, roots, 2, 4, 4, number=1, seed=0, split_noise=True))
    gust = torch.stack([hidden.gust for hidden in hover.met]).view(4, 3, 2, 3)
    assert bool((gust[1:, :, 0] != gust[1:, :, 1]).all())


def test_slopes_are_cut_like_everything_else() -> None:
    lqr = ScalarLQR(0.9, 20.0, 100)
    policy = fresh_policy(lqr)
    roots = on_policy_states(lqr, policy, 5, seed=7)
    plain = drawn(3)
    recorded = list(rollouts(lqr, policy, roots, 3, 4, 8, 3, 0, slope_gamma=0.9))
    for one, other in zip(plain, recorded, strict=True):
        assert torch.equal(one.action, other.action)
        assert one.slope is None
        assert other.slope is not None
        assert other.noise is not None
        assert other.slope.shape == other.noise.shape == other.action.shape == (8, 5, 3, 1)
        mean = policy.mean(other.observation)
        torch.testing.assert_close(other.noise, (other.action - mean) / policy.sigma, rtol=1e-3, atol=1e-4)
    slopes = torch.stack([rollout.slope for rollout in recorded if rollout.slope is not None])
    assert not torch.equal(slopes[0], slopes[1])
    cut = first_steps(recorded[0], 3)
    assert cut.slope is not None
    assert cut.noise is not None
    assert cut.slope.shape == cut.noise.shape == (3, 5, 3, 1)
