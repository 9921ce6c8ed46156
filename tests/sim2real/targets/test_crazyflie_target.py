"""The Crazyflie target over cflib's own packet layer, with the firmware's side of the protocol behind it."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.spec import PolicySpec
from sim2real.flight.clock import MonotonicClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.target import Reading, TargetEnded, TargetError
from sim2real.flight.watchdog import WatchdogOptions

pytest.importorskip("cflib", reason="cflib is not here: pip install '.[crazyflie]'")

import cflib.crtp
from support.crazyflie_link import CrazyflieLink

from sim2real.targets.crazyflie import CrazyflieTarget
from sim2real.targets.goals import GoalOptions

RPYT, GENERIC, HIGH_LEVEL, SUPERVISOR = 3, 7, 8, 9  # ports


@pytest.fixture(autouse=True)
def link(monkeypatch: pytest.MonkeyPatch) -> type[CrazyflieLink]:
    monkeypatch.setattr(cflib.crtp, "CLASSES", [CrazyflieLink])
    return CrazyflieLink


def spec_of(interface: str, task: str = "quadrotor-hover") -> PolicySpec:
    return policy_spec(robots.make(task, interface=interface).spec, Network(), critic=False)


class Still:
    """A policy of the safe action."""

    def __init__(self, spec: PolicySpec) -> None:
        self.spec = spec

    def __call__(self, observation: np.ndarray, /) -> np.ndarray:
        return np.array(self.spec.safe_action)


Starter = Callable[..., tuple[CrazyflieTarget, CrazyflieLink]]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts targets that need not be stopped by the test."""
    started: list[CrazyflieTarget] = []

    def begin(interface: str, **options: Any) -> tuple[CrazyflieTarget, CrazyflieLink]:
        target = CrazyflieTarget(spec_of(interface), MonotonicClock(), "test://", wait_seconds=20.0, **options)
        started.append(target)
        target.start()
        return target, CrazyflieLink.current

    yield begin
    for target in started:
        if target._cf is not None and target._cf.link is not None:
            target._cf.close_link()


def until(target: CrazyflieTarget, condition: Callable[[Reading], bool]) -> Reading:
    end = time.monotonic() + 20.0
    while True:
        reading = target.read()
        assert reading is not None
        if condition(reading):
            return reading
        assert time.monotonic() < end, reading
        time.sleep(0.01)


def test_observations_are_in_our_units_and_in_the_body(start: Starter) -> None:
    target, crazyflie = start("ctbr", goals=GoalOptions((1.0, 2.0, 3.0), "origin"))
    # a quarter turn to the left: what lies along world y is ahead, what lies along world x is to the right
    half = np.sqrt(0.5)
    crazyflie.state.update({"stateEstimate.qw": half, "stateEstimate.qz": half, "stateEstimate.x": 0.5})
    crazyflie.state.update({"stateEstimate.vx": 0.25, "gyro.x": 90.0, "gyro.y": -45.0, "gyro.z": 180.0})
    reading = until(target, lambda r: abs(r.observation[9]) > 0 and abs(r.observation[4]) > 0)
    np.testing.assert_allclose(reading.observation[:3], [2.0, -0.5, 3.0], atol=1e-6)
    np.testing.assert_allclose(reading.observation[3:6], [0.0, -0.25, 0.0], atol=1e-6)
    np.testing.assert_allclose(reading.observation[6:9], [0.0, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(reading.observation[9:12], np.pi * np.array([0.5, -0.25, 1.0]), rtol=1e-3)
    np.testing.assert_allclose(reading.observation[12:], [1.0, 0.0, 0.0, 0.0])  # nothing sent yet: the safe action


def test_rates_and_thrust_as_the_firmware_reads_them(start: Starter) -> None:
    target, crazyflie = start("ctbr", hover_thrust=0.5, arm=True)
    deadline = time.monotonic() + 20.0
    while any(crazyflie.parameters.values()):  # rate mode on all axes
        assert time.monotonic() < deadline
        time.sleep(0.01)
    target.apply(np.array([1.2, 1.0, 0.5, -0.25]))
    target.apply(np.array([2.0, 0.0, 0.0, 0.0]))
    setpoints = [struct.unpack("<fffH", data) for port, _, data in crazyflie.sent if port == RPYT]
    assert setpoints[0] == (0.0, -0.0, 0.0, 0)  # unlocks the thrust
    # 1 rad/s is 57.2958 deg/s; on the wire pitch and yaw are turned round, as the firmware's legacy setpoints have it:
    # attitudeRate.pitch is held against -gyro.y, and attitudeRate.yaw = -values->yaw; 0.5 x 1.2 of 65535 is 39321
    np.testing.assert_allclose(setpoints[1], [57.2958, -28.6479, 14.3239, 39321], rtol=1e-5)
    assert setpoints[2][3] == 60000  # 0.5 x 2 would be all of it
    assert [data for port, _, data in crazyflie.sent if port == SUPERVISOR] == [bytes((0x01, 1))]
    reading = target.read()
    assert reading is not None
    np.testing.assert_allclose(reading.observation[12:], [2.0, 0.0, 0.0, 0.0])


def test_velocity_is_turned_into_the_world(start: Starter) -> None:
    target, crazyflie = start("velocity")
    half = np.sqrt(0.5)
    crazyflie.state.update({"stateEstimate.qw": half, "stateEstimate.qz": half, "stateEstimate.vx": 1.0})
    until(target, lambda r: abs(r.observation[4] + 1.0) < 1e-3)
    target.apply(np.array([2.0, 0.5, -0.25, 1.5]))
    (kind, *values) = struct.unpack("<Bffff", next(d for port, _, d in crazyflie.sent if port == GENERIC))
    assert kind == 8
    # heading along world y: ahead is +y, left is -x
    np.testing.assert_allclose(values, [-0.5, 2.0, -0.25, 85.9437], rtol=1e-5)
    assert not [port for port, *_ in crazyflie.sent if port == SUPERVISOR]


def test_a_flight_ends_with_a_landing_and_the_parameters_as_they_were() -> None:
    target = CrazyflieTarget(spec_of("ctbr"), MonotonicClock(), "test://", wait_seconds=20.0)
    options = LoopOptions(seconds=0.2, max_age=20.0, watchdog=WatchdogOptions(hold_seconds=20.0))
    flight = fly(Still(spec_of("ctbr")), target, options)
    assert flight.reason == "the time was up"
    crazyflie = CrazyflieLink.current
    assert not crazyflie.open
    ports = [(port, data[0]) for port, _, data in crazyflie.sent]
    landing = ports.index((HIGH_LEVEL, 8))  # land_2: height, yaw, duration
    assert (GENERIC, 0) in ports[:landing]  # setpoints give way first
    assert RPYT not in [port for port, _ in ports[landing:-1]]
    assert crazyflie.parameters == {
        "flightmode.stabModeRoll": 1,
        "flightmode.stabModePitch": 1,
        "flightmode.stabModeYaw": 0,
    }


def test_a_lost_link_is_no_observation(start: Starter) -> None:
    target, crazyflie = start("velocity")
    crazyflie.fail("Too many packets lost")
    with pytest.raises(ConnectionError, match="test://: Too many packets lost"):
        target.read()
    target.stop()  # nothing can be sent any more
    assert HIGH_LEVEL not in [port for port, *_ in crazyflie.sent]


def test_logs_that_stop_grow_old(start: Starter) -> None:
    target, crazyflie = start("velocity")
    crazyflie.logging = False
    time.sleep(0.3)
    reading = target.read()
    assert reading is not None
    assert time.monotonic() - reading.stamp > 0.2


@pytest.mark.parametrize(("bit", "word"), [(5, "tumbled"), (6, "locked"), (7, "crashed")])
def test_the_supervisor_ends_the_flight(start: Starter, bit: int, word: str) -> None:
    target, crazyflie = start("velocity")
    crazyflie.state["supervisor.info"] = 1 << bit
    with pytest.raises(TargetEnded, match=f"has {word}"):
        until(target, lambda r: False)


def test_older_firmware_without_supervisor_flies(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrazyflieLink, "lacking", ("supervisor.info",))
    target, _ = start("velocity")
    assert target.read() is not None


def test_a_firmware_without_an_estimate_is_refused(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrazyflieLink, "lacking", ("stateEstimate.vx",))
    with pytest.raises(TargetError, match=r"cannot log its state: .*stateEstimate\.vx not in TOC"):
        start("velocity")


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrazyflieLink, "answers", False)
    target = CrazyflieTarget(spec_of("velocity"), MonotonicClock(), "test://", wait_seconds=0.1)
    with pytest.raises(TargetError, match=r"no Crazyflie answers on test:// within 0\.1 s"):
        target.start()
    target.stop()
    other = CrazyflieTarget(spec_of("velocity"), MonotonicClock(), "rdio://0/80", wait_seconds=5.0)
    with pytest.raises(TargetError, match="cannot be reached: rdio://0/80: No driver found or malformed URI"):
        other.start()
    other.stop()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (("motors",), r"'motors' cannot be sent to a Crazyflie by radio; .* hgrpo export RUN --crazyflie"),
        (("ctbr", "quadrotor-gates"), "has no source on this vehicle"),
    ],
)
def test_what_cannot_be_flown_is_refused(spec: tuple[str, ...], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        CrazyflieTarget(spec_of(*spec), MonotonicClock(), "test://")
