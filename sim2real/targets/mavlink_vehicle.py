"""The link to one MAVLink vehicle: heartbeats, its state, and acknowledged commands."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from pymavlink.dialects.v20 import common

from hgrpo_errors import printable
from sim2real.flight.clock import Clock
from sim2real.flight.target import TargetError
from sim2real.targets.autopilots import Autopilot, Mode, autopilot_of
from sim2real.targets.mavlink_link import MavlinkLink
from sim2real.targets.ned import flip, flip_quaternion
from sim2real.targets.observation import Motion

HEARTBEAT_SECONDS = 1.0  # [s] between heartbeats of this program
LOST_AFTER = 3.0  # [s] without a heartbeat of the vehicle
LISTEN_SECONDS = 1.5  # [s] after the first heartbeat, in which other vehicles are looked for
ACK_SECONDS = 0.7
ATTEMPTS = 4
_POLL = 0.02  # [s] while waiting; also the period of setpoints then
_MOTION = ("LOCAL_POSITION_NED", "ATTITUDE_QUATERNION")
_REFUSED = {1: "TEMPORARILY_REJECTED", 2: "DENIED", 3: "UNSUPPORTED", 4: "FAILED", 6: "CANCELLED"}


class MavlinkVehicle:
    """State of the vehicle, and commands to it.

    `service` has to be called many times a second.

    Times are of arrival, by the clock of this computer, so data that waited in a buffer look younger than they are.
    While a method waits, it calls `stream`, if it is set, 50 times a second.

    Args:
        connection: udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD.
        clock: Clock of the loop.
        wanted: SYSID[:ADDRESS] of the vehicle; empty for any.
    """

    autopilot: Autopilot

    def __init__(self, connection: str, clock: Clock, wanted: str = "") -> None:
        self.connection, self.clock, self._wanted = connection, clock, wanted
        self.link = MavlinkLink(connection, wanted, 1, common.MAV_COMP_ID_ONBOARD_COMPUTER)
        self.link.encode.srcSystem = self.link.system or 1
        self.stream: Callable[[], None] | None = None
        self.heartbeat: Any = None
        self._begun = clock.now()
        self._last_active, self._beat = -math.inf, -math.inf
        self._messages: dict[str, tuple[Any, float]] = {}
        self._acks: dict[int, Any] = {}
        self._texts: deque[str] = deque(maxlen=4)

    def connect(self, seconds: float, listen_seconds: float = LISTEN_SECONDS) -> None:
        """Find the vehicle.

        Args:
            seconds: Time in which the first heartbeat has to arrive.
            listen_seconds: Time after it in which other vehicles are looked for.

        Raises:
            TargetError: There is no vehicle, or several, or its autopilot is unknown.
        """
        whose = f"heartbeat of vehicle {self._wanted}" if self._wanted else "vehicle's heartbeat"
        where = f"on {self.connection} within {seconds:g} s"
        if not self.wait(lambda: self.link.found, seconds):
            raise TargetError(f"no {whose} {where}{self.link.candidates.others}")
        self.wait(lambda: False, listen_seconds)
        self.link.choose()
        if not self.wait(lambda: self.heartbeat is not None, seconds):
            raise TargetError(f"no second {whose} {where}")
        self.autopilot = autopilot_of(self.heartbeat)
        self.link.encode.srcSystem = self.link.system  # this program is a component of the vehicle

    @property
    def armed(self) -> bool:
        """Whether the vehicle is armed, by its last heartbeat."""
        flag: int = self.heartbeat.base_mode & common.MAV_MODE_FLAG_SAFETY_ARMED
        return flag != 0

    def is_in(self, mode: Mode) -> bool:
        """Whether the vehicle is in a mode, by its last heartbeat."""
        return self.autopilot.is_in(mode, self.heartbeat.custom_mode)

    @property
    def silence(self) -> float:
        """Time since the last heartbeat [s]."""
        return self.clock.now() - self._last_active

    @property
    def boot_ms(self) -> int:
        """Time stamp of setpoints: time since this object was made [ms]."""
        return int(1e3 * (self.clock.now() - self._begun)) & 0xFFFFFFFF

    def missing(self) -> list[str]:
        """Messages that are needed for the motion and have not arrived yet."""
        return [name for name in _MOTION if name not in self._messages]

    def motion(self) -> tuple[Motion, float] | None:
        """Motion in NWU and FLU, and the arrival of its older part [s].

        None while a part is missing.
        """
        if self.missing():
            return None
        (place, place_stamp), (turn, turn_stamp) = (self._messages[name] for name in _MOTION)
        motion = Motion(
            position=flip((place.x, place.y, place.z)),
            velocity=flip((place.vx, place.vy, place.vz)),
            quaternion=flip_quaternion((turn.q1, turn.q2, turn.q3, turn.q4)),
            angular_velocity=flip((turn.rollspeed, turn.pitchspeed, turn.yawspeed)),
        )
        return motion, min(place_stamp, turn_stamp)

    def service(self) -> None:
        """Send a heartbeat if it is due, and decode the messages that have arrived."""
        now = self.clock.now()
        if now - self._beat >= HEARTBEAT_SECONDS:
            self._beat = now
            kind, no_autopilot = common.MAV_TYPE_ONBOARD_CONTROLLER, common.MAV_AUTOPILOT_INVALID
            self.send(self.link.encode.heartbeat_encode(kind, no_autopilot, 0, 0, common.MAV_STATE_ACTIVE))
        for message in self.link.receive():
            self._decode(message, now)

    def _decode(self, message: Any, now: float) -> None:
        name = message.get_type()
        if name == "HEARTBEAT":
            self.heartbeat, self._last_active = message, now
        elif name in _MOTION:
            self._messages[name] = message, now
        elif name == "COMMAND_ACK" and self._is_for_us(message):
            self._acks[message.command] = message
        elif name == "STATUSTEXT":
            self._texts.append(printable(message.text.strip("\0 \n")))

    def _is_for_us(self, ack: Any) -> bool:
        """Whether an acknowledgement is for this program and not for another ground station.

        0 addresses everybody; it is also the value of MAVLink 1, which has no such field.
        """
        ours = self.link.encode.srcSystem, self.link.encode.srcComponent
        given = ack.target_system, ack.target_component
        return all(theirs in (0, own) for theirs, own in zip(given, ours, strict=True))

    def send(self, message: Any) -> None:
        """Send a message to the vehicle."""
        self.link.send(message)

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Call `service` until a condition holds; returns whether it did within `seconds`."""
        end = self.clock.now() + seconds
        while True:
            self.service()
            if condition():
                return True
            if self.clock.now() >= end:
                return False
            if self.stream is not None:
                self.stream()
            self.clock.sleep_until(self.clock.now() + _POLL)

    def command(self, number: int, what: str, *parameters: float, ready: Callable[[], None] | None = None) -> None:
        """Send a command until it is acknowledged; repeat it after a temporary rejection.

        Args:
            number: Number of the command.
            what: What the command does, for error messages.
            parameters: Its first parameters; the others are 0.
            ready: Called right before each sending; may raise to prevent it.

        Raises:
            TargetError: It is refused or not acknowledged; contains the vehicle's own text messages.
        """
        values = np.zeros(7)
        values[: len(parameters)] = parameters
        refusal = ""
        self._texts.clear()
        for attempt in range(ATTEMPTS):
            self._acks.pop(number, None)
            target = self.link.system, self.link.component
            if ready is not None:
                ready()
            self.send(self.link.encode.command_long_encode(*target, number, attempt, *values))
            if not self.wait(lambda: self._acknowledged(number), ACK_SECONDS):
                continue
            result = self._acks[number].result
            if result == common.MAV_RESULT_ACCEPTED:
                return
            refusal = _REFUSED.get(result, f"result {result}")
            if result != common.MAV_RESULT_TEMPORARILY_REJECTED:
                break
            self.wait(lambda: False, 0.3)
        if not refusal:
            raise TargetError(f"the vehicle did not acknowledge the request to {what}, sent {ATTEMPTS} times")
        self.wait(lambda: False, 0.1)  # its message may arrive after the refusal
        texts = f"; its message: {'; '.join(self._texts)}" if self._texts else ""
        raise TargetError(f"the vehicle refuses to {what}: {refusal}{texts}")

    def set_mode(self, mode: Mode, seconds: float = 4.0, ready: Callable[[], None] | None = None) -> None:
        """Change the mode, and wait until a heartbeat confirms it.

        Args:
            mode: The mode.
            seconds: Time in which a heartbeat has to confirm it.
            ready: As for `command`.

        Raises TargetError if it is refused or not confirmed.
        """
        flag = common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
        self.command(common.MAV_CMD_DO_SET_MODE, f"change to {mode.name}", flag, mode.main, mode.sub, ready=ready)
        if not self.wait(lambda: self.is_in(mode), seconds):
            raise TargetError(f"the vehicle accepted {mode.name} but is not in it after {seconds:g} s")

    def arm(self, seconds: float = 4.0, ready: Callable[[], None] | None = None) -> None:
        """Arm the motors, and wait at most `seconds` until a heartbeat confirms it.

        Raises TargetError if it is refused or not confirmed; `ready` is as for `command`.
        """
        self.command(common.MAV_CMD_COMPONENT_ARM_DISARM, "arm", 1.0, ready=ready)
        if not self.wait(lambda: self.armed, seconds):
            raise TargetError(f"the vehicle accepted arming but is not armed after {seconds:g} s")

    def _acknowledged(self, number: int) -> bool:
        ack = self._acks.get(number)
        return ack is not None and ack.result != common.MAV_RESULT_IN_PROGRESS
