"""Shapes of square gates for pictures."""

from __future__ import annotations

import numpy as np

from robots.drawing.shapes import Shape, bar

_LEG = 0.015  # m, half the thickness of a leg


def frame(
    centre: np.ndarray, axes: np.ndarray, half: float, width: float, rgb: tuple[float, float, float]
) -> list[Shape]:
    """Four bars around an opening, and two legs to the floor.

    Args:
        centre: (3,) centre of the opening in the world [m].
        axes: (3, 3) with rows direction of passing, left and up.
        half: Half the inner edge of the opening [m].
        width: Width of the bars [m].
        rgb: Colour.
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
    # bars are square; a gate is only as deep as its legs
    return [shape._replace(size=_flat(shape, axes[0])) for shape in shapes]


def _flat(shape: Shape, normal: np.ndarray) -> tuple[float, ...]:
    """Half lengths of a bar with the thickness of a leg along the gate's normal (3,)."""
    x, y, length = shape.size
    across = np.abs(shape.rotation.T @ normal)
    return (min(x, _LEG), y, length) if across[0] > across[1] else (x, min(y, _LEG), length)
