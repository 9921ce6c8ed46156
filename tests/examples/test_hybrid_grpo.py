"""The one-file Hybrid GRPO of examples/ learns what the package learns, up to rounding."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import hgrpo_control
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.config.run import Config
from hgrpo_control.training.trainer import Trainer

pytestmark = pytest.mark.slow

FILE = Path(__file__).parents[2] / "examples" / "hybrid_grpo.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("hybrid_grpo", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hybrid_grpo", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def without_slopes() -> Config:
    """The settings of the example: those of PPO's preset, with four samples of a quarter of the roots."""
    algorithm = HybridGRPO(num_samples=4, gae_lambda=1.0, estimator="group_shrunk")
    return dataclasses.replace(hgrpo_control.preset("ppo", "quadrotor-hover"), algorithm=algorithm, num_envs=32)


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    """The package's gradient sums in another order than autograd, which Adam and the flight make larger."""
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not torch.allclose(ours[name], theirs[name], rtol=0.0, atol=tolerance)]


def test_the_first_update_is_that_of_the_package(example: ModuleType) -> None:
    """Same seed, same parameters and statistics before and after one update."""
    preset = without_slopes()
    config = dataclasses.replace(preset, seed=5, total_steps=preset.steps_per_iteration)
    run = example.HybridGRPO(example.Settings(seed=5, total_steps=config.total_steps))
    assert run.iterations == 1
    fresh = {name: tensor.clone() for name, tensor in run.policy.state_dict().items()}
    assert_close(fresh, Trainer.from_config(config).policy.state_dict(), 0.0)
    run.iterate()
    trained = run.policy.state_dict()
    assert not any(torch.allclose(trained[name], fresh[name], rtol=0.0, atol=1e-3) for name in fresh)
    assert_close(trained, hgrpo_control.train(config).policy.state_dict(), 1e-4)


def test_later_updates_are_those_of_the_package_too(example: ModuleType) -> None:
    """Nine iterations of 64 steps: episodes end on the floor and, after 500 steps, by the time limit."""
    steps = 9 * 8 * 4 * 64
    preset = without_slopes()
    learning = dataclasses.replace(preset.learning, update_epochs=1, num_minibatches=2)
    config = dataclasses.replace(preset, num_envs=8, total_steps=steps, learning=learning)
    run = example.HybridGRPO(example.Settings(total_steps=steps, roots=8, epochs=1, minibatches=2))
    while run.iteration < run.iterations:
        run.iterate()
    assert_close(run.policy.state_dict(), hgrpo_control.train(config).policy.state_dict(), 1e-3)


def test_the_file_is_short() -> None:
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 250


def test_the_defaults_are_those_of_the_preset_of_ppo(example: ModuleType) -> None:
    preset = without_slopes()
    assert example.Settings().total_steps == preset.total_steps
    assert example.HybridGRPO(example.Settings()).iterations == preset.num_iterations


def test_without_arguments_it_trains_by_the_defaults(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Run:
        iteration = iterations = 0

        def __init__(self, chosen: object) -> None:
            made.append(chosen)

    monkeypatch.setattr(example, "HybridGRPO", Run)
    monkeypatch.setattr(sys, "argv", [str(FILE)])
    example.main()
    assert made == [example.Settings()]


def test_it_imports_nothing_but_torch_and_the_simulators() -> None:
    tree = ast.parse(FILE.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    rooms = {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert rooms == {"torch", "robots"}
