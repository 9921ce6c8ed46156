"""The command line from end to end, and every mistake told in exactly one line."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import policies
import robots
from hgrpo_control.cli import COMMANDS, main
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.runs.run_folder import RunFolder
from policies.actor_critic import ActorCritic
from sim2real.policy.onnx_policy import OnnxPolicy

TINY = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--total-steps", "256")  # two iterations of PPO
HOVER = ("train", "ppo", "quadrotor-hover")
Complaint = Callable[..., str]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own, so that relative paths end up there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained: Path, at_home: Path) -> Path:
    """A copy of it under the relative path `run`, free to be damaged."""
    shutil.copytree(trained, at_home / "run")
    return Path("run")


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with what it holds."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str], at_home: Path) -> Complaint:
    """Run a command that must fail: status 2, one line on stderr, nothing on stdout, no file touched."""

    def fail(*words: str | Path) -> str:
        before = contents(at_home)
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("hgrpo: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        assert contents(at_home) == before
        return err.removeprefix("hgrpo: ").removesuffix("\n")

    return fail


# What works


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_overview_lists_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == (0 if words else 2)
    out, err = capsys.readouterr()
    assert all(f"hgrpo {name}" in out for name in COMMANDS)
    assert err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([command, "--help"])
    except SystemExit as stopped:
        status = stopped.code or 0
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert f"hgrpo {command}" in out


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_help_of_training_shows_the_options_of_the_algorithm(
    algorithm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", algorithm, "quadrotor-hover", "--help"])
    assert caught.value.code in (0, None)
    out = capsys.readouterr().out
    assert f"usage: hgrpo train {algorithm} quadrotor-hover" in out
    assert "--total-steps INT" in out
    assert "--learning-rate FLOAT" in out
    assert ("--num-samples" in out) == (algorithm != "ppo")
    assert ("--estimator" in out) == (algorithm == "hybrid-grpo")


def test_tasks_are_listed_with_their_spaces(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["tasks"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    (line,) = [line for line in out.splitlines() if "quadrotor-hover " in line]
    for part in ("QuadrotorHover (cf21B_500)", " 16 ", "4 in [-1, 1]", "100 Hz", "500 steps"):
        assert part in line
    assert all(task in out for task in robots.names())


def test_task_names_are_whole_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert all(task in out for task in robots.names())


def test_goals_are_listed_where_there_is_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["tasks"]) == 0
    assert robots.make("Reacher-v5").spec.goal in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["tasks"]) == 0
    assert "goal" not in capsys.readouterr().out


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_train_evaluate_export_and_compare(algorithm: str, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ("--total-steps", str(256 if algorithm == "ppo" else 1024))  # N = 4 for the others
    assert main(["train", algorithm, "quadrotor-hover", *TINY[:-2], *steps, "--seed", "2"]) == 0
    folder = Path(f"runs/{algorithm}-quadrotor-hover-seed2")
    trained = capsys.readouterr()
    assert f"trained: {folder} ({int(steps[1]):,} simulator steps in " in trained.out
    assert trained.err == ""
    assert {path.name for path in folder.iterdir()} == {"config.json", "metrics.csv", "checkpoint.pt", "tensorboard"}

    assert main(["evaluate", str(folder), "--episodes", "5", "--seed", "1"]) == 0
    evaluated = capsys.readouterr().out
    figures = json.loads((folder / "evaluation.json").read_text())
    assert (figures["task"], figures["episodes"], figures["seed"]) == ("quadrotor-hover", 5, 1)
    assert evaluated.splitlines() == [
        "judged at difficulty 1 (full), default reward weights",
        f"5 episodes: return {figures['return_mean']:.1f} +- {figures['return_std']:.1f}, "
        f"success_rate {figures['success_rate']:.3f}, length {figures['length_mean']:.0f}",
        f"evaluation: {folder}/evaluation.json",
    ]

    assert main(["export", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"onnx: {folder}/policy.onnx (differs from torch by at most ")
    observation = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = policies.load(folder)(observation)
    assert torch.from_numpy(OnnxPolicy(folder / "policy.onnx")(observation.numpy())) == pytest.approx(
        expected, abs=1e-5
    )

    assert main(["compare", str(folder), str(folder), "--out", "table"]) == 0
    compared = capsys.readouterr()
    assert compared.out.splitlines() == ["table/learning_curves.png", "table/comparison.md"]
    assert compared.err == ""
    assert f"| {algorithm}-quadrotor-hover-seed2 |" in Path("table/comparison.md").read_text()


def test_a_task_without_a_goal_has_no_success_in_any_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", "InvertedPendulum-v5", *TINY, "--out", "goal"]) == 0
    falls = ("--rollout-steps", "64", "--total-steps", "2048")  # long enough for some to fall
    assert main(["train", "ppo", "Hopper-v5", *TINY, *falls, "--out", "none"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "goal", "--episodes", "2"]) == 0
    assert "success_rate 0.000" in capsys.readouterr().out
    assert main(["evaluate", "none", "--episodes", "2"]) == 0
    assert "success" not in capsys.readouterr().out
    assert json.loads(Path("none/evaluation.json").read_text())["success_rate"] is None
    rows = RunFolder.open("none").read_metrics()
    assert not math.isnan(rows[-1].episode_return)
    assert all(math.isnan(row.success_rate) for row in rows)


def test_a_device_as_a_task_option_is_one_line_that_names_the_option(complaint: Complaint) -> None:
    assert "--device cuda" in complaint(*HOVER, *TINY, "--task-options", "device=cuda")


# Mistakes about what lies on disk


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
        "run/checkpoint.pt holds a policy for 'quadrotor-race' that does not fit config.json ('quadrotor-hover')"
    )


def test_a_checkpoint_of_another_task_is_not_evaluated(run: Path, complaint: Complaint) -> None:
    other_task(run / "checkpoint.pt")
    assert complaint("evaluate", run) == (
        "the policy was trained for 'quadrotor-race'; the task here is 'quadrotor-hover'"
    )


def test_a_checkpoint_without_the_state_of_training_is_not_resumed(run: Path, complaint: Complaint) -> None:
    without_training(run / "checkpoint.pt")
    assert "run/checkpoint.pt" in complaint("resume", run)


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


def test_a_folder_that_cannot_be_made_is_one_line(at_home: Path, complaint: Complaint) -> None:
    Path("file").write_text("in the way")
    assert "file" in complaint(*HOVER, *TINY, "--out", "file/run")
