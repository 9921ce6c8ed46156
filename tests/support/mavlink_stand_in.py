"""An autopilot behind MAVLink on a stepped clock: it says what a test wants said, and keeps what it was told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from pymavlink.dialects.v20 import common

from sim2real.flight.clock import SteppedClock

ADDRESS = ("192.0.2.7", 14550)
DELAY = 0.05  # [s] until it acknowledges
Says = Callable[[Any], list[Any]]


class ScriptedVehicle:
    """Takes the place of a link; disarmed on the ground at (1, 2, 0) in NED until a test says otherwise.

    With every call of `receive` it says a heartbeat, its motion and what `answer` gave for the commands that came;
    `answer` accepts and obeys all of them. `commands` are the numbers of those that came, `times` when.
    """

    peer: Any = None

    def __init__(self, clock: SteppedClock, autopilot: int = common.MAV_AUTOPILOT_PX4) -> None:
        self.clock, self.autopilot = clock, autopilot
        self.wire = common.MAVLink(None, srcSystem=1, srcComponent=1)
        self.ear = common.MAVLink(None)
        self.custom_mode, self.armed = 0, False
        self.position: Callable[[], tuple[float, float, float]] = lambda: (1.0, 2.0, 0.0)
        self.velocity = (0.0, 0.0, 0.0)
        self.quaternion = (1.0, 0.0, 0.0, 0.0)
        self.estimating: Callable[[], bool] = lambda: True
        self.answer: Says = self.accept
        self.commands: list[int] = []
        self.times: list[float] = []
        self.setpoints: list[Any] = []
        self.waiting: list[tuple[float, Any]] = []

    def receive(self) -> Iterator[tuple[Any, bytes]]:
        """What it says."""
        armed = common.MAV_MODE_FLAG_SAFETY_ARMED if self.armed else 0
        said = [self.wire.heartbeat_encode(common.MAV_TYPE_QUADROTOR, self.autopilot, 1 | armed, self.custom_mode, 4)]
        if self.estimating():
            said.append(self.wire.local_position_ned_encode(0, *self.position(), *self.velocity))
            said.append(self.wire.attitude_quaternion_encode(0, *self.quaternion, 0.0, 0.0, 0.0))
        now = self.clock.now()
        said += [message for due, message in self.waiting if due <= now]
        self.waiting = [later for later in self.waiting if later[0] > now]
        for message in said:
            yield ADDRESS, message.pack(self.wire)

    def send(self, data: bytes) -> None:
        """What it is told."""
        for message in self.ear.parse_buffer(data) or ():
            if message.get_type() == "COMMAND_LONG":
                self.commands.append(message.command)
                self.times.append(self.clock.now())
                self.waiting += [(self.clock.now() + DELAY, reply) for reply in self.answer(message)]
            elif message.get_type().startswith("SET_"):
                self.setpoints.append(message)

    def close(self) -> None:
        """Nothing is held."""

    def accept(self, command: Any) -> list[Any]:
        """Obey, and say so."""
        if command.command == common.MAV_CMD_DO_SET_MODE:
            main, sub = int(command.param2), int(command.param3)
            self.custom_mode = main << 16 | sub << 24 if self.autopilot == common.MAV_AUTOPILOT_PX4 else main
        elif command.command == common.MAV_CMD_COMPONENT_ARM_DISARM:
            self.armed = command.param1 == 1.0
        elif command.command == common.MAV_CMD_NAV_TAKEOFF:
            self.rise(command.param7)
        return [self.wire.command_ack_encode(command.command, common.MAV_RESULT_ACCEPTED)]

    def rise(self, height: float) -> None:
        """Climb this high [m], at 1 m/s."""
        begun = self.clock.now()
        self.position = lambda: (1.0, 2.0, -min(height, self.clock.now() - begun))

    def nowhere_before(self, instant: float) -> None:
        """Say a position that is not a number until then."""
        self.position = lambda: (math.nan,) * 3 if self.clock.now() < instant else (1.0, 2.0, 0.0)
