"""The conventions of gym-pybullet-drones, by hand; the package itself is not needed."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robots.pybullet_drones import physics_frames as frames
from robots.quadrotor.body.dynamics import QuadrotorState

HALF = math.sqrt(0.5)
LEFT_TURN = torch.tensor([[HALF, 0.0, 0.0, HALF]], dtype=torch.float64)
"""A quarter turn about z, wxyz: the nose points along world y."""
THEIRS = frames.Conventions(max_rpm=21000.0, physics_step=0.5)


def vectors(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def close(given: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=0.0, atol=1e-12)


def test_the_real_part_goes_last_and_comes_first() -> None:
    close(frames.wxyz_to_xyzw(vectors((1.0, 2.0, 3.0, 4.0))), vectors((2.0, 3.0, 4.0, 1.0)))
    close(frames.xyzw_to_wxyz(vectors((2.0, 3.0, 4.0, 1.0))), vectors((1.0, 2.0, 3.0, 4.0)))


def test_a_roll_of_a_drone_that_looks_along_y_is_about_world_y() -> None:
    close(frames.body_to_world(LEFT_TURN, vectors((1.0, 0.0, 0.0))), vectors((0.0, 1.0, 0.0)))
    close(frames.body_to_world(LEFT_TURN, vectors((0.0, 1.0, 0.0))), vectors((-1.0, 0.0, 0.0)))
    close(frames.world_to_body(LEFT_TURN, vectors((0.0, 1.0, 0.0))), vectors((1.0, 0.0, 0.0)))


@settings(max_examples=50)
@given(numbers=st.lists(st.floats(-3.0, 3.0), min_size=7, max_size=7))
def test_to_the_world_and_back(numbers: list[float]) -> None:
    quaternion, vector = vectors(tuple(numbers[:4])), vectors(tuple(numbers[4:]))
    if float(quaternion.norm()) < 0.1:
        return
    quaternion = quaternion / quaternion.norm()
    there = frames.body_to_world(quaternion, vector)
    torch.testing.assert_close(there.norm(), vector.norm(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(frames.world_to_body(quaternion, there), vector, rtol=1e-11, atol=1e-11)


def test_a_command_is_a_share_of_the_full_speed() -> None:
    close(frames.rotor_speed(vectors((-1.0, 0.0, 1.0 / 3.0, 1.0))), vectors((0.0, 0.5, 2.0 / 3.0, 1.0)))


def test_the_attitude_before_is_turned_back_about_the_world() -> None:
    """A quarter turn per second about world z for 1 s led to q: from a level q back to a quarter turn to the right;
    from q = a quarter roll, to (1, 0, 0, -1)/sqrt(2) times (1, 1, 0, 0)/sqrt(2) = (1, 1, -1, -1) / 2, since i after -k
    is -(k i) = -j."""
    spin, level = vectors((0.0, 0.0, 0.5 * math.pi)), vectors((1.0, 0.0, 0.0, 0.0))
    close(frames.attitude_before(level, spin, 1.0), vectors((HALF, 0.0, 0.0, -HALF)))
    rolled = vectors((HALF, HALF, 0.0, 0.0))
    close(frames.attitude_before(rolled, spin, 1.0), vectors((0.5, 0.5, -0.5, -0.5)))
    close(frames.attitude_before(rolled, 0.0 * spin, 1.0), rolled)


def test_a_row_as_it_travels() -> None:
    """The nose along world y, rolling at pi / 2 rad/s: about world y; 0.5 s ago it was turned back by pi / 4 about it,
    which is q times the same turn about body x: (1, 0, 0, 1) / sqrt(2) times (c, -s, 0, 0) with c, s of pi / 8 is
    (c, -s, -s, c) / sqrt(2)."""
    body = QuadrotorState.of(
        vectors((1.0, 2.0, 3.0)),
        vectors((4.0, 5.0, 6.0)),
        LEFT_TURN,
        vectors((0.5 * math.pi, 0.0, 0.0)),
        vectors((0.1, 0.2, 0.3, 0.4)),
    )
    motors = vectors((-1.0, -0.5, 0.0, 1.0))
    row = frames.to_theirs(body, motors, THEIRS)
    c, s = math.cos(math.pi / 8.0) * HALF, math.sin(math.pi / 8.0) * HALF
    expected = [1, 2, 3, 0, 0, HALF, HALF, 4, 5, 6, 0, 0.5 * math.pi, 0, -s, -s, c, c]
    expected += [2100, 4200, 6300, 8400, 0, 5250, 10500, 21000]
    np.testing.assert_allclose(row, [expected], rtol=1e-12, atol=1e-12)
    answer = np.concatenate((row[:, :13], [[1.0]]), axis=1)
    back = frames.to_ours(answer, motors, body)
    for given_part, part in zip(back.parts[:4], body.parts[:4], strict=True):
        close(given_part, part)
    close(back.rotor_speed, vectors((0.0, 0.25, 0.5, 1.0)))


def test_a_quaternion_that_is_not_quite_one_is_made_one() -> None:
    body = QuadrotorState.of(*(torch.zeros(1, size, dtype=torch.float64) for size in (3, 3, 4, 3, 4)))
    body.quaternion[:, 0] = 1.001
    row = frames.to_theirs(body, torch.zeros(1, 4), THEIRS)
    assert row[0, 3:7].tolist() == [0.0, 0.0, 0.0, 1.0]
