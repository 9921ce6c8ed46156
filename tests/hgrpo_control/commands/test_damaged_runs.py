"""Commands on runs that are finished, damaged or edited: one line, and nothing changes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.tiny_runs import TINY

import policies
from hgrpo_control.cli import main
from policies.actor_critic import ActorCritic

HOVER = ("train", "ppo", "quadrotor-hover")
Complaint = Callable[..., str]


@pytest.fixture(autouse=True)
def run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run as the working directory's `run`, free to be damaged."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(tiny_run, Path("run"))


def test_a_device_as_a_task_option_is_one_line_that_names_the_option(complaint: Complaint) -> None:
    assert "--device cuda" in complaint(*HOVER, *TINY, "--task-options", "device=cuda")


def test_a_run_is_never_overwritten(run: Path, complaint: Complaint) -> None:
    assert complaint(*HOVER, *TINY, "--out", run) == (
        "run exists already; choose another --out, or continue it with: hgrpo resume run"
    )


def test_a_finished_run_is_not_resumed(run: Path, complaint: Complaint) -> None:
    assert complaint("resume", run) == (
        "run is finished: 256 simulator steps taken; for more: hgrpo resume run --total-steps N"
    )


def other_task(path: Path) -> None:
    policy, training = policies.restore(path)
    stranger = ActorCritic(dataclasses.replace(policy.spec, task="quadrotor-race"))
    stranger.load_state_dict(policy.state_dict())
    policies.save(path, stranger, training)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def random_bytes(path: Path) -> None:
    noise = torch.randint(256, (20_000,), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    path.write_bytes(bytes(noise.tolist()))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def other_content(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


def bare_tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


def without_training(path: Path) -> None:
    policies.save(path, policies.load(path))


def removed(path: Path) -> None:
    path.unlink()


DAMAGES = [truncated, random_bytes, emptied, other_content, bare_tensor]


@pytest.mark.parametrize("command", ["resume", "evaluate", "export"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_by_its_path(
    run: Path, complaint: Complaint, damage: Callable[[Path], None], command: str
) -> None:
    damage(run / "checkpoint.pt")
    message = complaint(*command.split(), run)
    assert message.startswith("run/checkpoint.pt is damaged or not a checkpoint of this package: ")


@pytest.mark.parametrize("command", ["resume", "evaluate", "export"])
def test_a_missing_checkpoint_is_told_by_its_path(run: Path, complaint: Complaint, command: str) -> None:
    removed(run / "checkpoint.pt")
    assert complaint(*command.split(), run) == "no checkpoint at run/checkpoint.pt"


def test_a_checkpoint_of_another_task_is_not_resumed(run: Path, complaint: Complaint) -> None:
    other_task(run / "checkpoint.pt")
    assert complaint("resume", run) == (
        "run/checkpoint.pt holds a policy for 'quadrotor-race', layers 8, memory none that does not fit config.json "
        "('quadrotor-hover', layers 8, memory none)"
    )


def test_a_checkpoint_of_another_task_is_not_evaluated(run: Path, complaint: Complaint) -> None:
    other_task(run / "checkpoint.pt")
    assert complaint("evaluate", run) == (
        "the policy was trained for 'quadrotor-race'; the task here is 'quadrotor-hover'"
    )


def test_a_checkpoint_without_the_state_of_training_is_not_resumed(run: Path, complaint: Complaint) -> None:
    without_training(run / "checkpoint.pt")
    assert "run/checkpoint.pt" in complaint("resume", run)


def with_former_states(path: Path) -> None:
    """Split each packed array of the bodies and of the mission into the arrays that earlier versions saved."""
    policy, training = policies.restore(path)
    (body, command, mission, *rest), elapsed, _ = training["sampler"]["roots"]
    former = [list(body[0].split((3, 3, 4, 3, 4), dim=1)), command, [x.squeeze(1) for x in mission if x != []], *rest]
    training["sampler"]["roots"] = [former, elapsed]
    policies.save(path, policy, training)


def test_states_of_an_earlier_version_are_not_resumed_but_their_policy_serves(run: Path, complaint: Complaint) -> None:
    with_former_states(run / "checkpoint.pt")
    message = complaint("resume", run, "--total-steps", "512")
    assert message.startswith("run/checkpoint.pt ")
    for part in ("another layout", "earlier version", "cannot be continued", "evaluate", "export", "--reference"):
        assert part in message
    assert main(["evaluate", str(run), "--episodes", "2"]) == 0
    assert main(["export", str(run)]) == 0
    assert main([*HOVER, *TINY, "--reference", str(run), "--kl-coef", "0.1", "--out", "tuned"]) == 0


def edit_config(run: Path, **changes: object) -> None:
    path = run / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("changes", [{"num_envs": 32}, {"task_options": {"mass": "0.3"}}])
def test_other_roots_are_not_resumed(run: Path, complaint: Complaint, changes: dict[str, object]) -> None:
    edit_config(run, total_steps=10_000, **changes)
    assert complaint("resume", run).startswith("run/checkpoint.pt does not hold the training state that ")


@pytest.mark.parametrize("command", ["resume", "evaluate", "compare"])
@pytest.mark.parametrize("text", ["", "{", "null", '{"task": "quadrotor-hover"}'])
def test_a_damaged_config_is_told_by_its_path(run: Path, complaint: Complaint, command: str, text: str) -> None:
    (run / "config.json").write_text(text)
    assert complaint(*command.split(), run).startswith("run/config.json: not a config of this release: ")


def test_a_config_of_an_unknown_task_is_one_line(run: Path, complaint: Complaint) -> None:
    edit_config(run, task="quadrotor-hoover")
    assert complaint("evaluate", run) == "unknown task 'quadrotor-hoover'; did you mean 'quadrotor-hover'?"


@pytest.mark.parametrize("words", [("--episodes", "0"), ("--video", "--video-episodes", "0")])
def test_no_episodes_is_one_line(run: Path, complaint: Complaint, words: tuple[str, ...]) -> None:
    assert "episodes must be at least 1; given 0" in complaint("evaluate", run, *words)


def test_a_folder_that_cannot_be_made_is_one_line(complaint: Complaint) -> None:
    Path("file").write_text("in the way")
    assert "file" in complaint(*HOVER, *TINY, "--out", "file/run")
