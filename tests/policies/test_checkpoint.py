"""Checkpoints: what goes in comes out bit for bit, and nothing but a checkpoint is taken for one."""

from __future__ import annotations

import json
import random
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import policies
from hgrpo_files import FileError
from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.checkpoint import CHECKPOINT_NAME, CheckpointError
from policies.spec import Channel, PolicySpec

SPEC = PolicySpec(
    task="reach",
    robot="arm",
    control_hz=50.0,
    observation=tuple(Channel(f"o{i}") for i in range(3)),
    action=(Channel("a0"), Channel("a1")),
    action_low=(-1.0, 0.0),
    action_high=(1.0, 0.3),
    safe_action=(0.0, 0.1),
    hidden_sizes=(8,),
)


def trained_policy(spec: PolicySpec = SPEC, init_sigma: float = 0.5) -> ActorCritic:
    """A policy whose every tensor differs from a fresh one's."""
    generator = torch.Generator().manual_seed(1)
    policy = ActorCritic(spec, init_sigma, generator)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    policy.normalizer.update(torch.randn(100, spec.observation_size, generator=generator) * 3.0 + 7.0)
    return policy


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / CHECKPOINT_NAME
    checkpoint.save(path, trained_policy(), {"iteration": 3})
    return path


def refused(path: Path) -> str:
    """The message with which a file is refused; it is one line that names the file."""
    with pytest.raises(CheckpointError) as raised:
        checkpoint.restore(path)
    message = str(raised.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    return message


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


def test_a_save_replaces_the_old_file(saved: Path) -> None:
    checkpoint.save(saved, trained_policy(), {"iteration": 4})
    assert checkpoint.restore(saved)[1] == {"iteration": 4}
    assert [path.name for path in saved.parent.iterdir()] == [CHECKPOINT_NAME]


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


def older(path: Path, policy: ActorCritic, reference: ActorCritic | None = None) -> Path:
    """A file as format 1 had it, which names no format."""
    held = None if reference is None else {"spec": reference.spec.to_json(), "policy": reference.state_dict()}
    content = {"spec": policy.spec.to_json(), "policy": policy.state_dict(), "training": {"reference": held}}
    torch.save(content, path)
    return path


def with_deviation(deviation: float, mean: float = 0.0, spec: PolicySpec = SPEC) -> ActorCritic:
    """A policy whose entry o1, and h1 of what is hidden, has varied by so much."""
    policy = trained_policy(spec)
    for normalizer in (policy.normalizer, policy.privileged_normalizer):
        if normalizer is not None:
            normalizer.mean[1], normalizer.variance[1] = mean, deviation**2
    return policy


# an entry that varied by 1e-4 was left as it is and would be multiplied by 1e4; one at 1e5 that varied by 2e-3, less
# than the rounding of 1e5 x 2^-23 = 0.012, was multiplied by 500 and would be left as it is
@pytest.mark.parametrize(
    ("deviation", "mean", "before", "after"),
    [(1e-4, 0.0, "1", "1e+04"), (1e-6, 0.0, "1", "1e+06"), (2e-3, 1e5, "500", "1")],
)
def test_an_older_file_with_an_entry_that_is_scaled_otherwise_is_refused(
    tmp_path: Path, deviation: float, mean: float, before: str, after: str
) -> None:
    message = refused(older(tmp_path / "old.pt", with_deviation(deviation, mean)))
    assert f"'o1' by {before} where this one scales by {after}," in message
    assert "train it again" in message


def test_what_only_a_critic_sees_and_the_reference_of_an_older_file_are_looked_at_too(tmp_path: Path) -> None:
    spec = replace(SPEC, privileged=(Channel("h0"), Channel("h1")))
    policy = with_deviation(1e-5, spec=spec)
    policy.normalizer.variance[1] = 1.0
    assert "'h1'" in refused(older(tmp_path / "critic.pt", policy))
    assert "'o1'" in refused(older(tmp_path / "leashed.pt", trained_policy(), with_deviation(1e-5)))


@pytest.mark.parametrize(("deviation", "mean"), [(0.0, 0.3), (1e-9, 47.4), (1.1e-4, 0.0), (3.0, 7.0)])
def test_other_older_files_act_as_they_did(tmp_path: Path, deviation: float, mean: float) -> None:
    policy = with_deviation(deviation, mean)
    read = checkpoint.load(older(tmp_path / "old.pt", policy))
    x = torch.randn(50, 3)
    assert torch.equal(read(x), policy(x))


def test_small_entries_of_files_written_now_are_read(tmp_path: Path) -> None:
    policy = with_deviation(1e-6)
    checkpoint.save(tmp_path / "new.pt", policy, {"reference": None})
    assert checkpoint.load(tmp_path / "new.pt").normalizer.shift_and_scale()[1][1].item() == pytest.approx(1e6)


def test_a_file_of_a_later_format_is_refused(tmp_path: Path, saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    torch.save(content | {"format": 3}, tmp_path / "later.pt")
    assert "has format 3, of a later release; this one reads up to 2" in refused(tmp_path / "later.pt")
