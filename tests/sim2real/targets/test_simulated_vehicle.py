"""The vehicle for dry runs, as it is started by hand: in the background, over ssh, by a service manager."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")

from pymavlink.dialects.v20 import common

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("no_input", ["</dev/null", "<&-"])
def test_it_needs_no_terminal(no_input: str) -> None:
    ear = common.MAVLink(None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as us:
        us.bind(("127.0.0.1", 0))
        us.settimeout(60.0)  # it imports torch first
        words = ["sh", "-c", f'exec "$@" {no_input}', "sh", sys.executable, "-m", "tests.support.simulated_vehicle"]
        vehicle = subprocess.Popen(
            [*words, "--speed", "3", "--port", str(us.getsockname()[1])],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            heartbeats = 0
            while heartbeats < 4:  # a second of its clock: it goes on
                heartbeats += sum(m.get_type() == "HEARTBEAT" for m in ear.parse_buffer(us.recv(65536)) or ())
            assert vehicle.poll() is None
        finally:
            vehicle.send_signal(signal.SIGINT)
            try:
                _, complaint = vehicle.communicate(timeout=20)
            finally:
                vehicle.kill()
    assert (vehicle.returncode, complaint) == (0, b"")
