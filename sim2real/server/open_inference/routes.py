"""Routes of the Open Inference Protocol v2 (KServe), and of changes of versions.

The parameter `sequence_id` names a stream with a history and a memory; `sequence_start` begins and `sequence_end` ends
it.
`sequence_number` is an extension of this server: it has to rise within a stream, and overtaken requests are dropped. A
stream belongs to the token that began it, or to the connection if the server has no token.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from sim2real.policy.onnx_policy import INPUT_NAME, OUTPUT_NAME
from sim2real.protocol.request_error import RequestError
from sim2real.server.access import OWNER
from sim2real.server.connections import Connections
from sim2real.server.core.history import Histories
from sim2real.server.core.inference import Answer, Inference
from sim2real.server.core.policies import ServedPolicy, find
from sim2real.server.core.swapping import Swapper
from sim2real.server.http_reply import refusal
from sim2real.server.open_inference.reply import inference_reply
from sim2real.server.open_inference.request import HEADER_LENGTH, InferenceRequest, parse

EXTENSIONS = ("binary_tensor_data", "sequence", "model_repository")
MOST_STREAMS = 1024  # per token or connection

_PROTOCOL = "http"
_COMPLETE = nullcontext()  # context for a body that has arrived already, such as a small one
_STATUS = {"unknown_policy": 404, "unknown_version": 404, "too_large": 413, "stale": 409, "action": 500}


class OpenInferenceEndpoint:
    """The handlers of /v2; refusals are `{"error": ...}` with a status by their reason.

    Args:
        inference: From observations to actions.
        connections: Limits of the connections.
        swapper: Changes of versions.
        version: Version of this package.
    """

    def __init__(self, inference: Inference, connections: Connections, swapper: Swapper, version: str) -> None:
        self._inference = inference
        self._connections = connections
        self._swapper = swapper
        self._version = version
        self._histories: WeakKeyDictionary[object, Histories] = WeakKeyDictionary()  # by owner

    def routes(self) -> list[web.RouteDef]:
        """The routes of all handlers."""
        routes: list[web.RouteDef] = []
        for model in ("/v2/models/{policy}", "/v2/models/{policy}/versions/{version}"):
            routes += [
                web.post(f"{model}/infer", self._with_refusals(self._infer)),  # first: the most frequent
                web.get(model, self._with_refusals(self._model_metadata)),
                web.get(f"{model}/ready", self._with_refusals(self._ready)),
            ]
        return [
            *routes,
            web.get("/v2", self._server_metadata),
            web.get("/v2/health/live", self._live),
            web.get("/v2/health/ready", self._ready),
            web.post("/v2/repository/index", self._index),
            web.post("/v2/repository/models/{policy}/load", self._with_refusals(self._load)),
            web.post("/v2/repository/models/{policy}/rollback", self._rollback),
        ]

    async def _server_metadata(self, request: web.Request) -> web.Response:
        return web.json_response({"name": "hgrpo", "version": self._version, "extensions": EXTENSIONS})

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, request: web.Request) -> web.Response:
        if "policy" not in request.match_info:
            return web.json_response({"ready": True})
        served, _ = self._find(request)
        return web.json_response({"name": served.name, "ready": True})

    async def _model_metadata(self, request: web.Request) -> web.Response:
        served, number = self._find(request)
        spec = served.version(number).policy.spec
        metadata = {
            "name": served.name,
            "versions": served.numbers,
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": INPUT_NAME, "datatype": "FP32", "shape": [-1, spec.observation_size]}],
            "outputs": [{"name": OUTPUT_NAME, "datatype": "FP32", "shape": [-1, spec.action_size]}],
        }
        return web.json_response(metadata)

    async def _infer(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        served, number = self._find(request)
        asked = parse(await self._body(request), request.headers.get(HEADER_LENGTH))
        answer = self._answer(served, number, asked, request[OWNER])
        response = inference_reply(served.name, answer, asked)
        self._inference.metrics.latency[served.name, _PROTOCOL].observe(time.perf_counter() - began)
        return response

    def _answer(self, served: ServedPolicy, number: str | None, request: InferenceRequest, owner: object) -> Answer:
        parameters = request.parameters
        if not parameters["sequence_id"]:
            return self._inference.many(served, request.observation, number)
        observation = request.observation
        if observation.ndim == 2:
            if len(observation) != 1:
                raise RequestError(
                    "shape", f"{len(observation)} observations; expected 1 in a request with a sequence_id"
                )
            observation = observation[0]
        if owner not in self._histories:
            self._histories[owner] = Histories(MOST_STREAMS)
        histories, key = self._histories[owner], (served.name, parameters["sequence_id"])
        history = histories.start(key) if parameters["sequence_start"] else histories.get(key)
        try:
            if "sequence_number" in parameters:
                history.advance(parameters["sequence_number"])
            return self._inference.one(served, observation, history, number)
        finally:
            if parameters["sequence_end"]:
                histories.end(key)

    async def _index(self, request: web.Request) -> web.Response:
        policies = self._inference.policies.values()
        states = [{"name": p.name, "version": n, "state": "READY", "reason": ""} for p in policies for n in p.numbers]
        return web.json_response(states)

    async def _load(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        if body.strip() not in (b"", b"{}"):
            return refusal(400, "load takes no configuration and no files; it reads the served file again")
        return await self._swap(request, self._swapper.load)

    async def _rollback(self, request: web.Request) -> web.Response:
        return await self._swap(request, self._swapper.rollback)

    async def _swap(self, request: web.Request, change: Any) -> web.Response:
        name = request.match_info["policy"]
        if name not in self._inference.policies:
            return refusal(404, f"no policy {name[:64]!r}; allowed: {', '.join(self._inference.policies)}")
        try:
            number = await change(self._inference.policies[name])
        except ValueError as error:
            return refusal(400, str(error))
        return web.json_response({"name": name, "version": number})

    async def _body(self, request: web.Request) -> bytes:
        with _COMPLETE if request.content.is_eof() else self._connections.receiving(request):
            try:
                return await request.read()
            except web.RequestPayloadError as error:
                raise RequestError("malformed", "the body does not have the encoding of its headers") from error

    def _find(self, request: web.Request) -> tuple[ServedPolicy, str | None]:
        """Policy of the path, and the number of its version; None without one."""
        served = find(self._inference.policies, request.match_info["policy"])
        number = request.match_info.get("version")
        served.version(number)
        return served, number

    def _with_refusals(self, handler: Any) -> Any:
        """The handler, with refusals counted and sent."""

        async def answer(request: web.Request) -> web.Response:
            try:
                response: web.Response = await handler(request)
                return response
            except RequestError as refused:
                reason, text = refused.reason, str(refused)
            except web.HTTPRequestEntityTooLarge:
                reason, text = "too_large", f"body; allowed: {self._inference.settings.max_message_bytes} bytes"
            return self._refused(request.match_info["policy"], reason, text)

        return answer

    def _refused(self, name: str, reason: str, text: str) -> web.Response:
        known = name if name in self._inference.policies else ""
        self._inference.metrics.rejected[known, _PROTOCOL, reason] += 1
        return refusal(_STATUS.get(reason, 400), text)
