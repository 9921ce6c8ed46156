"""Conversations with a real server: openpi's client unmodified, ours, and streams that keep to themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.server_process import OBSERVATIONS, PATIENCE, SPEC, Server, converse, frame
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import connect

from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.protocol.msgpack import pack, unpack
from sim2real.protocol.request_error import RequestError
from sim2real.server.settings import ServerSettings


# what openpi's client does with websockets is deprecated there
@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used as a context manager:DeprecationWarning")
def test_an_unmodified_openpi_client_flies(server: Server, one: OnnxPolicy, two: OnnxPolicy) -> None:
    reason = "openpi-client is not installed"
    openpi = pytest.importorskip("openpi_client.websocket_client_policy", reason=reason)
    for client, policy in (
        (openpi.WebsocketClientPolicy("127.0.0.1", server.port), one),
        (openpi.WebsocketClientPolicy(server.url("/policies/two")), two),
    ):
        metadata = client.get_server_metadata()
        assert metadata["action_high"] == list(SPEC.action_high)
        assert [entry["name"] for entry in metadata["observation"]] == ["u", "v", "w"]
        assert metadata["checkpoint_sha256"] == policy.metadata["checkpoint_sha256"]
        for index, observation in enumerate(OBSERVATIONS):
            reply = client.infer({"observation": observation})
            np.testing.assert_array_equal(reply["actions"], policy(observation)[np.newaxis])
            assert reply["version"] == "1"
            assert reply["server_timing"]["infer_ms"] > 0.0
            assert ("prev_total_ms" in reply["server_timing"]) == (index > 0)
        with pytest.raises(RuntimeError, match=r'"observation .u. is nan m/s; allowed'):
            client.infer({"observation": np.full(3, np.nan)})
        np.testing.assert_array_equal(
            client.infer({"observation": OBSERVATIONS[0]})["actions"][0], policy(OBSERVATIONS[0])
        )
        client._ws.close()


def test_a_policy_s_address_speaks_websocket_only(server: Server) -> None:
    assert server.ask("GET", "/policies/two")[0] == 426
    status, body = server.ask("GET", "/policies/three")
    assert (status, b"no policy 'three'" in body) == (404, True)


def test_health(server: Server) -> None:
    assert server.ask("GET", "/healthz") == (200, b"OK\n")


def test_our_client(server: Server, one: OnnxPolicy) -> None:
    with PolicyClient(server.url(), timeout=PATIENCE) as client:
        for observation in OBSERVATIONS:
            answer = client.infer(observation)
            np.testing.assert_array_equal(answer.action, one(observation))
            assert (answer.version, answer.limited) == ("1", False)
        with pytest.raises(RequestError, match="'w' is 101 m/s") as caught:
            client.infer([0.0, 0.0, 101.0])
        assert caught.value.reason == "out_of_range"
        client.reset()
        np.testing.assert_array_equal(client.infer(OBSERVATIONS[0]).action, one(OBSERVATIONS[0]))
    with pytest.raises(ConnectionError):
        client.infer(OBSERVATIONS[0])
    client.close()


def test_our_client_says_what_is_wrong(server: Server) -> None:
    with pytest.raises(ConnectionRefusedError, match="404"):
        PolicyClient(server.url("/policies/three"), timeout=PATIENCE)
    with pytest.raises(ValueError, match="no address of a WebSocket"):
        PolicyClient("http://127.0.0.1/")


def test_our_client_gives_up_in_time_and_drops_the_late_reply(server: Server, one: OnnxPolicy) -> None:
    with PolicyClient(server.url(), timeout=PATIENCE) as client:
        receive = client._connection.receive
        with pytest.MonkeyPatch.context() as patch:  # no time is left once the request is on its way
            patch.setattr(client._connection, "receive", lambda deadline: receive(0.0))
            with pytest.raises(TimeoutError, match="no answer in time"):
                client.infer(OBSERVATIONS[0])
        np.testing.assert_array_equal(client.infer(OBSERVATIONS[1]).action, one(OBSERVATIONS[1]))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"observation": OBSERVATIONS[0], "prompt": "hover"}, "malformed"),
        ({"observation": OBSERVATIONS[0].tolist()}, "malformed"),
        ({"observation": OBSERVATIONS}, "shape"),
        ({"observation": OBSERVATIONS[0], "sequence": -1}, "malformed"),
        ({"observation": OBSERVATIONS[0], "sequence": 1.0}, "malformed"),
        ({"reset": 1}, "malformed"),
        ({}, "malformed"),
    ],
)
def test_messages_that_are_refused_leave_the_conversation_going(
    server: Server, one: OnnxPolicy, message: dict[str, object], reason: str
) -> None:
    with connect(server.url(), compression=None) as client:
        client.recv()
        client.send(pack(message))
        refusal = json.loads(client.recv())
        assert refusal["reason"] == reason
        client.send("text")
        assert json.loads(client.recv())["reason"] == "malformed"
        client.send(pack({"observation": OBSERVATIONS[0]}))
        np.testing.assert_array_equal(unpack(client.recv(), 10_000)["actions"][0], one(OBSERVATIONS[0]))


def test_overtaken_requests_are_dropped(server: Server, one: OnnxPolicy) -> None:
    # five requests in one segment: the server sees the last one before it answers the first
    raw = converse(server.port)
    requests = [pack({"observation": OBSERVATIONS[i], "sequence": i}) for i in range(5)]
    raw.sendall(b"".join(frame(request) for request in requests))
    with_replies = [_frame(raw) for _ in range(6)]  # the metadata come first
    refusals = [json.loads(payload) for opcode, payload in with_replies[1:5]]
    assert [refusal["sequence"] for refusal in refusals] == [0, 1, 2, 3]
    assert {refusal["reason"] for refusal in refusals} == {"stale"}
    reply = unpack(with_replies[5][1], 10_000)
    assert reply["sequence"] == 4
    np.testing.assert_array_equal(reply["actions"][0], one(OBSERVATIONS[4]))
    for sequence in (4, 3):
        raw.sendall(frame(pack({"observation": OBSERVATIONS[0], "sequence": sequence})))
        assert json.loads(_frame(raw)[1])["reason"] == "stale"
    raw.sendall(frame(pack({"observation": OBSERVATIONS[0], "sequence": 5})))
    assert unpack(_frame(raw)[1], 10_000)["sequence"] == 5
    raw.close()


def test_requests_without_a_sequence_are_all_answered_in_order(server: Server, one: OnnxPolicy) -> None:
    raw = converse(server.port)
    raw.sendall(b"".join(frame(pack({"observation": observation})) for observation in OBSERVATIONS) * 5)
    _frame(raw)
    replies = [unpack(_frame(raw)[1], 10_000)["actions"][0] for _ in range(5 * len(OBSERVATIONS))]
    np.testing.assert_array_equal(replies, np.tile([one(observation) for observation in OBSERVATIONS], (5, 1)))
    raw.close()


def test_ever_more_requests_than_wait_at_once_are_answered_and_others_meanwhile(
    server: Server, one: OnnxPolicy
) -> None:
    raw = converse(server.port)
    _frame(raw)
    request = frame(pack({"observation": OBSERVATIONS[0]}))
    with PolicyClient(server.url(), timeout=PATIENCE) as other:
        raw.sendall(request * 1000)
        np.testing.assert_array_equal(other.infer(OBSERVATIONS[1]).action, one(OBSERVATIONS[1]))
        for _ in range(1000):
            np.testing.assert_array_equal(unpack(_frame(raw)[1], 10_000)["actions"][0], one(OBSERVATIONS[0]))
    raw.close()


@pytest.mark.parametrize("beyond", [0, 1])
def test_the_largest_message_is_read_and_no_larger_one(server: Server, beyond: int) -> None:
    largest = ServerSettings().max_message_bytes
    with connect(server.url(), compression=None) as client:
        client.recv()
        client.send(bytes(largest + beyond))
        if beyond:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(PATIENCE)
            assert closed.value.rcvd
            assert closed.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG
        else:
            assert json.loads(client.recv(PATIENCE))["reason"] == "malformed"


def test_two_interleaved_streams_have_a_history_each(policy_files: tuple[Path, Path], one: OnnxPolicy) -> None:
    # 5 ranges a second at 100 Hz: steps of 0.05 ranges, 0.03 N and 0.4 rad/s
    step = np.array([0.03, 0.4])
    running = Server(policy_files[0], "--slew", "5")
    lowest, highest = OBSERVATIONS[np.argsort(one(OBSERVATIONS)[:, 1])[[0, -1]]]
    with PolicyClient(running.url(), timeout=PATIENCE) as up, PolicyClient(running.url(), timeout=PATIENCE) as down:
        rising = [up.infer(lowest).action]
        falling = [down.infer(highest).action]
        np.testing.assert_array_equal(rising[0], one(lowest))  # nothing came before
        np.testing.assert_array_equal(falling[0], one(highest))
        for _ in range(30):
            rising.append(up.infer(highest).action)
            falling.append(down.infer(lowest).action)
        for actions, target in ((rising, one(highest)), (falling, one(lowest))):
            expected = actions[0].astype(float)
            for action in actions[1:]:
                expected = np.clip(target, expected - step, expected + step)
                np.testing.assert_allclose(action, expected, atol=1e-5)
        assert not np.allclose(rising[1], one(highest), atol=0.1)  # the limit did something
        up.reset()
        np.testing.assert_array_equal(up.infer(lowest).action, one(lowest))
        limited = down.infer(highest)
        assert limited.limited
        np.testing.assert_allclose(limited.action, np.clip(one(highest), expected - step, expected + step), atol=1e-5)
    assert running.stop() == 0


def _frame(raw) -> tuple[int, bytes]:  # type: ignore[no-untyped-def]
    """Opcode and payload of a server's frame."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            received = raw.recv(size - len(data))
            assert received, "the server hung up"
            data += received
        return data

    first, size = exactly(2)
    if size == 126:
        size = int.from_bytes(exactly(2), "big")
    return first & 15, exactly(size)
