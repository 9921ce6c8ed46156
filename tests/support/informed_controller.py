"""A controller of the motors that is given the state, the drone's coefficients, the wind and the present gust."""

from __future__ import annotations

import torch
from torch import Tensor

from robots.quadrotor.body.parameters import GRAVITY
from robots.quadrotor.body.rotation import rotation_rows
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover_kernels import TARGET

# Found by random search on 200 episodes with gusts of 2 m/s^2.
_POSITION, _VELOCITY, _MOST = 27.0, 9.0, 11.0  # 1/s^2, 1/s, m/s^2
_TILT, _DAMPING = 23.0, 2.1  # rad/s; of the rates and of their change, relative to a triple pole
_YAW_RATE, _YAW_CHANGE = 300.0, 20.0  # 1/s^2, 1/s
_LEAST_LIFT, _THRUST_LEAD = 2.0, 2.5  # m/s^2; times the missing thrust
_SMALL = 1e-6


class InformedController:
    """Hovers by the true coefficients of every row; the airframe must have one rotor lag and no idle thrust c0.

    The wanted acceleration is that of a spring and a damper, less wind, gust and drag. Its direction turns the body by
    a third-order loop: angle, body rates, and the angular acceleration that the rotors cause at present.
    """

    def __init__(self, simulator: QuadrotorFlight) -> None:
        self.parameters = simulator.parameters
        self.target = torch.tensor(TARGET, dtype=simulator.dtype)
        self.inertia = torch.tensor(simulator.parameters.inertia, dtype=simulator.dtype)

    def __call__(self, state: FlightState) -> Tensor:
        """Motor commands (B, 4)."""
        p, hidden = self.parameters, state.hidden
        assert hidden
        mass, inertia, lag = p.mass * hidden.mass, self.inertia * hidden.inertia, p.rotor_time_up * hidden.rotor_lag
        _, _, quaternion, rates, speed = state.body.parts
        turn = rotation_rows(quaternion.t()).permute(2, 0, 1)
        lift = self._wanted(state, mass, turn[:, :, 2])

        thrusts = self._thrust(speed) * hidden.rotor_thrust
        right, left = thrusts[:, 0] + thrusts[:, 1], thrusts[:, 2] + thrusts[:, 3]
        front, odd = thrusts[:, 0] + thrusts[:, 3], thrusts[:, 0] + thrusts[:, 2]
        total = right + left
        levers = torch.tensor((p.rotor_offset[1], p.rotor_offset[0], p.torque_per_thrust), dtype=rates.dtype)
        torque = levers * torch.stack((left - right, total - 2.0 * front, total - 2.0 * odd), 1)
        change = (torque - torch.linalg.cross(rates, inertia * rates)) / inertia
        axis = torch.linalg.cross(turn[:, :, 2], lift / lift.norm(dim=1, keepdim=True))
        tilt = (turn.transpose(1, 2) @ axis.unsqueeze(2)).squeeze(2)
        tilt = tilt * (torch.asin(tilt.norm(dim=1).clamp_max(1.0)) / tilt.norm(dim=1).clamp_min(_SMALL)).unsqueeze(1)
        jerk = _TILT**3 * tilt - _DAMPING * _TILT**2 * rates - _DAMPING * _TILT * change
        jerk[:, 2] = -_YAW_RATE * rates[:, 2] - _YAW_CHANGE * change[:, 2]
        x, y, z = ((torque + inertia * lag * jerk) / levers / 4.0).unbind(1)
        z = z.clamp(-0.02, 0.02)

        wanted = (lift * turn[:, :, 2]).sum(1).clamp_min(0.0) * mass[:, 0]
        base = (total + _THRUST_LEAD * (wanted - total)) / 4.0
        differences = torch.stack((-x - y - z, -x + y + z, x + y - z, x - y + z), 1)
        return self._commands(base, differences, hidden.rotor_thrust)

    def _wanted(self, state: FlightState, mass: Tensor, up: Tensor) -> Tensor:
        """Thrust over mass (B, 3) in the world; what the rotors cannot give is missing in the level part first."""
        p, hidden = self.parameters, state.hidden
        assert hidden
        position, velocity, *_ = state.body.parts
        push = _POSITION * (self.target - position) - _VELOCITY * velocity
        push = push * (_MOST / push.norm(dim=1, keepdim=True).clamp_min(_MOST))
        along = (up * velocity).sum(1, keepdim=True)
        drag = (p.drag[0] * velocity + (p.drag[1] - p.drag[0]) * up * along) / mass
        push = push - hidden.wind - hidden.gust + drag
        most = 3.8 * p.thrust(1.0) * hidden.rotor_thrust.mean(1, keepdim=True) / mass
        upward = torch.minimum((push[:, 2:] + GRAVITY).clamp_min(_LEAST_LIFT), 0.98 * most)
        room = (most.square() - upward.square()).sqrt()
        level = push[:, :2].norm(dim=1, keepdim=True)
        return torch.cat((push[:, :2] * (room / torch.maximum(level, room)), upward), 1)

    def _commands(self, base: Tensor, differences: Tensor, factor: Tensor) -> Tensor:
        """Commands of the thrusts base (B,) + differences (B, 4); base gives way where a rotor cannot follow."""
        p, idle = self.parameters, self.parameters.rotor_speed_min
        low, high = (p.thrust(u) * factor.mean(1) for u in (idle, 1.0))
        spread = differences.amax(1) - differences.amin(1)
        differences = differences * ((high - low) / torch.maximum(spread, high - low)).unsqueeze(1)
        base = torch.minimum(torch.maximum(base, low - differences.amin(1)), high - differences.amax(1))
        _, linear, square = p.thrust_curve
        thrusts = ((base.unsqueeze(1) + differences) / factor).clamp_min(_SMALL)
        speed = (-linear + (linear * linear + 4.0 * square * thrusts).sqrt()) / (2.0 * square)
        return 2.0 * (speed - idle) / (1.0 - idle) - 1.0

    def _thrust(self, speed: Tensor) -> Tensor:
        _, linear, square = self.parameters.thrust_curve
        return (linear + square * speed) * speed
