"""Gradients must be finite, change no result, and not depend on the batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from robots.gradient_check.flights import eventful
from robots.gradient_check.points import Point, events, floating, pulled_back, recorded, with_floating
from robots.simulator import Simulator, num_rows, select

_FEW = 20  # rows of the comparisons with rows alone and with single steps
_ALONE = 5  # rows that are stepped alone
_CHAIN = 3  # steps of a chain


def problems(simulator: Simulator, num: int, generator: torch.Generator) -> list[str]:
    """Everything that is wrong, one line each.

    Args:
        simulator: A differentiable simulator.
        num: Number of rows of the flights.
        generator: Source of states and actions.
    """
    point = eventful(simulator, num, generator)
    few = select(point, torch.randperm(num_rows(point), generator=generator)[:_FEW])
    return [
        *_not_finite(simulator, point),
        *_changed(simulator, point),
        *_uneven(simulator, few),
        *_broken_chain(simulator, few),
    ]


def _not_finite(simulator: Simulator, point: Point) -> Iterator[str]:
    inputs, step = recorded(simulator, point)
    outputs = floating(step)
    rows = num_rows(point)
    for output, array in outputs.items():
        if not array.isfinite().all():
            yield f"{output} is not finite"
            continue
        gradients = pulled_back(outputs, {output: torch.ones_like(array)}, inputs)
        bad = {name: ~x.isfinite().reshape(rows, -1).all(dim=1) for name, x in gradients.items()}
        if names := [name for name, where in bad.items() if where.any()]:
            where = torch.stack([bad[name] for name in names]).any(dim=0)
            yield (
                f"the gradient of {output} with respect to {', '.join(names)} is not finite in {int(where.sum())} of "
                f"{rows} states; {int((where & step.terminated).sum())} of them end an episode"
            )


def _changed(simulator: Simulator, point: Point) -> Iterator[str]:
    """Results that gradients change, and results that need gradients although no input does."""
    plain, (_, step) = simulator.step(*point), recorded(simulator, point)
    for name, array in floating(plain).items():
        if array.requires_grad:
            yield f"{name} requires a gradient although no input does"
    for arrays in (floating, events):
        recorded_arrays = arrays(step)
        for name, array in arrays(plain).items():
            if not _same(array, recorded_arrays[name]):
                yield f"{name} of a step with gradients differs from that of a step without"


def _uneven(simulator: Simulator, point: Point) -> Iterator[str]:
    """Gradients that depend on other rows, or on the memory layout of their cotangents."""
    together, summed = _gradients(simulator, point), _gradients(simulator, point, summed=True)
    if names := [name for name, gradient in together.items() if not _alike(gradient, summed[name])]:
        yield f"the gradient of a sum with respect to {', '.join(names)} differs from that with cotangents of ones"
    alone = [_gradients(simulator, select(point, slice(row, row + 1))) for row in range(_ALONE)]
    cut = {name: torch.cat([each[name] for each in alone]) for name in together}
    if names := [name for name, gradient in together.items() if not _alike(gradient[:_ALONE], cut[name])]:
        yield f"the gradient of a row with respect to {', '.join(names)} depends on the other rows"


def _gradients(simulator: Simulator, point: Point, summed: bool = False) -> dict[str, Tensor]:
    """Gradient of all floating results, with cotangents of ones or, the same, of their sums."""
    inputs, step = recorded(simulator, point)
    outputs = floating(step)
    if summed:
        outputs = {name: array.sum() for name, array in outputs.items()}
    return pulled_back(outputs, {name: torch.ones_like(array) for name, array in outputs.items()}, inputs)


def _broken_chain(simulator: Simulator, point: Point) -> Iterator[str]:
    """Gradients through several steps at once that differ from those of one step after the other."""
    inputs, step = recorded(simulator, point)
    points = [point]
    for _ in range(_CHAIN - 1):
        now = Point(step.state, point.action)
        points.append(with_floating(now, {name: array.detach() for name, array in floating(now).items()}))
        with torch.enable_grad():
            step = simulator.step(*now)
    outputs = floating(step)
    cotangents = {name: torch.ones_like(array) for name, array in outputs.items()}
    at_once = pulled_back(outputs, cotangents, inputs)
    for each in reversed(points):
        inputs, step = recorded(simulator, each)
        one_by_one = pulled_back(floating(step), cotangents, inputs)
        cotangents = {name: gradient for name, gradient in one_by_one.items() if name != "action"}
    if names := [name for name, gradient in one_by_one.items() if not _alike(gradient, at_once[name])]:
        yield f"the gradient through {_CHAIN} steps with respect to {', '.join(names)} differs from single steps"


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether gradients are equal but for the order of sums, where they are finite."""
    a, b = (x.nan_to_num(0.0, 0.0, 0.0) for x in (a, b))
    rounding = torch.finfo(a.dtype).eps ** 0.5 * torch.maximum(a.abs().max(), b.abs().max())
    return bool((a - b).abs().max() <= rounding)


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether all entries are equal; NaN equals NaN."""
    return bool(((a == b) | ((a != a) & (b != b))).all())
