"""Messages from and to one MAVLink vehicle, over UDP or a serial line.

Other traffic is dropped.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from pymavlink.dialects.v20 import common

from hgrpo_errors import install
from sim2real.flight.target import TargetError
from sim2real.targets.mavlink_choice import Address, Candidates, parse_selector

_MOST_SENDERS = 16  # each with its own parser: the last ones
_DATAGRAM = 65536
_MOST_AT_ONCE = 256  # datagrams read in one call, so that a flood cannot delay the loop
FORMS = "udpin:HOST:PORT (listen), udpout:HOST:PORT (call), serial:DEVICE:BAUD"


class UdpLink:
    """A UDP socket.

    Args:
        host: Host to listen on, or of the vehicle.
        port: Its port.
        listen: Whether to listen and reply to the chosen vehicle (udpin), or to use this address only (udpout).
    """

    def __init__(self, host: str, port: int, listen: bool) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.peer: Address | None = None
        try:
            if listen:
                self._socket.bind((host, port))
            else:
                self.peer = (socket.gethostbyname(host), port)
        except OSError as error:
            self._socket.close()
            raise TargetError(f"cannot open {host}:{port} for MAVLink: {error.strerror or error}") from error

    def receive(self) -> Iterator[tuple[Address | None, bytes]]:
        """Datagrams that have arrived, with their senders."""
        for _ in range(_MOST_AT_ONCE):
            try:
                data, address = self._socket.recvfrom(_DATAGRAM)
            except (BlockingIOError, ConnectionRefusedError):  # refused: no program listens there yet
                return
            if self.peer is None or address == self.peer:
                yield address, data

    def send(self, data: bytes) -> None:
        """Send to the vehicle, if it is known and the network has a route."""
        if self.peer is not None:
            try:
                self._socket.sendto(data, self.peer)
            except OSError:
                return  # datagrams may be lost; a missing heartbeat ends the flight

    def close(self) -> None:
        """Free the port."""
        self._socket.close()


class SerialLink:
    """A serial line, through pyserial."""

    peer: Address | None = None

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial
        except ModuleNotFoundError as error:
            raise TargetError(f"a serial line needs pyserial: {install('mavlink')}") from error
        try:
            self._port = serial.Serial(device, baud, timeout=0, write_timeout=0.0)
        except serial.SerialException as error:
            raise TargetError(f"cannot open {device}: {error}") from error

    def receive(self) -> Iterator[tuple[Address | None, bytes]]:
        """Bytes that have arrived; none if the line is disconnected."""
        try:
            data = self._port.read(self._port.in_waiting)
        except OSError:
            return
        if data:
            yield None, data

    def send(self, data: bytes) -> None:
        """Give bytes to the operating system.

        Bytes beyond its buffer are lost, as all are on a disconnected line.

        The port's own `write` would block until there is room, and block the loop.
        """
        with contextlib.suppress(OSError):  # a missing heartbeat ends the flight
            os.write(self._port.fileno(), data)

    def close(self) -> None:
        """Free the device."""
        self._port.close()


class MavlinkLink:
    """Messages of one vehicle, which is chosen among those whose autopilots send heartbeats.

    Messages of other systems and other components, messages with a wrong checksum, and other bytes are dropped. Each
    sender has a parser of its own, so senders cannot corrupt each other's messages.

    Args:
        connection: One of FORMS.
        vehicle: SYSID[:ADDRESS] of the vehicle; None or empty for any.
        own_system: System id of this program.
        own_component: Component id of this program.

    Raises TargetError for a `vehicle` or `connection` of another form.
    """

    def __init__(self, connection: str, vehicle: str | None, own_system: int, own_component: int) -> None:
        selector = parse_selector(vehicle or "")
        self._link = open_link(connection)
        self.system, self.component = selector.system, 0
        self.candidates, self._chosen = Candidates(selector), False
        self.encode = common.MAVLink(None, srcSystem=own_system, srcComponent=own_component)
        self._parsers: OrderedDict[Address | None, Any] = OrderedDict()

    @property
    def found(self) -> bool:
        """Whether a heartbeat of a selected vehicle has arrived."""
        return self.candidates.any

    def choose(self) -> None:
        """Choose the vehicle; raises TargetError if several are selected, or none."""
        self.system, self.component, self._link.peer = self.candidates.choose()
        self._chosen = True

    def receive(self) -> Iterator[Any]:
        """Messages of the chosen vehicle since the last call; none before it is chosen."""
        for address, data in self._link.receive():
            for message in self._parser_of(address).parse_buffer(data) or ():
                source = message.get_srcSystem(), message.get_srcComponent()
                if self._chosen and source == (self.system, self.component):
                    yield message
                elif not self._chosen and _is_of_an_autopilot(message):
                    self.candidates.add(*source, address)

    def send(self, message: Any) -> None:
        """Send a message."""
        self._link.send(message.pack(self.encode))
        self.encode.seq = (self.encode.seq + 1) % 256

    def close(self) -> None:
        """Free the port."""
        self._link.close()

    def _parser_of(self, address: Address | None) -> Any:
        if address not in self._parsers:
            self._parsers[address] = _parser()
        self._parsers.move_to_end(address)
        if len(self._parsers) > _MOST_SENDERS:
            self._parsers.popitem(last=False)
        return self._parsers[address]


def _is_of_an_autopilot(message: Any) -> bool:
    return (
        message.get_type() == "HEARTBEAT"
        and message.autopilot != common.MAV_AUTOPILOT_INVALID
        and message.type not in (common.MAV_TYPE_GCS, common.MAV_TYPE_ONBOARD_CONTROLLER)
    )


def _parser() -> Any:
    parser = common.MAVLink(None)
    parser.robust_parsing = True
    return parser


def open_link(connection: str) -> UdpLink | SerialLink:
    """Link of a connection string.

    Raises TargetError for another form, or if it cannot be opened.
    """
    kind, _, rest = connection.partition(":")
    place, _, number = rest.rpartition(":")
    if kind in ("udpin", "udpout", "serial") and place and number.isascii() and number.isdigit():
        if kind == "serial":
            return SerialLink(place, int(number))
        if 0 < int(number) < 65536:
            return UdpLink(place, int(number), listen=kind == "udpin")
    raise TargetError(f"cannot connect to {connection!r}; allowed: {FORMS}")
