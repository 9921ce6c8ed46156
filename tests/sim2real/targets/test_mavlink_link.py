"""A serial line, as a pseudo-terminal whose other end does what it likes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")
pytest.importorskip("serial", reason="pyserial is not here: pip install -c constraints.txt '.[mavlink]'")

from sim2real.flight.target import TargetError
from sim2real.targets.mavlink_link import SerialLink, open_link


@pytest.fixture
def ends() -> Iterator[tuple[int, SerialLink]]:
    theirs, ours = os.openpty()
    link = open_link(f"serial:{os.ttyname(ours)}:57600")
    assert isinstance(link, SerialLink)
    yield theirs, link
    link.close()
    os.close(ours)


def received(link: SerialLink) -> bytes:
    return b"".join(data for _, data in link.receive())


def test_bytes_go_both_ways(ends: tuple[int, SerialLink]) -> None:
    theirs, link = ends
    link.send(b"\xfd\x00setpoint")
    assert os.read(theirs, 100) == b"\xfd\x00setpoint"
    assert received(link) == b""
    os.write(theirs, b"\xfd\x01heartbeat")
    end, data = time.monotonic() + 10.0, b""
    while not data:
        assert time.monotonic() < end
        data = received(link)
    assert data == b"\xfd\x01heartbeat"
    os.close(theirs)


def test_a_line_that_nobody_reads_takes_what_it_can_and_never_waits(ends: tuple[int, SerialLink]) -> None:
    theirs, link = ends
    for _ in range(5000):  # 300 kB, which no terminal holds
        link.send(bytes(60))
    assert 0 < len(os.read(theirs, 300_000)) < 300_000
    os.close(theirs)


def test_a_line_that_is_gone_is_silence(ends: tuple[int, SerialLink]) -> None:
    theirs, link = ends
    os.close(theirs)
    link.send(b"anything")
    assert received(link) == b""


def test_no_such_device() -> None:
    with pytest.raises(TargetError, match="cannot open /dev/nowhere"):
        open_link("serial:/dev/nowhere:57600")
