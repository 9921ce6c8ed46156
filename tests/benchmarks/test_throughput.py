"""benchmarks/speed/throughput.py times the former and the shipped step in turns, with rows that fly."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import robots
from benchmarks.speed import throughput
from benchmarks.speed.throughput import Case, Flight, Times, describe, draw_actions
from robots.simulator import Step

HOVER = Case("quadrotor-hover", "motors", 64)


def test_ratio_is_taken_within_a_round() -> None:
    # Rounds (10, 40, 30) over (5, 10, 30): 2, 4 and 1. The ratio of the medians would be 3.
    figures = describe(HOVER, Times(former=[1e-5, 4e-5, 3e-5], now=[5e-6, 1e-5, 3e-5], adjoint=[]))
    assert figures["former_over_now"] == pytest.approx(2.0)
    assert figures["former_us"] == pytest.approx(30.0)
    assert figures["now_us"] == pytest.approx(10.0)
    assert figures["now_steps_per_second"] == pytest.approx(64 / 1e-5)
    assert "adjoint_us" not in figures


def test_adjoint_is_compared_with_the_shipped_step() -> None:
    figures = describe(HOVER, Times(former=[1e-4], now=[1e-5], adjoint=[7e-5]))
    assert figures["adjoint_over_now"] == pytest.approx(7.0)
    assert "7.0" in throughput.table([figures])


def test_terminated_rows_are_replaced_and_the_others_fly_on() -> None:
    simulator = robots.make("quadrotor-hover")
    fall = [torch.full((8, 4), -1.0)] * 16
    flight = Flight(simulator.step, simulator.reset, fall)
    for _ in range(20):
        flight._block()
    assert int(flight.state.steps.max()) < 20 * 16
    assert len(flight.state.steps.unique()) > 1
    assert bool((flight.state.body.position[:, 2] > 0.0).all())


class Point(NamedTuple):
    """Points (B, 1) that an action moves; they end beyond 1."""

    place: Tensor


def begin_points(num: int, generator: torch.Generator) -> Point:
    return Point(torch.zeros(num, 1))


def move(state: Point, action: Tensor) -> Step:
    place = state.place + action
    return Step(Point(place), place, -place.square().sum(dim=1), (place.abs() > 1.0).any(dim=1))


def test_adjoint_takes_gradients_and_keeps_none() -> None:
    flight = Flight(move, begin_points, [torch.tensor([[0.01], [0.5]])] * 4)
    assert flight.adjoint(1e-9) > 0.0
    torch.testing.assert_close(flight.state.place, torch.tensor([[0.04], [0.0]]))  # the second has ended
    assert not flight.state.place.requires_grad


def test_step_without_gradient_is_no_adjoint() -> None:
    flight = Flight(lambda state, action: move(state, action.detach()), begin_points, [torch.zeros(2, 1)])
    with pytest.raises(RuntimeError):
        flight.adjoint(1e-9)


def test_actions_are_near_the_neutral_one() -> None:
    simulator = robots.make("quadrotor-hover", interface="ctbr")
    actions = torch.stack(draw_actions(simulator, 4096, torch.device("cpu")))
    assert actions.shape == (throughput.ADJOINT_STEPS, 4096, 4)
    torch.testing.assert_close(actions.mean((0, 1)), torch.tensor([1.0, 0.0, 0.0, 0.0]), rtol=0.0, atol=0.05)


def test_figures_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads, file = str(torch.get_num_threads()), tmp_path / "figures.json"
    words = "--tasks quadrotor-gates quadrotor-hover --rows 64 --interfaces motors --rounds 1 --seconds 1e-4 --threads"
    assert throughput.main([*words.split(), threads, "--json", str(file)]) == 0
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    assert [case["task"] for case in cases] == ["quadrotor-hover", "quadrotor-gates"]
    assert all(case["former_us"] > 0.0 and case["now_us"] > 0.0 for case in cases)
    assert len(re.findall(r"\| motors +\| 64 +\|", capsys.readouterr().out)) == 2


@pytest.mark.parametrize(
    ("words", "offence"),
    [
        (["--rows", "3"], "3"),
        (["--rounds", "0"], "--rounds"),
        (["--tasks", "quadrotor-gates", "--rows", "1"], "no case"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_refused(words: list[str], offence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        throughput.main(words)
    assert offence in capsys.readouterr().err
