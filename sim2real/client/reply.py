"""Replies of a server, validated by the client."""

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
_LONGEST_REFUSAL = 500  # characters


class UnreadableError(HgrpoError):
    """Raised for a reply that `hgrpo serve` does not send."""


class Action(NamedTuple):
    """An action of a server."""

    action: NDArray[np.float32]
    """(A,) in the units of the policy's spec."""
    version: str
    """Number of the policy's version."""
    limited: bool
    """Whether a guard has changed the action."""
    infer_seconds: float
    """Time in the policy [s]."""


def message(data: bytes, is_text: bool) -> dict[str, Any]:
    """The map in a frame: JSON in a text frame, msgpack in a binary one."""
    try:
        fields = json.loads(data) if is_text else unpack(data, LARGEST_MESSAGE, _MOST_ENTRIES)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{'text' if is_text else 'message'} cannot be read: {_one_line(str(error))}") from error
    if type(fields) is not dict:
        raise UnreadableError(f"message is {type(fields).__name__}; expected a map")
    return fields


def is_for(reply: dict[str, Any], sequence: int) -> bool:
    """Whether a reply is for this request.

    A refusal of an unreadable request has no number.
    """
    answered = reply.get("sequence")
    if answered is not None and type(answered) is not int:
        raise UnreadableError(f"sequence is {type(answered).__name__}; expected an integer")
    return answered in (None, sequence)


def refusal(reply: dict[str, Any]) -> RequestError | None:
    """The refusal in a reply; None without one."""
    if "error" not in reply:
        return None
    text, reason = reply["error"], reply.get("reason")
    if type(text) is not str or type(reason) is not str or reason not in REASONS:
        raise UnreadableError("refusal without a text or with an unknown reason")
    return RequestError(reason, _one_line(text))


def action(reply: dict[str, Any]) -> Action:
    """The action in a reply."""
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
