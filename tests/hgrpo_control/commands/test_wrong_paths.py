"""A folder where a file is meant, a file where a folder is, and nothing where something is: one line each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hover_controller import hover_controller

import hgrpo_control
import robots
from hgrpo_control.runs.run_folder import RunFolder
from policies import checkpoint
from sim2real.export.onnx import export_onnx

HOVER = ("train", "ppo", "quadrotor-hover")
FLY = ("fly", "run/policy.onnx", "simulated", "--fast", "--episodes", "1")
SERVED = ("fly", "wss://127.0.0.1:1/", "simulated")
SERVE = ("serve", "run/policy.onnx")
TLS = ("--certificate", "file", "--private-key", "file")
Complaint = Callable[..., str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an export, a folder of runs, another folder and a file; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    run = RunFolder.create(folder / "run", hgrpo_control.preset("ppo", "quadrotor-hover"))
    policy = hover_controller(robots.make("quadrotor-hover"))  # type: ignore[arg-type]
    checkpoint.save(run.checkpoint, policy)
    export_onnx(policy, run.onnx, checks=20)
    shutil.copytree(run.path, folder / "runs" / "hover")
    (folder / "runs/hover/policy.onnx").unlink()
    (folder / "other").mkdir()
    (folder / "other/notes.txt").write_text("mine")
    (folder / "file").write_text("mine\n")
    return folder


@pytest.fixture(autouse=True)
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of them is the working directory."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "here"))


RUN_COMMANDS = (
    ("resume",),
    ("evaluate",),
    ("export",),
    ("diagnose",),
    ("compare",),
    ("transfer", "--to", "mujoco"),
)


@pytest.mark.parametrize("words", RUN_COMMANDS, ids=lambda words: words[0])
def test_what_is_no_run_folder_is_told(words: tuple[str, ...], complaint: Complaint) -> None:
    command, *options = words
    for path, message in {
        "file": "file is a file; expected a run folder, which hgrpo train makes",
        "run/checkpoint.pt": "run/checkpoint.pt is a file; expected a run folder; did you mean run?",
        "run/policy.onnx": "run/policy.onnx is a file; expected a run folder; did you mean run?",
        "other": "no run at other: config.json is missing",
        "runs": "no run at runs: config.json is missing; runs in it: runs/hover",
        "nowhere": "no run at nowhere: config.json is missing",
        "file/run": "no run at file/run: config.json is missing",
    }.items():
        assert complaint(command, path, *options) == message


@pytest.mark.slow
@pytest.mark.parametrize("words", [("inspect",), ("fly", *FLY[2:]), ("serve",)], ids=lambda words: words[0])
def test_what_is_no_exported_file_is_told(words: tuple[str, ...], complaint: Complaint) -> None:
    command, *options = words
    for path, message in {
        "run": "run is a folder; expected an ONNX file; did you mean 'run/policy.onnx'?",
        "runs/hover": "runs/hover is a folder; expected an ONNX file, which hgrpo export runs/hover writes",
        "other": "other is a folder; expected an ONNX file",
    }.items():
        assert complaint(command, path, *options) == message
    assert complaint(command, "file", *options).startswith("file is damaged or not an ONNX model: ")
    assert complaint(command, "nowhere", *options) == "cannot read nowhere: No such file or directory"
    if command != "serve":  # which reads each file in a new process, by the same function
        assert complaint(command, "file/x.onnx", *options) == "cannot read file/x.onnx: Not a directory"
        assert "run/checkpoint.pt is damaged" in complaint(command, "run/checkpoint.pt", *options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*HOVER, "--out", "file"), "file is a file; --out is the folder of a new run"),
        ((*HOVER, "--out", "file/run"), "cannot write file/run: Not a directory; a folder in its path is a file"),
        ((*HOVER, "--out", "other"), "other exists already; choose another --out"),
        ((*HOVER, "--kl-coef", "1", "--reference", "other"), "no checkpoint at other/checkpoint.pt"),
        ((*HOVER, "--kl-coef", "1", "--reference", "nowhere"), "no checkpoint at nowhere"),
        (("compare", "run", "--out", "file"), "file is a file; --out is a folder to write into"),
        ((*FLY, "--record", "other"), "other is a folder; --record is a new .npz file"),
        ((*FLY, "--record", "file"), "file exists already; choose another file"),
        ((*FLY, "--record", "file/x.npz"), "there is no folder file to write x.npz into"),
        ((*SERVED, "--token-file", "other"), "--token-file other cannot be read: Is a directory"),
        ((*SERVED, "--token-file", "nowhere"), "--token-file nowhere cannot be read: No such file or directory"),
        ((*SERVED, "--certificate", "other"), "--certificate other cannot be read: Is a directory"),
        ((*SERVED, "--certificate", "nowhere"), "--certificate nowhere cannot be read: No such file or directory"),
        (
            (*SERVED, "--certificate", "file"),
            "--certificate file holds no certificate in PEM: NO_CERTIFICATE_OR_CRL_FOUND",
        ),
        ((*SERVE, "--record", "file"), "file is a file; --record is a folder"),
        ((*SERVE, "--token-file", "other"), "other is a folder; --token-file is a file"),
        ((*SERVE, *TLS, "--certificate", "other"), "other is a folder; --certificate is a file"),
        ((*SERVE, *TLS, "--private-key", "other"), "other is a folder; --private-key is a file"),
        (("serve", "hover=other"), "other is a folder; expected an ONNX file"),
    ],
)
def test_every_other_path_of_the_wrong_kind_is_told(words: tuple[str, ...], message: str, complaint: Complaint) -> None:
    assert complaint(*words) == message


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ((*HOVER, "--hidden-sizes"), "--hidden-sizes"),
        ((*HOVER, "--hidden-sizes", "--seed", "3"), "--hidden-sizes"),
        (("fly", "run/policy.onnx", "mavlink", "--goal"), "--goal"),
        ((*FLY, "--safe-action", "--fast"), "--safe-action"),
        (("diagnose", "run", "--lambdas"), "--lambdas"),
    ],
)
def test_an_option_of_several_values_is_not_given_none(
    words: tuple[str, ...], option: str, complaint: Complaint
) -> None:
    assert f"{option}: expected at least one" in complaint(*words)


IN_PLACE = [(words, "config.json") for words in RUN_COMMANDS]
IN_PLACE += [(words, "metrics.csv" if words[0] == "compare" else "checkpoint.pt") for words in RUN_COMMANDS]


@pytest.mark.parametrize(("words", "name"), IN_PLACE)
def test_a_folder_in_place_of_a_file_of_a_run_is_told(words: tuple[str, ...], name: str, complaint: Complaint) -> None:
    path = Path("run", name)
    path.unlink(missing_ok=True)
    path.mkdir()
    assert f"run/{name}" in complaint(words[0], "run", *words[1:])
