"""A tab of headless Chromium, driven over its debugging protocol."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

websockets = pytest.importorskip("websockets", reason="the browser's tests need websockets")
from websockets.sync.client import ClientConnection, connect  # noqa: E402

CHROMIUM = shutil.which("chromium")
PATIENCE = 120.0  # seconds, of tests that would otherwise hang
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run")
NO_GRAPHICS = ("--disable-gpu",)
SOFTWARE_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


class Tab:
    """Evaluates expressions, and keeps the events that come meanwhile."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                return message["result"]
            self.events.append(message)

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def text(self, identity: str) -> str:
        return self.evaluate(f"document.getElementById('{identity}')?.textContent")

    def screenshot(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


@contextmanager
def tab(folder: Path, options: Sequence[str] = NO_GRAPHICS) -> Iterator[Tab]:
    """A tab of a new browser whose profile lies in `folder`; skips the test without Chromium."""
    if CHROMIUM is None:
        pytest.skip("the Debian package chromium is not installed")
    command = [CHROMIUM, *_OPTIONS, *options, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    browser = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert browser.stderr
        port = next(
            match[1] for line in browser.stderr if (match := re.search(r"listening on ws://[^:]+:(\d+)/", line))
        )
        draining = threading.Thread(target=browser.stderr.read, daemon=True)
        draining.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
            tabs = json.load(answer)
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        with connect(address, max_size=None) as socket:
            yield Tab(socket)
    finally:
        browser.terminate()
        browser.wait(PATIENCE)
        draining.join(PATIENCE)
        browser.stderr.close()
