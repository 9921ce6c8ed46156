"""Runs under another default precision of torch: the same bits, from training to the exported file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from support import buggy_envs  # noqa: F401  (registers the environments named below)

import policies
from hgrpo_control.api.run import train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from policies.actor_critic import ActorCritic

pytestmark = pytest.mark.slow

ADAPTED = "gymnasium/support.buggy_envs:limited_cart"


@contextmanager
def double_precision() -> Iterator[None]:
    """The default dtype of torch, float64 for a while."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def assert_same_policy(ours: ActorCritic, theirs: ActorCritic) -> None:
    ours_by_name, theirs_by_name = ours.state_dict(), theirs.state_dict()
    assert ours_by_name.keys() == theirs_by_name.keys()
    for name, value in ours_by_name.items():
        assert value.dtype == theirs_by_name[name].dtype, name
        assert torch.equal(value, theirs_by_name[name]), name


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        ("quadrotor-hover", PPO(reward_transform="scale")),
        ("quadrotor-gates", GRPO(num_samples=2, reward_transform="rolling")),
        ("quadrotor-pursuit", HybridGRPO(num_samples=4, branch_steps=4, guided_candidates=4, sibling_noise="split")),
        ("Hopper-v5", HybridGRPO(num_samples=2, branch_steps=1, estimator="group_shrunk")),
        (ADAPTED, PPO()),
        (ADAPTED, GRPO(num_samples=2, groups="initial_states", credit="reward_to_go")),
        (ADAPTED, HybridGRPO(num_samples=2)),
    ],
)
def test_training_gives_the_same_bits(task: str, algorithm: Algorithm) -> None:
    config = Config(
        task,
        algorithm,
        num_envs=4,
        rollout_steps=8,
        total_steps=3 * 4 * 8 * algorithm.num_samples,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(num_minibatches=2, update_epochs=2),
    )
    with double_precision():
        policy = train(config).policy
    assert_same_policy(policy, train(config).policy)


TINY = ("--num-envs", "4", "--rollout-steps", "8", "--hidden-sizes", "8", "--num-minibatches", "2")
DIAGNOSE = ("--roots", "2", "--steps", "4", "--samples", "2")
DIAGNOSE += ("--branch-steps", "4", "--budget", "256", "--reference-branches", "32")
DIAGNOSE += ("--horizon", "4", "--lambdas", "0.9")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("algorithm", "task", "commands"),
    [
        ("ppo", ADAPTED, ("train", "evaluate", "export")),
        ("hybrid-grpo", "quadrotor-hover-randomized", ("train", "evaluate", "export", "diagnose", "transfer")),
    ],
)
def test_every_command_gives_the_same_files(
    algorithm: str, task: str, commands: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: str) -> None:
        words = {
            "train": (algorithm, task, *TINY, "--total-steps", "256", "--out", folder),
            "evaluate": (folder, "--episodes", "3"),
            "export": (folder, "--float16", "--int8", "--episodes", "1"),
            "diagnose": (folder, *DIAGNOSE),
            "transfer": (folder, "--to", "mujoco", "--episodes", "2"),
        }
        for command in commands:
            named = ("--import", "support.buggy_envs") if task == ADAPTED and command != "train" else ()
            assert main([command, *words[command], *named]) == 0

    monkeypatch.chdir(tmp_path)
    with double_precision():
        run("double")
    run("single")
    assert_same_policy(policies.load("double"), policies.load("single"))
    files = {path.name for path in Path("double").iterdir()}
    assert files == {path.name for path in Path("single").iterdir()}
    compared = {name for name in files if name.endswith((".json", ".onnx")) or name == "diagnosis.csv"}
    assert len(compared) >= 2 + len(commands)
    for name in compared:
        assert Path("double", name).read_bytes() == Path("single", name).read_bytes(), name
    assert json.loads(Path("double/evaluation.json").read_text())["episodes"] == 3
