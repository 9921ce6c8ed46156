"""Stopping a run and going on: the result is that of a run that never stopped, bit for bit."""

from __future__ import annotations

import dataclasses
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.signals import StopAt, assert_same, left_behind, press_ctrl_c_in

import policies
from hgrpo_control.api.run import resume, train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import Metrics, RunFolder

pytestmark = pytest.mark.slow

ITERATIONS, ENVS = 3, 16
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EVERY_BRANCHING = [
    PPO(),
    GRPO(num_samples=2, branch_steps=1),
    HybridGRPO(num_samples=2),
    HybridGRPO(num_samples=3, branch_steps=4, guided_candidates=4),
    HybridGRPO(num_samples=2, pathwise="auto"),
]


def tiny(algorithm: Algorithm, checkpoint_every: int = 100, steps: int = 8) -> Config:
    """Three iterations."""
    return Config(
        task="quadrotor-hover",
        algorithm=algorithm,
        seed=3,
        total_steps=ITERATIONS * ENVS * steps * algorithm.num_samples,
        num_envs=ENVS,
        rollout_steps=steps,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(update_epochs=2, num_minibatches=2),
        checkpoint_every=checkpoint_every,
    )


class PowerCutAt:
    """A reporter that ends the run in a given iteration, before anything is saved."""

    class PowerCut(Exception):
        pass

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def report(self, metrics: Metrics) -> None:
        if metrics["iteration"] == self.iteration:
            raise PowerCutAt.PowerCut


@pytest.mark.parametrize("algorithm", EVERY_BRANCHING, ids=repr)
def test_an_interrupted_and_resumed_run_equals_one_that_never_stopped(tmp_path: Path, algorithm: Algorithm) -> None:
    config = tiny(algorithm, steps=32)
    train(config, tmp_path / "whole")
    rows = RunFolder(tmp_path / "whole").read_metrics()
    assert any(row["episode_length"] == row["episode_length"] for row in rows), "restarts have to be part of this"
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", (StopAt(2),))
    assert policies.restore(tmp_path / "run")[1]["iteration"] == 2, "Ctrl-C ends the run after the iteration, and saves"
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", tmp_path / "whole")


MEMORIES = [
    (HybridGRPO(num_samples=2, branch_steps=8), {}, {"memory": "gru", "memory_size": 4}),
    (PPO(), {"sequence_steps": 16, "burn_in": 4}, {"memory": "gru", "memory_size": 4}),
    (HybridGRPO(num_samples=1, branch_steps=32, pathwise="1"), {}, {"memory": "gru", "memory_size": 4}),
    (HybridGRPO(num_samples=2), {}, {"memory": "history", "memory_size": 2}),
]


@pytest.mark.parametrize(("algorithm", "learning", "network"), MEMORIES, ids=repr)
def test_a_run_with_memory_resumes_to_the_bit(
    tmp_path: Path, algorithm: Algorithm, learning: dict[str, int], network: dict[str, Any]
) -> None:
    config = tiny(algorithm, steps=32)
    config = dataclasses.replace(
        config,
        learning=dataclasses.replace(config.learning, **learning),
        network=dataclasses.replace(config.network, **network),
    )
    train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", (StopAt(2),))
    saved = policies.restore(tmp_path / "run")[1]
    assert saved["sampler"]["roots"][2].abs().sum() > 0.0, "the memory has to be part of this"
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_the_state_that_is_compared_holds_all_that_a_run_depends_on(tmp_path: Path) -> None:
    train(tiny(HybridGRPO(num_samples=2)), tmp_path / "run")
    paths = left_behind(tmp_path / "run")[0].keys()
    for part in ("normalizer.mean", "normalizer.variance", "normalizer.count", "raw_sigma", "actor.0.weight"):
        assert f"/policy/{part}" in paths
    for stream in ("executed", "siblings", "executed_restarts", "sibling_restarts"):
        assert f"/training/sampler/generators/{stream}" in paths
    assert "/training/learner/generator" in paths
    for moment in ("mean", "square", "steps"):
        assert f"/training/learner/optimizer/{moment}" in paths
    assert any(path.startswith("/training/sampler/roots/") for path in paths)


def test_rows_written_after_the_checkpoint_of_a_crashed_run_are_written_anew(tmp_path: Path) -> None:
    config = tiny(HybridGRPO(num_samples=2), checkpoint_every=2)
    train(config, tmp_path / "whole")
    with pytest.raises(PowerCutAt.PowerCut):
        train(config, tmp_path / "run", (PowerCutAt(3),))
    folder = RunFolder(tmp_path / "run")
    assert [row["iteration"] for row in folder.read_metrics()] == [1, 2, 3]
    assert policies.restore(folder.path)[1]["iteration"] == 2
    resume(folder.path)
    assert_same(folder.path, tmp_path / "whole")


def test_a_run_that_crashed_in_its_first_iteration_starts_over(tmp_path: Path) -> None:
    train(tiny(PPO()), tmp_path / "whole")
    with pytest.raises(PowerCutAt.PowerCut):
        train(tiny(PPO()), tmp_path / "run", (PowerCutAt(1),))
    assert policies.restore(tmp_path / "run")[1]["iteration"] == 0
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_run_may_be_stopped_in_every_iteration(tmp_path: Path) -> None:
    train(tiny(PPO()), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tiny(PPO()), tmp_path / "run", (StopAt(1),))
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "run", (StopAt(2),))
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", tmp_path / "whole")
    seconds = [row["wall_seconds"] for row in RunFolder(tmp_path / "run").read_metrics()]
    assert len(seconds) == ITERATIONS
    assert all(a < b for a, b in pairwise(seconds)), "the clock goes on from where it stopped"


def test_ctrl_c_in_the_last_iteration_ends_a_finished_run(tmp_path: Path) -> None:
    train(tiny(PPO()), tmp_path / "run", (StopAt(ITERATIONS),))
    assert policies.restore(tmp_path / "run")[1]["iteration"] == ITERATIONS


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_each_signal_that_ends_a_program_saves_and_names_the_command_to_continue(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(PPO())
    before = [signal.getsignal(each) for each in ENDING]
    words = ["ppo", config.task, "--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--seed", "3"]
    words += ["--update-epochs", "2", "--num-minibatches", "2", "--total-steps", str(config.total_steps)]
    with monkeypatch.context() as patched:
        press_ctrl_c_in(2, patched, number)
        assert main(["train", *words, "--out", str(tmp_path / "stopped")]) == 130
    assert f"interrupted; continue with: hgrpo resume {tmp_path / 'stopped'}\n" in capsys.readouterr().err
    assert policies.restore(tmp_path / "stopped")[1]["iteration"] == 2
    assert [signal.getsignal(each) for each in ENDING] == before
