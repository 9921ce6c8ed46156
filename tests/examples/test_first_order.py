"""The one-file first-order Hybrid GRPO of examples/ learns what the package learns, up to rounding."""

from __future__ import annotations

import ast
import dataclasses
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import hgrpo_control
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config

FILE = Path(__file__).parents[2] / "examples" / "first_order.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(FILE))


def package_config(example: dict[str, Any], seed: int, total_steps: int) -> Config:
    """The settings of the example, for the package."""
    samples, rate = example["SAMPLES"], example["LEARNING_RATE"]
    return dataclasses.replace(
        hgrpo_control.preset("hybrid-grpo", "quadrotor-hover"),
        seed=seed,
        total_steps=total_steps,
        num_envs=example["ROOTS"],
        rollout_steps=example["STEPS"],
        algorithm=HybridGRPO(
            gamma=example["GAMMA"], num_samples=samples, gae_lambda=1.0, estimator="per_sample", pathwise="auto"
        ),
        network=Network(init_sigma=0.3),
        learning=Learning(
            learning_rate=rate,
            update_epochs=example["EPOCHS"],
            num_minibatches=example["MINIBATCHES"],
            leash=example["LEASH"],
        ),
    )


def apart(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Largest difference of an entry."""
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("iterations", [1, 18])  # after 500 steps episodes end by the time limit
def test_its_parameters_are_those_of_the_package(example: dict[str, Any], iterations: int) -> None:
    config = package_config(example, 5, iterations * 2048)
    run = example["FirstOrderGRPO"](5, config.total_steps)
    fresh = {name: tensor.clone() for name, tensor in run.policy.state_dict().items()}
    assert run.iterations == config.num_iterations == iterations
    for _ in range(iterations):
        assert 0.0 < run.iterate() < 1.0
    assert apart(run.policy.state_dict(), fresh) > 1e-3
    assert apart(run.policy.state_dict(), hgrpo_control.train(config).policy.state_dict()) < 1e-4


def test_it_imports_nothing_of_the_trainer() -> None:
    tree = ast.parse(FILE.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    rooms = {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert rooms == {"torch", "robots", "policies"}
