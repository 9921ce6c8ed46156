"""Checkpoints come back bit for bit, and a save replaces the file or leaves it."""

from __future__ import annotations

import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.checkpoints import SPEC, trained_policy

import policies
from hgrpo_files import FileError
from policies import checkpoint
from policies.checkpoint import CHECKPOINT_NAME


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / CHECKPOINT_NAME
    checkpoint.save(path, trained_policy(), {"iteration": 3})
    return path


@pytest.mark.parametrize("critic", [True, False])
def test_policy_and_training_state_come_back_bit_for_bit(tmp_path: Path, critic: bool) -> None:
    policy = trained_policy(replace(SPEC, critic=critic))
    generator = torch.Generator().manual_seed(5)
    training = {
        "iteration": 17,
        "clock": 0.1,
        "nested": {"moments": [torch.arange(3.0, dtype=torch.float64), torch.tensor(2)]},
        "generator": generator.get_state(),
    }
    path = tmp_path / "any-name.pt"
    checkpoint.save(path, policy, training)
    restored, state = checkpoint.restore(path)
    assert restored.spec == policy.spec
    mine, theirs = policy.state_dict(), restored.state_dict()
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name
        assert tensor.dtype == theirs[name].dtype, name
    assert (state["iteration"], state["clock"]) == (17, 0.1)
    for a, b in zip(state["nested"]["moments"], training["nested"]["moments"], strict=True):
        assert torch.equal(a, b)
        assert a.dtype == b.dtype
    expected = torch.randn(4, generator=generator)
    again = torch.Generator()
    again.set_state(state["generator"])
    assert torch.equal(torch.randn(4, generator=again), expected)


def test_a_restored_policy_acts_as_the_saved_one(saved: Path) -> None:
    observation = torch.randn(20, 3, generator=torch.Generator().manual_seed(2)) * 3.0 + 7.0
    policy, restored = trained_policy(), policies.load(saved)
    assert torch.equal(restored(observation), policy(observation))
    assert torch.equal(restored.value(observation), policy.value(observation))
    assert torch.equal(restored.sigma, policy.sigma)


def test_a_folder_stands_for_the_checkpoint_in_it(saved: Path) -> None:
    from_folder, from_file = checkpoint.load(saved.parent), checkpoint.load(str(saved))
    assert torch.equal(from_folder(torch.ones(3)), from_file(torch.ones(3)))


def test_files_load_without_unpickling_code(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    assert set(content) == {"format", "spec", "policy", "training"}


def test_a_policy_with_a_high_sigma_floor_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "noisy.pt"
    policy = trained_policy(replace(SPEC, min_sigma=0.6), init_sigma=0.7)
    checkpoint.save(path, policy)
    assert torch.equal(checkpoint.load(path).sigma, policy.sigma)


def test_a_save_that_fails_leaves_the_old_file_and_no_other(saved: Path) -> None:
    before = saved.read_bytes()
    training = {"moments": torch.zeros(len(before))}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing on fails as it does on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(FileError) as raised:
            checkpoint.save(saved, trained_policy(), training)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert str(raised.value) == f"cannot write {saved}: File too large; raise the limit (ulimit -f), or write elsewhere"
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [CHECKPOINT_NAME]
    checkpoint.save(saved, trained_policy(), {"iteration": 5})
    assert checkpoint.restore(saved)[1]["iteration"] == 5


def test_a_folder_that_is_not_there_is_said_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "gone" / CHECKPOINT_NAME
    with pytest.raises(FileError, match=f"^cannot write {path}: No such file or directory; make its folder first$"):
        checkpoint.save(path, trained_policy())


def test_a_save_replaces_the_old_file(saved: Path) -> None:
    checkpoint.save(saved, trained_policy(), {"iteration": 4})
    assert checkpoint.restore(saved)[1] == {"iteration": 4}
    assert [path.name for path in saved.parent.iterdir()] == [CHECKPOINT_NAME]
