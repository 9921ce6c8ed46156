"""Reward transforms against numbers worked out by hand and plain loops; what they leave alone, and what they see."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.analytic_envs import ConstantReward, train
from torch import Tensor

from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.reward import TRANSFORMS
from hgrpo_control.rewards import transforms
from hgrpo_control.rewards.transform import RewardTransform

WITH_STATISTICS = pytest.mark.parametrize("name", ["scale", "rolling", "rolling-std"])
many = settings(max_examples=40)


def make(name: str, num_envs: int = 1, algorithm: Algorithm | None = None, **changes: Any) -> RewardTransform:
    return transforms.make(replace(algorithm or PPO(0.5), reward_transform=name, **changes), num_envs)


def column(*values: float) -> Tensor:
    """(T, 1, 1): one environment, one sample."""
    return torch.tensor(values).view(-1, 1, 1)


def f(transform: RewardTransform, *values: float, done: tuple[int, ...] = ()) -> list[float]:
    """f(R) of one rollout; episodes end at the steps in `done`."""
    ended = torch.zeros(len(values), dtype=torch.bool)
    ended[list(done)] = True
    return transform(column(*values), ended.view(-1, 1, 1)).flatten().tolist()


def noise(shape: tuple[int, ...], seed: int, ends: float = 0.2) -> tuple[Tensor, Tensor]:
    """Rewards and ends of episodes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.rand(shape, generator=generator) < ends


def test_identity_is_the_reward() -> None:
    assert f(make("identity"), -3.0, 0.25, 1e6) == [-3.0, 0.25, 1e6]


def test_tanh_by_hand() -> None:
    # eq. 12: tanh(x) = (e^2x - 1) / (e^2x + 1); tanh(1/2) = 1.718282 / 3.718282, tanh(3) = 402.428793 / 404.428793
    assert f(make("tanh"), -0.5, 0.0, 0.5, 3.0) == pytest.approx([-0.462117, 0.0, 0.462117, 0.995055], abs=1e-6)


def test_tanh_no_longer_tells_large_rewards_apart() -> None:
    # eq. 12: between R = 3 and R = 1000 there is less than 0.005
    three, thousand = f(make("tanh"), 3.0, 1000.0)
    assert thousand - three < 0.005


def test_tanh_prefers_two_small_rewards_to_one_large_one() -> None:
    # eq. 12 is monotone in one reward but not in a sum: 0 + 3 > 1 + 1, tanh 3 = 0.995 < 2 tanh 1 = 1.523
    small, large = f(make("tanh"), 1.0, 3.0)
    assert 2.0 * small > large


def test_clip_by_hand() -> None:
    # eq. 12 with f a clip
    assert f(make("clip"), -7.0, -0.5, 0.5, 7.0) == [-1.0, -0.5, 0.5, 1.0]
    assert f(make("clip", reward_low=-0.25, reward_high=3.0), -7.0, -0.5, 0.5, 7.0) == [-0.25, -0.25, 0.5, 3.0]


def test_scale_by_hand() -> None:
    # eq. 12 with f = R / std(G), gamma 1/2. R = 1 2 4, the second step ends an episode: G = 1, 2 + 1/2, 4;
    # mean 2.5, variance (1.5^2 + 0 + 1.5^2) / 3 = 1.5, std 1.224745
    scale = make("scale")
    assert f(scale, 1.0, 2.0, 4.0, done=(1,)) == pytest.approx([0.816497, 1.632993, 3.265986], abs=1e-6)
    # the next rollout is scaled by the old std, and then G = 2 + 4/2 = 4 runs on from it: G = 1 2.5 4 4, mean 2.875,
    # variance (1.875^2 + 0.375^2 + 2 x 1.125^2) / 4 = 6.1875 / 4, std 1.243734
    assert f(scale, 2.0, done=(0,)) == pytest.approx([1.632993], abs=1e-6)
    assert f(scale, 1.243734, done=()) == pytest.approx([1.0], abs=1e-6)
    # that step's G was 1.243734 alone, since the rollout before had ended with an episode
    assert scale.state_dict()["carry"].item() == pytest.approx(1.243734, abs=1e-6)


def test_scale_clips_at_ten_standard_deviations() -> None:
    scale = make("scale")
    f(scale, 1.0, 2.0, 4.0, done=(1,))  # std 1.224745
    assert f(scale, 12.0, 12.3, -1e9) == pytest.approx([9.797959, 10.0, -10.0], abs=1e-5)


def test_rolling_by_hand() -> None:
    # eq. 17, window 4. R = 1 2 3: mu 2, sigma sqrt(2/3) = 0.816497; the first rollout is measured by itself
    rolling = make("rolling", reward_window=4)
    assert f(rolling, 1.0, 2.0, 3.0) == pytest.approx([-1.224745, 0.0, 1.224745], abs=1e-6)
    # 6 8 are measured by 1 2 3: 4 / 0.816497 and 6 / 0.816497
    assert f(rolling, 6.0, 8.0) == pytest.approx([4.898979, 7.348469], abs=1e-5)
    # then the window holds 2 3 6 8: mu 4.75, variance (7.5625 + 3.0625 + 1.5625 + 10.5625) / 4 = 5.6875
    assert f(rolling, 4.75, 4.75 + math.sqrt(5.6875)) == pytest.approx([0.0, 1.0], abs=1e-6)


def test_rolling_std_by_hand() -> None:
    # eq. 17 without mu: the same sigma
    rolling = make("rolling-std", reward_window=4)
    assert f(rolling, 1.0, 2.0, 3.0) == pytest.approx([1.224745, 2.449490, 3.674235], abs=1e-6)
    assert f(rolling, 6.0, 8.0) == pytest.approx([7.348469, 9.797959], abs=1e-5)


def test_subtracting_a_mean_changes_which_episode_is_better() -> None:
    # eq. 17: three steps of 0.9 are worth more than one of 0.95, but not after each has paid for the mean of 1
    for name, longer_is_better in (("rolling", False), ("rolling-std", True)):
        transform = make(name)
        f(transform, 0.5, 1.5)
        step, only = f(transform, 0.9, 0.95)
        assert (3.0 * step > only) is longer_is_better


@pytest.mark.parametrize(("name", "expected"), [("rolling", 1.0), ("rolling-std", 6.0), ("scale", 6.0)])
def test_what_has_not_varied_is_not_divided_by_nothing(name: str, expected: float) -> None:
    # all executed rewards 5, their siblings' 6; `scale` sees discounted returns of 5 with gamma 0
    transform = make(name, algorithm=PPO(gamma=0.0))
    reward = torch.tensor([5.0, 6.0]).expand(8, 1, 2)
    assert transform(reward, torch.zeros(8, 1, 2, dtype=torch.bool))[..., 1].unique().item() == expected


def naive_scale(rollouts: list[tuple[Tensor, Tensor]], gamma: float) -> float:
    """std(G), one environment and step at a time."""
    returns = []
    for env in range(rollouts[0][0].shape[1]):
        running = 0.0
        for reward, done in rollouts:
            for t in range(len(reward)):
                running = reward[t, env].item() + gamma * running
                returns.append(running)
                running = 0.0 if done[t, env] else running
    return float(np.std(returns))


@many
@given(st.integers(0, 2**31), st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 3))
def test_scale_is_what_a_loop_over_steps_makes_of_it(seed: int, lengths: list[int], envs: int) -> None:
    rollouts = [noise((length, envs), seed + i) for i, length in enumerate(lengths)]
    scale = make("scale", envs, PPO(0.9))
    for reward, done in rollouts:
        scale.update(reward, done)
    expected = naive_scale(rollouts, 0.9)
    assert scale.apply(torch.tensor([0.1])).item() == pytest.approx(min(10.0, 0.1 / expected if expected else 0.1))


@many
@given(st.integers(0, 2**31), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(2, 20))
def test_the_window_holds_the_newest_rewards(seed: int, lengths: list[int], window: int) -> None:
    rolling, every = make("rolling", 2, reward_window=window), np.empty(0)
    for i, length in enumerate(lengths):
        reward, done = noise((length, 2), seed + i)
        rolling.update(reward, done)
        every = np.concatenate((every, reward.double().numpy().ravel()))
    newest = every[-window:]
    expected = (0.3 - newest.mean()) / (newest.std() + 1e-8)
    assert rolling.apply(torch.tensor([0.3])).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_rounding_does_not_accumulate_in_the_window() -> None:
    # 300 rollouts of rewards near 1e4 that vary by 0.1: float32 sums of squares would have lost the variance at once
    rolling = make("rolling", 8, reward_window=1000)
    generator = torch.Generator().manual_seed(0)
    kept = [1e4 + 0.1 * torch.randn(16, 8, generator=generator) for _ in range(300)]
    for reward in kept:
        rolling.update(reward, torch.zeros(16, 8, dtype=torch.bool))
    newest = torch.cat([reward.flatten() for reward in kept])[-1000:].double().numpy()
    expected = (10_000.25 - newest.mean()) / (newest.std() + 1e-8)
    assert rolling.apply(torch.tensor([10_000.25])).item() == pytest.approx(expected, rel=1e-6)


@WITH_STATISTICS
@many
@given(seed=st.integers(0, 2**31))
def test_siblings_never_count(name: str, seed: int) -> None:
    reward, done = noise((6, 3, 4), seed)
    other, other_done = noise((6, 3, 4), seed + 1)
    other[..., 0], other_done[..., 0] = reward[..., 0], done[..., 0]
    one, two = make(name, 3), make(name, 3)
    assert torch.equal(one(reward, done)[..., 0], two(other, other_done)[..., 0])
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@WITH_STATISTICS
def test_a_rollout_is_transformed_by_what_was_seen_before_it(name: str) -> None:
    # equal rewards stay equal, whatever else the second rollout holds
    transform, other = make(name, 3), make(name, 3)
    first, second = noise((6, 3, 4), 0), noise((6, 3, 4), 1)
    for each in (transform, other):
        each(*first)
    changed = second[0].clone()
    changed[1:] *= 100.0
    assert torch.equal(transform(*second)[0], other(changed, second[1])[0])
    later = noise((6, 3, 4), 2)
    assert not torch.equal(transform(*later), other(*later)), "only the third rollout sees the difference"


@WITH_STATISTICS
def test_the_first_rollout_is_transformed_by_its_own_executed_steps_which_count_once(name: str) -> None:
    reward, done = noise((6, 3, 4), 0)
    transform, by_hand = make(name, 3), make(name, 3)
    by_hand.update(reward[..., 0], done[..., 0])
    assert torch.equal(transform(reward, done), by_hand.apply(reward))
    assert all(
        torch.equal(a, b) for a, b in zip(transform.state_dict().values(), by_hand.state_dict().values(), strict=True)
    )


@WITH_STATISTICS
@many
@given(seed=st.integers(0, 2**31), factor=st.floats(1e-3, 1e3))
def test_the_unit_of_the_reward_does_not_matter(name: str, seed: int, factor: float) -> None:
    reward, done = noise((8, 3, 2), seed)
    ours, theirs = make(name, 3)(reward, done), make(name, 3)(factor * reward, done)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@many
@given(seed=st.integers(0, 2**31), shift=st.floats(-100.0, 100.0))
def test_rolling_does_not_see_a_constant_that_is_added(seed: int, shift: float) -> None:
    reward, done = noise((8, 3, 2), seed)
    assert torch.allclose(make("rolling", 3)(reward, done), make("rolling", 3)(reward + shift, done), atol=1e-3)
    assert make("rolling", 3)(reward, done)[..., 0].mean().abs() < 1e-5


@WITH_STATISTICS
@many
@given(seed=st.integers(0, 2**31), cut=st.integers(1, 7))
def test_one_long_rollout_teaches_what_two_short_ones_do(name: str, seed: int, cut: int) -> None:
    reward, done = noise((8, 3), seed)
    whole, parts = make(name, 3), make(name, 3)
    whole.update(reward, done)
    parts.update(reward[:cut], done[:cut])
    parts.update(reward[cut:], done[cut:])
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_goes_on_bit_for_bit_from_its_saved_state(name: str) -> None:
    one, two = make(name, 3, reward_window=20), make(name, 3, reward_window=20)
    for seed in range(3):
        one(*noise((8, 3, 2), seed))
    two.load_state_dict(one.state_dict())
    for seed in range(3, 6):
        assert torch.equal(one(*noise((8, 3, 2), seed)), two(*noise((8, 3, 2), seed)))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("algorithm", [PPO(), GRPO(), HybridGRPO()])
def test_every_algorithm_has_every_transform(name: str, algorithm: Algorithm) -> None:
    reward, done = noise((8, 3, algorithm.num_samples), 0)
    before = reward.clone()
    transformed = make(name, 3, algorithm)(reward, done)
    assert transformed.shape == reward.shape
    assert transformed.dtype == reward.dtype
    assert torch.equal(transformed, reward) == (name == "identity")
    assert torch.equal(reward, before), "the raw rewards are left as they were"


@pytest.mark.parametrize("algorithm", [PPO(0.8, 0.9), HybridGRPO(0.8, num_samples=2)], ids=["ppo", "hybrid"])
def test_the_critic_learns_the_transformed_reward(algorithm: Algorithm) -> None:
    # eq. 12: f(1) = tanh 1 = 0.761594 per step, so V = 0.761594 (1 - 0.8^k) / 0.2 with k = 3, 2, 1 steps to go
    learning = Learning(learning_rate=0.1, update_epochs=4, num_minibatches=2)
    policy = train(ConstantReward(3, ends=True), replace(algorithm, reward_transform="tanh"), 15, 16, 9, learning)
    assert policy.value(torch.eye(3)).tolist() == pytest.approx([1.858290, 1.370870, 0.761594], abs=0.06)


def test_returns_do_not_run_on_into_a_branch_that_starts_in_a_fresh_initial_state() -> None:
    # eq. 12 with f = R / std(G), gamma 1/2, two branches of two steps: G = 1, 2.5 and then, nothing having ended,
    # 1 + 1.25, 1 + 1.125 along the executed path, but 1, 1.5 where the second branch starts anew
    reward = torch.tensor([1.0, 2.0, 1.0, 1.0]).view(4, 1, 1).expand(4, 1, 2)
    never = torch.zeros(4, 1, 2, dtype=torch.bool)
    fields = {name: torch.empty(0) for name in ("observation", "action", "log_prob")}
    rollout = Rollout(
        **fields, reward=reward, value=None, next_value=None, terminated=never, done=never, branch_length=2
    )
    for groups, returns in (("executed_path", (1.0, 2.5, 2.25, 2.125)), ("initial_states", (1.0, 2.5, 1.0, 1.5))):
        algorithm = GRPO(0.5, 2, 2, reward_transform="scale", groups=groups)  # type: ignore[arg-type]
        transformed = transforms.apply(transforms.make(algorithm, 1), rollout, algorithm)
        assert transformed.reward[0, 0].tolist() == pytest.approx([1.0 / float(np.std(returns))] * 2)
        assert transformed.done is never
