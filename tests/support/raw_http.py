"""HTTP spoken over a socket by hand, request by request and piece by piece."""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple

import numpy as np

from support.server_process import PATIENCE, Server


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def action(self) -> np.ndarray:
        return np.frombuffer(self.body[int(self.headers["inference-header-content-length"]) :], "<f4")

    @property
    def envelope(self) -> Any:
        return json.loads(self.body[: int(self.headers.get("inference-header-content-length", len(self.body)))])


class Client:
    """Speaks HTTP over a socket by hand."""

    def __init__(self, server: Server) -> None:
        self.raw = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        self._received = b""

    def reply(self) -> Reply:
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers["content-length"])
        while len(rest) < size:
            self._more()
            rest = self._received.partition(b"\r\n\r\n")[2]
        self._received = rest[size:]
        return Reply(int(status.split()[1]), headers, rest[:size])

    def ask(self, *parts: bytes) -> Reply:
        for part in parts:
            self.raw.sendall(part)
        return self.reply()

    def _more(self) -> None:
        data = self.raw.recv(65536)
        assert data, "the server has hung up"
        self._received += data


def parts(
    observation: np.ndarray, head: str = "", identity: str = "", path: str = "/v2/models/one/infer"
) -> tuple[bytes, bytes]:
    """Head and body of an inference, as http.client sends them: one after the other."""
    tensor = {"name": "observation", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
    named = {"id": identity} if identity else {}
    text = json.dumps({**named, "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = text + observation.astype("<f4").tobytes()
    lines = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: {len(text)}\r\n{head}"
    return f"{lines}Content-Length: {len(body)}\r\n\r\n".encode(), body


def sequenced(observation: np.ndarray, stream: str, number: int, mark: str) -> tuple[bytes, bytes]:
    """An inference of a stream, of one length whatever it says."""
    tensor = {"name": "observation", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
    marks = {f"sequence_{name}": name == mark for name in ("start", "end")}
    parameters = {"binary_data_output": True, "sequence_id": stream, "sequence_number": number, **marks}
    text = json.dumps({"inputs": [tensor], "parameters": parameters}).encode().ljust(400)
    body = text + observation.astype("<f4").tobytes()
    head = "POST /v2/models/one/infer HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: 400\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body
