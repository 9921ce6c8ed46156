"""Two processes never work on one run folder, and a dead one never keeps it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from hgrpo_control.api.run import resume, train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.lock import LOCK_NAME, RunInUseError, RunLock
from hgrpo_control.runs.run_folder import RunFolder

pytestmark = pytest.mark.slow

TINY = Config(
    task="quadrotor-hover",
    algorithm=PPO(),
    total_steps=128,
    num_envs=8,
    rollout_steps=8,
    network=Network(hidden_sizes=(8,)),
    learning=Learning(update_epochs=1, num_minibatches=2),
)
HOLDER = """
import sys
from pathlib import Path
from hgrpo_control.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was stopped after its first iteration."""

    class Stop(Exception):
        pass

    class StopAtOnce:
        def report(self, metrics: object) -> None:
            raise Stop

    with pytest.raises(Stop):
        train(TINY, tmp_path / "run", (StopAtOnce(),))
    return tmp_path / "run"


@pytest.fixture
def other(run: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of that run."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        (sys.executable, "-c", HOLDER, str(run)),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_is_there(
    run: Path, other: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (run / LOCK_NAME).write_text(f"{other.pid} host 2031-02-03 04:05:06+00:00\n")
    before = contents(run)
    sentence = f"{run} is in use by process {other.pid} on host since 2031-02-03 04:05:06+00:00; "
    sentence += "wait until that has ended"
    with pytest.raises(RunInUseError) as caught:
        resume(run)
    assert str(caught.value) == sentence
    assert main(["resume", str(run)]) == 2
    assert capsys.readouterr().err == f"hgrpo: {sentence}\n"
    assert contents(run) == before


def test_a_file_that_its_holder_has_not_filled_yet_names_nobody(run: Path, other: subprocess.Popen[str]) -> None:
    (run / LOCK_NAME).write_text("")
    with pytest.raises(RunInUseError, match="is in use by another process; wait"):
        resume(run)


def test_it_is_refused_before_the_checkpoint_is_read(run: Path, other: subprocess.Popen[str]) -> None:
    (run / "checkpoint.pt").write_bytes(b"just being written")
    with pytest.raises(RunInUseError):
        resume(run)


def test_the_lock_of_a_killed_process_is_taken_over(run: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert (run / LOCK_NAME).exists()
    resume(run)
    assert not (run / LOCK_NAME).exists()
    assert [row["iteration"] for row in RunFolder.open(run).read_metrics()] == [1, 2]


def test_a_new_run_in_a_folder_that_another_process_makes_just_now_is_refused(
    run: Path, other: subprocess.Popen[str]
) -> None:
    for name in contents(run).keys() - {LOCK_NAME}:
        (run / name).unlink()
    with pytest.raises(RunInUseError):
        train(TINY, run)
    assert list(contents(run)) == [LOCK_NAME]


def test_a_folder_is_locked_while_it_is_trained_and_free_afterwards(tmp_path: Path) -> None:
    class Rival:
        def report(self, metrics: object) -> None:
            with pytest.raises(RunInUseError, match=f"this process \\({os.getpid()}\\)"):
                RunLock(tmp_path / "run")

    train(TINY, tmp_path / "run", (Rival(),))
    assert not (tmp_path / "run" / LOCK_NAME).exists()
    RunLock(tmp_path / "run").release()


def test_a_lock_within_a_lock_of_the_same_folder_is_the_outer_one(run: Path) -> None:
    folder = RunFolder.open(run)
    with folder.locked():
        with folder.locked():
            pass
        assert (run / LOCK_NAME).exists()
    assert not (run / LOCK_NAME).exists()
    with folder.locked():
        assert (run / LOCK_NAME).exists()


def test_a_folder_that_nobody_refers_to_any_more_is_free(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", TINY)
    process, host, since = (folder.path / LOCK_NAME).read_text().strip().split(maxsplit=2)
    assert (process, host) == (str(os.getpid()), socket.gethostname())
    assert timedelta(0) <= datetime.now(timezone.utc) - datetime.fromisoformat(since) < timedelta(minutes=1)
    del folder
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_file_system_without_locks_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def no_locks(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match=r"run cannot be locked \(Operation not supported\)"):
        RunLock(run).release()
