"""Inference request of the Open Inference Protocol v2: JSON, optionally followed by a binary tensor."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real.policy.onnx_policy import INPUT_NAME, OUTPUT_NAME
from sim2real.protocol.request_error import RequestError

HEADER_LENGTH = "Inference-Header-Content-Length"
DATATYPES: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
PARAMETERS = ("binary_data_output", "sequence_end", "sequence_id", "sequence_number", "sequence_start")

_CONTENT_TYPE = "content_type"  # sent by MLServer's clients; it has no effect here
_MOST_DIMENSIONS = 2
_LARGEST_SIZE = 2**31
_SHORT = 1024  # longest JSON in the cache [bytes]
_WRONG_SIZE = "binary_data_size must be the number of bytes after the JSON"


class InferenceRequest(NamedTuple):
    """A request: its observation, the form of the reply, and its stream."""

    observation: NDArray[Any]
    """(O,) or (B, O), as sent."""
    id: str | None
    binary: bool
    """Whether the reply has a binary tensor."""
    parameters: Mapping[str, Any]


class _Envelope(NamedTuple):
    """The JSON of a request; `binary_size` bytes of data follow it, unless that is None."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    binary_size: int | None
    data: Any
    id: str | None
    binary: bool
    parameters: Mapping[str, Any]


def parse(body: bytes, header_length: str | None) -> InferenceRequest:
    """The request in a body.

    Args:
        body: JSON, optionally followed by binary data.
        header_length: Header with the length of the JSON; None if the whole body is JSON.

    Raises RequestError for inputs other than one `observation` of DATATYPES, and for outputs other than `action`.
    """
    length = _length(header_length, len(body))
    read = _read_cached if length < len(body) and length <= _SHORT else _read
    envelope = read(body[:length])
    observation = _observation(envelope, body[length:])
    return InferenceRequest(observation, envelope.id, envelope.binary, envelope.parameters)


def _read(text: bytes) -> _Envelope:
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError("malformed", "the body is not JSON") from error
    if not isinstance(request, dict):
        raise RequestError("malformed", "the body is not a JSON object")
    identity = request.get("id")
    if identity is not None and (not isinstance(identity, str) or len(identity) > 128):
        raise RequestError("malformed", "id must be a text of up to 128 characters")
    parameters = _parameters(_given(request, "parameters must be a JSON object"))
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError("malformed", f"inputs must be one tensor named {INPUT_NAME!r}")
    binary = _wants_binary(request.get("outputs"), parameters["binary_data_output"])
    return _Envelope(*_tensor(inputs[0]), identity, binary, parameters)


# with binary data after the JSON, the JSON of a client's requests is always the same
_read_cached = lru_cache(maxsize=64)(_read)


def _length(given: str | None, size: int) -> int:
    if given is None:
        return size
    if not (given.isascii() and given.isdigit() and len(given) < 16 and int(given) <= size):
        raise RequestError("malformed", f"{HEADER_LENGTH} must be a number of bytes of the body")
    return int(given)


def _given(holder: dict[str, Any], refusal: str) -> dict[str, Any]:
    """The parameters of a request or tensor that are not null."""
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError("malformed", refusal)
    if not isinstance(parameters.get(_CONTENT_TYPE), str | None):
        raise RequestError("malformed", f"{_CONTENT_TYPE} must be a text")
    return {name: value for name, value in parameters.items() if value is not None and name != _CONTENT_TYPE}


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    """All of PARAMETERS, given or default."""
    for name in given:
        if name not in PARAMETERS:
            raise RequestError("malformed", f"unknown parameter {name[:40]!r}; allowed: {', '.join(PARAMETERS)}")
    values: dict[str, Any] = {"binary_data_output": False, "sequence_start": False, "sequence_end": False} | given
    for name in ("binary_data_output", "sequence_start", "sequence_end"):
        if type(values[name]) is not bool:
            raise RequestError("malformed", f"{name} must be true or false")
    stream = values.setdefault("sequence_id", 0)
    if type(stream) not in (int, str) or len(str(stream)) > 64:
        raise RequestError("malformed", "sequence_id must be an integer or a text of up to 64 characters")
    if not stream and (values["sequence_start"] or values["sequence_end"] or "sequence_number" in values):
        raise RequestError("malformed", "sequence_start, sequence_end and sequence_number need a sequence_id")
    return values


def _tensor(tensor: dict[str, Any]) -> tuple[np.dtype[Any], tuple[int, ...], int | None, Any]:
    """Dtype, shape, number of bytes after the JSON, and data of an input."""
    if tensor.get("name") != INPUT_NAME:
        raise RequestError("malformed", f"the input must be named {INPUT_NAME!r}")
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise RequestError("dtype", f"datatype must be {' or '.join(DATATYPES)}")
    sizes = shape if isinstance(shape, list) else [None]
    plausible = (type(size) is int and 0 <= size < _LARGEST_SIZE for size in sizes)
    if not 1 <= len(sizes) <= _MOST_DIMENSIONS or not all(plausible):
        raise RequestError("shape", f"shape must be one or {_MOST_DIMENSIONS} sizes from 0 to 2^31 - 1")
    refusal = "an input's only parameter is binary_data_size; shared memory is not served"
    parameters = _given(tensor, refusal)
    if any(name != "binary_data_size" for name in parameters):
        raise RequestError("malformed", refusal)
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or tensor.get("data") is not None):
        raise RequestError("malformed", _WRONG_SIZE)
    return DATATYPES[datatype], tuple(sizes), size, tensor.get("data")


def _observation(envelope: _Envelope, binary: bytes) -> NDArray[Any]:
    dtype, shape = envelope.dtype, envelope.shape
    if envelope.binary_size is None:
        if binary:
            raise RequestError("malformed", "bytes after the JSON without a binary_data_size")
        return _numbers(envelope.data, math.prod(shape), dtype).reshape(shape)
    if envelope.binary_size != len(binary):
        raise RequestError("malformed", _WRONG_SIZE)
    if len(binary) != math.prod(shape) * dtype.itemsize:
        raise RequestError("shape", f"{len(binary)} bytes do not fill shape and datatype")
    return np.frombuffer(binary, dtype).reshape(shape)


def _numbers(data: Any, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Array of a flat list or a list of lists of numbers."""
    if not isinstance(data, list):
        raise RequestError("malformed", "the input has neither data nor binary_data_size")
    flat = [number for row in data for number in (row if isinstance(row, list) else (row,))]
    if len(flat) != count:
        raise RequestError("shape", f"{len(flat)} numbers do not fill the shape")
    if any(type(number) not in (int, float) for number in flat):
        raise RequestError("dtype", "data must be numbers")
    try:
        with np.errstate(over="ignore"):  # overflow is refused later as not finite
            return np.array(flat, np.float64).astype(dtype)
    except OverflowError as error:
        raise RequestError("out_of_range", "data contain an integer beyond double precision") from error


def _wants_binary(outputs: Any, default: bool) -> bool:
    if outputs is None or outputs == []:
        return default
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        raise RequestError("malformed", f"outputs must be one tensor named {OUTPUT_NAME!r}")
    if outputs[0].get("name") != OUTPUT_NAME:
        raise RequestError("malformed", f"the output must be named {OUTPUT_NAME!r}")
    refusal = "an output's only parameter is binary_data; shared memory is not served"
    parameters = _given(outputs[0], refusal)
    if any(name != "binary_data" for name in parameters):
        raise RequestError("malformed", refusal)
    wanted = parameters.get("binary_data", default)
    if type(wanted) is not bool:
        raise RequestError("malformed", "binary_data must be true or false")
    return wanted
