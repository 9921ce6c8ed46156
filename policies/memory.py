"""Memory of a policy: a GRU between its layers, or a history of what it saw and did.

A memory is one array (..., M) beside the observation. Zeros begin an episode.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Recurrent(nn.Sequential):
    """Hidden layers, a GRU cell and a linear output layer, applied one after the other."""

    @property
    def cell(self) -> nn.GRUCell:
        """The GRU, the last layer but one."""
        return self[-2]  # type: ignore[return-value]

    @property
    def hidden_layers(self) -> list[nn.Module]:
        """The layers before the GRU."""
        return list(self)[:-2]

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """One step.

        Args:
            x: (..., I) inputs.
            hidden: (..., H) state of the GRU before the step.

        Returns:
            Outputs (..., O) and the state (..., H) after the step.
        """
        hidden = gru_step(self.cell, self.before(x), hidden)
        return self[-1](hidden), hidden

    def before(self, x: Tensor) -> Tensor:
        """Inputs (..., I') of the GRU."""
        for layer in self.hidden_layers:
            x = layer(x)
        return x


def gru_step(cell: nn.GRUCell, x: Tensor, hidden: Tensor) -> Tensor:
    """State (..., H) of a GRU (Cho et al., 2014) after inputs x (..., I) and a state (..., H).

    h' = (1 - z) n + z h, with r, z = sigmoid(W x + b + U h + c) and n = tanh(W_n x + b_n + r (U_n h + c_n)).
    """
    by_input = nn.functional.linear(x, cell.weight_ih, cell.bias_ih)
    return gated(by_input, nn.functional.linear(hidden, cell.weight_hh, cell.bias_hh), hidden)


def gated(by_input: Tensor, by_state: Tensor, hidden: Tensor) -> Tensor:
    """`gru_step` from W x + b and U h + c, each (..., 3 H) for r, z and n: a function of single units."""
    inputs, states = by_input.chunk(3, dim=-1), by_state.chunk(3, dim=-1)
    reset, update = (torch.sigmoid(a + b) for a, b in zip(inputs[:2], states[:2], strict=True))
    new = torch.tanh(inputs[2] + reset * states[2])
    return new + update * (hidden - new)


class Packing(NamedTuple):
    """Rows of sequences of different lengths, in the order in which a GRU steps all sequences at once."""

    order: Tensor
    """(R,) int64 rows by step, and within a step from the longest sequence to the shortest."""
    back: Tensor
    """(R,) int64 the inverse of `order`."""
    sizes: Tensor
    """(longest,) int64 on the CPU: sequences that have each step."""
    firsts: Tensor
    """(S,) int64 first row of each sequence, from the longest to the shortest."""


def pack(begins: Tensor) -> Packing:
    """Packing of rows in which a sequence begins wherever `begins` (R,) bool is true; the first entry must be."""
    rows = len(begins)
    firsts = begins.nonzero().squeeze(1)
    ends = torch.cat((firsts[1:], firsts.new_tensor([rows])))
    lengths, by_length = (ends - firsts).sort(descending=True, stable=True)
    rank = torch.empty_like(by_length)
    rank[by_length] = torch.arange(len(firsts), device=firsts.device)
    sequence = begins.cumsum(0) - 1
    step = torch.arange(rows, device=firsts.device) - firsts[sequence]
    order = (step * len(firsts) + rank[sequence]).argsort()
    back = torch.empty_like(order)
    back[order] = torch.arange(rows, device=firsts.device)
    steps = torch.arange(int(lengths[0]), device=firsts.device)
    sizes = (lengths.unsqueeze(0) > steps.unsqueeze(1)).sum(1).cpu()
    return Packing(order, back, sizes, firsts[by_length])


def remember(memory: Tensor, observation: Tensor, action: Tensor) -> Tensor:
    """History (..., k (O + A)) with the newest observation and action first; the oldest ones leave it.

    Args:
        memory: (..., k (O + A)) history so far.
        observation: (..., O) that was acted on, in its own units.
        action: (..., A) in normalised units.
    """
    newest = torch.cat((observation, action.clamp(-1.0, 1.0)), dim=-1)
    return torch.cat((newest, memory[..., : -newest.shape[-1]]), dim=-1)
