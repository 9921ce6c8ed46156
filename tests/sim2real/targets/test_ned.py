"""Frames of MAVLink and ours, by cases that can be pictured and by matrices written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sim2real.targets.ned import (
    flip,
    flip_quaternion,
    from_heading,
    rotation,
)

HALF = np.sqrt(0.5)
numbers = st.floats(-10.0, 10.0)
unit = st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: np.linalg.norm(q) > 0.1)


@pytest.mark.parametrize(
    ("mavlink", "ours"),
    [
        ((1, 0, 0), (1, 0, 0)),  # north, forward, rolling to the right
        ((0, 1, 0), (0, -1, 0)),  # east is minus west; right is minus left; pitching up is minus about y left
        ((0, 0, -1), (0, 0, 1)),  # up; turning left
    ],
)
def test_axes(mavlink: tuple[int, ...], ours: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(flip(mavlink), ours)
    np.testing.assert_array_equal(flip(ours), mavlink)


def test_a_nose_that_points_east() -> None:
    # MAVLink: a quarter turn to the right about z down; its nose, body x, points along (0, 1, 0) = east
    east = flip_quaternion((HALF, 0, 0, HALF))
    np.testing.assert_allclose(rotation(east) @ (1, 0, 0), (0, -1, 0), atol=1e-15)  # minus west
    np.testing.assert_allclose(rotation(east) @ (0, 1, 0), (1, 0, 0), atol=1e-15)  # its left is north


def test_a_roll_to_the_right_and_a_nose_pitched_up() -> None:
    # 90 degrees to the right: body left points up; MAVLink and we roll about the same x
    np.testing.assert_allclose(rotation(flip_quaternion((HALF, HALF, 0, 0))) @ (0, 1, 0), (0, 0, 1), atol=1e-15)
    # MAVLink pitches up about y right
    np.testing.assert_allclose(rotation(flip_quaternion((HALF, 0, HALF, 0))) @ (1, 0, 0), (0, 0, 1), atol=1e-15)


@given(unit)
def test_the_quaternion_is_that_of_the_turned_matrix(q: tuple[float, ...]) -> None:
    turn = np.diag([1.0, -1.0, -1.0])
    w, x, y, z = np.array(q) / np.linalg.norm(q)
    there = Rotation.from_quat([x, y, z, w]).as_matrix()  # FRD to NED
    np.testing.assert_allclose(rotation(flip_quaternion(q)), turn @ there @ turn, atol=1e-12)
    np.testing.assert_allclose(rotation(q), there, atol=1e-12)
    np.testing.assert_array_equal(flip_quaternion(flip_quaternion(q)), q)


@pytest.mark.parametrize("q", [(0.0, 0.0, 0.0, 0.0), (np.nan, 0.0, 0.0, 1.0)])
def test_what_is_no_rotation_is_not_finite(q: tuple[float, ...]) -> None:
    assert not np.isfinite(rotation(q)).all()


@given(st.floats(-3.0, 3.0), st.floats(-1.2, 1.2), st.floats(-3.0, 3.0), st.tuples(numbers, numbers, numbers))
def test_the_heading_frame_knows_yaw_alone(yaw: float, pitch: float, roll: float, vector: tuple[float, ...]) -> None:
    matrix: NDArray[np.float64] = Rotation.from_euler("ZYX", [yaw, pitch, roll]).as_matrix()
    level = Rotation.from_euler("Z", yaw).as_matrix()
    np.testing.assert_allclose(from_heading(matrix, vector), level @ vector, atol=1e-9)


def test_a_nose_that_points_straight_up_counts_as_along_x() -> None:
    up = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(from_heading(up, (1.0, 2.0, 3.0)), (1.0, 2.0, 3.0))
