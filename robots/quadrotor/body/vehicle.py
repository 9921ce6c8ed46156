"""Physical parameters of airframes as rows of numbers, for the kernel that turns them into coefficients."""

from __future__ import annotations

from robots.quadrotor.body.parameters import QuadrotorParameters

MASS, INERTIA, OFFSET, CURVE, TORQUE, IDLE, LAG, DRAG = 0, 1, 4, 6, 9, 10, 11, 13
"""First index of each parameter: mass, moments, |x| and |y| of the rotors, thrust curve, yaw torque over thrust, idle
speed, time constants up and down, drag across and along; units are those of QuadrotorParameters."""
VEHICLE = 15
"""Numbers of one airframe."""


def vehicle_row(parameters: QuadrotorParameters) -> list[float]:
    """Parameters of an airframe in this order."""
    p = parameters
    lags = (p.rotor_time_up, p.rotor_time_down)
    head = (p.mass, *p.inertia, *p.rotor_offset, *p.thrust_curve)
    return [*head, p.torque_per_thrust, p.rotor_speed_min, *lags, *p.drag]
