"""MAVLink over loopback UDP, against a vehicle in another process that flies the quadrotor's dynamics."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hover_controller import commanding_controller
from support.loop_stand_ins import ScriptedPolicy
from support.quick_clock import QuickClock
from support.vehicle_process import SPEED, VehicleProcess, free_port

import robots
from hgrpo_control.cli import main
from policies.spec import PolicySpec
from robots.quadrotor.flight.simulator import QuadrotorFlight
from sim2real.export.onnx import export_onnx
from sim2real.flight import clock
from sim2real.flight.clock import MonotonicClock
from sim2real.flight.loop import Flight, LoopOptions, fly
from sim2real.flight.target import TargetEnded, TargetError
from sim2real.flight.watchdog import WatchdogOptions
from sim2real.policy.onnx_policy import OnnxPolicy

pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")

from sim2real.targets.goals import GoalOptions
from sim2real.targets.mavlink import MavlinkTarget

pytestmark = pytest.mark.slow

CLOCK = QuickClock(SPEED)
NEVER = WatchdogOptions(hold_seconds=20.0)  # of a busy machine the flights here must not depend
USUAL = {"hover_thrust": 0.42, "arm": True, "stream_seconds": 0.3, "listen_seconds": 0.0, "max_age": 5.0}
PATIENT = LoopOptions(seconds=5.0, max_age=5.0, watchdog=NEVER)


@pytest.fixture(scope="module")
def process() -> Iterator[VehicleProcess]:
    vehicle = VehicleProcess()
    vehicle()  # it is up
    yield vehicle
    vehicle.close()


@pytest.fixture
def vehicle(process: VehicleProcess) -> VehicleProcess:
    process(reset=True, setpoint_loss=5.0)  # of a busy machine its failsafe must not depend
    return process


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, paths = tmp_path_factory.mktemp("exported"), {}
    for interface in ("ctbr", "velocity"):
        simulator = robots.make("quadrotor-hover", interface=interface)
        assert isinstance(simulator, QuadrotorFlight)
        paths[interface] = folder / f"{interface}.onnx"
        export_onnx(commanding_controller(simulator), paths[interface])
    return paths


def target(spec: PolicySpec, vehicle: VehicleProcess, /, **options: Any) -> MavlinkTarget:
    return MavlinkTarget(spec, CLOCK, vehicle.connection, **{**USUAL, **options})


def flown(path: Path, vehicle: VehicleProcess, /, options: LoopOptions = PATIENT, **more: Any) -> Flight:
    policy = OnnxPolicy(path)
    return fly(policy, target(policy.spec, vehicle, **more), options, CLOCK)


class UntilSettled:
    """A policy that ends the flight after a second of ticks within 6 cm of the goal, however long that takes."""

    def __init__(self, policy: OnnxPolicy) -> None:
        self.policy, self.spec, self.near = policy, policy.spec, 0

    def __call__(self, observation: np.ndarray, /) -> np.ndarray:
        self.near = self.near + 1 if np.linalg.norm(observation[:3]) < 0.06 else 0
        if self.near >= 100:
            raise TargetEnded("settled")
        return self.policy(observation)


@pytest.mark.parametrize("interface", ["ctbr", "velocity"])
def test_takes_off_hovers_at_the_goal_and_lands(
    interface: str, exported: dict[str, Path], vehicle: VehicleProcess
) -> None:
    vehicle(garbage=True)
    policy = UntilSettled(OnnxPolicy(exported[interface]))
    where: list[list[float]] = []
    flying = target(policy.spec, vehicle, goals=GoalOptions((0.4, -0.3, 0.6)), vehicle="7")
    land = flying.stop

    def stop() -> None:
        where.append(vehicle()["position"])
        land()

    flying.stop = stop  # type: ignore[method-assign]
    options = LoopOptions(seconds=60.0, max_age=5.0, watchdog=NEVER)
    assert fly(policy, flying, options, CLOCK).reason == "settled"
    # x is north and y west of where it stood: the goal in the frame that the vehicle's dynamics are written in
    np.testing.assert_allclose(where[0], [0.4, -0.3, 0.6], atol=0.1)
    truth = vehicle.until(lambda truth: "LANDED" in truth["log"])
    assert truth["log"] == ["OFFBOARD", "LAND", "LANDED"]
    assert truth["gcs_heartbeats"] >= 2
    assert truth["intervals"] == pytest.approx([0.01, 0.01])  # asked for at the policy's rate


def test_the_command_flies(
    exported: dict[str, Path], vehicle: VehicleProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "MonotonicClock", lambda spin_seconds: CLOCK)
    record = tmp_path / "flight.npz"
    words = ["fly", str(exported["ctbr"]), "mavlink", "--connection", vehicle.connection, "--arm"]
    words += ["--hover-thrust", "0.42", "--goal", "0.4", "-0.3", "0.6", "--seconds", "0.3", "--record", str(record)]
    assert main([*words, "--max-age", "5", "--hold-seconds", "20"]) == 0
    with np.load(record) as file:
        np.testing.assert_allclose(file["observation"][0, :3], [0.4, -0.3, 0.6], atol=0.02)
    assert vehicle.until(lambda truth: "LAND" in truth["log"])["log"][:2] == ["OFFBOARD", "LAND"]


def test_when_our_setpoints_stop_the_vehicle_lands_by_itself(
    exported: dict[str, Path], vehicle: VehicleProcess
) -> None:
    vehicle(airborne=0.5, setpoint_loss=1.5)
    spec = OnnxPolicy(exported["velocity"]).spec
    flying = target(spec, vehicle)
    flying.start()
    vehicle.until(lambda truth: truth["log"] == ["OFFBOARD", "FAILSAFE", "LAND", "LANDED"])
    flying.vehicle.wait(lambda: not flying.vehicle.armed, 5.0)
    flying.stop()  # has nothing to say to a vehicle that has landed
    assert vehicle()["log"][-1] == "LANDED"


def test_when_the_vehicle_falls_silent_the_watchdog_stops(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(airborne=0.5)
    policy = OnnxPolicy(exported["velocity"])
    calls = []

    class Silencing:
        spec = policy.spec

        def __call__(self, observation: np.ndarray, /) -> np.ndarray:
            calls.append(1)
            if len(calls) == 20:
                vehicle(silent=True)
            return policy(observation)

    options = LoopOptions(seconds=30.0, max_age=0.9, watchdog=WatchdogOptions(0.6, 0.9))
    with pytest.raises(TargetError, match=r"did not acknowledge the request to change to AUTO\.LAND, sent 4 times"):
        fly(Silencing(), target(policy.spec, vehicle), options, CLOCK)
    assert 20 <= len(calls) < 2000
    # it still hears, so it obeyed although nobody knows
    assert vehicle()["log"][:2] == ["OFFBOARD", "LAND"]


def test_a_pilot_who_takes_over_is_left_alone(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(airborne=0.5)
    policy = OnnxPolicy(exported["velocity"])
    calls = []

    class TakenOver:
        spec = policy.spec

        def __call__(self, observation: np.ndarray, /) -> np.ndarray:
            calls.append(1)
            if len(calls) == 20:
                vehicle(mode=1 << 16)
            return policy(observation)

    options = LoopOptions(seconds=30.0, max_age=5.0, watchdog=NEVER)
    flight = fly(TakenOver(), target(policy.spec, vehicle), options, CLOCK)
    assert flight.reason == "the vehicle left OFFBOARD (custom_mode 65536): a pilot or a failsafe controls it"
    assert vehicle()["log"] == ["OFFBOARD", str(1 << 16)]  # and nobody asked for landing


def test_holding_instead_of_landing(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(airborne=0.5)
    options = LoopOptions(seconds=0.2, max_age=5.0, watchdog=NEVER)
    flown(exported["velocity"], vehicle, options, on_stop="hold", goals=GoalOptions((0.0, 0.0, 0.0)))
    assert vehicle()["log"] == ["OFFBOARD", "LOITER"]


def test_ardupilot_is_flown_in_guided(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(airborne=0.5, autopilot=3)
    flown(exported["velocity"], vehicle, LoopOptions(seconds=0.2, max_age=5.0, watchdog=NEVER))
    assert vehicle()["log"][:2] == ["OFFBOARD", "LAND"]  # its names for GUIDED and LAND


def test_a_refusal_to_arm_is_told_in_the_vehicles_words(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(refuse_arming="Preflight Fail: compass")
    with pytest.raises(TargetError, match=r"refuses to arm: DENIED; .*Preflight Fail: compass"):
        flown(exported["ctbr"], vehicle)
    assert vehicle()["position"] == [0.0, 0.0, 0.0]


def test_it_is_not_armed_unless_asked(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    with pytest.raises(TargetError, match="the vehicle is disarmed; --arm"):
        flown(exported["ctbr"], vehicle, arm=False)
    assert vehicle()["log"] == []


def test_lost_acknowledgements_are_asked_for_again(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(airborne=0.5, lose_acks=2)
    flown(exported["velocity"], vehicle, LoopOptions(seconds=0.1, max_age=5.0, watchdog=NEVER))
    assert vehicle()["log"][:2] == ["OFFBOARD", "LAND"]


def test_a_vehicle_without_an_estimate_is_named(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(estimate=False)
    with pytest.raises(TargetError, match="sends no LOCAL_POSITION_NED and ATTITUDE_QUATERNION; does it have"):
        flown(exported["ctbr"], vehicle, wait_seconds=1.0)


def test_offboard_is_refused_to_who_does_not_stream(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    flying = target(OnnxPolicy(exported["ctbr"]).spec, vehicle)
    try:
        flying.vehicle.connect(10.0)
        with pytest.raises(TargetError, match=r"TEMPORARILY_REJECTED; .*Offboard activation failed"):
            flying.vehicle.set_mode(flying.vehicle.autopilot.commanded)
    finally:
        flying.stop()


def test_one_of_several_is_not_guessed(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(garbage=True)
    message = r": (7:127\.0\.0\.1:\d+), 8:127\.0\.0\.1:\d+; choose one, as --vehicle SYSID"
    with pytest.raises(TargetError, match=message) as refused:
        flown(exported["ctbr"], vehicle, listen_seconds=1.0)
    assert vehicle()["log"] == []
    vehicle(airborne=0.5)
    named = re.search(message, str(refused.value))
    assert named is not None
    options = LoopOptions(seconds=0.1, max_age=5.0, watchdog=NEVER)
    flown(exported["velocity"], vehicle, options, listen_seconds=1.0, vehicle=named[1])
    assert vehicle()["log"][:2] == ["OFFBOARD", "LAND"]


def test_an_unknown_autopilot_is_refused(exported: dict[str, Path], vehicle: VehicleProcess) -> None:
    vehicle(autopilot=0)
    with pytest.raises(TargetError, match=r"autopilot is number 0; .*PX4"):
        flown(exported["ctbr"], vehicle)


def test_nobody_there() -> None:
    with pytest.raises(TargetError, match=r"no vehicle's heartbeat on udpin:127\.0\.0\.1:\d+ within 0.1 s"):
        _fly_nowhere(f"udpin:127.0.0.1:{free_port()}")
    with pytest.raises(TargetError, match="no vehicle's heartbeat on udpout"):
        _fly_nowhere(f"udpout:127.0.0.1:{free_port()}")


@pytest.mark.parametrize("connection", ["", "udp:1.2.3.4:5", "udpin:1.2.3.4", "udpin:1.2.3.4:0", "serial:/dev/x:fast"])
def test_connections_of_another_form(connection: str) -> None:
    with pytest.raises(TargetError, match=r"allowed: udpin:HOST:PORT \(listen\)"):
        _fly_nowhere(connection)


def test_a_port_that_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        with pytest.raises(TargetError, match=r"cannot open 127\.0\.0\.1:.* in use"):
            _fly_nowhere(f"udpin:127.0.0.1:{holder.getsockname()[1]}")


def _fly_nowhere(connection: str) -> None:
    spec = _spec("ctbr")
    where = MavlinkTarget(spec, MonotonicClock(), connection, wait_seconds=0.1)
    fly(ScriptedPolicy(lambda n: 1.0, spec), where, LoopOptions(seconds=1.0))


def _spec(interface: str, task: str = "quadrotor-hover") -> PolicySpec:
    from hgrpo_control.config.learning import Network
    from hgrpo_control.training.simulation import policy_spec

    return policy_spec(robots.make(task, interface=interface).spec, Network(), critic=False)


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (("motors",), {}, "actions of type 'motors' cannot be sent over MAVLink"),
        (("ctbr", "quadrotor-gates"), {}, r"'next_gate_.*' \[m\] in body has no source on this vehicle"),
        (("ctbr",), {"hover_thrust": 1.0}, "hover_thrust .* given 1.0"),
    ],
)
def test_what_cannot_be_flown_is_refused_at_construction(
    spec: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        MavlinkTarget(_spec(*spec), MonotonicClock(), f"udpin:127.0.0.1:{free_port()}", **options)


def test_waypoint_policies_are_taken() -> None:
    MavlinkTarget(_spec("velocity", "quadrotor-waypoints"), MonotonicClock(), f"udpin:127.0.0.1:{free_port()}").stop()
