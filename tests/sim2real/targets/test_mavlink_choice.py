"""Which vehicle is flown, of all that speak on a port."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from support.vehicle_process import free_port

from sim2real.flight.target import TargetError

pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")

from pymavlink.dialects.v20 import common

from sim2real.targets.mavlink_choice import Candidates, Selector, parse_selector
from sim2real.targets.mavlink_link import MavlinkLink

A, B = ("192.0.2.7", 14550), ("192.0.2.70", 14550)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Selector()),
        ("7", Selector(7)),
        ("255:192.0.2.7", Selector(255, "192.0.2.7")),
        ("1:192.0.2.7:14550", Selector(1, "192.0.2.7", 14550)),
    ],
)
def test_what_is_asked_for(text: str, meant: Selector) -> None:
    assert parse_selector(text) == meant


@pytest.mark.parametrize(
    "text",
    ["0", "256", "-1", "x", "7:", "7:host", "7:192.0.2", "7:192.0.2.7:", "7:192.0.2.7:0", "7::14550", ":", "\u0667"],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match=r"vehicle .* SYSID\[:ADDRESS\].*; given"):
        parse_selector(text)


def test_the_address_has_to_be_the_same() -> None:
    assert parse_selector("7:192.0.2.7").fits(7, A)
    assert parse_selector("7:192.0.2.7:14550").fits(7, A)
    assert parse_selector("7").fits(7, None)
    assert not parse_selector("7:192.0.2.7").fits(7, B)
    assert not parse_selector("7:192.0.2.7:14551").fits(7, A)
    assert not parse_selector("7:192.0.2.7").fits(7, None)  # a serial line has none
    assert not parse_selector("8").fits(7, A)


def test_several_are_named_and_none_is_chosen() -> None:
    candidates = Candidates(parse_selector("7"))
    candidates.add(7, 1, B)
    candidates.add(8, 1, A)
    candidates.add(7, 1, A)
    with pytest.raises(TargetError, match=r": 7:192\.0\.2\.7:14550, 7:192\.0\.2\.70:14550; choose one"):
        candidates.choose()
    candidates = Candidates(parse_selector("7:192.0.2.7"))
    for address in (B, A):
        candidates.add(7, 1, address)
    assert candidates.choose() == (7, 1, A)


def test_the_first_component_is_the_autopilot() -> None:
    candidates = Candidates(Selector())
    for component in (50, 1, 51):
        candidates.add(7, component, A)
    assert candidates.choose() == (7, 1, A)


def test_what_is_remembered_has_an_end() -> None:
    candidates = Candidates(parse_selector("7:192.0.2.7"))
    candidates.add(7, 1, A)
    for port in range(1, 1000):
        candidates.add(7, 1, ("198.51.100.1", port))
    assert candidates.choose() == (7, 1, A)
    assert candidates.others.count("198.51.100.1") == 16


Sender = Callable[[bytes], None]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def sender(port: int) -> Iterator[Callable[[], Sender]]:
    """Makes senders with an address of their own each."""
    sockets: list[socket.socket] = []

    def make() -> Sender:
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        return lambda data, mine=sockets[-1]: mine.sendto(data, ("127.0.0.1", port)) and None  # type: ignore[misc]

    yield make
    for each in sockets:
        each.close()


def heartbeat(system: int, kind: int = common.MAV_TYPE_QUADROTOR) -> bytes:
    wire = common.MAVLink(None, srcSystem=system, srcComponent=1)
    data: bytes = wire.heartbeat_encode(kind, common.MAV_AUTOPILOT_PX4, 0, 0, common.MAV_STATE_ACTIVE).pack(wire)
    return data


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("noise", [b"x", heartbeat(9, common.MAV_TYPE_GCS), heartbeat(9), heartbeat(7)[:9]])
def test_strangers_do_not_hide_the_vehicle(port: int, sender: Callable[[], Sender], noise: bytes) -> None:
    link = MavlinkLink(f"udpin:127.0.0.1:{port}", "7", 1, 191)
    for _ in range(40):
        sender()(noise)
    vehicle = sender()
    vehicle(heartbeat(7)[:12])  # a bridge from a serial line cuts anywhere
    vehicle(heartbeat(7)[12:])

    def found() -> bool:
        assert not list(link.receive())
        return link.found

    until(found)
    link.choose()
    vehicle(heartbeat(7))
    messages: list[object] = []
    until(lambda: bool(messages.extend(link.receive()) or messages))
    assert len(link._parsers) <= 16
    link.close()
