"""Torch's threads sleep while they wait, as soon as a package that steps MuJoCo is imported before torch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

pytestmark = pytest.mark.slow

SEEN_BY_TORCH = """
import os, sys

class Torch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.exit()

sys.meta_path.insert(0, Torch())
"""
"""Prints the setting as torch begins to be imported, and ends there."""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    variables = inherited | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.run([sys.executable, "-c", code], env=variables, check=True, capture_output=True, text=True)


@pytest.mark.skipif("OpenMP" not in torch.__config__.parallel_info(), reason="this torch is built without OpenMP")
def test_idle_threads_sleep() -> None:
    said = run("import robots, torch", OMP_DISPLAY_ENV="true").stderr.lower()  # by OpenMP, about itself
    assert "omp_wait_policy = 'passive'" in said


@pytest.mark.parametrize(
    "code", ["import robots, torch", "import hgrpo_control, torch", "import benchmarks.speed.branching"]
)
def test_torch_finds_the_setting_wherever_it_is_imported(code: str) -> None:
    assert run(SEEN_BY_TORCH + code).stdout.lower() == "passive\n"


def test_what_the_user_has_set_stays() -> None:
    assert run(SEEN_BY_TORCH + "import robots, torch", OMP_WAIT_POLICY="active").stdout == "active\n"
