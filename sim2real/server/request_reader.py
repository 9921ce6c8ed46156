"""From the bytes of a request over WebSocket to its fields."""

from __future__ import annotations

from typing import Any

from sim2real.server.history import check_sequence
from sim2real.server.rejection import Rejected
from sim2real.server.request_form import RequestForm
from sim2real.server.wire import unpack

KEYS = ("observation", "reset", "sequence")

_MOST_FORMS = 8  # that are looked for in the requests of one client


class RequestReader:
    """Reads the requests of one client, of up to `max_bytes`; those of a form that it has sent before in less time."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._form: RequestForm | None = None
        self._forms_wanted = _MOST_FORMS

    def read(self, message: bytes) -> dict[str, Any]:
        """Some of KEYS, each of a type that is allowed for it; raises Rejected for anything else."""
        if self._form is not None and (known := self._form.read(message)) is not None:
            return known
        fields: dict[str, Any] = unpack(message, self._max_bytes)
        check_fields(fields)
        if self._forms_wanted and "observation" in fields:
            self._forms_wanted -= 1
            self._form = RequestForm.of(message, fields) or self._form
        return fields


def check_fields(fields: Any) -> None:
    """Raise Rejected unless this is a map of KEYS with an observation or a reset in it."""
    if type(fields) is not dict:
        raise Rejected("malformed", f"message is {type(fields).__name__}; expected a map")
    for key in fields:
        if key not in KEYS:
            raise Rejected("malformed", f"unknown key {str(key)[:40]!r}; allowed: {', '.join(KEYS)}")
    if "sequence" in fields:
        check_sequence(fields["sequence"])
    if type(fields.get("reset", False)) is not bool:
        raise Rejected("malformed", "reset is neither true nor false")
    if "observation" not in fields and not fields.get("reset", False):
        raise Rejected("malformed", "message without an observation")
