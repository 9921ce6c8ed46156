"""How many steps per second PPO trains at, learning included, against stable-baselines3's, one thread each.

    python -m benchmarks.speed.mujoco_speed [--tasks HalfCheetah-v5 ...] [--seconds 5] [--rounds 5]

The learners take turns within one process, `seconds` each per round, so that a machine that slows down slows all of
them; the ratio of a round is taken within it. "zoo" is stable-baselines3 with its zoo's settings; "same" has this
project's preset: environments, steps, epochs, minibatch, network. Rates depend on the machine and on what else runs on
it; give it an idle one, and compare ratios.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.experiments.mujoco import TASKS
from benchmarks.suite.learners.stable_baselines3 import build
from benchmarks.suite.learners.stable_baselines3_settings import ZOO, StableBaselines3Config, ZooSettings
from hgrpo_control.config.run import Config
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.reports.compare import markdown_table
from hgrpo_control.training.trainer import Trainer

COLUMNS = ("task", "ours [steps/s]", "zoo [steps/s]", "same [steps/s]", "ours / zoo", "ours / same")


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS, metavar="TASK")
    parser.add_argument("--seconds", type=float, default=5.0, help="per learner and round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, 1 thread, {given.rounds} rounds of {given.seconds:g} s; median (lowest, highest)\n"
    )
    print(
        markdown_table(COLUMNS, [row(task, preset("ppo", task), given.seconds, given.rounds) for task in given.tasks])
    )


def row(task: str, config: Config, seconds: float, rounds: int) -> list[str]:
    """One line of the table."""
    contestants = {
        "ours": ours(config),
        "zoo": theirs(StableBaselines3Config(task, settings=ZOO[task])),
        "same": theirs(StableBaselines3Config(task, settings=like(config))),
    }
    rates = alternate(contestants, seconds, rounds)
    ratios = [[a / b for a, b in zip(rates["ours"], rates[name], strict=True)] for name in ("zoo", "same")]
    return [task, *(_show(rates[name], 0) for name in contestants), *(_show(ratio, 2) for ratio in ratios)]


def alternate(contestants: Mapping[str, Callable[[], int]], seconds: float, rounds: int) -> dict[str, list[float]]:
    """Units of work per second for each round; a contestant does some work when called and says how much.

    The first call of each is not counted.
    """
    for work in contestants.values():
        work()
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                done += work()
            rates[name].append(done / (time.perf_counter() - began))
    return rates


def ours(config: Config) -> Callable[[], int]:
    """One iteration of this project's trainer per call, in simulator steps."""
    trainer = Trainer.from_config(dataclasses.replace(config, total_steps=10**12))  # the learning rate must not run out

    def iterate() -> int:
        trainer.step()
        return config.steps_per_iteration

    return iterate


def theirs(config: StableBaselines3Config) -> Callable[[], int]:
    """One iteration of stable-baselines3's PPO per call, in simulator steps."""
    model = build(config)

    def iterate() -> int:
        model.learn(config.steps_per_iteration, reset_num_timesteps=False)
        return config.steps_per_iteration

    return iterate


def like(config: Config) -> ZooSettings:
    """stable-baselines3's settings for the same amount of work per step as a config of this project."""
    return ZooSettings(
        n_envs=config.num_envs,
        n_steps=config.rollout_steps,
        batch_size=config.batch_rows // config.learning.num_minibatches,
        n_epochs=config.learning.update_epochs,
        learning_rate=config.learning.learning_rate,
        activation="relu" if config.network.activation == "relu" else "tanh",
        hidden_sizes=config.network.hidden_sizes,
    )


def _show(values: list[float], digits: int) -> str:
    middle, low, high = (f"{x:,.{digits}f}" for x in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low}, {high})"


if __name__ == "__main__":
    main()
