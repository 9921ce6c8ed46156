"""What docs/guides/mujoco.md and own-robot.md say: a table, and a robot that is built and trained from the page."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from support.states import follow, random_actions, same

import robots
from hgrpo_control.api.run import train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.evaluate import evaluate
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.trainer import Trainer
from policies import checkpoint
from robots import registry
from robots.catalogue import MUJOCO_TASKS
from robots.mujoco.simulator import MujocoSimulator
from robots.simulator import select

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
PAGE = (GUIDES / "mujoco.md").read_text(encoding="utf-8")
OWN = (GUIDES / "own-robot.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE + OWN, re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.fixture
def slider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MujocoSimulator:
    """The page's robot, registered for one test."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    (tmp_path / "slider.xml").write_text(block("xml", "slide"), encoding="utf-8")
    (tmp_path / "slider.py").write_text(block("python", "class Slider"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("slider", tmp_path / "slider.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "slider", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return robots.make("slider")


def test_the_table_is_that_of_the_tasks() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if "-v5 |" in line]
    assert [row[0] for row in rows] == list(MUJOCO_TASKS)
    for name, observation, action, control, limit, ends, lags in rows:
        simulator = robots.make(name)
        spec = simulator.spec
        assert int(observation) == spec.observation_size
        assert action == f"{spec.action_size} in [{min(spec.action_low):g}, {max(spec.action_high):g}]"
        assert control == f"{spec.control_hz:g} Hz"
        assert int(limit) == spec.max_episode_steps
        assert (lags == "nothing") == (not simulator.robot.derived)
        state = simulator.reset(16, 0)
        ended = torch.zeros(16, dtype=torch.bool)
        for action in random_actions(simulator, 30 if ends == "never" else 150, 16):
            taken = simulator.step(state, action)
            state, ended = taken.state, ended | taken.terminated
            if ended.any():
                break
        assert bool(ended.any()) == (ends != "never"), name


def test_the_robot_of_the_page_obeys_its_physics(slider: MujocoSimulator) -> None:
    """1 kg with 0.5 N s/m, pushed by 2 N: v' = 2 - 0.5 v, so v = 4 (1 - e^(-t/2)); after 1 s 1.574 m/s."""
    assert [q.name for q in slider.spec.observation] == ["slide", "slide_velocity"]
    state = slider.reset(3, 0)
    assert (state.physics[:, 1].abs() <= 0.2).all()
    for step in follow(slider, state, torch.full((20, 3, 1), 2.0)):
        state = step.state
    speed = slider.observe(state)[:, 1]
    assert speed.tolist() == pytest.approx([1.574] * 3, rel=0.01)
    assert step.reward.tolist() == pytest.approx(
        (-((slider.observe(state)[:, 0] - 0.5) ** 2) - 0.04).tolist(), rel=1e-5
    )
    branch = slider.step(select(state, slice(1, 2)), torch.zeros(1, 1))
    assert same(branch, select(slider.step(state, torch.zeros(3, 1)), slice(1, 2)))


def test_the_robot_of_the_page_trains_and_varies(slider: MujocoSimulator) -> None:
    config = Config(
        task="slider",
        algorithm=PPO(),
        total_steps=2 * 8 * 16,
        num_envs=8,
        rollout_steps=16,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(update_epochs=1, num_minibatches=2),
        task_options={"mass": 0.3, "control_weight": 0.1},
    )
    evaluation, _ = evaluate(train(config).policy, robots.make("slider", mass=0.3), episodes=4)
    assert evaluation.length_mean == 100.0
    assert 0.0 <= evaluation.success_rate <= 1.0
    varied = robots.make("slider", mass=0.3)
    assert [q.name for q in varied.spec.privileged] == ["block_mass_factor"]


SECTION = OWN.partition("## Train it")[2]
COMMANDS = [line.split()[1:] for line in SECTION.splitlines() if line.startswith("    hgrpo ")]


@pytest.fixture
def beside_the_robot(slider: MujocoSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of slider.py, which nothing has imported yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "slider")
    del registry._FACTORIES["slider"]


@pytest.mark.slow
@pytest.mark.usefixtures("beside_the_robot", "undrawn")
def test_every_command_of_the_page_works_with_less_work(capsys: pytest.CaptureFixture[str]) -> None:
    less = {"40000": "1600", "2048": "512"}  # steps of the training and of the diagnosis
    assert [words[0] for words in COMMANDS][:4] == ["tasks", "check", "train", "evaluate"]
    for words in COMMANDS:
        words = [less.get(word, word) for word in words]
        assert main(words) == 0, (words, capsys.readouterr().err)
    assert json.loads(Path("slider_run/evaluation.json").read_text())["episodes"] == 20
    assert json.loads(Path("slider_run/config.json").read_text())["imports"] == ["slider"]


@pytest.mark.usefixtures("beside_the_robot")
def test_an_interrupted_run_of_the_robot_goes_on_where_its_module_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--num-envs", "8", "--rollout-steps", "16", "--num-minibatches", "2", "--total-steps", "256"]
    assert main(["train", "ppo", "slider", "--import", "slider", *tiny, "--out", "run"]) == 0
    folder = RunFolder.open("run")
    trainer = Trainer.from_config(folder.peek_config())
    trainer.step()
    checkpoint.save(folder.checkpoint, trainer.policy, trainer.state_dict())
    sys.modules.pop("slider")
    del registry._FACTORIES["slider"]
    capsys.readouterr()
    assert main(["resume", "run"]) == 2
    assert capsys.readouterr().err.endswith(": add --import slider\n")
    assert main(["resume", "run", "--import", "slider"]) == 0


def test_a_state_is_made_from_an_mjdata_as_the_page_says() -> None:
    names: dict[str, object] = {}
    exec(block("python", "state_of"), names)  # the page's own lines
    branches, simulator = names["branches"], names["simulator"]
    assert isinstance(simulator, MujocoSimulator)
    observation = simulator.observe(branches)  # type: ignore[arg-type]
    assert observation.shape == (16, 17)
    data = mujoco.MjData(simulator.model)
    expected = np.concatenate((data.qpos, data.qvel))[1:]
    expected[0] = 0.3
    np.testing.assert_array_equal(observation.numpy(), np.tile(expected, (16, 1)).astype(np.float32))
