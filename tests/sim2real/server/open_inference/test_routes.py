"""The Open Inference Protocol v2: tritonclient unmodified, requests by hand, and bodies by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.raw_http import Client, sequenced
from support.server_process import OBSERVATIONS, Server

from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.protocol.request_error import RequestError
from sim2real.server.open_inference.request import parse
from sim2real.server.open_inference.routes import MOST_STREAMS

INFER = "/v2/models/one/infer"
TENSOR = {"name": "observation", "shape": [1, 3], "datatype": "FP32", "data": [0.5, 1.0, -2.0]}


@pytest.fixture
def triton(server: Server) -> Iterator[Any]:
    http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    client = http.InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60.0, connection_timeout=60.0)
    yield client
    client.close()


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize(("numpy", "datatype"), [(np.float32, "FP32"), (np.float64, "FP64")])
def test_an_unmodified_tritonclient_infers(
    triton: Any, one: OnnxPolicy, binary_in: bool, binary_out: bool, numpy: type, datatype: str
) -> None:
    import tritonclient.http as http

    tensor = http.InferInput("observation", list(OBSERVATIONS.shape), datatype)
    tensor.set_data_from_numpy(OBSERVATIONS.astype(numpy), binary_data=binary_in)
    outputs = [http.InferRequestedOutput("action", binary_data=binary_out)]
    result = triton.infer("one", [tensor], outputs=outputs, request_id="a 1")
    np.testing.assert_allclose(result.as_numpy("action"), one(OBSERVATIONS), rtol=1e-6)
    response = result.get_response()
    assert (response["id"], response["model_version"]) == ("a 1", "1")
    assert ("data" in response["outputs"][0]) != binary_out


def test_tritonclient_s_other_calls(triton: Any, one: OnnxPolicy) -> None:
    import tritonclient.http as http

    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("two")
    assert triton.is_model_ready("two", "1")
    assert not triton.is_model_ready("three")
    assert not triton.is_model_ready("two", "7")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    metadata = triton.get_model_metadata("one", "1")
    assert metadata["inputs"] == [{"name": "observation", "datatype": "FP32", "shape": [-1, 3]}]
    assert metadata["outputs"] == [{"name": "action", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["versions"] == ["1"]
    assert {state["name"] for state in triton.get_model_repository_index()} == {"one", "two"}
    tensor = http.InferInput("observation", [3], "FP32")
    tensor.set_data_from_numpy(np.array([0, np.nan, 0], np.float32))
    with pytest.raises(http.InferenceServerException if hasattr(http, "InferenceServerException") else Exception) as e:
        triton.infer("one", [tensor])
    assert "observation 'v' is nan m/s" in str(e.value)
    tensor.set_data_from_numpy(OBSERVATIONS[0])
    compressed = triton.infer("one", [tensor], request_compression_algorithm="gzip")
    np.testing.assert_array_equal(compressed.as_numpy("action"), one(OBSERVATIONS[0]))


def test_tritonclient_s_sequences_are_streams(triton: Any, one: OnnxPolicy) -> None:
    import tritonclient.http as http

    tensor = http.InferInput("observation", [1, 3], "FP32")
    tensor.set_data_from_numpy(OBSERVATIONS[:1])

    def ask(stream: int, number: int, **marks: bool) -> str:
        try:
            triton.infer("one", [tensor], sequence_id=stream, parameters={"sequence_number": number}, **marks)
        except Exception as error:  # tritonclient's own kind
            return str(error)
        return "answered"

    assert "begin it with sequence_start" in ask(5, 0)
    assert ask(5, 3, sequence_start=True) == "answered"
    assert ask(6, 9, sequence_start=True) == "answered"
    assert ask(5, 4) == "answered"
    assert "dropped" in ask(5, 4)
    assert ask(6, 10) == "answered"
    assert ask(5, 5, sequence_end=True) == "answered"
    assert "begin it with sequence_start" in ask(5, 6)


def post(server: Server, body: Any, path: str = INFER, **headers: str) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = server.ask("POST", path, content, {key.replace("_", "-"): value for key, value in headers.items()})
    assert b"Traceback" not in answer
    return status, json.loads(answer)


def test_plain_json(server: Server, one: OnnxPolicy) -> None:
    status, answer = post(server, {"inputs": [{**TENSOR, "shape": [3]}]})
    assert status == 200
    assert answer["outputs"][0]["shape"] == [2]
    np.testing.assert_allclose(answer["outputs"][0]["data"], one(TENSOR["data"]), rtol=1e-6)
    status, answer = post(
        server, {"inputs": [{**TENSOR, "data": [TENSOR["data"]]}]}, INFER.replace("one", "one/versions/1")
    )
    assert (status, answer["outputs"][0]["shape"], answer["parameters"]["limited"]) == (200, [1, 2], False)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        ({"inputs": []}, 400, "one tensor"),
        ({"inputs": [{**TENSOR, "name": "x"}]}, 400, "named 'observation'"),
        ({"inputs": [{**TENSOR, "datatype": "BYTES"}]}, 400, "datatype must be FP32"),
        ({"inputs": [{**TENSOR, "datatype": ["FP32"]}]}, 400, "datatype must be"),
        ({"inputs": [{**TENSOR, "shape": [2**30, 3]}]}, 400, "do not fill the shape"),
        ({"inputs": [{**TENSOR, "shape": [0, 10**30], "data": []}]}, 400, "2^31"),
        ({"inputs": [{**TENSOR, "shape": [True, 3]}]}, 400, "shape must be"),
        ({"inputs": [{**TENSOR, "shape": [1, 4], "data": [0, 0, 0, 0]}]}, 400, "observation has shape (1, 4)"),
        ({"inputs": [{**TENSOR, "shape": [0, 3], "data": []}]}, 413, "0 observations"),
        ({"inputs": [{**TENSOR, "shape": [300, 3], "data": [0.0] * 900}]}, 413, "allowed: 1 to 256"),
        ({"inputs": [{**TENSOR, "data": [0, "1", 2]}]}, 400, "must be numbers"),
        ({"inputs": [{**TENSOR, "data": [0, None, 2]}]}, 400, "must be numbers"),
        ({"inputs": [{**TENSOR, "data": [0, float("nan"), 2]}]}, 400, "observation 'v' is nan"),
        ({"inputs": [{**TENSOR, "data": [0, 10**400, 2]}]}, 400, "beyond double precision"),
        ({"inputs": [{**TENSOR, "data": [0, 1e300, 2]}]}, 400, "observation 'v' is inf"),
        ({"inputs": [{**TENSOR, "data": [0, 101, 2]}]}, 400, "allowed: [-100, 100]"),
        ({"inputs": [{**TENSOR, "parameters": {"shared_memory_region": "a"}}]}, 400, "shared memory is not served"),
        ({"inputs": [TENSOR], "outputs": [{"name": "x"}]}, 400, "named 'action'"),
        ({"inputs": [TENSOR], "parameters": {"priority": 1}}, 400, "unknown parameter 'priority'"),
        ({"inputs": [TENSOR], "parameters": {"sequence_start": True}}, 400, "need a sequence_id"),
        ({"inputs": [TENSOR], "id": 5}, 400, "id must be"),
    ],
)
def test_refusals(server: Server, body: Any, status: int, message: str) -> None:
    given, answer = post(server, body)
    assert message in answer["error"]
    assert given == status


def test_bodies_beyond_the_limit_are_refused(server: Server) -> None:
    assert post(server, b"0" * (1 << 19))[0] == 413
    import gzip

    assert post(server, gzip.compress(b" " * (1 << 24)), Content_Encoding="gzip")[0] == 413


@pytest.mark.parametrize("path", [INFER, "/v2/repository/models/one/load"])
def test_bodies_that_are_not_encoded_as_they_say_are_refused(server: Server, path: str) -> None:
    status, answer = post(server, b"abcde", path, Content_Encoding="gzip")
    assert (status, "encoding" in answer["error"]) == (400, True)


def test_unknown_names_and_paths(server: Server) -> None:
    assert post(server, {"inputs": [TENSOR]}, INFER.replace("one", "three"))[0] == 404
    assert post(server, {"inputs": [TENSOR]}, INFER.replace("one", "one/versions/9"))[0] == 404
    assert post(server, b"{}", "/v2/repository/models/three/load")[0] == 404
    assert server.ask("GET", "/../etc/passwd")[0] == 404
    assert server.ask("GET", INFER)[0] == 405


def test_null_is_absent_and_content_type_is_accepted(server: Server, one: OnnxPolicy) -> None:
    absent = {"content_type": None, "binary_data_size": None}
    bodies: tuple[Any, ...] = (
        {"id": None, "parameters": None, "inputs": [{**TENSOR, "parameters": None}], "outputs": None},
        {"inputs": [TENSOR], "outputs": [{"name": "action", "parameters": None}]},
        {"inputs": [{**TENSOR, "parameters": absent}], "parameters": {"content_type": "np", "sequence_id": None}},
    )
    for body in bodies:
        status, answer = post(server, body)
        assert status == 200, answer
        np.testing.assert_allclose(answer["outputs"][0]["data"], one(TENSOR["data"]), rtol=1e-6)
    status, answer = post(server, {"inputs": [{**TENSOR, "parameters": {"content_type": 5}}]})
    assert (status, answer) == (400, {"error": "content_type must be a text"})


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v2/models/one/config", 404), ("GET", INFER, 405), ("GET", "/v2/", 404)]
)
def test_refusals_of_paths_and_methods_are_json(server: Server, method: str, path: str, status: int) -> None:
    given, body = server.ask(method, path)[:2]
    assert (given, list(json.loads(body))) == (status, ["error"])


def test_health_says_what_it_is(server: Server) -> None:
    for word in ("live", "ready"):
        status, body = server.ask("GET", f"/v2/health/{word}")[:2]
        assert (status, json.loads(body)) == (200, {word: True})


@pytest.mark.parametrize(
    ("header", "status"), [({"Content-Encoding": "zstd"}, (400, 415)), ({"Content-Length": "x"}, (400,))]
)
def test_refusals_of_the_parser_are_json(server: Server, header: dict[str, str], status: tuple[int, ...]) -> None:
    given, body = server.ask("POST", INFER, b"x", header)
    assert given in status
    assert list(json.loads(body)) == ["error"]


def test_a_limit_on_change_needs_a_stream(policy_files: tuple[Path, Path], one: OnnxPolicy) -> None:
    running = Server(policy_files[0], "--slew", "5")
    status, answer = post(running, {"inputs": [TENSOR]})
    assert (status, "give sequence_id" in answer["error"]) == (400, True)
    lowest, highest = OBSERVATIONS[np.argsort(one(OBSERVATIONS)[:, 1])[[0, -1]]]
    client, stranger = Client(running), Client(running)
    assert client.ask(*sequenced(lowest, "arm", 0, "start")).status == 200
    np.testing.assert_array_equal(stranger.ask(*sequenced(highest, "arm", 7, "start")).action, one(highest))
    second = client.ask(*sequenced(highest, "arm", 1, ""))  # 5 ranges a second at 100 Hz: 0.4 rad/s
    assert second.envelope["parameters"]["limited"]
    np.testing.assert_allclose(second.action[1], one(lowest)[1] + 0.4, rtol=1e-5)
    for each in (client, stranger):
        each.raw.close()
    assert running.stop() == 0


def test_streams_without_a_token_belong_to_their_connection(server: Server) -> None:
    client, stranger = Client(server), Client(server)
    assert client.ask(*sequenced(OBSERVATIONS[0], "arm", 5, "start")).status == 200
    refused = stranger.ask(*sequenced(OBSERVATIONS[0], "arm", 9, ""))
    assert (refused.status, "begin it with sequence_start" in refused.envelope["error"]) == (400, True)
    assert stranger.ask(*sequenced(OBSERVATIONS[0], "arm", 9, "start")).status == 200
    assert client.ask(*sequenced(OBSERVATIONS[0], "arm", 6, "")).status == 200
    assert client.ask(*sequenced(OBSERVATIONS[0], "arm", 6, "")).status == 409
    for index in range(MOST_STREAMS + 1):
        assert stranger.ask(b"".join(sequenced(OBSERVATIONS[0], str(index), 0, "start"))).status == 200
    assert stranger.ask(*sequenced(OBSERVATIONS[0], "arm", 10, "")).status == 400  # forgotten
    assert client.ask(*sequenced(OBSERVATIONS[0], "arm", 7, "end")).status == 200
    for each in (client, stranger):
        each.raw.close()


BINARY = {**{key: value for key, value in TENSOR.items() if key != "data"}, "parameters": {"binary_data_size": 12}}


@pytest.mark.parametrize(
    ("tensor", "tail", "cut", "message"),
    [
        (BINARY, bytes(11), 0, "binary_data_size"),
        (BINARY, bytes(13), 0, "binary_data_size"),
        ({**BINARY, "shape": [2, 3]}, bytes(12), 0, "do not fill"),
        ({**BINARY, "data": [1, 2, 3]}, bytes(12), 0, "binary_data_size"),
        ({**BINARY, "parameters": {"binary_data_size": -1}}, b"", 0, "binary_data_size"),
        (TENSOR, bytes(12), 0, "binary_data_size"),
        (BINARY, bytes(12), 1, "not JSON"),
        (BINARY, bytes(12), -10_000, "number of bytes"),
    ],
)
def test_binary_bodies_that_do_not_add_up(tensor: dict[str, Any], tail: bytes, cut: int, message: str) -> None:
    header = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(RequestError, match=message):
        parse(header + tail, str(len(header) - cut))


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "²", "", " 7"])
def test_header_lengths_that_are_no_numbers(length: str) -> None:
    with pytest.raises(RequestError, match="number of bytes"):
        parse(b"{}", length)
