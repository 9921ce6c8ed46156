"""Time of a control step of the quadrotor against the former torch step, measured in one run.

    python -m benchmarks.speed.throughput [--rows 1 64 1024] [--interfaces motors] [--rounds 7] [--json FILE]

Every line of the table is a case of task, interface and number of rows B. In each round the former step
(benchmarks/speed/former), the shipped `simulator.step` and, where the simulator is differentiable, the shipped step
with its adjoint are timed one after the other for at least `--seconds`. Times are medians over the rounds, and a ratio
is the median of the ratios within a round, so that other load on the machine hits both sides.

All of them fly: actions are neutral ones with noise, and rows that have terminated are replaced by new episodes outside
the timing. With adjoint: 16 control steps whose actions have gradients, then `backward` through the sum of the rewards;
the time is that of one of the 16. The former step has no adjoint.
"""

from __future__ import annotations

import hgrpo_control  # noqa: F401  (before torch: it says how torch's threads wait, as it does in training)

# isort: split
import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import robots
from benchmarks.speed.former import FormerSimulator
from benchmarks.suite.origin import describe_origin
from hgrpo_control.config.device import DeviceError, find_device
from hgrpo_control.reports.compare import markdown_table
from robots.simulator import Simulator, Step, map_state, replace

ADJOINT_STEPS = 16
NOISE = 0.1  # of the actions, share of their range
COLUMNS = ("task", "interface", "rows", "former [us]", "now [us]", "former / now", "now [steps/s]")
ADJOINT_COLUMNS = ("now with adjoint [us]", "with adjoint / now")


class Case(NamedTuple):
    """What is stepped."""

    task: str
    interface: str
    rows: int


CASES = (
    *(
        Case("quadrotor-hover", interface, rows)
        for interface in ("motors", "ctbr", "velocity")
        for rows in (1, 64, 1024, 4096, 65536)
    ),
    *(Case(task, "motors", rows) for task in ("quadrotor-gates", "quadrotor-obstacles") for rows in (64, 1024)),
)


class Times(NamedTuple):
    """Times of one control step of all rows [s], one per round."""

    former: list[float]
    now: list[float]
    adjoint: list[float]
    """Forward and adjoint; empty for a simulator that is not differentiable."""


class Flight:
    """Rows that fly with noisy actions; new episodes replace the terminated ones.

    Args:
        step: Control step of all rows.
        begin: `begin(num, generator)` draws states of new episodes.
        actions: Actions (B, A) of successive steps.
    """

    def __init__(
        self,
        step: Callable[[Any, Tensor], Step],
        begin: Callable[[int, torch.Generator], Any],
        actions: Sequence[Tensor],
    ) -> None:
        self.step, self.begin, self.actions = step, begin, actions
        self.generator = torch.Generator(actions[0].device).manual_seed(0)
        self.state = begin(len(actions[0]), self.generator)

    def forward(self, seconds: float) -> float:
        """Time of one step without gradients [s], over at least `seconds` of them."""
        return _per_step(self._block, seconds)

    def adjoint(self, seconds: float) -> float:
        """Time of one step with its share of the backward pass [s], over at least `seconds` of them."""
        return _per_step(self._differentiated, seconds)

    @torch.no_grad()
    def _block(self) -> tuple[int, float]:
        state, ended = self.state, []
        began = _now(self.actions[0])
        for action in self.actions:
            step = self.step(state, action)
            state = step.state
            ended.append(step.terminated)
        took = _now(self.actions[0]) - began
        self._go_on(state, ended)
        return len(self.actions), took

    def _differentiated(self) -> tuple[int, float]:
        actions = [action.clone().requires_grad_() for action in self.actions]
        state, ended = self.state, []
        began = _now(actions[0])
        total = torch.zeros((), device=actions[0].device)
        for action in actions:
            step = self.step(state, action)
            state, total = step.state, total + step.reward.sum()
            ended.append(step.terminated)
        total.backward()
        took = _now(actions[0]) - began
        if any(action.grad is None for action in actions):
            raise RuntimeError("no gradient reached an action, so this was no adjoint")
        self._go_on(map_state(Tensor.detach, state), ended)
        return len(actions), took

    def _go_on(self, state: Any, ended: Sequence[Tensor]) -> None:
        """Keep a state, with new episodes in the rows where any of `ended` (B,) bool is true."""
        rows = torch.stack(list(ended)).any(dim=0).nonzero().squeeze(1)
        self.state = replace(state, rows, self.begin(len(rows), self.generator)) if len(rows) else state


def measure(case: Case, rounds: int, seconds: float, device: torch.device | str = "cpu") -> Times:
    """Time the former and the shipped step of a case in turns.

    Args:
        case: What is stepped.
        rounds: Number of turns.
        seconds: Least time of each measurement [s].
        device: Device of the states.
    """
    simulator = robots.make(case.task, interface=case.interface, device=str(device))
    former = FormerSimulator(case.task, case.interface, device)
    actions = draw_actions(simulator, case.rows, torch.device(device))
    some = actions if case.rows <= 4096 else actions[:2]  # a former step of 65,536 rows takes up to a second
    now = Flight(simulator.step, simulator.reset, some)
    before = Flight(former.step, lambda num, generator: former.begin(simulator.reset(num, generator)), some)
    contestants = [before.forward, now.forward]
    if simulator.spec.differentiable:
        contestants.append(Flight(simulator.step, simulator.reset, actions).adjoint)
    for contestant in contestants:
        contestant(seconds)  # compiles and warms up
    times = Times([], [], [])
    for _ in range(rounds):
        for column, contestant in zip(times, contestants, strict=False):
            column.append(contestant(seconds))
    return times


def draw_actions(simulator: Simulator, rows: int, device: torch.device) -> list[Tensor]:
    """Noisy neutral actions (B, A) of ADJOINT_STEPS control steps."""
    spec, generator = simulator.spec, torch.Generator(device).manual_seed(1)
    neutral, low, high = (
        torch.tensor(x, device=device) for x in (spec.neutral_action, spec.action_low, spec.action_high)
    )
    noise = torch.randn(ADJOINT_STEPS, rows, len(neutral), generator=generator, device=device)
    return list(neutral + NOISE * (high - low) * noise)


def describe(case: Case, times: Times) -> dict[str, Any]:
    """The figures of a case: times in microseconds, ratios, control steps of any row per second."""
    former, now = (1e6 * statistics.median(x) for x in (times.former, times.now))
    figures = {
        **case._asdict(),
        "former_us": former,
        "now_us": now,
        "former_over_now": _ratio(times.former, times.now),
        "now_steps_per_second": 1e6 * case.rows / now,
    }
    if times.adjoint:
        figures["adjoint_us"] = 1e6 * statistics.median(times.adjoint)
        figures["adjoint_over_now"] = _ratio(times.adjoint, times.now)
    return figures


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Markdown table of the figures of several cases."""
    rows = []
    for line in lines:
        adjoint = (
            [f"{line['adjoint_us']:,.0f}", f"{line['adjoint_over_now']:.1f}"] if "adjoint_us" in line else ["-"] * 2
        )
        rows.append(
            [
                line["task"],
                line["interface"],
                f"{line['rows']:,}",
                f"{line['former_us']:,.0f}",
                f"{line['now_us']:,.0f}",
                f"{line['former_over_now']:.1f}",
                f"{line['now_steps_per_second']:,.0f}",
                *adjoint,
            ]
        )
    return markdown_table(COLUMNS + ADJOINT_COLUMNS, rows)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table; 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, kind in (("tasks", str), ("interfaces", str), ("rows", int)):
        values = list(dict.fromkeys(getattr(case, name.removesuffix("s") if kind is str else name) for case in CASES))
        parser.add_argument(f"--{name}", nargs="+", type=kind, choices=values, default=values, help="only these cases")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="at least, per figure and round")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    given = parser.parse_args(words)
    if min(given.rounds, given.seconds, given.threads) <= 0:
        parser.error(
            "--rounds, --seconds and --threads must be positive; "
            f"given {given.rounds}, {given.seconds:g} and {given.threads}"
        )
    cases = [c for c in CASES if c.task in given.tasks and c.interface in given.interfaces and c.rows in given.rows]
    if not cases:
        parser.error("no case has these tasks, interfaces and rows; gates and obstacles have motors, 64 and 1024 rows")
    try:
        device = find_device(given.device)
    except DeviceError as error:
        parser.error(str(error))
    torch.set_num_threads(given.threads)
    lines = []
    for case in cases:
        lines.append(describe(case, measure(case, given.rounds, given.seconds, device)))
        print(f"{case.task} {case.interface} {case.rows} done", file=sys.stderr)
    origin = {**describe_origin(["warp-lang"]), "device": given.device, "threads": given.threads}
    print(", ".join(f"{name} {value}" for name, value in origin.items()) + "\n")
    print(
        f"Medians of {given.rounds} rounds of at least {given.seconds:g} s per figure, in turns; B rows in one call.\n"
    )
    print(table(lines))
    if given.json:
        text = json.dumps(
            {"origin": origin, "rounds": given.rounds, "seconds": given.seconds, "cases": lines}, indent=2
        )
        given.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _per_step(work: Callable[[], tuple[int, float]], seconds: float) -> float:
    """Mean time of a step [s]; `work` takes some steps and gives their number and time."""
    steps, took = 0, 0.0
    while took < seconds:
        more, longer = work()
        steps, took = steps + more, took + longer
    return took / steps


def _now(tensor: Tensor) -> float:
    """The time [s] when the work of the tensor's device is done."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
    return time.perf_counter()


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


if __name__ == "__main__":
    sys.exit(main())
