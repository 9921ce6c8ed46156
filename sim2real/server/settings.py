"""How a policy server is run; imports nothing but the standard library."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from pathlib import Path

from hgrpo_errors import HgrpoError
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
    port: int = 8000
    """TCP port; 0 takes a free one and says which."""
    token_file: Path | None = None
    """File with the token (at least 16 characters) that every request must bring, but for /healthz."""
    certificate: Path | None = None
    """PEM file with the certificate chain; with it, everything is TLS."""
    private_key: Path | None = None
    """PEM file with the certificate's key."""
    max_observation: float | None = None
    """Largest magnitude of an observation's entries, in their units; finite ones only unless given."""
    slew: float | None = None
    """Fastest change of an action, in its ranges (high - low) per second at control_hz; unlimited unless given."""
    max_message_bytes: int = 1 << 18
    """Largest request."""
    max_batch: int = 256
    """Most observations in one request over HTTP."""
    max_connections: int = 64
    """Connections at the same time that may ask; others are turned away."""
    request_timeout: float = 10.0
    """Seconds within which a request must arrive in full, and a reply be taken."""
    heartbeat: float = 20.0
    """Seconds between pings to a WebSocket client; one that does not answer is disconnected."""
    shutdown_timeout: float = 5.0
    """Seconds that requests in flight have once the server is told to stop."""
    load_timeout: float = 60.0
    """Seconds that reading and proving a policy's file may take, at the start and later."""
    record: Path | None = None
    """Folder to record every observation and action into."""
    record_limit_mb: float = 1024.0
    """Size at which a recording stops."""

    def __post_init__(self) -> None:
        for name in ("max_observation", "slew"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise HgrpoError(f"{name} is {value}; allowed: above 0 and finite")
        for name in ("request_timeout", "heartbeat", "shutdown_timeout", "load_timeout", "record_limit_mb"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise HgrpoError(f"{name} is {getattr(self, name)}; allowed: above 0 and finite")
        for name in ("max_message_bytes", "max_batch", "max_connections"):
            if getattr(self, name) < 1:
                raise HgrpoError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        if not 0 <= self.port <= 65535:
            raise HgrpoError(f"port is {self.port}; allowed: 0 to 65535")
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
