"""A Crazyflie as a target, through cflib.

The policy runs on this computer and setpoints go by radio.

The state comes in two log blocks at the policy's rate, at most 100 Hz. One has stateEstimate.x to vz and, if the
firmware has it, supervisor.info. The other has stateEstimate.qw to qz and gyro.x to z, in degrees and in half precision
to fit the packet. World: z up, x and y of the estimator. Body: x forward, y left, z up, as in training.

interface=ctbr is sent as the legacy roll-pitch-yaw-thrust setpoint, in degrees per second. The parameters
flightmode.stabModeRoll, stabModePitch and stabModeYaw are set to 0 (rate) and restored at the end. Signs: cflib and the
firmware both invert pitch, which cancels. The firmware inverts yaw (crtp_commander_rpyt.c: "legacy rate input is
inverted"), so the sign of the yaw rate is changed here. Thrust is `hover_thrust` times the collective thrust in g times
65535, at most 60000, the limit of the firmware; `hover_thrust` is the weight over 4 THRUST_MAX of the platform. The
firmware locks thrust until it receives a setpoint without thrust, which is sent first. interface=velocity is sent as a
velocity in the world, rotated from the heading frame by the last attitude, and a yaw rate in degrees per second.

At the end the high-level commander lands at the height of the start. If the link is lost, the firmware levels the drone
500 ms after the last setpoint and stops the motors after 2 s.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import cflib.crtp
import numpy as np
from cflib.crazyflie import Crazyflie
from cflib.crazyflie.log import LogConfig
from numpy.typing import NDArray

from hgrpo_errors import printable
from policies.spec import PolicySpec
from sim2real.flight.clock import Clock
from sim2real.flight.target import Reading, TargetEnded, TargetError
from sim2real.targets.goals import DEFAULT_GOALS, GoalOptions
from sim2real.targets.observation import Motion
from sim2real.targets.setpoints import DEFAULT_MAX_AGE, Setpoints, motion_problem

MOST_THRUST = 60000  # limit of the firmware for a legacy setpoint
LANDING_SPEED = 0.4  # [m/s]
_PLACE = tuple(f"stateEstimate.{name}" for name in ("x", "y", "z", "vx", "vy", "vz"))
_TURN = tuple(f"stateEstimate.q{name}" for name in "wxyz")
_RATES = tuple(f"gyro.{name}" for name in "xyz")
_SUPERVISOR = "supervisor.info"
_FALLEN = {5: "tumbled", 6: "locked", 7: "crashed"}  # bits of supervisor.info
_MODES = tuple(f"flightmode.stabMode{axis}" for axis in ("Roll", "Pitch", "Yaw"))


class CrazyflieTarget:
    """One Crazyflie behind a cflib URI.

    Args:
        spec: The policy's interface.
        clock: Clock of the loop.
        uri: URI of the Crazyflie.
        goals: Points to fly to, in the world of the estimator.
        hover_thrust: Share of full thrust at which the Crazyflie hovers.
        arm: Whether to send the arming request that brushless Crazyflies need.
        max_age: Age that its position and attitude may have at the start [s].
        wait_seconds: Time that each step of the start may take [s].

    Raises TargetError for a policy that commands motors, which only the firmware can execute, and for an observation
    that a Crazyflie does not measure.
    """

    def __init__(
        self,
        spec: PolicySpec,
        clock: Clock,
        uri: str,
        goals: GoalOptions = DEFAULT_GOALS,
        hover_thrust: float = 0.5,
        arm: bool = False,
        max_age: float = DEFAULT_MAX_AGE,
        wait_seconds: float = 30.0,
    ) -> None:
        refusal = "to a Crazyflie by radio; for motors on board: hgrpo export RUN --crazyflie APP"
        self._setpoints = Setpoints(spec, goals, hover_thrust, refusal)
        self._clock, self._uri, self._arm, self._max_age, self._wait = clock, uri, arm, max_age, wait_seconds
        self._period_ms = 10 * max(1, round(100.0 / spec.control_hz))
        self._connected, self._lost = threading.Event(), ""
        self._place: tuple[dict[str, float], float] | None = None  # values and arrival; written by cflib's thread
        self._turn: tuple[dict[str, float], float] | None = None
        self._start_height, self._modes = math.nan, dict[str, str]()
        self._cf: Any = None

    def start(self) -> None:
        """Connect, start the log blocks, set rate mode, unlock thrust, arm.

        Raises TargetError if a step fails.
        """
        if not cflib.crtp.CLASSES:
            cflib.crtp.init_drivers()
        self._cf = cf = Crazyflie()
        cf.fully_connected.add_callback(lambda uri: self._connected.set())
        cf.connection_failed.add_callback(self._fail)
        cf.connection_lost.add_callback(self._fail)
        cf.open_link(self._uri)
        self._wait_for(self._connected.is_set, f"no Crazyflie answers on {self._uri}")
        self._log()
        self._wait_for(lambda: self._place is not None and self._turn is not None, "the Crazyflie sends no state")
        self._wait_for_motion()
        if self._setpoints.kind == "ctbr":
            self._modes = {name: cf.param.get_value(name) for name in _MODES}
            for name in _MODES:
                cf.param.set_value(name, 0)
            cf.commander.send_setpoint(0.0, 0.0, 0.0, 0)
        known = self._wait_for_motion()
        self._start_height = float(known.position[2])
        self._setpoints.take_off_from(known.position)
        if self._arm:
            cf.supervisor.send_arming_request(True)

    def read(self) -> Reading | None:
        """Observation of the last state, stamped with the arrival of the older log block."""
        if self._lost:
            raise ConnectionError(self._lost)
        known = self._motion()
        if known is None:
            return None
        assert self._place is not None  # both blocks have arrived
        fallen = int(self._place[0].get(_SUPERVISOR, 0))
        for bit, word in _FALLEN.items():
            if fallen >> bit & 1:
                raise TargetEnded(f"the Crazyflie has {word}, by its supervisor")
        return self._setpoints.reading(*known)

    def apply(self, action: NDArray[np.float64], /) -> None:
        """Send a setpoint, and store the action for the observation."""
        self._setpoints.applied(action)
        if self._setpoints.kind == "ctbr":
            roll, pitch, yaw = np.rad2deg(action[1:]).tolist()
            thrust = int(min(max(65535.0 * self._setpoints.thrust(action), 0.0), MOST_THRUST))
            self._cf.commander.send_setpoint(roll, pitch, -yaw, thrust)
        else:
            velocity = self._setpoints.velocity(action)
            self._cf.commander.send_velocity_world_setpoint(*velocity.tolist(), math.degrees(action[3]))

    def stop(self) -> None:
        """Land by the high-level commander if the link is up and the flight had begun.

        Then close the link.
        """
        cf = self._cf
        if cf is None:
            return
        try:
            known = self._motion()
            if not self._connected.is_set() or self._lost or known is None:
                return
            begun = math.isfinite(self._start_height)
            height = float(known[0].position[2]) - self._start_height
            seconds = max(1.0, height / LANDING_SPEED) if math.isfinite(height) else 2.0
            if begun:  # otherwise landing would start the motors
                cf.commander.send_notify_setpoint_stop()
                cf.high_level_commander.land(self._start_height, seconds)
            for name, value in self._modes.items():
                cf.param.set_value(name, value)  # sent while it lands
            self._clock.sleep_until(self._clock.now() + (seconds if begun else 0.2))
            cf.commander.send_stop_setpoint()
        finally:
            cf.close_link()

    def _log(self) -> None:
        toc = self._cf.log.toc
        state, turn = (LogConfig(name, self._period_ms) for name in ("place", "turn"))
        for name in _PLACE:
            state.add_variable(name, "float")
        if toc.get_element_by_complete_name(_SUPERVISOR) is not None:
            state.add_variable(_SUPERVISOR, "uint16_t")
        for name in _TURN:
            turn.add_variable(name, "float")
        for name in _RATES:
            turn.add_variable(name, "FP16")
        state.data_received_cb.add_callback(lambda stamp, values, block: self._store_place(values))
        turn.data_received_cb.add_callback(lambda stamp, values, block: self._store_turn(values))
        for block in (state, turn):
            try:
                self._cf.log.add_config(block)
            except (KeyError, AttributeError) as error:
                raise TargetError(f"the Crazyflie cannot log its state: {error}") from error
            block.start()

    def _store_place(self, values: dict[str, float]) -> None:
        self._place = values, self._clock.now()

    def _store_turn(self, values: dict[str, float]) -> None:
        self._turn = values, self._clock.now()

    def _motion(self) -> tuple[Motion, float] | None:
        place, turn = self._place, self._turn
        if place is None or turn is None:
            return None
        where = np.array([place[0][name] for name in _PLACE])
        motion = Motion(
            position=where[:3],
            velocity=where[3:],
            quaternion=np.array([turn[0][name] for name in _TURN]),
            angular_velocity=np.deg2rad([turn[0][name] for name in _RATES]),
        )
        return motion, min(place[1], turn[1])

    def _wait_for_motion(self) -> Motion:
        """A motion that is finite and young; raises TargetError if there is none in time."""
        end = self._clock.now() + self._wait
        while True:
            known = self._motion()
            problem = motion_problem(known, self._clock.now(), self._max_age)
            if known is not None and not problem:
                return known[0]
            if self._lost:
                raise TargetError(f"the Crazyflie cannot be reached: {self._lost}")
            if self._clock.now() >= end:
                raise TargetError(f"the Crazyflie cannot take off: {problem}, after {self._wait:g} s")
            self._clock.sleep_until(self._clock.now() + 0.01)

    def _fail(self, uri: str, message: str) -> None:
        self._lost = printable(f"{uri}: {message.strip().splitlines()[0]}" if message.strip() else uri)

    def _wait_for(self, condition: Any, problem: str) -> None:
        end = self._clock.now() + self._wait
        while not condition():
            if self._lost:
                raise TargetError(f"the Crazyflie cannot be reached: {self._lost}")
            if self._clock.now() >= end:
                raise TargetError(f"{problem} within {self._wait:g} s")
            self._clock.sleep_until(self._clock.now() + 0.01)
