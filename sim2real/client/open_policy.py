"""A policy to fly, from an exported file or from a server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hgrpo_errors import HgrpoError, install

if TYPE_CHECKING:
    from sim2real.client.reconnecting import Reconnecting
    from sim2real.policy.onnx_policy import OnnxPolicy


def is_address(policy: str) -> bool:
    """Whether this is the address of a server, ws:// or wss://, and not a file."""
    return policy.startswith(("ws://", "wss://"))


@contextmanager
def open_policy(
    policy: str, token_file: Path | None = None, certificate: Path | None = None
) -> Iterator[OnnxPolicy | Reconnecting]:
    """A policy that is ready to act.

    A connection to a server is closed at the end.

    Args:
        policy: File that `hgrpo export` wrote, or address of a server, ws://HOST:PORT/ or wss://HOST:PORT/.
        token_file: File with the token of the server.
        certificate: Certificate to trust besides those of the system; only for wss://.

    Raises HgrpoError where the file cannot be used, the server cannot be reached, or an option does not apply.
    """
    if is_address(policy):
        connection = _connect(policy, token_file, certificate)
        try:
            yield connection
        finally:
            connection.close()
        return
    if token_file is not None or certificate is not None:
        raise HgrpoError(f"--token-file and --certificate are for a server, ws://HOST:PORT/; given {policy}")
    from sim2real.policy.onnx_policy import OnnxPolicy

    yield OnnxPolicy(policy)


def _connect(address: str, token_file: Path | None, certificate: Path | None) -> Reconnecting:
    try:
        from sim2real.client.reconnecting import Reconnecting
        from sim2real.client.remote_policy import RemotePolicy
    except ModuleNotFoundError as error:
        raise HgrpoError(f"a server needs {error.name}: {install('serve')}") from error
    token = None if token_file is None else _read_token(token_file)
    if certificate is not None and not address.startswith("wss://"):
        raise HgrpoError(f"--certificate is for a server behind TLS, wss://HOST:PORT/; given {address}")
    context = None if certificate is None else _trust(certificate)
    try:
        return Reconnecting(lambda: RemotePolicy(address, token, context=context))
    except (ConnectionError, TimeoutError) as error:  # only the first connection; a lost one is renewed in flight
        raise HgrpoError(str(error)) from error


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HgrpoError(f"--token-file {path} cannot be read: {getattr(error, 'strerror', error)}") from error


def _trust(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError as error:
        raise HgrpoError(f"--certificate {certificate} holds no certificate in PEM: {error.reason}") from error
    except OSError as error:
        raise HgrpoError(f"--certificate {certificate} cannot be read: {error.strerror}") from error
    return context
