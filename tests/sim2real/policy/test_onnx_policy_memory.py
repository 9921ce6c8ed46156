"""OnnxPolicy with memory: what it carries from call to call, when it forgets, and what it refuses."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from support.policies_with_memory import MEMORIES, actions_over, remembering, sequences_of, shares

from hgrpo_control.evaluation.array_policy import ArrayPolicy
from hgrpo_control.evaluation.evaluate import Resets
from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from sim2real.export.onnx import export_onnx
from sim2real.policy.inspection import inspect
from sim2real.policy.onnx_policy import OnnxPolicy, OnnxPolicyError


@pytest.fixture(scope="module", params=MEMORIES)
def policy(request: pytest.FixtureRequest) -> ActorCritic:
    return remembering(request.param)


@pytest.fixture(scope="module", params=[None, 1])
def path(policy: ActorCritic, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "policy.onnx"
    export_onnx(policy, path, checks=20, batch=request.param)
    return path


@pytest.mark.parametrize("rows", [1, 4])
def test_memory_is_carried_from_call_to_call(policy: ActorCritic, path: Path, rows: int) -> None:
    observation, exported = sequences_of(policy, 1000 if rows == 1 else 100, rows), OnnxPolicy(path)
    expected = actions_over(policy, observation)
    given = np.stack([exported(step) for step in observation])
    assert shares(policy, given, expected).max() <= 1e-5
    exported.reset()
    np.testing.assert_array_equal(exported(observation[0]), given[0])


def test_memory_of_one_observation_is_that_of_a_batch_of_one(policy: ActorCritic, path: Path) -> None:
    observation = sequences_of(policy, 20, 1)
    alone, batch = OnnxPolicy(path), OnnxPolicy(path)
    for step in observation:
        np.testing.assert_array_equal(alone(step[0]), batch(step)[0])


@pytest.mark.parametrize("rows", [np.array([0, 2]), np.array([True, False, True])])
def test_memory_of_some_episodes_begins_anew(policy: ActorCritic, path: Path, rows: NDArray[np.integer]) -> None:
    observation, fly = sequences_of(policy, 4, 3), OnnxPolicy(path)
    for step in observation[:3]:
        fly(step)
    fly.reset(rows)
    before, fresh = actions_over(policy, observation)[3], actions_over(policy, observation[3:])[0]
    expected = np.stack([fresh[0], before[1], fresh[2]])
    assert shares(policy, fly(observation[3]), expected).max() <= 1e-5


def test_memory_refuses_another_number_of_episodes_until_reset(policy: ActorCritic, path: Path) -> None:
    observation, exported = sequences_of(policy, 2, 3), OnnxPolicy(path)
    exported(observation[0])
    with pytest.raises(HgrpoError, match=r"2 observations after 3; .*reset\(\)"):
        exported(observation[1, :2])
    exported.reset()
    assert exported(observation[1, :2]).shape == (2, 2)


def test_memory_is_not_copied(policy: ActorCritic, path: Path) -> None:
    observation, exported = sequences_of(policy, 2, 1), OnnxPolicy(path)
    first = exported(observation[0])
    for other in (copy.deepcopy(exported), pickle.loads(pickle.dumps(exported))):
        np.testing.assert_array_equal(other(observation[0]), first)


def test_memory_is_forgotten_through_an_array_policy(policy: ActorCritic, path: Path) -> None:
    observation, exported = sequences_of(policy, 1, 1)[0], OnnxPolicy(path)
    judged = ArrayPolicy(exported)
    assert isinstance(judged, Resets)
    first = exported(observation)
    judged.reset()
    np.testing.assert_array_equal(exported(observation), first)


def test_memory_is_shown_by_inspect(policy: ActorCritic, path: Path) -> None:
    text = inspect(path)
    named = {"gru": "GRU of 12 units", "history": "history of 3"}[policy.spec.memory]
    assert named in text
    assert "golden sequences: 3 of 5 steps" in text


def edited(path: Path, folder: Path, **texts: str) -> Path:
    model = onnx.load(path)
    for entry in model.metadata_props:
        entry.value = texts.get(entry.key, entry.value)
    onnx.save(model, folder / "edited.onnx")
    return folder / "edited.onnx"


def test_memory_of_another_shape_is_refused(policy: ActorCritic, path: Path, tmp_path: Path) -> None:
    model = onnx.load(path)
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value += 1
    onnx.save(model, tmp_path / "policy.onnx")
    with pytest.raises(OnnxPolicyError, match=r"memory tensor\(float\)|damaged") as caught:
        OnnxPolicy(tmp_path / "policy.onnx")
    assert "\n" not in str(caught.value)


def test_memory_that_the_file_does_not_have_is_refused(policy: ActorCritic, path: Path, tmp_path: Path) -> None:
    spec = json.loads(policy.spec.to_json())
    plain = json.dumps(spec | {"memory": "none", "memory_size": 0})
    with pytest.raises(OnnxPolicyError, match="memory"):
        OnnxPolicy(edited(path, tmp_path, policy_spec=plain))


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        ({"memory_size": "99"}, "memory_size '99'"),
        ({"golden_pairs": "[]"}, "at least one pair"),
        ({"golden_pairs": "[[]]"}, "golden pairs of shapes"),
        ({"golden_pairs": "[[1]]"}, "unreadable golden pairs"),
    ],
)
def test_memory_metadata_that_do_not_fit_are_refused(
    path: Path, tmp_path: Path, texts: dict[str, str], named: str
) -> None:
    with pytest.raises(OnnxPolicyError, match=named):
        OnnxPolicy(edited(path, tmp_path, **texts))


def test_golden_sequences_notice_a_memory_that_is_not_fed_on(path: Path, tmp_path: Path) -> None:
    texts = OnnxPolicy(path).metadata
    first, *others = json.loads(texts["golden_pairs"])
    with pytest.raises(OnnxPolicyError, match="does not reproduce its golden pairs: action "):
        OnnxPolicy(edited(path, tmp_path, golden_pairs=json.dumps([first[::-1], *others])))
    pairs = json.dumps(first)  # as of a policy without memory
    with pytest.raises(OnnxPolicyError, match="golden pairs of shapes"):
        OnnxPolicy(edited(path, tmp_path, golden_pairs=pairs))


def test_step_takes_a_memory_of_the_policy_and_nothing_else(policy: ActorCritic, path: Path) -> None:
    exported, observation = OnnxPolicy(path), sequences_of(policy, 1, 2)[0]
    memory = exported.no_memory(2)
    first = exported.step(observation, memory)
    np.testing.assert_array_equal(first[0], exported(observation))  # nothing is kept between the two
    assert first[1].shape == memory.shape
    for wrong in (memory[:1], memory[:, 1:], memory[0], memory.astype(np.float64)):
        with pytest.raises(HgrpoError, match="memory is float") as caught:
            exported.step(observation, wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(HgrpoError, match="has memory"):
        exported.run(observation)
