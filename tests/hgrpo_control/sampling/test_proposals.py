"""Guided sampling: where siblings start, and that their weights lead back to the policy."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.analytic_envs import ActionReward, fresh_policy
from support.replay_env import Ledger, spelled_out_critic
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.guided import action_value_target, averaging_weights, effective_sample_size, guided_count
from hgrpo_control.algorithms.rollout import NotFiniteError, Rollout
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.sampling.action_value import ActionValue
from hgrpo_control.sampling.guided_sampler import GuidedSampler, sampler_class
from hgrpo_control.sampling.proposals import GuidedProposals, importance_weights, resample
from policies.actor_critic import ActorCritic

pytestmark = pytest.mark.slow

many = settings(max_examples=60)
scores = st.lists(st.floats(-20.0, 20.0), min_size=2, max_size=12).map(lambda x: torch.tensor(x, dtype=torch.float64))


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def resampled_normals(roots: int, candidates: int) -> tuple[Tensor, Tensor]:
    """One sample per root, and its weight, for pi = N(0, 1), Q = a and beta = 1."""
    action = torch.randn(roots, candidates, generator=stream(1), dtype=torch.float64)
    chosen = resample(action, 1, math.inf, stream(2))
    return action.gather(1, chosen.candidate).flatten(), chosen.weight.flatten()


def within(values: Tensor, expected: float) -> bool:
    """Whether the mean of independent values lies within three standard errors of what is expected."""
    return abs(values.mean().item() - expected) < 3.0 * values.std().item() / math.sqrt(len(values))


def test_with_many_candidates_the_resampled_follow_pi_times_the_exponential_of_q() -> None:
    # exp(-a^2 / 2 + a) = exp(-(a - 1)^2 / 2) exp(1 / 2): N(1, 1)
    action, _ = resampled_normals(roots=4000, candidates=1000)
    assert within(action, 1.0)
    assert within((action - 1.0).square(), 1.0)
    assert stats.kstest(action.numpy(), stats.norm(loc=1.0).cdf).pvalue > 0.01
    assert stats.kstest(action.numpy(), stats.norm(loc=0.9).cdf).pvalue < 1e-4


@pytest.mark.parametrize("candidates", [2, 3, 30])
def test_weighted_means_of_the_resampled_are_those_of_the_policy_however_few_candidates_there_are(
    candidates: int,
) -> None:
    # N(0, 1): E[a] = 0, E[a^2] = 1, E[cos a] = exp(-1/2)
    action, weight = resampled_normals(20_000, candidates)
    assert not within(action, 0.0)
    assert within(weight, 1.0)
    for values, expected in ((action, 0.0), (action.square(), 1.0), (action.cos(), math.exp(-0.5))):
        assert within(weight * values, expected)


def test_weights_by_hand() -> None:
    # Q / beta = 0 and ln 3: p = 1/4 and 3/4, (1/2) / p = 2 and 2/3
    weight = importance_weights(torch.tensor([[0.0, math.log(3.0)]], dtype=torch.float64))
    assert weight.flatten().tolist() == pytest.approx([2.0, 2.0 / 3.0])


@pytest.mark.parametrize("score", [0.0, 0.1, -7.3, 1e4])
def test_where_q_is_constant_every_weight_is_exactly_1_and_resampling_uniform(score: float) -> None:
    for candidates in range(2, 40):
        assert (importance_weights(torch.full((3, candidates), score)) == 1.0).all()
    chosen = resample(torch.full((10_000, 5), score), 2, 5.0, stream())
    assert (chosen.weight == 1.0).all()
    assert stats.chisquare(chosen.candidate.flatten().bincount(minlength=5).numpy()).pvalue > 0.01
    # with replacement: the two are the same candidate with probability 1/5
    assert within((chosen.candidate[:, 0] == chosen.candidate[:, 1]).double(), 0.2)


def test_the_arg_max_of_eq_18_is_one_action_and_its_resampled_reading_is_not() -> None:
    # eq. 18 taken literally, on a grid of candidates with pi = N(0, 1), Q = a, beta = 1: a - a^2 / 2 is largest at 1
    grid = torch.linspace(-3.0, 3.0, 601, dtype=torch.float64)
    objective = grid - 0.5 * grid.square()
    literal = torch.stack([grid[objective.argmax()] for _ in range(8)])
    assert literal.tolist() == pytest.approx([1.0] * 8)
    share = torch.distributions.Normal(0.0, 1.0).log_prob(grid)
    chosen = torch.multinomial((share + grid).exp(), 8, replacement=True, generator=stream())
    assert len(grid[chosen].unique()) == 8


@many
@given(score=scores, seed=st.integers(0, 2**31))
def test_the_order_of_the_candidates_does_not_matter(score: Tensor, seed: int) -> None:
    order = torch.randperm(len(score), generator=stream(seed))
    torch.testing.assert_close(importance_weights(score[order]), importance_weights(score)[order])


@many
@given(score=scores, shift=st.floats(-100.0, 100.0))
def test_what_all_candidates_share_does_not_matter(score: Tensor, shift: float) -> None:
    torch.testing.assert_close(importance_weights(score + shift), importance_weights(score), rtol=1e-9, atol=0.0)


@many
@given(score=scores)
def test_weights_average_to_1_and_fall_with_q(score: Tensor) -> None:
    weight = importance_weights(score)
    assert (score.softmax(-1) * weight).sum().item() == pytest.approx(1.0)
    assert (weight[score.argsort()].diff() <= 0.0).all()


@many
@given(score=scores, bound=st.floats(1.0, 10.0), seed=st.integers(0, 2**31))
def test_weights_never_pass_their_bound_and_are_otherwise_untouched(score: Tensor, bound: float, seed: int) -> None:
    chosen = resample(score.expand(50, -1), 4, bound, stream(seed))
    full = importance_weights(score)[chosen.candidate]
    assert chosen.weight.max() <= bound
    assert torch.equal(chosen.weight, torch.where(full > bound, bound, full))
    assert bool((chosen.weight > 0.0).all())


@pytest.mark.parametrize(
    ("weight", "expected"),
    # (sum w)^2 / sum w^2 / number: 16/4/4, 1/1/4, 16/10/2, 36/14/3
    [([1.0] * 4, 1.0), ([1.0, 0.0, 0.0, 0.0], 0.25), ([3.0, 1.0], 0.8), ([[1.0], [2.0], [3.0]], 6.0 / 7.0)],
)
def test_effective_sample_sizes_by_hand(weight: Any, expected: float) -> None:
    assert effective_sample_size(torch.tensor(weight)) == pytest.approx(expected)
    assert effective_sample_size(100.0 * torch.tensor(weight)) == pytest.approx(expected)


@pytest.mark.parametrize(("num_samples", "expected"), [(2, 1), (3, 1), (4, 2), (7, 3)])
def test_at_least_half_of_the_samples_come_straight_from_the_policy(num_samples: int, expected: int) -> None:
    assert guided_count(num_samples) == expected


def test_averaging_weights_by_hand() -> None:
    # two groups of 4; guided weights 3 1 and 1 3: e = 8^2 / 20 / 4 = 0.8, scale 4 / (2 + 0.8 x 2) = 10/9
    weight = torch.tensor([[1.0, 1.0, 3.0, 1.0], [1.0, 1.0, 1.0, 3.0]])
    straight, one, three = 10.0 / 9.0, 8.0 / 9.0, 24.0 / 9.0
    assert averaging_weights(weight).flatten().tolist() == pytest.approx(
        [straight, straight, three, one, straight, straight, one, three]
    )


@pytest.mark.parametrize("num_samples", [2, 3, 5])
def test_equal_weights_average_as_if_there_were_none(num_samples: int) -> None:
    assert (averaging_weights(torch.ones(1000, num_samples)) == 1.0).all()


# In the sampler.


def proposals(policy: ActorCritic, slope: float, candidates: int = 16, max_weight: float = math.inf) -> GuidedProposals:
    """Guidance by Q - V = slope x (sum of a state's features and its normalised action), beta = 1."""
    action_value = ActionValue(policy.spec)
    *_, output = action_value.network
    assert isinstance(output, torch.nn.Linear)
    torch.nn.init.constant_(output.weight, slope)
    return GuidedProposals(policy, action_value, candidates, 1.0, max_weight)


@pytest.mark.parametrize("branch_steps", [1, 4, 8])
@pytest.mark.parametrize("num_samples", [2, 3, 4])
def test_only_the_first_action_of_the_last_siblings_is_guided_and_weighted(num_samples: int, branch_steps: int) -> None:
    ledger = Ledger()
    policy = fresh_policy(ledger)
    guide = proposals(policy, slope=6.0, max_weight=3.0)
    rollout, _ = GuidedSampler(ledger, policy, 40, num_samples, branch_steps, 8, 3, proposals=guide).collect()
    assert rollout.weight is not None
    first = torch.arange(8).view(-1, 1, 1) % branch_steps == 0
    guided = (first & (torch.arange(num_samples) >= num_samples - num_samples // 2)).expand(rollout.done.shape)
    assert (rollout.weight[~guided] == 1.0).all()
    assert (rollout.weight[guided] != 1.0).all()
    assert rollout.weight[guided].max() <= 3.0
    # Q rises with the action; sigma 0.5 x slope 6 = 3 is how many sigmas of pi that is worth
    mean = policy.mean(rollout.observation).expand(*rollout.done.shape, 1)
    z = ((rollout.action - mean) / policy.sigma).squeeze(-1)
    assert z[guided].mean() > 1.0
    assert abs(z[~guided].mean()) < 4.0 / math.sqrt(int((~guided).sum()))
    # the density stays that of pi
    expected = torch.distributions.Normal(mean, policy.sigma).log_prob(rollout.action).sum(-1)
    torch.testing.assert_close(rollout.log_prob, expected)


@pytest.mark.parametrize("branch_steps", [1, 4, 8])
@pytest.mark.parametrize("num_samples", [2, 4])
def test_guidance_changes_no_bit_of_the_executed_trajectory(num_samples: int, branch_steps: int) -> None:
    def collect(guided: bool) -> list[Rollout]:
        ledger = Ledger()
        policy = spelled_out_critic(ledger)
        guide = proposals(policy, slope=3.0) if guided else None
        sampler = sampler_class(guide)(ledger, policy, 6, num_samples, branch_steps, 8, 3)
        return [sampler.collect()[0] for _ in range(4)]

    for plain, guided in zip(collect(False), collect(True), strict=True):
        assert plain.weight is None
        for name in ("action", "log_prob", "reward", "terminated", "done"):
            assert torch.equal(getattr(plain, name)[:, :, 0], getattr(guided, name)[:, :, 0]), name
        assert torch.equal(plain.executed_observation, guided.executed_observation)
        assert not torch.equal(plain.action[:, :, 1:], guided.action[:, :, 1:])


def test_a_q_that_is_not_finite_is_told() -> None:
    policy = fresh_policy(Ledger())
    guide = proposals(policy, slope=math.nan)
    with pytest.raises(NotFiniteError, match="32 values of Q are not finite"):
        guide.draw(torch.zeros(2, 3), torch.zeros(2, 1), 1, stream())


# The policy gradient on the bandit -(u - 2)^2 under u ~ N(0, 1), where V = 0 and L = -(u - 2)^2: the derivative of
# E[L] = -(mu - 2)^2 - 1 is -2 (mu - 2) = 4. Q = slope x u / 4 with beta = 1 draws from N(slope / 4, 1).


def bandit_batch(estimator: Any, slope: float, candidates: int, roots: int = 40_000) -> tuple[Batch, Rollout]:
    """Four samples per root, guided without a bound on the weights."""
    bandit = ActionReward(target=2.0)
    policy = fresh_policy(bandit, init_sigma=0.25)  # of bounds +-4: 1 in units of u
    assert policy.critic is not None
    torch.nn.init.zeros_(policy.critic[0].weight)
    guide = proposals(policy, slope, candidates)
    rollout, _ = GuidedSampler(bandit, policy, roots, 4, 1, 1, seed=0, proposals=guide).collect()
    algorithm = HybridGRPO(num_samples=4, branch_steps=1, estimator=estimator, guided_candidates=candidates)
    return algorithms.make_batch(rollout, algorithm), rollout


def gradients(batch: Batch, weight: Tensor | None = None) -> Tensor:
    """Each root's estimate of d E[L] / d mu: mean of w A (u - mu) over its samples."""
    weight = batch.weight if weight is None else weight
    return (weight * batch.advantage * 4.0 * batch.action.squeeze(-1)).double().mean(-1)


@pytest.mark.parametrize("estimator", ["per_sample", "group"])
@pytest.mark.parametrize("slope", [0.0, 4.0])
def test_the_weighted_gradient_is_that_of_the_policy(estimator: str, slope: float) -> None:
    batch, _ = bandit_batch(estimator, slope, candidates=128)
    assert within(gradients(batch), 4.0)


def test_without_weights_the_gradient_would_be_another() -> None:
    # the guided half has u = 1 + z: E[-(z - 1)^2 (1 + z)] = -E[z^3 - z^2 - z + 1] = 0, so half of 4 is left
    batch, _ = bandit_batch("per_sample", 4.0, candidates=1000, roots=10_000)
    unweighted = gradients(batch, torch.ones_like(batch.weight))
    assert unweighted.mean().item() == pytest.approx(2.0, abs=0.2)
    assert not within(unweighted, 4.0)


def test_siblings_from_one_pool_of_two_candidates_cost_a_group_baseline_what_coincidence_takes() -> None:
    # Q constant: the two guided samples are the same candidate with probability 1/M, and then a third of the baseline
    # is the sample's own return. Of the guided half 1 / (3 M) is lost: 4 (1 - 1 / (6 M)) = 3.667 with M = 2.
    batch, _ = bandit_batch("group", 0.0, candidates=2, roots=80_000)
    assert within(gradients(batch), 4.0 * (1.0 - 1.0 / 12.0))
    assert not within(gradients(batch), 4.0)


def test_values_are_regressed_on_the_policys_returns_and_q_on_each_samples_own() -> None:
    # E[L] under pi = -(4 + 1) = -5; under N(1, 1) it is -(1 + 1) = -2, so plain averages would give -3.5
    batch, rollout = bandit_batch("group", 4.0, candidates=128)
    assert batch.value_target is not None
    assert within(batch.value_target.double(), -5.0)
    assert rollout.reward.mean().item() == pytest.approx(-3.5, abs=0.05)
    assert rollout.weight is not None
    target = action_value_target(rollout, rollout.weight, HybridGRPO(num_samples=4, branch_steps=1))
    assert torch.equal(target, rollout.reward.flatten(0, 1))
