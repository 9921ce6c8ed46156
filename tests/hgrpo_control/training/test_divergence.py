"""What stops being finite stops the run, names itself, and leaves a checkpoint that is whole."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import policies
from hgrpo_control.algorithms import losses
from hgrpo_control.api.run import resume, train
from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.resuming import restore_trainer
from hgrpo_control.training.train import TrainingDivergedError
from robots import registry
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover import QuadrotorHover
from robots.simulator import Step

pytestmark = pytest.mark.slow

ENVS, STEPS, ITERATIONS = 16, 8, 4


class Breaking(QuadrotorHover):
    """The hover task, of which one quantity stops being finite in row `row` from the `after`-th step on."""

    quantity, value, after, row = "reward", math.nan, 0, 0

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def step(self, state: FlightState, action: Tensor) -> Step:
        step = super().step(state, action)
        self.steps += 1
        if self.steps > self.after:
            getattr(step, self.quantity)[self.row] = self.value
        return step


def tiny(algorithm: Algorithm, task: str = "breaking", checkpoint_every: int = 2, **learning: Any) -> Config:
    """Four iterations of 16 roots x 8 steps, a checkpoint every two unless told otherwise."""
    return Config(
        task=task,
        algorithm=algorithm,
        total_steps=ITERATIONS * ENVS * STEPS * algorithm.num_samples,
        num_envs=ENVS,
        rollout_steps=STEPS,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(**{"update_epochs": 2, "num_minibatches": 2, **learning}),
        checkpoint_every=checkpoint_every,
    )


def break_task(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Register the breaking task for this test."""
    monkeypatch.setitem(registry._FACTORIES, "breaking", type("Breaking", (Breaking,), changes))


def assert_whole(folder: RunFolder, iteration: int) -> None:
    """The checkpoint loads, belongs to `iteration`, and holds nothing that is not finite."""
    trainer = restore_trainer(folder)
    assert trainer.iteration == iteration
    for state in (trainer.policy.state_dict(), trainer.learner.optimizer.state_dict()):
        for tensor in state.values():
            assert torch.isfinite(tensor).all()


def assert_good_for_flying(folder: RunFolder) -> None:
    policy = policies.load(folder.path)
    assert torch.isfinite(policy(torch.randn(5, 16, generator=torch.Generator().manual_seed(0)))).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("algorithm", [PPO(), GRPO(num_samples=2), HybridGRPO(num_samples=2, branch_steps=1)])
def test_a_reward_that_is_not_finite_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: Algorithm, value: float
) -> None:
    # Step 21 is the fifth of iteration 3 (8 steps each); row 2N is the executed sample of root 2.
    break_task(monkeypatch, value=value, after=20, row=2 * algorithm.num_samples)
    folder = RunFolder(tmp_path / "run")
    message = (
        # Steps 5 to 8 of the rollout, counted from 0: 4 values.
        "stopped in iteration 3: 4 reward values are not finite, the first at step 4 of root 2; "
        f"last good checkpoint: {folder.checkpoint}"
    )
    with pytest.raises(TrainingDivergedError, match=f"^{re.escape(message)}$"):
        train(tiny(algorithm), folder.path)
    assert_whole(folder, iteration=2)
    assert_good_for_flying(folder)
    assert [row["iteration"] for row in folder.read_metrics()] == [1, 2]


def test_an_observation_that_is_not_finite_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_task(monkeypatch, quantity="observation", after=10, row=5)
    # The observation after step 11, the third of iteration 2, is seen in the fourth.
    message = (
        r"^stopped in iteration 2: \d+ observation values are not finite, the first at step 3 of root 5; last good"
    )
    with pytest.raises(TrainingDivergedError, match=message):
        train(tiny(PPO()), tmp_path / "run")
    assert_whole(RunFolder(tmp_path / "run"), iteration=0)


def test_a_run_without_a_folder_says_that_nothing_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    break_task(monkeypatch)
    with pytest.raises(TrainingDivergedError, match=r"^stopped in iteration 1: .*; .*no checkpoint$"):
        train(tiny(PPO()))


def break_value_loss(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """From the call after the `after`-th on, the value loss is infinite."""
    original, calls = losses.value_loss, 0

    def broken(value: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return original(value, target) * (math.inf if calls > after else 1.0)

    monkeypatch.setattr(losses, "value_loss", broken)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_value_loss(monkeypatch, after=13)  # 2 epochs x 2 minibatches: the 14th is the second of iteration 4
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingDivergedError) as caught:
        train(tiny(PPO(), task="quadrotor-hover"), folder.path)
    assert re.match(r"stopped in iteration 4: the loss is not finite: policy -?\d.*, value inf, ", str(caught.value))
    assert str(caught.value).endswith(f"last good checkpoint: {folder.checkpoint}")
    assert_whole(folder, iteration=2)


def test_a_run_goes_on_once_the_cause_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "run")
    with monkeypatch.context() as broken:
        break_value_loss(broken, after=13)
        with pytest.raises(TrainingDivergedError):
            train(tiny(PPO(), task="quadrotor-hover"), folder.path)
    assert [row["iteration"] for row in folder.read_metrics()] == [1, 2, 3]
    policy = resume(folder.path).policy
    assert [row["iteration"] for row in folder.read_metrics()] == [1, 2, 3, 4]
    undisturbed = train(tiny(PPO(), task="quadrotor-hover")).policy
    for ours, theirs in zip(policy.state_dict().values(), undisturbed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_parameters_that_overflow_are_never_saved_as_a_good_checkpoint(tmp_path: Path) -> None:
    # Adam's first step has length learning_rate, here beyond the largest float32 (3.4e38): loss and gradient are finite
    # and the parameters are not. With one minibatch and one pass no later loss is there to notice.
    once = {"checkpoint_every": 1, "update_epochs": 1, "num_minibatches": 1}
    config = tiny(PPO(), task="quadrotor-hover", learning_rate=1e39, **once)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingDivergedError):
        train(config, folder.path)
    assert_whole(folder, iteration=0)


def test_the_command_line_tells_a_diverged_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_task(monkeypatch, after=20)
    options = ("--num-envs", "16", "--rollout-steps", "8", "--total-steps", "512", "--num-minibatches", "2")
    out = tmp_path / "run"
    assert main(["train", "ppo", "breaking", *options, "--checkpoint-every", "1", "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        "hgrpo: stopped in iteration 3: 4 reward values are not finite, the first at step 4 of root 0; "
        f"last good checkpoint: {out / 'checkpoint.pt'}\n"
    )
    assert_whole(RunFolder(out), iteration=2)
