"""Reward transforms f(R), eq. 12 and 17: what is learned from; reported returns stay raw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms.advantages import discounted_sum
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import Algorithm
from hgrpo_control.ranks.ranks import ALONE, Ranks
from hgrpo_control.rewards.custom import CustomTransform
from hgrpo_control.rewards.transform import RewardTransform

CPU = torch.device("cpu")
SCALED_LIMIT = 10.0
"""Where `scale` clips, in standard deviations."""


def make(algorithm: Algorithm, num_envs: int, device: torch.device = CPU) -> RewardTransform:
    """The transform that an algorithm's settings name.

    Args:
        algorithm: Names the transform and has its numbers.
        num_envs: E, executed environments of the whole run.
        device: Of the rewards.

    Raises RewardTransformError if a MODULE:FUNCTION cannot be imported or called.
    """
    name = algorithm.reward_transform
    if name == "identity":
        return Elementwise(lambda reward: reward)
    if name == "tanh":
        return Elementwise(torch.tanh)
    if name == "clip":
        return Elementwise(lambda reward: reward.clamp(algorithm.reward_low, algorithm.reward_high))
    if name == "scale":
        return ReturnScaling(algorithm.gamma, num_envs, device)
    if name in ("rolling", "rolling-std"):
        return RollingNormalization(algorithm.reward_window, name == "rolling", device)
    return CustomTransform(name, device)


def apply(transform: RewardTransform, rollout: Rollout, algorithm: Algorithm, ranks: Ranks = ALONE) -> Rollout:
    """The rollout with f(R) in place of its reward.

    Args:
        transform: Its statistics are updated by the executed steps.
        rollout: With raw rewards.
        algorithm: Says whether every branch is the end of an episode.
        ranks: Processes whose executed steps update the statistics.
    """
    ended = rollout.done
    if algorithm.restarts_branches:
        last = torch.arange(len(ended), device=ended.device) % rollout.branch_length == rollout.branch_length - 1
        ended = ended | last.view(-1, 1, 1)  # the next branch is another episode, though this one has not ended
    return rollout._replace(reward=transform(rollout.reward, ended, ranks))


class Elementwise(RewardTransform):
    """A fixed function of one reward (eq. 12).

    tanh, the paper's default, hardly distinguishes large rewards: beyond |R| = 3 it changes by less than 0.005, so
    tasks that pay more than about 1 per step lose their ordering.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    @property
    def learns(self) -> bool:
        """False: the function is fixed."""
        return False

    def apply(self, reward: Tensor) -> Tensor:
        """f(R)."""
        return self.function(reward)


class ReturnScaling(RewardTransform):
    """R / std(G), clipped to +-10.

    G_t = R_t + gamma (1 - done_{t-1}) G_{t-1} runs over all executed steps so far, from one rollout to the next. While
    it has not varied, rewards are clipped but not scaled.
    """

    def __init__(self, gamma: float, num_envs: int, device: torch.device = CPU) -> None:
        self.gamma = gamma
        # G of the last step; 0 where its episode ended
        self.carry = torch.zeros(num_envs, dtype=torch.float64, device=device)
        # double precision: after 1e7 steps a single-precision running mean would stop moving
        self.count = self.mean = self.squares = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def ready(self) -> bool:
        """Whether there are statistics."""
        return bool(self.count > 0.0)

    def apply(self, reward: Tensor) -> Tensor:
        """R / std(G) within +-10."""
        variance = self.squares / self.count
        divisor = variance.sqrt().item() if variance > 0.0 else 1.0
        return (reward / divisor).clamp(-SCALED_LIMIT, SCALED_LIMIT)

    def update(self, reward: Tensor, done: Tensor) -> None:
        """Add G of every step, by the parallel formula of Chan, Golub and LeVeque (1979)."""
        ended_before = torch.cat((torch.zeros_like(done[:1]), done[:-1]))
        # the recursion of G runs forwards in time, that of discounted_sum backwards
        flipped = discounted_sum(reward.double().flip(0), ended_before.flip(0), self.gamma, self.carry)
        self.carry = torch.where(done[-1], 0.0, flipped[0])
        total = self.count + flipped.numel()
        difference = flipped.mean() - self.mean
        within = flipped.var(correction=0) * flipped.numel()
        self.squares = self.squares + within + difference.square() * self.count * flipped.numel() / total
        self.mean = self.mean + difference * flipped.numel() / total
        self.count = total

    def state_dict(self) -> dict[str, Any]:
        """Running G (E,); count, mean and sum of squared deviations of all G."""
        return {"carry": self.carry, "count": self.count, "mean": self.mean, "squares": self.squares}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        device = self.carry.device
        self.carry, self.count = saved["carry"].to(device), saved["count"].to(device)
        self.mean, self.squares = saved["mean"].to(device), saved["squares"].to(device)


class RollingNormalization(RewardTransform):
    """(R - mu) / (sigma + eps), eq. 17, over the last `window` executed rewards.

    Without centring it is R / (sigma + eps). Subtracting a mean pays -mu / sigma for every step that an episode lasts,
    which changes what is optimal wherever an episode can end. Rewards that have not varied are not divided: eps alone
    would make a sibling's difference 1e8 times larger.
    """

    epsilon = 1e-8

    def __init__(self, window: int, centred: bool, device: torch.device = CPU) -> None:
        self.window, self.centred = window, centred
        self.recent = torch.empty(0, dtype=torch.float32, device=device)  # oldest first

    @property
    def ready(self) -> bool:
        """Whether there are statistics."""
        return len(self.recent) > 0

    def apply(self, reward: Tensor) -> Tensor:
        """Eq. 17 with the window as it is."""
        mean, deviation = self._statistics()
        shift = mean if self.centred else 0.0
        divisor = deviation + self.epsilon if deviation > 0.0 else 1.0
        # in double precision, where a mean far from zero leaves the digits that differ
        return ((reward.double() - shift) / divisor).to(reward.dtype)

    def update(self, reward: Tensor, done: Tensor) -> None:
        """Append rewards (T, E) in the order of time; the oldest are dropped."""
        self.recent = torch.cat((self.recent, reward.flatten()))[-self.window :].clone()

    def state_dict(self) -> dict[str, Any]:
        """The window itself."""
        return {"recent": self.recent}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        self.recent = saved["recent"].to(self.recent.device)

    def _statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of the window, summed anew each time: nothing accumulates rounding."""
        reference = self.recent[0].double()  # measured from it, equal rewards have a deviation of exactly 0
        shifted = self.recent.double() - reference
        mean = shifted.mean()
        return (mean + reference).item(), math.sqrt((shifted - mean).square().mean().item())
