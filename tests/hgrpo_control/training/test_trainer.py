"""A training run: what is counted, what is written, and what it does and does not depend on."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import hgrpo_control
import policies
from hgrpo_control import algorithms
from hgrpo_control.api.run import resume, train
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.runs.run_folder import Metrics, RunFolder, RunFolderError
from hgrpo_control.training.trainer import Trainer

ITERATIONS, ENVS, STEPS = 3, 16, 16
CLOCKS = ("wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds")


def tiny(algorithm: Algorithm | None = None, seed: int = 0, checkpoint_every: int = 10) -> Config:
    """Three iterations of 16 roots x 16 steps."""
    algorithm = algorithm or PPO()
    return Config(
        task="quadrotor-hover",
        algorithm=algorithm,
        seed=seed,
        total_steps=ITERATIONS * ENVS * STEPS * algorithm.num_samples,
        num_envs=ENVS,
        rollout_steps=STEPS,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(update_epochs=2, num_minibatches=2),
        checkpoint_every=checkpoint_every,
    )


class Watcher:
    """A reporter that keeps what it is told and the iteration of the checkpoint on disk at that time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.rows: list[Metrics] = []
        self.saved: list[int] = []
        self.folder = folder

    def report(self, metrics: Metrics) -> None:
        self.rows.append(metrics)
        if self.folder is not None:
            self.saved.append(policies.restore(self.folder)[1]["iteration"])


def parameters(policy: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in policy.state_dict().values()])


def without_clocks(rows: list[Metrics]) -> list[tuple[object, ...]]:
    """Rows as text, so that NaN equals NaN and every digit counts."""
    return [tuple(repr(v) for name, v in row.items() if name not in CLOCKS) for row in rows]


@pytest.mark.parametrize("algorithm", [PPO(), GRPO(num_samples=3), HybridGRPO(num_samples=3, branch_steps=1)])
def test_steps_and_learning_rate_are_counted_from_the_beginning_of_the_run(algorithm: Algorithm) -> None:
    trainer = Trainer.from_config(tiny(algorithm))
    rows = [trainer.step() for _ in range(ITERATIONS)]
    assert trainer.finished
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    # 16 roots x 16 steps = 256 executed steps per iteration; the simulator takes N times as many.
    assert [row["executed_steps"] for row in rows] == [256, 512, 768]
    assert [row["simulator_steps"] for row in rows] == [256 * k * algorithm.num_samples for k in (1, 2, 3)]
    # Linear from 1e-3 to zero at the end of the run: 1e-3 x (1, 2/3, 1/3).
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-3, 2e-3 / 3, 1e-3 / 3], rel=1e-12)
    assert all(math.isnan(row["value_loss"]) != algorithm.needs_critic for row in rows)
    for row in rows:
        assert row["sampling_seconds"] > 0.0
        assert row["learning_seconds"] > 0.0
        per_second = 256 * algorithm.num_samples / (row["sampling_seconds"] + row["learning_seconds"])
        assert row["simulator_steps_per_second"] == pytest.approx(per_second, rel=1e-9)
    assert rows[-1]["wall_seconds"] >= sum(row["sampling_seconds"] + row["learning_seconds"] for row in rows) * (
        1 - 1e-9
    )


@pytest.mark.parametrize("algorithm", [PPO(), GRPO(num_samples=2), HybridGRPO(num_samples=2, branch_steps=4)])
def test_what_is_learned_from_is_the_transformed_reward(algorithm: Algorithm) -> None:
    # eq. 12: an iteration with tanh is one by hand on tanh of the rewards
    trainer, by_hand = (Trainer.from_config(tiny(replace(algorithm, reward_transform="tanh"))) for _ in range(2))
    trainer.step()
    rollout, _ = by_hand.sampler.collect()
    before = parameters(by_hand.policy)
    by_hand.learner.update(algorithms.make_batch(rollout._replace(reward=rollout.reward.tanh()), algorithm))
    by_hand.policy.normalizer.update(rollout.executed_observation)
    assert not torch.equal(parameters(by_hand.policy), before)
    assert torch.equal(parameters(trainer.policy), parameters(by_hand.policy))


def test_diagnostics_are_part_of_every_iteration() -> None:
    alone, branched = (Trainer.from_config(tiny(algorithm)).step() for algorithm in (PPO(), HybridGRPO(num_samples=2)))
    assert math.isnan(alone["group_spread"])
    assert math.isnan(alone["zero_variance_groups"])
    assert alone["advantage_variance_before"] == alone["advantage_variance"] > 0.0
    assert branched["group_spread"] > 0.0
    assert branched["zero_variance_groups"] == 0.0
    assert branched["advantage_variance_before"] != branched["advantage_variance"]
    assert alone["temperature"] == branched["temperature"] == 0.0


def test_the_normaliser_takes_in_the_first_observations_and_then_every_executed_one() -> None:
    trainer = Trainer.from_config(tiny(HybridGRPO(num_samples=3)))
    counts = [trainer.policy.normalizer.count.item()]
    for _ in range(2):
        trainer.step()
        counts.append(trainer.policy.normalizer.count.item())
    assert counts == [16.0, 16.0 + 256.0, 16.0 + 512.0]


def test_only_grpo_goes_without_a_critic() -> None:
    critics = [Trainer.from_config(tiny(a)).policy.critic is not None for a in (PPO(), GRPO(), HybridGRPO())]
    assert critics == [True, False, True]


def test_a_run_without_a_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fresh = parameters(Trainer.from_config(tiny()).policy)
    policy = train(tiny()).policy
    assert not torch.equal(parameters(policy), fresh), "training changes the policy"
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_holds_the_config_every_row_and_the_final_policy(tmp_path: Path) -> None:
    watcher = Watcher()
    policy = train(tiny(), tmp_path / "run", (watcher,)).policy
    folder = RunFolder(tmp_path / "run")
    assert {path.name for path in folder.path.iterdir()} == {"config.json", "metrics.csv", "checkpoint.pt"}
    assert folder.read_config() == tiny()
    assert [repr(row) for row in folder.read_metrics()] == [repr(row) for row in watcher.rows]
    saved, training = policies.restore(folder.path)
    assert torch.equal(parameters(saved), parameters(policy))
    assert training["iteration"] == ITERATIONS


@pytest.mark.parametrize(
    ("every", "on_disk"),
    [
        # What lies on disk while iteration 1, 2, 3 is reported; the checkpoint of an iteration follows its report.
        (1, [0, 1, 2]),
        (2, [0, 0, 2]),
        (10, [0, 0, 0]),
    ],
)
def test_checkpoints_are_written_at_the_start_in_between_and_at_the_end(
    tmp_path: Path, every: int, on_disk: list[int]
) -> None:
    watcher = Watcher(tmp_path / "run")
    train(tiny(checkpoint_every=every), tmp_path / "run", (watcher,))
    assert watcher.saved == on_disk
    assert policies.restore(tmp_path / "run")[1]["iteration"] == ITERATIONS
    assert not list(tmp_path.rglob("*.partial"))


def test_an_existing_run_is_neither_overwritten_nor_added_to(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(RunFolderError, match="exists already"):
        train(tiny(seed=1), tmp_path / "run")
    with pytest.raises(
        RunFolderError, match=r"is finished: 768 simulator steps taken; for more: hgrpo resume .*run --total-steps N$"
    ):
        resume(tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_config_that_cannot_be_built_leaves_no_folder(tmp_path: Path) -> None:
    config = Config(task="quadrotor-hover", algorithm=PPO(), task_options={"quadrotor": "cf3x"})
    with pytest.raises(ConfigError, match=r"^unknown quadrotor 'cf3x'; did you mean 'cf2x'"):
        train(config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "algorithm", [PPO(), GRPO(num_samples=2), HybridGRPO(num_samples=2, branch_steps=4, guided_candidates=3)]
)
def test_a_run_is_a_function_of_its_config_alone(algorithm: Algorithm) -> None:
    torch.manual_seed(1)
    first, second = Watcher(), Watcher()
    one = train(tiny(algorithm), reporters=(first,)).policy
    torch.manual_seed(2)  # a run must not read the global generator
    two = train(tiny(algorithm), reporters=(second,)).policy
    assert torch.equal(parameters(one), parameters(two))
    assert without_clocks(first.rows) == without_clocks(second.rows)
    other = train(tiny(algorithm, seed=1)).policy
    assert not torch.equal(parameters(one), parameters(other)), "another seed is another run"


def test_training_works_outside_the_main_thread_where_no_signal_handler_can_be_set() -> None:
    result: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: result.append(parameters(train(tiny()).policy)))
    thread.start()
    thread.join()
    assert torch.equal(result[0], parameters(train(tiny()).policy))


@pytest.mark.parametrize("name", hgrpo_control.__all__)
def test_what_the_package_offers_can_be_called_though_its_modules_are_loaded(name: str) -> None:
    for _ in range(2):  # a submodule of the same name must not take its place after the first use
        assert callable(getattr(hgrpo_control, name))
