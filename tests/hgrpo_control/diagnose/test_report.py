"""The table and the picture of a diagnosis, and `hgrpo diagnose` from end to end."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import imageio.v3 as imageio
import pytest
import torch
from rich.console import Console

import policies
from hgrpo_control.cli import main
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.diagnose import report
from hgrpo_control.diagnose.estimators import estimators
from hgrpo_control.diagnose.gradient_statistics import Estimate, Measurement
from hgrpo_control.diagnose.measurement import Diagnosis, Reference, Row
from hgrpo_control.diagnose.plot import picture
from hgrpo_control.diagnose.settings import DiagnoseSettings
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.trainer import Trainer

pytestmark = pytest.mark.slow

TRAIN = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TRAIN += ("--num-minibatches", "2", "--total-steps", "256")
TINY = ("--roots", "4", "--steps", "4", "--samples", "2", "--branch-steps", "4", "--lambdas", "0", "1")
TINY += ("--budget", "256", "--reference-branches", "32", "--horizon", "5")
KNOWN = Measurement(
    replicates=9,
    relative_bias_squared=Estimate(0.25, 0.04),
    cosine=Estimate(0.724, 0.051),
    noise_to_signal=Estimate(12.34, 0.5),
    best_scale=Estimate(2.0, 0.1),
    error_left=Estimate(0.5, 0.012),
    signal=Estimate(4.0, 0.2),
    variance=Estimate(49.36, 1.0),
)


def diagnosis_of(measurements: Sequence[Measurement], critic: bool = True) -> Diagnosis:
    """PPO of two lambdas and every group estimator at N = 4 and n = 2; measurements are dealt out in turn."""
    settings = DiagnoseSettings(steps=4, samples=(4,), branch_steps=(2,), lambdas=(0.0, 1.0))
    members = [member for shared in estimators(settings, PPO(), critic) for member in shared]
    rows = [Row(member, measurements[i % len(measurements)]) for i, member in enumerate(members)]
    generator = torch.Generator().manual_seed(0)
    reference = Reference(1.0 + 0.1 * torch.randn(16, 3, generator=generator), horizon=7, remainder=0.05)
    return Diagnosis(settings, critic, reference, update_steps=65_536, rows=rows)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.724, 0.051, "0.72(5)"),
        (0.7243, 0.0012, "0.724(1)"),
        (12.34, 0.5, "12.3(5)"),
        (123.4, 5.1, "123(5)"),
        (1234.0, 51.0, "1234(51)"),
        (0.5, 0.0, "0.5"),
        (0.5, math.nan, "0.5"),
        (-0.05, 0.02, "-0.05(2)"),
        (0.9998, 0.00098, "1.000(1)"),
        (0.999998, 0.00002, "1.0000(1)"),
    ],
)
def test_an_error_stands_in_brackets_behind_the_digits_it_belongs_to(value: float, error: float, text: str) -> None:
    assert report.with_error(Estimate(value, error)) == text


def test_a_line_of_the_table() -> None:
    row = next(row for row in diagnosis_of([KNOWN]).rows if row.estimator.name == "Hybrid group")
    # bias sqrt(0.25) = 0.5 with 0.04 / (2 x 0.5); at equal steps 4 times the noise, and 4 times its error
    expected = ["Hybrid group", "0.95", "4", "2", "0.50(4)", "0.72(5)", "12.3(5)", "49(2)", "0.50(1)"]
    assert report.cells(row) == expected


def test_what_is_lost_in_noise_is_given_as_a_bound() -> None:
    lost = KNOWN._replace(relative_bias_squared=Estimate(0.01, 0.04), signal=Estimate(0.5, 1.75))
    grpo = next(row for row in diagnosis_of([lost]).rows if row.estimator.name == "GRPO")
    # bias below sqrt(0.01 + 2 x 0.04) = 0.3; noise above 49.36 / (0.5 + 2 x 1.75) = 12.34, and 4 times that
    assert report.cells(grpo)[1:] == ["-", "4", "2", "< 0.3", "-", "> 12", "> 49", "0.50(1)"]
    below = diagnosis_of([lost._replace(signal=Estimate(-4.0, 1.0))]).rows[0]
    assert report.cells(below)[6:8] == ["-", "-"]


def test_the_terminal_table_fits_80_columns() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(report.terminal_table(diagnosis_of([KNOWN])))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue()
    assert sum("12.3(5)" in line for line in lines) == 2 + 6


def test_the_headline_says_what_is_missing() -> None:
    whole = "\n".join(report.headline(diagnosis_of([KNOWN])))
    assert "gamma^H = 5.0%" in whole
    assert "65,536 simulator steps" in whole
    assert "critic" not in whole
    assert "lost in noise" not in whole
    without = diagnosis_of([KNOWN], critic=False)
    noise = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    lost = "\n".join(report.headline(without._replace(reference=Reference(noise - noise.mean(0), 7, 0.05))))
    assert "This policy has no critic: estimators that need V are left out." in lost
    assert "The reference itself is lost in noise" in lost


def test_the_picture_shows_what_can_be_shown(tmp_path: Path) -> None:
    black, green = (0, 0, 0), (0, 158, 115)
    count = partial(pixels, tmp_path / "picture.png")
    picture(diagnosis_of([KNOWN]), "title", tmp_path / "picture.png")
    shown = count(green)
    assert shown > 10
    # without a signal only the last row of panels is left
    picture(diagnosis_of([KNOWN._replace(signal=Estimate(0.0, 1.0))]), "title", tmp_path / "picture.png")
    assert 0 < count(green) < shown
    assert count(black) > 0
    picture(diagnosis_of([KNOWN], critic=False), "title", tmp_path / "picture.png")
    assert count(green) == 0


def pixels(path: Path, color: tuple[int, int, int]) -> int:
    image = imageio.imread(path)[:, :, :3]
    return int((image == torch.tensor(color, dtype=torch.uint8).numpy()).all(axis=2).sum())


# The command


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with critic and one without, not to be changed."""
    folders = {}
    for algorithm in ("ppo", "grpo"):
        folders[algorithm] = tmp_path_factory.mktemp("trained") / algorithm
        own = ("--num-samples", "2") if algorithm == "grpo" else ("--gae-lambda", "0.95")
        words = ["train", algorithm, "quadrotor-hover", *TRAIN, *own, "--out", str(folders[algorithm])]
        assert main(words) == 0
    return folders


def test_a_diagnosis_is_written_into_the_run(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained["ppo"], run)
    assert main(["diagnose", str(run), *TINY]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    with (run / "diagnosis.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + 2 + 6 + 5, "the hover simulator has slopes, in 5 shares"
    assert (rows[0]["estimator"], rows[0]["gae_lambda"], rows[0]["num_samples"]) == ("This run", "0.95", "1")
    assert "This run: ppo." in out
    assert {row["gae_lambda"] for row in rows if row["estimator"] == "Hybrid group"} == {"0.95"}, "that of the run"
    # 256 steps hold 16 replicates of 4 steps x 4 roots, 8 of two samples
    assert [row["replicates"] for row in rows] == ["16"] * 3 + ["8"] * 11
    assert all(float(row["variance"]) > 0.0 for row in rows)
    text = (run / "diagnosis.md").read_text()
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + len(rows)
    assert "![Policy gradients of run](diagnosis.png)" in text
    assert imageio.imread(run / "diagnosis.png").shape[2] == 4
    assert f"diagnosis: {run / 'diagnosis.csv'}" in out

    before = (run / "diagnosis.csv").read_bytes()
    assert main(["diagnose", str(run), *TINY]) == 0
    assert (run / "diagnosis.csv").read_bytes() == before


def test_a_run_without_critic_says_so(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained["grpo"], run)
    assert main(["diagnose", str(run), *TINY]) == 0
    assert "This policy has no critic: estimators that need V are left out." in capsys.readouterr().out
    with (run / "diagnosis.csv").open(newline="") as file:
        assert {row["estimator"] for row in csv.DictReader(file)} == {"This run", "GRPO", "GRPO unscaled"}


@pytest.mark.parametrize("transform", ["rolling", "rolling-std"])
def test_a_run_whose_rewards_have_no_statistics_yet_is_one_line(
    transform: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint before the first iteration, that of a run that was stopped at once."""
    words = ["ppo", "quadrotor-hover", *TRAIN, "--reward-transform", transform]
    trainer = Trainer.from_config(parse_train_options(words).config)
    folder = RunFolder.create(tmp_path / "run", trainer.config)
    policies.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    assert main(["diagnose", str(folder.path), *TINY]) == 2
    err = capsys.readouterr().err
    assert f"reward transform {transform} of {folder.path}" in err
    assert err.count("\n") == 1
    trainer.step()
    policies.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    assert main(["diagnose", str(folder.path), *TINY]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "no run at nowhere: config.json is missing"),
        (("empty",), "no checkpoint at empty/checkpoint.pt"),
        (("run", "--roots", "0"), "roots must be at least 1; given 0"),
        (("run", "--steps", "600"), "branch_steps 16 does not divide steps 600"),
        (("run", "--horizon", "500"), "horizon must lie in [1, 468]"),
        (("run", "--root", "5"), "did you mean --roots?"),
        ((), "required"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: tuple[str, ...], message: str, trained: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(trained["ppo"], tmp_path / "run")
    shutil.copytree(trained["ppo"], tmp_path / "empty")
    (tmp_path / "empty" / "checkpoint.pt").unlink()
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["diagnose", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hgrpo: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.rglob("diagnosis*"))
