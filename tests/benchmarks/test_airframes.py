"""benchmarks/airframes flies policies on the same starts and prints one table."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import robots
from benchmarks.airframes import __main__ as airframes
from benchmarks.airframes.__main__ import Case, Contestant, cases, main, measure, presets, table
from benchmarks.airframes.flights import Figures, fly
from benchmarks.airframes.raptor import Raptor
from hgrpo_errors import HgrpoError
from robots.quadrotor.body.parameters import PRESETS, preset
from robots.quadrotor.flight.simulator import QuadrotorFlight


class Still:
    """A pilot that stops the rotors, and remembers what it saw first."""

    def __init__(self) -> None:
        self.resets, self.first = 0, torch.empty(0)

    def reset(self) -> None:
        self.resets, self.first = self.resets + 1, torch.empty(0)

    def __call__(self, observation: Tensor) -> Tensor:
        self.first = self.first if len(self.first) else observation
        return -torch.ones(len(observation), 4)


class Proportional:
    """A pilot for cf2x, whose rotors follow at once: attitude and height loops on RAPTOR's entries."""

    def reset(self) -> None:
        """Nothing to forget."""

    def __call__(self, observation: Tensor) -> Tensor:
        offset, rotation, velocity, rate = observation[:, :18].split((3, 9, 3, 3), dim=1)
        wanted = -2.0 * offset - 2.5 * velocity  # acceleration in the world
        up = rotation.unflatten(1, (3, 3))
        lean = torch.einsum("bij,bi->bj", up, torch.cat((wanted[:, :2] / 9.81, torch.ones_like(wanted[:, :1])), dim=1))
        roll, pitch, yaw = -lean[:, 1] - 0.15 * rate[:, 0], lean[:, 0] - 0.15 * rate[:, 1], -0.3 * rate[:, 2]
        lift = 2.0 * preset("cf2x").hover_rotor_speed - 1.0 + 0.06 * wanted[:, 2]
        signs = torch.tensor([[-1.0, -1, -1], [-1, 1, 1], [1, 1, -1], [1, -1, 1]])
        return lift.unsqueeze(1) + 0.2 * torch.stack((roll, pitch, yaw), dim=1) @ signs.t()


def test_stopped_rotors_reach_nothing() -> None:
    pilot = Still()
    figures = fly(pilot, _task("cf2x"), 5, 0)
    assert figures.success == figures.flying == 0.0
    assert math.isnan(figures.error)
    assert pilot.resets == 1


def test_a_pilot_that_hovers_succeeds_with_a_small_error() -> None:
    figures = fly(Proportional(), _task("cf2x", difficulty=0.3), 20, 0)
    assert figures.success == figures.flying == 1.0
    assert figures.error < 0.05


def test_every_policy_gets_the_same_starts_with_its_own_observation() -> None:
    one, other = Still(), Still()
    contestants = [Contestant("one", one, "raptor"), Contestant("other", other, "body")]
    measure(contestants, Case("any", True), "quadrotor-any", "built-in", 6, 3)
    assert one.first.shape == (6, 22)
    assert other.first.shape == (6, 16)
    rotation = one.first[:, 3:12].unflatten(1, (3, 3))
    offset = torch.einsum("bij,bi->bj", rotation, one.first[:, :3])
    near = one.first[:, :3].abs().amax(dim=1) < 0.5  # not clipped
    assert near.any()
    torch.testing.assert_close(offset[near], -other.first[near, :3], rtol=0, atol=1e-5)


def test_sets_of_airframes_are_those_that_an_engine_flies() -> None:
    assert set(presets()) == set(PRESETS)
    assert len(list(cases("built-in"))) == 2 * (len(PRESETS) + 1)
    assert list(cases("mujoco")) == [Case(name, False) for name in presets()]
    assert list(cases("gym-pybullet-drones")) == [Case("cf2x", False)]


def test_table_has_a_line_per_set_and_the_mean_of_the_identified() -> None:
    rows = [(Case(name, False), [Figures(0.1 * i, 1.0, 0.01)]) for i, name in enumerate(airframes.IDENTIFIED)]
    lines = table(["policy"], rows).splitlines()
    assert len(lines) == 2 + len(rows) + 1
    assert lines[2] == "| rl-tools | no | 0.000 | 1.000 | 10 |"
    assert lines[-1] == "| mean of the six identified | no | 0.250 | 1.000 | 10 |"


def test_missing_raptor_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foundation_policy", None)
    with pytest.raises(HgrpoError, match="foundation-policy"):
        Raptor()


def test_nothing_to_fly_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--raptor" in capsys.readouterr().err


def test_a_missing_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nowhere"):
        main([str(tmp_path / "nowhere")])


def _task(quadrotor: str, **options: float) -> QuadrotorFlight:
    simulator = robots.make("quadrotor-any", quadrotor=quadrotor, **airframes.CALM, **options)
    assert isinstance(simulator, QuadrotorFlight)
    return simulator
