"""Training on a simulated GPU: no tensor is made or left on another device, and little is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.device_variants import ITERATIONS, STEPS, VARIANTS, tiny
from support.simulated_gpu import GPU, MixedDevicesError, OnGpu, SimulatedGpu, simulated_gpu

from hgrpo_control.api.run import train
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.evaluate import evaluate
from hgrpo_control.runs.run_folder import Metrics
from hgrpo_control.training.build import build
from hgrpo_control.training.simulation import make_simulator, training_simulator
from hgrpo_control.training.trainer import Trainer
from policies import checkpoint
from robots.simulator import Simulator

pytestmark = pytest.mark.slow

CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGpu]:
    with simulated_gpu(monkeypatch) as made:
        yield made


def without_clocks(rows: list[Metrics]) -> list[tuple[str, ...]]:
    return [tuple(repr(v) for name, v in row.items() if name not in CLOCKS) for row in rows]


def rows_of(config: Config) -> list[tuple[str, ...]]:
    trainer = Trainer.from_config(config)
    cut_episodes(trainer.sampler.simulator, 3)
    return without_clocks([trainer.step()])


def cut_episodes(simulator: Simulator, steps: int) -> None:
    """Shorten the time limit, so that episodes end and restart within a short rollout."""
    simulator.spec = replace(simulator.spec, max_episode_steps=steps)


@pytest.mark.parametrize("mixed", [lambda x: x + torch.ones(3), lambda x: torch.cat((x, torch.zeros(3)))])
def test_the_simulated_gpu_refuses_what_a_gpu_refuses(gpu: SimulatedGpu, mixed: object) -> None:
    here = torch.arange(3.0, device="cuda")
    assert here.device == GPU
    assert isinstance(2.0 * here + torch.tensor(1.0), OnGpu)
    with pytest.raises(MixedDevicesError):
        mixed(here)  # type: ignore[operator]
    with pytest.raises(MixedDevicesError):
        torch.randn(3, generator=torch.Generator(), device="cuda")
    with pytest.raises(MixedDevicesError):
        torch.randperm(3, generator=torch.Generator("cuda"))
    with pytest.raises(MixedDevicesError):
        here.numpy()
    assert here.cpu().numpy().tolist() == [0.0, 1.0, 2.0]
    assert bool((here > 1.0).any())
    assert gpu.waits == {"cpu": 1, "__bool__": 1}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_stays_on_its_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = VARIANTS[name]
    with simulated_gpu(monkeypatch):
        there = rows_of(replace(config, device="cuda"))
    assert there == rows_of(config)  # the simulated GPU computes what the CPU computes, to the bit


def test_an_archive_of_roots_stays_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("quadrotor-gates", HybridGRPO(num_samples=2, branch_steps=2), roots="archive:0.9")

    def rows(config: Config) -> list[Metrics]:
        trainer = Trainer.from_config(config)
        cut_episodes(trainer.sampler.simulator, 3)
        return [trainer.step() for _ in range(4)]

    with simulated_gpu(monkeypatch):
        there = rows(replace(config, device="cuda"))
    assert sum(row["archive_starts"] for row in there) > 0
    assert without_clocks(there) == without_clocks(rows(config))


def test_a_checkpoint_goes_to_the_cpu_and_back(gpu: SimulatedGpu, tmp_path: Path) -> None:
    first = tiny("quadrotor-hover", HybridGRPO(num_samples=2), device="cuda")
    train(first, tmp_path / "reference")
    learning = Learning(update_epochs=2, num_minibatches=2, kl_coef=0.1, reference=str(tmp_path / "reference"))
    guided = HybridGRPO(num_samples=2, branch_steps=2, guided_candidates=4, reward_transform="scale")
    config = tiny("quadrotor-hover", guided, device="cuda", learning=learning)
    whole, stopped = Trainer.from_config(config), Trainer.from_config(config)
    rows = [whole.step() for _ in range(ITERATIONS)]
    stopped.step()
    checkpoint.save(tmp_path / "checkpoint.pt", stopped.policy, stopped.state_dict())
    policy, saved = checkpoint.restore(tmp_path)
    resumed = Trainer(config, build(config, saved["reference"]))
    resumed.load(policy, saved)
    assert without_clocks([resumed.step()]) == without_clocks(rows[1:])


def test_an_evaluation_stays_on_the_device_of_its_simulator(gpu: SimulatedGpu) -> None:
    config = tiny("quadrotor-hover", HybridGRPO(num_samples=2), device="cuda")
    trainer, there = Trainer.from_config(config), training_simulator(config)
    here = make_simulator(config)
    for simulator in (there, here):
        cut_episodes(simulator, 12)
    judged, recording = evaluate(trainer.policy, there, episodes=2, record=1)
    assert isinstance(recording.alive, OnGpu)
    assert repr(judged) == repr(evaluate(trainer.policy.cpu(), here, episodes=2)[0])


def test_an_iteration_waits_once_per_step_and_once_per_minibatch(gpu: SimulatedGpu) -> None:
    config = tiny("quadrotor-hover", HybridGRPO(num_samples=2), device="cuda")
    trainer = Trainer.from_config(config)
    gpu.waits.clear()
    row = trainer.step()
    assert row["episode_length"] != row["episode_length"]  # no executed episode ended, each of which may be waited for
    assert gpu.waits["nonzero"] == STEPS
    minibatches = config.learning.update_epochs * config.learning.num_minibatches
    assert gpu.waits["tolist"] == minibatches + 1  # and the means of all of them
    # The floor of the quadrotor is looked at in every substep; the rest is as often however long the rollout is.
    substeps = trainer.sampler.simulator.interface.substeps  # type: ignore[attr-defined]
    assert gpu.waits["__bool__"] <= STEPS * substeps + 10
    assert sum(gpu.waits.values()) <= STEPS * (substeps + 1) + minibatches + 40
