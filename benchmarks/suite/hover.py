"""PPO, GRPO and Hybrid GRPO on quadrotor-hover with equal simulator steps, several seeds each.

    python -m benchmarks.suite.hover [--seeds 0 1 2] [--runs runs/hover] [--out docs/results/hover]

Every run is a plain `hgrpo train ALGORITHM quadrotor-hover --seed SEED` with its preset, followed by `hgrpo evaluate
--episodes 200 --seed 1`. Runs that are done are skipped and interrupted ones resumed, so the command may be stopped and
given again; the table and the curves are drawn from the run folders.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.plan import Run, clear_unstarted, next_step, planned_runs, require_agreement
from hgrpo_control.reports.compare import compare

ALGORITHMS = ("ppo", "hybrid-grpo", "grpo")


def main() -> None:
    """Run what is missing and draw the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/hover"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/hover"))
    given = parser.parse_args()
    runs = planned(given.seeds, given.runs)
    require_agreement(runs)
    for run in runs:
        finish(run)
    seeds = " ".join(map(str, given.seeds))
    versions = {"Python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    origin = (
        f"Made by `python -m benchmarks.suite.hover --seeds {seeds}` on {os.cpu_count()} cores ({platform.machine()}), "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}. "
        "Evaluation: 200 fresh episodes of the mean action per run."
    )
    _, table = compare([run.path for run in runs], given.out, note=origin)
    print(table.read_text(encoding="utf-8"))


def planned(seeds: Sequence[int], root: Path) -> list[Run]:
    """Runs of every algorithm and seed in folders root/ALGORITHM-seedSEED."""
    suite = Suite(
        "hover", "Hover", ("quadrotor-hover",), tuple(Variant(name, name) for name in ALGORITHMS), tuple(seeds)
    )
    order = {name: place for place, name in enumerate(ALGORITHMS)}
    runs = sorted(planned_runs(suite, root), key=lambda run: order[run.variant.name])
    return [dataclasses.replace(run, path=root / f"{run.variant.name}-seed{run.seed}") for run in runs]


def finish(run: Run) -> None:
    """Train and evaluate a run as far as it is not done.

    Raises SuiteError if a step ends without an error and has no effect.
    """
    done = None
    while (step := next_step(run)) is not None:
        if step == done:
            raise SuiteError(f"{run.path}: {step} ended well, but the run still needs it")
        if step == "train":
            clear_unstarted(run)
        hgrpo(*run.words(step))
        done = step


def hgrpo(*words: str) -> None:
    """Run a command line as a user would; raises CalledProcessError if it fails."""
    subprocess.run(
        [sys.executable, "-c", "from hgrpo_control.cli import entry_point; entry_point()", *words], check=True
    )


if __name__ == "__main__":
    main()
