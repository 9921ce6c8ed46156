"""Slopes of one control step by central differences, beside those of autograd.

A pair is one row, one random tangent direction v of one input array and one random cotangent w of one output array.
Autograd gives <J^T w, v>. Differences give <w, J v> from steps to both sides. There are nine step sizes, each half of
the former one and relative to the size of each entry. Three neighbouring sizes give one extrapolated slope, and those
three count whose slope is least in doubt: large steps suffer less from rounding, small ones less from curvature and
from events nearby. The equations are differentiated as they stand: a direction may leave the unit quaternions, and the
step is defined there too.

Events are found without knowledge of the task. A pair is left out where a bool or integer result differs between the
points, where differences do not converge, or where those to the right and to the left disagree: then a branch, a clamp
or a minimum changes within a step. Which branches are taken need not be known, because a change of branch that changes
neither value nor slope does no harm.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.gradient_check.points import Point, events, floating, joined, pulled_back, recorded, with_floating
from robots.simulator import Simulator, num_rows

BAR = 1e-6
"""Largest relative error of a slope that is right."""
_CONVERGED = 0.1 * BAR
_SMALL = 1e-2  # part of the typical slope below which an error counts as one of the typical slope
_STEPS = [8e-3 * 0.5**k for k in range(9)]  # parts of the size of an entry


class Scales(NamedTuple):
    """Root mean square of each entry over all rows, 1 where it is zero, by name of the array."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class Slopes(NamedTuple):
    """Slopes (B,) of one output array along a direction of one input array."""

    autograd: Tensor
    difference: Tensor
    """Extrapolated central difference."""
    doubt: Tensor
    """Difference of two extrapolations, or of right and left if larger; infinite where an integer changes."""
    roundoff: Tensor
    """Error that rounding of the results can cause."""


def scales(simulator: Simulator, point: Point) -> Scales:
    """Sizes of all entries, from some rows."""
    step = simulator.step(*point)
    return Scales(*({name: _size(array) for name, array in floating(tree).items()} for tree in (point, step)))


def measure(
    simulator: Simulator,
    point: Point,
    tangents: dict[str, Tensor],
    cotangents: dict[str, Tensor],
) -> dict[tuple[str, str], Slopes]:
    """Slopes of every output array along every input array.

    Args:
        simulator: A simulator in float64.
        point: B rows.
        tangents: Direction of each input array, in the shape of the array and in its units.
        cotangents: Cotangent of each output array, likewise.

    Returns:
        Slopes by (output, input).
    """
    inputs, step = recorded(simulator, point)
    outputs = floating(step)
    found: dict[tuple[str, str], Tensor] = {}
    for output, cotangent in cotangents.items():
        gradients = pulled_back(outputs, {output: cotangent}, inputs)
        for name, tangent in tangents.items():
            found[output, name] = _inner(gradients[name], tangent)
    with torch.no_grad():
        plain = simulator.step(*point)
        return {
            (output, name): slopes._replace(autograd=found[output, name])
            for name, tangent in tangents.items()
            for output, slopes in _differences(simulator, point, plain, name, tangent, cotangents).items()
        }


def errors(slopes: Slopes, typical: float) -> tuple[Tensor, Tensor]:
    """Relative errors (B,), infinite for a slope that is not finite, and which pairs (B,) bool are away from events.

    Args:
        slopes: Slopes of one output array.
        typical: Typical slope of that output.
    """
    floor = torch.maximum(torch.full_like(slopes.difference, _SMALL * typical), slopes.roundoff / _CONVERGED)
    autograd = slopes.autograd.nan_to_num(0.0, 0.0, 0.0)
    size = torch.maximum(torch.maximum(autograd.abs(), slopes.difference.abs()), floor)
    size = torch.where(size > 0.0, size, 1.0)
    relative = (slopes.autograd - slopes.difference).abs() / size
    relative = torch.where(slopes.autograd.isfinite(), relative, torch.inf)
    return relative, slopes.doubt <= _CONVERGED * size


def _differences(
    simulator: Simulator, point: Point, plain: tuple, name: str, tangent: Tensor, cotangents: dict[str, Tensor]
) -> dict[str, Slopes]:
    """Slopes by differences of each output along a direction of one input; `autograd` is left empty."""
    rows, middle = num_rows(point), floating(point)[name]
    shifts = [sign * step for step in _STEPS for sign in (1.0, -1.0)]
    moved = simulator.step(*joined([with_floating(point, {name: middle + shift * tangent}) for shift in shifts]))
    same = torch.ones(len(shifts), rows, dtype=torch.bool)
    for before, after in zip(events(plain).values(), events(moved).values(), strict=True):
        same &= (after.reshape(len(shifts), rows, -1) == before.reshape(1, rows, -1)).all(dim=2)
    same = same.unflatten(0, (-1, 2)).all(dim=1)
    here, there = floating(plain), floating(moved)
    found = {}
    for output, cotangent in cotangents.items():
        change = (there[output].unflatten(0, (len(shifts), rows)) - here[output]) * cotangent
        rise = change.reshape(len(shifts), rows, -1).sum(dim=2) / torch.tensor(shifts, dtype=change.dtype).unsqueeze(1)
        found[output] = _extrapolated(rise[::2], rise[1::2], same, _inner(here[output].abs(), cotangent.abs()))
    return found


def _extrapolated(right: Tensor, left: Tensor, same: Tensor, size: Tensor) -> Slopes:
    """Slopes from the three step sizes that agree best.

    Args:
        right: (S, B) one-sided differences to the right, by step size.
        left: (S, B) those to the left.
        same: (S, B) bool, true where no bool or integer result differs.
        size: (B,) size of the results.
    """
    steps = torch.tensor(_STEPS[2:], dtype=size.dtype).unsqueeze(1)
    central = 0.5 * (right + left)
    extrapolated = (4.0 * central[1:] - central[:-1]) / 3.0
    # the sum of these weights is 1, and they remove the errors of first and second order
    sides = [(x[:-2] - 6.0 * x[1:-1] + 8.0 * x[2:]) / 3.0 for x in (right, left)]
    doubt = torch.maximum((extrapolated[1:] - extrapolated[:-1]).abs(), (sides[0] - sides[1]).abs())
    doubt = torch.where(same[:-2] & same[1:-1] & same[2:] & doubt.isfinite(), doubt, torch.inf)
    # rounding doubles when the steps are halved, so agreement at a smaller step may be chance
    best = (doubt / steps).argmin(dim=0, keepdim=True)
    difference, doubt, step = (x.gather(0, best)[0] for x in (extrapolated[1:], doubt, steps.expand_as(doubt)))
    return Slopes(torch.zeros_like(size), difference, doubt, 4.0 * torch.finfo(size.dtype).eps * size / step)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Sum (B,) over the entries of each row of a product."""
    return (a * b).reshape(len(a), -1).sum(dim=1)


def _size(array: Tensor) -> Tensor:
    size = array.detach().square().mean(dim=0).sqrt()
    return torch.where(size > 0.0, size, 1.0)
