"""The derivative of a number by each parameter of a policy, by central differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def by_parameters(parameters: Iterable[nn.Parameter], value: Callable[[], float], step: float) -> Tensor:
    """(P,) float64 derivatives of `value()` by every entry of the parameters, which keep their values."""
    slopes = []
    for parameter in parameters:
        entries = parameter.view(-1)
        for i, before in enumerate(entries.tolist()):
            sides = []
            for side in (step, -step):
                entries[i] = before + side
                sides.append(value())
            entries[i] = before
            slopes.append((sides[0] - sides[1]) / (2.0 * step))
    return torch.tensor(slopes, dtype=torch.float64)
