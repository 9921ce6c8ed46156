"""Pushes, disturbances and moved targets of a flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robots.interventions import Disturbance, Moved
from robots.quadrotor.body.randomization import HiddenParameters, unchanged
from robots.quadrotor.flight.state import FlightState

if TYPE_CHECKING:
    from robots.quadrotor.flight.mission import Mission
    from robots.quadrotor.physics.physics import Physics


class Interventions:
    """The part of QuadrotorFlight that changes states by hand."""

    mission: Mission
    physics: Physics | None

    @property
    def can_be_disturbed(self) -> bool:
        """Whether hidden parameters have an effect: only in the built-in physics."""
        return self.physics is None

    def pushed(self, state: FlightState, velocity: Tensor) -> FlightState:
        """As Pushable.pushed."""
        body = state.body
        return state._replace(body=body.changed(velocity=body.velocity + velocity.to(body.velocity)))

    def disturbed(self, state: FlightState, disturbance: Disturbance) -> FlightState:
        """As Disturbable.disturbed; an episode without hidden parameters gets the nominal ones."""
        hidden = state.hidden or unchanged(state.body.values)
        assert isinstance(hidden, HiddenParameters)
        if disturbance.mass is not None:
            hidden = hidden._replace(mass=torch.full_like(hidden.mass, disturbance.mass))
        if disturbance.wind is not None:
            hidden = hidden._replace(wind=hidden.wind.new_tensor(disturbance.wind).expand_as(hidden.wind).contiguous())
        if disturbance.rotors:
            thrust = hidden.rotor_thrust.clone()
            for rotor, factor in enumerate(disturbance.rotors):
                if factor is not None:
                    thrust[:, rotor] = factor
            hidden = hidden._replace(rotor_thrust=thrust)
        return state._replace(hidden=hidden)

    def target_place(self, state: FlightState) -> Tensor | None:
        """As Targeted.target_place."""
        return self.mission.target_place(state)

    def with_target_moved(self, state: FlightState, by: Tensor) -> Moved:
        """As Targeted.with_target_moved."""
        return self.mission.with_target_moved(state, by.to(state.body.values))
