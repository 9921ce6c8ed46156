"""A policy that never ends, as a file or when asked, stops neither the others nor the server's end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.server_process import OBSERVATIONS, PATIENCE, ROOT, Server, wait_until

from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy

pytestmark = pytest.mark.slow

SHUTDOWN = 0.5
MERCY = 3.0  # seconds after it until the process is ended by force
SLACK = 3.0  # seconds for a busy machine
_SERVE = ("from hgrpo_control.cli import entry_point; entry_point()",)
_FIRST = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x30000000):  # new spaces of users and of processes
    sys.exit(f"cannot unshare: {os.strerror(ctypes.get_errno())}")
if first := os.fork():
    print(first)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""


def write_endless(path: Path, source: Path, limit: float) -> None:
    """The policy of `source`, which never answers an observation with an entry above `limit`."""
    model = onnx.load(source)
    graph = model.graph
    names = [f"{kind}_out" for kind in ("go_on", "state")]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], names[:1]), helper.make_node("Identity", ["state"], names[1:])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [None, None]),
        ],
        [
            helper.make_tensor_value_info(names[0], TensorProto.BOOL, []),
            helper.make_tensor_value_info(names[1], TensorProto.FLOAT, [None, None]),
        ],
    )
    for node in graph.node:
        node.output[:] = ["ended" if name == "action" else name for name in node.output]
    graph.initializer.append(helper.make_tensor("limit", TensorProto.FLOAT, [], [limit]))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["observation"], ["largest"], keepdims=0),
            helper.make_node("Greater", ["largest", "limit"], ["too_large"]),
            helper.make_node("Loop", ["", "too_large", "ended"], ["action"], body=body),
        ]
    )
    onnx.save(model, path)


@pytest.fixture
def files(policy_files: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Two files with one policy, to be replaced."""
    paths = tmp_path / "one.onnx", tmp_path / "two.onnx"
    for path in paths:
        shutil.copy(policy_files[0], path)
    return paths


@contextlib.contextmanager
def starting(*words: str | Path, program: tuple[str, ...] = _SERVE) -> Iterator[subprocess.Popen[str]]:
    """`hgrpo serve` by its entry point, from its first moment on."""
    command = [sys.executable, "-c", *program, "serve", *map(str, words), "--port", "0"]
    command += ["--shutdown-timeout", str(SHUTDOWN)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def minds_signals(process: int) -> bool:
    """Whether SIGTERM is held back or handled, and so not lost by the first process of a container."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    minded = [int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk:", "SigCgt:"))]
    return any(signals >> (signal.SIGTERM - 1) & 1 for signals in minded)


def load(server: Server, name: str) -> tuple[int, str]:
    status, body = server.ask("POST", f"/v2/repository/models/{name}/load", b"")
    return status, json.loads(body).get("error", "")


def children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def test_a_file_that_never_ends_stops_neither_another_load_nor_the_end(files: tuple[Path, Path]) -> None:
    server = Server(*files, "--shutdown-timeout", str(SHUTDOWN))
    files[0].unlink()
    os.mkfifo(files[0])
    hanging = threading.Thread(target=ask_in_vain, args=(server, "one"))
    hanging.start()
    wait_until(lambda: children(server.process.pid))
    assert load(server, "two") == (200, "")
    for _ in range(3):
        server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "two: loaded, version 3" in server.output)
    with PolicyClient(server.url("/policies/one"), timeout=PATIENCE) as client:
        assert client.infer(OBSERVATIONS[0]).version == "1"
    assert seconds_to_end(server.process, 0) < SHUTDOWN + SLACK
    hanging.join(PATIENCE)
    server.stop()


def test_a_graph_that_never_ends_is_refused_in_time(files: tuple[Path, Path], policy_files: tuple[Path, Path]) -> None:
    server = Server(files[0], "--load-timeout", "4")
    write_endless(files[0], policy_files[0], -1e9)
    status, error = load(server, "one")
    assert (status, "keeps version 1" in error, "within 4 s" in error) == (400, True, True), error
    wait_until(lambda: not children(server.process.pid))
    shutil.copy(policy_files[0], files[0])
    assert load(server, "one") == (200, "")
    assert server.stop() == 0


def test_a_policy_that_never_answers_does_not_stop_the_end(
    files: tuple[Path, Path], policy_files: tuple[Path, Path]
) -> None:
    write_endless(files[0], policy_files[0], 1e6)
    server = Server(files[0], "--shutdown-timeout", str(SHUTDOWN))
    usual = OnnxPolicy(policy_files[0])(OBSERVATIONS[0])
    with PolicyClient(server.url(), timeout=PATIENCE) as client:
        np.testing.assert_array_equal(client.infer(OBSERVATIONS[0]).action, usual)
    client = PolicyClient(server.url(), timeout=0.3)
    with pytest.raises(TimeoutError):
        client.infer(np.full(3, 2e6, np.float32))
    assert SHUTDOWN < seconds_to_end(server.process, 1) < SHUTDOWN + MERCY + SLACK
    client.close()
    server.stop()
    assert "ended by force" in server.output


def test_a_server_that_never_gets_ready_ends_when_told_to(files: tuple[Path, Path]) -> None:
    files[0].unlink()
    os.mkfifo(files[0])
    with starting(files[0], files[1]) as process:
        wait_until(lambda: minds_signals(process.pid))
        seconds_to_end(process, 0)  # of which it is still being imported for most


def test_a_server_does_not_start_with_a_file_that_is_not_read_in_time(files: tuple[Path, Path]) -> None:
    files[1].unlink()
    os.mkfifo(files[1])
    with starting(*files, "--load-timeout", "4") as process:
        output = process.communicate(timeout=PATIENCE)[0]
    assert (process.returncode, output) == (2, f"hgrpo: {files[1]} could not be read and checked within 4 s\n")


def test_the_first_process_of_a_container_loses_no_signal(files: tuple[Path, Path]) -> None:
    files[0].unlink()
    os.mkfifo(files[0])
    with starting(files[0], program=(_FIRST, *_SERVE)) as process:
        assert process.stdout
        line = process.stdout.readline()
        if "cannot" in line:
            pytest.skip(line)
        first = int(line)
        wait_until(lambda: minds_signals(first))
        os.kill(first, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def ask_in_vain(server: Server, name: str) -> None:
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        load(server, name)


def seconds_to_end(process: subprocess.Popen[str], status: int) -> float:
    """Seconds from SIGTERM to the end, which has that exit status."""
    began = time.monotonic()
    process.terminate()
    assert process.wait(PATIENCE) == status
    return time.monotonic() - began
