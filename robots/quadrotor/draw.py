"""Random numbers and attitudes of initial states."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Draw(NamedTuple):
    """Random numbers of `num` rows; every call advances the generator."""

    num: int
    generator: torch.Generator
    dtype: torch.dtype

    def uniform(self, size: int, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> Tensor:
        """Uniform numbers (num, size).

        Args:
            size: Numbers per row.
            low: Smallest value, or a tensor that broadcasts.
            high: Upper bound, or a tensor that broadcasts.
        """
        unit = torch.rand(self.num, size, generator=self.generator, dtype=self.dtype, device=self.generator.device)
        return low + (high - low) * unit

    def normal(self, size: int) -> Tensor:
        """Standard normal numbers (num, size)."""
        return torch.randn(self.num, size, generator=self.generator, dtype=self.dtype, device=self.generator.device)

    def integers(self, size: int, low: int, high: int) -> Tensor:
        """Uniform integers (num, size) int64.

        Args:
            size: Numbers per row.
            low: Smallest value.
            high: Largest value.
        """
        return torch.randint(low, high + 1, (self.num, size), generator=self.generator, device=self.generator.device)

    def direction(self) -> Tensor:
        """Unit vectors (num, 3), uniform on the sphere."""
        vector = self.normal(3)
        return vector / vector.norm(dim=1, keepdim=True).clamp_min(1e-6)

    def in_ball(self, radius: float | Tensor) -> Tensor:
        """Points (num, 3), uniform in a ball around the origin."""
        direction = self.direction()
        return radius * self.uniform(1) ** (1.0 / 3.0) * direction

    def attitude(self, max_tilt: float | Tensor, max_heading: float = torch.pi) -> Tensor:
        """Quaternions (num, 4) with uniform heading, tilt uniform in [0, max_tilt] and uniform tilt axis.

        Args:
            max_tilt: Largest tilt [rad].
            max_heading: Largest heading to either side of x [rad].
        """
        turn, lowest = 2.0 * torch.pi, 0.0 if max_heading >= torch.pi else -max_heading
        tilt, axis = self.uniform(1, 0.0, max_tilt), self.uniform(1, 0.0, turn)
        heading = self.uniform(1, lowest, lowest + 2.0 * max_heading)
        return tilt_and_heading(tilt, axis, heading)


def tilt_and_heading(tilt: Tensor, axis: Tensor, heading: Tensor) -> Tensor:
    """Quaternions (B, 4) of a heading and a tilt.

    Args:
        tilt: (B, 1) angle about the horizontal axis [rad].
        axis: (B, 1) direction of the horizontal axis [rad].
        heading: (B, 1) angle about world z, which is applied first [rad].
    """
    zero = torch.zeros_like(tilt)
    sine = torch.sin(0.5 * tilt)
    lean = torch.cat((torch.cos(0.5 * tilt), sine * torch.cos(axis), sine * torch.sin(axis), zero), dim=1)
    w, x, y, z = lean.split(1, dim=1)
    c, s = torch.cos(0.5 * heading), torch.sin(0.5 * heading)
    return torch.cat((w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s), dim=1)
