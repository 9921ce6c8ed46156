"""Inputs and results of control steps, with their floating arrays by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from robots.simulator import Simulator, SimulatorSpec, Step, map_state

Tree = TypeVar("Tree", bound=tuple[Any, ...])
"""A NamedTuple of arrays and of such NamedTuples: a state, a Point or a Step."""


class Point(NamedTuple):
    """Inputs of one control step of B rows."""

    state: Any
    action: Tensor
    """(B, A)."""


def floating(tree: tuple[Any, ...]) -> dict[str, Tensor]:
    """Floating arrays of a tree that have entries, by dotted name."""
    return {name: array for name, array in _named(tree) if array.is_floating_point() and array.numel()}


def events(tree: tuple[Any, ...]) -> dict[str, Tensor]:
    """Bool and integer arrays of a tree that have entries, by dotted name."""
    return {name: array for name, array in _named(tree) if not array.is_floating_point() and array.numel()}


def with_floating(tree: Tree, values: dict[str, Tensor]) -> Tree:
    """The tree with other floating arrays."""
    replaced = iter([values.get(name, array) for name, array in _named(tree)])
    return map_state(lambda _: next(replaced), tree)


def joined(points: list[Point]) -> Point:
    """All rows of several points."""
    return map_state(lambda *arrays: torch.cat(arrays), *points)


def entry_name(spec: SimulatorSpec, group: str, array: Tensor, entry: int) -> str:
    """Name of one entry of a row, such as `state.body.velocity[2]` or `action[0] (motor_1)`.

    Args:
        spec: Source of the names of channels.
        group: Name of the array.
        array: (B, ...) the array.
        entry: Number of the entry in a row, which is counted as if it were flat.
    """
    if array.dim() == 1:
        return group
    index = ",".join(str(int(i)) for i in torch.unravel_index(torch.tensor(entry), array.shape[1:]))
    channels = {"action": spec.action, "observation": spec.observation}.get(group, ())
    return f"{group}[{index}]" + (f" ({channels[entry].name})" if entry < len(channels) else "")


def recorded(simulator: Simulator, point: Point) -> tuple[dict[str, Tensor], Step]:
    """Floating inputs that autograd follows, and the step taken from them."""
    inputs = {name: array.detach().clone().requires_grad_() for name, array in floating(point).items()}
    with torch.enable_grad():
        return inputs, simulator.step(*with_floating(point, inputs))


def pulled_back(
    outputs: dict[str, Tensor], cotangents: dict[str, Tensor], inputs: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Vector-Jacobian products by autograd.

    Args:
        outputs: Results of a step that autograd has recorded.
        cotangents: Their cotangents, of the same shapes; other outputs count as unused.
        inputs: Inputs of that step.

    Returns:
        Gradient of each input; zero where autograd has recorded no path to it.
    """
    reached = [name for name in cotangents if outputs[name].requires_grad]
    if not reached:
        return {name: torch.zeros_like(array) for name, array in inputs.items()}
    found = torch.autograd.grad(
        [outputs[name] for name in reached],
        list(inputs.values()),
        [cotangents[name] for name in reached],
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(inputs, found, strict=True))


def _named(tree: tuple[Any, ...], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, part in zip(getattr(tree, "_fields", ()), tree, strict=True):
        if isinstance(part, tuple):
            yield from _named(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part
