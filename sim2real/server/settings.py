"""Settings of the policy server; importable without the extra `serve`."""

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
    """Address, access and limits of `hgrpo serve`."""

    host: str = "127.0.0.1"
    """Address to listen on; other addresses than the loopback need a token."""
    port: Annotated[int, Range(least=0, most=65535)] = 8000
    """TCP port; 0 takes a free port and prints it."""
    token_file: Path | None = None
    """File with the token, at least 16 characters, that every request except /healthz needs."""
    certificate: Path | None = None
    """PEM file with the certificate chain; turns on TLS."""
    private_key: Path | None = None
    """PEM file with the key of the certificate."""
    max_observation: Annotated[float | None, Range(above=0)] = None
    """Largest magnitude of an observation entry, in its unit; None allows every finite number."""
    slew: Annotated[float | None, Range(above=0)] = None
    """Fastest change of an action, in its ranges (high - low) per second; None is unlimited."""
    max_message_bytes: Annotated[int, Range(least=1)] = 1 << 18
    """Largest request [bytes]."""
    max_batch: Annotated[int, Range(least=1)] = 256
    """Largest number of observations in one HTTP request."""
    max_connections: Annotated[int, Range(least=1)] = 64
    """Largest number of connections at the same time."""
    request_timeout: Annotated[float, Range(above=0)] = 10.0
    """Time in which a request must arrive and its reply must be read [s]."""
    heartbeat: Annotated[float, Range(above=0)] = 20.0
    """Time between pings to a WebSocket client [s]; a client that does not answer is disconnected."""
    stream_timeout: Annotated[float, Range(above=0)] = 60.0
    """Time without a request after which the memory of a policy is forgotten in a stream [s]."""
    shutdown_timeout: Annotated[float, Range(above=0)] = 5.0
    """Time for requests in flight after the signal to stop [s]."""
    load_timeout: Annotated[float, Range(above=0)] = 60.0
    """Time for reading and checking the file of a policy [s]."""
    record: Path | None = None
    """Folder for recordings of every observation and action."""
    record_limit_mb: Annotated[float, Range(above=0)] = 1024.0
    """Size at which a recording stops [MB]."""

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
        except ValueError:  # another host name may have any address
            return False

    def read_token(self) -> bytes | None:
        """The token without surrounding white space; None without --token-file.

        Raises HgrpoError if it is too short, FileError if the file cannot be read.
        """
        if self.token_file is None:
            return None
        token = read_bytes(self.token_file).strip()
        if len(token) < SHORTEST_TOKEN:
            raise HgrpoError(
                f"{self.token_file} contains a token of {len(token)} bytes; allowed: at least {SHORTEST_TOKEN}"
            )
        return token
