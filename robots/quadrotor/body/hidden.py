"""What is hidden in an episode: its draw, the coefficients that follow from it, and its privileged entries."""

from __future__ import annotations

import torch
from torch import Tensor

from robots.quadrotor.body import randomization as randomize
from robots.quadrotor.body.any_airframe import SHOWN, draw_vehicles, hover_speed, shown_entries
from robots.quadrotor.body.drawn_airframe import DrawnAirframe
from robots.quadrotor.body.dynamics import QuadrotorState, airframe
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.randomization import HiddenParameters, Randomization
from robots.simulator import Channel


class Hidden:
    """Hidden parameters of rows and the coefficients of their airframes.

    Args:
        ranges: Ranges of the hidden parameters.
        parameters: The airframe, where episodes do not draw their own.
        any_airframe: Whether every episode draws its own.
        substep: Step length of the body [s].
        duration: Length of a control step [s].
        dtype: Type of the parameters.
        device: Their device.
    """

    def __init__(
        self,
        ranges: Randomization,
        parameters: QuadrotorParameters,
        any_airframe: bool,
        substep: float,
        duration: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.ranges, self.any_airframe, self.duration, self.dtype = ranges, any_airframe, duration, dtype
        self.nominal = airframe(parameters, substep, dtype, device)
        self._drawn = DrawnAirframe(parameters, substep, duration, dtype, device)
        self._gusts = randomize.Gusts(ranges, duration, dtype)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Privileged entries; empty if nothing is drawn."""
        return (randomize.channels(self.ranges) + SHOWN) if self.any_airframe else randomize.channels(self.ranges)

    def draw(self, num: int, generator: torch.Generator, noise_key: Tensor) -> HiddenParameters | tuple[()]:
        """Hidden parameters of `num` episodes; arguments are those of randomization.draw."""
        if not self.ranges.draws_anything:
            return ()
        hidden = randomize.draw(self.ranges, num, generator, noise_key, self.dtype)
        if not self.any_airframe:
            return hidden
        vehicle = draw_vehicles(num, generator, self.dtype)
        return hidden._replace(vehicle=vehicle, vehicle_shown=shown_entries(vehicle))

    def hovering(self, body: QuadrotorState, hidden: HiddenParameters | tuple[()]) -> QuadrotorState:
        """The same bodies, with the rotors of drawn airframes at their own hover speed."""
        if not hidden or not isinstance(hidden.vehicle, Tensor):
            return body
        return body.changed(rotor_speed=hover_speed(hidden.vehicle).expand(-1, 4))

    def frame(self, hidden: HiddenParameters | tuple[()], steps: Tensor) -> Tensor:
        """Coefficients (B, 30) after `steps` (B,) control steps, or (1, 30) for all if nothing is drawn."""
        return self._drawn(hidden, steps) if hidden else self.nominal

    def after(self, hidden: HiddenParameters | tuple[()], noise_key: Tensor) -> HiddenParameters | tuple[()]:
        """Hidden parameters after one step of rows with noise keys (B,)."""
        return self._gusts(hidden, noise_key) if hidden else ()

    def shown(self, hidden: HiddenParameters | tuple[()], steps: Tensor, rows: Tensor) -> list[Tensor]:
        """Values of `channels`, component-first.

        Args:
            hidden: Hidden parameters of B rows.
            steps: (B,) control steps since the start of the episode.
            rows: (3, 3, B) rotation matrices, body to world.
        """
        if not hidden:
            return []
        values = randomize.shown(hidden, rows, steps.to(self.dtype) * self.duration)
        return [*values, hidden.vehicle_shown.t()] if isinstance(hidden.vehicle_shown, Tensor) else values
