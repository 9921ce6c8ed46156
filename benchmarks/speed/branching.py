"""Cost of branching: N samples from each of E simulator states, compared with other ways to step the same task.

    python -m benchmarks.speed.branching [--tasks HalfCheetah-v5 ...] [--rounds 4] [--seconds 0.1] [--out docs/results]

All ways run in one process, in short alternating rounds, so that noise hits all alike; a figure is the median over the
rounds, and ratios are taken within a round. Writes branching.md and branching/ into the folder `out`.
"""

from __future__ import annotations

import hgrpo_control  # noqa: F401  (before torch: it says how torch's threads wait, as it does in training)

# isort: split
import argparse
import csv
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import gymnasium
import mujoco
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed.contestants import (
    Contestant,
    CopiedData,
    GymnasiumLoop,
    GymnasiumVector,
    RawBatch,
    RepeatAndStep,
    SampledRollout,
    begin_branching,
)
from benchmarks.suite.origin import describe_origin
from benchmarks.suite.plots import COLORS, save
from hgrpo_control.reports.compare import markdown_table
from robots.catalogue import MUJOCO_TASKS

TASKS = (*MUJOCO_TASKS, "quadrotor-hover")
SAMPLES = (1, 4, 16)
ROOTS = 16
SWEPT_TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5")
SWEPT_ROOTS = (4, 32, 64)
SWEPT_SAMPLES = 4
VECTOR_ENVS = 8
LOOP, SYNC, ASYNC = "gymnasium loop", "SyncVectorEnv", "AsyncVectorEnv"
COPY, RAW, STEP, SAMPLER = "mj_copyData loop", "raw Batch", "repeat + step", "Sampler.collect"


class Entry(NamedTuple):
    """A measured way to step, with its numbers of roots and samples; both are 0 without branching."""

    task: str
    way: str
    roots: int = 0
    samples: int = 0


Rates = dict[Entry, list[float]]
"""Control steps per second of each entry, one per round."""


def main(words: Sequence[str] | None = None) -> int:
    """Measure, write the results and print where they lie; 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.1, help="at least, per figure and round")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the results")
    given = parser.parse_args(words)
    if given.rounds < 1 or given.seconds <= 0.0:
        parser.error(f"--rounds and --seconds must be positive; given {given.rounds} and {given.seconds}")
    rates: Rates = {}
    for task in dict.fromkeys(given.tasks):
        rates |= measure(task, given.rounds, given.seconds)
        print(f"{task} done", file=sys.stderr)
    command = f"--tasks {' '.join(given.tasks)} " if tuple(given.tasks) != TASKS else ""
    command = f"python -m benchmarks.speed.branching {command}--rounds {given.rounds} --seconds {given.seconds:g}"
    for path in write(rates, command, given.out):
        print(path)
    return 0


def measure(task: str, rounds: int, seconds: float) -> Rates:
    """Rates of all entries on one task, round by round."""
    entrants = prepare(task)
    try:
        rates: Rates = {entry: [] for entry in entrants}
        for contestant in entrants.values():
            contestant.work()
        for _ in range(rounds):
            for entry, contestant in entrants.items():
                rates[entry].append(contestant.rate(seconds))
    finally:
        for contestant in entrants.values():
            contestant.close()
    return rates


def prepare(task: str) -> dict[Entry, Contestant]:
    """All entries that can step the task."""
    settings = [(ROOTS, n) for n in SAMPLES]
    if task in SWEPT_TASKS:
        settings += [(e, SWEPT_SAMPLES) for e in SWEPT_ROOTS]
    entrants: dict[Entry, Contestant] = {}
    for roots, samples in settings:
        branching = begin_branching(task, roots, samples)
        entrants[Entry(task, SAMPLER, roots, samples)] = SampledRollout(branching.sampler)
        if task in MUJOCO_TASKS:
            entrants[Entry(task, RAW, roots, samples)] = RawBatch(branching.simulator, branching.recorded)
        if roots != ROOTS:
            continue
        ours = RepeatAndStep(branching.simulator, branching.roots, branching.recorded, samples)
        entrants[Entry(task, STEP, roots, samples)] = ours
        if task not in MUJOCO_TASKS:
            continue
        actions = torch.stack(branching.recorded.actions).reshape(
            -1, roots, samples, branching.recorded.actions[0].shape[-1]
        )
        entrants[Entry(task, COPY, roots, samples)] = CopiedData(task, branching.roots.physics.numpy(), actions.numpy())
        if samples == SAMPLES[0]:
            some = actions.flatten(0, 2).numpy()[:64]
            entrants[Entry(task, LOOP)] = GymnasiumLoop(task, some)
            entrants[Entry(task, SYNC)] = GymnasiumVector(task, some, VECTOR_ENVS, parallel=False)
            entrants[Entry(task, ASYNC)] = GymnasiumVector(task, some, VECTOR_ENVS, parallel=True)
    return entrants


def write(rates: Rates, command: str, out: Path) -> list[Path]:
    """Every round as CSV, the picture, and the page; the paths."""
    folder = out / "branching"
    folder.mkdir(parents=True, exist_ok=True)
    rounds, picture, page = folder / "rounds.csv", folder / "branching.png", out / "branching.md"
    with rounds.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Entry._fields, "round", "steps_per_second"])
        writer.writerows([*e, i, f"{x:.1f}"] for e, values in rates.items() for i, x in enumerate(values))
    draw(rates, picture)
    page.write_text(describe(rates, command), encoding="utf-8")
    return [page, picture, rounds]


def describe(rates: Rates, command: str) -> str:
    """The page."""
    origin = describe_origin()
    versions = {"Python": origin["python"], "torch": origin["torch"], "NumPy": origin["numpy"]}
    versions |= {"MuJoCo": mujoco.__version__, "Gymnasium": gymnasium.__version__}
    waiting = os.environ.get("OMP_WAIT_POLICY", "not set")
    return f"""# Branching

Made by `{command}` at commit {origin["commit"]} on {origin["cores"]} cores ({origin["machine"]}, {origin["system"]}),
{", ".join(f"{name} {version}" for name, version in versions.items())}, {torch.get_num_threads()} threads,
OMP_WAIT_POLICY {waiting}. `branching/rounds.csv` has every round.

Control steps of any branch per second. E = {ROOTS} roots with N samples each and branches of one step; all ways take
turns in one process, and each figure is the median over the rounds. "{COPY}" is branching with Gymnasium's environment:
`mj_copyData` before each sample's `step`, one after the other. "{RAW}" is the call of `mujoco.batch.Batch.step` and
nothing else. "{STEP}" is this package's simulator with observation, reward and termination, "{SAMPLER}" a rollout with
all that training needs, a policy and a critic with two layers of 64 units included. Vector environments hold
{VECTOR_ENVS} copies. Except for the three of Gymnasium's own, all do exactly the same steps.

{rates_table(rates)}
Ratios to the Gymnasium loop, and the time that the sampler takes beyond the bare call for the same steps, as a share of
that call: medians of ratios within a round, in brackets the smallest and the largest.

{ratios_table(rates)}
![Ratios to the Gymnasium loop, and the sampler's overhead](branching/branching.png)

{sweep(rates)}"""


def rates_table(rates: Rates) -> str:
    """Steps per second, one line per task and N."""
    columns = ("task", "N", LOOP, SYNC, ASYNC, COPY, RAW, STEP, SAMPLER)
    rows = []
    for task, n in _groups(rates):
        cells = [(LOOP, 0, 0), (SYNC, 0, 0), (ASYNC, 0, 0), *((way, ROOTS, n) for way in (COPY, RAW, STEP, SAMPLER))]
        rows.append([task, str(n), *(_rate(rates, Entry(task, *cell)) for cell in cells)])
    return markdown_table(columns, rows)


def ratios_table(rates: Rates) -> str:
    """Ratios to the Gymnasium loop and overhead, one line per task and N."""
    columns = ("task", "N", "rows", COPY, STEP, SAMPLER, "sampler over raw Batch")
    rows = []
    for task, n in _groups(rates):
        over_loop = [_spread(ratios(rates, Entry(task, w, ROOTS, n), Entry(task, LOOP))) for w in (COPY, STEP, SAMPLER)]
        rows.append([task, str(n), str(ROOTS * n), *over_loop, _overhead(rates, task, ROOTS, n)])
    return markdown_table(columns, rows)


def sweep(rates: Rates) -> str:
    """The sampler's overhead by number of rows, for the tasks that were swept; empty if none was."""
    tasks = [task for task in SWEPT_TASKS if any(entry.task == task for entry in rates)]
    if not tasks:
        return ""
    columns = ("rows (E x N)", *tasks)
    rows = [
        [f"{e} x {SWEPT_SAMPLES} = {e * SWEPT_SAMPLES}", *(_overhead(rates, task, e, SWEPT_SAMPLES) for task in tasks)]
        for e in sorted({*SWEPT_ROOTS, ROOTS})
    ]
    return f"The sampler's overhead over the raw call by number of rows:\n\n{markdown_table(columns, rows)}"


def ratios(rates: Mapping[Entry, Sequence[float]], above: Entry, below: Entry) -> list[float]:
    """Rate over rate, round by round; empty where one of them was not measured."""
    if above not in rates or below not in rates:
        return []
    return [a / b for a, b in zip(rates[above], rates[below], strict=True)]


def overheads(rates: Mapping[Entry, Sequence[float]], task: str, roots: int, samples: int) -> list[float]:
    """Time of the sampler over that of the raw call, less 1, round by round."""
    fast, slow = (Entry(task, way, roots, samples) for way in (RAW, SAMPLER))
    return [ratio - 1.0 for ratio in ratios(rates, fast, slow)]


def draw(rates: Rates, path: Path) -> None:
    """PNG: per task the ratio to the Gymnasium loop of each way, and the overhead of the sampler."""
    tasks = [task for task in dict.fromkeys(entry.task for entry in rates) if Entry(task, LOOP) in rates]
    figure = Figure(figsize=(11, 1.6 + 0.42 * max(len(tasks), 1)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    for shade, (way, n) in enumerate([(COPY, 4), (STEP, 1), (STEP, 4), (STEP, 16), (SAMPLER, 4)]):
        values = [ratios(rates, Entry(task, way, ROOTS, n), Entry(task, LOOP)) for task in tasks]
        _dots(left, values, shade, 5, f"{way}, N = {n}")
    for shade, n in enumerate(SAMPLES):
        values = [[100.0 * x for x in overheads(rates, task, ROOTS, n)] for task in tasks]
        _dots(right, values, shade, len(SAMPLES), f"N = {n}")
    left.set_yticks(range(len(tasks)), tasks)
    left.invert_yaxis()
    left.axvline(1.0, color="#999999", linewidth=0.8)
    right.axvline(25.0, color="#999999", linewidth=0.8)
    left.set_xlabel("control steps per second over the Gymnasium loop's")
    right.set_xlabel("sampler's time beyond the raw Batch call [%]")
    for panel in (left, right):
        panel.grid(axis="x", alpha=0.3)
        panel.legend(fontsize="small")
    right.set_xscale("symlog", linthresh=10.0)
    save(figure, path)


def _dots(panel: Axes, values: Sequence[Sequence[float]], index: int, count: int, label: str) -> None:
    """Median and range per task, shifted by the place among `count`."""
    shift = 0.7 * ((index + 0.5) / count - 0.5)
    for place, rounds in enumerate(values):
        if rounds:
            panel.plot([min(rounds), max(rounds)], [place + shift] * 2, color=COLORS[index], linewidth=1.0)
            name = label if place == 0 else "_"
            panel.plot([np.median(rounds)], [place + shift], "o", color=COLORS[index], markersize=4, label=name)


def _groups(rates: Rates) -> list[tuple[str, int]]:
    return list(dict.fromkeys((e.task, e.samples) for e in rates if e.roots == ROOTS and e.way == STEP))


def _rate(rates: Rates, entry: Entry) -> str:
    return f"{np.median(rates[entry]):,.0f}" if entry in rates else "-"


def _spread(values: Sequence[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else "-"


def _overhead(rates: Rates, task: str, roots: int, samples: int) -> str:
    values = [100.0 * x for x in overheads(rates, task, roots, samples)]
    return f"{np.median(values):.0f} % ({min(values):.0f} to {max(values):.0f})" if values else "-"


if __name__ == "__main__":
    sys.exit(main())
