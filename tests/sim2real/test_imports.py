"""The flying side needs no torch, and the package itself needs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import sim2real
from hgrpo_errors import install
from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec
from sim2real.export.onnx import export_onnx
from sim2real.policy.onnx_policy import OnnxPolicy

pytestmark = pytest.mark.slow

ROOT = Path(sim2real.__file__).parents[1]
SPEC = PolicySpec("hover", "cf2x", 100.0, (Channel("x"), Channel("y")), (Channel("a"),), (-1.0,), (2.0,), (0.0,), (8,))


def run_without(modules: tuple[str, ...], code: str) -> str:
    """Standard output of a fresh interpreter in which the modules cannot be imported."""
    blocked = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in modules)
    command = [sys.executable, "-c", f"{blocked}sys.path.insert(0, {str(ROOT)!r})\n{code}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_blocking_blocks() -> None:
    assert run_without(("torch",), "try:\n import torch\nexcept ImportError:\n print('blocked')") == "blocked\n"


def test_packages_import_without_torch_and_onnx() -> None:
    run_without(("torch", "onnx", "onnxruntime"), "import sim2real, policies.spec, policies")


def test_an_exported_file_flies_without_torch_and_onnx(tmp_path: Path) -> None:
    policy = ActorCritic(SPEC, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        policy.actor[-1].weight.mul_(50.0)
    path = tmp_path / "policy.onnx"
    export_onnx(policy, path)
    code = (
        "import policies.spec, sim2real, sim2real.policy.onnx_policy\n"
        f"policy = sim2real.OnnxPolicy({str(path)!r})\n"
        "print(policy.spec.robot, float(policy([0.3, -0.2])[0]))"
    )
    robot, action = run_without(("torch", "onnx"), code).split()
    assert robot == "cf2x"
    assert float(action) == float(OnnxPolicy(path)([0.3, -0.2])[0])
    assert float(action) == pytest.approx(policy(torch.tensor([0.3, -0.2])).item(), abs=3e-5)
    assert not np.isclose(float(action), SPEC.safe_action[0], atol=1e-3)


def test_tables_and_compiled_policies_need_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    export_onnx(ActorCritic(SPEC), path)
    code = (
        "import sim2real.policy.c_policy, sim2real.policy.inspection as inspection\n"
        f"print(inspection.inspect({str(path)!r}))"
    )
    assert "drone preset" in run_without(("torch", "onnx", "rich", "mujoco", "warp", "gymnasium"), code)


def test_names_are_loaded_when_used() -> None:
    for name in sim2real.__all__:
        assert getattr(sim2real, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Policy'"):
        _ = sim2real.Policy


def test_the_loop_and_the_vehicles_need_no_torch() -> None:
    code = (
        "import sim2real.flight.loop, sim2real.client.reconnecting, "
        "sim2real.targets.observation, hgrpo_control.commands.fly"
    )
    run_without(("torch", "onnx", "mujoco", "warp", "gymnasium", "rich", "pymavlink", "cflib"), code)


@pytest.mark.parametrize(("target", "package"), [("mavlink", "pymavlink"), ("crazyflie", "cflib")])
def test_a_vehicle_needs_its_package_and_no_torch(target: str, package: str) -> None:
    pytest.importorskip(package, reason=f"{package} is not here: {install(target)}")
    run_without(("torch", "onnx", "mujoco", "warp", "gymnasium", "rich"), f"import sim2real.targets.{target}")


@pytest.mark.parametrize(
    ("target", "package", "extra"),
    [("simulated", "torch", "train"), ("mavlink", "pymavlink", "mavlink"), ("crazyflie", "cflib", "crazyflie")],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, target: str, package: str, extra: str) -> None:
    path = tmp_path / "policy.onnx"
    export_onnx(ActorCritic(SPEC), path)
    code = (
        "import contextlib, importlib.abc, io, sys\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"  # unlike None in sys.modules, invisible to who looks there
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {package!r}: raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from hgrpo_control.cli import main\nerr = io.StringIO()\n"
        f"with contextlib.redirect_stderr(err): status = main(['fly', {str(path)!r}, '{target}'])\n"
        "print(status, err.getvalue(), end='')"
    )
    out = run_without((), code)
    assert out == f"2 hgrpo: {target} needs {package}: {install(extra)}\n"
