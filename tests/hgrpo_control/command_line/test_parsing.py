"""Parsing of the command line: values by type, and mistakes in one line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import pytest

from hgrpo_control.cli import COMMANDS, main
from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.argument import IMPORTS, Argument
from hgrpo_control.config.named_values import TASK_OPTIONS
from hgrpo_control.config.run import Config
from hgrpo_control.presets.quadrotor import preset
from hgrpo_errors import nearest
from robots.quadrotor.body.parameters import PRESETS


@dataclass(frozen=True)
class Part:
    """A part of them."""

    name: str = "x"
    weight: float = 1.0
    loud: bool = False
    kind: Literal["fast", "slow"] = "fast"


@dataclass(frozen=True)
class Options:
    """Options to try."""

    folder: Annotated[Path, Argument("DIR", positional=True)]
    """Where."""
    episodes: int = 100
    """How many."""
    video_width: int | None = 640
    """How wide, 50 % of the screen."""
    speeds: tuple[float, ...] = (1.0, 2.0)
    pairs: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    imports: IMPORTS = ()
    part: Part = field(default_factory=Part)


HOVER = ("train", "ppo", "quadrotor-hover")
TINY = ("--num-envs", "16", "--rollout-steps", "8", "--num-minibatches", "2")
RESUMED = "unknown option --resume; to continue a run: hgrpo resume DIR"
Refused = Callable[..., str]


def complaint(*args: str) -> str:
    """The error of parsing `args`; nothing is printed besides."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), pytest.raises(UsageError) as caught:
        parse(Options, args, "try")
    assert err.getvalue() == ""
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_options_are_parsed_over_their_defaults() -> None:
    assert parse(Options, ["run", "--episodes", "3"], "try") == Options(Path("run"), 3)
    former = Options(Path("x"), 7, speeds=(2.0,), part=Part(name="y"))
    assert parse(Options, ["run", "--video-width", "8"], "try", former) == replace(
        former, folder=Path("run"), video_width=8
    )
    assert parse(Options, ["run", "--loud", "--no-loud"], "try", former) == replace(former, folder=Path("run"))


def test_values_are_read_by_the_types_of_their_fields() -> None:
    args = ["run", "--video-width=None", "--speeds", "-1e-3", "-inf", "3", "--weight", "-2e1", "--loud"]
    args += ["--kind", "slow", "--name", "-5", "--pairs", "a=1", "b=x=y", "--import", "one", "--import", "two"]
    assert parse(Options, args, "try") == Options(
        Path("run"),
        video_width=None,
        speeds=(-0.001, float("-inf"), 3.0),
        pairs={"a": "1", "b": "x=y"},
        imports=("one", "two"),
        part=Part("-5", weight=-20.0, loud=True, kind="slow"),
    )
    assert parse(Options, ["run", "--pairs"], "try") == Options(Path("run"))


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["run", "--episode", "3"], ("--episode;", "did you mean --episodes?")),
        (["run", "--video_with", "3"], ("--video_with", "did you mean --video-width?")),
        (["run", "--no-lout"], ("--no-lout", "did you mean --no-loud?")),
        (["run", "--zzz"], ("unknown option --zzz", "see try --help")),
        (["run", "--episodes", "x"], ("--episodes", "whole number", "'x'")),
        (["run", "--weight", "x"], ("--weight", "must be a number", "'x'")),
        (["run", "--video-width", "x"], ("--video-width", "whole number or None", "'x'")),
        (["run", "--kind", "slov"], ("--kind", "'slov'", "did you mean 'slow'?", "fast, slow")),
        (["run", "--episodes"], ("--episodes", "expected one argument")),
        (["run", "--speeds", "--episodes", "1"], ("--speeds", "expected at least one argument")),
        (["run", "--import"], ("--import", "expected one argument")),
        (["run", "--pairs", "mass"], ("--pairs", "NAME=VALUE", "'mass'")),
        (["run", "more"], ("more", "see try --help")),
        ([], ("DIR", "see try --help")),
    ],
)
def test_a_mistake_is_one_line_with_option_value_and_what_is_allowed(args: list[str], named: tuple[str, ...]) -> None:
    message = complaint(*args)
    assert [part for part in named if part not in message] == [], message


def test_help_is_printed_and_ends_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(Options, ["--help"], "try")
    assert caught.value.code in (0, None)
    printed = " ".join(capsys.readouterr().out.split())
    assert "usage: try DIR [options]" in printed
    assert "Options to try." in printed
    assert "--video-width INT|None How wide, 50 % of the screen. (default: 640)" in printed
    assert "--speeds FLOAT [FLOAT ...] (default: 1.0 2.0)" in printed
    assert "part: A part of them." in printed


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


def test_task_options_are_words_with_a_value_each() -> None:
    words = ["ppo", "quadrotor-hover", "--task-options", "quadrotor=cf2x", "mass=0.3", "odd=a=b", "--seed", "3"]
    config = parse_train_options(words).config
    assert config.task_options == {"quadrotor": "cf2x", "mass": "0.3", "odd": "a=b"}
    assert config.seed == 3
    assert parse_train_options(words[:2]).config.task_options == {}
    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize("words", [[], ["ppo"], ["--seed", "1", "ppo", "quadrotor-hover"], ["ppo", "--seed", "1"]])
def test_what_is_left_out_is_asked_for(words: list[str]) -> None:
    with pytest.raises(UsageError, match="hgrpo train ALGORITHM TASK"):
        parse_train_options(words)


# Through the whole command line


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must fail: status 2, one line on stderr, nothing on stdout, no file made."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("hgrpo: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1, err
        assert list(tmp_path.iterdir()) == []
        return err.removeprefix("hgrpo: ").removesuffix("\n")

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trian",), "unknown command 'trian'; did you mean 'train'?"),
        (
            ("swim",),
            f"unknown command 'swim'; allowed: {', '.join(COMMANDS)}",
        ),
        (("tasks", "quadrotor-hove"), "unknown task 'quadrotor-hove'; did you mean 'quadrotor-hover'?"),
        (
            ("tasks", "a", "b"),
            "hgrpo tasks takes at most one task; given a b; usage: hgrpo tasks [TASK] [--import MODULE ...]",
        ),
        (("train", "hybrid", "quadrotor-hover"), "unknown algorithm 'hybrid'; did you mean 'hybrid-grpo'?"),
        (("train", "sac", "quadrotor-hover"), "unknown algorithm 'sac'; allowed: ppo, grpo, hybrid-grpo"),
        (("train", "ppo", "quadrotor-hove"), "unknown task 'quadrotor-hove'; did you mean 'quadrotor-hover'?"),
        (
            ("train", "ppo"),
            "TASK is missing; usage: hgrpo train ALGORITHM TASK [options]; `hgrpo tasks` lists the tasks",
        ),
        (
            (*HOVER, "--task-options", "quadrotor=cf3x"),
            f"unknown quadrotor 'cf3x'; did you mean 'cf2x'? allowed: {', '.join(PRESETS)}, any, "
            "a vehicle file NAME.toml",
        ),
        (
            ("train", "grpo", "quadrotor-hover", "--num-samples", "1"),
            "num_samples must be at least 2; given 1",
        ),
        (
            ("train", "hybrid-grpo", "quadrotor-hover", "--rollout-steps", "6", "--branch-steps", "4"),
            "hybrid-grpo: branch_steps 4 does not divide rollout_steps 6; allowed: 1, 2, 3, 6",
        ),
        (
            (*HOVER, "--num-envs", "3", "--rollout-steps", "5", "--num-minibatches", "4"),
            "num_minibatches 4 does not divide the batch of 15 rows (nearest: 3, 5)",
        ),
        (
            (*HOVER, *TINY, "--total-steps", "127"),
            "total_steps 127 is less than one iteration takes: 16 envs x 1 samples x 8 steps = 128",
        ),
        (
            (*HOVER, "--num-env", "16"),
            "unknown option --num-env; did you mean --num-envs?; see hgrpo train ppo quadrotor-hover --help",
        ),
        ((*HOVER, "--gamma", "1.5"), "gamma must be from 0 to 1; given 1.5"),
        ((*HOVER, "--gamma", "nan"), "gamma must be from 0 to 1; given nan"),
        (("train", "--resume"), RESUMED),
        ((*HOVER, "--resume", "run"), RESUMED),
        (("resume", "nothing"), "no run at nothing: config.json is missing"),
        (("evaluate", "nothing"), "no run at nothing: config.json is missing"),
        (("export", "nothing"), "no run at nothing: config.json is missing"),
        (("compare", "nothing"), "no run at nothing: config.json is missing"),
        (
            ("evaluate", "run", "--episode", "3"),
            "unknown option --episode; did you mean --episodes?; see hgrpo evaluate --help",
        ),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], message: str, refused: Refused) -> None:
    assert refused(*words) == message


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((*HOVER, "--seed", "x"), "--seed"),
        ((*HOVER, "--activation", "tan"), "--activation"),
        ((*HOVER, "--out"), "--out"),
        (("evaluate",), "hgrpo evaluate"),
        (("compare",), "DIR"),
        (("train",), "hgrpo train ALGORITHM TASK"),
        (("train", "--out", "x", "ppo", "quadrotor-hover"), "hgrpo train ALGORITHM TASK"),
    ],
)
def test_other_mistakes_are_one_line_that_names_the_place(words: tuple[str, ...], named: str, refused: Refused) -> None:
    assert named in refused(*words)
