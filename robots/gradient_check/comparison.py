"""Comparison of autograd with central differences over many states, and the entries where they differ most."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from robots.gradient_check.flights import near_neutral
from robots.gradient_check.points import Point, entry_name
from robots.gradient_check.slopes import BAR, Scales, Slopes, errors, measure, scales
from robots.simulator import Simulator, repeat, select

_DRAWS = 4  # directions of each state
_LISTED = 10  # pairs of arrays that are searched for the entry


@dataclass(frozen=True)
class Slope:
    """Slope of one output entry with respect to one input entry.

    Where no single entry explains the error, it is the slope along a random direction of whole arrays.
    """

    output: str
    input: str
    autograd: float
    difference: float
    """Central difference, in the same units."""
    error: float
    """Relative error of the random direction that led here; infinite if autograd is not finite."""


@dataclass
class Comparison:
    """Result of the comparison."""

    pairs: int = 0
    """Number of slopes that autograd or differences find not to be zero."""
    skipped: int = 0
    """Number of those that are at events."""
    worst: Slope | None = None
    """Largest relative error, also where it is small enough; None if every slope is zero."""
    wrong: list[Slope] = field(default_factory=list)
    """Entries with wrong slopes, the worst one of each pair of an output and an input array, worst first."""
    eventful: list[str] = field(default_factory=list)
    """Arrays more than half of whose slopes are at events."""


def compare(simulator: Simulator, states: int, generator: torch.Generator) -> Comparison:
    """Compare the slopes of one control step.

    Args:
        simulator: A simulator in float64.
        states: Number of states, from a flight with actions near the neutral one.
        generator: Source of states, actions and directions.
    """
    met = near_neutral(simulator, states, generator)
    return _Comparison(simulator, repeat(met, _DRAWS), scales(simulator, met), generator).run()


class _Comparison:
    def __init__(self, simulator: Simulator, point: Point, scale: Scales, generator: torch.Generator) -> None:
        self.simulator, self.point, self.scale = simulator, point, scale
        rows = len(point.action)
        self.tangents, self.cotangents = (
            {
                name: torch.randn(rows, *size.shape, generator=generator, dtype=size.dtype)
                for name, size in sizes.items()
            }
            for sizes in scale
        )
        for name, size in scale.inputs.items():
            self.tangents[name] *= size
        for name, size in scale.outputs.items():
            self.cotangents[name] /= size
        self.typical: dict[str, float] = {}

    def run(self) -> Comparison:
        measured = measure(self.simulator, self.point, self.tangents, self.cotangents)
        for (output, _), slopes in measured.items():
            known = slopes.difference[slopes.doubt.isfinite()]
            size = float(known.square().mean().sqrt()) if len(known) else 0.0
            self.typical[output] = max(size, self.typical.get(output, 0.0))
        report = Comparison()
        met: dict[str, list[int]] = {}
        largest: list[tuple[float, tuple[str, str], int]] = []
        for pair, slopes in measured.items():
            relative, settled = errors(slopes, self.typical[pair[0]])
            present = (slopes.autograd != 0.0) | (slopes.difference != 0.0)
            settled &= present
            for name, tally in zip(("output " + pair[0], "input " + pair[1]), (met, met), strict=True):
                counts = tally.setdefault(name, [0, 0])
                counts[0] += int(present.sum())
                counts[1] += int((present & ~settled).sum())
            report.pairs += int(present.sum())
            report.skipped += int((present & ~settled).sum())
            if settled.any():
                row = int(torch.where(settled, relative, -1.0).argmax())
                largest.append((float(relative[row]), pair, row))
        largest.sort(key=lambda entry: -entry[0])
        for error, pair, row in largest[:_LISTED]:
            if error > BAR or report.worst is None:
                slope = self._locate(pair, row, error, measured[pair])
                report.worst = report.worst or slope
                report.wrong += [slope] if error > BAR else []
        report.eventful = [name for name, (present, skipped) in met.items() if 2 * skipped > present]
        return report

    def _locate(self, pair: tuple[str, str], row: int, error: float, along: Slopes) -> Slope:
        """The entries with the largest error: first along each input entry, then for each output entry."""
        output, name = pair
        tangent, cotangent = self.tangents[name][row], self.cotangents[output][row]
        size_in, size_out = self.scale.inputs[name], self.scale.outputs[output]
        single = torch.diag(size_in.reshape(-1)).reshape(-1, *size_in.shape)
        i = self._worst(self._along(pair, row, single, cotangent.expand(len(single), *cotangent.shape)), output)
        each = torch.diag(size_out.reshape(-1).reciprocal()).reshape(-1, *size_out.shape)
        slopes = self._along(pair, row, single[i].expand(len(each), *tangent.shape), each)
        o = self._worst(slopes, output)
        if error > BAR >= float(errors(slopes, self.typical[output])[0][o]):
            return Slope(output, name, float(along.autograd[row]), float(along.difference[row]), error)
        unit = float(size_out.reshape(-1)[o] / size_in.reshape(-1)[i])
        return Slope(
            entry_name(self.simulator.spec, output, self.cotangents[output], o),
            entry_name(self.simulator.spec, name, self.tangents[name], i),
            float(slopes.autograd[o]) * unit,
            float(slopes.difference[o]) * unit,
            error,
        )

    def _along(self, pair: tuple[str, str], row: int, tangents: Tensor, cotangents: Tensor) -> Slopes:
        """Slopes of one row along several tangents and cotangents (k, ...)."""
        point = repeat(select(self.point, slice(row, row + 1)), len(tangents))
        return measure(self.simulator, point, {pair[1]: tangents}, {pair[0]: cotangents})[pair]

    def _worst(self, slopes: Slopes, output: str) -> int:
        relative, settled = errors(slopes, self.typical[output])
        return int(torch.where(settled, relative, -1.0).argmax())
