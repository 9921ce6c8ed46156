"""What the server logs, as lines that can do nothing to the terminal that shows them."""

from __future__ import annotations

import logging
from typing import Any

from hgrpo_errors import printable


class PrintableLines(logging.Formatter):
    """A line for every message, and printable tracebacks: requests and files are quoted in both."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Lines of a traceback."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


def log_to_standard_error() -> None:
    """Send the log there, unless whoever embeds the server has chosen another place."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableLines("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler])
