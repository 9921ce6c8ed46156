"""Which of the vehicles that are heard is flown: one that is alone, or one that was asked for."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import NamedTuple

from pymavlink.dialects.v20 import common

from sim2real.flight.target import TargetError

Address = tuple[str, int]
FORM = "SYSID[:ADDRESS], such as 1, 1:192.0.2.7 or 1:192.0.2.7:14550"
_MOST_HEARD = 16  # vehicles that are remembered: the last ones


class Wish(NamedTuple):
    """What a vehicle has to be: everything that is not None."""

    system: int | None = None
    host: str | None = None
    port: int | None = None

    def fits(self, system: int, address: Address | None) -> bool:
        """Whether a vehicle with this system id, heard from this address (None on a serial line), is meant."""
        host, port = address or (None, None)
        return self.system in (None, system) and self.host in (None, host) and self.port in (None, port)


def wish(text: str) -> Wish:
    """What SYSID[:ADDRESS] asks for, nothing of an empty one.

    Raises:
        TargetError: The text has another form.
    """
    if not text:
        return Wish()
    number, given, address = text.partition(":")
    host, with_port, port = address.partition(":")
    if _number(number, 255) and (not given or _is_host(host)) and (not with_port or _number(port, 65535)):
        return Wish(int(number), host or None, int(port) if port else None)
    raise TargetError(f"the vehicle is given as {FORM}, SYSID from 1 to 255; given {text!r}")


class Heard:
    """The vehicles whose heartbeats have come, by system id and address."""

    def __init__(self, wanted: Wish) -> None:
        self._wanted = wanted
        self._components: dict[bool, OrderedDict[tuple[int, Address | None], int]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }

    def take(self, system: int, component: int, address: Address | None) -> None:
        """Remember a vehicle by a heartbeat of its autopilot."""
        known, key = self._components[self._wanted.fits(system, address)], (system, address)
        if key not in known or component == common.MAV_COMP_ID_AUTOPILOT1:
            known[key] = component
        known.move_to_end(key)
        while len(known) > _MOST_HEARD:
            known.popitem(last=False)

    @property
    def any(self) -> bool:
        """Whether one that may be meant is there."""
        return bool(self._components[True])

    @property
    def others(self) -> str:
        """Those that are not meant, in words for the end of a message; empty without any."""
        names = _names(self._components[False])
        return f"; heard were {names}" if names else ""

    def choose(self) -> tuple[int, int, Address | None]:
        """System id, component id and address of the one that is meant.

        Raises:
            TargetError: Several are meant, all named; or none is there.
        """
        meant = self._components[True]
        if len(meant) > 1:
            raise TargetError(f"several vehicles are heard: {_names(meant)}; choose one, as --vehicle SYSID[:ADDRESS]")
        if not meant:
            raise TargetError(f"the vehicle is not heard{self.others}")
        ((system, address), component) = next(iter(meant.items()))
        return system, component, address


def _names(vehicles: OrderedDict[tuple[int, Address | None], int]) -> str:
    """As they may be asked for."""
    return ", ".join(
        str(system) if address is None else f"{system}:{address[0]}:{address[1]}"
        for system, address in sorted(vehicles, key=lambda key: (key[0], key[1] or ("", 0)))
    )


def _number(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= most


def _is_host(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
