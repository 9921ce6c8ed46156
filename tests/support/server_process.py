"""Real server processes on free loopback ports, the policies that they serve, and sockets to speak to them by hand."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sim2real
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real.export.onnx import export_onnx
from support.exported_policies import SPEC

for needed in ("aiohttp", "msgpack", "prometheus_client", "websockets"):
    pytest.importorskip(needed, reason="the extra 'serve' is not installed")

ROOT = Path(sim2real.__file__).parents[1]
PATIENCE = 120.0  # seconds, of tests that would otherwise hang
OBSERVATIONS = np.random.default_rng(0).normal(0.5, 2.0, (20, 3)).astype(np.float32)

_WITHOUT_TORCH = """
import sys

class WithoutTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx"):
            raise ModuleNotFoundError(f"{name} is not to be imported by the server")

sys.meta_path.insert(0, WithoutTorch())
from hgrpo_control.cli import main
sys.exit(main(["serve", *sys.argv[1:]]))
"""


def write_policy(path: Path, seed: int = 0, spec: PolicySpec = SPEC) -> Path:
    """Export a policy whose actions lie all over their range."""
    policy = ActorCritic(spec, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        policy.actor[-1].weight.mul_(50.0)
    export_onnx(policy, path, checks=20)
    return path


def write_certificate(folder: Path, *options: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key, without a passphrase unless options say so."""
    if shutil.which("openssl") is None:
        pytest.skip("the Debian package openssl is not installed")
    paths = folder / "certificate.pem", folder / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=localhost -addext"
    command = ["openssl", *words.split(), "subjectAltName=IP:127.0.0.1", *(options or ["-nodes"])]
    command += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return paths


class Server:
    """`hgrpo serve` in a process that cannot import torch; ready once constructed."""

    def __init__(self, *words: str | Path, port: int = 0) -> None:
        command = [sys.executable, "-c", _WITHOUT_TORCH, *map(str, words), "--port", str(port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.output = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        match = re.search(r"serving at https?://[^ ]+:(\d+)/", self.output)
        assert match, self.output
        self.port = int(match[1])

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if "serving at" in line:
                self._ready.set()
        self._ready.set()

    def url(self, path: str = "/") -> str:
        """Address of a conversation."""
        return f"ws://127.0.0.1:{self.port}{path}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of one request over HTTP."""
        where = ("127.0.0.1", self.port)
        connection = (
            http.client.HTTPSConnection(*where, timeout=PATIENCE, context=context)
            if context
            else http.client.HTTPConnection(*where, timeout=PATIENCE)
        )
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        result = response.status, response.read()
        connection.close()
        return result

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        return json.loads(self.ask("GET", "/status.json")[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Exit status after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        assert self.process.stdout
        self.process.stdout.close()
        return status


def wait_until(condition: Callable[[], Any]) -> Any:
    """The first true value of a condition; fails after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def frame(payload: bytes, opcode: int = 2, first: int = 0x80, mask: int = 0x80) -> bytes:
    """A client's WebSocket frame, masked with zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([mask | size])
    elif size < 1 << 16:
        length = bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([mask | 127]) + size.to_bytes(8, "big")
    return bytes([first | opcode]) + length + (bytes(4) if mask else b"") + payload


def converse(port: int, receive_buffer: int | None = None) -> socket.socket:
    """A socket on which a WebSocket handshake and nothing else was done by hand."""
    raw = socket.socket()
    raw.settimeout(PATIENCE)
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.connect(("127.0.0.1", port))
    raw.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return raw


def is_cut(raw: socket.socket, meanwhile: Callable[[], object] = lambda: None) -> bool:
    """Whether the other side ends the connection, reading on until it does; fails after PATIENCE.

    `meanwhile` is called again and again: other clients that say nothing for so long would be cut as well.
    """
    end = time.monotonic() + PATIENCE
    raw.settimeout(0.1)
    while time.monotonic() < end:
        try:
            if not raw.recv(65536):
                return True
        except TimeoutError:
            meanwhile()
        except ConnectionError:
            return True
    raise AssertionError("the connection is still open")
