"""The option --import in the options of a command; importable without torch."""

from __future__ import annotations

from typing import Annotated

import tyro

IMPORTS = Annotated[tuple[str, ...], tyro.conf.arg(name="import", metavar="MODULE"), tyro.conf.UseAppendAction]
"""How the command line reads modules of a user's own; the option may be given several times."""
