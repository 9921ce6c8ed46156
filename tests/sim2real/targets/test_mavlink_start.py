"""What a vehicle is asked for before it flies, and when, on a stepped clock."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.spec import PolicySpec
from sim2real.flight.clock import SteppedClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.target import TargetError
from sim2real.flight.watchdog import WatchdogOptions

pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")

from pymavlink.dialects.v20 import common
from support.mavlink_stand_in import ScriptedVehicle

from sim2real.targets import mavlink_link
from sim2real.targets.goals import GoalOptions
from sim2real.targets.mavlink import MavlinkTarget

MODE, ARM = common.MAV_CMD_DO_SET_MODE, common.MAV_CMD_COMPONENT_ARM_DISARM
TAKEOFF = common.MAV_CMD_NAV_TAKEOFF


@pytest.fixture
def vehicle(monkeypatch: pytest.MonkeyPatch) -> ScriptedVehicle:
    scripted = ScriptedVehicle(SteppedClock())
    monkeypatch.setattr(mavlink_link, "open_link", lambda connection: scripted)
    return scripted


def spec_of(interface: str) -> PolicySpec:
    return policy_spec(robots.make("quadrotor-hover", interface=interface).spec, Network(), critic=False)


def target(vehicle: ScriptedVehicle, interface: str = "ctbr", **options: Any) -> MavlinkTarget:
    options = {"goals": GoalOptions((0.0, 0.0, 1.5)), "arm": True, **options}
    return MavlinkTarget(spec_of(interface), vehicle.clock, "scripted", **options)


def asked(vehicle: ScriptedVehicle) -> list[int]:
    return [number for number in vehicle.commands if number != common.MAV_CMD_SET_MESSAGE_INTERVAL]


def test_the_mode_is_changed_then_the_vehicle_armed(vehicle: ScriptedVehicle) -> None:
    flying = target(vehicle)
    flying.start()
    assert asked(vehicle) == [MODE, ARM]
    reading = flying.read()
    assert reading is not None
    np.testing.assert_allclose(reading.observation[:3], [0.0, 0.0, 1.5], atol=1e-6)


def test_ardupilot_takes_off_by_command_before_velocities(vehicle: ScriptedVehicle) -> None:
    vehicle.autopilot = common.MAV_AUTOPILOT_ARDUPILOTMEGA
    flying, rise = target(vehicle, "velocity"), vehicle.rise
    before: list[int] = []
    vehicle.rise = lambda height: (before.append(len(vehicle.setpoints)), rise(height))  # type: ignore[assignment]
    flying.start()
    assert asked(vehicle) == [MODE, ARM, TAKEOFF]
    assert len(vehicle.setpoints) == before[0]  # none that would end it
    assert vehicle.clock.now() - vehicle.times[-1] >= 0.9  # [s] until it is up
    reading = flying.read()
    assert reading is not None
    np.testing.assert_allclose(reading.observation[2], 0.6, atol=0.03)  # 1.5 m above the ground, of which it has 0.9
    flying.stop()
    assert asked(vehicle) == [MODE, ARM, TAKEOFF, MODE]
    assert vehicle.custom_mode == 9


def test_ardupilot_that_does_not_rise_is_asked_to_land(vehicle: ScriptedVehicle) -> None:
    vehicle.autopilot = common.MAV_AUTOPILOT_ARDUPILOTMEGA
    vehicle.rise = lambda height: None  # type: ignore[method-assign]
    flying = target(vehicle, "velocity")
    with pytest.raises(TargetError, match="has not risen by 1 m in 20 s"):
        flying.start()
    flying.stop()
    assert vehicle.custom_mode == 9


@pytest.mark.parametrize(("interface", "autopilot"), [("velocity", 12), ("ctbr", 3)])
def test_others_lift_off_by_setpoints(vehicle: ScriptedVehicle, interface: str, autopilot: int) -> None:
    vehicle.autopilot = autopilot
    target(vehicle, interface).start()
    assert asked(vehicle) == [MODE, ARM]


def test_ardupilot_in_the_air_is_taken_over_where_it_is(vehicle: ScriptedVehicle) -> None:
    vehicle.autopilot, vehicle.armed = common.MAV_AUTOPILOT_ARDUPILOTMEGA, True
    target(vehicle, "velocity", arm=False).start()
    assert asked(vehicle) == [MODE]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"position": lambda: (0.0, math.nan, 0.0)}, r"its position is \[0\.0, nan, -0\.0\]"),
        ({"velocity": (0.0, 0.0, math.inf)}, r"its velocity is \[0\.0, -0\.0, -inf\]"),
        ({"quaternion": (0.0, 0.0, 0.0, 0.0)}, r"its attitude is \[0\.0, 0\.0, -0\.0, -0\.0\]"),
        ({"quaternion": (math.nan, 0.0, 0.0, 0.0)}, r"its attitude is \[nan, .*\]"),
    ],
)
def test_without_a_motion_nothing_is_asked_for(vehicle: ScriptedVehicle, wrong: Any, message: str) -> None:
    vars(vehicle).update(wrong)
    flying = target(vehicle)
    with pytest.raises(TargetError, match=f"the vehicle cannot take off: {message}, after 10 s"):
        flying.start()
    flying.stop()
    assert asked(vehicle) == []


def test_an_old_motion_is_none(vehicle: ScriptedVehicle) -> None:
    vehicle.estimating = lambda: vehicle.clock.now() < 2.5
    with pytest.raises(TargetError, match=r"its motion is .* s old; allowed: max_age, 0\.1 s"):
        target(vehicle).start()
    assert asked(vehicle) == []


def test_a_motion_lost_after_the_mode_change_prevents_arming(vehicle: ScriptedVehicle) -> None:
    vehicle.estimating = lambda: vehicle.custom_mode == 0
    flying = target(vehicle, max_age=0.01)
    with pytest.raises(TargetError, match="the vehicle cannot take off"):
        flying.start()
    flying.stop()
    assert asked(vehicle) == [MODE]
    assert not vehicle.armed


def test_a_motion_lost_between_two_tries_prevents_the_second(vehicle: ScriptedVehicle) -> None:
    def reject(command: Any) -> list[Any]:
        if command.command != ARM:
            return vehicle.accept(command)
        vehicle.estimating = lambda: False
        return [vehicle.wire.command_ack_encode(ARM, common.MAV_RESULT_TEMPORARILY_REJECTED)]

    vehicle.answer = reject
    with pytest.raises(TargetError, match="the vehicle cannot take off"):
        target(vehicle).start()
    assert asked(vehicle) == [MODE, ARM]


def test_a_late_estimate_is_waited_for_and_the_goal_is_above_it(vehicle: ScriptedVehicle) -> None:
    vehicle.nowhere_before(3.0)
    flying = target(vehicle)
    flying.start()
    assert vehicle.times[vehicle.commands.index(MODE)] >= 3.0
    reading = flying.read()
    assert reading is not None
    np.testing.assert_allclose(reading.observation[:3], [0.0, 0.0, 1.5], atol=1e-6)


def test_the_goal_counts_from_where_it_is_armed(vehicle: ScriptedVehicle) -> None:
    vehicle.position = lambda: (1.0, 2.0, 0.0) if vehicle.custom_mode == 0 else (5.0, 6.0, 0.0)  # the estimate settles
    flying = target(vehicle)
    flying.start()
    reading = flying.read()
    assert reading is not None
    np.testing.assert_allclose(reading.observation[:3], [0.0, 0.0, 1.5], atol=1e-6)


def test_an_estimate_that_fails_in_flight_is_missed_and_flown_on_from(vehicle: ScriptedVehicle) -> None:
    seen: list[np.ndarray] = []

    class Hovering:
        spec = spec_of("ctbr")

        def __call__(self, observation: np.ndarray, /) -> np.ndarray:
            seen.append(observation)
            if len(seen) == 5:
                vehicle.nowhere_before(vehicle.clock.now() + 0.055)
            return np.array(self.spec.safe_action)

    options = LoopOptions(seconds=0.5, watchdog=WatchdogOptions(hold_seconds=1.0))
    flight = fly(Hovering(), target(vehicle), options, vehicle.clock)
    assert flight.reason == "the time was up"
    assert flight.statistics.misses == {"observation not finite": 5}
    np.testing.assert_allclose(seen[-1][:3], [0.0, 0.0, 1.5], atol=1e-6)
