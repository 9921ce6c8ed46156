"""The quadrotor at its limits: standing on the ground, and rotors that lag in one direction only."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support import rigid_body

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import preset

H = 0.01  # s
CPU = torch.device("cpu")


def test_a_body_on_the_ground_neither_slides_nor_turns() -> None:
    """Tilted by 60 degrees, or driven by its rear rotors alone, a body too weak to lift off stays where it stands."""
    p = preset("cf21B_500")
    frame = dynamics.airframe(p, H, torch.float64, CPU)
    half = math.radians(30.0)
    state = QuadrotorState.of(
        position=torch.tensor([[0.3, -0.2, 0.0], [1.0, 2.0, 0.0]], dtype=torch.float64),
        velocity=torch.zeros(2, 3, dtype=torch.float64),
        quaternion=torch.tensor(
            [[math.cos(half), math.sin(half), 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64
        ),
        angular_velocity=torch.zeros(2, 3, dtype=torch.float64),
        rotor_speed=torch.full((2, 4), p.rotor_speed_min, dtype=torch.float64),
    )
    hover = dynamics.hover_action(p)
    action = torch.tensor([[hover] * 4, [-1.0, 0.0, 0.0, -1.0]], dtype=torch.float64)
    end = state
    for _ in range(100):
        end = rigid_body.step(end, action, frame, H)
    torch.testing.assert_close(end.position, state.position, rtol=0.0, atol=0.0)
    torch.testing.assert_close(end.quaternion, state.quaternion, rtol=0.0, atol=1e-15)


def test_a_rotor_that_follows_at_once_only_upwards_starts_the_step_at_its_command() -> None:
    """With no lag up, full thrust acts from the first instant: v_z = (T/m - g) h, whatever the lag down."""
    p = replace(preset("cf2x"), rotor_time_up=0.0, rotor_time_down=0.2, drag=(0.0, 0.0))
    frame = dynamics.airframe(p, H, torch.float64, CPU)
    start = QuadrotorState.of(
        position=torch.tensor([[0.0, 0.0, 5.0]], dtype=torch.float64),
        velocity=torch.zeros(1, 3, dtype=torch.float64),
        quaternion=torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64),
        angular_velocity=torch.zeros(1, 3, dtype=torch.float64),
        rotor_speed=torch.zeros(1, 4, dtype=torch.float64),
    )
    end = rigid_body.step(start, torch.ones(1, 4, dtype=torch.float64), frame, H)
    # cf2x: thrust to weight 2.25, so (2.25 - 1) 9.81 m/s^2 over 10 ms
    assert end.velocity[0, 2].item() == pytest.approx(1.25 * 9.81 * H, abs=1e-12)
