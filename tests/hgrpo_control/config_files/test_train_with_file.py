"""`hgrpo train --config FILE`: every preset survives the round trip; a wrong file is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny_runs import TINY

from hgrpo_control.cli import main
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.config_files.formats import read_file, write_toml
from hgrpo_control.presets.quadrotor import preset
from hgrpo_imports import ImportRefusedError
from robots.catalogue import MUJOCO_TASKS
from robots.registry import names

PRESETS = [(algorithm, task) for task in (*names(), "gymnasium/Pendulum-v1") for algorithm in ALGORITHMS]


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def from_file(*words: str) -> Config:
    return parse_train_options(list(words)).config


def test_presets_of_every_robot_are_tried() -> None:
    assert {"quadrotor-hover", *MUJOCO_TASKS} <= {task for _, task in PRESETS}


@pytest.mark.parametrize(("algorithm", "task"), PRESETS)
def test_every_preset_is_written_and_read_back(algorithm: str, task: str, tmp_path: Path) -> None:
    config, file = preset(algorithm, task), tmp_path / "settings.toml"
    write_toml(file, config.to_table())
    assert from_file("--config", str(file)) == config
    as_json = written(tmp_path / "config.json", config.to_json())
    assert from_file("--config", as_json) == config


def test_none_infinity_and_words_survive(tmp_path: Path) -> None:
    learning = Learning(max_grad_norm=float("inf"), clip_high=0.3, learning_rate=1 / 3)
    odd = replace(
        preset("ppo", "quadrotor-hover"),
        learning=learning,
        task_options={"mass": "0.3", "gust": 4},
        curriculum={"difficulty": "0:1@steps:0:2e6"},
    )
    file = tmp_path / "odd.toml"
    write_toml(file, odd.to_table())
    assert 'target_kl = "None"' in file.read_text()
    assert from_file("--config", str(file)) == odd


def test_the_command_line_changes_the_file_and_the_file_the_preset(tmp_path: Path) -> None:
    text = 'task = "quadrotor-hover"\nnum_envs = 64\n[algorithm]\nname = "ppo"\ngamma = 0.9\n[learning]\nvf_coef = 1\n'
    file = written(tmp_path / "a.toml", text)
    config = from_file("--config", file, "--gamma", "0.95", "--seed", "3")
    own = preset("ppo", "quadrotor-hover")
    algorithm = replace(own.algorithm, gamma=0.95)
    learning = replace(own.learning, vf_coef=1.0)
    assert config == replace(own, num_envs=64, seed=3, algorithm=algorithm, learning=learning)
    assert from_file("ppo", "quadrotor-waypoints", f"--config={file}").task == "quadrotor-waypoints"
    assert parse_train_options(["--config", file]).out == Path("runs/ppo-quadrotor-hover-seed0")


def test_a_file_may_leave_algorithm_and_task_to_the_command_line(tmp_path: Path) -> None:
    file = written(tmp_path / "shared.toml", "seed = 5\n")
    assert from_file("grpo", "quadrotor-hover", "--config", file) == replace(preset("grpo", "quadrotor-hover"), seed=5)


HEAD = 'task = "quadrotor-hover"\n'
PPO = HEAD + '[algorithm]\nname = "ppo"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HEAD + "num_env = 3\n[algorithm]\nname = 'ppo'", ("num_env", "did you mean num_envs?")),
        (PPO + "[learning]\nlearning_rat = 1e-3", ("learning.learning_rat", "did you mean learning.learning_rate?")),
        (
            HEAD + "learning_rate = 1\n[algorithm]\nname = 'ppo'",
            ("learning_rate", "did you mean learning.learning_rate?"),
        ),
        (PPO + "num_samples = 4", ("algorithm.num_samples",)),
        (PPO + "xyz = 4", ("algorithm.xyz", "allowed: ", "gamma")),
        (PPO + "gamma = '0.9'", ("algorithm.gamma", "a number", "'0.9'")),
        (PPO + "gamma = true", ("algorithm.gamma", "a number", "True")),
        (PPO + "[network]\nmemory = 3", ("network.memory", "text", "3")),
        (PPO + "[network]\nmemory = 'gruu'", ("memory 'gruu'", "did you mean 'gru'?")),
        (PPO + "[network]\nhidden_sizes = 64", ("network.hidden_sizes", "list", "64")),
        (PPO + "[learning]\nnormalize_advantage = 1", ("learning.normalize_advantage", "true or false", "1")),
        (PPO + "[learning]\ntarget_kl = 'no'", ("learning.target_kl", "or None", "'no'")),
        (PPO + "[task_options]\nmass = [1]", ("task_options.mass", "[1]")),
        (HEAD + "network = 3\n[algorithm]\nname = 'ppo'", ("network", "a table", "3")),
        (HEAD + "total_steps = 1e6\n[algorithm]\nname = 'ppo'", ("total_steps", "a whole number", "1000000.0")),
        (HEAD + "rollout_steps = 7\n[learning]\nnum_minibatches = 5\n[algorithm]\nname='ppo'", ("num_minibatches 5",)),
        (HEAD + "[algorithm]\nname = 'pppo'", ("unknown algorithm 'pppo'", "did you mean 'ppo'?")),
        (HEAD, ("algorithm.name is missing",)),
        ("[algorithm]\nname = 'ppo'", ("task is missing",)),
        (
            "task = 'quadrotor-hoover'\n[algorithm]\nname = 'ppo'",
            ("quadrotor-hoover", "did you mean 'quadrotor-hover'?"),
        ),
        ("task = \n", ("TOML", "line 1")),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_key(text: str, named: tuple[str, ...], tmp_path: Path) -> None:
    file = written(tmp_path / "a.toml", text)
    with pytest.raises(ValueError, match=r"a\.toml") as raised:
        from_file("--config", file)
    message = str(raised.value)
    assert isinstance(raised.value, ConfigError) or "TOML" in message
    assert all(part in message for part in named), message
    assert len(message.splitlines()) == 1


def test_an_algorithm_beside_another_one_in_the_file_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "a.toml", PPO)
    with pytest.raises(ConfigError, match=r"a\.toml: algorithm\.name is ppo.*grpo"):
        from_file("grpo", "quadrotor-hover", "--config", file)


def test_a_file_imports_nothing_by_itself(tmp_path: Path) -> None:
    listed = written(tmp_path / "a.toml", 'imports = ["a_module_of_others"]\n' + PPO)
    with pytest.raises(ImportRefusedError, match=r"a\.toml.*add --import a_module_of_others"):
        from_file("--config", listed)
    transform = written(tmp_path / "b.toml", PPO + 'reward_transform = "a_module_of_others:halve"')
    with pytest.raises(ImportRefusedError, match=r"b\.toml.*add --import a_module_of_others"):
        from_file("--config", transform)
    task = written(tmp_path / "c.toml", 'task = "gymnasium/a_module_of_others:Env"\n[algorithm]\nname = "ppo"')
    with pytest.raises(ImportRefusedError, match=r"c\.toml.*add --import a_module_of_others"):
        from_file("--config", task)


def test_paths_that_are_no_file_of_settings_are_refused(complaint: Callable[..., str], tmp_path: Path) -> None:
    assert "settings.yaml" in complaint("train", "--config", tmp_path / "settings.yaml")
    assert "none.toml" in complaint("train", "--config", tmp_path / "none.toml")
    file = written(tmp_path / "a.toml", PPO)
    assert "File exists" in complaint("train", "--config", file, "--write-config", file)
    assert ".toml" in complaint("train", "--config", file, "--write-config", tmp_path / "b.json")


def test_a_run_is_repeated_from_its_own_settings(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", str(tiny_run / "config.json"), "--write-config", "again.toml"]) == 0
    assert not Path("runs").exists()
    assert main(["train", "--config", "again.toml", "--out", "run"]) == 0
    assert json.loads(Path("run/config.json").read_text()) == json.loads((tiny_run / "config.json").read_text())
    assert read_file(Path("again.toml"))["num_envs"] == int(TINY[1])
