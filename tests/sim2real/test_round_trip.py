"""One policy in torch, as ONNX, as C and behind the server, over both protocols: the same actions, the same flights."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.exported_policies import make_policy, make_spec
from support.hover_controller import hover_controller
from support.server_process import PATIENCE, Server
from torch import Tensor

import robots
from hgrpo_control.evaluation.array_policy import ArrayPolicy
from hgrpo_control.evaluation.evaluate import Policy
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from robots.episodes import Episodes, step_episodes
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.simulator import repeat
from sim2real.client.websocket_connection import LARGEST_MESSAGE, WebSocketConnection
from sim2real.export.c import export_c
from sim2real.export.exportable import actions_of, check_observations
from sim2real.export.onnx import export_onnx
from sim2real.policy.c_policy import CPolicy, compile_library
from sim2real.policy.metadata import disagreement
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.protocol.msgpack import pack, unpack

pytestmark = pytest.mark.slow

KINDS = ("onnx", "c", "websocket", "http")
EPISODES = 8
OPTIONS = {"difficulty": 0.3}
AT_ONCE = 32  # requests under way over the WebSocket
Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Remote:
    """A served policy as one that acts on arrays."""

    def __init__(self, spec: PolicySpec, act: Act) -> None:
        self.spec, self._act = spec, act

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._act(observation)


@pytest.fixture(scope="module")
def simulator() -> QuadrotorFlight:
    """Hovering from starts that the controller brings to the goal in some episodes and not in others."""
    return robots.make("quadrotor-hover", **OPTIONS)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def policies(simulator: QuadrotorFlight) -> dict[str, ActorCritic]:
    """`wide`, whose actions lie all over their range, and `hover`, which flies."""
    return {"wide": make_policy(make_spec()), "hover": hover_controller(simulator)}


@pytest.fixture(scope="module")
def exported(policies: dict[str, ActorCritic], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with NAME.onnx and, where there is a compiler, NAME.so."""
    folder = tmp_path_factory.mktemp("round_trip")
    for name, policy in policies.items():
        export_onnx(policy, folder / f"{name}.onnx")
        if shutil.which("cc") is not None:
            export_c(policy, folder / name)
            compile_library(folder / f"{name}.c", folder / f"{name}.so")
    return folder


@pytest.fixture(scope="module")
def server(exported: Path) -> Iterator[Server]:
    running = Server(exported / "wide.onnx", exported / "hover.onnx")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.output, running.output


def over_websocket(connection: WebSocketConnection) -> Act:
    """A request for each observation, several of them under way at once."""
    connection.receive(time.monotonic() + PATIENCE)  # the metadata

    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        deadline, replies = time.monotonic() + PATIENCE, []
        for first in range(0, len(observation), AT_ONCE):
            some = observation[first : first + AT_ONCE]
            for row in some:
                connection.send(pack({"observation": row}), deadline)
            replies += [unpack(connection.receive(deadline)[0], LARGEST_MESSAGE) for _ in some]
        return np.concatenate([reply["actions"] for reply in replies])

    return act


def over_http(server: Server, name: str) -> Act:
    """Batches of up to 256 observations as JSON."""

    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        actions = []
        for first in range(0, len(observation), 256):
            some = observation[first : first + 256]
            tensor = {"name": "observation", "shape": some.shape, "datatype": "FP32", "data": some.ravel().tolist()}
            status, body = server.ask("POST", f"/v2/models/{name}/infer", json.dumps({"inputs": [tensor]}).encode())
            assert status == 200, body
            (output,) = json.loads(body)["outputs"]
            actions.append(np.array(output["data"], np.float32).reshape(output["shape"]))
        return np.concatenate(actions)

    return act


@contextmanager
def deployed(
    kind: str, name: str, spec: PolicySpec, exported: Path, server: Server
) -> Iterator[OnnxPolicy | CPolicy | Remote]:
    """A policy as it flies without torch."""
    match kind:
        case "onnx":
            yield OnnxPolicy(exported / f"{name}.onnx")
        case "c":
            if shutil.which("cc") is None:
                pytest.skip("no C compiler cc here")
            yield CPolicy(exported / f"{name}.so", name, spec)
        case "websocket":
            connection = WebSocketConnection(server.url(f"/policies/{name}"), {}, time.monotonic() + PATIENCE)
            try:
                yield Remote(spec, over_websocket(connection))
            finally:
                connection.close(time.monotonic() + PATIENCE)
        case "http":
            yield Remote(spec, over_http(server, name))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_actions_on_10000_observations_and_extremes(
    kind: str, policies: dict[str, ActorCritic], exported: Path, server: Server
) -> None:
    policy = policies["wide"]
    observation = check_observations(policy.normalizer, 10_000)
    with deployed(kind, "wide", policy.spec, exported, server) as act:
        action = act(observation)
    assert action.shape == (10_005, policy.spec.action_size)
    expected = actions_of(policy, observation)
    assert np.ptp(expected, axis=0).min() > 0.1  # or agreement would say little
    assert disagreement(policy.spec, action, expected) is None


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler cc here")
@torch.no_grad()
def test_the_same_flights(
    policies: dict[str, ActorCritic], simulator: QuadrotorFlight, exported: Path, server: Server
) -> None:
    spec = policies["hover"].spec
    with ExitStack() as stack:
        acts = [ArrayPolicy(stack.enter_context(deployed(kind, "hover", spec, exported, server))) for kind in KINDS]
        success, total = fly(simulator, [policies["hover"], *acts])
    rate, noise = success.double().mean(dim=0), total.std(dim=0) / EPISODES**0.5
    assert 0.0 < rate[0] < 1.0  # or it would not tell policies apart
    assert torch.all((rate[1:] - rate[0]).abs() < 1.5 / EPISODES), rate  # one flight
    assert torch.all((total.mean(dim=0)[1:] - total.mean(dim=0)[0]).abs() < 0.5 * noise[0]), total.mean(dim=0)


def fly(simulator: QuadrotorFlight, policies: list[Policy]) -> tuple[Tensor, Tensor]:
    """Success (EPISODES, P) and return (EPISODES, P) of P policies from the same starts, all in the air at once."""
    starts = simulator.reset(EPISODES, 3)
    episodes = Episodes(
        repeat(starts, len(policies)),
        torch.zeros(EPISODES * len(policies), dtype=torch.int64),
        torch.zeros(EPISODES * len(policies), 0),
    )
    alive = torch.ones(EPISODES * len(policies), dtype=torch.bool)
    success, total = torch.zeros_like(alive), torch.zeros(len(alive), dtype=torch.float64)
    observation = simulator.observe(episodes.state)
    while alive.any():
        each = observation.unflatten(0, (EPISODES, len(policies))).unbind(dim=1)
        action = torch.stack([policy(seen) for policy, seen in zip(policies, each, strict=True)], dim=1)
        transition = step_episodes(simulator, episodes, action.flatten(0, 1))
        episodes, observation = transition.episodes, transition.observation
        ended = alive & (transition.terminated | transition.truncated)
        total += torch.where(alive, transition.reward, 0.0)
        success |= simulator.success(episodes.state) & ended
        alive &= ~ended
    return success.view(EPISODES, -1), total.view(EPISODES, -1)
