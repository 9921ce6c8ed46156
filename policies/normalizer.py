"""Running mean and variance of observations, kept inside the policy so that what is exported is what was trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLIP = 10.0  # standard deviations
_EPSILON = 1e-8


class ObservationNormalizer(nn.Module):
    """(x - mean) / std, clipped to +-10, with statistics over every observation given to `update`.

    Before the first update it is the identity (but for the clip). An entry that has not varied yet is centred, not
    scaled.
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
        """Mean and reciprocal standard deviation (O,), in single precision."""
        scale = torch.where(self.variance <= _EPSILON, 1.0, self.variance).rsqrt()
        return self.mean.float(), scale.float()

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
