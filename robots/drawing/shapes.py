"""Shapes that are drawn into a picture but are not in a model: targets, shadows, paths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hgrpo_errors import HgrpoError

if TYPE_CHECKING:
    import mujoco

PATH_SEGMENTS = 100  # a longer path is drawn with this many segments

Vector = np.ndarray | Sequence[float]

_BLUE = (0.10, 0.35, 0.95)


class Shape(NamedTuple):
    """A shape in the world frame."""

    kind: Literal["sphere", "ellipsoid", "capsule", "cylinder", "box"]
    size: tuple[float, ...]
    """Radius of a sphere, (radius, half length along z) of a capsule or cylinder, else three half lengths [m]."""
    position: Vector
    """(3,) centre [m]."""
    rgba: tuple[float, float, float, float]
    """Red, green, blue and opacity, each in [0, 1]."""
    rotation: np.ndarray = np.eye(3)
    """(3, 3) rotation from the shape's axes to the world."""
    glow: float = 0.0
    """Emitted light, in [0, 1]; at 1 the colour does not depend on the lighting."""


def path(positions: np.ndarray, rgb: tuple[float, float, float] = _BLUE, radius: float = 0.005) -> list[Shape]:
    """Path as a line that becomes thinner and fainter towards its start.

    Args:
        positions: (k, 3) positions [m], oldest first.
        rgb: Colour.
        radius: Half thickness at the end [m].
    """
    points = np.asarray(positions, dtype=float).reshape(-1, 3)
    if len(points) > PATH_SEGMENTS + 1:
        points = points[np.linspace(0, len(points) - 1, PATH_SEGMENTS + 1).round().astype(int)]
    shapes = []
    for i, (start, end) in enumerate(itertools.pairwise(points.tolist()), start=1):
        age = i / (len(points) - 1)
        if math.dist(start, end) > 1e-4:
            shapes.append(bar(start, end, radius * (0.4 + 0.6 * age), (*rgb, 0.1 + 0.8 * age)))
    return shapes


def bar(start: Vector, end: Vector, radius: float, rgba: tuple[float, float, float, float]) -> Shape:
    """Square bar between two different points; it is drawn faster than a round one.

    Args:
        start: (3,) one end [m].
        end: (3,) the other end [m].
        radius: Half thickness [m].
        rgba: Colour and opacity.
    """
    x, y, z = (b - a for a, b in zip(start, end, strict=True))
    length, level = math.hypot(x, y, z), math.hypot(x, y)
    x, y, z = x / length, y / length, z / length
    # columns: a level direction across the bar, the one that completes the right-handed triad, the bar's own
    cx, cy = (-y * length / level, x * length / level) if level > 0.0 else (0.0, 1.0)
    rotation = np.array(((cx, -cy * z, x), (cy, cx * z, y), (0.0, cy * x - cx * y, z)))
    centre = tuple(0.5 * (a + b) for a, b in zip(start, end, strict=True))
    return Shape("box", (radius, radius, 0.5 * length), centre, rgba, rotation, glow=0.6)


def add_shape(scene: mujoco.MjvScene, shape: Shape) -> None:
    """Add a shape to a scene before it is drawn; raises HgrpoError if the scene is full."""
    import mujoco

    if scene.ngeom >= scene.maxgeom:
        raise HgrpoError(f"a picture can have at most {scene.maxgeom} shapes")
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        getattr(mujoco.mjtGeom, f"mjGEOM_{shape.kind.upper()}"),
        np.array((*shape.size, 0.0, 0.0)[:3], dtype=np.float64),
        np.asarray(shape.position, dtype=np.float64),
        np.asarray(shape.rotation, dtype=np.float64).reshape(9),
        np.asarray(shape.rgba, dtype=np.float32),
    )
    scene.geoms[scene.ngeom].emission = shape.glow
    scene.ngeom += 1
