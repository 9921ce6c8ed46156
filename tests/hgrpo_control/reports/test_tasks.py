"""The list of tasks and the page of each task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import robots
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_fields import fields_of
from robots.options import parts_of
from robots.simulator import Adjustable

pytestmark = pytest.mark.slow

OWN = """
import robots
from robots.quadrotor.tasks.hover import HoverOptions, make_hover
robots.register("task-of-mine", lambda **given: make_hover("task-of-mine", HoverOptions(mass=0.2), **given))
"""


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["tasks", *args]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("width", [80, 200])
def test_the_list_fits_and_cuts_no_name(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = printed(capsys)
    for name in robots.names():
        spec = robots.make(name).spec
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [name])
        cells = (spec.robot, str(spec.observation_size), str(spec.action_size), str(spec.max_episode_steps))
        assert [cell for cell in cells if cell and cell not in line.split()] == []
        assert spec.goal[:20] in out or width == 80
    assert max(map(len, out.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", robots.names())
def test_a_page_has_every_channel_option_weight_and_preset(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = printed(capsys, name)
    words = out.split()
    simulator = robots.make(name)
    for channel in (*simulator.spec.observation, *simulator.spec.action, *simulator.spec.privileged):
        assert channel.name in words
        assert channel.unit in out
    parts = parts_of(simulator)
    assert parts != ()
    for part in parts:
        for field in fields_of(type(part), part):
            assert field.name in words
            assert field.text != "", field.name
    if isinstance(simulator, Adjustable):
        assert [term for term in simulator.settings if term not in words] == []
    else:
        assert simulator.spec.reward != ""
    assert [algorithm for algorithm in ALGORITHMS if algorithm not in words] == []
    assert f"{simulator.spec.control_hz:g} Hz" in out
    (gradients,) = (line for line in out.splitlines() if line.startswith("Gradients: "))
    assert ("none" not in gradients) == simulator.spec.differentiable
    assert " ".join(simulator.spec.goal.split()) in " ".join(words)
    assert max(map(len, out.splitlines())) <= width


def test_a_page_shows_ranges_choices_and_the_options_of_a_preset(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = " ".join(printed(capsys, "quadrotor-gates").split())
    for shown in ("0.3 to 1.2 m", "anywhere, first", "motors, ctbr, velocity", "--pathwise 1"):
        assert shown in out


def test_a_member_of_a_family_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "gymnasium/Pendulum-v1")
    assert "snapshot_bytes" in out
    assert "constructor of the environment" in out


def test_a_task_of_a_module_of_the_user_has_a_line_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tasks_of_mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    (line,) = (line for line in printed(capsys, "--import", "tasks_of_mine").splitlines() if "task-of-mine" in line)
    assert line.split()[1:] == ["cf21B_500", "16", "4", "100", "500"]
    out = printed(capsys, "task-of-mine", "--import", "tasks_of_mine")
    assert "mass_factor" in out
    assert "0.2" in out


@pytest.mark.parametrize(("differentiable", "line"), [(True, "through every step"), (False, "none")])
def test_a_page_shows_whether_there_are_gradients(
    differentiable: bool, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = robots.make("quadrotor-hover")
    monkeypatch.setattr(simulator, "spec", replace(simulator.spec, differentiable=differentiable))
    monkeypatch.setattr(robots, "make", lambda name: simulator)
    assert f"Gradients: {line}" in printed(capsys, "quadrotor-hover")


def test_an_unknown_task_is_one_line_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "quadrotor-hove"]) == 2
    assert "did you mean 'quadrotor-hover'?" in capsys.readouterr().err
