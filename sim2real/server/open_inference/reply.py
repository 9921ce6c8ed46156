"""Inference reply of the Open Inference Protocol v2: JSON, optionally followed by a binary tensor."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from sim2real.policy.onnx_policy import OUTPUT_NAME
from sim2real.server.core.inference import Answer
from sim2real.server.open_inference.request import HEADER_LENGTH, InferenceRequest


def inference_reply(model: str, answer: Answer, request: InferenceRequest) -> web.Response:
    """Reply with the output `action`, (A,) or (B, A) like the observation.

    Args:
        model: Name of the policy.
        answer: Its actions.
        request: The request.
    """
    action = answer.action
    tensor: dict[str, Any] = {
        "name": OUTPUT_NAME,
        "datatype": "FP32",
        "shape": action.shape if request.observation.ndim == 2 else action.shape[1:],
    }
    fields: dict[str, Any] = {"model_name": model, "model_version": answer.version}
    if request.id is not None:
        fields["id"] = request.id
    fields["outputs"] = [tensor]
    fields["parameters"] = {"limited": answer.limited, "infer_ms": 1e3 * answer.seconds}
    if not request.binary:
        tensor["data"] = action.ravel().tolist()
        return web.json_response(fields)
    data = action.astype("<f4", copy=False).tobytes()
    tensor["parameters"] = {"binary_data_size": len(data)}
    header = json.dumps(fields).encode()
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return web.Response(headers=headers, body=header + data)
