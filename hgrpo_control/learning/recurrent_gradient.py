"""Forward and backward pass of a network with a GRU over sequences, written out.

Autograd takes more than ten times as long for the small states of a policy. With r, z, n and h' of
`policies.memory.gru_step`, and d = dL/dh', the derivatives by the sums that enter the gates are

    d n_sum = d (1 - z) (1 - n^2),   d z_sum = d (h - n) z (1 - z),   d r_sum = d n_sum (U_n h + c_n) r (1 - r),

and dL/dh = d z + (d r_sum, d z_sum, r d n_sum) U.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hgrpo_control.learning.mlp_gradient import MlpGradient
from policies.memory import Packing, Recurrent


class RecurrentGradient:
    """A recurrent network whose backward pass adds to the gradients of its parameters.

    Args:
        network: Its parameters must have gradients.
    """

    def __init__(self, network: Recurrent) -> None:
        cell, last = network.cell, network[-1]
        assert isinstance(last, nn.Linear)
        gates = nn.Linear(cell.input_size, 3 * cell.hidden_size, device="meta")
        gates.weight, gates.bias = cell.weight_ih, cell.bias_ih
        self._gates = MlpGradient(nn.Sequential(*network.hidden_layers, gates))
        self._out = MlpGradient(nn.Sequential(last))
        self._cell, self._size = cell, cell.hidden_size
        self._packing: Packing | None = None

    @torch.no_grad()
    def forward(self, x: Tensor, memory: Tensor, packing: Packing) -> Tensor:
        """Outputs (R, O) of inputs (R, I).

        Args:
            x: One sequence after the other.
            memory: (R, H) state before each row; only that of the first row of each sequence is read.
            packing: Where the sequences begin.
        """
        cell, size = self._cell, self._size
        self._packing, sizes = packing, packing.sizes.tolist()
        by_input = self._gates.forward(x).index_select(0, packing.order)
        by_state, gates = torch.empty_like(by_input), by_input[:, : 2 * size].clone()
        after, before, new = (by_input.new_empty(len(x), size) for _ in range(3))
        before[: sizes[0]] = memory.index_select(0, packing.firsts)
        weight, bias = cell.weight_hh.detach().t(), cell.bias_hh.detach()
        blocks = zip(
            *(
                part.split(sizes)
                for part in (
                    before, by_state, by_state[:, : 2 * size], by_state[:, 2 * size :], gates, gates[:, :size],
                    gates[:, size:], by_input[:, 2 * size :], new, after,
                )
            ),
            strict=True,
        )  # fmt: skip
        carried: Tensor | None = None
        for h, sums, both_sums, new_sum, both, reset, update, new_input, n, following in blocks:
            if carried is not None:
                h.copy_(carried[: len(h)])
            torch.addmm(bias, h, weight, out=sums)
            both.add_(both_sums).sigmoid_()
            torch.addcmul(new_input, reset, new_sum, out=n).tanh_()
            torch.lerp(n, h, update, out=following)
            carried = following
        self._saved = (before, by_state[:, 2 * size :], gates[:, :size], gates[:, size:], new)
        return self._out.forward(after.index_select(0, packing.back))

    @torch.no_grad()
    def backward(self, slope: Tensor) -> None:
        """Add the gradient of a loss with derivative `slope` (R, O) by the outputs of the last forward pass."""
        assert self._packing is not None
        before, new_sum, reset, update, new = self._saved
        sizes, cell = self._packing.sizes.tolist(), self._cell
        by_after = self._out.backward_to_input(slope).index_select(0, self._packing.order)
        by_new = (1.0 - update) * (1.0 - new.square())
        by_update = (before - new) * update * (1.0 - update)
        by_reset = by_new * new_sum * reset * (1.0 - reset)
        factors = torch.stack((by_reset, by_update, by_new * reset), dim=1)
        by_sums = torch.empty_like(factors)
        weight = cell.weight_hh.detach()
        parts = (by_after, by_after.unsqueeze(1), factors, by_sums, by_sums.flatten(1), update)
        blocks = list(zip(*(part.split(sizes) for part in parts), strict=True))
        for t in range(len(blocks) - 1, -1, -1):
            d, repeated, factor, sums, flat, keep = blocks[t]
            torch.mul(repeated, factor, out=sums)
            if t:
                earlier = blocks[t - 1][0][: len(d)]
                earlier.addcmul_(d, keep).addmm_(flat, weight)
        flat = by_sums.flatten(1)
        assert cell.weight_hh.grad is not None
        assert cell.bias_hh.grad is not None
        cell.weight_hh.grad.addmm_(flat.t(), before)
        cell.bias_hh.grad.add_(flat.sum(0))
        by_sums[:, 2] = by_after * by_new
        self._gates.backward(flat.index_select(0, self._packing.back))
