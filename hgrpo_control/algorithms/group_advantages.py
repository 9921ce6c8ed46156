"""GRPO's advantages: branches from one state compared with each other, without a critic.

Shapes: n steps of a branch, any number of groups, N samples per group in the last dimension. Equation numbers are those
of the Hybrid GRPO paper (2025). Its eq. 7 and eq. 8 taken literally subtract the mean from the same mean, which is
zero; the comparison here is DeepSeek's (Shao et al., 2024), and the options are those of its successors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgrpo_control.algorithms.advantages import discounted_sum, first_episode
from hgrpo_control.ranks.ranks import ALONE, Ranks

EPSILON = 1e-4  # added to a standard deviation


def outcome(reward: Tensor, done: Tensor, terminated: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Q_i = sum of gamma^j f(R)_{i,j} over a branch's first episode (eq. 6).

    `reward`, `done` and `terminated` are (n, ..., N). Returns Q and which samples are compared (all), both (1, ..., N).
    """
    value = discounted_sum(reward, done, gamma)[:1]
    return value, torch.ones_like(value, dtype=torch.bool)


def reward_to_go(reward: Tensor, done: Tensor, terminated: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Q_{i,j} = sum over l >= j of gamma^{l-j} f(R)_{i,l} of a branch's first episode.

    `reward`, `done` and `terminated` are (n, ..., N). Returns Q and which samples are compared at each step, both
    (n, ..., N).

    A terminated episode earns nothing more, which is known and need not be estimated: its sample stays in the
    comparison with Q = 0 while a sibling still acts. All N samples are then compared at every step, and every step
    keeps the same share of its policy gradient: (N - 1) / N less the plain mean, all of it less the leave-one-out mean.
    Episodes cut by the time limit are not compared any more; siblings share their clock, so those that are alive are
    cut in the same step.
    """
    acts = first_episode(done)
    ended = (terminated & acts).cumsum(dim=0) > 0  # from the last step of the episode on
    value = torch.where(acts, discounted_sum(reward, done, gamma), 0.0)
    return value, (acts | ended) & acts.any(-1, keepdim=True)


def compare(
    value: Tensor, counts: Tensor, scale: str = "group", baseline: str = "mean", ranks: Ranks = ALONE
) -> Tensor:
    """Advantages (..., N) of the samples of each group; 0 for those that do not count.

    Args:
        value: (..., N).
        counts: (..., N) bool.
        scale: What differences are divided by: the standard deviation of their group + 1e-4 (`group`, Shao et al.,
            2024), that of the differences from the group mean over all groups + 1e-4 (`batch`, Hu et al., 2025), or
            nothing (`none`, Liu et al., 2025).
        baseline: What is subtracted: the mean of the group (`mean`), or of the siblings (`leave_one_out`, Ahmadian et
            al., 2024), which gives M / (M - 1) times the difference in a group of M.
        ranks: Processes whose groups `batch` covers.

    Raises ValueError for N = 1, where there is nothing to compare, and for an unknown choice.
    """
    if value.shape[-1] < 2:
        raise ValueError(f"a group needs at least 2 samples to be compared; given {value.shape[-1]}")
    members = counts.sum(-1, keepdim=True)
    centred = _centred(value, counts)
    squares = centred.square()
    if scale == "group":
        spread = (squares.sum(-1, keepdim=True) / members.clamp_min(1)).sqrt() + EPSILON
    elif scale == "batch":
        spread = (ranks.sum(squares.sum()) / ranks.sum(members.sum()).clamp_min(1)).sqrt() + EPSILON
    elif scale == "none":
        spread = torch.ones_like(squares[..., :1])
    else:
        raise ValueError(f"unknown scale {scale!r}; allowed: group, batch, none")
    if baseline == "leave_one_out":
        centred = centred * members / (members - 1).clamp_min(1)
    elif baseline != "mean":
        raise ValueError(f"unknown baseline {baseline!r}; allowed: mean, leave_one_out")
    return centred / spread


def varies(value: Tensor, counts: Tensor, tolerance: Tensor | float = 0.0) -> Tensor:
    """(..., 1) bool: whether values of a group that count differ.

    Args:
        value: (..., N).
        counts: (..., N) bool.
        tolerance: (..., 1) or a number; smaller differences do not count.
    """
    high = torch.where(counts, value, -torch.inf).amax(-1, keepdim=True)
    low = torch.where(counts, value, torch.inf).amin(-1, keepdim=True)
    return high - low > tolerance


def grpo(
    reward: Tensor,
    done: Tensor,
    terminated: Tensor,
    gamma: float,
    scale: str = "group",
    baseline: str = "mean",
    credit: str = "outcome",
    drop_zero_variance: bool = False,
    ranks: Ranks = ALONE,
) -> tuple[Tensor, Tensor]:
    """Advantages of branches, and the weights of their steps in the loss.

    Steps after a branch's first episode have weight 0 and the others 1; the loss is the mean over all of them, whatever
    their weight.

    Args:
        reward: (n, ..., N).
        done: (n, ..., N) bool.
        terminated: (n, ..., N) bool.
        gamma: Discount per step.
        scale: See `compare`.
        baseline: See `compare`.
        credit: Every step of the first episode gets the comparison of the whole branch (`outcome`), or step j that of
            the rewards from j on (`reward_to_go`).
        drop_zero_variance: Give weight 0 to comparisons of equal values and raise the other weights, so that the mean
            is over the rest (Yu et al., 2025). Values that differ by no more than the rounding of a sum of n rewards
            are equal. Where all are dropped, all weights are 0.
        ranks: Processes of the run.

    Returns advantages and weights, both (n, ..., N).

    Raises ValueError for N = 1 and for an unknown choice.
    """
    if credit not in _CREDIT:
        raise ValueError(f"unknown credit {credit!r}; allowed: {', '.join(_CREDIT)}")
    value, counts = _CREDIT[credit](reward, done, terminated, gamma)
    acts = first_episode(done)
    weight = acts.to(reward.dtype)
    if drop_zero_variance:
        size, _ = _CREDIT[credit](reward.abs(), done, terminated, gamma)
        rounding = 8.0 * torch.finfo(reward.dtype).eps * size.amax(-1, keepdim=True)
        left = (varies(value, counts, rounding) | ~acts.any(-1, keepdim=True)).expand_as(reward)
        counts = counts & left[: len(value)]
        weight = torch.where(left, weight, 0.0) * (left.numel() * ranks.size / max(1, int(ranks.sum(left.sum()))))
    return compare(value, counts, scale, baseline, ranks).expand_as(reward), weight


_CREDIT = {"outcome": outcome, "reward_to_go": reward_to_go}


def _centred(value: Tensor, counts: Tensor) -> Tensor:
    """value less the mean of its group's values that count; 0 where it does not count.

    Exactly 0 in a group of equal values.
    """
    # Measured from one of them, equal values give exact equality after rounding.
    reference = value.gather(-1, counts.to(torch.uint8).argmax(-1, keepdim=True))
    shifted = torch.where(counts, value - reference, 0.0)
    mean = shifted.sum(-1, keepdim=True) / counts.sum(-1, keepdim=True).clamp_min(1)
    return torch.where(counts, shifted - mean, 0.0)
