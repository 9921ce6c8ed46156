"""A drone from a vehicle file in every command; a run keeps its numbers when the file changes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import gymnasium
import pytest
from support.tiny_runs import TINY

import hgrpo_control
from hgrpo_control.cli import main
from hgrpo_control.runs.run_folder import RunFolder
from robots.quadrotor.body.vehicle_file.read import read_vehicle
from sim2real.policy.onnx_policy import OnnxPolicy

EXAMPLE = Path(__file__).parents[3] / "examples" / "my_quad.toml"


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own, with the vehicle file in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLE, "mydrone.toml")


def train(*words: str) -> int:
    return main(["train", "ppo", "quadrotor-hover", *TINY, "--out", "run", "--task-options", *words])


@pytest.mark.slow
def test_vehicle_of_a_run_outlives_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = read_vehicle(Path("mydrone.toml")).numbers()
    assert train("quadrotor=mydrone.toml") == 0
    Path("mydrone.toml").write_text(EXAMPLE.read_text().replace("mass = 0.62", "mass = 0.8"))

    def flown(*words: str, file: str = "evaluation.json") -> dict[str, object]:
        assert main(["evaluate", "run", "--episodes", "1", *words]) == 0
        options = json.loads(Path("run", file).read_text())["task_options"]
        return json.loads(options["quadrotor"])  # type: ignore[no-any-return]

    assert flown()["mass"] == 0.62
    changed = flown("--task-options", "quadrotor=mydrone.toml", file="evaluation-quadrotor=mydrone.toml.json")
    assert changed["mass"] == 0.8
    Path("mydrone.toml").unlink()
    assert flown() == numbers | {"source": "scale, ruler, bifilar pendulum, thrust stand"}
    assert main(["resume", "run", "--total-steps", "512"]) == 0
    assert json.loads(RunFolder("run").read_config().task_options["quadrotor"])["mass"] == 0.62
    assert hgrpo_control.load("run").spec.robot == "my-quad"

    assert main(["export", "run", "--episodes", "1"]) == 0
    assert main(["export", "run", "--crazyflie", "app"]) == 0
    assert any("3.4" in path.read_text() for path in Path("app").rglob("*.c"))
    trained = OnnxPolicy("run/policy.onnx").trained_on
    assert trained is not None
    assert trained.airframe == numbers
    capsys.readouterr()
    assert main(["fly", "run/policy.onnx", "simulated", "--fast", "--episodes", "1"]) == 0
    said = capsys.readouterr().out
    assert "airframe my-quad: " in said
    assert "task options: quadrotor=my-quad" in said
    shutil.copy(EXAMPLE, "other.toml")
    Path("other.toml").write_text(EXAMPLE.read_text().replace("mass = 0.62", "mass = 0.8"))
    words = ("--fast", "--episodes", "1", "--task-options", "quadrotor=other.toml")
    assert main(["fly", "run/policy.onnx", "simulated", *words]) == 0
    assert "mass=0.8 (trained: mass=0.62)" in capsys.readouterr().out
    assert main(["fly", "run/policy.onnx", "simulated", "--fast", "--task", "quadrotor-hover-gusty"]) == 2
    assert "quadrotor=FILE.toml with the numbers of my-quad" in capsys.readouterr().err


@pytest.mark.slow
def test_vehicles_of_one_name_are_told_apart_in_a_comparison() -> None:
    assert train("quadrotor=mydrone.toml") == 0
    Path("mydrone.toml").write_text(EXAMPLE.read_text().replace("mass = 0.62", "mass = 0.8"))
    shutil.move("run", "light")
    assert train("quadrotor=mydrone.toml") == 0
    assert main(["compare", "light", "run", "--out", "both"]) == 0
    table = Path("both/comparison.md").read_text()
    assert len(set(re.findall(r"quadrotor my-quad#\w{6}", table))) == 2
    assert "inertia" not in table


@pytest.mark.slow
def test_vehicle_file_in_check_and_in_a_gymnasium_environment() -> None:
    assert (
        main(["check", "quadrotor-hover", "--states", "2", "--steps", "2", "--task-options", "quadrotor=mydrone.toml"])
        == 0
    )
    environment = gymnasium.make("hgrpo/quadrotor-hover-v0", quadrotor="mydrone.toml")
    environment.reset(seed=0)
    environment.close()


@pytest.mark.parametrize(
    ("line", "word"), [("mass = 620", "25 kg"), ("mas = 0.62", "'mass'"), ("mass = 3.0", "times the weight")]
)
def test_vehicle_file_with_a_mistake_ends_in_one_line(line: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mydrone.toml").write_text(EXAMPLE.read_text().replace("mass = 0.62", line))
    for command in (lambda: train("quadrotor=mydrone.toml"), lambda: main(["vehicle", "mydrone.toml"])):
        assert command() == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "mydrone.toml" in said
        assert word in said
    assert not Path("run").exists()


def test_vehicle_command_writes_a_file_and_prints_what_is_odd(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vehicle", "cf2x", "--write", "new.toml"]) == 0
    said = capsys.readouterr().out
    assert "odd: rotor_time_up is 0" in said
    assert main(["vehicle", "new.toml"]) == 0
    assert "thrust to weight" in capsys.readouterr().out
    assert main(["vehicle", "cf2x", "--write", "new.toml"]) == 2
    assert "new.toml" in capsys.readouterr().err
    assert main(["vehicle", "cf2x", "--write", "cf2x.toml"]) == 2
    assert "preset" in capsys.readouterr().err
    assert main(["vehicle", "cf2"]) == 2
    assert "'cf2x'" in capsys.readouterr().err
