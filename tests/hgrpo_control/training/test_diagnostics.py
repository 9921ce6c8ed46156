"""Diagnostics against numbers worked out by hand, and the noise scale against noise that is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.analytic_envs import fresh_policy
from support.replay_env import Ledger
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.gradient_noise import GradientMoments, gradient_variance, noise_scale
from hgrpo_control.learning.learner import Learner, standardize
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training import diagnostics
from policies import gaussian
from policies.actor_critic import ActorCritic

many = settings(max_examples=50)


def rollout_of(reward: Tensor, done: Tensor | None = None, branch_steps: int = 1, critic: bool = True) -> Rollout:
    """A rollout with these rewards (T, E, N), V = 0, and nothing else to tell samples apart."""
    shared = 1 if branch_steps == 1 else reward.shape[2]
    ended = torch.zeros_like(reward, dtype=torch.bool) if done is None else done
    return Rollout(
        observation=torch.zeros(*reward.shape[:2], shared, 3),
        action=torch.zeros(*reward.shape, 2),
        log_prob=torch.zeros_like(reward),
        reward=reward,
        value=torch.zeros(*reward.shape[:2], shared) if critic else None,
        next_value=torch.zeros_like(reward) if critic else None,
        terminated=ended,
        done=ended,
        branch_length=branch_steps,
    )


def read(rollout: Rollout, algorithm: Algorithm) -> dict[str, float]:
    return diagnostics.compute_diagnostics(rollout, algorithms.make_batch(rollout, algorithm), algorithm)


def hybrid(estimator: Any, num_samples: int = 2, branch_steps: int = 1, gamma: float = 1.0) -> HybridGRPO:
    return HybridGRPO(gamma, 1.0, num_samples, branch_steps, estimator)


# Groups


def test_outcomes_by_hand() -> None:
    # one root, two branches of two steps, gamma 1/2; the first sample of the second branch ends with its first step
    reward = torch.tensor([[1.0, 2.0], [4.0, 8.0], [3.0, 5.0], [100.0, 6.0]]).unsqueeze(1)
    done = torch.zeros(4, 1, 2, dtype=torch.bool)
    done[2, 0, 0] = True
    outcome = diagnostics.branch_outcomes(reward, done, 0.5, 2)
    assert outcome.tolist() == [[[3.0, 6.0]], [[3.0, 8.0]]]


def test_spread_and_equal_groups_by_hand() -> None:
    # standard deviations 1, 0 and 3; one group of three has nothing to compare
    outcome = torch.tensor([[1.0, 3.0], [2.0, 2.0], [-1.0, 5.0]])
    assert diagnostics.group_spread(outcome) == pytest.approx(4.0 / 3.0)
    assert diagnostics.zero_variance_groups(outcome, outcome.abs()) == pytest.approx(1.0 / 3.0)


def test_groups_that_differ_by_rounding_alone_compare_nothing() -> None:
    tenth = torch.tensor(0.1)
    by_adding = sum([tenth] * 10, torch.tensor(0.0))
    assert by_adding != 1.0
    one = torch.ones(2)
    assert diagnostics.zero_variance_groups(torch.stack((by_adding, one[0])), one) == 1.0
    # what is left of 1000 - 1000 is rounding, though it is as large as what it is compared with
    assert diagnostics.zero_variance_groups(torch.tensor([0.0, 6e-5]), 1000.0 * one) == 1.0
    assert diagnostics.zero_variance_groups(torch.tensor([1.0, 1.00001]), one) == 0.0
    assert diagnostics.zero_variance_groups(torch.zeros(3, 4), torch.zeros(3, 4)) == 1.0


def test_one_branch_is_no_group() -> None:
    one = torch.ones(5, 1)
    assert math.isnan(diagnostics.group_spread(one))
    assert math.isnan(diagnostics.zero_variance_groups(one, one))


@many
@given(seed=st.integers(0, 2**31), shift=st.floats(-10.0, 10.0), factor=st.floats(0.1, 10.0))
def test_spread_has_the_unit_of_the_reward_and_no_origin(seed: int, shift: float, factor: float) -> None:
    outcome = torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spread = diagnostics.group_spread(outcome)
    assert diagnostics.group_spread(factor * outcome + shift) == pytest.approx(factor * spread)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    assert diagnostics.group_spread(outcome[..., order]) == pytest.approx(spread)
    assert diagnostics.zero_variance_groups(outcome, outcome.abs()) == 0.0


# Advantages


def test_what_siblings_share_leaves_the_variance() -> None:
    # L = 10 11 and -10 -9: mean 1/2, variance 2 (9.5^2 + 10.5^2) / 4 = 100.25; differences +-1 have variance 1
    rollout = rollout_of(torch.tensor([[[10.0, 11.0], [-10.0, -9.0]]]))
    reading = read(rollout, hybrid("group"))
    assert reading["advantage_variance_before"] == pytest.approx(100.25)
    assert reading["advantage_variance"] == pytest.approx(1.0)
    assert reading["group_spread"] == pytest.approx(0.5)


def test_before_the_comparison_the_executed_sample_has_its_tail_too() -> None:
    # two one-step groups (1, 3) and (2, 6), V = 0, gamma = lambda = 1: G_1 = 4, so sample 0 of the first has
    # 1 + 2 x 4 = 9. Before: 9 3 2 6, mean 5, variance (16 + 4 + 9 + 1) / 4 = 7.5.
    # After: 9 - 3, 3 - 1, 2 - 6, 6 - 2 = 6 2 -4 4, mean 2, variance (16 + 0 + 36 + 4) / 4 = 14.
    rollout = rollout_of(torch.tensor([[[1.0, 3.0]], [[2.0, 6.0]]]))
    reading = read(rollout, hybrid("group"))
    assert reading["advantage_variance_before"] == pytest.approx(7.5)
    assert reading["advantage_variance"] == pytest.approx(14.0)
    alone = read(rollout, hybrid("per_sample"))
    assert (alone["advantage_variance_before"], alone["advantage_variance"]) == pytest.approx((7.5, 7.5))
    # the paper's estimator gives both samples of a group the mean: 6 and 4 as lambda = 1 has it without tails, 2 and 4
    paper = read(rollout, hybrid("paper"))
    assert (paper["advantage_variance_before"], paper["advantage_variance"]) == pytest.approx((7.5, 1.0))


def test_ppo_has_no_groups_and_nothing_to_subtract() -> None:
    # 1 + 1/2 (2 + 1/2 x 6), 2 + 1/2 x 6, 6 = 3.5 5 6: mean 29/6, variance (12.25 + 25 + 36) / 3 - (29/6)^2 = 1.055556
    rollout = rollout_of(torch.tensor([1.0, 2.0, 6.0]).view(3, 1, 1), branch_steps=3)
    reading = read(rollout, PPO(0.5, 1.0))
    assert math.isnan(reading["group_spread"])
    assert math.isnan(reading["zero_variance_groups"])
    assert reading["advantage_variance_before"] == reading["advantage_variance"] == pytest.approx(1.055556, abs=1e-6)


def test_grpo_counts_the_steps_that_speak_and_has_nothing_before() -> None:
    # outcomes 1 and 3: z-scores -1 and 1 (up to epsilon) on the steps of the first episode, one and two of them:
    # mean 1/3, variance 1 - 1/9
    reward = torch.tensor([[[1.0, 1.0]], [[50.0, 2.0]]])
    done = torch.tensor([[[True, False]], [[False, False]]])
    reading = read(rollout_of(reward, done, branch_steps=2, critic=False), GRPO(1.0, 2))
    assert math.isnan(reading["advantage_variance_before"])
    assert reading["advantage_variance"] == pytest.approx(8.0 / 9.0, rel=1e-3)
    assert reading["group_spread"] == pytest.approx(1.0)


def test_no_sample_that_counts_has_no_variance() -> None:
    assert math.isnan(diagnostics.advantage_variance(torch.ones(3), torch.zeros(3)))


@many
@given(seed=st.integers(0, 2**31), n=st.sampled_from([1, 2, 4]))
def test_luck_that_siblings_share_is_seen_before_the_comparison_and_not_after(seed: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    luck, own = torch.randn(4, 6, 1, generator=generator), torch.randn(4, 6, 3, generator=generator)
    # no tails: the executed sample goes on into the next branch unless its episode ends with this one
    done = (torch.arange(4) % n == n - 1).view(4, 1, 1).expand(4, 6, 3)
    lucky, plain = (read(rollout_of(own + luck * size, done, n), hybrid("group", 3, n)) for size in (100.0, 0.0))
    assert lucky["advantage_variance"] == pytest.approx(plain["advantage_variance"], rel=1e-2)
    assert lucky["advantage_variance_before"] > 10.0 * plain["advantage_variance_before"]
    assert lucky["group_spread"] == pytest.approx(plain["group_spread"], rel=1e-3)


# Gradient noise


def test_noise_scale_by_hand() -> None:
    # gradients (1, 0) and (3, 0) of 2 samples each: mean square 5, mean (2, 0), square 4;
    # |G|^2 = (4 x 4 - 2 x 5) / 2 = 3, tr = (5 - 4) / (1/2 - 1/4) = 4, B = 4/3
    assert gradient_variance(5.0, 4.0, 2, 4) == (3.0, 4.0)
    moments = GradientMoments()
    moments.add(torch.tensor([1.0, 0.0]))
    moments.add(torch.tensor([3.0, 0.0]))
    assert moments.noise_scale(2) == pytest.approx(4.0 / 3.0)


def test_noise_scale_cannot_be_told_from_one_minibatch_or_without_a_signal() -> None:
    moments = GradientMoments()
    assert math.isnan(moments.noise_scale(2))
    moments.add(torch.ones(3))
    assert math.isnan(moments.noise_scale(2))
    moments.add(-torch.ones(3))  # the mean is zero: |G|^2 is estimated below zero
    assert math.isnan(moments.noise_scale(2))
    assert math.isnan(noise_scale(0.0, 0.0, 1, 2))


def moments_of(gradients: Tensor) -> GradientMoments:
    moments = GradientMoments()
    for gradient in gradients:
        moments.add(gradient)
    return moments


@many
@given(seed=st.integers(0, 2**31), factor=st.floats(1e-3, 1e3), count=st.integers(2, 6))
def test_noise_scale_is_a_number_of_samples(seed: int, factor: float, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gradients = 3.0 + torch.randn(count, 10, generator=generator, dtype=torch.float64)
    scale = moments_of(gradients).noise_scale(8)
    assert scale > 0.0
    assert moments_of(factor * gradients).noise_scale(8) == pytest.approx(scale)
    assert moments_of(gradients.flip(0)).noise_scale(8) == pytest.approx(scale)
    assert moments_of(gradients).noise_scale(16) == pytest.approx(2.0 * scale)
    rotation, _ = torch.linalg.qr(torch.randn(10, 10, generator=generator, dtype=torch.float64))
    assert moments_of(gradients @ rotation).noise_scale(8) == pytest.approx(scale)
    assert moments_of(gradients[:1].expand(count, 10)).noise_scale(8) == pytest.approx(0.0, abs=1e-9)


def test_noise_of_a_quadratic_that_is_known() -> None:
    # L_i = |theta - x_i|^2 / 2 with x_i ~ N(0, s_p^2) has gradient theta - x_i: G = theta, tr = sum of s_p^2.
    # theta = (3, 4, 0), s = (1, 2, 3): |G|^2 = 25, tr = 14, B = 0.56. 4 minibatches of 5 samples, 20000 times over.
    generator = torch.Generator().manual_seed(0)
    theta, spread = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([1.0, 2.0, 3.0])
    samples = theta - spread * torch.randn(20_000, 4, 5, 3, generator=generator)
    small = samples.mean(2)
    mean_square, square_of_mean = small.square().sum(-1).mean(-1), small.mean(1).square().sum(-1)
    # the estimates are linear in their first two arguments, so tensors pass through them
    estimates = torch.stack(gradient_variance(mean_square, square_of_mean, 5, 20), dim=1)  # type: ignore[arg-type]
    error = estimates.std(0) / math.sqrt(20_000)
    assert bool(((estimates.mean(0) - torch.tensor([25.0, 14.0])).abs() < 3.0 * error).all())
    assert bool((error < torch.tensor([0.05, 0.1])).all())
    # one large estimate: B itself, with the relative error of tr, sqrt(2 sum s^4 / (sum s^2)^2 / 9999) = 1 %
    many_minibatches = moments_of(theta - spread * torch.randn(10_000, 5, 3, generator=generator).mean(1))
    assert many_minibatches.noise_scale(5) == pytest.approx(0.56, rel=0.04)


def test_samples_without_weight_do_not_count_towards_the_noise_scale() -> None:
    # the quadratic above with theta = (0.3, 0.4, 0): B = 14 / 0.25 = 56. Minibatches of 20 samples, each of weight 1
    # with probability 1/4: 5 of them count, and B comes out 3/4 of a sample above; 300,000 tell |G|^2 to 2 %
    generator = torch.Generator().manual_seed(2)
    theta, spread = torch.tensor([0.3, 0.4, 0.0]), torch.tensor([1.0, 2.0, 3.0])
    samples = theta - spread * torch.randn(300_000, 20, 3, generator=generator)
    weight = (torch.rand(300_000, 20, 1, generator=generator) < 0.25).float()
    moments = GradientMoments()
    moments.total, moments.count = (weight * samples).mean(1).double().sum(0), 300_000
    moments.squares = (weight * samples).mean(1).double().square().sum()
    assert moments.noise_scale(weight.sum().item() / 300_000) == pytest.approx(56.75, rel=0.04)


def test_the_learner_leaves_samples_without_weight_out_of_the_noise_scale() -> None:
    policy, batch = drawn(PPO())
    settings = Learning(update_epochs=1, num_minibatches=2)
    alone = Learner(policy, settings, seed=5).update(batch, progress=1.0)  # learning rate 0: the policy stays
    # beside each sample another of weight 0 from the same observation
    beside = {name: getattr(batch, name) for name in ("action", "old_log_prob", "advantage", "weight")}
    padded = {name: torch.cat((x, torch.zeros_like(x) if name == "weight" else x), dim=1) for name, x in beside.items()}
    both = Learner(policy, settings, seed=5).update(batch._replace(**padded), progress=1.0)
    assert math.isfinite(alone["gradient_noise_scale"])
    assert both["gradient_noise_scale"] == pytest.approx(alone["gradient_noise_scale"], rel=1e-4)


def drawn(algorithm: Algorithm) -> tuple[ActorCritic, Batch]:
    """A policy and a batch of 64 samples that it drew itself."""
    ledger = Ledger()
    policy = fresh_policy(ledger, (8,), critic=algorithm.needs_critic)
    n = algorithm.branch_length(8)
    sampler = Sampler(ledger, policy, 8 // algorithm.num_samples, algorithm.num_samples, n, 8, seed=1)
    return policy, algorithms.make_batch(sampler.collect()[0], algorithm)


@pytest.mark.parametrize("algorithm", [PPO(), GRPO(num_samples=4), HybridGRPO(num_samples=4, branch_steps=1)])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_learner_reads_the_actors_gradients_of_the_first_pass_before_they_are_shortened(
    algorithm: Algorithm, epochs: int
) -> None:
    policy, batch = drawn(algorithm)
    settings = Learning(update_epochs=epochs, num_minibatches=2, max_grad_norm=1e-3, vf_coef=7.0)
    # with nothing but its own actions behind it, a ratio is 1 and the surrogate's gradient that of -w A log pi
    advantage = standardize(batch.advantage, batch.weight)
    actor = [policy.raw_sigma, *policy.actor.parameters()]
    gradients = []
    for rows in torch.randperm(len(advantage), generator=torch.Generator().manual_seed(5)).chunk(2):
        mean = policy.mean(batch.observation[rows]).unsqueeze(1)
        log_prob = gaussian.log_density(batch.action[rows], mean, policy.sigma)
        loss = -(batch.weight[rows] * advantage[rows] * log_prob).mean()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, actor)]))
    expected = moments_of(torch.stack(gradients)).noise_scale(int((batch.weight > 0.0).sum()) / 2)
    stats = Learner(policy, settings, seed=5).update(batch, progress=1.0)  # learning rate 0: the policy stays
    assert stats["gradient_noise_scale"] == pytest.approx(expected, rel=1e-3, nan_ok=True)


def test_one_minibatch_has_no_noise_scale() -> None:
    policy, batch = drawn(PPO())
    stats = Learner(policy, Learning(num_minibatches=1, update_epochs=3), seed=0).update(batch)
    assert math.isnan(stats["gradient_noise_scale"])
