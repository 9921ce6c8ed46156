"""Mistakes on the command line are told in one line, whatever the terminal can show."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import tyro

from hgrpo_control.cli import main
from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.commands.train import TrainOptions, parse_train_options
from hgrpo_control.config.algorithms import GRPO, PPO
from hgrpo_control.config.run import Config
from hgrpo_control.presets.quadrotor import preset
from hgrpo_errors import install, nearest


@dataclass(frozen=True)
class Options:
    """Options to try."""

    folder: tyro.conf.Positional[Path]
    """Where."""
    episodes: int = 100
    """How many."""
    video_width: int = 640
    """How wide."""


HOVER = ("train", "ppo", "quadrotor-hover")
TINY = ("--num-envs", "16", "--rollout-steps", "8", "--num-minibatches", "2")
NO_MORE = (
    "--resume takes a run folder and nothing else: hgrpo train --resume DIR; for more steps: hgrpo resume DIR "
    "--total-steps N"
)
Refused = Callable[..., str]
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
            "unknown command 'swim'; allowed: tasks, train, resume, evaluate, transfer, export, inspect, fly, serve, "
            "check, compare, diagnose",
        ),
        (("tasks", "all"), "hgrpo tasks takes no arguments but --import MODULE; given all"),
        (("train", "hybrid", "quadrotor-hover"), "unknown algorithm 'hybrid'; did you mean 'hybrid-grpo'?"),
        (("train", "sac", "quadrotor-hover"), "unknown algorithm 'sac'; allowed: ppo, grpo, hybrid-grpo"),
        (("train", "ppo", "quadrotor-hove"), "unknown task 'quadrotor-hove'; did you mean 'quadrotor-hover'?"),
        (
            ("train", "ppo"),
            "which task? usage: hgrpo train ALGORITHM TASK [options]; `hgrpo tasks` lists them",
        ),
        ((*HOVER, "--task-options", "quadrotor=cf3x"), "unknown quadrotor preset 'cf3x'; did you mean 'cf2x'?"),
        (
            ("train", "grpo", "quadrotor-hover", "--num-samples", "1"),
            "grpo compares samples with each other, so num_samples must be at least 2; given 1",
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
        ((*HOVER, "--num-env", "16"), "Unrecognized options: --num-env, 16; did you mean --num-envs?"),
        ((*HOVER, "--gamma", "1.5"), "gamma must lie in [0, 1]; given 1.5"),
        ((*HOVER, "--gamma", "nan"), "gamma must lie in [0, 1]; given nan"),
        (("train", "--resume"), NO_MORE),
        ((*HOVER, "--resume", "run"), NO_MORE),
        (("resume", "nothing"), "no run at nothing: config.json is missing"),
        (("train", "--resume", "nothing"), "no run at nothing: config.json is missing"),
        (("evaluate", "nothing"), "no run at nothing: config.json is missing"),
        (("export", "nothing"), "no run at nothing: config.json is missing"),
        (("compare", "nothing"), "no run at nothing: config.json is missing"),
        (("evaluate", "run", "--episode", "3"), "Unrecognized options: --episode, 3; did you mean --episodes?"),
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
        (("compare",), "folder"),
        (("train",), "hgrpo train ALGORITHM TASK"),
        (("train", "--out", "x", "ppo", "quadrotor-hover"), "hgrpo train ALGORITHM TASK"),
    ],
)
def test_other_mistakes_are_one_line_that_names_the_place(words: tuple[str, ...], named: str, refused: Refused) -> None:
    assert named in refused(*words)


# Processes: what is imported, and what the shell sees


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
    return done.stderr.split()


def test_the_overview_loads_neither_torch_nor_mujoco() -> None:
    statement = "from hgrpo_control.cli import main\nassert main(['--help']) == 0"
    heavy = ("torch", "mujoco", "robots", "policies", "matplotlib", "onnx", "onnxruntime", "tensorboard", "imageio")
    assert modules_after(statement, *heavy) == []


def test_nothing_slow_is_loaded_before_signals_are_minded() -> None:
    assert modules_after("import hgrpo_control.cli", "tyro", "numpy", "importlib.metadata") == []


def test_simulators_load_without_mujoco_graphics_or_a_gpu() -> None:
    statement = "import robots, torch\nrobots.make('quadrotor-hover')\nassert not torch.cuda.is_initialized()"
    assert modules_after(statement, "mujoco", "OpenGL", "torch", "matplotlib") == ["torch"]


def test_the_shell_sees_the_status_and_one_line() -> None:
    done = process("trian")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hgrpo: unknown command 'trian'; did you mean 'train'?\n"


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [("serve", "aiohttp", "serve"), ("inspect", "onnxruntime", "deploy"), ("tasks", "torch", "train")],
)
def test_a_command_names_the_extra_that_it_needs(command: str, missing: str, extra: str) -> None:
    words = [command] if command == "tasks" else [command, "policy.onnx"]
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
    assert done.stderr.startswith("hgrpo: MUJOCO_GL=disable switches drawing off")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
