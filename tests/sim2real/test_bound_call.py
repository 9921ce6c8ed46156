"""The call through bound memory gives the bits of the ordinary one, to any number of threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_policies import SPEC

from policies.actor_critic import ActorCritic
from sim2real.bound_call import BoundCall
from sim2real.export_onnx import export_onnx
from sim2real.onnx_policy import SESSION_ERRORS, OnnxPolicy, OnnxPolicyError, open_session

OBSERVATIONS = np.random.default_rng(0).normal(0.0, 3.0, (500, 1, SPEC.observation_size)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bound") / "policy.onnx"
    export_onnx(ActorCritic(SPEC, generator=torch.Generator().manual_seed(0)), path)
    return path


def test_bits_are_those_of_the_ordinary_call_and_stay_what_they_were(path: Path) -> None:
    session = open_session(path.read_bytes())
    call = BoundCall(session, SPEC.observation_size, SPEC.action_size)
    actions = [call(observation) for observation in OBSERVATIONS]
    expected = [session.run(["action"], {"observation": observation})[0] for observation in OBSERVATIONS]
    np.testing.assert_array_equal(np.concatenate(actions), np.concatenate(expected))


def test_there_is_no_action_while_another_thread_has_the_memory(path: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Waiting:
        """A session that takes its time."""

        def __init__(self) -> None:
            self._session = open_session(path.read_bytes())

        def __getattr__(self, name: str) -> object:
            return getattr(self._session, name)

        def run_with_iobinding(self, *arguments: object) -> None:
            inside.set()
            assert go_on.wait(60.0)
            self._session.run_with_iobinding(*arguments)

    call = BoundCall(Waiting(), SPEC.observation_size, SPEC.action_size)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(call, OBSERVATIONS[0])
        assert inside.wait(60.0)
        assert call(OBSERVATIONS[1]) is None
        go_on.set()
        assert other.result(60.0) is not None
    assert call(OBSERVATIONS[1]) is not None


@pytest.mark.parametrize("size", [SPEC.observation_size - 1, SPEC.observation_size + 1, 1])
def test_rows_of_another_size_are_refused_as_ever(path: Path, size: int) -> None:
    policy = OnnxPolicy(path)
    for wrong in (np.zeros((1, size), np.float32), np.zeros((1, 1, size), np.float32), np.zeros((1, size))):
        with pytest.raises(SESSION_ERRORS):
            policy.run(wrong)
    with pytest.raises(SESSION_ERRORS):
        policy.run(np.zeros((1, SPEC.observation_size)))


def test_golden_pairs_are_run_as_rows_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = BoundCall.__call__
    monkeypatch.setattr(BoundCall, "__call__", lambda self, row: call(self, row) + np.float32(0.5))
    with pytest.raises(OnnxPolicyError, match="does not reproduce its golden pairs"):
        OnnxPolicy(path)


def test_threads_that_share_a_policy_get_their_own_actions(path: Path) -> None:
    policy = OnnxPolicy(path)
    expected = np.stack([policy(observation[0]) for observation in OBSERVATIONS])
    with ThreadPoolExecutor(4) as pool:
        for actions in pool.map(lambda _: np.stack([policy(row[0]) for row in OBSERVATIONS]), range(8)):
            np.testing.assert_array_equal(actions, expected)
