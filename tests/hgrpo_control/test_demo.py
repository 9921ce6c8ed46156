"""`make demo` keeps what it finds: it goes on with an interrupted run and trains a finished one no further."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hgrpo_control import demo as module
from hgrpo_control.cli import main
from hgrpo_control.demo import demo
from hgrpo_control.training.trainer import Trainer

pytestmark = pytest.mark.slow

TINY = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--num-samples", "2", "--branch-steps", "1", "--total-steps", "512")
AFTER = [
    ["evaluate", "demo", "--episodes", "200", "--seed", "1"],
    ["export", "demo"],
    ["compare", "demo", "--out", "demo"],
]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_film", list)
    return tmp_path


def commands(status: int = 0) -> tuple[list[list[str]], int]:
    """What the demo runs in `demo`, training for real and the rest for show."""
    given: list[list[str]] = []

    def command(words: Sequence[str]) -> int:
        given.append(list(words))
        return main(words) if words[0] in ("train", "resume") else status

    return given, demo(Path("demo"), command, TINY)


def test_an_interrupted_run_goes_on_and_a_finished_one_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    iterate = Trainer.step

    def interrupted(trainer: Trainer) -> object:
        if trainer.iteration == 1:
            raise KeyboardInterrupt
        return iterate(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        given, status = commands()
        assert status == 130
        assert given == [["train", "hybrid-grpo", "quadrotor-hover", "--out", "demo", *TINY]]
    note = Path("demo/note.txt")
    note.write_text("of a person")

    given, status = commands()
    assert (given, status) == ([["resume", "demo"], *AFTER], 0)
    assert "demo was interrupted and is continued" in capsys.readouterr().out
    trained = Path("demo/checkpoint.pt").read_bytes()

    given, status = commands()
    assert (given, status) == (AFTER, 0)
    out = capsys.readouterr().out
    assert "demo is a finished run and is kept" in out
    assert Path("demo/checkpoint.pt").read_bytes() == trained
    assert note.read_text() == "of a person"


def test_the_first_command_that_fails_ends_it() -> None:
    given, status = commands(2)
    assert (given[1:], status) == (AFTER[:1], 2)
