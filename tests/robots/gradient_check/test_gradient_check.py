"""The check of gradients finds planted faults, names their place, and accepts right gradients."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support import differentiable_pendulum as pendulums
from support.differentiable_pendulum import Body, Pendulum

import robots
from hgrpo_control.cli import main
from robots import registry
from robots.gradient_check.check import GradientReport, check_gradients
from robots.gradient_check.flights import eventful
from robots.gradient_check.points import Point, floating
from robots.gradient_check.slopes import BAR, errors, measure, scales


def checked(kind: type[Pendulum], states: int = 100) -> GradientReport:
    return check_gradients(kind(), kind(torch.float64), states)


def test_right_gradients_are_accepted_and_nearly_all_pairs_count() -> None:
    report = checked(Pendulum)
    assert report.right, report
    comparison = report.comparison
    assert comparison.pairs > 5000
    assert comparison.skipped < 0.01 * comparison.pairs
    assert comparison.worst is not None
    assert 0.0 < comparison.worst.error < 1e-7


def test_a_wrong_factor_is_located_in_every_output_that_it_reaches() -> None:
    report = checked(pendulums.WrongFactor)
    assert report.problems == []
    wrong = {(slope.output, slope.input): slope for slope in report.comparison.wrong}
    assert {output.partition("[")[0] for output, _ in wrong} == {
        "state.body.angle",
        "state.body.rate",
        "state.memory",
        "observation",
        "reward",
    }
    assert {name for _, name in wrong} == {"action[0] (torque)"}
    rate = wrong["state.body.rate", "action[0] (torque)"]
    assert rate.autograd == pytest.approx(1.001 * pendulums.DT)
    assert rate.difference == pytest.approx(pendulums.DT)
    assert rate.error == pytest.approx(0.001, rel=0.01)


def test_a_part_that_autograd_does_not_see_is_found_where_it_matters() -> None:
    report = checked(pendulums.Detached)
    assert {slope.output for slope in report.comparison.wrong} == {"reward"}
    worst = report.comparison.wrong[0]
    assert worst.input == "state.body.angle"
    assert worst.difference - worst.autograd == pytest.approx(1e-3, rel=0.01)


def test_an_undefined_slope_is_found_at_states_that_random_flights_miss() -> None:
    """The slopes near the neutral action are right; only the exactly neutral action has none."""
    report = checked(pendulums.UndefinedAtZero)
    assert report.comparison.wrong == []
    (line,) = report.problems
    assert "gradient of reward with respect to action is not finite" in line
    assert "of them end an episode" in line


def test_an_undefined_slope_of_the_branch_not_taken_is_found() -> None:
    report = checked(pendulums.UndefinedBranch)
    assert math.isinf(report.comparison.wrong[0].error)
    assert math.isnan(report.comparison.wrong[0].autograd)
    assert report.comparison.wrong[0].output == "reward"
    (line,) = report.problems
    assert "reward with respect to state.body.angle, state.body.rate, action is not finite" in line


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (pendulums.Rounded, "more than half of the slopes of output observation"),
        (pendulums.OtherBits, "reward of a step with gradients differs"),
        (pendulums.Shared, "of a row with respect to action depends on the other rows"),
        (pendulums.Overwritten, "through 3 steps with respect to action differs"),
        (pendulums.InPlace, "differentiable_pendulum.py, line"),
    ],
)
def test_a_problem_is_one_line(kind: type[Pendulum], line: str) -> None:
    report = checked(kind, states=50)
    assert not report.right
    assert any(line in problem for problem in report.problems), report.problems


def test_a_state_that_is_not_float64_in_float64_is_named() -> None:
    report = check_gradients(Pendulum(), Pendulum())
    assert "state.body.angle is torch.float32" in report.problems[0]


def test_eventful_flights_end_episodes_and_hold_the_bounds_and_the_neutral_action() -> None:
    simulator = Pendulum(torch.float64)
    point = eventful(simulator, 100, torch.Generator().manual_seed(0))
    assert int(simulator.step(*point).terminated.sum()) > 50
    for action in (-1.0, 0.0, 1.0):
        assert int((point.action == action).sum()) > 500


AT = (0.1, 0.2, 0.0)  # angle, rate and torque far from all events
TO_THE_LIMIT = 0.1 / (pendulums.DT * (1.0 - pendulums.DT * pendulums.DAMPING))  # rate that leads from 0 to 0.1 rad


@pytest.mark.parametrize(
    ("at", "moved", "output", "settled"),
    [
        (AT, "state.body.angle", "state.body.rate", True),
        ((0.3, 0.2, 0.0), "state.body.angle", "state.body.rate", False),  # the spring begins
        ((0.3 + 2e-5, 0.2, 0.0), "state.body.angle", "state.body.rate", False),
        ((0.3, 0.2, 0.0), "action", "state.body.rate", True),
        ((0.1, 0.2, 1.0), "action", "state.body.rate", False),  # the torque limit
        ((0.1, 0.2, 1.5), "action", "state.body.rate", True),
        ((0.0, TO_THE_LIMIT, 0.0), "state.body.rate", "reward", False),  # the counter stops
        ((0.0, 2.2, 0.0), "state.body.rate", "reward", True),
    ],
)
def test_events_are_left_out(at: tuple[float, float, float], moved: str, output: str, settled: bool) -> None:
    simulator = Pendulum(torch.float64)
    angle, rate, torque = (torch.tensor([value], dtype=torch.float64) for value in at)
    state = simulator.reset(1, 0)._replace(body=Body(angle, rate))
    point = Point(state, torque[:, None])
    tangents = {moved: torch.ones_like(floating(point)[moved])}
    (slopes,) = measure(simulator, point, tangents, {output: torch.ones(1, dtype=torch.float64)}).values()
    relative, away = errors(slopes, 1.0)
    assert bool(away) == settled
    assert not settled or float(relative) < BAR


def test_sizes_of_entries_are_root_mean_squares_or_one() -> None:
    simulator = Pendulum(torch.float64)
    state = simulator.reset(1000, 0)
    sizes = scales(simulator, Point(state, torch.zeros(1000, 1, dtype=torch.float64)))
    assert float(sizes.inputs["state.body.angle"]) == pytest.approx(3.0**-0.5, rel=0.1)
    assert sizes.inputs["state.memory"].tolist() == [1.0, 1.0]
    assert set(sizes.outputs) == {"state.body.angle", "state.body.rate", "state.memory", "observation", "reward"}


def test_the_command_checks_branches_and_gradients(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    for name, kind in (("right-slopes", Pendulum), ("wrong-slopes", pendulums.WrongFactor)):
        monkeypatch.setitem(registry._FACTORIES, name, lambda dtype=torch.float32, kind=kind: kind(dtype))
    assert robots.make("right-slopes").spec.differentiable
    assert main(["check", "right-slopes", "--states", "20"]) == 0
    out = capsys.readouterr().out
    assert "right-slopes is exact" in out
    assert "right-slopes has right gradients" in out
    assert "worst relative error" in out
    assert main(["check", "wrong-slopes", "--states", "20"]) == 1
    out = capsys.readouterr().out
    assert "wrong-slopes is exact" in out
    assert "action[0] (torque)" in out
    assert "0.05005" in out
    assert "wrong-slopes has WRONG gradients" in out.splitlines()[-1]


def test_a_task_that_cannot_be_made_in_float64_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry._FACTORIES, "single-slopes", lambda: Pendulum())
    assert main(["check", "single-slopes", "--states", "5"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "single-slopes" in line
    assert "dtype=torch.float64" in line
