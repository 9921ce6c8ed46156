"""`hgrpo serve`: exported policies over WebSocket and HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.config.argument import Argument
from policies.zoo import resolved
from sim2real.server.settings import ServerSettings


@dataclass(frozen=True)
class ServeOptions:
    """Serve exported policies over WebSocket and HTTP until SIGTERM or Ctrl-C.

    SIGHUP reads their files, the token and the certificate again.
    """

    policies: Annotated[tuple[str, ...], Argument("POLICY.onnx", positional=True)]
    """ONNX files, POLICY.onnx, NAME=POLICY.onnx or zoo:NAME; the path / serves the first one."""
    settings: ServerSettings = field(default_factory=ServerSettings)


def run(args: list[str]) -> None:
    """`hgrpo serve POLICY.onnx ... [options]`."""
    options = parse(ServeOptions, args, "hgrpo serve")
    for name in ("token_file", "certificate", "private_key"):
        if (path := getattr(options.settings, name)) is not None and path.is_dir():
            raise UsageError(f"{path} is a folder; --{name.replace('_', '-')} is a file")
    record = options.settings.record
    if record is not None and record.exists() and not record.is_dir():
        raise UsageError(f"{record} is a file; --record is a folder")
    from sim2real.server.app import serve

    serve(tuple(map(resolved, options.policies)), options.settings)
