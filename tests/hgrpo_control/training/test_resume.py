"""Stopping a run and going on: the result is that of a run that never stopped, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

import policies
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.training.resuming import restore_trainer, resume
from hgrpo_control.training.trainer import Trainer, train

ITERATIONS, ENVS, STEPS = 3, 16, 32
CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}
ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
EVERY_BRANCHING = [
    PPO(),
    GRPO(num_samples=2),
    GRPO(num_samples=2, branch_steps=1),
    HybridGRPO(num_samples=2),
    HybridGRPO(num_samples=2, branch_steps=1),
    HybridGRPO(num_samples=3, branch_steps=4, guided_candidates=4),
]


def tiny(algorithm: Algorithm, checkpoint_every: int = 100) -> Config:
    """Three iterations of 32 steps: enough for episodes to end and restart."""
    return Config(
        task="quadrotor-hover",
        algorithm=algorithm,
        seed=3,
        total_steps=ITERATIONS * ENVS * STEPS * algorithm.num_samples,
        num_envs=ENVS,
        rollout_steps=STEPS,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(update_epochs=2, num_minibatches=2),
        checkpoint_every=checkpoint_every,
    )


class StopAt:
    """A reporter that presses Ctrl-C in a given iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def report(self, metrics: Metrics) -> None:
        if metrics.iteration == self.iteration:
            signal.raise_signal(signal.SIGINT)


class PowerCutAt:
    """A reporter that ends the run in a given iteration, before anything is saved."""

    class PowerCut(Exception):
        pass

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def report(self, metrics: Metrics) -> None:
        if metrics.iteration == self.iteration:
            raise PowerCutAt.PowerCut


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and number in nested containers, with where it lies."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}/{key}")
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from leaves(value, f"{path}/{index}")
    else:
        yield path, tree


def assert_same_bits(ours: Any, theirs: Any) -> None:
    """Equal structure, dtypes and bits in everything but the clock."""
    a, b = dict(leaves(ours)), dict(leaves(theirs))
    assert a.keys() == b.keys()
    for path in a.keys() - {"/training/wall_seconds"}:
        if isinstance(a[path], torch.Tensor):
            assert a[path].dtype == b[path].dtype, path
            assert torch.equal(a[path], b[path]), path
        else:
            assert a[path] == b[path], path


def everything(policy: torch.nn.Module, training: dict[str, Any]) -> dict[str, Any]:
    """Parameters, normaliser, optimiser, roots, generators and counters."""
    return {"policy": dict(policy.state_dict()), "training": training}


def without_clocks(rows: list[Metrics]) -> list[tuple[str, ...]]:
    """Rows as text, so that NaN equals NaN and every digit counts."""
    return [tuple(repr(v) for name, v in row._asdict().items() if name not in CLOCKS) for row in rows]


@pytest.mark.parametrize("algorithm", EVERY_BRANCHING, ids=repr)
def test_an_interrupted_and_resumed_run_equals_one_that_never_stopped(tmp_path: Path, algorithm: Algorithm) -> None:
    config = tiny(algorithm)
    whole = Trainer(config)
    rows = [whole.iterate() for _ in range(ITERATIONS)]
    assert any(row.episode_length == row.episode_length for row in rows), "restarts have to be part of this"

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", (StopAt(2),))
    folder = RunFolder(tmp_path / "run")
    assert policies.restore(folder.path)[1]["iteration"] == 2, "Ctrl-C ends the run after the iteration, and saves"
    resume(folder.path)

    assert_same_bits(everything(*policies.restore(folder.path)), everything(whole.policy, whole.state_dict()))
    assert without_clocks(folder.read_metrics()) == without_clocks(rows)


def test_the_state_that_is_compared_holds_all_that_a_run_depends_on() -> None:
    trainer = Trainer(tiny(HybridGRPO(num_samples=2)))
    trainer.iterate()
    paths = [path for path, _ in leaves(everything(trainer.policy, trainer.state_dict()))]
    for part in ("normalizer.mean", "normalizer.variance", "normalizer.count", "raw_sigma", "actor.0.weight"):
        assert f"/policy/{part}" in paths
    for stream in ("executed", "siblings", "executed_restarts", "sibling_restarts"):
        assert f"/training/sampler/generators/{stream}" in paths
    assert "/training/learner/generator" in paths
    number_of_parameters = len(list(trainer.policy.parameters()))
    for moment in ("exp_avg", "exp_avg_sq", "step"):
        assert sum(path.endswith(f"/{moment}") for path in paths) == number_of_parameters
    assert any(path.startswith("/training/sampler/roots/") for path in paths)


def test_rows_written_after_the_checkpoint_of_a_crashed_run_are_written_anew(tmp_path: Path) -> None:
    config = tiny(HybridGRPO(num_samples=2), checkpoint_every=2)
    whole = Trainer(config)
    rows = [whole.iterate() for _ in range(ITERATIONS)]
    with pytest.raises(PowerCutAt.PowerCut):
        train(config, tmp_path / "run", (PowerCutAt(3),))
    folder = RunFolder(tmp_path / "run")
    assert [row.iteration for row in folder.read_metrics()] == [1, 2, 3]
    assert policies.restore(folder.path)[1]["iteration"] == 2
    resume(folder.path)
    assert without_clocks(folder.read_metrics()) == without_clocks(rows)
    assert_same_bits(everything(*policies.restore(folder.path)), everything(whole.policy, whole.state_dict()))


def test_a_run_that_crashed_in_its_first_iteration_starts_over(tmp_path: Path) -> None:
    config = tiny(PPO())
    with pytest.raises(PowerCutAt.PowerCut):
        train(config, tmp_path / "run", (PowerCutAt(1),))
    folder = RunFolder(tmp_path / "run")
    assert policies.restore(folder.path)[1]["iteration"] == 0
    resume(folder.path)
    assert [row.iteration for row in folder.read_metrics()] == [1, 2, 3]
    assert_same_bits(everything(*policies.restore(folder.path)), everything(*finished(config)))


def finished(config: Config) -> tuple[torch.nn.Module, dict[str, Any]]:
    trainer = Trainer(config)
    while not trainer.finished:
        trainer.iterate()
    return trainer.policy, trainer.state_dict()


def test_a_run_may_be_stopped_in_every_iteration(tmp_path: Path) -> None:
    config = tiny(PPO())
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", (StopAt(1),))
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "run", (StopAt(2),))
    resume(tmp_path / "run")
    assert_same_bits(everything(*policies.restore(tmp_path / "run")), everything(*finished(config)))
    assert [row.iteration for row in RunFolder(tmp_path / "run").read_metrics()] == [1, 2, 3]


def test_ctrl_c_in_the_last_iteration_ends_a_finished_run(tmp_path: Path) -> None:
    train(tiny(PPO()), tmp_path / "run", (StopAt(ITERATIONS),))
    assert policies.restore(tmp_path / "run")[1]["iteration"] == ITERATIONS


def test_wall_clock_time_goes_on_from_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny(PPO()), tmp_path / "run", (StopAt(2),))
    resume(tmp_path / "run")
    seconds = [row.wall_seconds for row in RunFolder(tmp_path / "run").read_metrics()]
    assert all(a < b for a, b in pairwise(seconds))


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(signal.Signals[name]) for name in ENDING]
    with pytest.raises(KeyboardInterrupt):
        train(tiny(PPO()), tmp_path / "run", (StopAt(1),))
    assert [signal.getsignal(signal.Signals[name]) for name in ENDING] == before


# Real processes, stopped from outside.

HGRPO = (sys.executable, "-c", "import sys; from hgrpo_control.cli import main; sys.exit(main())")
LONG = ("ppo", "quadrotor-hover", "--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8")
LONG += ("--update-epochs", "2", "--num-minibatches", "2", "--total-steps", str(30 * 128), "--checkpoint-every", "100")
# One iteration of this takes seconds, so the second Ctrl-C falls into the iteration of the first.
SLOW = ("ppo", "quadrotor-hover", "--num-envs", "1024", "--rollout-steps", "64", "--total-steps", str(2 * 65536))
SLOW += ("--update-epochs", "40", "--num-minibatches", "8", "--checkpoint-every", "100")
DEADLINE = 600.0  # seconds; an idle machine needs ten, a crowded one many more


@dataclass
class Stopped:
    """How a process ended, and what it left."""

    status: int
    err: str
    folder: RunFolder


def train_and_stop(folder: Path, options: tuple[str, ...], awaited: str, *signals: signal.Signals) -> Stopped:
    """Start training, wait for a file of the run, then send one signal, or several half a second apart."""
    command = (*HGRPO, "train", *options, "--out", str(folder))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        command, cwd=folder.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + DEADLINE
            while not (folder / awaited).exists():
                assert process.poll() is None, "the process ended by itself"
                assert time.monotonic() < deadline, f"no {awaited} after {DEADLINE} s"
                time.sleep(0.005)
            for number in signals:
                time.sleep(0.5 if len(signals) > 1 else 0.0)
                process.send_signal(number)
            _, err = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    return Stopped(process.returncode, err, RunFolder(folder))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stopped]:
    """Four training processes side by side: SIGINT, SIGTERM, SIGHUP, and SIGINT twice in one iteration."""
    root = tmp_path_factory.mktemp("runs")
    twice = (signal.SIGINT, signal.SIGINT)
    with ThreadPoolExecutor() as pool:
        ends = {
            name: pool.submit(train_and_stop, root / name, LONG, "metrics.csv", signal.Signals[name]) for name in ENDING
        }
        # The first checkpoint is written right before the first iteration begins.
        ends["twice"] = pool.submit(train_and_stop, root / "twice", SLOW, "checkpoint.pt", *twice)
        return {name: end.result() for name, end in ends.items()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The same run in one go."""
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    assert main(["train", *LONG, "--out", str(folder.path)]) == 0
    return folder


@pytest.mark.parametrize("name", ENDING)
def test_a_stopped_process_saves_says_how_to_go_on_and_can(
    stopped: dict[str, Stopped], uninterrupted: RunFolder, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    end = stopped[name]
    assert end.status == 130
    assert end.err == f"interrupted; continue with: hgrpo resume {end.folder.path}\n"
    done = policies.restore(end.folder.path)[1]["iteration"]
    assert 1 <= done < 30
    assert [row.iteration for row in end.folder.read_metrics()] == list(range(1, done + 1))

    assert main(["resume", str(end.folder.path)]) == 0
    assert capsys.readouterr().err == ""
    assert_same_bits(everything(*policies.restore(end.folder.path)), everything(*policies.restore(uninterrupted.path)))
    assert without_clocks(end.folder.read_metrics()) == without_clocks(uninterrupted.read_metrics())
    assert json.loads(end.folder.config.read_text()) == json.loads(uninterrupted.config.read_text())


def test_a_second_ctrl_c_ends_the_process_at_once_and_leaves_the_last_checkpoint(stopped: dict[str, Stopped]) -> None:
    end = stopped["twice"]
    assert end.status == 130
    assert "Traceback" not in end.err
    assert end.err.splitlines()[-1] == f"interrupted; continue with: hgrpo resume {end.folder.path}"
    trainer = restore_trainer(end.folder)
    assert trainer.iteration == 0, "the iteration of the first Ctrl-C was not waited for"
    fresh = Trainer(end.folder.read_config())
    assert_same_bits(everything(trainer.policy, trainer.state_dict()), everything(fresh.policy, fresh.state_dict()))
