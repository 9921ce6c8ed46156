"""Square gates as shapes of a picture."""

from __future__ import annotations

import numpy as np

from robots.drawing.shapes import Shape, bar

_LEG = 0.015  # m, half its thickness


def frame(
    centre: np.ndarray, axes: np.ndarray, half: float, width: float, rgb: tuple[float, float, float]
) -> list[Shape]:
    """Four bars, `width` wide, around an opening with inner edge 2 `half` [m], and two legs down to the floor.

    `centre` (3,) is the middle of the opening in the world, `axes` (3, 3) has the direction of passing, left and up as
    rows.
    """
    left, up = axes[1], axes[2]
    middle, outer = half + 0.5 * width, half + width
    shapes = []
    for side in (-1.0, 1.0):
        upright, level = centre + side * middle * left, centre + side * middle * up
        shapes.append(bar(upright - outer * up, upright + outer * up, 0.5 * width, (*rgb, 1.0)))
        shapes.append(bar(level - half * left, level + half * left, 0.5 * width, (*rgb, 1.0)))
        foot = upright - outer * up
        if foot[2] > 0.0:
            shapes.append(bar((foot[0], foot[1], 0.0), foot, _LEG, (*rgb, 1.0)))
    # bars are square, but a frame is flat: as deep as its legs
    return [shape._replace(size=_flat(shape, axes[0])) for shape in shapes]


def _flat(shape: Shape, normal: np.ndarray) -> tuple[float, ...]:
    """Half lengths of a bar whose side along the gate's normal (3,) is as thin as a leg."""
    x, y, length = shape.size
    across = np.abs(shape.rotation.T @ normal)
    return (min(x, _LEG), y, length) if across[0] > across[1] else (x, min(y, _LEG), length)
