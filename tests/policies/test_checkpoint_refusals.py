"""Damaged files and files of another kind are refused, in one line that names the file."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.checkpoints import SPEC, refused, trained_policy

from policies import checkpoint
from policies.checkpoint import CHECKPOINT_NAME, CheckpointError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / CHECKPOINT_NAME
    checkpoint.save(path, trained_policy(), {"iteration": 3})
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["actor.0.weight", "critic.2.bias", "raw_sigma", "normalizer.mean"])
def test_weights_that_are_not_finite_are_refused_with_their_name(saved: Path, name: str, value: float) -> None:
    policy = trained_policy()
    numbers = policy.state_dict()[name].view(-1)
    numbers[0] = value
    checkpoint.save(saved, policy)
    assert refused(saved) == f"{saved} cannot be used: 1 of {len(numbers)} numbers in {name} are not finite"


@pytest.mark.parametrize("field", ["task", "robot"])
@pytest.mark.parametrize("value", [3, None, "reach\nagain"])
def test_a_task_that_is_no_text_is_refused_with_the_reason(saved: Path, field: str, value: Any) -> None:
    content = torch.load(saved, weights_only=True)
    content["spec"] = json.dumps(json.loads(content["spec"]) | {field: value})
    torch.save(content, saved)
    assert f"{field} is {value!r}; allowed: printable text" in refused(saved)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_truncated_file_is_refused(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    assert "damaged or not a checkpoint" in refused(saved)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch wonders about the pickle protocol of noise
@pytest.mark.parametrize("size", [1, 7, 64, 200, 5000])
def test_random_bytes_are_refused(tmp_path: Path, size: int) -> None:
    path, generator = tmp_path / "noise.pt", random.Random(size)
    for _ in range(60):
        path.write_bytes(generator.randbytes(size))
        assert "damaged or not a checkpoint" in refused(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_with_changed_bytes_is_refused(saved: Path) -> None:
    whole, generator = saved.read_bytes(), random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        position = generator.randrange(len(damaged))
        damaged[position] ^= 1 << generator.randrange(8)
        saved.write_bytes(bytes(damaged))
        try:
            policy, training = checkpoint.restore(saved)
        except CheckpointError:
            continue
        # zip keeps some bytes that nobody reads; what does load must be what was saved
        assert training == {"iteration": 3}, position
        mine = trained_policy().state_dict()
        assert all(torch.equal(tensor, mine[name]) for name, tensor in policy.state_dict().items()), position


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        [1, 2],
        "text",
        None,
        {},
        {"spec": SPEC.to_json()},
        {"spec": SPEC.to_json(), "policy": "text", "training": {}},
        {"spec": SPEC.to_json(), "policy": {}, "training": {}},
        {"spec": "[]", "policy": {}, "training": {}},
        {"spec": "{", "policy": {}, "training": {}},
        {"spec": '{"schema_version": 1}', "policy": {}, "training": {}},
        {"spec": '{"schema_version": 99}', "policy": {}, "training": {}},
        {"spec": SPEC.to_json(), "policy": trained_policy().state_dict()},
    ],
    ids=lambda content: str(content)[:40] if not isinstance(content, dict) else "+".join(content) or "empty",
)
def test_other_torch_files_are_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    assert "damaged or not a checkpoint" in refused(path)


@pytest.mark.parametrize("changes", [{"hidden_sizes": (8, 8)}, {"hidden_sizes": (9,)}, {"critic": False}])
def test_the_state_of_another_spec_is_refused_and_says_what_differs(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "mixed.pt"
    other = trained_policy(replace(SPEC, **changes))
    torch.save({"spec": SPEC.to_json(), "policy": other.state_dict(), "training": {}}, path)
    assert any(name in refused(path) for name in ("actor.", "critic."))


def test_a_missing_file_or_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "nowhere" / CHECKPOINT_NAME, tmp_path):
        assert "no checkpoint at" in refused(path)


@pytest.mark.parametrize("method", [8, 14])
def test_a_record_whose_compression_method_was_damaged_is_refused(saved: Path, method: int) -> None:
    # the entries of a zip's directory begin with PK\x01\x02, their compression method is ten bytes in
    damaged = bytearray(saved.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 10] = method
    saved.write_bytes(bytes(damaged))
    assert "damaged or not a checkpoint" in refused(saved)


class _Trap:
    """Creates a file when it is unpickled by a loader that runs code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_inside_a_file_is_not_run(tmp_path: Path) -> None:
    path, sprung = tmp_path / "trap.pt", tmp_path / "sprung"
    torch.save({"spec": SPEC.to_json(), "policy": _Trap(sprung), "training": {}}, path)
    refused(path)
    assert not sprung.exists()


def test_a_file_of_a_later_format_is_refused(tmp_path: Path, saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    torch.save(content | {"format": 3}, tmp_path / "later.pt")
    assert "has format 3" in refused(tmp_path / "later.pt")
