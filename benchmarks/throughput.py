"""How fast each stage of training runs, from one process: simulator, sampler, learner, and all of it together.

    python benchmarks/throughput.py [--task quadrotor-hover] [--rows 64 1024 4096] [--seconds 3]

`rows` is E x N with N = 4, as in the preset. "Learner allows" is the learner's rate over rows divided by the number of
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
from hgrpo_control.compare import markdown_table
from hgrpo_control.config import Config
from hgrpo_control.presets import preset
from hgrpo_control.training import Trainer

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
    given = parser.parse_args()
    config = preset("hybrid-grpo", given.task)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.task}, {config.algorithm}\n")
    print(markdown_table(COLUMNS, [measure(config, rows, given.seconds) for rows in given.rows]))


def measure(config: Config, rows: int, seconds: float) -> list[str]:
    """One line of the table: every stage on the same trainer."""
    samples = config.algorithm.num_samples
    trainer = Trainer(dataclasses.replace(config, num_envs=rows // samples, total_steps=10**12))
    simulator, epochs = trainer.sampler.simulator, config.learning.update_epochs
    state = simulator.reset(rows, 0)
    action = torch.tensor(simulator.spec.neutral_action).repeat(rows, 1) + 0.1 * torch.randn(
        rows, len(simulator.spec.action)
    )

    def simulate() -> int:
        for _ in range(config.rollout_steps):
            simulator.step(state, action)
        return rows * config.rollout_steps

    rollout, _ = trainer.sampler.collect()
    batch = algorithms.batch(rollout, config.algorithm)

    def sample() -> int:
        return trainer.sampler.collect()[0].simulator_steps

    def learn() -> int:
        trainer.learner.update(batch)
        return epochs * len(batch.observation)

    def train() -> int:
        trainer.iterate()
        return trainer.config.steps_per_iteration

    simulator_rate, sampler_rate, learner_rate, total = (rate(f, seconds) for f in (simulate, sample, learn, train))
    allowed = learner_rate / epochs
    figures = (simulator_rate, sampler_rate, learner_rate, allowed, total)
    return [str(rows), *(f"{figure:,.0f}" for figure in figures), f"{total / allowed:.2f}"]


def rate(work: Callable[[], int], seconds: float) -> float:
    """Units of work per second; `work` does some and says how much. The first call is not counted."""
    work()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
