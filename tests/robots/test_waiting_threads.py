"""Torch's threads sleep while they wait, as soon as a package that steps MuJoCo is imported before torch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

pytestmark = pytest.mark.slow


def openmp_settings(code: str, **environment: str) -> str:
    """What OpenMP says about itself when torch loads it in a process that runs `code`."""
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    variables = inherited | {"OMP_DISPLAY_ENV": "true", "PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, check=True, capture_output=True, text=True
    ).stderr.lower()


@pytest.mark.skipif("OpenMP" not in torch.__config__.parallel_info(), reason="this torch is built without OpenMP")
@pytest.mark.parametrize(
    "code", ["import robots, torch", "import hgrpo_control, torch", "import benchmarks.speed.branching"]
)
def test_idle_threads_sleep(code: str) -> None:
    assert "omp_wait_policy = 'passive'" in openmp_settings(code)


@pytest.mark.skipif("OpenMP" not in torch.__config__.parallel_info(), reason="this torch is built without OpenMP")
def test_what_the_user_has_set_stays() -> None:
    assert "omp_wait_policy = 'active'" in openmp_settings("import robots, torch", OMP_WAIT_POLICY="active")
