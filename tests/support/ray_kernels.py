"""Kernels of rays and of segments in forests of a few obstacles."""

# mypy: ignore-errors

import math
from functools import cache

import torch
import warp as wp
from torch import Tensor

from robots.kernels.define import kernel
from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body import kernels
from robots.quadrotor.tasks.obstacles import ray_casting
from robots.quadrotor.tasks.obstacles.forest import COLUMNS, PARKED, SPHERES, Forest

REACH = 1000.0  # m
LIFT = 1024.0  # m, added to all heights, so that no ray meets the ground


@cache
def cast_rays(count):
    """Maker of the kernel of `count` rays a row from one place."""

    @cache
    def make(real, backward):
        f, vec3 = ray_casting.functions(real, count), kernels.functions(real).vec3
        vec2, first_met, direction_of, ray_range = f.vec2, f.first_met, f.direction_of, f.ray_range

        @kernel(real, backward)
        def cast(
            origin: wp.array2d(dtype=real),
            forest: wp.array2d(dtype=real),
            rays: wp.array(dtype=real),
            reach: wp.array(dtype=real),
            out: wp.array2d(dtype=real),
        ):
            row = wp.tid()
            place, turn = vec3(origin[row, 0], origin[row, 1], origin[row, 2]), vec2(real(1.0), real(0.0))
            start = 3 * count * row
            met = first_met(forest, row, place, turn, rays, start, reach[0])
            for ray in range(count):
                direction = direction_of(turn, rays, start + 3 * ray)
                out[row, ray] = ray_range(forest, row, met[ray], place, direction, reach[0])

        return cast

    return make


@cache
def caster(count: int, dtype: torch.dtype) -> Kernel:
    return Kernel(cast_rays(count), dtype, [Output((count,))])


_CLEARANCE = {
    dtype: Kernel(ray_casting.segment_clearance, dtype, [Output()]) for dtype in (torch.float32, torch.float64)
}


def forest_of(centre: Tensor | None = None, radius: Tensor | None = None, rows: int = 1) -> Tensor:
    """(B, 68): the first columns or spheres stand at `centre` (2 or 3, M, B), the others far away."""
    kind = torch.float64 if centre is None else centre.dtype
    rows = rows if centre is None else centre.shape[2]
    columns, spheres = (
        torch.full((rows, COLUMNS, 2), PARKED, dtype=kind),
        torch.full((rows, SPHERES, 3), PARKED, dtype=kind),
    )
    radii = [torch.full((rows, number), 0.3, dtype=kind) for number in (COLUMNS, SPHERES)]
    if centre is not None and radius is not None:
        ball = len(centre) == 3
        (spheres if ball else columns)[:, : centre.shape[1]] = centre.permute(2, 1, 0)
        radii[ball][:, : centre.shape[1]] = radius.t()
    return Forest.of(columns, radii[0], spheres, radii[1]).values


def ranges(origin: Tensor, direction: Tensor, forest: Tensor) -> Tensor:
    """Ranges (R, B) of rays from (3, B) along (3, R, B), infinite where they meet nothing."""
    count = direction.shape[1]
    rays = direction.permute(2, 1, 0).flatten().contiguous()
    reach = torch.full((1,), REACH, dtype=origin.dtype)
    found = caster(count, origin.dtype)(torch.stack(origin.unbind(), 1), forest, shared=(rays, reach))[0]
    return torch.where(found < REACH, found, math.inf).t()


def obstacle_ranges(origin: Tensor, direction: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Ranges (R, B) to columns (2, M, B) or spheres (3, M, B) alone: all heights are lifted."""
    up = torch.tensor([0.0, 0.0, LIFT], dtype=origin.dtype)
    raised = centre if len(centre) == 2 else centre + up.reshape(3, 1, 1)
    return ranges(origin + up.unsqueeze(1), direction, forest_of(raised, radius))


def clearance(start: Tensor, end: Tensor, forest: Tensor) -> Tensor:
    """Clearance (B,) of segments (3, B)."""
    return _CLEARANCE[start.dtype](torch.stack(start.unbind(), 1), torch.stack(end.unbind(), 1), forest)[0]


def closest_approach(start: Tensor, end: Tensor, centre: Tensor) -> Tensor:
    """Smallest distance (B,) from segments (3, B) to columns (2, M, B) or spheres (3, M, B) of 0.25 m, plus 0.25 m."""
    radius = torch.full(centre.shape[1:], 0.25, dtype=centre.dtype)
    return clearance(start, end, forest_of(centre, radius)) + 0.25


def column(*values: float) -> Tensor:
    """(k, 1, 1): one direction or obstacle of one row."""
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)


def point(*values: float) -> Tensor:
    """(k, 1): one place of one row."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def scene(seed: int, rows: int = 5, rays: int = 4, obstacles: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Origins, unit directions, centres and radii, mostly outside of each other."""
    g = torch.Generator().manual_seed(seed)
    origin, direction, centre = (
        torch.randn(*shape, generator=g, dtype=torch.float64)
        for shape in ((3, rows), (3, rays, rows), (3, obstacles, rows))
    )
    radius = 0.2 + 0.5 * torch.rand(obstacles, rows, generator=g, dtype=torch.float64)
    return 2.0 * origin, direction / direction.norm(dim=0), 2.0 * centre, radius
