"""What a server tells its client, read as if it could be anything."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError, printable
from sim2real.client.websocket_connection import LARGEST_MESSAGE
from sim2real.protocol.msgpack import unpack
from sim2real.protocol.request_error import REASONS, RequestError

_MOST_ENTRIES = 1 << 16  # of an observation in the metadata
_LONGEST_REFUSAL = 500  # letters


class UnreadableError(HgrpoError):
    """Raised for what `hgrpo serve` does not send; one line says what is wrong with it."""


class Action(NamedTuple):
    """An action (A,), the version of the policy that gave it, whether a guard changed it, and seconds in the policy."""

    action: NDArray[np.float32]
    version: str
    limited: bool
    infer_seconds: float


def message(data: bytes, is_text: bool) -> dict[str, Any]:
    """The map in a frame: msgpack, or JSON in one of text."""
    try:
        fields = json.loads(data) if is_text else unpack(data, LARGEST_MESSAGE, _MOST_ENTRIES)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{'text' if is_text else 'message'} cannot be read: {_one_line(str(error))}") from error
    if type(fields) is not dict:
        raise UnreadableError(f"message is {type(fields).__name__}; expected a map")
    return fields


def is_for(reply: dict[str, Any], sequence: int) -> bool:
    """Whether it answers this request; a refusal of what could not be read says no number."""
    answered = reply.get("sequence")
    if answered is not None and type(answered) is not int:
        raise UnreadableError(f"sequence is {type(answered).__name__}; expected an integer")
    return answered in (None, sequence)


def refusal(reply: dict[str, Any]) -> RequestError | None:
    """The refusal in a reply; None where there is none."""
    if "error" not in reply:
        return None
    text, reason = reply["error"], reply.get("reason")
    if type(text) is not str or type(reason) is not str or reason not in REASONS:
        raise UnreadableError("refusal without a line, or with a reason that is not known here")
    return RequestError(reason, _one_line(text))


def action(reply: dict[str, Any]) -> Action:
    """The action in a reply, and what is said of it."""
    chunk, version, limited = reply.get("actions"), reply.get("version"), reply.get("limited")
    if not isinstance(chunk, np.ndarray) or chunk.dtype.kind not in "fiu" or chunk.ndim != 2 or not len(chunk):
        raise UnreadableError("reply without actions, an array (1, A) of numbers")
    if type(version) is not str or type(limited) is not bool:
        raise UnreadableError("reply without the version of the policy, or whether its action was limited")
    timing = reply.get("server_timing")
    milliseconds = timing.get("infer_ms") if type(timing) is dict else None
    if type(milliseconds) is not float or not math.isfinite(milliseconds):
        raise UnreadableError("reply without a finite infer_ms in server_timing")
    with np.errstate(over="ignore"):
        return Action(chunk[0].astype(np.float32, copy=False), version, limited, 1e-3 * milliseconds)


def _one_line(text: str) -> str:
    return printable(text[:_LONGEST_REFUSAL])
