"""Runs in Gymnasium environments from the command line: trained, resumed, judged, checked and refused."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from support import buggy_envs
from support.signals import assert_same

import policies
from hgrpo_control.cli import main
from hgrpo_control.config.run import Config
from hgrpo_control.runs.imports import TRUST
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.train import run
from hgrpo_control.training.trainer import Trainer

pytestmark = pytest.mark.slow

TINY = ("--num-envs", "4", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2")
PENDULUM = "gymnasium/InvertedPendulum-v5"
SAVED = ("gymnasium/support.buggy_envs:limited_cart", "gymnasium/support.buggy_envs:plain_cart")
NAMED = ("--import", "support.buggy_envs")


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(folder: str) -> Config:
    return RunFolder.open(folder).peek_config()


def test_hybrid_grpo_trains_evaluates_and_exports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "hybrid-grpo", PENDULUM, *TINY, "--total-steps", "256"]) == 0
    folder = "runs/hybrid-grpo-gymnasium-InvertedPendulum-v5-seed0"
    assert f"trained: {folder}" in capsys.readouterr().out
    assert main(["evaluate", folder, "--episodes", "2"]) == 0
    assert main(["export", folder]) == 0
    assert policies.load(folder).spec.task == PENDULUM


def test_a_run_with_snapshots_is_resumed_bit_for_bit() -> None:
    assert main(["train", "hybrid-grpo", SAVED[0], *TINY, "--total-steps", "512", "--out", "whole"]) == 0
    trainer = Trainer.from_config(config("whole"))
    folder = RunFolder.create("halves", config("whole"))
    policies.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    trainer.step()
    policies.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    assert restore_trainer(folder, imports=["support.buggy_envs"], trust_snapshots=True).resume_note == ""
    del folder  # and with it its lock
    assert main(["resume", "halves", *NAMED, TRUST]) == 0
    whole, halves = (policies.load(name).state_dict() for name in ("whole", "halves"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


class _Sprung:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("sprung"),)


def test_snapshots_in_a_checkpoint_are_unpickled_only_where_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "hybrid-grpo", SAVED[0], *TINY, "--total-steps", "128", "--out", "run"]) == 0
    path = Path("run/checkpoint.pt")
    policy, saved = policies.restore(path)
    (rows,) = [part for part in saved["sampler"]["roots"] if isinstance(part, list)] or [saved["sampler"]["roots"]]
    snapshot = next(part for part in rows if part.dtype == torch.uint8)
    trap = pickle.dumps(_Sprung())
    for row in snapshot:  # after eight bytes with the length of it
        row[:8] = torch.frombuffer(bytearray(len(trap).to_bytes(8, "little")), dtype=torch.uint8)
        row[8 : 8 + len(trap)] = torch.frombuffer(bytearray(trap), dtype=torch.uint8)
    policies.save(path, policy, saved)
    more = ["--import", "support.buggy_envs", "--total-steps", "256"]
    capsys.readouterr()
    assert main(["resume", "run", *more]) == 2
    assert capsys.readouterr().err.endswith("if you trust the author of the file, add --trust-snapshots\n")
    assert main(["evaluate", "run", "--import", "support.buggy_envs", "--episodes", "2"]) == 0
    assert main(["export", "run", "--import", "support.buggy_envs"]) == 0
    assert not Path("sprung").exists()
    assert main(["resume", "run", *more, TRUST]) == 2
    assert Path("sprung").exists(), "what is trusted is read, or this test tests nothing"


def test_the_trust_that_does_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--total-steps", "32", "--out", "run"]) == 0
    assert main(["resume", "run", "--total-steps", "64", TRUST]) == 2
    assert "--trust-snapshots does nothing for run/checkpoint.pt" in capsys.readouterr().err


def test_ppo_trains_without_snapshots_and_says_what_resuming_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", SAVED[1], *TINY, "--total-steps", "128", "--out", "run"]) == 0
    with Path("run/metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4
    trainer = Trainer.from_config(config("run"))
    pool = trainer.sampler.simulator._pool  # type: ignore[attr-defined]
    run(trainer, None)
    assert len(pool.instances) <= 8  # four rows
    folder = RunFolder.create("half", config("run"))
    trainer = Trainer.from_config(config("run"))
    trainer.step()
    policies.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    del folder  # and with it its lock
    capsys.readouterr()
    assert main(["resume", "half", *NAMED]) == 0
    assert "every environment begins a new episode" in capsys.readouterr().err
    assert main(["evaluate", "half", "--episodes", "3", *NAMED]) == 0


def test_a_resumed_run_without_snapshots_has_one_environment_per_row() -> None:
    assert main(["train", "ppo", SAVED[1], *TINY, "--total-steps", "128", "--out", "run"]) == 0
    trainer, folder = Trainer.from_config(config("run")), RunFolder.create("half", config("run"))
    trainer.step()
    policies.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    trainer = restore_trainer(folder, imports=["support.buggy_envs"])
    sampler = trainer.sampler
    pool = sampler.simulator._pool  # type: ignore[attr-defined]
    assert len(pool.instances) == 4
    trainer.step()
    assert sampler.roots.elapsed.any()
    sampler.load_state_dict(sampler.state_dict())  # of rows that have moved, what is left cannot come back
    assert not sampler.roots.elapsed.any()
    trainer.step()


def test_a_fault_in_mid_training_is_one_line_and_the_run_goes_on_from_before_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*TINY, "--total-steps", "512", "--task-options", "max_episode_steps=5", "--out"]
    monkeypatch.setattr(buggy_envs.LateFault, "sound_steps", [10**9])
    assert main(["train", "hybrid-grpo", "gymnasium/support.buggy_envs:LateFault", *words, "whole"]) == 0
    # the trial of the constructor takes 16 steps, an iteration 8 x 4 x 2 = 64: this one ends in the third
    monkeypatch.setattr(buggy_envs.LateFault, "sound_steps", [16 + 2 * 64 + 30])
    capsys.readouterr()
    assert main(["train", "hybrid-grpo", "gymnasium/support.buggy_envs:LateFault", *words, "broken"]) == 2
    assert capsys.readouterr().err == (
        "hgrpo: stopped in iteration 3: support.buggy_envs:LateFault returned from step reward = None; "
        "expected one number; "
        "saved, to go on: hgrpo resume broken --import support.buggy_envs --trust-snapshots\n"
    )
    monkeypatch.setattr(buggy_envs.LateFault, "sound_steps", [10**9])
    assert main(["resume", "broken", *NAMED, TRUST]) == 0
    assert_same(Path("whole"), Path("broken"))


@pytest.mark.parametrize("algorithm", ["hybrid-grpo", "grpo"])
def test_branching_without_snapshots_is_refused_before_anything_is_written(
    algorithm: str, capsys: pytest.CaptureFixture[str], at_home: Path
) -> None:
    assert main(["train", algorithm, SAVED[1], *TINY, "--total-steps", "512"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "get_snapshot() and set_snapshot(snapshot)" in err
    assert list(at_home.iterdir()) == []


def test_statistics_that_start_anew_in_every_episode_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    task = ("gymnasium/support.buggy_envs:normalized_cart", *TINY, "--total-steps", "64")
    assert main(["train", "hybrid-grpo", *task, "--out", "anew"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "restarts in every episode" in line]
    assert len(told) == 1
    assert told[0].startswith(
        "hgrpo: NormalizeReward.return_rms, NormalizeObservation.obs_rms of support.buggy_envs:normalized_cart"
    )
    assert main(["train", "ppo", *task, "--out", "kept", "--task-options", "snapshots=none"]) == 0
    assert "restarts in every" not in capsys.readouterr().err
    assert main(["check", "support.buggy_envs:normalized_cart", "--states", "5"]) == 0
    assert "note: something outlives reset" in capsys.readouterr().out


def test_films_of_states_that_cannot_come_back_are_refused_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", SAVED[1], *TINY, "--total-steps", "128", "--video"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert not Path("runs").exists()


def test_check_exits_with_its_verdict(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["check", PENDULUM, "--states", "10"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"{PENDULUM} is exact: 10 states restored into the same and into another instance, 5 steps replayed to the bit"
    )
    assert main(["check", "support.buggy_envs:ForgetfulCart", "--states", "10"]) == 1
    out = capsys.readouterr().out
    assert "10 of 10" in out
    assert out.splitlines()[-1].startswith("support.buggy_envs:ForgetfulCart is NOT exact: observation, reward")
    for words in (
        ["check", "HalfCheeta-v5"],
        ["check", "support.buggy_envs:Switch"],
        ["check", "Ant-v5", "--states", "0"],
    ):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Pickled", "a plain environment, which is never restored, differs in observation after the reset"),
        ("SecondData", "it has a second MjData, whose memory is not saved: SecondData.plan"),
        (
            "LateModel",
            "buggy_attributes:LateModel can be saved: it changes its MuJoCo model during an episode",
        ),
    ],
)
def test_check_names_what_a_snapshot_would_lose(capsys: pytest.CaptureFixture[str], name: str, told: str) -> None:
    assert main(["check", f"support.buggy_attributes:{name}", "--states", "10"]) == 1
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.startswith(f"support.buggy_attributes:{name} is NOT exact: ")
    assert told in verdict


def test_families_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 0
    assert "gymnasium/...: any Gymnasium environment" in capsys.readouterr().out
