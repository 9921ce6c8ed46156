"""Adam over a flat vector: torch's numbers, saved and resumed, also from states of torch's own optimiser."""

from __future__ import annotations

import copy
import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from hgrpo_control.learning.adam import Adam, clip_gradients


def network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    layers = nn.Sequential(nn.Linear(17, 33), nn.Tanh(), nn.Linear(33, 3))
    for parameter in layers.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return layers


def backward(layers: nn.Sequential, step: int) -> None:
    layers(torch.randn(8, 17, generator=torch.Generator().manual_seed(step))).square().sum().backward()


def of_torch(layers: nn.Sequential) -> torch.optim.Adam:
    return torch.optim.Adam(layers.parameters(), lr=1e-2, eps=1e-5, fused=True)


def train(layers: nn.Sequential, optimizer: Adam, steps: range) -> None:
    for step in steps:
        optimizer.gradient.zero_()
        backward(layers, step)
        optimizer.step(1e-2)


def train_by_torch(layers: nn.Sequential, optimizer: torch.optim.Adam, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        backward(layers, step)
        optimizer.step()


def flat(layers: nn.Sequential) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in layers.parameters()])


def test_adam_moves_parameters_as_torchs_optimiser() -> None:
    ours, theirs = network(), network()
    train(ours, Adam(ours.parameters()), range(20))
    train_by_torch(theirs, of_torch(theirs), range(20))
    assert torch.allclose(flat(ours), flat(theirs), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(flat(ours), flat(network()), rtol=1e-2)


def test_parameters_are_views_of_the_flat_vector_and_stay_so_when_loaded() -> None:
    layers = network()
    optimizer = Adam(layers.parameters())
    assert torch.equal(optimizer.value, flat(layers))
    layers.load_state_dict({name: value + 1.0 for name, value in network().state_dict().items()})
    assert torch.equal(optimizer.value, flat(network()) + 1.0)


def test_a_saved_state_continues_bit_for_bit() -> None:
    layers = network()
    first = Adam(layers.parameters())
    train(layers, first, range(5))
    saved, other = copy.deepcopy(first.state_dict()), copy.deepcopy(layers)
    second = Adam(other.parameters())
    second.load_state_dict(saved)
    train(layers, first, range(5, 9))
    train(other, second, range(5, 9))
    assert torch.equal(flat(layers), flat(other))


@pytest.mark.parametrize("steps", [0, 5])
def test_a_state_of_torchs_optimiser_is_continued(steps: int) -> None:
    theirs = network()
    former = of_torch(theirs)
    train_by_torch(theirs, former, range(steps))
    ours = copy.deepcopy(theirs)
    optimizer = Adam(ours.parameters())
    optimizer.load_state_dict(former.state_dict())
    train_by_torch(theirs, former, range(steps, steps + 3))
    train(ours, optimizer, range(steps, steps + 3))
    assert torch.allclose(flat(ours), flat(theirs), rtol=1e-5, atol=1e-6)


def test_adam_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys, torch; from hgrpo_control.learning.adam import Adam; layer = torch.nn.Linear(2, 2); "
        "adam = Adam(layer.parameters()); layer(torch.ones(2)).sum().backward(); adam.step(0.1); "
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("limit", [0.1, 3.0, 1e3, math.inf])
def test_clipping_is_torchs_for_each_gradient(limit: float) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(1000, generator=generator), 0.1 * torch.randn(50, generator=generator)]
    reference = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(reference, gradients, strict=True):
        parameter.grad = gradient.clone()
    norms = clip_gradients(gradients, limit)
    for parameter, gradient, norm in zip(reference, gradients, norms, strict=True):
        assert torch.allclose(nn.utils.clip_grad_norm_([parameter], limit), norm)
        assert torch.allclose(parameter.grad, gradient, rtol=1e-6)


def test_the_norm_of_a_gradient_that_is_not_finite_is_returned() -> None:
    assert clip_gradients([torch.tensor([1.0, math.nan])], 0.5).isnan().all()
    assert clip_gradients([torch.tensor([1.0, math.inf])], 0.5).isinf().all()
