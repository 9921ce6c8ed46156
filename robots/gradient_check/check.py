"""Check of the gradients of a differentiable simulator.

1. Autograd is compared with central differences in float64, away from events: `slopes.py` defines the pairs and which
   of them count. Every floating entry of the state and the action is an input; reward, observation and every floating
   entry of the next state are outputs. More than half of the slopes of each array must be away from events.
2. In float64 and in the simulator's own type, gradients must be finite, also at events, must change no bit of the
   results, must not depend on the batch, and must be the same through several steps as through one after the other.
"""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass, field

import torch

from robots.gradient_check.comparison import Comparison, compare
from robots.gradient_check.points import Point, floating, pulled_back, recorded
from robots.gradient_check.soundness import problems
from robots.simulator import Simulator

_NOT_THE_TASK = (os.path.dirname(torch.__file__), os.path.dirname(__file__))


@dataclass
class GradientReport:
    """Result of the check."""

    states: int
    """Number of states."""
    comparison: Comparison = field(default_factory=Comparison)
    problems: list[str] = field(default_factory=list)
    """Reasons besides wrong slopes why the gradients are not right, one line each."""

    @property
    def right(self) -> bool:
        """Whether no wrong slope and no problem was found."""
        return not self.comparison.wrong and not self.problems


def check_gradients(own: Simulator, exact: Simulator, states: int = 100, seed: int = 0) -> GradientReport:
    """Run the whole check.

    Args:
        own: A differentiable simulator.
        exact: The same one in float64.
        states: Number of states.
        seed: Seed of states, actions and directions.
    """
    generator = torch.Generator().manual_seed(seed)
    report = GradientReport(states)
    begun = exact.reset(1, 0)
    for name, array in floating(begun).items():
        if array.dtype != torch.float64:
            report.problems.append(f"state.{name} is {array.dtype} in the simulator made with dtype=torch.float64")
    report.problems += _unrecorded(own)
    if report.problems:
        return report
    report.comparison = compare(exact, states, generator)
    if report.comparison.pairs == 0:
        report.problems.append("no result depends on state or action")
    report.problems += [f"more than half of the slopes of {name} are at events" for name in report.comparison.eventful]
    report.problems += problems(own, states, generator) or [
        f"in float64, {line}" for line in problems(exact, states, generator)
    ]
    return report


def _unrecorded(simulator: Simulator) -> list[str]:
    """Message and place of an operation that autograd refuses, such as one in place on an input; empty if none."""
    state = simulator.reset(1, 0)
    action = torch.tensor([simulator.spec.neutral_action], dtype=next(iter(floating(state).values())).dtype)
    try:
        inputs, step = recorded(simulator, Point(state, action))
        outputs = floating(step)
        pulled_back(outputs, {name: torch.ones_like(array) for name, array in outputs.items()}, inputs)
    except RuntimeError as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THE_TASK)]
        place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
        return [f"autograd cannot follow a step: {' '.join(str(error).split())}{place}"]
    return []
