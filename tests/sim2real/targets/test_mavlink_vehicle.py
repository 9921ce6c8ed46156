"""What of a vehicle's messages counts, on a stepped clock."""

from __future__ import annotations

from typing import Any

import pytest

from sim2real.flight.clock import SteppedClock
from sim2real.flight.target import TargetError

pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")

from pymavlink.dialects.v10 import common as common_1
from pymavlink.dialects.v20 import common
from support.mavlink_stand_in import ScriptedVehicle

from sim2real.targets import mavlink_link
from sim2real.targets.mavlink_vehicle import MavlinkVehicle

ARM = common.MAV_CMD_COMPONENT_ARM_DISARM
ACCEPTED, DENIED = common.MAV_RESULT_ACCEPTED, common.MAV_RESULT_DENIED


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedVehicle:
    vehicle = ScriptedVehicle(SteppedClock())
    vehicle.wire.srcSystem = 7
    monkeypatch.setattr(mavlink_link, "open_link", lambda connection: vehicle)
    return vehicle


def connected(scripted: ScriptedVehicle) -> MavlinkVehicle:
    vehicle = MavlinkVehicle("anywhere", scripted.clock)
    vehicle.connect(1.0)
    return vehicle


def answer(result: int, system: int, component: int) -> Any:
    return common.MAVLink_command_ack_message(ARM, result, 0, 0, system, component)


@pytest.mark.parametrize("to", [(255, 190), (7, 190), (255, 191), (1, 191), (0, 190), (255, 0)])
def test_acknowledgements_for_others_do_not_count(scripted: ScriptedVehicle, to: tuple[int, int]) -> None:
    scripted.answer = lambda command: [answer(DENIED, *to), answer(ACCEPTED, 7, 191), answer(DENIED, *to)]
    connected(scripted).command(ARM, "arm", 1.0)
    scripted.answer = lambda command: [answer(ACCEPTED, *to)]
    with pytest.raises(TargetError, match="did not acknowledge the request to arm"):
        connected(scripted).command(ARM, "arm", 1.0)


@pytest.mark.parametrize("to", [(7, 191), (0, 0), (7, 0), (0, 191)])
def test_acknowledgements_for_us_or_everybody_count(scripted: ScriptedVehicle, to: tuple[int, int]) -> None:
    scripted.answer = lambda command: [answer(DENIED, *to)]
    with pytest.raises(TargetError, match="refuses to arm: DENIED"):
        connected(scripted).command(ARM, "arm", 1.0)


def test_mavlink_1_acknowledges_everybody(scripted: ScriptedVehicle) -> None:
    scripted.answer = lambda command: [common_1.MAVLink_command_ack_message(ARM, DENIED)]
    with pytest.raises(TargetError, match="refuses to arm: DENIED"):
        connected(scripted).command(ARM, "arm", 1.0)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("8", "no heartbeat of vehicle 8 on anywhere within 1 s; other vehicles: 7:192.0.2.7:14550"),
        ("7:192.0.2.70", "no heartbeat of vehicle 7:192.0.2.70 on"),
        ("7:192.0.2.7:1455", "no heartbeat of vehicle 7:192.0.2.7:1455 on"),
    ],
)
def test_another_vehicle_is_not_the_one_that_was_asked_for(
    scripted: ScriptedVehicle, wanted: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        MavlinkVehicle("anywhere", scripted.clock, wanted).connect(1.0)


@pytest.mark.parametrize("wanted", ["", "7", "7:192.0.2.7", "7:192.0.2.7:14550"])
def test_the_vehicle_that_was_asked_for_is_connected_to(scripted: ScriptedVehicle, wanted: str) -> None:
    vehicle = MavlinkVehicle("anywhere", scripted.clock, wanted)
    vehicle.connect(1.0)
    assert (vehicle.link.system, scripted.peer) == (7, ("192.0.2.7", 14550))


def test_what_the_vehicle_says_does_nothing_to_the_terminal(scripted: ScriptedVehicle) -> None:
    text = scripted.wire.statustext_encode(common.MAV_SEVERITY_CRITICAL, b"\x1b[2JPreflight\nFail\x07")
    scripted.answer = lambda command: [text, answer(DENIED, 7, 191)]
    with pytest.raises(TargetError) as refused:
        connected(scripted).command(ARM, "arm", 1.0)
    assert str(refused.value) == r"the vehicle refuses to arm: DENIED; its message: \x1b[2JPreflight Fail\x07"
