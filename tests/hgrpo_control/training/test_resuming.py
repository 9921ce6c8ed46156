"""More steps for a run: what its schedules do then, what is refused, and what is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import policies
from hgrpo_control.api.run import resume, train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import RunFolder, RunFolderError

SIZE = 16 * 8  # steps of an iteration
LINEAR = Learning(learning_rate=0.008, update_epochs=1, num_minibatches=2)
CONSTANT = dataclasses.replace(LINEAR, lr_schedule="constant", target_sigma=0.4, ent_coef=0.01)


def config(iterations: int, learning: Learning = LINEAR) -> Config:
    return Config(
        task="quadrotor-hover",
        algorithm=PPO(),
        total_steps=iterations * SIZE,
        num_envs=16,
        rollout_steps=8,
        network=Network((8,)),
        learning=learning,
        curriculum={"difficulty": f"0.2:1@steps:0:{3 * SIZE}", "near_target": "0.5:0.1@success:0.5:0.5"},
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished run of two iterations."""
    monkeypatch.chdir(tmp_path)
    train(config(2), "run")
    return RunFolder("run")


def test_at_a_constant_rate_a_prolonged_run_is_one_of_that_total_from_the_beginning(tmp_path: Path) -> None:
    train(config(4, CONSTANT), tmp_path / "whole")
    train(config(2, CONSTANT), tmp_path / "run")
    resume(tmp_path / "run", total_steps=4 * SIZE)
    whole, prolonged = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "run")
    ours, theirs = (policies.load(folder.path).state_dict() for folder in (prolonged, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    names = ("iteration", "simulator_steps", "difficulty", "temperature", "learning_rate", "approx_kl")
    columns = [[[row[name] for name in names] for row in f.read_metrics()] for f in (prolonged, whole)]
    assert columns[0] == columns[1]
    assert [row[0] for row in columns[0]] == [1, 2, 3, 4]
    assert prolonged.config.read_text() == whole.config.read_text()


def test_a_linear_rate_goes_on_along_the_new_total_and_says_so(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", "run", "--total-steps", str(4 * SIZE)]) == 0
    assert [row["learning_rate"] for row in run.read_metrics()] == pytest.approx([0.008, 0.004, 0.004, 0.002])
    assert [row["difficulty"] for row in run.read_metrics()] == pytest.approx([0.2, 0.2 + 0.8 / 3, 0.2 + 1.6 / 3, 1.0])
    assert run.read_config() == config(4)
    out, err = capsys.readouterr()
    assert err == ""
    assert (
        "total_steps is 512 now, before 256: the learning rate falls linearly over the new total, from 0.004 to 0; "
        "it was 0.004 in the last iteration\n"
    ) in out


def test_a_constant_rate_is_said_to_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(config(1, CONSTANT), tmp_path / "run")
    assert main(["resume", str(tmp_path / "run"), "--total-steps", str(2 * SIZE)]) == 0
    assert "total_steps is 256 now, before 128: the learning rate stays 0.008\n" in capsys.readouterr().out


@pytest.mark.parametrize("total", [1, SIZE, 2 * SIZE, 3 * SIZE - 1])
def test_a_total_that_leaves_no_iteration_is_refused_and_changes_nothing(
    run: RunFolder, capsys: pytest.CaptureFixture[str], total: int
) -> None:
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    assert main(["resume", "run", "--total-steps", str(total)]) == 2
    assert capsys.readouterr().err == (
        f"hgrpo: total_steps {total} leaves run nothing to do: 256 simulator steps taken; allowed: at least 384\n"
    )
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before


def test_an_unfinished_run_is_resumed_to_its_own_total_or_ended_sooner(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class StopAtOnce:
        def report(self, metrics: object) -> None:
            raise Stop

    for name, total, iterations in (("own", None, 5), ("sooner", 2 * SIZE, 2)):
        with pytest.raises(Stop):
            train(dataclasses.replace(config(5), checkpoint_every=1), tmp_path / name, (StopAtOnce(),))
        resume(tmp_path / name, total_steps=total)
        assert len(RunFolder(tmp_path / name).read_metrics()) == iterations
        with pytest.raises(RunFolderError, match=r"is finished: .*; for more: hgrpo resume .* --total-steps N"):
            resume(tmp_path / name)


def test_the_old_spelling_goes_on_too(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    edited = dataclasses.replace(run.read_config(), total_steps=3 * SIZE)
    run.config.write_text(edited.to_json())
    assert main(["resume", "run"]) == 0
    assert len(run.read_metrics()) == 3
    assert "total_steps is" not in capsys.readouterr().out
