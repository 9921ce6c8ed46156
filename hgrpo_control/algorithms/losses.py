"""Loss terms as pure functions of arrays of equal shape."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_control.ranks.ranks import ALONE, Ranks


class PolicyLoss(NamedTuple):
    """Clipped surrogate, and how far the policy is from the old one."""

    loss: Tensor
    """() to be minimised."""
    approx_kl: Tensor
    """() mean KL(old || new), by the k3 estimate."""
    clip_fraction: Tensor
    """() share of samples whose ratio lies outside the clip range."""
    slope: Tensor
    """(R, M) derivative of `loss` by log pi."""


class LeashedWish(NamedTuple):
    """Progress along wishes, and how far the policy is from the old one."""

    loss: Tensor
    """() to be minimised."""
    kl: Tensor
    """() mean KL(old || new)."""
    by_mean: Tensor
    """(R, A) derivative of `loss` by the mean."""
    by_log_sigma: Tensor
    """(A,) derivative of `loss` by log sigma."""


class ReferenceKl(NamedTuple):
    """How far the policy is from its reference."""

    loss: Tensor
    """() weighted like the surrogate, to be minimised."""
    divergence: Tensor
    """() mean KL(policy || reference), by the k3 estimate."""
    slope: Tensor
    """(R, M) derivative of `loss` by log pi."""


def clipped_surrogate(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    weight: Tensor,
    clip_coef: float,
    clip_high: float | None = None,
) -> PolicyLoss:
    """-mean of w min(rho A, clip(rho, 1 - eps_low, 1 + eps_high) A) (eq. 3).

    rho = exp(log pi - log pi_old) is eq. 4. GRPO (eq. 9) and Hybrid GRPO (eq. 14) have the same loss. The mean is over
    all samples, whatever their weight.

    Args:
        log_prob: (R, M) log pi.
        old_log_prob: (R, M) log pi_old.
        advantage: (R, M) A.
        weight: (R, M) w.
        clip_coef: eps_low.
        clip_high: eps_high (Yu et al., 2025); None is eps_low.

    Raises ValueError if the shapes differ: broadcasting (B,) against (B, 1) would train on B^2 pairs.
    """
    clip_high = clip_coef if clip_high is None else clip_high
    _require_same_shape(log_prob=log_prob, old_log_prob=old_log_prob, advantage=advantage, weight=weight)
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1.0 - clip_coef, 1.0 + clip_high)
    gain, bounded = ratio * advantage, clipped * advantage
    loss = -(weight * torch.minimum(gain, bounded)).mean()
    with torch.no_grad():
        outside = (clipped != ratio).to(ratio.dtype)
        # A product, so that 0 x infinity is NaN and is reported, as in the derivative by the chain rule.
        slope = weight * gain * (gain <= bounded) / -weight.numel()
        return PolicyLoss(loss, k3_divergence(log_ratio).mean(), outside.mean(), slope)


def leashed_wish(mean: Tensor, sigma: Tensor, old: Tensor, wish: Tensor, leash: float) -> LeashedWish:
    """-mean of wish . (mean - mean_old) / sigma_old + wish_s . log(sigma / sigma_old), + leash KL(old || new).

    Args:
        mean: (R, A) of the new policy.
        sigma: (A,) of the new policy.
        old: (R, 2, A) mean and sigma of the old policy.
        wish: (R, M, 2, A) for mean and log sigma, in units of sigma_old.
        leash: Weight of the KL divergence.
    """
    old_mean, old_sigma = old.unbind(1)
    wish_mean, wish_sigma = wish.mean(1).unbind(1)
    away, grown = mean - old_mean, (sigma / old_sigma).log()
    square = (old_sigma.square() + away.square()) / sigma.square()
    kl = (grown + 0.5 * square - 0.5).sum(-1).mean()
    gain = (wish_mean * away / old_sigma + wish_sigma * grown).sum(-1).mean()
    by_mean = (leash * away / sigma.square() - wish_mean / old_sigma) / len(mean)
    by_sigma = (leash * (1.0 - square) - wish_sigma).mean(0)
    return LeashedWish(leash * kl - gain, kl, by_mean, by_sigma)


def reference_kl(log_prob: Tensor, reference_log_prob: Tensor, weight: Tensor) -> ReferenceKl:
    """Mean of w (exp(x) - x - 1) with x = log pi_ref - log pi.

    At samples of pi_old it is the k3 estimate of KL(pi || pi_ref) as long as pi is near pi_old (Shao et al., 2024). The
    mean is over all samples, whatever their weight.

    Args:
        log_prob: (R, M) log pi.
        reference_log_prob: (R, M) log pi_ref.
        weight: (R, M) w.

    Raises ValueError if the shapes differ.
    """
    _require_same_shape(log_prob=log_prob, reference_log_prob=reference_log_prob, weight=weight)
    log_ratio = reference_log_prob - log_prob
    k3 = k3_divergence(log_ratio)
    with torch.no_grad():
        slope = weight * torch.expm1(log_ratio) / -weight.numel()
    return ReferenceKl((weight * k3).mean(), k3.detach().mean(), slope)


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """() half the mean squared error of V (B,) against its target (B,).

    Raises ValueError if the shapes differ.
    """
    _require_same_shape(value=value, target=target)
    return 0.5 * (value - target).square().mean()


def k3_divergence(log_ratio: Tensor) -> Tensor:
    """exp(x) - x - 1 for x = log q - log p at samples of p.

    An unbiased estimate of KL(p || q) that is never negative (Schulman, 2020).
    """
    return torch.expm1(log_ratio) - log_ratio


def explained_variance(value: Tensor, target: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """() 1 - Var(target - V) / Var(target) over all processes: 1 is a perfect critic, 0 a constant one.

    NaN if the target does not vary.
    """
    variance = ranks.variance(target)
    return torch.where(variance > 0.0, 1.0 - ranks.variance(target - value) / variance, torch.nan)


def _require_same_shape(**tensors: Tensor) -> None:
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        given = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"shapes must be equal; given {given}")
