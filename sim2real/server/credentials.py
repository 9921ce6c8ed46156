"""The token and the TLS certificate, read at the start and on renewal."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hgrpo_errors import HgrpoError
from hgrpo_files import reading
from sim2real.server.settings import ServerSettings

_log = logging.getLogger("hgrpo.server")


@dataclass(frozen=True, eq=False)
class Token:
    """The token of the clients.

    A new object after a change, so streams of the former token are not found.
    """

    value: bytes


class Credentials:
    """Token and TLS context of the server.

    Raises HgrpoError for a token that is too short and for an invalid certificate or key, FileError for an unreadable
    file.
    """

    token: Token | None = None
    """None if the server needs no token."""
    context: ssl.SSLContext | None = None
    """None without TLS."""
    _newest: ssl.SSLContext | None = None

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._sources: dict[str, Callable[[], None]] = {}
        if settings.token_file is not None:
            self._sources["token"] = self._read_token
        if settings.certificate is not None and settings.private_key is not None:
            self._sources["certificate"] = self._read_certificate
        for read in self._sources.values():
            read()
        self.context = self._newest
        if self.context is not None:
            self.context.sni_callback = self._present  # called in every handshake, with or without a host name

    def renew(self) -> None:
        """Read the files again, for later requests and handshakes.

        An unusable file is logged and has no effect.
        """
        for name, read in self._sources.items():
            try:
                read()
            except HgrpoError as error:
                _log.warning("the former %s is kept: %s", name, error)
            else:
                _log.warning("%s: read again", name)

    def _present(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        if self._newest is not None:
            connection.context = self._newest

    def _read_token(self) -> None:
        value = self._settings.read_token()
        if value is not None and (self.token is None or self.token.value != value):
            self.token = Token(value)

    def _read_certificate(self) -> None:
        assert self._settings.certificate is not None
        assert self._settings.private_key is not None
        self._newest = _context(self._settings.certificate, self._settings.private_key)


def _context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """A new TLS context of a certificate and its key."""

    def refuse() -> str:  # called for a passphrase; OpenSSL would prompt on a terminal
        raise HgrpoError(
            f"{private_key} is encrypted; give a key without a passphrase: openssl pkey -in KEY -out PLAIN"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (certificate, private_key):
        with reading(path):  # the error of ssl does not name the file
            path.open("rb").close()
    try:
        context.load_cert_chain(certificate, private_key, refuse)
    except ssl.SSLError as error:
        why = f": {error.reason.replace('_', ' ').lower()}" if error.reason else ""  # empty for a file without PEM
        raise HgrpoError(f"{certificate} and {private_key} are no PEM certificate and its key{why}") from error
    return context
