"""Running mean and variance of observations, kept inside the policy so that what is exported is what was trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

CLIP = 10.0  # standard deviations
_ROUNDING = torch.finfo(torch.float32).eps  # of the mean: observations come in single precision
_SMALLEST = 1e-18  # below it nothing counts as varying: the reciprocal times 1e18 must stay a single-precision number
_RAMP = 4.0  # roundings at which a deviation counts in full


class ObservationNormalizer(nn.Module):
    """(x - mean) / std, clipped to +-10, with statistics over every observation given to `update`.

    Before the first update it is the identity (but for the clip). An entry that has not varied by more than
    single-precision rounding of its mean is centred, not scaled.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        # double precision: after 1e7 observations a single-precision running mean would stop moving
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observation: Tensor) -> Tensor:
        """Normalised observation (..., O)."""
        shift, scale = self.shift_and_scale()
        return ((observation - shift) * scale).clamp(-CLIP, CLIP)

    def shift_and_scale(self) -> tuple[Tensor, Tensor]:
        """Mean and reciprocal standard deviation (O,), in single precision.

        Between one and four roundings the scale goes from 1 to the reciprocal without a jump: std^-w, w from 0 to 1.
        """
        rounding = (_ROUNDING * self.mean.abs()).clamp_min(_SMALLEST)
        # one rounding stands in for an entry that varied by less: its weight is 0, and log 0 is avoided
        std = self.variance.sqrt().maximum(rounding)
        weight = ((std / rounding).log() / math.log(_RAMP)).clamp_max(1.0)
        scale = torch.where(weight < 1.0, std.pow(-weight), self.variance.rsqrt())
        return self.mean.float(), scale.float()

    def scale_of_format_1(self) -> Tensor:
        """(O,) what checkpoints of format 1 were trained with: 1 for a standard deviation of 1e-4 or less."""
        return torch.where(self.variance <= 1e-8, 1.0, self.variance).rsqrt().float()

    @torch.no_grad()
    def update(self, observation: Tensor) -> None:
        """Take in observations (..., O) by the parallel-variance formula of Chan, Golub and LeVeque (1979)."""
        x = observation.reshape(-1, observation.shape[-1]).double()
        new_count = float(x.shape[0])
        total = self.count + new_count
        delta = x.mean(dim=0) - self.mean
        squares = x.var(dim=0, correction=0) * new_count + delta**2 * (self.count * new_count / total)
        old_squares = self.variance * self.count
        self.variance.copy_((old_squares + squares) / total)
        self.mean.add_(delta * (new_count / total))
        self.count.copy_(total)
