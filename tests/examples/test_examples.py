"""Every script of examples/ runs at a tiny size and prints what it found."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from hgrpo_errors import install
from robots import registry

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
NUMBER = r"-?\d+\.\d+"


class Run(NamedTuple):
    """How a script is run, and the lines that it has to print, as regular expressions in this order."""

    words: str
    lines: tuple[str, ...]


SUMMARY = rf"\d+ episodes: return {NUMBER} \+- {NUMBER}, success_rate {NUMBER}, length \d+"
RUNS = {
    "train_and_evaluate.py": Run(
        "--steps 8192 --episodes 10",
        (rf" *4,096 steps in +\d+ s: return +{NUMBER}, success rate {NUMBER}", SUMMARY.replace(r"\d+", "10", 1)),
    ),
    "branch_a_state.py": Run(
        "--branches 3 --steps 5",
        (
            *(rf"branch {row}: earned +{NUMBER}, ends at x {NUMBER} m, y {NUMBER} m, z {NUMBER} m" for row in range(3)),
            r"branch [012] earned most; flown again, alone: same bits True",
            r"two branches with equal commands and shared gusts end 0\.0000 m apart",
            r"two branches with equal commands and split gusts end 0\.(?!0000)\d+ m apart",
        ),
    ),
    "own_task.py": Run(
        "--steps 32768 --mass 0.2",
        (r"quadrotor-height: an episode succeeds if it ends within 20 cm of the height .*", SUMMARY),
    ),
    "own_robot.py": Run("--steps 16384", (rf"\{{\}} {SUMMARY}", rf"\{{'mass': 0\.3\}} {SUMMARY}")),
    "gymnasium_environment.py": Run(
        "--steps 2048",
        (r"gymnasium/gymnasium_environment:Cart is exact: 20 states restored .* replayed to the bit", SUMMARY),
    ),
    "stable_baselines3_ppo.py": Run(
        "--steps 16384", (rf"50 episodes of PPO by Stable-Baselines3: return {NUMBER} \+- {NUMBER}",)
    ),
    "export_without_torch.py": Run(
        "--steps 16384",
        (
            r"exported \d\d,\d\d\d bytes; differs from torch by at most \d\.\de-\d\d",
            r"torch imported: False; quadrotor-hover at 100 Hz",
            *(rf"target {height} m above: motors \[({NUMBER}, ){{3}}{NUMBER}\]" for height in (r"-0\.5", r"\+0\.0")),
            r"target \+0\.5 m above: .*",
            r"refused: observation entry 'position_error_x' is nan; .*",
        ),
    ),
    "serve_and_ask.py": Run(
        "--steps 16384 --requests 5",
        (
            r"serving at http://127\.0\.0\.1:\d+/",
            rf"5 answers in {NUMBER} ms each; the last one: \[.*\]",
            r"refused as not_finite: observation 'position_error_x' is inf .*",
            r"server ended with status 0",
        ),
    ),
    "fly_simulated.py": Run(
        "--steps 16384 --seconds 2 --fast",
        (r"ended: the time was up", r".*episodes?.*", r"ticks 200 \(flying 200\), missed 0", r"\[ms\] .*", "jitter .*"),
    ),
    "compare_algorithms.py": Run(
        "--task Reacher-v5 --steps 3200 --episodes 4",
        (
            *(f"{algorithm} is trained" for algorithm in ("ppo", "grpo", "hybrid-grpo")),
            r"algorithm +executed +success +return",
            rf"ppo +2,048 +{NUMBER} +{NUMBER}",
            rf"grpo +400 +{NUMBER} +{NUMBER}",
            rf"hybrid-grpo +1,024 +{NUMBER} +{NUMBER}",
        ),
    ),
    "hybrid_grpo.py": Run("--steps 8192", (r"iteration 1 of 1: \d+ of \d+ episodes that ended reached the goal",)),
    "first_order.py": Run(
        "--total-steps 4096",
        (rf"iteration 2 of 2: share of slopes {NUMBER}", rf"{NUMBER} of 200 fresh episodes reach the goal"),
    ),
}
LENGTHS = {"hybrid_grpo.py": 250, "first_order.py": 150}
"""Most lines of the scripts that may be longer than the others."""


def run_as_reader(name: str, words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script, run by a fresh interpreter in another folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *words.split()]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, timeout=600, check=False
    )


def lines_in_order(name: str, printed: str) -> None:
    """Assert that a script printed its lines."""
    lines = iter(printed.splitlines())
    for expected in RUNS[name].lines:
        assert any(re.fullmatch(expected, line) for line in lines), f"no line {expected!r} in:\n{printed}"


def test_every_script_is_run_here() -> None:
    assert sorted(RUNS) == SCRIPTS


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_what_it_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has imported torch already; branch_a_state.py runs in a fresh one below."""
    if name == "stable_baselines3_ppo.py":
        pytest.importorskip("stable_baselines3", reason=f"stable_baselines3 is not here: {install('bench')}")
    if name == "serve_and_ask.py":
        pytest.importorskip("websockets", reason=f"websockets is not here: {install('serve')}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the processes that a script starts
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name), *RUNS[name].words.split()])
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    sys.modules.pop("gymnasium_environment", None)
    lines_in_order(name, capfd.readouterr().out)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_fresh_interpreter_runs_a_script_without_a_warning(tmp_path: Path) -> None:
    result = run_as_reader("branch_a_state.py", RUNS["branch_a_state.py"].words, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines_in_order("branch_a_state.py", result.stdout)


@pytest.mark.slow
def test_without_stable_baselines3_its_script_says_what_to_install(tmp_path: Path) -> None:
    if importlib.util.find_spec("stable_baselines3") is not None:
        pytest.skip("stable_baselines3 is here")
    result = run_as_reader("stable_baselines3_ppo.py", "", tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert re.fullmatch(r"Stable-Baselines3 is not here; in a clone: pip install .*\.\[bench\]'\n", result.stderr)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_short_and_says_how_it_is_run(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LENGTHS.get(name, 60)
    said = ast.get_docstring(ast.parse(text)) or ""
    assert f"python examples/{name}" in said


def test_the_table_names_every_script() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[(\w+\.py)\]\(\1\) \|", page, re.MULTILINE)) == SCRIPTS
