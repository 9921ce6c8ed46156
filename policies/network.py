"""Layers of an actor or a critic, with their initial weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from policies.memory import Recurrent
from policies.spec import PolicySpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}


def network(
    spec: PolicySpec,
    inputs: int,
    outputs: int,
    output_gain: float,
    recurrent: bool,
    generator: torch.Generator | None,
) -> nn.Sequential:
    """Hidden layers of the spec, its GRU if `recurrent`, and a linear output layer.

    Args:
        spec: Sizes and activation of the hidden layers, and units of the GRU.
        inputs: Number of inputs.
        outputs: Number of outputs.
        output_gain: Gain of the orthogonal weights of the output layer; it is sqrt(2) in the hidden layers.
        recurrent: Whether there is a GRU.
        generator: Source of the weights; also their device. Biases are zero.
    """
    layers: list[nn.Module] = []
    for units in spec.hidden_sizes:
        layers += [_linear(inputs, units, math.sqrt(2.0), generator), _ACTIVATIONS[spec.activation]()]
        inputs = units
    if recurrent:
        layers.append(_gru(inputs, spec.memory_size, generator))
        inputs = spec.memory_size
    layers.append(_linear(inputs, outputs, output_gain, generator))
    return Recurrent(*layers) if recurrent else nn.Sequential(*layers)


def _gru(inputs: int, units: int, generator: torch.Generator | None) -> nn.GRUCell:
    cell = nn.GRUCell(inputs, units, device="cpu" if generator is None else generator.device, dtype=torch.float32)
    for weight in (cell.weight_ih, cell.weight_hh):
        for gate in weight.detach().chunk(3):
            nn.init.orthogonal_(gate, generator=generator)
    for bias in (cell.bias_ih, cell.bias_hh):
        nn.init.zeros_(bias)
    return cell


def _linear(inputs: int, outputs: int, gain: float, generator: torch.Generator | None) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, device="cpu" if generator is None else generator.device, dtype=torch.float32)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
