"""Random numbers for the beginning of an episode, and attitudes made of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Draw(NamedTuple):
    """Source of random numbers for `num` rows; every call advances the generator."""

    num: int
    generator: torch.Generator
    dtype: torch.dtype

    def uniform(self, size: int, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> Tensor:
        """(num, size) uniform in [low, high); bounds may be tensors that broadcast."""
        unit = torch.rand(self.num, size, generator=self.generator, dtype=self.dtype, device=self.generator.device)
        return low + (high - low) * unit

    def normal(self, size: int) -> Tensor:
        """(num, size) standard normal."""
        return torch.randn(self.num, size, generator=self.generator, dtype=self.dtype, device=self.generator.device)

    def integers(self, size: int, low: int, high: int) -> Tensor:
        """(num, size) int64 uniform in low ... high, both included."""
        return torch.randint(low, high + 1, (self.num, size), generator=self.generator, device=self.generator.device)

    def direction(self) -> Tensor:
        """(num, 3) unit vectors, uniform over the sphere."""
        vector = self.normal(3)
        return vector / vector.norm(dim=1, keepdim=True).clamp_min(1e-6)

    def in_ball(self, radius: float | Tensor) -> Tensor:
        """(num, 3) points uniform in a ball around the origin."""
        direction = self.direction()
        return radius * self.uniform(1) ** (1.0 / 3.0) * direction

    def attitude(self, max_tilt: float | Tensor) -> Tensor:
        """(num, 4) quaternions of any heading, tilted by an angle uniform in [0, max_tilt] [rad] about a horizontal
        axis of any direction."""
        turn = 2.0 * torch.pi
        tilt, axis, heading = self.uniform(1, 0.0, max_tilt), self.uniform(1, 0.0, turn), self.uniform(1, 0.0, turn)
        return tilt_and_heading(tilt, axis, heading)


def tilt_and_heading(tilt: Tensor, axis: Tensor, heading: Tensor) -> Tensor:
    """(B, 4) quaternion: heading about world z, then tilt about a horizontal axis at angle `axis`; all (B, 1) [rad]."""
    zero = torch.zeros_like(tilt)
    sine = torch.sin(0.5 * tilt)
    lean = torch.cat((torch.cos(0.5 * tilt), sine * torch.cos(axis), sine * torch.sin(axis), zero), dim=1)
    w, x, y, z = lean.split(1, dim=1)
    c, s = torch.cos(0.5 * heading), torch.sin(0.5 * heading)
    return torch.cat((w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s), dim=1)
