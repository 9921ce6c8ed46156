"""Mistakes on the command line are told in one line, whatever the terminal can show."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
import tyro

from hgrpo_control.command_line import UsageError, nearest, parse
from hgrpo_control.config import GRPO, PPO, Config
from hgrpo_control.presets import preset
from hgrpo_control.train_options import TrainOptions, parse_train_options


@dataclass(frozen=True)
class Options:
    """Options to try."""

    folder: tyro.conf.Positional[Path]
    """Where."""
    episodes: int = 100
    """How many."""
    video_width: int = 640
    """How wide."""


ENCODINGS = ("utf-8", "UTF-8", "ascii")  # the parser draws its messages in other characters for each


def printing_in(encoding: str) -> contextlib.redirect_stdout[io.TextIOWrapper]:
    """Standard output of a terminal, or a file, with this encoding."""
    return contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding=encoding))


def complaint(words: list[str], encoding: str, default: TrainOptions | None = None) -> str:
    """What parsing `words` complains about; nothing is printed besides."""
    err = io.StringIO()
    with printing_in(encoding), contextlib.redirect_stderr(err), pytest.raises(UsageError) as caught:
        parse(Options if default is None else TrainOptions, words, "try", default)
    assert err.getvalue() == ""
    return str(caught.value)


def test_options_are_parsed_over_their_defaults() -> None:
    assert parse(Options, ["run", "--episodes", "3"], "try") == Options(Path("run"), 3)
    assert parse(Options, ["--video-width", "8"], "try", Options(Path("x"), 7)) == Options(Path("x"), 7, 8)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--episode", "3"], "Unrecognized options: --episode, 3; did you mean --episodes?"),
        (["run", "--video_with", "3"], "Unrecognized options: --video_with, 3; did you mean --video-width?"),
        (["run", "--zzz"], "Unrecognized options: --zzz"),
        (["run", "--episodes", "x"], "Error parsing --episodes: invalid literal for int() with base 10: 'x'"),
        (["run", "--episodes"], "Missing value for argument '--episodes'. Expected 1 values."),
    ],
)
def test_a_mistake_is_one_line_that_names_the_nearest_option(
    words: list[str], message: str, width: int, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert complaint(words, encoding) == message


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_missing_argument_is_named(encoding: str) -> None:
    message = complaint([], encoding)
    assert message.startswith("Missing from try: PATH")
    assert "\n" not in message
    assert "---" not in message


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_contradiction_inside_the_config_keeps_its_own_words(encoding: str) -> None:
    default = TrainOptions(Config("quadrotor-hover", GRPO()))
    assert complaint(["--num-samples", "1"], encoding, default) == (
        "grpo compares samples with each other, so num_samples must be at least 2; given 1"
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help_is_printed_and_ends_the_program(encoding: str) -> None:
    with printing_in(encoding) as terminal, pytest.raises(SystemExit) as caught:
        parse(Options, ["--help"], "try")
    assert caught.value.code in (0, None)
    terminal.flush()
    printed = terminal.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert "--video-width" in printed
    assert "How many." in printed


@pytest.mark.parametrize(
    ("given", "told"),
    [("tarin", "did you mean 'train'?"), ("xyz", "allowed: train, evaluate"), ("", "allowed: train, evaluate")],
)
def test_the_nearest_word_or_all_of_them(given: str, told: str) -> None:
    assert nearest(given, ("train", "evaluate")) == told


def test_training_options_start_from_the_preset_and_name_the_folder_after_the_run() -> None:
    options = parse_train_options(["ppo", "quadrotor-hover", "--gamma", "0.9", "--hidden-sizes", "8", "4"])
    assert options.out == Path("runs/ppo-quadrotor-hover-seed0")
    assert options.config.algorithm == PPO(gamma=0.9, gae_lambda=1.0)
    assert options.config.network.hidden_sizes == (8, 4)
    assert options.config.num_envs == preset("ppo", "quadrotor-hover").num_envs
    assert not options.video


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["--seed", "7"], "runs/grpo-quadrotor-hover-seed7"),
        (["--seed", "7", "--out", "elsewhere"], "elsewhere"),
        (["--out", "elsewhere"], "elsewhere"),
    ],
)
def test_the_folder_follows_the_seed_unless_it_is_given(words: list[str], out: str) -> None:
    assert parse_train_options(["grpo", "quadrotor-hover", *words]).out == Path(out)


def test_task_options_are_pairs_of_words() -> None:
    options = parse_train_options(["ppo", "quadrotor-hover", "--task-options", "quadrotor", "cf2x"])
    assert options.config.task_options == {"quadrotor": "cf2x"}


@pytest.mark.parametrize("words", [[], ["ppo"], ["--seed", "1", "ppo", "quadrotor-hover"], ["ppo", "--seed", "1"]])
def test_what_is_left_out_is_asked_for(words: list[str]) -> None:
    with pytest.raises(UsageError, match="hgrpo train ALGORITHM TASK"):
        parse_train_options(words)
