"""Ctrl-C in the middle of every command: status 130, and a last line that says what is kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from support.tiny_runs import TINY

from hgrpo_control.cli import COMMANDS, main

pytestmark = pytest.mark.slow

TRAIN = ("train", "ppo", "quadrotor-hover", *TINY, "--out", "new")
EXPORT = ("export", "run", "--batch-1", "--int8", "--episodes", "1", "--c", "hover")
FLY = ("fly", "run/policy.onnx", "simulated", "--fast", "--record", "flight.npz")
DIAGNOSE = ("diagnose", "run", "--roots", "4", "--steps", "4", "--samples", "2", "--branch-steps", "4")
DIAGNOSE += ("--lambdas", "0", "--budget", "256", "--reference-branches", "32", "--horizon", "2")
NOTHING = "nothing was written"
ONNX = "run/policy.onnx"
SIMULATED = "sim2real.targets.simulated.SimulatedTarget"


class Moment(NamedTuple):
    """When somebody presses Ctrl-C: as a function of a command is called."""

    words: tuple[str, ...]
    called: str
    told: str
    new: tuple[str, ...] = ()
    """Files that are there afterwards and were not before."""
    presses: int = 1


MOMENTS = [
    Moment(("tasks",), "hgrpo_control.reports.tasks.task_table", NOTHING),
    Moment(("zoo",), "hgrpo_control.commands.zoo.find", NOTHING),
    Moment(("watch", "run", "--port", "0"), "hgrpo_control.watch.session.Session.__init__", NOTHING),
    Moment(("vehicle", "cf2x"), "robots.quadrotor.body.vehicle_file.foreign.find_vehicle", NOTHING),
    Moment(("identify", "log.csv", "--vehicle", "cf2x"), "hgrpo_control.identify.read.read_logs", NOTHING),
    Moment(("inspect", ONNX), "sim2real.policy.inspection.inspect", NOTHING),
    Moment(("check", "quadrotor-hover"), "robots.branch_check.check.check", NOTHING),
    Moment(("serve", ONNX), "sim2real.server.app.serve", NOTHING),
    Moment(TRAIN, "hgrpo_control.training.trainer.Trainer.__init__", NOTHING),
    Moment(
        TRAIN,
        "hgrpo_control.runs.tensorboard.TensorBoard.__init__",
        "nothing was learned yet; new can be deleted",
        ("new/config.json",),
    ),
    Moment(
        ("resume", "run", "--total-steps", "512"),
        "hgrpo_control.training.trainer.Trainer.step",
        "continue with: hgrpo resume run",
    ),
    Moment(
        ("tune", "ppo", "quadrotor-hover"),
        "hgrpo_control.tune.study.run_trials",
        "the trial is saved; the same command continues the study",
        ("tune.db",),
    ),
    Moment(("evaluate", "run"), "hgrpo_control.evaluation.evaluate.evaluate", NOTHING),
    Moment(
        ("evaluate", "run", "--episodes", "1"),
        "hgrpo_control.evaluation.former_files.set_aside",
        "kept: run/evaluation.json",
        ("run/evaluation.json",),
    ),
    Moment(("compare", "run"), "hgrpo_control.reports.learning_curves.learning_curves", NOTHING),
    Moment(("compare", "run"), "hgrpo_control.reports.learning_curves.FigureCanvasAgg", NOTHING),
    Moment(DIAGNOSE, "hgrpo_control.diagnose.of_run.diagnose", NOTHING),
    Moment(DIAGNOSE, "hgrpo_control.diagnose.plot.save", "kept: run/diagnosis.csv", ("run/diagnosis.csv",)),
    Moment(("transfer", "run", "--to", "mujoco"), "hgrpo_control.transfer.measurement.Places.fly", f"kept: {ONNX}"),
    Moment(
        ("transfer", "run", "--to", "mujoco", "--episodes", "1"),
        "hgrpo_control.transfer.plot.save",
        f"kept: {ONNX}, run/transfer-mujoco.json",
        ("run/transfer-mujoco.json",),
    ),
    Moment(EXPORT, "hgrpo_control.export.files.restore", NOTHING),
    Moment(EXPORT, "sim2real.export.onnx.replacing", NOTHING),
    Moment(
        EXPORT, "hgrpo_control.export.files._fly", f"kept: {ONNX}, run/policy.batch1.onnx", ("run/policy.batch1.onnx",)
    ),
    Moment(
        EXPORT,
        "hgrpo_control.export.files._measure",
        f"kept: {ONNX}, run/policy.batch1.onnx",
        ("run/policy.batch1.onnx",),
    ),
    Moment(("export", "run", "--onnx", ONNX, "--c", "hover"), "sim2real.export.c.footprints", f"kept: {ONNX}"),
    Moment(FLY, "sim2real.client.open_policy.open_policy", NOTHING),
    Moment(FLY, f"{SIMULATED}.start", "kept: flight.npz", ("flight.npz",)),
    Moment(FLY, f"{SIMULATED}.apply", "kept: flight.npz", ("flight.npz",), presses=2),
]


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run, exported. Not to be changed."""
    folder: Path = shutil.copytree(tiny_run, tmp_path_factory.mktemp("exported") / "run")
    assert main(["export", str(folder)]) == 0
    return folder


@pytest.fixture
def here(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it as the working directory's `run`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, Path("run"))


def press_as_it_is_called(called: str, presses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C as a function, by its path, is called; where that does not interrupt, the function runs."""
    path, _, name = called.rpartition(".")
    module, _, kind = path.rpartition(".") if path.rpartition(".")[2][0].isupper() else (path, "", "")
    owner: object = import_module(module)
    owner = getattr(owner, kind) if kind else owner
    function: Callable[..., object] = getattr(owner, name)

    def press(*words: object, **options: object) -> object:
        for _ in range(presses):
            signal.raise_signal(signal.SIGINT)
        return function(*words, **options)

    monkeypatch.setattr(owner, name, press)


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"{moment.words[0]}-{moment.called.rpartition('.')[2]}")
def test_the_last_line_says_what_is_kept(
    here: None, moment: Moment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files()
    press_as_it_is_called(moment.called, moment.presses, monkeypatch)
    assert main(moment.words) == 130
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == f"interrupted; {moment.told}"
    assert "Traceback" not in err
    added = {path for path in files() - before if "tensorboard" not in path and not path.endswith(".lock")}
    assert added == set(moment.new)
    assert before <= files()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("interrupted", [True, False])
def test_ctrl_c_while_an_extension_module_is_loaded_has_no_traceback(
    interrupted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*words: object) -> None:
        try:
            try:
                raise KeyboardInterrupt if interrupted else ValueError
            except BaseException as cause:
                raise SystemError("initialization of a module") from cause
        except SystemError as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr("hgrpo_control.commands.zoo.find", load)
    if interrupted:
        assert main(["zoo"]) == 130
        assert capsys.readouterr().err == "interrupted while a module was loaded\n"
    else:
        with pytest.raises(ImportError, match="initialization failed"):
            main(["zoo"])


def test_every_command_was_interrupted() -> None:
    assert {moment.words[0] for moment in MOMENTS} == set(COMMANDS)


def test_one_ctrl_c_ends_a_flight_at_the_next_tick(
    here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    press_as_it_is_called(f"{SIMULATED}.apply", 1, monkeypatch)
    assert main(FLY) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "record: flight.npz\nended: stopped by a signal\n" in out


@pytest.mark.slow
def test_a_process_ends_with_130_and_the_line(here: None) -> None:
    program = (
        "import time, hgrpo_control.commands.zoo as held\n"
        "from hgrpo_control.cli import entry_point\n"
        "held.find = lambda *words: (print('here', flush=True), time.sleep(60))\n"
        "entry_point()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = (sys.executable, "-c", program, "zoo")
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        while (line := process.stdout.readline()) != "here\n":
            assert line
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, f"interrupted; {NOTHING}\n")
