"""A multicopter that speaks MAVLink over UDP and flies the built-in quadrotor's dynamics in real time.

    python -m tests.support.simulated_vehicle --port 14540     # calls 127.0.0.1:14540, as PX4's simulators do

It has PX4's rules where a companion computer meets them: OFFBOARD is refused unless setpoints have been coming, arming
unless it stands level, and where setpoints stop in OFFBOARD for 0.5 s it lands by itself. Ctrl-C ends it. It reads
nothing, so it needs no terminal, but for `--commanded`: then lines of JSON on its standard input change what it does
({"refuse_arming": "Preflight Fail: ..."}), each is answered by a line with what is true, and their end ends it.

Its frames are written down here independently of sim2real/targets/ned.py: the world of the dynamics is taken as NWU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import queue
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

import torch
from pymavlink.dialects.v20 import common

from .flying_body import SUBSTEP, Body  # relative: it runs as tests.support.simulated_vehicle too
from .quick_clock import QuickClock

BEHIND = 0.02  # [s] that are made up for after a stall; on a machine too busy for more, the world runs slower
OFFBOARD, LAND, LOITER, MANUAL = 6 << 16, 4 << 16 | 6 << 24, 4 << 16 | 3 << 24, 1 << 16
ARDUPILOT = {4: OFFBOARD, 17: LOITER, 9: LAND, 0: MANUAL}  # what it calls GUIDED, BRAKE, LAND, STABILIZE
HOVER_THRUST = 0.42


class Vehicle:
    """Autopilot and radio around a body."""

    def __init__(self, port: int, speed: float) -> None:
        self.body = Body()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.ground = ("127.0.0.1", port)
        self.wire = common.MAVLink(None, srcSystem=7, srcComponent=1)
        self.wire.robust_parsing = True
        self.clock = QuickClock(speed)
        self.boot = self.clock.now()
        self.reset()

    def reset(self) -> None:
        """On the ground, disarmed, everything as it should be."""
        self.body.place(0.0)
        self.mode, self.armed = MANUAL, False
        self.autopilot = common.MAV_AUTOPILOT_PX4
        self.refuse_arming = ""
        self.silent = self.deaf = False  # nothing is sent, nothing is heard
        self.estimate = True  # whether there is a position
        self.lose_acks = 0
        self.setpoint_loss = 0.5  # [s]
        self.garbage = False
        self.intervals = {common.MAVLINK_MSG_ID_LOCAL_POSITION_NED: 0.5, common.MAVLINK_MSG_ID_ATTITUDE_QUATERNION: 0.5}
        self.due = dict.fromkeys((*self.intervals, 0), 0.0)
        self.setpoint: tuple[str, list[float]] = ("off", [])
        self.setpoints: list[float] = []  # arrival of the last ones
        self.gcs_heartbeats: list[float] = []
        self.log: list[str] = []

    # --- what comes in

    def listen(self, now: float) -> None:
        while True:
            try:
                data, _ = self.socket.recvfrom(65536)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if self.deaf:
                continue
            for message in self.wire.parse_buffer(data) or ():
                self.obey(message, now)

    def obey(self, m: Any, now: float) -> None:
        kind = m.get_type()
        if kind == "HEARTBEAT" and m.type == common.MAV_TYPE_ONBOARD_CONTROLLER:
            self.gcs_heartbeats.append(now)
        elif kind == "SET_ATTITUDE_TARGET" and m.type_mask == 128 and m.target_system == 7:
            # FRD: pitching up is turning about the axis to the right, the opposite of ours, which points left
            rates = [m.body_roll_rate, -m.body_pitch_rate, -m.body_yaw_rate]
            self.take("ctbr", [m.thrust / HOVER_THRUST, *rates], now)
        elif kind == "SET_POSITION_TARGET_LOCAL_NED" and m.type_mask == 0b010111000111 and m.coordinate_frame == 1:
            north, west, up = m.vx, -m.vy, -m.vz
            c, s = math.cos(self.body.heading), math.sin(self.body.heading)
            self.take("velocity", [c * north + s * west, -s * north + c * west, up, -m.yaw_rate], now)
        elif kind == "COMMAND_LONG" and m.target_system == 7:
            if self.lose_acks:
                self.lose_acks -= 1
                return
            result = self.command(m, now)
            self.send(self.wire.command_ack_encode(m.command, result))

    def take(self, kind: str, command: list[float], now: float) -> None:
        self.setpoint = kind, command
        self.setpoints = [*self.setpoints[-9:], now]

    def command(self, m: Any, now: float) -> int:
        if m.command == common.MAV_CMD_SET_MESSAGE_INTERVAL:
            if int(m.param1) not in self.intervals:
                return common.MAV_RESULT_UNSUPPORTED
            self.intervals[int(m.param1)] = 1e-6 * m.param2
            return common.MAV_RESULT_ACCEPTED
        if m.command == common.MAV_CMD_DO_SET_MODE:
            wanted = int(m.param2) << 16 | int(m.param3) << 24
            if self.autopilot == common.MAV_AUTOPILOT_ARDUPILOTMEGA:
                wanted = ARDUPILOT[int(m.param2)]
            if wanted == OFFBOARD and not self.streamed(now):
                self.say("Offboard activation failed: no setpoints")
                return common.MAV_RESULT_TEMPORARILY_REJECTED
            self.change(wanted)
            return common.MAV_RESULT_ACCEPTED
        if m.command == common.MAV_CMD_COMPONENT_ARM_DISARM:
            if self.refuse_arming:
                self.say(self.refuse_arming)
                return common.MAV_RESULT_DENIED
            self.armed = m.param1 == 1.0
            self.body.forget()
            return common.MAV_RESULT_ACCEPTED
        return common.MAV_RESULT_UNSUPPORTED

    def streamed(self, now: float) -> bool:
        """Whether setpoints have been coming at more than 2 Hz."""
        return sum(now - at < 1.0 for at in self.setpoints) > 2

    def change(self, mode: int) -> None:
        self.mode = mode
        self.body.forget()
        self.log.append({OFFBOARD: "OFFBOARD", LAND: "LAND", LOITER: "LOITER"}.get(mode, str(mode)))

    # --- what goes out

    def send(self, message: Any) -> None:
        if self.silent:
            return
        self.socket.sendto(message.pack(self.wire), self.ground)
        self.wire.seq = (self.wire.seq + 1) % 256

    def say(self, text: str) -> None:
        self.send(self.wire.statustext_encode(common.MAV_SEVERITY_CRITICAL, text.encode()))

    def report(self, now: float) -> None:
        ms = int(1e3 * (now - self.boot))
        body = self.body.state
        if now >= self.due[0]:
            self.due[0] = now + 0.25
            base = common.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | (128 if self.armed else 0)
            shown = self.mode
            if self.autopilot == common.MAV_AUTOPILOT_ARDUPILOTMEGA:
                shown = next(number for number, mode in ARDUPILOT.items() if mode == self.mode)
            self.send(self.wire.heartbeat_encode(2, self.autopilot, base, shown, 4))
            if self.garbage:
                self.disturb()
        for number, interval in self.intervals.items():
            if now < self.due[number] or not self.estimate:
                continue
            self.due[number] = max(now, self.due[number] + interval)
            if number == common.MAVLINK_MSG_ID_LOCAL_POSITION_NED:
                (x, y, z), (vx, vy, vz) = body.position[0].tolist(), body.velocity[0].tolist()
                self.send(self.wire.local_position_ned_encode(ms, x, -y, -z, vx, -vy, -vz))
            else:
                (w, i, j, k), (p, q, r) = body.quaternion[0].tolist(), body.angular_velocity[0].tolist()
                self.send(self.wire.attitude_quaternion_encode(ms, w, i, -j, -k, p, -q, -r))

    def disturb(self) -> None:
        """What is no MAVLink, another vehicle, a camera on this one, a ground station, a checksum that does not fit."""
        self.socket.sendto(b"\x00\xffnonsense", self.ground)
        for system, component in ((8, 1), (7, common.MAV_COMP_ID_CAMERA), (255, 190)):
            other = common.MAVLink(None, srcSystem=system, srcComponent=component)
            for message in (
                other.local_position_ned_encode(0, 1e6, math.nan, 1e6, 0, 0, 0),
                other.heartbeat_encode(6 if system == 255 else 2, 12 if component == 1 else 8, 0, MANUAL, 4),
            ):
                self.socket.sendto(message.pack(other), self.ground)
        broken = bytearray(self.wire.local_position_ned_encode(0, 9e5, 0, 0, 0, 0, 0).pack(self.wire))
        broken[-1] ^= 0xFF
        self.socket.sendto(bytes(broken), self.ground)

    # --- flying

    def advance(self, now: float) -> None:
        """One substep: what the mode flies."""
        height = float(self.body.state.position[0, 2])
        if self.mode == OFFBOARD and self.armed and now - (self.setpoints or [0.0])[-1] > self.setpoint_loss:
            self.log.append("FAILSAFE")
            self.change(LAND)
        if not self.armed:
            self.body.fly("off", [])
        elif self.mode == OFFBOARD:
            self.body.fly(*self.setpoint)
        elif self.mode == LAND:
            self.body.fly("velocity", [0.0, 0.0, -0.7, 0.0])
            if height <= 0.0:
                self.armed = False
                self.log.append("LANDED")
        else:
            self.body.fly("velocity", [0.0] * 4)

    def truth(self) -> dict[str, Any]:
        state = self.body.state
        return {
            "position": state.position[0].tolist(),
            "velocity": state.velocity[0].tolist(),
            "armed": self.armed,
            "log": self.log,
            "gcs_heartbeats": len(self.gcs_heartbeats),
            "intervals": sorted(self.intervals.values()),
        }


def serve(vehicle: Vehicle, commanded: bool) -> None:
    """Fly by the clock; where it is commanded, until standard input ends."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    if commanded:
        threading.Thread(target=read, daemon=True).start()
    flown = vehicle.clock.now()
    while True:
        now = vehicle.clock.now()
        while not lines.empty():
            line = lines.get()
            if line is None:
                return
            apply(vehicle, json.loads(line))
            print(json.dumps(vehicle.truth()), flush=True)
        vehicle.listen(now)
        flown = max(flown, now - BEHIND)
        while flown + SUBSTEP <= now:
            vehicle.advance(now)
            flown += SUBSTEP
        vehicle.report(now)
        vehicle.clock.sleep_until(now + 0.002)


def apply(vehicle: Vehicle, wishes: dict[str, Any]) -> None:
    """Change what a line asks for."""
    for name, value in wishes.items():
        if name == "reset":
            vehicle.reset()
        elif name == "airborne":  # [m] up, armed, holding
            vehicle.body.place(value)
            vehicle.armed, vehicle.mode = True, LOITER
        elif name == "mode":
            vehicle.change(value)
        else:
            getattr(vehicle, name)
            setattr(vehicle, name, value)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=14540, help="of 127.0.0.1, that is called")
    parser.add_argument("--speed", type=float, default=1.0, help="times that of the real world")
    parser.add_argument("--commanded", action="store_true", help="obey lines of JSON on standard input, until it ends")
    return parser.parse_args(words)


if __name__ == "__main__":
    given = arguments()
    torch.set_num_threads(1)
    with torch.inference_mode(), contextlib.suppress(KeyboardInterrupt):
        serve(Vehicle(given.port, given.speed), given.commanded)
