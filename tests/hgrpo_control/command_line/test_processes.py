"""The command line as a process: what it imports, and what the shell sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_errors import install

pytestmark = pytest.mark.slow

HOVER = ("train", "ppo", "quadrotor-hover")
TINY = ("--num-envs", "16", "--rollout-steps", "8", "--num-minibatches", "2")


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`hgrpo` as a process of its own."""
    program = "import sys; from hgrpo_control.cli import main; sys.exit(main())"
    path = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        (sys.executable, "-c", program, *words),
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def modules_after(statement: str, *names: str) -> list[str]:
    """Which of the modules are loaded in a fresh interpreter after a statement."""
    program = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules], file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run((sys.executable, "-c", program), env=environment, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1].split()


def test_the_overview_loads_neither_torch_nor_mujoco() -> None:
    statement = "from hgrpo_control.cli import main\nassert main(['--help']) == 0"
    heavy = "torch mujoco warp robots policies matplotlib onnx onnxruntime tensorboard imageio"
    assert modules_after(statement, *heavy.split()) == []


def test_the_list_of_tasks_loads_neither_torch_nor_simulators() -> None:
    statement = "from hgrpo_control.cli import main\nassert main(['tasks']) == 0"
    assert modules_after(statement, "torch", "mujoco", "gymnasium", "warp", "numpy", "robots.simulator") == []


def test_nothing_slow_is_loaded_before_signals_are_minded() -> None:
    assert modules_after("import hgrpo_control.cli", "argparse", "numpy", "importlib.metadata") == []


def test_training_on_a_quadrotor_begins_without_other_simulators_graphics_a_gpu_and_reports() -> None:
    statement = (
        "import hgrpo_control.api.progress, hgrpo_control.commands.train\n"
        "from hgrpo_control.presets.quadrotor import preset\nfrom hgrpo_control.training.trainer import Trainer\n"
        "Trainer.from_config(preset('ppo', 'quadrotor-hover'))\n"
        "import torch\nassert not torch.cuda.is_initialized()"
    )
    names = ("mujoco", "gymnasium", "OpenGL", "tensorboard", "matplotlib", "PIL", "imageio", "torch._dynamo", "sympy")
    assert modules_after(statement, *names) == []


def test_options_of_training_are_printed_without_torch() -> None:
    statement = (
        "import contextlib\nfrom hgrpo_control.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['train', 'ppo', 'quadrotor-hover', '--help'])"
    )
    assert modules_after(statement, "torch", "numpy", "rich") == []


@pytest.mark.parametrize(
    "words", [("compare", "run", "--out", "comparison"), ("evaluate", "no-run"), ("resume", "no-run")]
)
def test_torch_is_not_loaded_to_compare_runs_or_to_refuse_a_folder(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(Path("run"), preset("ppo", "quadrotor-hover"))
    figures = ("iteration", "executed_steps", "simulator_steps", "wall_seconds", "episode_return")
    folder.append_metrics(dict.fromkeys(figures, 1.0))
    assert modules_after(f"from hgrpo_control.cli import main\nmain({words!r})", "torch") == []
    assert Path("comparison").exists() == (words[0] == "compare")


def test_the_shell_sees_the_status_and_one_line() -> None:
    done = process("trian")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hgrpo: unknown command 'trian'; did you mean 'train'?\n"


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [("serve", "aiohttp", "serve"), ("inspect", "onnxruntime", "deploy"), ("tasks", "torch", "train")],
)
def test_a_command_names_the_extra_that_it_needs(command: str, missing: str, extra: str) -> None:
    words = [command, "quadrotor-hover" if command == "tasks" else "policy.onnx"]
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from hgrpo_control.cli import main; sys.exit(main({words}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run((sys.executable, "-c", program), env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"hgrpo: {command} needs {missing}: {install(extra)}\n"


def test_a_film_that_cannot_be_drawn_is_refused_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = process(*HOVER, *TINY, "--video", MUJOCO_GL="disable")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hgrpo: MUJOCO_GL=disable turns drawing off")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
