"""Plain loop that the policy server is compared with.

It consists of aiohttp, the policy, and a check of shape and numbers.

It sends the same bytes over the same two protocols, and has nothing else: no versions, no histories, no limits, no
metrics, no recording, and an exception for an answer to what it does not expect.

    python -m benchmarks.serving.plain POLICY.onnx
"""

from __future__ import annotations

import json
import socket
import sys

import msgpack
import numpy as np
from aiohttp import WSMsgType, web

from sim2real.policy.onnx_policy import OnnxPolicy

LENGTH = "Inference-Header-Content-Length"

policy = OnnxPolicy(sys.argv[1])
low, high = np.array((policy.spec.action_low, policy.spec.action_high), np.float32)


def act(observation: np.ndarray) -> np.ndarray:
    """Action (1, A) of an observation (O,)."""
    if observation.shape != (policy.spec.observation_size,) or not np.isfinite(observation).all():
        raise ValueError("observation is not of the policy's shape, or not finite")
    return np.clip(policy.run(observation[np.newaxis]), low, high)


async def over_websocket(request: web.Request) -> web.WebSocketResponse:
    """openpi's protocol: metadata, then an action for each observation."""
    connection = web.WebSocketResponse(compress=False)
    await connection.prepare(request)
    await connection.send_bytes(msgpack.packb({"task": policy.spec.task}))
    async for message in connection:
        if message.type is WSMsgType.BINARY:
            given = msgpack.unpackb(message.data)["observation"]
            action = act(np.frombuffer(given[b"data"], given[b"dtype"]).reshape(given[b"shape"]))
            array = {
                b"__ndarray__": True,
                b"data": action.tobytes(),
                b"dtype": action.dtype.str,
                b"shape": action.shape,
            }
            await connection.send_bytes(msgpack.packb({"actions": array}))
    return connection


async def over_http(request: web.Request) -> web.Response:
    """The Open Inference Protocol with binary tensors, of one observation."""
    body, length = await request.read(), int(request.headers[LENGTH])
    tensor = json.loads(body[:length])["inputs"][0]
    observation = np.frombuffer(body[length:], {"FP32": "<f4", "FP64": "<f8"}[tensor["datatype"]])
    data = (action := act(observation.reshape(tensor["shape"])[0])).tobytes()
    output = {
        "name": "action",
        "datatype": "FP32",
        "shape": action.shape,
        "parameters": {"binary_data_size": len(data)},
    }
    header = json.dumps({"model_name": "policy", "outputs": [output]}).encode()
    return web.Response(body=header + data, headers={LENGTH: str(len(header))})


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.get("/", over_websocket), web.post("/v2/models/policy/infer", over_http)])
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"serving at http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    web.run_app(app, sock=listening, access_log=None, print=lambda _: None, shutdown_timeout=1.0)
