"""benchmarks/suite/hover.py does what a run lacks, and judges no older policy and no other evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.suite import hover
from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.plan import Run, next_step, planned_runs
from hgrpo_control.api.run import train
from hgrpo_control.cli import main
from hgrpo_control.training.trainer import Trainer
from policies import checkpoint

pytestmark = pytest.mark.slow

OPTIONS = "--num-envs 4 --rollout-steps 4 --num-minibatches 1 --update-epochs 1 --hidden-sizes 8 --total-steps 32"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two iterations, then five episodes."""
    variant = Variant("ppo", "ppo", tuple(OPTIONS.split()))
    (made,) = planned_runs(Suite("trial", "Trial", ("quadrotor-hover",), (variant,), (0,), episodes=5), tmp_path)
    return made


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """First words of the command lines that are run, in this process."""
    seen: list[str] = []

    def hgrpo(*words: str) -> None:
        seen.append(words[0])
        assert main(list(words)) == 0

    monkeypatch.setattr(hover, "hgrpo", hgrpo)
    return seen


def test_runs_lie_where_they_always_lay(tmp_path: Path) -> None:
    runs = hover.planned([0, 2], tmp_path)
    names = [run.path.relative_to(tmp_path).as_posix() for run in runs]
    assert names == [f"{name}-seed{seed}" for name in ("ppo", "hybrid-grpo", "grpo") for seed in (0, 2)]
    assert runs[1].words("train") == ["train", "ppo", "quadrotor-hover", "--seed", "2", "--out", str(runs[1].path)]
    assert runs[1].words("evaluate")[2:] == ["--episodes", "200", "--seed", "1"]


def test_a_new_run_is_trained_and_evaluated_once(run: Run, commands: list[str]) -> None:
    hover.finish(run)
    hover.finish(run)
    assert commands == ["train", "evaluate"]


def test_a_run_with_all_rows_and_an_older_policy_is_resumed_first(run: Run, commands: list[str]) -> None:
    train(run.config, run.path)  # type: ignore[arg-type]
    trainer = Trainer.from_config(run.config)  # type: ignore[arg-type]
    trainer.step()
    checkpoint.save(run.checkpoint, trainer.policy, trainer.state_dict())
    hover.finish(run)
    assert commands == ["resume", "evaluate"]


@pytest.mark.parametrize("changes", [{"episodes": 4}, {"seed": 0}])
def test_another_evaluation_is_made_again(run: Run, commands: list[str], changes: dict[str, int]) -> None:
    train(run.config, run.path)  # type: ignore[arg-type]
    figures = {"task": "quadrotor-hover", "episodes": 5, "seed": 1} | changes
    run.folder.evaluation.write_text(json.dumps(figures), encoding="utf-8")
    hover.finish(run)
    assert commands == ["evaluate"]
    assert next_step(run) is None


def test_a_step_without_effect_is_not_repeated_for_ever(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hover, "hgrpo", lambda *words: None)
    with pytest.raises(SuiteError, match=r"seed0: train ended well, but the run still needs it"):
        hover.finish(run)
