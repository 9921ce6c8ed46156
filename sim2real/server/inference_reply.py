"""The reply of the Open Inference Protocol v2 to an inference, JSON with or without a binary tensor behind it."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

from aiohttp import web

from sim2real.onnx_policy import OUTPUT_NAME
from sim2real.server.inference import Answer
from sim2real.server.inference_request import HEADER_LENGTH, InferenceRequest


def inference_reply(model: str, answer: Answer, request: InferenceRequest) -> web.Response:
    """The output `action` (A,) or (B, A), as the observation was given, and the version that gave it."""
    action, milliseconds = answer.action, 1e3 * answer.seconds
    shape = action.shape if request.observation.ndim == 2 else action.shape[1:]
    if not request.binary:
        tensor = {"shape": shape, "data": action.ravel().tolist()}
        fields = _fields(model, answer.version, answer.limited, request.id, tensor)
        fields["parameters"]["infer_ms"] = milliseconds
        return web.json_response(fields)
    text = _before_binary(model, answer.version, answer.limited, request.id, shape)
    header = f'{text}, "infer_ms": {milliseconds:.6f}}}}}'.encode()
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return web.Response(headers=headers, body=header + action.astype("<f4", copy=False).tobytes())


@lru_cache(maxsize=64)  # a client's replies differ in nothing but the numbers and the time they took
def _before_binary(model: str, version: str, limited: bool, identity: str | None, shape: tuple[int, ...]) -> str:
    """JSON up to the last parameter, without the two braces that end it."""
    tensor = {"shape": shape, "parameters": {"binary_data_size": 4 * math.prod(shape)}}
    return json.dumps(_fields(model, version, limited, identity, tensor))[:-2]


def _fields(model: str, version: str, limited: bool, identity: str | None, tensor: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"model_name": model, "model_version": version}
    if identity is not None:
        fields["id"] = identity
    fields["outputs"] = [{"name": OUTPUT_NAME, "datatype": "FP32", **tensor}]
    fields["parameters"] = {"limited": limited}
    return fields
