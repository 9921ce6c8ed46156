"""Courses that can be flown, and axes of gates by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from robots.quadrotor.tasks.gates.courses import COURSES, axes, course

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("heading", "climb", "expected"),
    [
        (0.0, 0.0, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (90.0, 0.0, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
        (0.0, 90.0, [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]),  # passed upwards: its upper edge lies to the back
        (180.0, -90.0, [[0, 0, -1], [0, -1, 0], [-1, 0, 0]]),
    ],
)
def test_axes_by_hand(heading: float, climb: float, expected: list[list[float]]) -> None:
    h, c = (torch.tensor(math.radians(angle), dtype=torch.float64) for angle in (heading, climb))
    assert axes(h, c).numpy() == pytest.approx(torch.tensor(expected, dtype=torch.float64).numpy(), abs=1e-12)


def test_axes_are_right_handed_and_orthonormal() -> None:
    angles = 6.0 * torch.rand(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 3.0
    normal, left, up = axes(*angles).numpy().transpose(1, 0, 2)
    for a, b, c in ((normal, left, up), (left, up, normal), (up, normal, left)):
        np.testing.assert_allclose((a * a).sum(axis=1), 1.0, atol=1e-12)
        np.testing.assert_allclose(np.cross(a, b), c, atol=1e-12)


@pytest.mark.parametrize("name", sorted(COURSES))
def test_gates_can_be_flown_one_after_the_other(name: str) -> None:
    """Who has passed a gate is well behind the plane of the next, 1 m even if both stand 0.3 m off; no gate meets the
    floor at its largest (half of 0.8 * 1.5, and 0.1 of frame), and no two gates touch at their default size."""
    centre, heading, climb = course(name, torch.float64, CPU)
    normal = axes(heading, climb)[:, 0]
    depth = ((centre.roll(-1, 0) - centre) * normal.roll(-1, 0)).sum(dim=1)
    assert depth.min() - 2 * 0.3 > 0.6
    assert centre[:, 2].min() - 0.6 - 0.1 >= 0.3 - 1e-12
    apart = torch.cdist(centre, centre) + 9.0 * torch.eye(len(centre))
    assert apart.min() > 2 * (0.5 + 0.3) - 1e-9


def test_an_unknown_course_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("unknown course 'lop'; did you mean 'loop'?")):
        course("lop", torch.float32, CPU)
