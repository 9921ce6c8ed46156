"""The zoo: every policy is described, can be trained on, and still reaches its figures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.experiments.zoo import RECIPES
from hgrpo_control.cli import main
from hgrpo_control.commands.train_options import parse_train_options
from hgrpo_control.evaluation.array_policy import ArrayPolicy
from hgrpo_control.evaluation.evaluate import evaluate
from hgrpo_control.training.simulation import make_simulator
from hgrpo_control.training.trainer import Trainer
from policies.zoo import FOLDER, entries, find, resolved
from policies.zoo.weights import load
from robots.simulator import closing
from sim2real.policy.onnx_policy import OnnxPolicy

NAMES = tuple(entries())
EPISODES = {True: 100, False: 20}
"""By whether the task has a success."""


def test_the_folder_holds_what_the_recipes_make() -> None:
    assert set(NAMES) == set(RECIPES)
    assert {path.stem for path in FOLDER.glob("*.onnx")} == set(NAMES)
    assert all(find(name).stat().st_size < 250_000 for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_command_trains_for_the_task_of_the_file(name: str) -> None:
    entry, policy = entries()[name], OnnxPolicy(find(name))
    words = entry.command.split()
    assert words[:2] == ["hgrpo", "train"]
    config = parse_train_options(words[2:]).config
    assert entry.task == config.task == policy.spec.task
    assert entry.simulator_steps == config.num_iterations * config.steps_per_iteration
    assert (policy.spec.hidden_sizes, policy.spec.memory) == (config.network.hidden_sizes, config.network.memory)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_policy_reaches_its_figures(name: str) -> None:
    entry = entries()[name]
    config = parse_train_options(entry.command.split()[2:]).config
    num = EPISODES[entry.success_rate is not None]
    with closing(make_simulator(config)) as simulator:
        flown, _ = evaluate(ArrayPolicy(OnnxPolicy(find(name))), simulator, num, entry.seed + 1)
    # Four standard errors of the difference between two samples.
    share = 1.0 / num + 1.0 / entry.episodes
    if entry.success_rate is not None:
        spread = math.sqrt(max(entry.success_rate * (1.0 - entry.success_rate), 0.01) * share)
        assert flown.success_rate >= entry.success_rate - 4.0 * spread
    assert flown.return_mean >= entry.return_mean - 4.0 * entry.return_std * math.sqrt(share)


@pytest.mark.parametrize("name", NAMES)
def test_its_weights_give_the_actions_of_its_file(name: str) -> None:
    file, policy = OnnxPolicy(find(name)), load(name)
    random = np.random.default_rng(0)
    observation = random.normal(0.0, 1.0, (5, file.spec.observation_size)).astype(np.float32)
    if policy.spec.memory == "none":
        action, expected = policy.predict(observation), file(observation)
    else:
        memory = random.normal(0.0, 0.5, (5, policy.spec.memory_width)).astype(np.float32)
        expected = file.step(observation, memory)[0]
        with torch.inference_mode():
            action = policy(torch.from_numpy(observation), torch.from_numpy(memory))[0].numpy()
    scale = np.array(file.spec.action_high) - np.array(file.spec.action_low)
    np.testing.assert_allclose(action / scale, expected / scale, atol=1e-5)


def test_training_begins_with_a_policy_of_the_zoo_and_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "ppo", "quadrotor-waypoints", "--init", "zoo:quadrotor-hover", "--out", str(tmp_path / "run")]
    assert main([*words, "--total-steps", "32768", "--num-envs", "32"]) == 0
    said = capsys.readouterr().err
    assert "hgrpo: --init zoo:quadrotor-hover: the critic starts anew: the source has none" in said
    assert "--init zoo:quadrotor-hover: the source does not observe" in said
    assert main(["resume", str(tmp_path / "run"), "--total-steps", "49152"]) == 0


def test_the_first_rollout_flies_as_the_source_does() -> None:
    words = ["hybrid-grpo", "quadrotor-hover", "--init-sigma", "0.02"]
    settled = {}
    for extra in ((), ("--init", "zoo:quadrotor-hover")):
        trainer = Trainer.from_config(parse_train_options([*words, *extra]).config)
        rollout, _ = trainer.sampler.collect()
        settled[extra] = float(rollout.reward.mean())
    assert settled["--init", "zoo:quadrotor-hover"] > settled[()] + 0.03


@pytest.mark.parametrize("name", NAMES[:1])
def test_commands_print_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{listed}" for name in NAMES)
    assert main(["zoo", name]) == 0
    assert entries()[name].command in capsys.readouterr().out
    assert main(["inspect", f"zoo:{name}"]) == 0
    assert entries()[name].task in capsys.readouterr().out


@pytest.mark.parametrize("words", [("zoo", "quadrotor-gate"), ("fly", "zoo:quadrotor-gate", "simulated")])
def test_an_unknown_name_is_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("hgrpo: unknown policy of the zoo 'quadrotor-gate'; did you mean 'quadrotor-gates'?")
    assert error.count("\n") == 1


def test_any_other_text_stays_as_it_is() -> None:
    assert resolved("runs/first/policy.onnx") == "runs/first/policy.onnx"
