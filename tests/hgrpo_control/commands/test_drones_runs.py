"""Runs in the aviaries of gym-pybullet-drones from the command line: trained, judged, resumed and checked."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

import policies
from hgrpo_control.cli import main
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.trainer import Trainer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gym_pybullet_drones") is None or importlib.util.find_spec("pybullet") is None,
        reason="needs gym-pybullet-drones: pip install '.[drones]'",
    ),
]
HOVER = "gpd/HoverAviary"
TINY = ("--num-envs", "4", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--total-steps", "128", "--task-options", "action=one_d_rpm", "workers=2")


def test_hybrid_grpo_trains_resumes_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "hybrid-grpo", HOVER, "--num-samples", "2", *TINY]) == 0
    folder = "runs/hybrid-grpo-gpd-HoverAviary-seed0"
    assert f"trained: {folder}" in capsys.readouterr().out
    config = RunFolder.open(folder).read_config()
    assert config.task_options == {"action": "one_d_rpm", "workers": "2"}
    trainer, half = Trainer.from_config(config), RunFolder.create("half", config)
    trainer.step()
    policies.save(half.checkpoint, trainer.policy, trainer.state_dict())
    del half  # and with it its lock
    assert main(["resume", "half"]) == 0
    whole, resumed = (policies.load(name).state_dict() for name in (folder, "half"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert main(["evaluate", folder, "--episodes", "2"]) == 0


def test_check_finds_it_exact(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["check", HOVER, "--states", "5", "--task-options", "action=one_d_rpm"]) == 0
    assert f"{HOVER} is exact" in capsys.readouterr().out
