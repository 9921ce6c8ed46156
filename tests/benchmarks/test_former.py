"""The former torch step, kept as a yardstick of speed, gives the numbers of the shipped simulator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import robots
from benchmarks.speed import former
from benchmarks.speed.former import FormerSimulator

STEPS, ROWS = 50, 32
CLOSE = 1e-4  # what float32 rounding may grow to in 50 steps
CASES = [("quadrotor-hover", interface) for interface in ("motors", "ctbr", "velocity")]
CASES += [(task, "motors") for task in former.TASKS if task != "quadrotor-hover"]


@pytest.mark.parametrize(("task", "interface"), CASES)
def test_former_step_gives_the_numbers_of_the_shipped_one(task: str, interface: str) -> None:
    shipped, yardstick = robots.make(task, interface=interface), FormerSimulator(task, interface)
    generator = torch.Generator().manual_seed(1)
    low, high = (torch.tensor(bound) for bound in (shipped.spec.action_low, shipped.spec.action_high))
    neutral = torch.tensor(shipped.spec.neutral_action)
    state = shipped.reset(ROWS, 0)
    state.body.position[:, 2].mul_(0.3)  # so that some fall to the floor
    old = yardstick.begin(state)
    torch.testing.assert_close(yardstick.observe(old), shipped.observe(state), rtol=CLOSE, atol=CLOSE)
    ended = torch.zeros(ROWS, dtype=torch.bool)
    for _ in range(STEPS):
        noise = torch.randn(ROWS, len(neutral), generator=generator)
        action = neutral + 0.3 * (high - low) * noise  # some beyond the bounds
        ours, theirs = shipped.step(state, action), yardstick.step(old, action)
        torch.testing.assert_close(theirs.observation, ours.observation, rtol=CLOSE, atol=CLOSE)
        torch.testing.assert_close(theirs.reward, ours.reward, rtol=CLOSE, atol=CLOSE)
        torch.testing.assert_close(theirs.terminated, ours.terminated, rtol=0.0, atol=0.0)
        ended |= ours.terminated
        state, old = ours.state, theirs.state
    assert bool(ended.any())


def test_former_step_imports_only_parameters_of_the_quadrotor() -> None:
    allowed = ("robots.quadrotor.body.parameters", "robots.simulator")
    for path in Path(former.__file__).parent.glob("*.py"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "import" in line.split()]
        assert [x for x in lines if " robots" in x and not x.split()[1].startswith(allowed)] == [], path
