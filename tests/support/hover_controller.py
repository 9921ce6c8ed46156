"""A hand-made policy that hovers, for tests of what flies: no training, and episodes that succeed."""

from __future__ import annotations

from dataclasses import replace

import torch

from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.quadrotor.body.parameters import GRAVITY
from robots.quadrotor.flight.simulator import QuadrotorFlight

# At hover a unit of action turns by 555 rad/s^2 about x or climbs by 9 m/s^2. The rotors' lag of 65 ms leaves 4 /s for
# the rate loop, 2.5 /s for the tilt and about 1 /s for position; z and yaw likewise.
_RATE, _TILT, _PUSH, _BRAKE = 0.0068, 0.017, 0.0021, 0.0035
_CLIMB, _SINK, _YAW = 0.28, 0.33, 0.042
_SMALL = 0.01  # the tanh of what is this small is nearly itself: tanh(x) = x - x^3 / 3 + ...


def hover_controller(simulator: QuadrotorFlight, activation: str = "tanh") -> ActorCritic:
    """Proportional-derivative control of position, as a network with one hidden layer that is nearly linear.

    For task quadrotor-hover with motor commands: entries error, velocity, up, rate (three each, body), past motors.
    """
    spec = replace(policy_spec(simulator.spec, Network(), critic=False), hidden_sizes=(16,), activation=activation)
    policy = ActorCritic(spec, generator=torch.Generator().manual_seed(0))
    gain = torch.zeros(16, 4)
    about_x, about_y, about_z = torch.tensor([[-1.0, -1, 1, 1], [-1, 1, 1, -1], [-1, 1, -1, 1]])
    # up_y > 0: rolled to the right, which accelerates to the right; up_x < 0: pitched forward, which does forward
    gain[0], gain[3], gain[6], gain[10] = _PUSH * about_y, -_BRAKE * about_y, _TILT * about_y, -_RATE * about_y
    gain[1], gain[4], gain[7], gain[9] = -_PUSH * about_x, _BRAKE * about_x, -_TILT * about_x, -_RATE * about_x
    gain[2], gain[5], gain[11] = torch.full((4,), _CLIMB), torch.full((4,), -_SINK), -_YAW * about_z
    with torch.no_grad():
        policy.actor[0].weight.copy_(_SMALL * torch.eye(16))
        policy.actor[-1].weight.copy_(gain.t() / _SMALL)
    return policy


# Of interface=ctbr and interface=velocity, in their units: gains of the position (1/s^2, 1/s), of the speed (1/s), and
# of the attitude (1/s). A wanted acceleration a asks for a tilt a / g.
_POSITION, _SPEED, _ATTITUDE, _APPROACH = 2.5, 2.5, 6.0, 1.2


def commanding_controller(simulator: QuadrotorFlight) -> ActorCritic:
    """The same for interface=ctbr and interface=velocity, on the inner loops that these command."""
    spec = replace(policy_spec(simulator.spec, Network(), critic=False), hidden_sizes=(16,))
    policy = ActorCritic(spec, generator=torch.Generator().manual_seed(0))
    gain = torch.zeros(16, 4)  # of entries error, velocity, up, rate, past actions, on actions in their units
    if simulator.interface.action[0].name == "collective_thrust":
        # f / g = up + (k_p error - k_d velocity) / g is wanted along body z: thrust f_z / g, rates k (-f_y, f_x) / g
        gain[2, 0], gain[5, 0] = _POSITION / GRAVITY, -_SPEED / GRAVITY
        for axis, rate, sign in ((1, 1, -1.0), (0, 2, 1.0)):
            push = sign * _ATTITUDE
            gain[axis, rate], gain[3 + axis, rate] = push * _POSITION / GRAVITY, -push * _SPEED / GRAVITY
            gain[6 + axis, rate] = push
    else:
        gain[:3, :3] = _APPROACH * torch.eye(3)
    half_range = 0.5 * (policy.action_high - policy.action_low)
    with torch.no_grad():
        policy.actor[0].weight.copy_(_SMALL * torch.eye(16))
        policy.actor[-1].weight.copy_((gain / half_range).t() / _SMALL)
    return policy
