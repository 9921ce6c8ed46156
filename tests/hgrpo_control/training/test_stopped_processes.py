"""Training processes that signals from outside stop."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from support.forked import SECONDS, Fork, command
from support.signals import assert_same

import policies
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.trainer import Trainer

pytestmark = pytest.mark.slow

# It never ends by itself, however late the signal comes.
LONG = ("ppo", "quadrotor-hover", "--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8")
LONG += ("--update-epochs", "1", "--num-minibatches", "2", "--total-steps", str(10**9), "--checkpoint-every", "100")
# One iteration of this takes seconds, so the second Ctrl-C falls into the iteration of the first.
SLOW = ("ppo", "quadrotor-hover", "--num-envs", "1024", "--rollout-steps", "64", "--total-steps", str(2 * 65536))
SLOW += ("--update-epochs", "40", "--num-minibatches", "8", "--checkpoint-every", "100")


@dataclass
class Stopped:
    """How a process ended, and what it left."""

    status: int | None
    err: str
    folder: RunFolder


def train_and_stop(folder: Path, options: tuple[str, ...], awaited: str, *signals: signal.Signals) -> Stopped:
    """Start training, wait for a file of the run, then send one signal, or several half a second apart."""
    process = Fork(folder.parent, command, "train", *options, "--out", str(folder))
    try:
        deadline = time.monotonic() + SECONDS
        while not (folder / awaited).exists():
            assert process.status is None, "the process ended by itself"
            assert time.monotonic() < deadline, f"no {awaited} after {SECONDS} s"
            time.sleep(0.02)
        for number in signals:
            time.sleep(0.5 if len(signals) > 1 else 0.0)
            process.send(number)
        _, err = process.wait()
    finally:
        process.close()
    return Stopped(process.status, err, RunFolder(folder))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stopped]:
    """Two training processes: SIGTERM, and SIGINT twice in one iteration."""
    root = tmp_path_factory.mktemp("runs")
    twice = (signal.SIGINT, signal.SIGINT)
    return {
        "once": train_and_stop(root / "once", LONG, "metrics.csv", signal.SIGTERM),
        # The first checkpoint is written right before the first iteration begins.
        "twice": train_and_stop(root / "twice", SLOW, "checkpoint.pt", *twice),
    }


def test_a_stopped_process_saves_its_last_whole_iteration(stopped: dict[str, Stopped], tmp_path: Path) -> None:
    """Its files are those of a run in this process after as many iterations."""
    end = stopped["once"]
    assert end.status == 130
    assert end.err == f"interrupted; continue with: hgrpo resume {end.folder.path}\n"
    done = policies.restore(end.folder.path)[1]["iteration"]
    assert len(end.folder.read_metrics()) == done >= 1
    trainer, copy = (
        Trainer.from_config(end.folder.read_config()),
        RunFolder.create(tmp_path / "run", end.folder.read_config()),
    )
    for _ in range(done):
        copy.append_metrics(trainer.step())
    policies.save(copy.checkpoint, trainer.policy, trainer.state_dict())
    assert_same(end.folder.path, copy.path)


def test_a_second_ctrl_c_ends_the_process_at_once_and_leaves_the_last_checkpoint(stopped: dict[str, Stopped]) -> None:
    end = stopped["twice"]
    assert end.status == 130
    assert "Traceback" not in end.err
    assert end.err.splitlines()[-1] == f"interrupted; continue with: hgrpo resume {end.folder.path}"
    trainer = restore_trainer(end.folder)
    assert trainer.iteration == 0, "the iteration of the first Ctrl-C was not waited for"
    fresh = Trainer.from_config(end.folder.read_config())
    ours, theirs = trainer.policy.state_dict(), fresh.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
