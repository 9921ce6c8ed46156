"""Policies with memory behind a server: one memory for each connection and stream, and when it is forgotten."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from support.policies_with_memory import MEMORIES, actions_over, remembering, sequences_of, shares
from support.raw_http import Client, parts, sequenced
from support.server_process import PATIENCE, Server, wait_until

from policies.actor_critic import ActorCritic
from sim2real.client.policy_client import PolicyClient
from sim2real.client.remote_policy import RemotePolicy
from sim2real.export.onnx import export_onnx
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.server.core.recording import read, replay

KINDS = tuple(MEMORIES)
Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policies() -> dict[str, ActorCritic]:
    return {kind: remembering(kind, size=3) for kind in KINDS}


@pytest.fixture(scope="module")
def files(policies: dict[str, ActorCritic], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("policies")
    for kind, policy in policies.items():
        export_onnx(policy, folder / f"{kind}.onnx", checks=20)
    return {kind: folder / f"{kind}.onnx" for kind in KINDS}


@pytest.fixture(scope="module")
def server(files: dict[str, Path]) -> Iterator[Server]:
    """The GRU as `one` and the history as `history`, with a short time-out."""
    running = Server(f"one={files['gru']}", f"history={files['history']}", "--stream-timeout", "2")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.output, running.output


@pytest.fixture
def http(server: Server) -> Iterator[Client]:
    client = Client(server)
    yield client
    client.raw.close()


def path_of(kind: str) -> str:
    return "/policies/one" if kind == "gru" else "/policies/history"


def over_http(client: Client, stream: str) -> Act:
    """An action of the GRU in a stream; the first call begins it."""
    sent = 0

    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal sent
        sent += 1
        reply = client.ask(b"".join(sequenced(observation, stream, sent, "start" if sent == 1 else "")))
        assert reply.status == 200, reply.body
        return reply.action

    return act


@pytest.mark.parametrize("kind", KINDS)
def test_stream_of_a_websocket_agrees_with_torch_over_a_thousand_steps(
    server: Server, policies: dict[str, ActorCritic], kind: str
) -> None:
    observation = sequences_of(policies[kind], 1000, 1)
    with PolicyClient(server.url(path_of(kind)), timeout=PATIENCE) as client:
        action = np.stack([client.infer(step[0]).action for step in observation])[:, None]
        expected = actions_over(policies[kind], observation)
        assert shares(policies[kind], action, expected).max() <= 1e-5
        client.reset()
        np.testing.assert_array_equal(client.infer(observation[0, 0]).action, action[0, 0])
        np.testing.assert_array_equal(client.infer(observation[0, 0], reset=True).action, action[0, 0])


def test_stream_of_http_agrees_with_torch_over_a_thousand_steps(http: Client, policies: dict[str, ActorCritic]) -> None:
    observation = sequences_of(policies["gru"], 1000, 1)
    act = over_http(http, "flight")
    action = np.stack([act(step[0]) for step in observation])[:, None]
    assert shares(policies["gru"], action, actions_over(policies["gru"], observation)).max() <= 1e-5


def test_streams_that_interleave_get_what_each_gets_alone(server: Server, http: Client, files: dict[str, Path]) -> None:
    observation = sequences_of(remembering("gru", size=3), 50, 4)
    with (
        PolicyClient(server.url(), timeout=PATIENCE) as first,
        PolicyClient(server.url(), timeout=PATIENCE) as second,
    ):
        clients: list[Act] = [
            lambda row: first.infer(row).action,
            lambda row: second.infer(row).action,
            over_http(http, "a"),
            over_http(http, "b"),
        ]
        together = np.stack([[act(row) for act, row in zip(clients, step, strict=True)] for step in observation])
    for column in range(4):
        alone = OnnxPolicy(files["gru"])
        np.testing.assert_array_equal(together[:, column], [alone(row) for row in observation[:, column]])


def begun(server: Server, steps: int = 5) -> tuple[PolicyClient, NDArray[np.float32], NDArray[np.float32]]:
    """A client after some steps, its observation, and its first action."""
    client = PolicyClient(server.url(), timeout=PATIENCE)
    observation = np.array([1.0, -2.0, 0.5], np.float32)
    actions = [client.infer(observation).action for _ in range(steps)]
    assert np.abs(actions[-1] - actions[0]).max() > 1e-3
    return client, observation, actions[0]


def test_stream_that_is_silent_for_too_long_is_forgotten(server: Server) -> None:
    client, observation, first = begun(server)
    with client:
        time.sleep(2.3)
        np.testing.assert_array_equal(client.infer(observation).action, first)


def test_stream_goes_on_after_a_refused_observation(server: Server, files: dict[str, Path]) -> None:
    client, observation, _ = begun(server)
    alone = OnnxPolicy(files["gru"])
    expected = [alone(observation) for _ in range(6)][-1]
    with client:
        with pytest.raises(ValueError, match="observation_1"):
            client.infer(np.array([1.0, np.nan, 0.5], np.float32))
        np.testing.assert_array_equal(client.infer(observation).action, expected)


def counted(server: Server) -> dict[str, float]:
    families = text_string_to_metric_families(server.ask("GET", "/metrics")[1].decode())
    samples = (sample for family in families for sample in family.samples if sample.name == "hgrpo_streams")
    return {sample.labels["policy"]: sample.value for sample in samples}


def test_streams_with_memory_are_counted_until_they_end(server: Server, http: Client) -> None:
    wait_until(lambda: counted(server) == {"one": 0, "history": 0})
    over_http(http, "counted")(np.zeros(3, np.float32))
    client, *_ = begun(server)
    with client:
        status = server.status()
        assert status["metrics"]["streams"] == {"one": 2, "history": 0}
        described = {policy["policy"]: (policy["memory"], policy["memory_size"]) for policy in status["policies"]}
        assert described == {"one": ("gru", 12), "history": ("history", 3)}
        assert counted(server)["one"] == 2
    wait_until(lambda: counted(server)["one"] == 1)
    assert http.ask(*sequenced(np.zeros(3, np.float32), "counted", 2, "end")).status == 200
    assert counted(server)["one"] == 0


@pytest.mark.parametrize("mark", ["", "end"])
def test_stream_that_was_not_begun_is_refused(http: Client, mark: str) -> None:
    reply = http.ask(*sequenced(np.zeros(3, np.float32), "unknown", 1, mark))
    assert reply.status == 400
    assert "sequence_start" in json.loads(reply.body)["error"]


def test_request_without_a_stream_is_refused(http: Client) -> None:
    reply = http.ask(*parts(np.zeros(3, np.float32)))
    assert reply.status == 400
    assert "sequence_id" in json.loads(reply.body)["error"]


def test_remote_policy_resets_with_its_next_request(server: Server) -> None:
    policy, observation = RemotePolicy(server.url(), timeout=PATIENCE), np.array([1.0, -2.0, 0.5], np.float32)
    try:
        actions = [policy(observation) for _ in range(4)]
        policy.reset()
        again = [policy(observation) for _ in range(4)]
        np.testing.assert_array_equal(again, actions)
    finally:
        policy.close()


def test_remote_policy_without_memory_sends_no_reset(policy_files: tuple[Path, Path]) -> None:
    running = Server(policy_files[0], "--slew", "1")
    policy = RemotePolicy(running.url(), timeout=PATIENCE)
    sent: list[dict[str, Any]] = []
    request = policy._client._request
    policy._client._request = lambda fields: sent.append(fields) or request(fields)  # type: ignore[method-assign, func-returns-value]
    policy.reset()
    policy(np.zeros(3, np.float32))
    policy.close()
    assert [set(fields) for fields in sent] == [{"observation"}]
    assert running.stop() == 0


def test_new_version_begins_without_the_memory_of_the_former(files: dict[str, Path], tmp_path: Path) -> None:
    served = tmp_path / "policy.onnx"
    served.write_bytes(files["gru"].read_bytes())
    running = Server(served)
    client, observation, first = begun(running)
    with client:
        for kind, expected in (("gru", first), ("history", OnnxPolicy(files["history"])(observation))):
            served.write_bytes(files[kind].read_bytes())
            assert running.ask("POST", "/v2/repository/models/policy/load", b"")[0] == 200
            np.testing.assert_array_equal(client.infer(observation).action, expected)
    assert running.stop() == 0


def test_recording_of_streams_replays_to_the_bit(files: dict[str, Path], tmp_path: Path) -> None:
    running = Server(files["gru"], "--record", tmp_path, "--slew", "20", "--stream-timeout", "0.5")
    observation = sequences_of(remembering("gru", size=3), 40, 2)
    with (
        PolicyClient(running.url(), timeout=PATIENCE) as first,
        PolicyClient(running.url(), timeout=PATIENCE) as second,
    ):
        for step, rows in enumerate(observation):
            if step == 20:
                time.sleep(0.8)
            first.infer(rows[0], reset=step == 30)
            second.infer(rows[1])
    assert running.stop() == 0
    (recording,) = tmp_path.iterdir()
    fresh = [step.fresh for step in read(recording)[1]]
    assert (len(fresh), sum(fresh)) == (80, 5)
    assert replay(recording, OnnxPolicy(files["gru"]), "gru") == 0.0
    assert replay(recording, OnnxPolicy(files["gru"]), "gru", "1") == 0.0
