"""Modes of autopilots as heartbeats and commands have them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sim2real.flight.target import TargetError

pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")

from sim2real.targets.autopilots import ARDUPILOT, PX4, autopilot_of


def test_px4_has_its_modes_in_the_upper_bytes() -> None:
    # px4_custom_mode: two reserved bytes, main mode, sub mode; OFFBOARD is main mode 6, AUTO 4, LOITER 3, LAND 6
    assert PX4.is_in(PX4.commanded, 0x00060000)
    assert not PX4.is_in(PX4.commanded, 0x00040000)
    assert PX4.is_in(PX4.land, 0x06040000)
    assert PX4.is_in(PX4.hold, 0x03040000)
    assert not PX4.is_in(PX4.land, 0x03040000)


def test_ardupilot_has_plain_numbers() -> None:
    # of ArduCopter: GUIDED 4, LOITER 5, LAND 9, BRAKE 17
    assert [ARDUPILOT.is_in(ARDUPILOT.commanded, number) for number in (4, 5, 9)] == [True, False, False]
    assert [ARDUPILOT.is_in(ARDUPILOT.hold, number) for number in (5, 17)] == [False, True]
    assert ARDUPILOT.is_in(ARDUPILOT.land, 9)


def test_who_is_behind_a_heartbeat() -> None:
    assert autopilot_of(SimpleNamespace(autopilot=12, type=2)) is PX4
    assert autopilot_of(SimpleNamespace(autopilot=3, type=13)) is ARDUPILOT
    for multirotor in (29, 35, 43):  # 12 rotors, 10 rotors, any number
        assert autopilot_of(SimpleNamespace(autopilot=3, type=multirotor)) is ARDUPILOT
    with pytest.raises(TargetError, match=r"autopilot is number 9; .*PX4 \(12\), ArduPilot \(3\)"):
        autopilot_of(SimpleNamespace(autopilot=9, type=2))
    with pytest.raises(TargetError, match="type 1; allowed: multicopters"):
        autopilot_of(SimpleNamespace(autopilot=12, type=1))
