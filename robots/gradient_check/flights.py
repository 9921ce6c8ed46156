"""Points of random flights, at which gradients are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from robots.gradient_check.points import Point, floating, joined
from robots.simulator import Adjustable, Simulator, replace, select

_SHORT, _LONG = 50, 150  # control steps of a flight
_EVERY = 3  # steps from one kept step of a long flight to the next
_NEAR = 0.2  # standard deviation of actions near the neutral one, as a part of half their range
_STYLES = 5


def near_neutral(simulator: Simulator, num: int, generator: torch.Generator) -> Point:
    """Points of a flight with actions near the neutral one, each row at another time of it."""
    low, neutral, high = _actions(simulator)

    def act() -> Tensor:
        noise = torch.randn(num, len(low), generator=generator, dtype=torch.float64)
        return (neutral + _NEAR * 0.5 * (high - low) * noise).clamp(low, high)

    row = torch.arange(num)
    flight = _flight(simulator, num, _SHORT, act, generator)
    return joined([select(point, row[row % _SHORT == t]) for t, (point, _) in enumerate(flight)])


def eventful(simulator: Simulator, num: int, generator: torch.Generator) -> Point:
    """Points of flights that meet events.

    One fifth of the rows holds the lowest action, one the highest, one a random corner, one takes random actions, and
    one the neutral action. Every third step is kept, and every step that ends an episode. Where the simulator has a
    difficulty, initial states at difficulty 0 are added.
    """
    low, neutral, high = _actions(simulator)
    style = torch.arange(num).unsqueeze(1) % _STYLES
    corner = torch.rand(num, len(low), generator=generator, dtype=torch.float64).round()

    def act() -> Tensor:
        share = torch.rand(num, len(low), generator=generator, dtype=torch.float64)
        for held, value in enumerate((torch.zeros_like(share), torch.ones_like(share), corner)):
            share = torch.where(style == held, value, share)
        return torch.where(style == _STYLES - 1, neutral, low + (high - low) * share)

    flight = _flight(simulator, num, _LONG, act, generator)
    points = [select(point, ended | (t % _EVERY == 0)) for t, (point, ended) in enumerate(flight)]
    if isinstance(simulator, Adjustable) and "difficulty" in simulator.settings:
        difficulty = simulator.settings["difficulty"]
        simulator.adjust("difficulty", 0.0)
        points += [point for point, _ in _flight(simulator, num, 1, act, generator)]
        simulator.adjust("difficulty", difficulty)
    return joined(points)


def _flight(
    simulator: Simulator, num: int, steps: int, act: Callable[[], Tensor], generator: torch.Generator
) -> Iterator[tuple[Point, Tensor]]:
    """Inputs of each step, and the rows (B,) bool that end an episode with it; they begin a new one."""
    state = simulator.reset(num, generator)
    dtype = next(iter(floating(state).values())).dtype
    for _ in range(steps):
        point = Point(state, act().to(dtype))
        step = simulator.step(*point)
        yield point, step.terminated
        ended = step.terminated.nonzero().squeeze(1)
        state = replace(step.state, ended, simulator.reset(len(ended), generator)) if len(ended) else step.state


def _actions(simulator: Simulator) -> tuple[Tensor, Tensor, Tensor]:
    """Lowest, neutral and highest action, (A,) each."""
    spec = simulator.spec
    low, neutral, high = (
        torch.tensor(x, dtype=torch.float64) for x in (spec.action_low, spec.neutral_action, spec.action_high)
    )
    return low, neutral, high
