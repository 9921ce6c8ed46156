"""A runner that is killed, and called again."""

from __future__ import annotations

import fcntl
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.suite_runs import OPTIONS

from benchmarks.suite.plan import next_step, planned_runs
from hgrpo_control.api.run import train
from hgrpo_control.cli import main
from hgrpo_control.runs.run_folder import RunFolder
from policies import checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}


def figures(folder: RunFolder) -> list[str]:
    """Every row of metrics without its clocks; as text, in which NaN equals NaN."""
    return [repr([v for k, v in row.items() if k not in CLOCKS]) for row in folder.read_metrics()]


SCRIPT = f"""
import sys
from pathlib import Path
from benchmarks.suite.definition import Suite, Variant
from benchmarks.suite.plan import planned_runs
from benchmarks.suite.runs import run_missing

variant = Variant("a", "ppo", (*"{OPTIONS} 1600 --checkpoint-every 7".split(),))
SUITE = Suite("trial", "Trial", ("quadrotor-hover",), (variant,), (0,), episodes=2)
if __name__ == "__main__":
    run_missing(planned_runs(SUITE, Path(sys.argv[1])), jobs=1)
"""


def test_a_killed_runner_takes_its_children_along_and_the_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    (run,) = planned_runs(runpy.run_path(str(script))["SUITE"], tmp_path)
    paths = os.pathsep.join((str(ROOT / "benchmarks"), str(ROOT)))
    killed = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env={**os.environ, "PYTHONPATH": paths})
    while len(run.folder.read_metrics()) < 3:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    with run.log.open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)  # held until the orphan has saved and ended
    left = len(run.folder.read_metrics())
    assert left < run.config.num_iterations == 100
    _, saved = checkpoint.restore(run.folder.checkpoint)
    assert saved["iteration"] == left  # saved on its way out, not only every seventh time

    assert next_step(run) == "resume"
    assert main(run.words("resume")) == 0  # what the next call starts, in this process
    assert next_step(run) == "evaluate"
    undisturbed = train(run.config, tmp_path / "undisturbed").policy
    resumed = checkpoint.load(run.folder.checkpoint)
    for ours, theirs in zip(resumed.state_dict().values(), undisturbed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert figures(run.folder) == figures(RunFolder(tmp_path / "undisturbed"))
