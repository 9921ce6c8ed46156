"""Slopes of ranges and of clearances: known answers, differences, and finite numbers everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from support.ray_kernels import clearance, column, forest_of, point, ranges, scene
from torch import Tensor

Point = Sequence[float]


def slopes(origin: Point, direction: Point, forest: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Slopes of one range with respect to the origin and the forest."""
    place = torch.tensor([origin], dtype=dtype, requires_grad=True)
    planted = forest.to(dtype).requires_grad_()
    reach = ranges(place.t(), column(*direction).to(dtype), planted)
    return torch.autograd.grad(torch.where(reach.isfinite(), reach, 0.0).sum(), (place, planted))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("centre", [(3, 0), (3, 0, 1)])
@pytest.mark.parametrize(
    ("origin", "direction"),
    [
        ((0, 0, 1), (1, 0, 0)),
        ((0, 0.5, 1), (1, 0, 0)),  # a tangent: the root is exactly 0
        ((0, 0.5 - 2.0**-24, 1), (1, 0, 0)),  # nearly a tangent
        ((3, 0, 1), (1, 0, 0)),  # from the centre
        ((3.2, 0, 1), (1, 0, 0)),  # inside
        ((2.5, 0, 1), (1, 0, 0)),  # on the surface, inwards
        ((2.5, 0, 1), (-1, 0, 0)),  # on the surface, outwards
        ((2.5, 0, 1), (0, 1, 0)),  # on the surface, along it
        ((2, 0, 1), (0, 0, -1)),  # along a column
        ((2, 0, 1), (6e-17, 0, -1)),  # nearly along a column
        ((2.5, 0, 1), (6e-17, 0, -1)),
        ((2, 0, 0), (1, 0, 0)),  # on the ground
        ((2, 0, -1), (0, 0, 1)),  # below it
        ((2, 0, -1), (1, 0, 0)),  # level, below it
    ],
)
def test_slopes_of_a_range_are_finite(origin: Point, direction: Point, centre: Point, dtype: torch.dtype) -> None:
    for slope in slopes(origin, direction, forest_of(column(*centre), point(0.5)), dtype):
        assert slope.isfinite().all()


@pytest.mark.parametrize("origin", [(3.0, 0.1, 1.0), (3.2, 0.0, 0.9)])
@pytest.mark.parametrize("centre", [(3, 0), (3, 0, 1)])
def test_slope_of_a_range_is_0_inside_an_obstacle(origin: Point, centre: Point) -> None:
    for slope in slopes(origin, (1, 0, 0), forest_of(column(*centre), point(0.5)), torch.float64):
        assert not slope.any()


def test_slope_of_a_range_by_hand() -> None:
    """0.3 m beside the axis: t = 3 - sqrt(0.25 - y^2), so dt/dy = y / 0.4 = 0.75; the radius has -0.5 / 0.4."""
    place, planted = slopes((0, 0.3, 1), (1, 0, 0), forest_of(column(3, 0), point(0.5)), torch.float64)
    np.testing.assert_allclose(place, [[-1.0, 0.75, 0.0]], atol=1e-12)
    np.testing.assert_allclose(planted[0, [0, 1, 24]], [1.0, -0.75, -1.25], atol=1e-12)
    assert planted.count_nonzero() == 3


@pytest.mark.parametrize("dimensions", [2, 3])
def test_slopes_agree_with_differences(dimensions: int) -> None:
    origin, direction, centre, radius = scene(4, rows=6)
    centre = centre[:dimensions]
    origin, forest = origin + point(0, 0, 5.0), forest_of(centre, radius)
    inputs = (origin.requires_grad_(), forest.requires_grad_())

    def cut(place: Tensor, planted: Tensor) -> Tensor:
        return ranges(place, direction, planted).clamp_max(50.0)

    assert torch.autograd.gradcheck(cut, inputs, eps=1e-7, atol=1e-5)

    end = (origin + direction[:, 0]).detach().requires_grad_()
    assert torch.autograd.gradcheck(clearance, (inputs[0], end, inputs[1]), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("centre", [(0, 0), (0, 0, 1)])
@pytest.mark.parametrize(
    ("start", "end"),
    [((0, 0, 1), (0, 0, 1)), ((2, 0, 1), (2, 0, 1)), ((-1, 0, 1), (1, 0, 1)), ((0, 0, 1), (1e-30, 0, 1))],
)
def test_slopes_of_the_clearance_are_finite(start: Point, end: Point, centre: Point, dtype: torch.dtype) -> None:
    """Also at rest, at the centre of an obstacle and through it."""
    ends = [point(*place).to(dtype).requires_grad_() for place in (start, end)]
    gap = clearance(*ends, forest_of(column(*centre), point(0.25)).to(dtype))
    for slope in torch.autograd.grad(gap.sum(), ends):
        assert slope.isfinite().all()
        assert slope.norm() <= 1.0 + 1e-6
