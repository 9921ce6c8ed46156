"""Compare policies on drawn airframes and on presets, from the same starts, beside RAPTOR's published policy.

    python -m benchmarks.airframes RUN ... [--raptor] [--task quadrotor-any-track] [--out docs/results/airframes.md]
    python -m benchmarks.airframes RUN --raptor --physics mujoco --out docs/results/airframes-mujoco.md

RUN is a run folder of a quadrotor task with interface=motors; `--raptor` needs `pip install foundation-policy==1.0.1`.
Every policy flies the same starts, airframes, wind and gusts, with its own observation. The table has, for each set of
airframes, success, share still flying at the time limit, and median position error of these in the last second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import robots
from benchmarks.airframes.flights import Figures, Pilot, fly
from benchmarks.airframes.raptor import Raptor
from hgrpo_errors import HgrpoError
from policies import checkpoint
from policies.carried import Carried
from robots.quadrotor.body.any_airframe import ANY
from robots.quadrotor.body.parameters import PRESETS
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.physics.catalogue import AIRFRAMES, BUILT_IN

IDENTIFIED = ("rl-tools", "flightmare", "fs", "mrs", "race", "x500")
"""The airframes of RAPTOR's repository; rl-tools is its crazyflie."""
CALM = {"wind": 0.0, "gust": 0.0, "battery_sag": 0.0}
SEED = 1


class Case(NamedTuple):
    """A set of airframes."""

    airframe: str
    """Value of the option `quadrotor`."""
    windy: bool
    """Whether wind, gusts and battery are those of the task, or none."""


class Contestant(NamedTuple):
    """A policy and the observation that it takes."""

    name: str
    pilot: Pilot
    observation: str


def cases(physics: str) -> Iterator[Case]:
    """Sets of airframes that an engine flies; only the built-in one has drawn airframes and wind."""
    if physics == BUILT_IN:
        yield from (Case(name, windy) for windy in (False, True) for name in (ANY, *presets()))
    else:
        yield from (Case(name, False) for name in presets() if name == AIRFRAMES.get(physics, name))


def presets() -> tuple[str, ...]:
    """Every preset, the identified airframes first."""
    return (*IDENTIFIED, *(name for name in PRESETS if name not in IDENTIFIED))


def measure(
    contestants: Sequence[Contestant], case: Case, task: str, physics: str, drawn: int, each: int
) -> list[Figures]:
    """Figures of each policy on one set of airframes.

    Args:
        contestants: The policies.
        case: The set.
        task: Name of the task.
        physics: Name of the engine.
        drawn: Flights on drawn airframes.
        each: Flights on a preset.
    """
    options = {} if case.windy else CALM
    num, figures = drawn if case.airframe == ANY else each, []
    for one in contestants:
        simulator = robots.make(task, quadrotor=case.airframe, physics=physics, observation=one.observation, **options)
        assert isinstance(simulator, QuadrotorFlight)
        figures.append(fly(one.pilot, simulator, num, SEED))
        simulator.close()
    return figures


def table(names: Sequence[str], rows: Sequence[tuple[Case, list[Figures]]]) -> str:
    """The figures in Markdown, with the mean over the identified airframes."""
    heads = [f"{name}: success | flying | error [mm]" for name in names]
    lines = [f"| airframe | wind | {' | '.join(heads)} |", f"|---|---|{'---:|' * (3 * len(names))}"]
    for case, figures in rows:
        name = "drawn" if case.airframe == ANY else case.airframe
        lines.append(_line(name, case.windy, figures))
    for windy in (False, True):
        six = [figures for case, figures in rows if case.airframe in IDENTIFIED and case.windy == windy]
        if len(six) == len(IDENTIFIED):
            means = [
                Figures(*(sum(values) / len(six) for values in zip(*each, strict=True)))
                for each in zip(*six, strict=True)
            ]
            lines.append(_line("mean of the six identified", windy, means))
    return "\n".join(lines)


def _line(name: str, windy: bool, figures: Sequence[Figures]) -> str:
    cells = [f"{one.success:.3f} | {one.flying:.3f} | {1000.0 * one.error:.0f}" for one in figures]
    return f"| {name} | {'yes' if windy else 'no'} | {' | '.join(cells)} |"


def read(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.airframes", description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN")
    parser.add_argument("--raptor", action="store_true", help="fly RAPTOR's published policy too")
    parser.add_argument("--task", default="quadrotor-any", choices=("quadrotor-any", "quadrotor-any-track"))
    parser.add_argument("--physics", default=BUILT_IN)
    parser.add_argument("--drawn", type=int, default=500, help="flights on drawn airframes")
    parser.add_argument("--each", type=int, default=200, help="flights on each preset")
    parser.add_argument("--out", type=Path, default=Path("docs/results/airframes.md"))
    given = parser.parse_args(arguments)
    if not given.runs and not given.raptor:
        parser.error("nothing to fly: give a RUN, or --raptor")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Fly, print the table and write it."""
    given = read(arguments)
    try:
        contestants = [_trained(run) for run in given.runs]
        contestants += [Contestant("RAPTOR", Raptor(), "raptor")] if given.raptor else []
        rows = [
            (case, measure(contestants, case, given.task, given.physics, given.drawn, given.each))
            for case in cases(given.physics)
        ]
    except HgrpoError as error:
        raise SystemExit(str(error)) from error
    text = (
        f"# {given.task} on many airframes, physics {given.physics}\n\n"
        f"{given.drawn} flights on drawn airframes, {given.each} on each preset, the same starts for every policy "
        f"(seed {SEED}).\nError: median over the flights that last, mean over the last second.\n\n"
        f"{table([one.name for one in contestants], rows)}\n"
    )
    print(text)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text, encoding="utf-8")


def _trained(run: Path) -> Contestant:
    policy = checkpoint.load(run)
    observation = "raptor" if any(entry.name == "offset_x" for entry in policy.spec.observation) else "body"
    return Contestant(run.name, Carried(policy), observation)


if __name__ == "__main__":
    main()
