"""The gradient of a recurrent network over sequences is that of autograd, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hgrpo_control.learning.recurrent_gradient import RecurrentGradient
from policies.memory import Recurrent, pack

H = 4


def network(hidden: bool) -> Recurrent:
    torch.manual_seed(0)
    before = (nn.Linear(3, 5), nn.Tanh()) if hidden else ()
    made = Recurrent(*before, nn.GRUCell(5 if hidden else 3, H), nn.Linear(H, 2)).double()
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return made


def step_by_step(net: Recurrent, x: Tensor, memory: Tensor, begins: Tensor) -> Tensor:
    outputs, state = [], memory[:1]
    for row in range(len(x)):
        state = memory[row : row + 1] if begins[row] else state
        output, state = net(x[row : row + 1], state)
        outputs.append(output)
    return torch.cat(outputs)


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("begins", [(0,), (0, 7, 8, 14), tuple(range(20))])
def test_it_is_the_gradient_of_autograd(hidden: bool, begins: tuple[int, ...]) -> None:
    net = network(hidden)
    x, memory, slope = (torch.randn(20, size, dtype=torch.float64) for size in (3, H, 2))
    marks = torch.zeros(20, dtype=torch.bool)
    marks[list(begins)] = True
    expected = step_by_step(net, x, memory, marks)
    expected.backward(slope)
    gradients = [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]
    for parameter in net.parameters():
        assert parameter.grad is not None
        parameter.grad.zero_()
    written_out = RecurrentGradient(net)
    for _ in range(2):  # the second pass adds to the first
        torch.testing.assert_close(written_out.forward(x, memory, pack(marks)), expected.detach())
        written_out.backward(slope)
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, 2.0 * gradient)
