"""What ends a run of two processes: signals, a killed or stopped process, a full disk, an error of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forked import SECONDS
from support.ranked import commands
from support.tiny_runs import TINY

from hgrpo_control.runs.run_folder import RunFolder
from policies.checkpoint import restore

pytestmark = pytest.mark.slow

HGRPO = (sys.executable, "-m", "hgrpo_control")
TRAIN = ("train", "ppo", "quadrotor-hover", *TINY[:-1], "128000000", "--log", "none")
TRAIN += ("--checkpoint-every", "1")


class Pair:
    """Two processes that train one run for longer than any test waits."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = RunFolder(folder)
        self.ranks = commands(folder.parent, *TRAIN, "--out", str(folder), *options)

    @property
    def statuses(self) -> list[int | None]:
        return [rank.status for rank in self.ranks]

    def wait_for_iterations(self, number: int = 2) -> None:
        deadline = time.monotonic() + SECONDS
        while len(self.folder.read_metrics()) < number:
            assert self.statuses == [None, None], [rank.wait() for rank in self.ranks]
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self) -> list[str]:
        """Errors that the ranks print until they end."""
        return [rank.wait()[1] for rank in self.ranks]

    def close(self) -> None:
        for rank in self.ranks:
            rank.close()

    def is_whole(self) -> bool:
        """Whether the checkpoint holds both processes, and no process holds the folder."""
        _, saved = restore(self.folder.checkpoint)
        with self.folder.locked():
            return saved["iteration"] > 0 and len(saved["other_samplers"]) == 1


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(tmp_path / "run", *getattr(request, "param", ("--stall-seconds", "60")))
    pair.wait_for_iterations()
    yield pair
    pair.close()


# SIGINT comes from the command below.
def test_signal_to_one_process_saves_once_and_ends_both(pair: Pair) -> None:
    pair.ranks[1].send(signal.SIGTERM)
    said = pair.end()
    assert pair.statuses == [130, 130]
    assert "hgrpo resume" in said[0]
    assert "--processes 2" in said[0]
    assert said[1] == ""
    assert pair.is_whole()
    assert restore(pair.folder.checkpoint)[1]["iteration"] == len(pair.folder.read_metrics())


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_process_ends_the_other_which_names_it(pair: Pair, rank: int) -> None:
    pair.ranks[rank].send(signal.SIGKILL)
    said = pair.end()[1 - rank]
    assert sorted(pair.statuses) == [-signal.SIGKILL, 2]
    assert f"rank {rank} (process {pair.ranks[rank].pid} on " in said
    assert str(pair.folder.checkpoint) in said
    assert f"hgrpo resume {pair.folder.path} --processes 2" in said
    assert said.count("\n") == 1
    assert pair.is_whole()


@pytest.mark.parametrize("pair", [("--stall-seconds", "4")], indirect=True)
def test_stopped_process_ends_the_other_after_the_stated_time(pair: Pair) -> None:
    pair.ranks[1].send(signal.SIGSTOP)
    began = time.monotonic()
    _, said = pair.ranks[0].wait()
    assert time.monotonic() - began < 90.0
    assert pair.ranks[0].status == 2
    assert f"rank 1 (process {pair.ranks[1].pid} on " in said
    assert "4 s (--stall-seconds)" in said
    assert said.count("\n") == 1
    pair.close()
    assert pair.is_whole()


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_full_disk_on_rank_0_ends_both_with_its_line(pair: Pair) -> None:
    import resource

    size = pair.folder.checkpoint.stat().st_size // 2
    resource.prlimit(pair.ranks[0].pid, resource.RLIMIT_FSIZE, (size, size))
    said = pair.end()
    assert pair.statuses == [2, 2]
    assert "cannot write" in said[0]
    assert "File too large" in said[0]
    assert "--processes 2" in said[0]
    assert said[1] == ""
    assert pair.is_whole()


def test_error_of_one_process_is_printed_by_rank_0(tmp_path: Path) -> None:
    name = "support.failing_rewards:fails_on_rank_1"
    pair = Pair(tmp_path / "run", "--reward-transform", name, "--stall-seconds", "60")
    said = pair.end()
    assert pair.statuses == [2, 2]
    assert "rank 1 (process" in said[0]
    assert "the third call is too many" in said[0]
    assert said[1] == ""
    assert pair.is_whole()
    assert len(pair.folder.read_metrics()) == 2
    pair.close()


def children_of(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_end_with_the_command_that_started_them(tmp_path: Path, number: int) -> None:
    folder = RunFolder(tmp_path / "run")
    words = [*HGRPO, *TRAIN, "--out", str(folder.path), "--processes", "2"]
    with (tmp_path / "log").open("w") as log:  # a pipe would stay open until the last process ends
        parent = subprocess.Popen(words, stdout=log, stderr=log)
    deadline = time.monotonic() + SECONDS
    while len(folder.read_metrics()) < 2:
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = children_of(parent.pid)
    assert len(children) == 2
    parent.send_signal(number)
    assert parent.wait(SECONDS) == (130 if number == signal.SIGINT else -number)
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(restore(folder.checkpoint)[1]["other_samplers"]) == 1
    said = (tmp_path / "log").read_text()
    assert said.count("hgrpo resume") == 1
    assert said.count("interrupted") <= 1


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_command_names_the_process_that_was_killed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    words = [*HGRPO, *TRAIN, "--out", str(folder.path), "--processes", "2"]
    parent = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while len(folder.read_metrics()) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    os.kill(children_of(parent.pid)[0], signal.SIGKILL)
    _, said = parent.communicate(timeout=SECONDS)
    assert parent.returncode == 128 + signal.SIGKILL
    assert said.count("\n") == 2
    assert "rank 0 was killed by signal 9" in said
    assert f"hgrpo resume {folder.path} --processes 2" in said
