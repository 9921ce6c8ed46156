"""`hgrpo train --seeds`: one process per seed, several at once, and a table at the end."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hgrpo_control.command_line.children import failure, start, stop, usable_cores
from hgrpo_control.command_line.parsing import UsageError
from hgrpo_control.commands.train_options import TrainOptions
from hgrpo_control.reports.compare import markdown_table
from hgrpo_control.runs.run_folder import RunFolder, last_tenth
from hgrpo_files import make_folder
from hgrpo_signals import handled, interrupt

_POLL_SECONDS = 0.2
_PART = re.compile(r"(\d+)(?::(\d+))?")


class SeedRun(NamedTuple):
    """The run of one seed."""

    seed: int
    folder: Path

    @property
    def log(self) -> Path:
        """Output of its process. It lies beside the folder, because training needs an empty one."""
        return self.folder.with_name(f"{self.folder.name}.log")


def read_seeds(word: str) -> list[int]:
    """Seeds from a word such as 0:5 (without 5) or 0,3,7; raises UsageError."""
    seeds: list[int] = []
    for part in word.split(","):
        found = _PART.fullmatch(part)
        several = range(int(found[1]), int(found[2] or int(found[1]) + 1)) if found else range(0)
        if not several:
            raise UsageError(f"--seeds is written FIRST:END (without END) or A,B,C; given {word!r}")
        seeds += several
    twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if twice is not None:
        raise UsageError(f"--seeds {word} has seed {twice} twice")
    return seeds


def train_seeds(args: Sequence[str], options: TrainOptions) -> int:
    """Train every seed, and print a table; seeds that fail are named, and the others go on.

    Args:
        args: Arguments of the command; each process gets them with its own seed and folder.
        options: The same, parsed.

    Returns:
        1 if a seed failed, else 0.

    Raises KeyboardInterrupt after Ctrl-C or SIGTERM, when all runs have saved.
    """
    assert options.seeds is not None
    base = options.out
    runs = [SeedRun(seed, base.with_name(f"{base.name}-seed{seed}")) for seed in read_seeds(options.seeds)]
    make_folder(base.parent)
    failures: dict[int, str] = {}
    with handled((signal.SIGTERM,), interrupt):
        _train(args, runs, options.jobs or usable_cores(), failures)
    trained = [run for run in runs if run.seed not in failures]
    if trained:
        print(f"\n{_table(trained)}", end="")
    for seed, reason in failures.items():
        print(f"hgrpo: seed {seed} {reason}", file=sys.stderr)
    return 1 if failures else 0


def _train(args: Sequence[str], runs: Sequence[SeedRun], jobs: int, failures: dict[int, str]) -> None:
    """Run the processes, `jobs` at once, and add failures by seed."""
    waiting, running = deque(runs), list[tuple[SeedRun, subprocess.Popen[bytes]]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append((waiting[0], _start(args, waiting[0])))
                waiting.popleft()
            time.sleep(_POLL_SECONDS)
            for run, child in [pair for pair in running if pair[1].poll() is not None]:
                running.remove((run, child))
                _take_in(run, child, failures)
                print(f"[{len(runs) - len(waiting) - len(running)}/{len(runs)}] {_outcome(run, failures)}", flush=True)
    except KeyboardInterrupt as interruption:
        if running:
            print(f"stopping {len(running)} runs; they save first. Ctrl-C again kills them.", flush=True)
        stop([child for _, child in running])
        begun = [run.folder for run in runs if RunFolder(run.folder).checkpoint.exists()]
        if not begun:
            raise
        raise KeyboardInterrupt(f"saved, and continued by hgrpo resume: {', '.join(map(str, begun))}") from interruption


def _start(args: Sequence[str], run: SeedRun) -> subprocess.Popen[bytes]:
    """Start the process of a seed. Of an option that is given twice the last one counts."""
    own = ["--seeds", "None", "--jobs", "None", "--seed", str(run.seed), "--out", str(run.folder)]
    with run.log.open("wb") as log:
        return start([sys.executable, "-m", "hgrpo_control.child", "train", *args, *own], log)


def _take_in(run: SeedRun, child: subprocess.Popen[bytes], failures: dict[int, str]) -> None:
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.close()
    if child.returncode:
        failures[run.seed] = failure(child.returncode, run.log)


def _outcome(run: SeedRun, failures: dict[int, str]) -> str:
    return f"seed {run.seed}: {'failed' if run.seed in failures else f'trained: {run.folder}'}"


def _table(runs: Sequence[SeedRun]) -> str:
    """Return and success over the last tenth of training, steps and time of each run, and the means."""
    figures = []
    for run in runs:
        history = RunFolder.open(run.folder).read_metrics()
        final = [last_tenth(history, name) for name in ("episode_return", "success_rate")]
        figures.append([*final, history[-1]["simulator_steps"], history[-1]["wall_seconds"]])
    names = [str(run.seed) for run in runs]
    if len(runs) > 1:
        names.append("mean")
        figures.append([sum(column) / len(runs) for column in zip(*figures, strict=True)])
    rows = [[name, *_cells(*row)] for name, row in zip(names, figures, strict=True)]
    return markdown_table(("seed", "return (last tenth)", "success (last tenth)", "simulator steps", "seconds"), rows)


def _cells(final_return: float, success: float, steps: float, seconds: float) -> list[str]:
    shown = ["-" if math.isnan(value) else f"{value:.{digits}f}" for value, digits in ((final_return, 1), (success, 3))]
    return [*shown, f"{steps:,.0f}", f"{seconds:.0f}"]
