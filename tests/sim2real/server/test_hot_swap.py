"""Another policy from one request to the next, or not at all, and back again."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.server_process import OBSERVATIONS, PATIENCE, SPEC, Server, wait_until, write_policy

from policies.spec import Channel
from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.server.core.policies import KEPT_VERSIONS, ServedPolicy
from sim2real.server.settings import ServerSettings

pytestmark = pytest.mark.slow


class Flight:
    """A server of one policy, whose file may be replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = Server(f"hover={path}")

    def ask(self, what: str) -> tuple[int, dict[str, str]]:
        status, answer = self.server.ask("POST", f"/v2/repository/models/hover/{what}", b"")
        return status, json.loads(answer)


@pytest.fixture(scope="module")
def flight(policy_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flight]:
    path = tmp_path_factory.mktemp("swapped") / "policy.onnx"
    shutil.copy(policy_files[0], path)
    running = Flight(path)
    yield running
    assert running.server.stop() == 0
    assert "Traceback" not in running.server.output


def test_swap_and_rollback_under_load(
    flight: Flight, policy_files: tuple[Path, Path], one: OnnxPolicy, two: OnnxPolicy
) -> None:
    shutil.copy(policy_files[0], flight.path)
    assert flight.ask("load")[0] == 200
    policies = {flight.ask("load")[1]["version"]: one}
    answers: list[tuple[str, int, np.ndarray]] = []
    stop = threading.Event()

    def fly() -> None:
        with PolicyClient(flight.server.url(), timeout=PATIENCE) as client:
            while not stop.is_set():
                index = len(answers) % len(OBSERVATIONS)
                answer = client.infer(OBSERVATIONS[index])
                answers.append((answer.version, index, answer.action))

    flying = threading.Thread(target=fly)
    flying.start()
    wait_until(lambda: len(answers) > 5)
    shutil.copy(policy_files[1], flight.path)
    status, answer = flight.ask("load")
    assert status == 200
    policies[answer["version"]] = two
    wait_until(lambda: answers[-1][0] == answer["version"])
    back = flight.ask("rollback")[1]["version"]
    assert policies[back] is one
    wait_until(lambda: answers[-1][0] == back)
    stop.set()
    flying.join(PATIENCE)
    for version, index, action in answers:  # each is wholly of the version that it names
        np.testing.assert_array_equal(action, policies[version](OBSERVATIONS[index]))
    assert {version for version, _, _ in answers} == set(policies)


def break_weights(path: Path) -> None:
    model = onnx.load(path)
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == "actor.0.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
    onnx.save(model, path)


@pytest.mark.parametrize("fault", ["garbage", "truncated", "missing", "golden pairs", "other interface"])
def test_a_broken_file_changes_nothing(flight: Flight, policy_files: tuple[Path, Path], fault: str) -> None:
    shutil.copy(policy_files[0], flight.path)
    with PolicyClient(flight.server.url(), timeout=PATIENCE) as client:
        before = client.infer(OBSERVATIONS[0])
        match fault:
            case "garbage":
                flight.path.write_bytes(b"garbage")
            case "truncated":
                flight.path.write_bytes(policy_files[1].read_bytes()[:-100])
            case "missing":
                flight.path.unlink()
            case "golden pairs":
                break_weights(flight.path)
            case "other interface":
                write_policy(
                    flight.path, spec=replace(SPEC, observation=(*SPEC.observation[:2], Channel("p", "rad/s")))
                )
        status, answer = flight.ask("load")
        assert status == 400
        assert f"keeps version {before.version}" in answer["error"]
        assert "\n" not in answer["error"]
        after = client.infer(OBSERVATIONS[0])
        assert after.version == before.version
        np.testing.assert_array_equal(after.action, before.action)
    shutil.copy(policy_files[0], flight.path)
    assert flight.ask("load")[0] == 200  # and it recovers


def test_a_signal_reads_the_files_again(flight: Flight, policy_files: tuple[Path, Path], two: OnnxPolicy) -> None:
    shutil.copy(policy_files[1], flight.path)
    with PolicyClient(flight.server.url(), timeout=PATIENCE) as client:
        before = client.infer(OBSERVATIONS[0]).version
        flight.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: client.infer(OBSERVATIONS[0]).version != before)
        np.testing.assert_array_equal(client.infer(OBSERVATIONS[1]).action, two(OBSERVATIONS[1]))


def test_load_takes_no_files_from_clients(flight: Flight) -> None:
    body = json.dumps({"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}).encode()
    status, answer = flight.server.ask("POST", "/v2/repository/models/hover/load", body)
    assert (status, b"no files" in answer) == (400, True)


def test_versions_are_numbered_once_and_few_are_kept(policy_files: tuple[Path, Path]) -> None:
    served = ServedPolicy("one", policy_files[0], ServerSettings())
    with pytest.raises(ValueError, match="no earlier version"):
        served.rollback()
    for _ in range(KEPT_VERSIONS):
        served.activate(served.read())
    assert served.numbers == ["2", "3", "4", "5"]
    assert served.rollback().number == "4"
    assert served.activate(served.read()).number == "6"
    assert served.numbers == ["2", "3", "4", "6"]
    assert served.version("3").number == "3"
    with pytest.raises(ValueError, match="no version '5'"):
        served.version("5")
