"""`hgrpo evaluate --record`, `--disturb` and `--grid`: files, effects and refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_runs import TINY

import robots
from hgrpo_control.cli import main
from hgrpo_control.evaluation.disturb import disturbance_of
from hgrpo_control.identify.read import read_logs
from robots.interventions import Disturbable

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--out", str(folder)]) == 0
    return folder


def evaluate(run: Path, *words: str) -> None:
    assert main(["evaluate", str(run), "--episodes", "3", *words]) == 0


def refusal(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--episodes", "2", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_evaluate_records_every_episode(run: Path, tmp_path: Path) -> None:
    evaluate(run, "--record", str(tmp_path / "npz"))
    evaluate(run, "--record", str(tmp_path / "csv"), "--record-format", "csv")
    figures = json.loads((run / "evaluation.json").read_text())
    rows = list(csv.DictReader((tmp_path / "npz" / "episodes.csv").read_text().splitlines()))
    assert (tmp_path / "npz" / "episodes.csv").read_text() == (tmp_path / "csv" / "episodes.csv").read_text()
    assert np.mean([float(row["return"]) for row in rows]) == pytest.approx(figures["return_mean"], rel=1e-5)
    assert np.mean([int(row["length [steps]"]) for row in rows]) == pytest.approx(figures["length_mean"])
    assert np.mean([row["terminated"] == "True" for row in rows]) == pytest.approx(figures["terminated_rate"])
    for number, row in enumerate(rows):
        with np.load(tmp_path / "npz" / f"episode-{number:04d}.npz") as file:
            arrays = {name: file[name] for name in file.files}
        steps = int(row["length [steps]"])
        names = json.loads(str(arrays["columns"]))
        for name in ("observation", "action", "state_position", "state_rotor_speed"):
            assert arrays[name].shape == (steps, len(names[name]))
        assert arrays["reward"].sum() == pytest.approx(float(row["return"]), rel=1e-5)
        assert json.loads(str(arrays["metrics"]))["success"] == (row["success"] == "True")
        table = list(csv.reader((tmp_path / "csv" / f"episode-{number:04d}.csv").read_text().splitlines()))
        assert table[0] == [
            each for name in ("time", *(n for n in arrays if n in names and n != "time")) for each in names[name]
        ]
        np.testing.assert_allclose(np.array(table[1:], float)[:, 0], arrays["time"])
    state = {name: arrays[f"state_{name}"] for name in ("position", "velocity")}
    moved = state["position"][0] + 0.005 * (state["velocity"][0] + state["velocity"][1])
    np.testing.assert_allclose(state["position"][1], moved, atol=1e-4)


def test_evaluate_records_are_read_by_identify(run: Path, tmp_path: Path) -> None:
    evaluate(run, "--record", str(tmp_path / "npz"))
    evaluate(run, "--record", str(tmp_path / "csv"), "--record-format", "csv")
    ours, theirs = (read_logs([tmp_path / form], {}, 100.0) for form in ("npz", "csv"))
    assert len(ours.segments) == len(theirs.segments) == 3
    for one, other in zip(ours.segments, theirs.segments, strict=True):
        for name, values in one.cut(0, len(other)).channels.items():
            np.testing.assert_allclose(other.channels[name], values, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(other.command, one.command[: len(other)], atol=1e-6)


def test_evaluate_disturbances_act(run: Path) -> None:
    evaluate(run, "--disturb", "wind=4", "mass=1.2", "rotor1=0.8")
    evaluate(run)
    name = "evaluation-disturb.mass=1.2-disturb.rotor1=0.8-disturb.wind=4.json"
    disturbed, plain = (json.loads((run / file).read_text()) for file in (name, "evaluation.json"))
    assert disturbed["disturbances"] == {"wind": 4.0, "mass": 1.2, "rotor1": 0.8}
    assert plain["disturbances"] == {}
    assert disturbed["return_mean"] != plain["return_mean"]


def test_evaluate_disturbance_is_the_force_of_its_name() -> None:
    task = robots.make("quadrotor-hover", quadrotor="cf2x")
    assert isinstance(task, Disturbable)
    state = task.reset(1, 0)
    hover = torch.tensor([task.spec.neutral_action])

    def speed(values: dict[str, float]) -> torch.Tensor:
        disturbance = disturbance_of(values)
        begun = state if disturbance is None else task.disturbed(state, disturbance)
        return task.step(begun, hover).state.body.velocity[0]  # type: ignore[no-any-return]

    plain = speed({})
    np.testing.assert_allclose(speed({"wind": 3.0}) - plain, [0.03, 0.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(speed({"wind_z": -3.0}) - plain, [0.0, 0.0, -0.03], atol=1e-3)
    assert (speed({"mass": 1.2}) - plain)[2] < -0.005
    assert (speed({"rotor1": 0.5}) - plain)[2] < -0.005


def test_evaluate_grid_has_every_cell(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(run, "--grid", "wind=0:4:3", "mass=0.8:1.2:2", "--disturb", "rotor2=0.9")
    assert "wind=2" in capsys.readouterr().out
    rows = list(csv.DictReader((run / "grid-wind-mass-disturb.rotor2=0.9.csv").read_text().splitlines()))
    assert [(float(row["wind"]), float(row["mass"])) for row in rows] == [
        (wind, mass) for wind in (0.0, 2.0, 4.0) for mass in (0.8, 1.2)
    ]
    assert len({row["return_mean"] for row in rows}) == 6
    assert (run / "grid-wind-mass-disturb.rotor2=0.9.png").stat().st_size > 5_000
    evaluate(run, "--grid", "mass=1:1.2:2")
    evaluate(run)
    first = next(csv.DictReader((run / "grid-mass.csv").read_text().splitlines()))
    assert float(first["return_mean"]) == pytest.approx(
        json.loads((run / "evaluation.json").read_text())["return_mean"], rel=1e-4
    )


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--disturb", "win=3"), ("'win'", "'wind'")),
        (("--disturb", "mass=9"), ("mass", "from 0.2 to 5", "9")),
        (("--disturb", "mass=x"), ("mass", "'x'")),
        (("--grid", "wind=0:5"), ("wind=0:5", "FIRST:LAST:COUNT")),
        (("--grid", "wind=0:5:1"), ("wind=0:5:1",)),
        (("--grid", "wnd=0:5:3"), ("'wnd'", "'wind'")),
        (("--grid", "wind=0:5:2", "mass=1:2:2", "rotor1=0:1:2"), ("one or two",)),
        (("--grid", "wind=0:5:2", "--disturb", "wind=1"), ("wind", "--disturb")),
        (("--grid", "wind=0:5:2", "--record", "new"), ("--record", "--grid")),
        (("--record-format", "csv"), ("--record-format", "--record")),
        (("--disturb", "wind=1", "--task-options", "physics=mujoco"), ("wind", "physics=built-in")),
    ],
)
def test_evaluate_disturbance_with_a_mistake_is_refused(
    run: Path, words: tuple[str, ...], parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, run, *words)
    for part in parts:
        assert part in said


def test_evaluate_disturbance_of_a_task_without_any_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "ppo", "InvertedPendulum-v5", *TINY, "--out", str(tmp_path / "run")]) == 0
    assert "InvertedPendulum-v5" in refusal(capsys, tmp_path / "run", "--disturb", "mass=1.1")
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "2", "--record", str(tmp_path / "new")]) == 0
    with np.load(tmp_path / "new" / "episode-0000.npz") as file:
        assert any(name.startswith("state_") for name in file.files)
    assert "new" in refusal(capsys, tmp_path / "run", "--record", str(tmp_path / "new"))
