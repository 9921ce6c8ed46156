"""How a policy server is run; imports nothing but the standard library."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_errors import HgrpoError
from hgrpo_fields import Range, check
from hgrpo_files import read_bytes

SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class ServerSettings:
    """Address, access, guards and limits of `hgrpo serve`.

    Raises ValueError for a number outside its range, for half of a TLS pair, and for an address that other machines
    can reach without a token.
    """

    host: str = "127.0.0.1"
    """Address to listen on; any that is not this machine's own loopback needs a token."""
    port: Annotated[int, Range(least=0, most=65535)] = 8000
    """TCP port; 0 takes a free one and says which."""
    token_file: Path | None = None
    """File with the token (at least 16 characters) that every request must bring, but for /healthz."""
    certificate: Path | None = None
    """PEM file with the certificate chain; with it, everything is TLS."""
    private_key: Path | None = None
    """PEM file with the certificate's key."""
    max_observation: Annotated[float | None, Range(above=0)] = None
    """Largest magnitude of an observation's entries, in their units; finite ones only unless given."""
    slew: Annotated[float | None, Range(above=0)] = None
    """Fastest change of an action, in its ranges (high - low) per second at control_hz; unlimited unless given."""
    max_message_bytes: Annotated[int, Range(least=1)] = 1 << 18
    """Largest request."""
    max_batch: Annotated[int, Range(least=1)] = 256
    """Most observations in one request over HTTP."""
    max_connections: Annotated[int, Range(least=1)] = 64
    """Connections at the same time that may ask; others are turned away."""
    request_timeout: Annotated[float, Range(above=0)] = 10.0
    """Seconds within which a request must arrive in full, and a reply be taken."""
    heartbeat: Annotated[float, Range(above=0)] = 20.0
    """Seconds between pings to a WebSocket client; one that does not answer is disconnected."""
    shutdown_timeout: Annotated[float, Range(above=0)] = 5.0
    """Seconds that requests in flight have once the server is told to stop."""
    load_timeout: Annotated[float, Range(above=0)] = 60.0
    """Seconds that reading and proving a policy's file may take, at the start and later."""
    record: Path | None = None
    """Folder to record every observation and action into."""
    record_limit_mb: Annotated[float, Range(above=0)] = 1024.0
    """Size at which a recording stops."""

    def __post_init__(self) -> None:
        check(self)
        if (self.certificate is None) != (self.private_key is None):
            raise HgrpoError("TLS needs both certificate and private_key; one of them is given")
        if not self.loopback and self.token_file is None:
            raise HgrpoError(
                f"other machines can reach {self.host}: listening there needs --token-file; without one: 127.0.0.1"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect to `host`."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # another name may mean any address
            return False

    def read_token(self) -> bytes | None:
        """The token without white space around it; raises HgrpoError if it is too short, FileError if there is none."""
        if self.token_file is None:
            return None
        token = read_bytes(self.token_file).strip()
        if len(token) < SHORTEST_TOKEN:
            raise HgrpoError(f"{self.token_file} holds a token of {len(token)} bytes; at least {SHORTEST_TOKEN}")
        return token
