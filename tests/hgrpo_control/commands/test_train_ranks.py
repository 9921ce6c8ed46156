"""One run trained by two processes: the same run each time, resumed, and refused where it cannot be."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.forked import SECONDS, command
from support.ranked import commands, free_port, rank_of_two
from support.tiny_runs import TINY

import policies
from hgrpo_control.cli import main
from hgrpo_control.runs.run_folder import RunFolder
from policies.checkpoint import restore

pytestmark = pytest.mark.slow

TRAIN = ("train", "ppo", "quadrotor-hover", *TINY[:-1], "768", "--lr-schedule", "constant", "--log", "none")
"""Six iterations, with a learning rate that does not depend on their number."""
TIMES = ("wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds", "exchange_seconds")


def process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, timeout=SECONDS, check=False)


def both(folder: Path, *words: str) -> list[str]:
    """Errors that the two ranks of a run print, which do not fail."""
    ranks = commands(folder, *words)
    said = [rank.wait()[1] for rank in ranks]
    assert [rank.status for rank in ranks] == [0, 0], said
    return said


def history(run: Path) -> list[dict[str, float]]:
    """Metrics of a run without those of time."""
    return [{name: row[name] for name in row if name not in TIMES} for row in RunFolder(run).read_metrics()]


def same(run: Path, other: Path) -> bool:
    """Whether two runs have the same policy, training state and metrics."""
    ours, theirs = restore(RunFolder(run).checkpoint), restore(RunFolder(other).checkpoint)
    pairs = zip(ours[0].state_dict().values(), theirs[0].state_dict().values(), strict=True)
    samplers = [[state["sampler"], *state["other_samplers"]] for _, state in (ours, theirs)]
    return (
        all(torch.equal(a, b) for a, b in pairs)
        and same_state(*samplers)
        and repr(history(run)) == repr(history(other))  # not ==, for NaN
    )


def same_state(one: Any, other: Any) -> bool:
    """Whether containers of tensors and numbers are equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_state(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_state, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run of two processes, and what it printed."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    done = process("hgrpo_control", *TRAIN, "--processes", "2", "--out", str(run))
    assert done.returncode == 0, done.stderr
    return run, done


def test_two_processes_count_the_steps_of_both_and_print_once(
    whole: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run, done = whole
    assert done.stdout.count("trained: ") == 1
    assert done.stderr == ""
    rows = RunFolder(run).read_metrics()
    assert [row["simulator_steps"] for row in rows] == [128 * k for k in range(1, 7)]
    assert all(row["exchange_seconds"] > 0.0 for row in rows)
    assert policies.load(run).normalizer.count == 16 + 768
    saved = restore(RunFolder(run).checkpoint)[1]
    mine, other = saved["sampler"], *saved["other_samplers"]
    assert len(mine["running_return"]) == len(other["running_return"]) == 8
    assert not same_state(mine["roots"], other["roots"])


def test_torchrun_trains_the_same_run(whole: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "hgrpo_control")
    done = process(*torchrun, *TRAIN, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained: ") == 1
    assert same(tmp_path / "run", whole[0])


def test_equal_number_of_processes_resumes_bit_for_bit(
    whole: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run = str(tmp_path / "run")
    both(tmp_path, *TRAIN, "--total-steps", "384", "--out", run)
    assert both(tmp_path, "resume", run, "--total-steps", "768") == ["", ""]
    assert same(Path(run), whole[0])


def test_other_number_of_processes_resumes_and_names_what_changes(
    whole: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(whole[0], tmp_path / "run")
    assert main(["resume", str(run), "--total-steps", "896"]) == 0
    said = capsys.readouterr().err
    assert "new episode" in said
    assert "saved with --processes 2 and continues with 1" in said
    assert len(history(run)) == 7
    first, second = both(tmp_path, "resume", str(run), "--total-steps", "1024")
    assert first.count("saved with --processes 1 and continues with 2") == 1
    assert second == ""
    assert history(run)[-1]["simulator_steps"] == 1024


def test_processes_with_other_settings_are_refused(tmp_path: Path) -> None:
    port, words = free_port(), (*TRAIN, "--out", str(tmp_path / "run"), "--stall-seconds", "60", "--seed")
    ranks = [rank_of_two(rank, port, tmp_path, command, *words, str(rank)) for rank in range(2)]
    first, second = (rank.wait() for rank in ranks)
    assert [rank.status for rank in ranks] == [2, 2]
    assert "rank 1 has seed 1, and rank 0 has 0" in first[1]
    assert second == ("", "")
    assert not (tmp_path / "run").exists()


def test_lone_process_of_two_ends_after_the_stated_time(tmp_path: Path) -> None:
    words = (*TRAIN, "--out", str(tmp_path / "run"), "--stall-seconds", "1")
    lone = rank_of_two(0, free_port(), tmp_path, command, *words)
    assert "--stall-seconds 1" in lone.wait()[1]
    assert lone.status == 2


def test_roots_that_cannot_be_divided_are_refused(complaint: Callable[..., str]) -> None:
    assert re.search("num_envs 16.* 15 or 18", complaint(*TRAIN, "--processes", "3"))


def test_processes_do_nothing_beside_seeds(complaint: Callable[..., str]) -> None:
    assert "--processes 2" in complaint(*TRAIN, "--processes", "2", "--seeds", "0:2")


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("HalfCheetah-v5", ("--num-envs", "4", "--rollout-steps", "8", "--total-steps", "64")),
        ("gymnasium/Pendulum-v1", ("--num-envs", "4", "--rollout-steps", "8", "--total-steps", "64")),
    ],
)
def test_mujoco_and_foreign_environments_train_in_two_processes(
    task: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    both(tmp_path, "train", "ppo", task, *TINY, *options, "--log", "none", "--out", str(tmp_path / "run"))
    assert [row["simulator_steps"] for row in history(tmp_path / "run")] == [32, 64]
    saved = restore(RunFolder(tmp_path / "run").checkpoint)[1]
    assert not same_state(saved["sampler"]["roots"], saved["other_samplers"][0]["roots"])
