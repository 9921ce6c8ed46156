"""Choice of the vehicle among those whose heartbeats arrive."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import NamedTuple

from pymavlink.dialects.v20 import common

from sim2real.flight.target import TargetError

Address = tuple[str, int]
FORM = "SYSID[:ADDRESS], such as 1, 1:192.0.2.7 or 1:192.0.2.7:14550"
_MOST_CANDIDATES = 16  # vehicles that are stored: the last ones


class Selector(NamedTuple):
    """Properties of the vehicle to fly; None accepts any value."""

    system: int | None = None
    host: str | None = None
    port: int | None = None

    def fits(self, system: int, address: Address | None) -> bool:
        """Whether a vehicle is selected; its address is None on a serial line."""
        host, port = address or (None, None)
        return self.system in (None, system) and self.host in (None, host) and self.port in (None, port)


def parse_selector(text: str) -> Selector:
    """Selector of SYSID[:ADDRESS]; an empty text selects any vehicle.

    Raises:
        TargetError: The text has another form.
    """
    if not text:
        return Selector()
    number, given, address = text.partition(":")
    host, with_port, port = address.partition(":")
    if _number(number, 255) and (not given or _is_host(host)) and (not with_port or _number(port, 65535)):
        return Selector(int(number), host or None, int(port) if port else None)
    raise TargetError(f"vehicle must be {FORM}, SYSID from 1 to 255; given {text!r}")


class Candidates:
    """Vehicles whose heartbeats have arrived, by system id and address."""

    def __init__(self, selector: Selector) -> None:
        self._selector = selector
        self._components: dict[bool, OrderedDict[tuple[int, Address | None], int]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }

    def add(self, system: int, component: int, address: Address | None) -> None:
        """Store a vehicle after a heartbeat of its autopilot.

        Args:
            system: Its system id.
            component: Component id of the autopilot.
            address: Its address; None on a serial line.
        """
        known, key = self._components[self._selector.fits(system, address)], (system, address)
        if key not in known or component == common.MAV_COMP_ID_AUTOPILOT1:
            known[key] = component
        known.move_to_end(key)
        while len(known) > _MOST_CANDIDATES:
            known.popitem(last=False)

    @property
    def any(self) -> bool:
        """Whether there is a selected vehicle."""
        return bool(self._components[True])

    @property
    def others(self) -> str:
        """The vehicles that are not selected, as the end of a message; empty without any."""
        names = _names(self._components[False])
        return f"; other vehicles: {names}" if names else ""

    def choose(self) -> tuple[int, int, Address | None]:
        """System id, component id and address of the selected vehicle.

        Raises:
            TargetError: Several vehicles are selected, or none.
        """
        selected = self._components[True]
        if len(selected) > 1:
            raise TargetError(
                f"several vehicles send heartbeats: {_names(selected)}; choose one, as --vehicle SYSID[:ADDRESS]"
            )
        if not selected:
            raise TargetError(f"the vehicle sends no heartbeat{self.others}")
        ((system, address), component) = next(iter(selected.items()))
        return system, component, address


def _names(vehicles: OrderedDict[tuple[int, Address | None], int]) -> str:
    """Vehicles in the form of --vehicle."""
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
