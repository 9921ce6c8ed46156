"""PX4 and ArduPilot multicopters as a target, by body rates or velocity.

Start: find the vehicle by its heartbeat; several vehicles are an error. Request LOCAL_POSITION_NED and
ATTITUDE_QUATERNION at the policy's rate. Stream setpoints for a second, because PX4 enters OFFBOARD only while they
arrive. Change to OFFBOARD (ArduPilot: GUIDED), and arm if `arm` is set. Both are requested only while the motion of the
vehicle is finite and young. Setpoints are zero while the vehicle is disarmed, and the safe action while it is armed.

Flight: interface=ctbr is sent as SET_ATTITUDE_TARGET. Its thrust is `hover_thrust` times the collective thrust in g, so
`hover_thrust` is the share at which the vehicle hovers (PX4: MPC_THR_HOVER), and thrust has to be about linear in it.
ArduPilot reads thrust there only with bit 3 of GUID_OPTIONS set, otherwise a climb rate. interface=velocity is sent as
SET_POSITION_TARGET_LOCAL_NED, rotated from the heading frame into the world by the last attitude. ArduPilot ignores it
on the ground, so it takes off by command (MAV_CMD_NAV_TAKEOFF) once it is armed.

End: the flight ends if the vehicle disarms or leaves the mode. A pilot or a failsafe then controls it, and nothing more
is sent. Stopping requests landing or holding, and sends the safe action until the mode is confirmed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pymavlink.dialects.v20 import common

from policies.spec import PolicySpec
from sim2real.flight.clock import Clock
from sim2real.flight.target import Reading, TargetEnded, TargetError
from sim2real.targets.goals import DEFAULT_GOALS, GoalOptions
from sim2real.targets.mavlink_vehicle import LISTEN_SECONDS, LOST_AFTER, MavlinkVehicle
from sim2real.targets.ned import flip
from sim2real.targets.setpoints import DEFAULT_MAX_AGE, Setpoints, motion_problem

TAKEOFF_HEIGHT = 1.0  # [m], of ArduPilot's takeoff by command
TAKEOFF_SECONDS = 20.0  # [s] that this takeoff may take
_RATES_AND_THRUST = common.ATTITUDE_TARGET_TYPEMASK_ATTITUDE_IGNORE
_VELOCITY_AND_YAW_RATE = (
    common.POSITION_TARGET_TYPEMASK_X_IGNORE
    | common.POSITION_TARGET_TYPEMASK_Y_IGNORE
    | common.POSITION_TARGET_TYPEMASK_Z_IGNORE
    | common.POSITION_TARGET_TYPEMASK_AX_IGNORE
    | common.POSITION_TARGET_TYPEMASK_AY_IGNORE
    | common.POSITION_TARGET_TYPEMASK_AZ_IGNORE
    | common.POSITION_TARGET_TYPEMASK_YAW_IGNORE
)
_SHOWN = (common.MAVLINK_MSG_ID_LOCAL_POSITION_NED, common.MAVLINK_MSG_ID_ATTITUDE_QUATERNION)


class MavlinkTarget:
    """One multicopter that speaks MAVLink.

    Args:
        spec: The policy's interface.
        clock: Clock of the loop.
        connection: udpin:HOST:PORT, udpout:HOST:PORT or serial:DEVICE:BAUD.
        goals: Points to fly to, in our world (x north, y west, z up).
        hover_thrust: Share of full thrust at which the vehicle hovers.
        arm: Whether to arm a disarmed vehicle.
        on_stop: Mode at the end of the flight.
        vehicle: SYSID[:ADDRESS] of the vehicle; empty for the only one that sends heartbeats.
        max_age: Age that its position and attitude may have when it is taken over or armed [s].
        wait_seconds: Time that each step of the start may take [s].
        stream_seconds: Duration of the setpoints before the mode is requested [s].
        listen_seconds: Time after the first heartbeat in which other vehicles are looked for [s].

    Raises TargetError for a policy that commands motors or reads what the vehicle does not measure, and for a
    connection that cannot be opened.
    """

    def __init__(
        self,
        spec: PolicySpec,
        clock: Clock,
        connection: str,
        goals: GoalOptions = DEFAULT_GOALS,
        hover_thrust: float = 0.5,
        arm: bool = False,
        on_stop: Literal["land", "hold"] = "land",
        vehicle: str = "",
        max_age: float = DEFAULT_MAX_AGE,
        wait_seconds: float = 10.0,
        stream_seconds: float = 1.0,
        listen_seconds: float = LISTEN_SECONDS,
    ) -> None:
        refusal = "over MAVLink, which has no setpoint for them; train with interface=ctbr or interface=velocity"
        self._setpoints = Setpoints(spec, goals, hover_thrust, refusal)
        self._hz, self._safe = spec.control_hz, np.array(spec.safe_action, np.float64)
        self._arm, self._on_stop = arm, on_stop
        self._max_age, self._wait, self._stream = max_age, wait_seconds, stream_seconds
        self._listen = listen_seconds
        self._takeoff = np.full(3, np.nan)
        self.vehicle = MavlinkVehicle(connection, clock, vehicle)

    def start(self) -> None:
        """Connect, stream setpoints, change the mode, arm; raises TargetError if a step fails."""
        vehicle = self.vehicle
        vehicle.connect(self._wait, self._listen)
        self._request_messages()
        if not vehicle.armed and not self._arm:
            raise TargetError("the vehicle is disarmed; --arm allows this program to arm it")
        vehicle.stream = self._wait_in_place
        vehicle.wait(lambda: False, self._stream)
        vehicle.set_mode(vehicle.autopilot.commanded, ready=self._require_motion)
        if not vehicle.armed:
            vehicle.arm(ready=self._require_motion)
            if self._setpoints.kind == "velocity" and not vehicle.autopilot.velocity_lifts_off:
                self._lift_off()
        self._setpoints.take_off_from(self._takeoff)

    def read(self) -> Reading | None:
        """Observation of the last motion, stamped with the arrival of its older part."""
        vehicle = self.vehicle
        vehicle.service()
        if vehicle.silence > LOST_AFTER:
            raise ConnectionError(f"no heartbeat of the vehicle for {LOST_AFTER:g} s")
        if not vehicle.armed:
            raise TargetEnded("the vehicle disarmed")
        if not vehicle.is_in(vehicle.autopilot.commanded):
            raise TargetEnded(
                f"the vehicle left {vehicle.autopilot.commanded.name} (custom_mode {vehicle.heartbeat.custom_mode}): "
                "a pilot or a failsafe controls it"
            )
        known = vehicle.motion()
        return None if known is None else self._setpoints.reading(*known)

    def apply(self, action: NDArray[np.float64], /) -> None:
        """Send a setpoint, and store the action for the observation."""
        self._setpoints.applied(action)
        self._send(action)

    def stop(self) -> None:
        """Land or hold if the vehicle is armed and still in the commanded mode.

        Then close the connection.

        Raises TargetError if this is not confirmed. The vehicle's failsafe for lost setpoints then acts.
        """
        vehicle = self.vehicle
        try:
            if vehicle.heartbeat is None or not hasattr(vehicle, "autopilot"):
                return
            vehicle.service()
            if vehicle.armed and vehicle.is_in(vehicle.autopilot.commanded):
                vehicle.stream = lambda: self._send(self._safe)
                vehicle.set_mode(vehicle.autopilot.land if self._on_stop == "land" else vehicle.autopilot.hold)
        finally:
            vehicle.link.close()

    def _request_messages(self) -> None:
        vehicle = self.vehicle
        for number in _SHOWN:
            interval = 1e6 / self._hz
            try:
                vehicle.command(common.MAV_CMD_SET_MESSAGE_INTERVAL, "send its motion", number, interval)
            except TargetError:
                continue  # it may send them anyway; otherwise max_age ends the start
        if not vehicle.wait(lambda: not vehicle.missing(), self._wait):
            names = " and ".join(vehicle.missing())
            raise TargetError(f"the vehicle sends no {names}; does it have an estimate of its position?")

    def _lift_off(self) -> None:
        """Take off by command.

        Raises TargetError if it is refused or the vehicle does not rise.

        If the vehicle disarms or leaves the mode meanwhile, the first reading ends the flight.
        """
        vehicle, ground = self.vehicle, self._takeoff

        def done() -> bool:
            known, commanded = vehicle.motion(), vehicle.armed and vehicle.is_in(vehicle.autopilot.commanded)
            return not commanded or (known is not None and known[0].position[2] - ground[2] >= 0.9 * TAKEOFF_HEIGHT)

        vehicle.stream = None  # a velocity would end the take-off
        height = (*(0.0,) * 6, TAKEOFF_HEIGHT)
        vehicle.command(common.MAV_CMD_NAV_TAKEOFF, "take off", *height, ready=self._require_motion)
        self._takeoff = ground
        if not vehicle.wait(done, TAKEOFF_SECONDS):
            wanted = f"{TAKEOFF_HEIGHT:g} m in {TAKEOFF_SECONDS:g} s"
            raise TargetError(f"the vehicle accepted the takeoff but has not risen by {wanted}")

    def _require_motion(self) -> None:
        """Store the position once the motion is finite and young.

        Raises TargetError if it is not in time.
        """
        vehicle = self.vehicle

        def problem() -> str:
            return motion_problem(vehicle.motion(), vehicle.clock.now(), self._max_age)

        known = vehicle.motion()
        if not vehicle.wait(lambda: not problem(), self._wait) or (known := vehicle.motion()) is None:
            raise TargetError(f"the vehicle cannot take off: {problem()}, after {self._wait:g} s")
        self._takeoff = known[0].position

    def _wait_in_place(self) -> None:
        self._send(self._safe if self.vehicle.armed else np.zeros(4))

    def _send(self, action: NDArray[np.float64]) -> None:
        vehicle = self.vehicle
        encode, target = vehicle.link.encode, (vehicle.link.system, vehicle.link.component)
        if self._setpoints.kind == "ctbr":
            rates = flip(action[1:])
            thrust = min(max(self._setpoints.thrust(action), 0.0), 1.0)
            level = (1.0, 0.0, 0.0, 0.0)  # ignored
            message = encode.set_attitude_target_encode(
                vehicle.boot_ms, *target, _RATES_AND_THRUST, level, *rates.tolist(), thrust
            )
        else:
            velocity = flip(self._setpoints.velocity(action))
            message = encode.set_position_target_local_ned_encode(
                vehicle.boot_ms,
                *target,
                common.MAV_FRAME_LOCAL_NED,
                _VELOCITY_AND_YAW_RATE,
                *(0.0, 0.0, 0.0),
                *velocity.tolist(),
                *(0.0, 0.0, 0.0),
                0.0,
                -float(action[3]),
            )
        vehicle.send(message)
