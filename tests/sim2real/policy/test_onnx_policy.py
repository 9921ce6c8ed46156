"""An exported policy at run time: what it takes and what it gives."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import re
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support.exported_policies import ELU_SPEC, OBSERVATIONS

from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from sim2real.policy.onnx_policy import OnnxPolicy


def test_gives_the_policy_s_actions_for_one_and_many(policy: ActorCritic, onnx_policy: OnnxPolicy) -> None:
    with torch.no_grad():
        expected = policy(torch.from_numpy(OBSERVATIONS)).numpy()
    many = onnx_policy(OBSERVATIONS)
    assert many.dtype == np.float32
    np.testing.assert_allclose(many, expected, atol=6e-6)  # 1e-5 of the narrower range, 0.6
    for observation, action in zip(OBSERVATIONS, expected, strict=True):
        one = onnx_policy(observation)
        assert one.shape == (2,)
        np.testing.assert_allclose(one, action, atol=6e-6)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.astype(np.float64),
        lambda x: x.tolist(),
        lambda x: x.astype(">f4"),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: np.ascontiguousarray(x[::-1])[::-1],
        lambda x: torch.from_numpy(x),
    ],
    ids=["double", "list", "big endian", "column-major", "strided", "reversed", "tensor"],
)
def test_takes_every_layout_of_the_same_numbers(onnx_policy: OnnxPolicy, convert: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(onnx_policy(convert(OBSERVATIONS)), onnx_policy(OBSERVATIONS))
    np.testing.assert_array_equal(onnx_policy(convert(OBSERVATIONS)[0]), onnx_policy(OBSERVATIONS[0]))


def test_takes_integers_and_no_rows(onnx_policy: OnnxPolicy) -> None:
    np.testing.assert_array_equal(onnx_policy([1, 2, 3]), onnx_policy(np.array([1.0, 2.0, 3.0])))
    assert onnx_policy(np.zeros((0, 3))).shape == (0, 2)


def test_actions_are_the_caller_s_own(onnx_policy: OnnxPolicy) -> None:
    first = onnx_policy(OBSERVATIONS[0])
    kept = first.copy()
    onnx_policy(OBSERVATIONS[1])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (np.zeros(4), "observation has shape (4,); expected (3,) or (B, 3)"),
        (np.zeros((3, 4)), "observation has shape (3, 4); expected (3,) or (B, 3)"),
        (np.zeros((1, 1, 3)), "observation has shape (1, 1, 3); expected (3,) or (B, 3)"),
        (0.0, "observation has shape (); expected (3,) or (B, 3)"),
        ([], "observation has shape (0,); expected (3,) or (B, 3)"),
        ([[1.0], [1.0, 2.0]], "observation is no array; expected (3,) or (B, 3)"),
        (np.zeros(3, complex), "observation has dtype complex128; expected real numbers"),
        (["1", "2", "3"], "observation has dtype <U1; expected real numbers"),
        (None, "observation has dtype object; expected real numbers"),
        ([0.0, np.nan, 0.0], "observation entry 'v' is nan; expected a finite"),
        ([[0.0] * 3, [0.0, 0.0, -np.inf]], "observation entry 'w' in row 1 is -inf; expected a finite"),
        ([1e39, 0.0, 0.0], "observation entry 'u' is 1e+39; expected a finite single-precision number"),
        (np.array([0, 0, np.inf], np.float32), "observation entry 'w' is inf; expected a finite"),
    ],
)
def test_refuses_other_observations_in_one_line(onnx_policy: OnnxPolicy, observation: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        onnx_policy(observation)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_spec_and_metadata_are_the_export_s(exported: Path, onnx_policy: OnnxPolicy) -> None:
    assert onnx_policy.spec == ELU_SPEC
    assert onnx_policy.metadata == {entry.key: entry.value for entry in onnx.load(exported).metadata_props}


def test_golden_pairs_are_torch_s_to_the_last_digit(policy: ActorCritic, onnx_policy: OnnxPolicy) -> None:
    pairs = json.loads(onnx_policy.metadata["golden_pairs"])
    observation = np.array([pair["observation"] for pair in pairs])
    assert len(pairs) >= 3
    assert np.array_equal(observation, observation.astype(np.float32))  # no digit was lost on the way to text
    with torch.no_grad():
        expected = policy(torch.from_numpy(observation.astype(np.float32))).numpy()
    # torch may sum in another order at another batch size: a few units in the last place of 5
    np.testing.assert_allclose([pair["action"] for pair in pairs], expected, atol=2e-6)
    assert np.ptp(expected, axis=0).min() > 0.1  # they tell policies apart


def test_hash_is_sha256_of_the_sorted_state(policy: ActorCritic, onnx_policy: OnnxPolicy) -> None:
    digest = hashlib.sha256()
    for name in sorted(policy.state_dict()):
        tensor = policy.state_dict()[name]
        dtype, code = {torch.float32: ("float32", "f"), torch.float64: ("float64", "d")}[tensor.dtype]
        digest.update(f"{name} {dtype} {list(tensor.shape)}\n".encode())
        digest.update(struct.pack(f"<{tensor.numel()}{code}", *tensor.flatten().tolist()))
    assert onnx_policy.metadata["checkpoint_sha256"] == digest.hexdigest()


def test_runs_on_one_thread_unless_told_otherwise(exported: Path) -> None:
    assert OnnxPolicy(exported)._session.get_session_options().intra_op_num_threads == 1
    assert OnnxPolicy(exported, threads=2)._session.get_session_options().intra_op_num_threads == 2


@pytest.mark.parametrize("duplicate", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_copies_act_alike_whatever_becomes_of_the_file(
    exported: Path, tmp_path: Path, duplicate: Callable[[OnnxPolicy], OnnxPolicy]
) -> None:
    file = tmp_path / "policy.onnx"
    file.write_bytes(exported.read_bytes())
    original = OnnxPolicy(file, threads=2)
    file.unlink()
    twin = duplicate(duplicate(original))
    np.testing.assert_array_equal(twin(OBSERVATIONS), original(OBSERVATIONS))
    assert (twin.spec, twin.metadata, twin.trained_on) == (original.spec, original.metadata, original.trained_on)
    assert twin._session.get_session_options().intra_op_num_threads == 2


def test_threads_that_share_a_policy_get_their_own_actions(onnx_policy: OnnxPolicy) -> None:
    rows = np.random.default_rng(0).normal(0.0, 3.0, (500, onnx_policy.spec.observation_size))
    expected = np.stack([onnx_policy(row) for row in rows])
    with ThreadPoolExecutor(4) as pool:
        for actions in pool.map(lambda _: np.stack([onnx_policy(row) for row in rows]), range(8)):
            np.testing.assert_array_equal(actions, expected)


def test_step_of_a_policy_without_memory_is_refused(onnx_policy: OnnxPolicy) -> None:
    with pytest.raises(HgrpoError, match="no memory"):
        onnx_policy.step(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32))
