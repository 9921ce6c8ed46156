"""A shell for the commands of documents: all of them begin, and those that take long end before their work does.

Options are read by the commands themselves. Training creates its run and takes no step, exported variants are flown
for an instant; evaluating, measuring, serving and flying stop once what was asked for has been found and made.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import benchmarks.adaptation.__main__
import benchmarks.airframes.__main__
import benchmarks.ranks.__main__
import benchmarks.suite.__main__
import benchmarks.suite.collect
import benchmarks.suite.report
import benchmarks.suite.runs
import benchmarks.suite.seconds_to_success
import hgrpo_control.api.run  # binds `evaluate` before a test replaces it
import hgrpo_control.commands.train
import hgrpo_control.commands.train_seeds
import hgrpo_control.diagnose.of_run
import hgrpo_control.evaluation.evaluate
import hgrpo_control.evaluation.video
import hgrpo_control.export.files
import hgrpo_control.identify.read
import hgrpo_control.reports.compare
import hgrpo_control.transfer.measurement
import hgrpo_control.tune.study
import hgrpo_control.watch.film
import hgrpo_control.watch.page
import robots.branch_check.check
import robots.drawing.offscreen
import sim2real.client.open_policy
import sim2real.flight.loop
import sim2real.server.app
from hgrpo_control.cli import main
from hgrpo_control.config.device import device_problem
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.trainer import Trainer
from hgrpo_errors import install
from robots.kernels.start import start
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.targets import mavlink_link
from support import simulated_vehicle
from support.documents import ROOT

_PIP = re.compile(r"install( -c constraints\.txt)?( -e)? (\.|\.\[(\w+)\])")
_EXTRAS = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
_LINK = "RUN"  # what documents call a run folder


class Begun(Exception):
    """Everything that a command was asked for is there, and its work would begin."""


class Shell:
    """Runs lines in `folder`; `RUN` there is the run that was trained last."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._variables = folder, dict[str, str]()
        monkeypatch.chdir(folder)
        _begin_only(monkeypatch)
        create = RunFolder.create

        def replace(path: str | Path, config: Any) -> RunFolder:
            shutil.rmtree(path, ignore_errors=True)  # of another example with the same settings
            (folder / _LINK).unlink(missing_ok=True)
            (folder / _LINK).symlink_to(folder / path)
            return create(path, config)

        monkeypatch.setattr(RunFolder, "create", replace)

    def run(self, line: str) -> None:
        """Run a line; AssertionError says what is wrong with it."""
        for words in self._commands(line):
            name, assigned = words[0], re.fullmatch(r"(\w+)=(.*)", words[0])
            if assigned and len(words) == 1:
                self._variables[assigned[1]] = assigned[2]
                continue
            assert name in _KNOWN, f"{name} is no command that the documents' test knows; mark the block as not run"
            _KNOWN[name](words[1:])

    def _commands(self, line: str) -> Iterator[list[str]]:
        line = re.sub(r"\$(\w+)", lambda variable: self._variables[variable[1]], line)
        words = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, ";"]:
            if word in ("&&", "&", "|", ";"):
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def _hgrpo(words: list[str]) -> None:
    words = list(words)
    for i, word in enumerate(words[:-1]):
        if word == "--device":
            problem = device_problem(words[i + 1])
            assert problem is None, problem
            words[i + 1] = "cpu"
    if words[0] == "export":
        words += ["--episodes", "2"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = main(words)
    except Begun:
        return
    absent = status == 2 and any(install(extra) in said.getvalue() for extra in ("drones", "crazyflie"))
    assert status == 0 or absent, said.getvalue()


def _make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _pip(words: list[str]) -> None:
    asked = _PIP.fullmatch(" ".join(words))
    assert asked, f"pip {' '.join(words)} does not install this package"
    assert asked[4] is None or asked[4] in _EXTRAS, f"there is no extra {asked[4]}; {_EXTRAS}"


def _python(words: list[str]) -> None:
    script, *options = words
    if script == "-m":
        module, *options = options
        where = ROOT / module.replace(".", "/")
        script = str((where / "__main__.py" if where.is_dir() else where.with_suffix(".py")).relative_to(ROOT))
    assert (ROOT / script).is_file(), f"there is no {script}"
    try:
        if script == "benchmarks/suite/__main__.py":
            benchmarks.suite.__main__.main(options)
        elif script == "benchmarks/airframes/__main__.py":
            benchmarks.airframes.__main__.read(options)
        elif script == "benchmarks/adaptation/__main__.py":
            benchmarks.adaptation.__main__.read(options)
        elif script == "benchmarks/ranks/__main__.py":
            benchmarks.ranks.__main__.read(options)
        elif script == "benchmarks/suite/seconds_to_success.py":
            benchmarks.suite.seconds_to_success.read(options)
        elif script == "tests/support/simulated_vehicle.py":
            simulated_vehicle.arguments(options)
        else:
            assert not options, f"nobody checks the options of {script} here"
    except Begun:
        return
    except SystemExit as error:
        raise AssertionError(f"{script} does not take {' '.join(options)}") from error


def _gcc(words: list[str]) -> None:
    if shutil.which("gcc"):
        done = subprocess.run(["gcc", *words], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr


def _source(words: list[str]) -> None:
    assert words == [".venv/bin/activate"]


def _column(words: list[str]) -> None:
    path = Path(words[-1])
    assert path == RunFolder.open(path.parent).metrics


def _less(words: list[str]) -> None:
    assert all(word.startswith("-") for word in words)


_KNOWN: dict[str, Callable[[list[str]], None]] = {
    "column": _column,
    "gcc": _gcc,
    "hgrpo": _hgrpo,
    "less": _less,
    "make": _make,
    "pip": _pip,
    "python": _python,
    "source": _source,
}


class _NoLine:
    """In place of a socket or a serial line."""

    peer: Any = None

    def __init__(self, *place: Any, **how: Any) -> None:
        pass


def _begin_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let work end where it begins."""

    def begun(*given: Any, **options: Any) -> Any:
        raise Begun

    def compare(folders: Any, out: Path) -> Any:
        for folder in folders:
            RunFolder.open(folder)
        raise Begun

    async def listen(*given: Any) -> None:
        raise Begun

    def connect(*given: Any) -> OnnxPolicy:
        policy = OnnxPolicy("policy.onnx")
        monkeypatch.setattr(policy, "close", lambda: None, raising=False)
        return policy

    def glance(pilot: Any, simulator: Any, *how: int) -> Any:
        brief = copy.copy(simulator)
        brief.spec = dataclasses.replace(simulator.spec, max_episode_steps=10)
        return evaluate(pilot, brief, *how)

    evaluate = hgrpo_control.export.files.evaluate
    monkeypatch.setattr(hgrpo_control.export.files, "evaluate", glance)
    monkeypatch.setattr(Trainer, "finished", property(lambda trainer: True))
    monkeypatch.setattr("hgrpo_control.training.resuming._require_steps_left", lambda *given: None)
    for module, name in (
        (hgrpo_control.evaluation.evaluate, "evaluate"),
        (hgrpo_control.diagnose.of_run, "diagnose"),
        (hgrpo_control.identify.read, "read_logs"),
        (hgrpo_control.transfer.measurement.Places, "fly"),
        (robots.branch_check.check, "check"),
        (sim2real.flight.loop, "fly"),
        (benchmarks.suite.collect, "collect"),
        (benchmarks.suite.report, "report"),
        (benchmarks.suite.runs, "run_missing"),
        (hgrpo_control.commands.train_seeds, "train_seeds"),
        (hgrpo_control.commands.train, "train_ranks"),
        (hgrpo_control.tune.study, "open_study"),
        (hgrpo_control.watch.film, "film"),
        (hgrpo_control.watch.page, "Page"),
    ):
        monkeypatch.setattr(module, name, begun)
    for module, name in (
        (robots.drawing.offscreen, "require_gl"),
        (hgrpo_control.evaluation.video, "require_drawable"),
    ):
        monkeypatch.setattr(module, name, lambda *given: None)  # a machine that cannot draw reads documents too
    monkeypatch.setattr(hgrpo_control.reports.compare, "compare", compare)
    monkeypatch.setattr(sim2real.server.app._Server, "run", listen)
    monkeypatch.setattr(sim2real.client.open_policy, "_connect", connect)
    for name in ("UdpLink", "SerialLink"):
        monkeypatch.setattr(mavlink_link, name, _NoLine)
    monkeypatch.setattr("hgrpo_control.config.device.find_device", lambda word: None)
    start()  # Warp keeps compiled kernels in the home folder of its start
    monkeypatch.setenv("HOME", os.getcwd())
