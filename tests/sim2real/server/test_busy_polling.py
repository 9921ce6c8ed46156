"""A selector that does not sleep right after something was there, and waits as long as any other."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from served import OBSERVATIONS, PATIENCE, Server

from sim2real.client import PolicyClient
from sim2real.onnx_policy import OnnxPolicy
from sim2real.server.busy_polling import BusyPollingSelector

SECONDS = 0.5


class Sleeps(selectors.DefaultSelector):
    """Counts the calls that may sleep."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.sleeps = getattr(self, "sleeps", 0) + (timeout is None or timeout > 0)
        return super().select(timeout)


class Counted(BusyPollingSelector, Sleeps):
    """Counts what a busy selector asks of the one below it."""


@pytest.fixture
def pair() -> Iterator[tuple[Counted, socket.socket, socket.socket]]:
    selector = Counted(SECONDS)
    selector.sleeps = 0
    ours, theirs = socket.socketpair()
    selector.register(ours, selectors.EVENT_READ)
    yield selector, ours, theirs
    selector.close()
    ours.close()
    theirs.close()


def test_it_sleeps_until_something_was_there(pair: tuple[Counted, socket.socket, socket.socket]) -> None:
    selector, _, _ = pair
    began = time.monotonic()
    assert selector.select(0.02) == []
    assert 0.019 <= time.monotonic() - began < PATIENCE
    assert selector.sleeps == 1
    assert selector.select(0) == []
    assert selector.select(-1.0) == []
    assert selector.sleeps == 1


def test_it_stays_awake_afterwards(pair: tuple[Counted, socket.socket, socket.socket]) -> None:
    selector, ours, theirs = pair
    theirs.send(b"a")
    assert [key.fileobj for key, _ in selector.select(0)] == [ours]
    ours.recv(1)
    assert selector.select(SECONDS / 5) == []  # awake for longer than that
    assert selector.sleeps == 0
    began = time.monotonic()
    assert selector.select(2 * SECONDS) == []
    assert time.monotonic() - began >= 1.9 * SECONDS
    assert selector.sleeps == 1  # the rest of the time
    selector.select(SECONDS / 5)
    assert selector.sleeps == 2


def test_what_comes_meanwhile_is_seen(pair: tuple[Counted, socket.socket, socket.socket]) -> None:
    selector, ours, theirs = pair
    theirs.send(b"a")
    selector.select()
    for delay in (SECONDS / 5, 2 * SECONDS):  # while it is awake, and while it sleeps
        ours.recv(1)
        timer = threading.Timer(delay, theirs.send, (b"b",))
        timer.start()
        assert [key.fileobj for key, _ in selector.select(None)] == [ours]
        timer.join()


def test_a_server_that_polls_answers_alike_and_stops(policy_files: tuple[Path, Path], one: OnnxPolicy) -> None:
    running = Server(policy_files[0], "--busy-poll", "0.01")
    with PolicyClient(running.url(), timeout=PATIENCE) as client:
        for observation in OBSERVATIONS:
            np.testing.assert_array_equal(client.infer(observation).action, one(observation))
    assert running.stop() == 0
    assert "Traceback" not in running.output
