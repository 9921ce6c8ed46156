"""A Crazyflie's side of cflib's packets: a link driver `test://` that answers as the firmware's protocol does.

What arrives over it went through cflib's own packet layer, so what the tests see is what a radio would carry.
"""

from __future__ import annotations

import queue
import struct
import threading
import time
from typing import Any

from cflib.crtp.crtpdriver import CRTPDriver
from cflib.crtp.crtpstack import CRTPPacket, CRTPPort
from cflib.crtp.exceptions import WrongUriType

FLOAT, UINT16 = 0x07, 0x02  # of the log's table of contents
STATE = {
    **{f"stateEstimate.{name}": 0.0 for name in ("x", "y", "z", "vx", "vy", "vz", "qx", "qy", "qz")},
    "stateEstimate.qw": 1.0,
    **{f"gyro.{name}": 0.0 for name in "xyz"},
    "supervisor.info": 0,
}
PARAMETERS = {"flightmode.stabModeRoll": 1, "flightmode.stabModePitch": 1, "flightmode.stabModeYaw": 0}


class CrazyflieLink(CRTPDriver):
    """The instance that was connected last is `current`; `sent` are the packets of setpoints, arming and landing."""

    current: CrazyflieLink
    lacking: tuple[str, ...] = ()
    answers = True

    def __init__(self) -> None:
        super().__init__()
        self.needs_resending = False

    def connect(self, uri: str, radio_link_statistics_callback: Any, link_error_callback: Any) -> None:
        if not uri.startswith("test://"):
            raise WrongUriType
        CrazyflieLink.current = self
        self.fail = link_error_callback
        self.state: dict[str, float] = dict(STATE)
        self.table = [name for name in STATE if name not in self.lacking]
        self.parameters = dict(PARAMETERS)
        self.sent: list[tuple[int, int, bytes]] = []
        self.blocks: dict[int, list[tuple[str, int]]] = {}
        self.inbox: queue.Queue[CRTPPacket] = queue.Queue()
        self.open, self.logging = True, True
        self._running: set[int] = set()
        threading.Thread(target=self._log, daemon=True).start()

    def close(self) -> None:
        self.open = False

    def receive_packet(self, wait: float = 0) -> CRTPPacket | None:
        try:
            return self.inbox.get(timeout=wait)
        except queue.Empty:
            return None

    def send_packet(self, packet: CRTPPacket) -> None:
        port, channel, data = packet.port, packet.channel, bytes(packet.data)
        if not self.answers:
            return
        if port == CRTPPort.LINKCTRL and channel == 1:
            self._reply(port, channel, b"Bitcraze Crazyflie\0")
        elif port == CRTPPort.PLATFORM and channel == 1:
            self._reply(port, channel, bytes((0, 12)))
        elif port == CRTPPort.MEM:
            self._reply(port, channel, data[:1] + bytes(1))
        elif port == CRTPPort.LOGGING:
            self._logging(channel, data)
        elif port == CRTPPort.PARAM:
            self._parameter(channel, data)
        elif port != CRTPPort.LINKCTRL:
            self.sent.append((port, channel, data))

    def _reply(self, port: int, channel: int, data: bytes) -> None:
        packet = CRTPPacket()
        packet.set_header(port, channel)
        packet.data = data
        self.inbox.put(packet)

    def _contents(self, port: int, data: bytes, names: list[str], kinds: list[int]) -> None:
        if data[0] == 3:
            self._reply(port, 0, struct.pack("<BHI", 3, len(names), 1 + hash(tuple(names)) % 2**31))
        else:
            (index,) = struct.unpack("<H", data[1:3])
            group, name = names[index].split(".")
            text = group.encode() + b"\0" + name.encode() + b"\0"
            self._reply(port, 0, struct.pack("<BHB", 2, index, kinds[index]) + text)

    def _logging(self, channel: int, data: bytes) -> None:
        if channel == 0:
            kinds = [UINT16 if name == "supervisor.info" else FLOAT for name in self.table]
            self._contents(CRTPPort.LOGGING, data, self.table, kinds)
            return
        if data[0] == 6:  # a block: id, then for each variable its type and its number in the table
            entries = [struct.unpack("<BH", data[i : i + 3]) for i in range(2, len(data), 3)]
            self.blocks[data[1]] = [(self.table[number], kind & 0x0F) for kind, number in entries]
        elif data[0] == 7:
            entries = [struct.unpack("<BH", data[i : i + 3]) for i in range(2, len(data), 3)]
            self.blocks[data[1]] += [(self.table[number], kind & 0x0F) for kind, number in entries]
        elif data[0] == 3:
            self._running.add(data[1])
        self._reply(CRTPPort.LOGGING, 1, bytes((data[0], data[1] if len(data) > 1 else 0, 0)))

    def _parameter(self, channel: int, data: bytes) -> None:
        names = list(self.parameters)
        if channel == 0:
            self._contents(CRTPPort.PARAM, data, names, [0x08] * len(names))
            return
        (index,) = struct.unpack("<H", data[:2])
        if channel == 2:
            self.parameters[names[index]] = data[2]
            self._reply(CRTPPort.PARAM, 2, data)
        elif channel == 1:
            self._reply(CRTPPort.PARAM, 1, data[:2] + bytes((0, self.parameters[names[index]])))

    def _log(self) -> None:
        forms = {0x07: "<f", 0x08: "<e", 0x02: "<H"}
        while self.open:
            time.sleep(0.01)
            if not self.logging:
                continue
            for block in sorted(self._running):
                values = (
                    struct.pack(forms[kind], int(self.state[name]) if kind == 2 else self.state[name])
                    for name, kind in self.blocks[block]
                )
                self._reply(CRTPPort.LOGGING, 2, bytes((block, 0, 0, 0)) + b"".join(values))
