"""How fast each stage of training runs, from one process: simulator, sampler, learner, and all of it together.

    python -m benchmarks.speed.stages [--task quadrotor-hover] [--rows 64 1024 4096] [--seconds 3] [--device cpu]

On a GPU more rows are worth asking for, such as --device cuda --rows 4096 65536 262144.

`rows` is E x N with N = 4, without slopes. "Learner allows" is the learner's rate over rows divided by the number of
epochs: no training can be faster than that. Absolute rates depend on the machine; the ratios are what to compare.
"""

from __future__ import annotations

import hgrpo_control  # noqa: F401  (before torch: it says how torch's threads wait, as it does in training)

# isort: split
import argparse
import dataclasses
import time
from collections.abc import Callable

import torch

from hgrpo_control import algorithms
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.config.device import DeviceError, find_device
from hgrpo_control.config.run import Config
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.reports.compare import markdown_table
from hgrpo_control.training.trainer import Trainer

SIBLINGS = HybridGRPO(num_samples=4, gae_lambda=1.0, estimator="group_shrunk")
COLUMNS = (
    "rows (E x N)",
    "simulator [steps/s]",
    "sampler [steps/s]",
    "learner [rows/s]",
    "learner allows [steps/s]",
    "end to end [steps/s]",
    "end to end / learner allows",
)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="quadrotor-hover")
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 1024, 4096])
    parser.add_argument("--seconds", type=float, default=3.0, help="per figure")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    given = parser.parse_args()
    try:
        device = find_device(given.device)
    except DeviceError as error:
        parser.error(str(error))
    config = dataclasses.replace(preset("ppo", given.task), algorithm=SIBLINGS, device=given.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {where}, {given.task}, {config.algorithm}\n")
    print(markdown_table(COLUMNS, [measure(config, rows, given.seconds) for rows in given.rows]))


def measure(config: Config, rows: int, seconds: float) -> list[str]:
    """One line of the table: every stage on the same trainer."""
    samples = config.algorithm.num_samples
    trainer = Trainer.from_config(dataclasses.replace(config, num_envs=rows // samples, total_steps=10**12))
    simulator, epochs = trainer.sampler.simulator, config.learning.update_epochs
    device = trainer.policy.device
    state = simulator.reset(rows, 0)
    action = torch.tensor(simulator.spec.neutral_action, device=device).repeat(rows, 1)
    action += 0.1 * torch.randn(rows, simulator.spec.action_size, device=device)

    def simulate() -> int:
        for _ in range(config.rollout_steps):
            simulator.step(state, action)
        return rows * config.rollout_steps

    rollout, _ = trainer.sampler.collect()
    batch = algorithms.make_batch(rollout, config.algorithm)

    def sample() -> int:
        return trainer.sampler.collect()[0].simulator_steps

    def learn() -> int:
        trainer.learner.update(batch)
        return epochs * len(batch.observation)

    def train() -> int:
        trainer.step()
        return trainer.config.steps_per_iteration

    simulator_rate, sampler_rate, learner_rate, total = (
        rate(f, seconds, device) for f in (simulate, sample, learn, train)
    )
    allowed = learner_rate / epochs
    figures = (simulator_rate, sampler_rate, learner_rate, allowed, total)
    return [str(rows), *(f"{figure:,.0f}" for figure in figures), f"{total / allowed:.2f}"]


def rate(work: Callable[[], int], seconds: float, device: torch.device) -> float:
    """Units of work per second; `work` does some on a device and says how much. The first call is not counted."""

    def finish() -> int:
        done = work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # what was asked of a GPU is done some time after the call
        return done

    finish()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        done += finish()
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
