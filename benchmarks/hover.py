"""PPO, GRPO and Hybrid GRPO on quadrotor-hover at the same number of simulator steps, several seeds each.

    python benchmarks/hover.py [--seeds 0 1 2] [--runs runs/hover] [--out docs/results/hover]

Every run is a plain `hgrpo train ALGORITHM quadrotor-hover --seed SEED` with its preset, followed by `hgrpo evaluate
--episodes 200 --seed 1`. Runs that are done are skipped and interrupted ones resumed, so the command may be stopped and
given again; the table and the curves are drawn from the run folders.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from hgrpo_control.compare import compare
from hgrpo_control.run_folder import RunFolder

ALGORITHMS = ("ppo", "hybrid-grpo", "grpo")


def main() -> None:
    """Run what is missing and draw the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/hover"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/hover"))
    given = parser.parse_args()
    folders = [run(algorithm, seed, given.runs) for algorithm in ALGORITHMS for seed in given.seeds]
    _, table = compare(folders, given.out)
    seeds = " ".join(map(str, given.seeds))
    versions = {"Python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    origin = (
        f"Made by `python benchmarks/hover.py --seeds {seeds}` on {os.cpu_count()} cores ({platform.machine()}), "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}. "
        "Evaluation: 200 fresh episodes of the mean action per run."
    )
    table.write_text(f"{origin}\n\n{table.read_text(encoding='utf-8')}", encoding="utf-8")
    print(table.read_text(encoding="utf-8"))


def run(algorithm: str, seed: int, runs: Path) -> Path:
    """The folder of a finished, evaluated run; whatever part of it is missing is done first."""
    folder = RunFolder(runs / f"{algorithm}-seed{seed}")
    if folder.config.exists():
        metrics = folder.read_metrics()
        if not metrics or metrics[-1].iteration < folder.read_config().num_iterations:
            hgrpo("train", "--resume", str(folder.path))
    else:
        hgrpo("train", algorithm, "quadrotor-hover", "--seed", str(seed), "--out", str(folder.path))
    if not folder.evaluation.exists():
        hgrpo("evaluate", str(folder.path), "--episodes", "200", "--seed", "1")
    return folder.path


def hgrpo(*words: str) -> None:
    """Run a command line as a user would; raises CalledProcessError if it fails."""
    subprocess.run(
        [sys.executable, "-c", "from hgrpo_control.cli import entry_point; entry_point()", *words], check=True
    )


if __name__ == "__main__":
    main()
