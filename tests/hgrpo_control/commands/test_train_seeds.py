"""`hgrpo train --seeds`: several runs at once, one table, failures named, Ctrl-C saves all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_runs import TINY

from hgrpo_control.cli import main
from hgrpo_control.command_line.parsing import UsageError
from hgrpo_control.commands.train_seeds import read_seeds
from hgrpo_control.runs.run_folder import RunFolder


@pytest.mark.parametrize(
    ("word", "seeds"), [("0:3", [0, 1, 2]), ("0,3,7", [0, 3, 7]), ("4", [4]), ("0:2,9", [0, 1, 9])]
)
def test_seeds_are_ranges_and_lists(word: str, seeds: list[int]) -> None:
    assert read_seeds(word) == seeds


@pytest.mark.parametrize("word", ["", "3:3", "5:2", "a", "1,,2", "-1", "0:3:2", "1,1", "0:4,2"])
def test_other_words_for_seeds_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=f"--seeds.*{word}"):
        read_seeds(word)


def test_options_that_do_nothing_beside_seeds_are_refused(
    complaint: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train = ("train", "ppo", "quadrotor-hover")
    assert "--seed does nothing with --seeds 0:2" in complaint(*train, "--seeds", "0:2", "--seed", "1")
    assert "--jobs 2 does nothing without --seeds" in complaint(*train, "--jobs", "2")
    assert "--seeds 0:2" in complaint(*train, "--seeds", "0:2", "--write-config", "a.toml")
    assert "jobs must be at least 1" in complaint(*train, "--seeds", "0:2", "--jobs", "0")


@pytest.mark.slow
def test_seeds_are_trained_and_a_failed_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/try-seed1").mkdir(parents=True)
    Path("runs/try-seed1/mine").touch()
    assert (
        main(
            [
                "train",
                "ppo",
                "quadrotor-hover",
                *TINY,
                "--log",
                "none",
                "--seeds",
                "0:3",
                "--jobs",
                "2",
                "--out",
                "runs/try",
            ]
        )
        == 1
    )
    out, err = capsys.readouterr()
    assert [RunFolder.open(f"runs/try-seed{seed}").peek_config().seed for seed in (0, 2)] == [0, 2]
    table = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("|")]
    assert table[0] == "seed"
    assert table[2:] == ["0", "2", "mean"]
    assert "256" in out
    assert "seed 1 failed (exit status 2)" in err
    assert "runs/try-seed1 exists already" in err


@pytest.mark.slow
def test_an_interrupt_saves_every_seed(tmp_path: Path) -> None:
    words = [
        "train",
        "ppo",
        "quadrotor-hover",
        *TINY[:-1],
        "12800000",
        "--log",
        "none",
        "--seeds",
        "0,1",
        "--jobs",
        "2",
    ]
    command = [sys.executable, "-c", "from hgrpo_control.cli import entry_point; entry_point()", *words]
    parent = subprocess.Popen([*command, "--out", "a"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    folders = [RunFolder(tmp_path / f"a-seed{seed}") for seed in (0, 1)]
    while not all(folder.metrics.exists() for folder in folders):
        assert parent.poll() is None
        time.sleep(0.1)
    os.kill(parent.pid, signal.SIGINT)
    _, err = parent.communicate()
    assert parent.returncode == 130
    assert "hgrpo resume: a-seed0, a-seed1" in err
    for folder in folders:
        assert folder.checkpoint.exists()
        with folder.locked():  # no process trains there any more
            assert len(folder.read_metrics()) >= 1
