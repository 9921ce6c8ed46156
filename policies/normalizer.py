"""Running mean and variance of observations; part of the policy, so an export contains them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

CLIP = 10.0  # standard deviations
_ROUNDING = torch.finfo(torch.float32).eps  # of the mean: observations come in single precision
_SMALLEST = 1e-18  # a smaller deviation counts as none: its reciprocal must stay finite in single precision
_ROWS = 262_144  # rows that are held in double precision at once
_RAMP = 4.0  # deviation over rounding at which the scale is the full reciprocal

Gathered = Callable[[Tensor], list[Tensor]]


class ObservationNormalizer(nn.Module):
    """(x - mean) / std, clipped to +-10.

    The statistics cover every observation given to `update`.

    Before the first update only the clip applies. An entry that has not varied by more than single-precision rounding
    of its mean is centred and not scaled.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        # in single precision the running mean would stop changing after 1e7 observations
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observation: Tensor) -> Tensor:
        """Normalised observation (..., O)."""
        return self.fixed()(observation)

    def fixed(self) -> Callable[[Tensor], Tensor]:
        """`forward` with the present statistics, computed once for many calls."""
        shift, scale = self.shift_and_scale()
        return lambda observation: ((observation - shift) * scale).clamp(-CLIP, CLIP)

    def shift_and_scale(self) -> tuple[Tensor, Tensor]:
        """Mean (O,) and reciprocal standard deviation (O,), in single precision.

        For a deviation between one and four roundings the scale is std^-w with w from 0 to 1, which has no jump.
        """
        rounding = (_ROUNDING * self.mean.abs()).clamp_min(_SMALLEST)
        # at least one rounding: the weight is then 0, and log 0 is avoided
        std = self.variance.sqrt().maximum(rounding)
        weight = ((std / rounding).log() / math.log(_RAMP)).clamp_max(1.0)
        scale = torch.where(weight < 1.0, std.pow(-weight), self.variance.rsqrt())
        return self.mean.float(), scale.float()

    def scale_of_format_1(self) -> Tensor:
        """Scale (O,) of format 1: it is 1 for deviations of at most 1e-4."""
        return torch.where(self.variance <= 1e-8, 1.0, self.variance).rsqrt().float()

    @torch.no_grad()
    def update(self, observation: Tensor, gathered: Gathered = lambda x: [x]) -> None:
        """Add observations: parallel variance of Chan, Golub and LeVeque (1979).

        Args:
            observation: (..., O).
            gathered: Tensors of all processes in place of one's own; each has as many observations.
        """
        for block in observation.reshape(-1, observation.shape[-1]).split(_ROWS):
            x = block.double()
            for moments in gathered(torch.stack((x.mean(dim=0), x.var(dim=0, correction=0)))):
                self._add(float(len(x)), *moments)

    def _add(self, new_count: float, mean: Tensor, variance: Tensor) -> None:
        total = self.count + new_count
        delta = mean - self.mean
        squares = variance * new_count + delta**2 * (self.count * new_count / total)
        old_squares = self.variance * self.count
        self.variance.copy_((old_squares + squares) / total)
        self.mean.add_(delta * (new_count / total))
        self.count.copy_(total)
