"""What comes from the other side, or from a file, does nothing to the terminal on which it is shown."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from support import server_process
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_websocket

from sim2real.client.policy_client import PolicyClient
from sim2real.protocol.msgpack import pack
from sim2real.protocol.request_error import RequestError
from sim2real.server.log_lines import PrintableLines

ERROR = {"reason": "shape", "error": "\x1b[2Jgone\n\x9b31m", "sequence": 1}


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that refuses everything, in its own words."""

    def refuse(connection: ServerConnection) -> None:
        connection.send(pack({"task": "hover"}))
        connection.recv()
        connection.send(json.dumps(ERROR))
        connection.recv()

    with serve_websocket(refuse, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()


def test_a_refusal_of_a_server(refusing: str) -> None:
    with PolicyClient(refusing, timeout=server_process.PATIENCE) as client, pytest.raises(RequestError) as refused:
        client.infer(np.zeros(3, np.float32))
    assert str(refused.value) == r"\x1b[2Jgone \x9b31m"


def test_a_line_of_the_log() -> None:
    told = PrintableLines("%(name)s %(message)s")
    record = logging.LogRecord("hgrpo", logging.ERROR, "", 0, "%s failed", ("/\x1b[2J\nhgrpo forged",), None)
    assert told.format(record) == r"hgrpo /\x1b[2J hgrpo forged failed"


def test_a_traceback_in_the_log() -> None:
    try:
        raise RuntimeError("of \x1b[31m a client")
    except RuntimeError as error:
        record = logging.LogRecord("hgrpo", logging.ERROR, "", 0, "failed", (), (type(error), error, None))
    assert PrintableLines("%(message)s").format(record) == "failed\n" + r"RuntimeError: of \x1b[31m a client"
