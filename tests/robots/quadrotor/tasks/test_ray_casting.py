"""Rays and swept paths against distances worked out by hand, and against a walk along each ray."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.ray_kernels import closest_approach, column, forest_of, obstacle_ranges, point, ranges, scene
from torch import Tensor

Point = Sequence[float]
HALF = math.sqrt(0.5)


def to_obstacle(origin: Point, direction: Point, centre: Point, radius: float) -> float:
    reach = obstacle_ranges(point(*origin), column(*direction), column(*centre), point(radius))
    assert reach.shape == (1, 1)
    return reach.item()


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "direction", "reach"),
    [
        ((0, 0, 1), (1, 0, 0), 2.5),  # straight at the axis, 3 m away
        ((0, 0, 1), (-1, 0, 0), math.inf),  # away from it
        ((0, 0, 1), (0, 1, 0), math.inf),  # past it
        ((0, 0.3, 1), (1, 0, 0), 2.6),  # 0.3 beside: 3 - sqrt(0.25 - 0.09)
        ((0, 0, 1), (HALF, 0, HALF), 2.5 * math.sqrt(2.0)),  # 45 degrees up
        ((0, 0, -9), (0.6, 0, -0.8), 2.5 / 0.6),  # columns have no ends
        ((0, 0.51, 1), (1, 0, 0), math.inf),  # just beside it
        ((3, 0, 1), (1, 0, 0), 0.0),  # from the axis
        ((3.4, 0, 1), (1, 0, 0), 0.0),  # from inside, outwards
        ((2, 0, 1), (0, 0, 1), math.inf),  # parallel to the axis, outside
        ((3.1, 0, 1), (0, 0, 1), 0.0),  # parallel to the axis, inside
        ((2.5, 0, 1), (1, 0, 0), 0.0),  # on the surface, inwards
        ((2.5, 0, 1), (-1, 0, 0), math.inf),  # on the surface, outwards
    ],
)
def test_a_column_of_half_a_metre_at_3_m(origin: Point, direction: Point, reach: float) -> None:
    assert to_obstacle(origin, direction, (3, 0), 0.5) == pytest.approx(reach, abs=1e-12)


def test_a_tangent_touches() -> None:
    """A ray 0.5 m beside the axis of a column of 0.5 m touches it once, 3 m ahead: every number is exact in binary."""
    assert to_obstacle((0, 0.5, 1), (1, 0, 0), (3, 0), 0.5) == 3.0
    assert to_obstacle((0, 0.5, 1), (1, 0, 0), (3, 0, 1), 0.5) == 3.0


# --- spheres and ground -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "direction", "reach"),
    [
        ((0, 0, 2), (1, 0, 0), 2.5),
        ((3, 0, 0), (0, 0, 1), 1.5),  # from below
        ((3, 0.4, 0), (0, 0, 1), 1.7),  # 0.4 beside: 2 - sqrt(0.25 - 0.16)
        ((3, 0, 0), (0, 0, -1), math.inf),
        ((0, 0, 1), (1, 0, 0), math.inf),  # beneath it
        ((2, -1, 2), (HALF, HALF, 0), math.sqrt(2.0) - 0.5),
        ((3.2, 0.1, 2), (1, 0, 0), 0.0),  # from inside
    ],
)
def test_a_sphere_of_half_a_metre(origin: Point, direction: Point, reach: float) -> None:
    assert to_obstacle(origin, direction, (3, 0, 2), 0.5) == pytest.approx(reach, abs=1e-12)


@pytest.mark.parametrize(
    ("height", "direction", "reach"),
    [
        (1.5, (0, 0, -1), 1.5),
        (1.5, (0.8, 0, -0.6), 2.5),
        (1.5, (1, 0, 0), math.inf),
        (1.5, (0.8, 0, 0.6), math.inf),
        (0.0, (0, 0, -1), 0.0),
        (-0.1, (0, 0, 1), 0.0),
    ],
)
def test_the_ground(height: float, direction: Point, reach: float) -> None:
    assert ranges(point(7, -3, height), column(*direction), forest_of()).item() == pytest.approx(reach)


def test_the_nearest_obstacle_counts_for_each_ray() -> None:
    """Two rays, two columns at 3 m and 5 m ahead, one at 4 m to the left."""
    centre = torch.tensor([[5.0, 3.0, 0.0], [0.0, 0.0, 4.0]]).unsqueeze(2)
    radius = torch.tensor([[0.5], [0.25], [1.0]])
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).unsqueeze(2)
    reach = obstacle_ranges(torch.zeros(3, 1), directions, centre, radius)
    np.testing.assert_allclose(reach[:, 0], [2.75, 3.0])


# --- the path between two steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "distance"),
    [
        ((-1, 0.3), (1, 0.3), 0.3),  # past it within one step: neither end is nearer than 1.04 m
        ((-1, 0), (1, 0), 0.0),  # through it
        ((3, 4), (6, 8), 5.0),  # nearest at the start
        ((6, 8), (3, 4), 5.0),  # nearest at the end
        ((3, 4), (3, 4), 5.0),  # at rest
        ((2, 0), (0, 2), math.sqrt(2.0)),
    ],
)
def test_the_closest_approach_to_the_origin(start: Point, end: Point, distance: float) -> None:
    level = closest_approach(point(*start, 0), point(*end, 9), column(0, 0)).item()
    assert level == pytest.approx(distance, abs=1e-12)
    # a sphere's centre 1 m above the path is as much further away as Pythagoras says
    level = closest_approach(point(*start, 0), point(*end, 0), column(0, 0, 1)).item()
    assert level == pytest.approx(math.hypot(distance, 1.0))


# --- properties -------------------------------------------------------------------------------------------------------


def surface_distance(points: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """(R, B) of points (k, R, B) to the nearest surface."""
    return ((points.unsqueeze(2) - centre.unsqueeze(1)).norm(dim=0) - radius).amin(dim=1)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), dimensions=st.sampled_from([2, 3]))
@example(seed=2510, dimensions=2)
def test_a_ray_ends_on_the_first_surface_it_meets(seed: int, dimensions: int) -> None:
    """Its end lies on a surface, and no earlier point is inside; one that reaches nothing stays outside for 50 m."""
    origin, direction, centre, radius = scene(seed)
    centre = centre[:dimensions]
    reach = obstacle_ranges(origin, direction, centre, radius)
    inside = surface_distance(origin[:dimensions].unsqueeze(1), centre, radius) < 0.0
    assert torch.equal(reach == 0.0, inside.expand_as(reach))
    end = origin.unsqueeze(1) + direction * reach.clamp_max(50.0)
    hits = (reach > 0.0) & (reach < 50.0)  # nearly upright rays meet a column further away than that
    on_surface = surface_distance(end[:dimensions], centre, radius)[hits]
    torch.testing.assert_close(on_surface, torch.zeros_like(on_surface), rtol=0, atol=1e-7)
    for share in np.linspace(0.0, 0.999, 40):
        before = origin.unsqueeze(1) + direction * (share * reach.clamp_max(50.0))
        assert (surface_distance(before[:dimensions], centre, radius)[~inside.expand_as(reach)] > -1e-9).all()


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    turn=st.tuples(*[st.floats(-3.0, 3.0)] * 3),
    shift=st.tuples(*[st.floats(-5.0, 5.0)] * 3),
)
def test_moving_everything_rigidly_changes_no_distance(
    seed: int, turn: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    origin, direction, centre, radius = scene(seed)

    def moved(rotation: Rotation, vectors: Tensor, by: Tensor) -> Tensor:
        flat = vectors.reshape(3, -1)
        return (torch.tensor(rotation.apply(flat.T).T) + by.unsqueeze(1)).reshape(vectors.shape)

    by, none = torch.tensor(shift, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    free, upright = Rotation.from_rotvec(turn), Rotation.from_rotvec([0.0, 0.0, turn[2]])
    spheres = [
        obstacle_ranges(o, d, c, radius).clamp_max(50.0)
        for o, d, c in (
            (origin, direction, centre),
            (moved(free, origin, by), moved(free, direction, none), moved(free, centre, by)),
        )
    ]
    columns = [
        obstacle_ranges(o, d, c[:2], radius).clamp_max(50.0)
        for o, d, c in (
            (origin, direction, centre),
            (moved(upright, origin, by), moved(upright, direction, none), moved(upright, centre, by)),
        )
    ]
    # grazing rays move by the square root of a rounding error
    torch.testing.assert_close(spheres[1], spheres[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(columns[1], columns[0], rtol=0, atol=1e-5)


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    origin, direction, centre, radius = (x.float() for x in scene(1, rows=7, rays=25, obstacles=8))
    for i in range(7):
        only = slice(i, i + 1)
        o, d, c = (x[..., only] for x in (origin, direction, centre))
        for k in (2, 3):
            forest = forest_of(centre[:k], radius)
            assert torch.equal(ranges(o, d, forest[only]), ranges(origin, direction, forest)[:, only])
            passing = closest_approach(origin, direction[:, 0], centre[:k])
            assert torch.equal(closest_approach(o, d[:, 0], c[:k]), passing[only])
