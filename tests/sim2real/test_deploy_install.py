"""The extra `deploy` in an environment of its own: it brings no torch, and it is enough to fly and to inspect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.exported_policies import make_policy, make_spec, observations_of, torch_actions

import sim2real
from sim2real.export.onnx import export_onnx

ROOT = Path(sim2real.__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "HGRPO_TEST_INSTALL" not in os.environ,
        reason="downloads packages; HGRPO_TEST_INSTALL=1 in the environment runs it",
    ),
]


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a new environment in which only the extra `deploy` is installed."""
    folder = tmp_path_factory.mktemp("deploy")
    made = run(sys.executable, "-m", "venv", "environment", cwd=folder)
    assert made.returncode == 0, made.stderr
    python = folder / "environment/bin/python"
    words = ("-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), f"{ROOT}[deploy]")
    installed = run(python, *words, cwd=folder)
    if "No matching distribution" in installed.stderr or "connection" in installed.stderr.lower():
        pytest.skip("the package index cannot be reached")
    assert installed.returncode == 0, installed.stderr
    return python


def test_flies_and_inspects_without_torch(python: Path, tmp_path: Path) -> None:
    policy = make_policy(make_spec())
    export_onnx(policy, tmp_path / "policy.onnx")
    observation = observations_of(policy, 1)
    code = (
        "import json, sys; from sim2real import OnnxPolicy\n"
        f"print(json.dumps(OnnxPolicy('policy.onnx')({observation[0].tolist()}).tolist()))\n"
        "import importlib.util\n"
        "print([name for name in ('torch', 'onnx', 'mujoco', 'gymnasium', 'warp') if importlib.util.find_spec(name)])"
    )
    flown = run(python, "-I", "-c", code, cwd=tmp_path)
    assert flown.returncode == 0, flown.stderr
    action, present = flown.stdout.splitlines()
    np.testing.assert_allclose(json.loads(action), torch_actions(policy, observation)[0], atol=2.3e-5)
    assert present == "[]"
    shown = run(python.with_name("hgrpo"), "inspect", "policy.onnx", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "drone preset" in shown.stdout


@pytest.mark.parametrize(
    ("words", "extra"), [(("train", "ppo", "quadrotor-hover"), "train"), (("serve", "policy.onnx"), "serve")]
)
def test_other_commands_say_what_they_need(python: Path, tmp_path: Path, words: tuple[str, ...], extra: str) -> None:
    refused = run(python.with_name("hgrpo"), *words, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith(f"pip install -c constraints.txt '.[{extra}]' in a clone of hgrpo-control")
    assert refused.stderr.count("\n") == 1
