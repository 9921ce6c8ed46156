"""Log lines without control characters."""

from __future__ import annotations

import logging
from typing import Any

from hgrpo_errors import printable


class PrintableLines(logging.Formatter):
    """Makes messages and tracebacks printable, because they quote requests and files."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The traceback of an exception."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


def log_to_standard_error() -> None:
    """Log to standard error, unless logging is configured already."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableLines("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler])
