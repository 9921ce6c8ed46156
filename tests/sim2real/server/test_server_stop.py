"""A server that is told to stop answers what is under way, within the time it has for that."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import numpy as np
import pytest
from support.raw_http import Client, parts
from support.server_process import OBSERVATIONS, PATIENCE, Server, is_cut, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import connect

from sim2real.policy.onnx_policy import OnnxPolicy

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("earlier", [0, 2])
def test_a_request_in_flight_is_answered_before_the_server_stops(policy_files: tuple[Path, Path], earlier: int) -> None:
    running = Server(policy_files[0], "--shutdown-timeout", "60")
    client, idle = Client(running), Client(running)
    for _ in range(earlier):
        client.ask(*parts(OBSERVATIONS[0]))
    idle.ask(*parts(OBSERVATIONS[0]))
    head, body = parts(OBSERVATIONS[1])
    client.raw.sendall(head)
    assert running.ask("GET", "/healthz")[0] == 200  # the head has arrived, then
    running.process.terminate()
    wait_until(lambda: not accepts(running))
    reply = client.ask(body)
    np.testing.assert_array_equal(reply.action, OnnxPolicy(policy_files[0])(OBSERVATIONS[1]))
    for asking in (client, idle):
        assert is_cut(asking.raw)
        asking.raw.close()
    assert running.process.wait(PATIENCE) == 0
    running.stop()


def test_a_stop_takes_no_longer_than_it_may_and_tells_websockets_at_once(policy_files: tuple[Path, Path]) -> None:
    running = Server(policy_files[0], "--shutdown-timeout", "2")
    late, other = Client(running), Client(running)
    late.ask(*parts(OBSERVATIONS[0]))
    for raw in (late.raw, other.raw):
        raw.sendall(parts(OBSERVATIONS[0])[0])
    with connect(running.url(), compression=None) as conversation:
        conversation.recv()
        began = time.monotonic()
        running.process.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            conversation.recv(PATIENCE)
        told = time.monotonic() - began
    assert closed.value.rcvd
    assert closed.value.rcvd.code == CloseCode.GOING_AWAY
    assert running.process.wait(PATIENCE) == 0
    took = time.monotonic() - began
    assert told < 2.0 <= took < 3.9, "once the shutdown's timeout, not twice"
    for client in (late, other):
        client.raw.close()
    running.stop()


def accepts(server: Server) -> bool:
    """Whether it still listens."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE).close()
    except ConnectionError:
        return False
    return True
