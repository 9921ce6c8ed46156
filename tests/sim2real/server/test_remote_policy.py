"""The loop that flies, asking a real server: which may refuse, vanish in the middle of a flight, and come back."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.hover_controller import hover_controller
from support.server_process import OBSERVATIONS, PATIENCE, SPEC, Server, write_policy

import robots
from hgrpo_control.cli import main
from robots.quadrotor.body.parameters import preset
from sim2real.client.reconnecting import Reconnecting
from sim2real.client.remote_policy import RemotePolicy
from sim2real.export.onnx import export_onnx
from sim2real.flight.clock import MonotonicClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.target import NoAction, Reading, TargetEnded
from sim2real.flight.watchdog import State, WatchdogOptions
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.policy.trained_on import TrainedOn
from sim2real.protocol.request_error import RequestError

pytestmark = pytest.mark.slow

SAFE = np.array(SPEC.safe_action)


def test_it_has_the_interface_and_the_actions_of_the_policy_that_is_served(server: Server, one: OnnxPolicy) -> None:
    remote = RemotePolicy(server.url("/policies/one"), timeout=PATIENCE)
    assert remote.spec == dataclasses.replace(SPEC, hidden_sizes=())
    for observation in OBSERVATIONS:
        np.testing.assert_array_equal(remote(observation), one(observation))
    remote.close()


def test_an_observation_that_is_refused_has_no_action_and_a_wrong_question_is_an_error(server: Server) -> None:
    remote = RemotePolicy(server.url(), timeout=PATIENCE)
    with pytest.raises(NoAction, match="observation 'v' is nan"):
        remote(np.array([0.0, math.nan, 0.0], np.float32))
    with pytest.raises(NoAction, match="observation 'u' is 101"):  # the server was told to allow 100
        remote(np.array([101.0, 0.0, 0.0], np.float32))
    with pytest.raises(RequestError, match="shape"):
        remote(np.zeros(4, np.float32))
    assert remote(OBSERVATIONS[0]).shape == (2,)
    remote.close()


class OutageTarget:
    """Ends the server by a signal once it has flown, starts it again once the safe action has come, ends once it flies
    again."""

    def __init__(self, server: Server, end: int, restart: threading.Thread, clock: MonotonicClock) -> None:
        self.server, self.end, self.restart, self.clock = server, end, restart, clock
        self.phase, self.in_a_row = "flying", 0
        self.applied: dict[str, list[NDArray[np.float64]]] = {"flying": [], "outage": [], "recovered": []}
        self.stops = 0

    def start(self) -> None:
        """Nothing to do."""

    def read(self) -> Reading:
        if self.phase == "recovered" and self.in_a_row >= 10:
            raise TargetEnded("it flies again")
        return Reading(OBSERVATIONS[0], self.clock.now())

    def apply(self, action: NDArray[np.float64], /) -> None:
        self.applied[self.phase].append(action)
        safe = np.array_equal(action, SAFE)
        wanted = safe if self.phase == "outage" else not safe
        self.in_a_row = self.in_a_row + 1 if wanted else 0
        if self.in_a_row < 10:
            return
        if self.phase == "flying":
            self.server.process.send_signal(self.end)
            self.phase, self.in_a_row = "outage", 0
        elif self.phase == "outage":
            self.restart.start()
            self.phase, self.in_a_row = "recovered", 0

    def stop(self) -> None:
        self.stops += 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_and_comes_back_costs_a_flight_its_policy_for_that_long(tmp_path: Path, end: int) -> None:
    file = write_policy(tmp_path / "policy.onnx")
    expected = OnnxPolicy(file)(OBSERVATIONS[0])
    first, servers = Server(file), []
    restart = threading.Thread(target=lambda: servers.append(Server(file, port=first.port)))
    clock = MonotonicClock()
    target = OutageTarget(first, end, restart, clock)
    policy = Reconnecting(lambda: RemotePolicy(first.url(), timeout=5.0))
    watchdog = WatchdogOptions(hold_seconds=0.05, safe_seconds=math.inf, recovery_ticks=3)
    try:
        flight = fly(policy, target, LoopOptions(seconds=PATIENCE, worker=True, watchdog=watchdog), clock)
        assert flight.reason == "it flies again"
    finally:
        policy.close()
        first.stop()
        if restart.ident is not None:
            restart.join(PATIENCE)
        for server in servers:
            assert server.stop() == 0
    assert target.stops == 1
    assert flight.statistics.states[State.SAFE] >= 10
    assert flight.statistics.misses["no action"] >= 10
    for phase in ("flying", "recovered"):
        np.testing.assert_allclose(target.applied[phase][-1], expected, atol=1e-6)


def test_the_command_flies_what_a_server_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = hover_controller(robots.make("quadrotor-hover"))  # type: ignore[arg-type]
    trained = TrainedOn({"difficulty": "0.05"}, preset("cf21B_500").numbers())
    export_onnx(policy, tmp_path / "hover.onnx", checks=20, trained=trained)
    token = tmp_path / "token"
    token.write_text("sixteen letters, or more\n")
    server = Server(tmp_path / "hover.onnx", "--token-file", token)
    words = ["fly", server.url(), "simulated", "--fast", "--episodes", "1"]
    try:
        assert main([*words, "--token-file", str(token)]) == 0
        flown = capsys.readouterr().out
        assert main(words) == 2
        assert "401" in capsys.readouterr().err
    finally:
        assert server.stop() == 0
    assert "success_rate 1.000, length 500" in flown
    assert "trained for quadrotor-hover; task options: difficulty=0.05\n" in flown
    assert "ticks 500 (flying 500), missed 0" in flown
    assert main([*words, "--token-file", str(token)]) == 2
    assert "refused" in capsys.readouterr().err.lower()
    assert main(["fly", str(tmp_path / "hover.onnx"), *words[2:], "--token-file", str(token)]) == 2
    assert "--token-file and --certificate are for a server" in capsys.readouterr().err
    assert main([*words, "--certificate", str(token)]) == 2
    assert "--certificate is for a server behind TLS, wss://HOST:PORT/" in capsys.readouterr().err
