"""Code that a file names runs only where the user names its module too: every command, walked."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_runs import TINY

import hgrpo_control
import policies
from hgrpo_control.cli import COMMANDS, main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.run import Config
from hgrpo_control.runs.imports import modules_of, resume_command
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.trainer import Trainer
from hgrpo_imports import ImportRefusedError
from policies import checkpoint
from robots import registry
from sim2real.export.onnx import export_onnx

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

DIAGNOSE = ("--roots", "2", "--steps", "2", "--samples", "2", "--branch-steps", "1", "--budget", "64")
DIAGNOSE += ("--reference-branches", "32")
TRAP = """from pathlib import Path

import robots

Path("sprung").touch()


def doubled(reward):
    return 2.0 * reward


def hover(**options):
    return robots.make("quadrotor-hover", **options)
"""
"""Tells that it was imported, and would do as a reward transform."""

TRANSFORM = '"reward_transform": "identity"', '"reward_transform": "trap:doubled"'
NAMINGS = {
    "imports": ('"imports": []', '"imports": ["trap"]', "--import trap"),
    "task": ('"task": "quadrotor-hover"', '"task": "gymnasium/trap:hover"', "task 'gymnasium/trap:hover'"),
    "transform": (*TRANSFORM, "reward_transform 'trap:doubled'"),
}
"""How a config.json may name a module: what is replaced, by what, and how it is told."""

WALKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "tasks": (("tasks",),),
    "train": (("resume", "run"), ("train", "ppo", "quadrotor-hover", *TINY, "--out", "other")),
    "resume": (("resume", "run"),),
    "evaluate": (("evaluate", "run", "--episodes", "2"),),
    "transfer": (("transfer", "run", "--to", "mujoco", "--episodes", "2"),),
    "export": (
        ("export", "run"),
        ("export", "run", "--int8", "--episodes", "2"),
        ("export", "run", "--c", "policy"),
        ("export", "run", "--crazyflie", "app"),
    ),
    "zoo": (("zoo",),),
    "watch": (("watch", "run", "--port", "0", "--seconds", "0.1"),),
    "vehicle": (("vehicle", "cf2x"),),
    "identify": (("identify", "trap.onnx", "--vehicle", "cf2x"),),  # no log: it ends there
    "inspect": (("inspect", "trap.onnx"),),
    "fly": (("fly", "trap.onnx", "simulated", "--fast", "--episodes", "1"),),
    "serve": (("serve", "trap.onnx", "--host", "192.0.2.1"),),  # an address of nobody's: it loads, and ends there
    "check": (("check", "quadrotor-hover", "--states", "1", "--steps", "1"),),
    "compare": (("compare", "run"),),
    "diagnose": (("diagnose", "run", *DIAGNOSE),),
    "tune": (("tune", "ppo", "quadrotor-hover", *TINY, "--trials", "1"),),
}
"""Every command, as it reads a run or an exported file that came from somewhere."""

LEARNS = ("train", "resume", "diagnose")  # the others need no reward transform


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run after one of its two iterations, not to be changed; trap.onnx beside it says its task names a module."""
    home = tmp_path_factory.mktemp("interrupted")
    config = Config(
        task="quadrotor-hover",
        algorithm=PPO(),
        total_steps=256,
        num_envs=16,
        rollout_steps=8,
        network=hgrpo_control.config.run.Network(hidden_sizes=(8,)),
        learning=hgrpo_control.config.run.Learning(update_epochs=1, num_minibatches=2),
    )
    trainer, folder = Trainer.from_config(config), RunFolder.create(home / "run", config)
    folder.append_metrics(trainer.step())
    policies.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    trainer.policy.spec = dataclasses.replace(trainer.policy.spec, task="gymnasium/trap:hover")
    export_onnx(trainer.policy, home / "trap.onnx", checks=20)
    return home


@pytest.fixture
def sprung(interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A copy of the run and of the file under the relative paths `run` and `trap.onnx`, and whether trap.py ran."""
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.delitem(sys.modules, "trap", raising=False)
    monkeypatch.setattr("hgrpo_control.tune.report.draw", lambda study, out: [])  # takes a second

    def happened() -> bool:
        sys.modules.pop("trap", None)
        return (tmp_path / "sprung").exists()

    return happened


def planted(naming: str) -> str:
    """Have config.json name the module; returns how that is told."""
    before, after, told = NAMINGS[naming]
    path = Path("run/config.json")
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    return told


def test_every_command_is_walked() -> None:
    assert set(WALKS) == set(COMMANDS)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("words", [words for walk in WALKS.values() for words in walk], ids=" ".join)
def test_no_command_imports_what_a_file_names(
    words: tuple[str, ...], naming: str, sprung: Callable[[], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    told = planted(naming)
    status = main(words)
    assert not sprung()
    error = capsys.readouterr().err
    if "run" in words and words[0] != "compare" and (naming != "transform" or words[0] in LEARNS):
        assert status == 2
        assert error == (
            f"hgrpo: run was trained with {told}, and code is imported only where you say so: add --import trap\n"
        )
    elif words[0] == "fly":
        assert status == 2
        assert error == (
            "hgrpo: this policy was trained with task 'gymnasium/trap:hover', and code is imported only where you say "
            "so: add --import trap\n"
        )
    else:
        assert status == (2 if words[0] in ("serve", "identify") else 0), error


@pytest.mark.parametrize("naming", ["imports", "transform"])
@pytest.mark.parametrize("command", ["train", "resume", "evaluate", "transfer", "export", "diagnose"])
def test_what_the_user_names_too_is_imported(command: str, naming: str, sprung: Callable[[], bool]) -> None:
    planted(naming)
    assert main([*WALKS[command][0], "--import", "trap"]) == 0
    assert sprung()


def test_a_task_of_a_module_is_flown_where_its_module_is_named(
    sprung: Callable[[], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WALKS["fly"][0], "--import", "trap"]
    assert main(words) == 2  # a simulator is not what gymnasium/MODULE:FACTORY makes
    assert sprung()
    assert "trap:hover made a QuadrotorHover; allowed: a gymnasium.Env" in capsys.readouterr().err


def test_python_is_asked_as_the_command_line_is(sprung: Callable[[], bool]) -> None:
    planted("imports")
    with pytest.raises(ImportRefusedError, match=r"^run was trained with --import trap, .*: add --import trap$"):
        hgrpo_control.resume("run")
    assert not sprung()
    hgrpo_control.resume("run", imports=("trap",))
    assert sprung()


def test_a_run_trained_from_python_knows_which_module_registered_its_task(
    sprung: Callable[[], bool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("trap.py").write_text(TRAP + '\n\nrobots.register("trap-hover", hover)\n')
    monkeypatch.syspath_prepend(".")
    import trap  # type: ignore[import-not-found]

    config = dataclasses.replace(RunFolder("run").peek_config(), task="trap-hover")
    hgrpo_control.train(config, "own")
    assert hgrpo_control.resume("own", total_steps=512) is not None  # in a process that has imported the module
    del sys.modules["trap"]
    assert main(["evaluate", "own", "--episodes", "2"]) == 2
    line = "own was trained with --import trap, and code is imported only where you say so: add --import trap"
    assert line in capsys.readouterr().err
    registry._FACTORIES.pop("trap-hover")
    assert main(["evaluate", "own", "--episodes", "2", "--import", "trap"]) == 0
    assert trap.hover is not None


def test_all_that_is_missing_is_told_at_once_and_nothing_is_imported_before(
    sprung: Callable[[], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    planted("transform")
    path = Path("run/config.json")
    path.write_text(path.read_text().replace('"imports": []', '"imports": ["one", "two.three", "trap"]'))
    assert main(["resume", "run", "--import", "trap"]) == 2
    assert not sprung()
    assert capsys.readouterr().err == (
        "hgrpo: run was trained with --import one, --import two.three, and code is imported only where you say so: "
        "add --import one --import two.three\n"
    )


@pytest.mark.parametrize("name", ["trap; rm -rf x", "trap --import os", "../trap", "", "\x1b[2J", 3])
def test_what_is_no_name_of_a_module_is_never_offered_to_a_shell(
    name: Any, sprung: Callable[[], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("run/config.json")
    text = path.read_text()
    fields = json.loads(text)
    for changed in (
        {**fields, "imports": [name]},
        {**fields, "task": f"gymnasium/{name}:hover"},
    ):
        if changed["task"] == "gymnasium/:hover":
            continue  # which names no module
        path.write_text(json.dumps(changed))
        assert main(["evaluate", "run", "--episodes", "2"]) == 2
        error = capsys.readouterr().err
        assert "takes the name of a module" in error or "imports must be" in error
        assert "add --import" not in error
        assert "\x1b" not in error
    assert not sprung()


def test_the_words_that_go_on_with_a_run_name_its_modules() -> None:
    config = Config("gymnasium/a.b:Env", PPO(reward_transform="c:f"), imports=("d", "a.b"))
    assert modules_of(config) == {"d": "--import d", "a.b": "--import a.b", "c": "reward_transform 'c:f'"}
    assert list(modules_of(config, learning=False)) == ["d", "a.b"]
    assert resume_command(Path("run"), config) == "hgrpo resume run --import d --import a.b --import c"
    assert resume_command(Path("run"), Config("quadrotor-hover", PPO())) == "hgrpo resume run"


class _Trap:
    """Creates a file when it is unpickled by a loader that runs code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize(
    "words",
    [
        *(words for name in ("resume", "evaluate", "transfer", "export", "diagnose") for words in WALKS[name]),
        WALKS["train"][0],
        ("train", "ppo", "quadrotor-hover", *TINY, "--kl-coef", "1", "--reference", "run", "--out", "other"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("part", ["policy", "training"])
def test_no_command_runs_what_a_checkpoint_holds(
    words: tuple[str, ...], part: str, sprung: Callable[[], bool], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("run/checkpoint.pt")
    torch.save({**torch.load(path, weights_only=True), part: _Trap()}, path)
    assert main(words) == 2
    assert not sprung()
    assert capsys.readouterr().err.startswith(f"hgrpo: {path} is damaged or not a checkpoint of this package: ")
    with pytest.raises(checkpoint.CheckpointError):
        policies.load("run")
