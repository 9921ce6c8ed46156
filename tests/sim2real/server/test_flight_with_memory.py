"""A flight over a server with memory is that of the file: the resets of the loop arrive, also after an outage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.server_process import PATIENCE, Server

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from sim2real.client.reconnecting import Reconnecting
from sim2real.client.remote_policy import RemotePolicy
from sim2real.export.onnx import export_onnx
from sim2real.flight.clock import SteppedClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.target import Policy
from sim2real.flight.watchdog import State, WatchdogOptions
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.targets.simulated import Episode, SimulatedTarget

pytestmark = pytest.mark.slow


class Interrupted:
    """A policy that gives no action in some calls, as over a link that fails for a while."""

    def __init__(self, policy: OnnxPolicy | Reconnecting, calls: range) -> None:
        self.policy, self.spec, self.missing, self.count = policy, policy.spec, calls, 0

    def reset(self) -> None:
        self.policy.reset()

    def __call__(self, observation: np.ndarray, /) -> np.ndarray:
        self.count += 1
        action = self.policy(observation)
        if self.count in self.missing:
            raise TimeoutError
        return action


def flown(policy: Policy) -> tuple[list[Episode], int]:
    """Two episodes, and the ticks with the safe action."""
    clock = SteppedClock()
    target = SimulatedTarget(policy.spec, clock, seed=3, episodes=2)
    watchdog = WatchdogOptions(hold_seconds=0.02, safe_seconds=10.0, recovery_ticks=3)
    flight = fly(policy, target, LoopOptions(watchdog=watchdog), clock)
    return target.finished, flight.statistics.states[State.SAFE]


@pytest.mark.parametrize("memory", ["gru", "history"])
def test_flight_with_memory_over_a_server_is_that_of_the_file(tmp_path: Path, memory: str) -> None:
    network = Network(hidden_sizes=(8,), memory=memory, memory_size=4)  # type: ignore[arg-type]
    policy = ActorCritic(policy_spec(robots.make("quadrotor-hover").spec, network, critic=False))
    with torch.no_grad():
        policy.actor[-1].weight.mul_(20.0)
    export_onnx(policy, tmp_path / "policy.onnx", checks=20)
    server = Server(tmp_path / "policy.onnx")
    remote = Reconnecting(lambda: RemotePolicy(server.url(), timeout=PATIENCE))
    outage = range(8, 14)
    try:
        over_server = flown(Interrupted(remote, outage))
    finally:
        remote.close()
        assert server.stop() == 0
    assert over_server == flown(Interrupted(OnnxPolicy(tmp_path / "policy.onnx"), outage))
    assert over_server[1] > 0
