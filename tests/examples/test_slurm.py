"""The SLURM scripts: bash reads them, and what they start are commands of this package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("slurm_*.sh"))

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")


def test_every_script_is_found() -> None:
    assert [path.name for path in SCRIPTS] == ["slurm_ranks.sh", "slurm_seeds.sh", "slurm_suite.sh"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_bash_can_read_the_script(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "words", "started"),
    [
        (
            "slurm_seeds.sh",
            ["ppo", "quadrotor-hover", "--out", "runs/a"],
            "hgrpo train ppo quadrotor-hover --out runs/a --seeds 3 --jobs 1",
        ),
        (
            "slurm_suite.sh",
            ["hover_smoke", "--seeds", "0"],
            "python -m benchmarks.suite run hover_smoke --shard 3/8 --jobs 4 --seeds 0",
        ),
        (
            "slurm_ranks.sh",
            ["resume", "runs/a"],
            "srun torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d "
            "--rdzv-endpoint scontrol show hostnames a[1-2]:29500 -m -- hgrpo_control resume runs/a",
        ),
    ],
)
def test_a_task_of_the_array_starts_its_own_part(name: str, words: list[str], started: str, tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    for program in ("hgrpo", "python", "srun", "scontrol"):
        stand_in = tmp_path / program
        stand_in.write_text(f'#!/bin/sh\necho {program} "$@"\n')
        stand_in.chmod(0o755)
    slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_CPUS_PER_TASK": "4"}
    slurm |= {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "a[1-2]"}
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    script = str(ROOT / "examples" / name)
    done = subprocess.run(
        ["bash", script, *words], cwd=tmp_path, env={**slurm, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == started
