"""Guided sampling in a training run: settings, metrics, and going on after an interruption."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from support.analytic_envs import ActionReward, train

import policies
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.sampling import guidance
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.trainer import Trainer

pytestmark = pytest.mark.slow

TINY = ("train", "hybrid-grpo", "quadrotor-hover", "--num-samples", "4", "--branch-steps", "4", "--num-envs", "8")
TINY += ("--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "2", "--num-minibatches", "2")
TINY += ("--total-steps", str(4 * 8 * 8 * 4), "--pathwise", "off")
GUIDED = (*TINY, "--guided-candidates", "4", "--guidance-temperature", "0.1")
COLUMNS = ("effective_sample_size", "guidance_loss", "guidance_explained_variance")
CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"guided_candidates": 1}, "guided_candidates must be 0 (off) or at least 2; given 1"),
        ({"guided_candidates": -4}, "guided_candidates must be at least 0; given -4"),
        (
            {"guided_candidates": 8, "num_samples": 1},
            "guided_candidates resamples siblings, so num_samples must be at least 2; given 1",
        ),
        ({"guidance_temperature": 0.0}, "guidance_temperature must be above 0; given 0.0"),
        ({"guidance_temperature": math.nan}, "guidance_temperature must be above 0; given nan"),
        ({"guidance_max_weight": 0.9}, "guidance_max_weight must be at least 1; given 0.9"),
        ({"guidance_max_weight": math.nan}, "guidance_max_weight must be at least 1; given nan"),
        (
            {"guidance_temperature": 0.1},
            "guidance_temperature 0.1 does nothing without guided_candidates; allowed: guided_candidates of at least 2",
        ),
        (
            {"guidance_max_weight": 9.0},
            "guidance_max_weight 9.0 does nothing without guided_candidates; allowed: guided_candidates of at least 2",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_one_line(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config(task="quadrotor-hover", algorithm=HybridGRPO(**changes))
    assert str(raised.value) == complaint


def test_settings_survive_json_and_an_older_config_without_them_reads_as_off() -> None:
    algorithm = HybridGRPO(guided_candidates=16, guidance_temperature=0.3, guidance_max_weight=math.inf)
    config = Config(task="quadrotor-hover", algorithm=algorithm)
    assert Config.from_json(config.to_json()) == config
    fields = json.loads(config.to_json())
    for name in ("guided_candidates", "guidance_temperature", "guidance_max_weight"):
        del fields["algorithm"][name]
    assert Config.from_json(json.dumps(fields)) == Config(task="quadrotor-hover", algorithm=HybridGRPO())


def test_the_command_line_refuses_one_candidate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--guided-candidates", "1", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == "hgrpo: guided_candidates must be 0 (off) or at least 2; given 1\n"
    assert not (tmp_path / "run").exists()


def test_only_hybrid_grpo_with_candidates_is_guided() -> None:
    for algorithm in (PPO(), HybridGRPO()):
        assert Trainer.from_config(Config(task="quadrotor-hover", algorithm=algorithm)).guidance is None


@pytest.mark.parametrize("branch_steps", [1, 8])
def test_the_best_action_of_a_bandit_with_guidance(branch_steps: int) -> None:
    # -(a - 2)^2, bounds +-4
    algorithm = HybridGRPO(0.8, num_samples=4, branch_steps=branch_steps, guided_candidates=16)
    learning = Learning(learning_rate=0.1, update_epochs=4, num_minibatches=2)
    policy = train(ActionReward(target=2.0), algorithm, 25, 32, 8, learning)
    assert policy(torch.zeros(1)).item() == pytest.approx(2.0, abs=0.1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A guided run that was never stopped."""
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    assert main([*GUIDED, "--out", str(folder.path)]) == 0
    return folder


def test_metrics_say_what_guidance_does(whole: RunFolder) -> None:
    rows = whole.read_metrics()
    # Q is V before the first update: every weight is 1, and nothing of what V leaves is explained
    assert rows[0]["effective_sample_size"] == 1.0
    assert rows[0]["guidance_explained_variance"] < 0.3
    assert all(0.0 < row["effective_sample_size"] < 1.0 for row in rows[1:])
    assert all(row["guidance_loss"] > 0.0 for row in rows)


def test_without_guidance_there_are_no_columns_of_it(tmp_path: Path) -> None:
    assert main([*TINY, "--out", str(tmp_path / "run")]) == 0
    rows = RunFolder(tmp_path / "run").read_metrics()
    assert len(rows) == 4
    assert all(name not in row for row in rows for name in COLUMNS)
    assert "guidance" not in policies.restore(tmp_path / "run")[1]


def bits(value: Any) -> Any:
    """Nested containers with tensors as bytes, so that they can be compared as a whole."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.shape, value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items() if key != "wall_seconds"}
    return [bits(part) for part in value] if isinstance(value, (list, tuple)) else value


def as_text(rows: list[Metrics]) -> list[list[str]]:
    return [[repr(v) for name, v in row.items() if name not in CLOCKS] for row in rows]


def test_an_interrupted_and_resumed_run_equals_one_that_never_stopped(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patched:
        iterate = Trainer.step

        def stopping(trainer: Trainer) -> Metrics:
            if trainer.iteration == 1:
                signal.raise_signal(signal.SIGINT)
            return iterate(trainer)

        patched.setattr(Trainer, "step", stopping)
        assert main([*GUIDED, "--out", str(folder.path)]) == 130
    saved = policies.restore(folder.path)[1]
    assert saved["iteration"] == 2
    assert set(saved["guidance"]) == {"network", "optimizer", "generator"}
    assert main(["resume", str(folder.path)]) == 0
    capsys.readouterr()
    (ours, our_state), (theirs, their_state) = (policies.restore(run.path) for run in (folder, whole))
    assert bits(dict(ours.state_dict())) == bits(dict(theirs.state_dict()))
    assert bits(our_state) == bits(their_state)
    assert as_text(folder.read_metrics()) == as_text(whole.read_metrics())


def test_a_checkpoint_without_q_does_not_resume_a_guided_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guidance, "make", lambda *given: None)
    trainer = Trainer.from_config(Config(task="quadrotor-hover", algorithm=HybridGRPO(guided_candidates=2)))
    folder = RunFolder.create(tmp_path / "run", trainer.config)
    policies.checkpoint.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    monkeypatch.undo()
    with pytest.raises(policies.CheckpointError, match=r"does not hold the training state that config\.json needs"):
        restore_trainer(folder)
