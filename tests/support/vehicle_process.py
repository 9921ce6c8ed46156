"""The simulated vehicle of simulated_vehicle.py in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SPEED = 3.0
"""Times that of the real world. Whatever flies the vehicle needs a `QuickClock` of this speed."""


def free_port() -> int:
    """A UDP port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class VehicleProcess:
    """Answers every wish with what is true of the vehicle."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connection = f"udpin:127.0.0.1:{self.port}"
        words = [sys.executable, "-m", "tests.support.simulated_vehicle", "--port", str(self.port)]
        words += ["--speed", str(SPEED), "--commanded"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, **wishes: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(wishes) + "\n")
        self.process.stdin.flush()
        truth: dict[str, Any] = json.loads(self.process.stdout.readline())
        return truth

    def until(self, condition: Callable[[dict[str, Any]], bool], seconds: float = 20.0) -> dict[str, Any]:
        """The truth once a condition holds of it."""
        end = time.monotonic() + seconds
        while True:
            truth = self()
            if condition(truth):
                return truth
            assert time.monotonic() < end, truth
            time.sleep(0.05)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
