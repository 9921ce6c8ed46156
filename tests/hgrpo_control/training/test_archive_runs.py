"""Runs with an archive of roots: resumed, reported, evaluated without it, and refused where it cannot be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.signals import StopAt, assert_same, left_behind

import hgrpo_control
import policies
from hgrpo_control.api.run import resume, train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.sampling.archive import Archive
from hgrpo_control.training.build import build
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.trainer import Trainer
from policies.checkpoint import CheckpointError

pytestmark = pytest.mark.slow
ENVS, STEPS, ITERATIONS = 16, 32, 5


def config(algorithm: Algorithm, task: str = "quadrotor-hover", roots: str = "archive:0.6", **changes: Any) -> Config:
    return Config(
        task=task,
        algorithm=algorithm,
        seed=3,
        total_steps=ITERATIONS * ENVS * STEPS * algorithm.num_samples,
        num_envs=ENVS,
        rollout_steps=STEPS,
        roots=roots,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(update_epochs=1, num_minibatches=2),
        **changes,
    )


@pytest.mark.parametrize(
    ("algorithm", "task"),
    [
        (PPO(), "quadrotor-gates"),
        (GRPO(num_samples=2, branch_steps=4), "quadrotor-gates"),
        (HybridGRPO(num_samples=2), "quadrotor-hover-gusty"),
        (HybridGRPO(num_samples=3, branch_steps=4, guided_candidates=4), "quadrotor-gates"),
        (HybridGRPO(num_samples=2, branch_steps=8, pathwise="auto"), "quadrotor-gates"),
        (HybridGRPO(num_samples=2), "Hopper-v5"),
    ],
)
def test_an_interrupted_and_resumed_run_equals_one_that_never_stopped(
    tmp_path: Path, algorithm: Algorithm, task: str
) -> None:
    train(config(algorithm, task), tmp_path / "whole")
    rows = RunFolder(tmp_path / "whole").read_metrics()
    assert sum(row["archive_starts"] for row in rows[:3]) > 0
    assert sum(row["archive_starts"] for row in rows[3:]) > 0
    assert any(not math.isnan(row["archive_failure_rate"]) for row in rows)
    with pytest.raises(KeyboardInterrupt):
        train(config(algorithm, task), tmp_path / "run", (StopAt(3),))
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", tmp_path / "whole")
    paths = left_behind(tmp_path / "run")[0].keys()
    for part in ("starts", "failures", "source", "began", "clock", "added", "generator"):
        assert f"/training/sampler/archive/{part}" in paths


def test_only_a_run_with_an_archive_reports_and_saves_it(tmp_path: Path) -> None:
    for name, roots in (("off", "executed"), ("on", "archive:0.3")):
        train(config(PPO(), roots=roots), tmp_path / name)
        row = RunFolder(tmp_path / name).read_metrics()[-1]
        assert ("archive_size" in row) == (name == "on")
        assert ("archive" in policies.restore(tmp_path / name)[1]["sampler"]) == (name == "on")


def test_evaluation_has_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config(PPO(), roots="archive:0.9"), tmp_path / "run")

    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("evaluation made an archive")

    monkeypatch.setattr(Archive, "__init__", refuse)
    with pytest.raises(AssertionError, match="made an archive"):
        Trainer.from_config(config(PPO()))
    assert hgrpo_control.Run(tmp_path / "run").evaluate(episodes=4).episodes == 4


def test_a_checkpoint_without_the_archive_of_its_config_is_refused(tmp_path: Path) -> None:
    train(config(PPO(), roots="executed"), tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "roots": "archive:0.3"}))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        restore_trainer(RunFolder(tmp_path / "run"))


def test_a_config_of_an_earlier_version_follows_the_executed_path() -> None:
    fields = json.loads(config(PPO()).to_json())
    assert fields.pop("roots") == "archive:0.6"
    assert Config.from_json(json.dumps(fields)).roots == "executed"


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("archive:1", "archive:1"),
        ("archive:0", "above 0 and at most 0.9"),
        ("archive:-0.3", "archive:-0.3"),
        ("archive:x", "archive:x"),
        ("archive:nan", "archive:nan"),
        ("archive", "archive"),
        ("archiv:0.3", "did you mean 'archive'"),
        ("execute", "did you mean 'executed'"),
    ],
)
def test_other_roots_are_refused_in_one_line(word: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", "quadrotor-hover", "--roots", word]) == 2
    line = capsys.readouterr().err
    assert "roots" in line
    assert named in line
    assert line.count("\n") == 1


def test_groups_in_initial_states_have_no_archive() -> None:
    with pytest.raises(ConfigError, match=r"roots archive:0\.6 .*initial_states; allowed: roots executed"):
        config(GRPO(groups="initial_states"))


def test_a_task_that_cannot_restore_states_has_no_archive() -> None:
    with pytest.raises(ConfigError, match=r"roots archive:0\.6 .*; allowed: roots executed"):
        build(config(PPO(), "gymnasium/support.buggy_envs:plain_cart"))
