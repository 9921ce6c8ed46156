"""The modes of PX4 and ArduPilot that a companion computer requests."""

from __future__ import annotations

from typing import Any, NamedTuple

from pymavlink.dialects.v20 import common

from sim2real.flight.target import TargetError


class Mode(NamedTuple):
    """A mode of an autopilot, with its numbers in MAV_CMD_DO_SET_MODE and heartbeats."""

    name: str
    main: int
    sub: int = 0


class Autopilot(NamedTuple):
    """Properties in which autopilots differ."""

    name: str
    commanded: Mode
    """Mode in which the autopilot follows setpoints."""
    land: Mode
    hold: Mode
    """Mode that stays in place without a pilot; ArduPilot's LOITER would follow the throttle stick."""
    mode_in_word: bool
    """Whether custom_mode has the main mode in byte 2 and the sub mode in byte 3, as in PX4."""
    velocity_lifts_off: bool
    """Whether an upward velocity makes it take off; ArduPilot ignores velocities on the ground."""

    def is_in(self, mode: Mode, custom_mode: int) -> bool:
        """Whether a heartbeat's custom_mode is this mode."""
        if not self.mode_in_word:
            return custom_mode == mode.main
        main, sub = custom_mode >> 16 & 0xFF, custom_mode >> 24 & 0xFF
        return main == mode.main and (not mode.sub or sub == mode.sub)


PX4 = Autopilot("PX4", Mode("OFFBOARD", 6), Mode("AUTO.LAND", 4, 6), Mode("AUTO.LOITER", 4, 3), True, True)
ARDUPILOT = Autopilot("ArduPilot", Mode("GUIDED", 4), Mode("LAND", 9), Mode("BRAKE", 17), False, False)
_KNOWN = {common.MAV_AUTOPILOT_PX4: PX4, common.MAV_AUTOPILOT_ARDUPILOTMEGA: ARDUPILOT}
_ROTARY_WINGS = (
    common.MAV_TYPE_QUADROTOR,
    common.MAV_TYPE_HEXAROTOR,
    common.MAV_TYPE_OCTOROTOR,
    common.MAV_TYPE_TRICOPTER,
    common.MAV_TYPE_COAXIAL,
    common.MAV_TYPE_DODECAROTOR,
    common.MAV_TYPE_DECAROTOR,
    common.MAV_TYPE_GENERIC_MULTIROTOR,
)


def autopilot_of(heartbeat: Any) -> Autopilot:
    """Autopilot of a heartbeat.

    Raises TargetError for an unknown one and for other vehicles than multicopters.
    """
    if heartbeat.autopilot not in _KNOWN:
        raise TargetError(f"the vehicle's autopilot is number {heartbeat.autopilot}; allowed: PX4 (12), ArduPilot (3)")
    if heartbeat.type not in _ROTARY_WINGS:
        raise TargetError(f"the vehicle is of type {heartbeat.type}; allowed: multicopters")
    return _KNOWN[heartbeat.autopilot]
