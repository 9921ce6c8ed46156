"""stable-baselines3's PPO as a child process, in run folders of this project's form.

    python -m benchmarks.suite.learners.stable_baselines3 train ppo TASK [options] --seed S --out FOLDER
    python -m benchmarks.suite.learners.stable_baselines3 evaluate FOLDER --episodes N --seed S

It trains on gymnasium's own environment of that name and has no resuming: a run that was killed begins again.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from benchmarks.suite.learners.stable_baselines3_settings import (
    StableBaselines3Config,
    ZooSettings,
    parse_options,
    read_settings,
)
from hgrpo_control.child import stop_with_parent
from hgrpo_control.evaluation.evaluate import Evaluation
from hgrpo_control.runs.run_folder import Metrics, RunFolder

try:
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
except ImportError as error:
    raise ImportError(
        f"this learner needs the extra `bench`: pip install -c constraints.txt -e '.[bench]' ({error})"
    ) from error


def build(config: StableBaselines3Config) -> PPO:
    """A fresh learner with gymnasium's environments of the task."""
    env: VecEnv = make_vec_env(config.task, n_envs=config.settings.n_envs, seed=config.seed)
    if config.settings.normalize:
        env = VecNormalize(env, gamma=config.settings.gamma)
    return make_learner(env, config.settings, config.seed)


def make_learner(env: VecEnv, chosen: ZooSettings, seed: int) -> PPO:
    """A fresh learner with given environments, which are normalised already if `chosen` says so."""
    model = PPO(
        "MlpPolicy",
        env,
        learning_rate=_learning_rate(chosen),
        n_steps=chosen.n_steps,
        batch_size=chosen.batch_size,
        n_epochs=chosen.n_epochs,
        gamma=chosen.gamma,
        gae_lambda=chosen.gae_lambda,
        clip_range=chosen.clip_range,
        ent_coef=chosen.ent_coef,
        vf_coef=chosen.vf_coef,
        max_grad_norm=chosen.max_grad_norm,
        policy_kwargs={
            "net_arch": {"pi": list(chosen.hidden_sizes), "vf": list(chosen.hidden_sizes)},
            "activation_fn": {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[chosen.activation],
            "log_std_init": chosen.log_std_init,
            "ortho_init": chosen.ortho_init,
        },
        seed=seed,
        device="cpu",
    )
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def train(config: StableBaselines3Config, out: Path) -> None:
    """Train a policy and leave a run folder; raises RunFolderError if `out` holds anything."""
    folder = RunFolder.create(out, config)  # type: ignore[arg-type]
    model = build(config)
    total = config.num_iterations * config.steps_per_iteration
    model.learn(total, callback=MetricsWriter(folder, config.steps_per_iteration), log_interval=1)
    if config.settings.normalize:
        normalizer = model.get_vec_normalize_env()
        assert normalizer is not None
        normalizer.save(str(folder.path / config.normalizer_name))
    model.save(folder.path / "partial.zip")
    os.replace(folder.path / "partial.zip", folder.path / config.model_name)  # whole, or not there


def evaluate(folder: RunFolder, episodes: int, seed: int) -> Evaluation:
    """Run episodes of the mean action in fresh environments, one after the other, with frozen normalisation.

    Returns are those that the environment pays. Success is not a notion of these tasks: NaN.
    """
    config = read_settings(folder)
    env: VecEnv = DummyVecEnv([lambda: gymnasium.make(config.task)])
    env.seed(seed)
    if config.settings.normalize:
        env = VecNormalize.load(str(folder.path / config.normalizer_name), env)
        env.training = env.norm_reward = False
    model = PPO.load(folder.path / config.model_name, device="cpu")
    outcomes = [_episode(model, env) for _ in range(episodes)]
    returns, lengths, terminated = (np.array(column) for column in zip(*outcomes, strict=True))
    return Evaluation(
        task=config.task,
        episodes=episodes,
        seed=seed,
        return_mean=float(returns.mean()),
        return_std=float(returns.std()),
        success_rate=math.nan,
        length_mean=float(lengths.mean()),
        terminated_rate=float(terminated.mean()),
        final_second={},
    )


class MetricsWriter(BaseCallback):
    """Writes a row of metrics.csv for each iteration: raw returns of its episodes, and time without this writing."""

    def __init__(self, folder: RunFolder, steps_per_iteration: int) -> None:
        super().__init__()
        self.steps_per_iteration = steps_per_iteration
        self.folder, self.iteration, self.wall_seconds = folder, 0, 0.0
        self.began = self.sampled = 0.0
        self.ended: list[dict[str, float]] = []

    def _on_rollout_start(self) -> None:
        self._finish_iteration()
        self.began = time.perf_counter()

    def _on_step(self) -> bool:
        self.ended += [info["episode"] for info in self.locals["infos"] if "episode" in info]
        return True

    def _on_rollout_end(self) -> None:
        self.sampled = time.perf_counter()

    def _on_training_end(self) -> None:
        self._finish_iteration()

    def _finish_iteration(self) -> None:
        """Close the books of the iteration that has just learned, if there was one."""
        if not self.began:
            return
        now = time.perf_counter()
        self.iteration += 1
        self.wall_seconds += now - self.began
        self.folder.append_metrics(self._metrics(now))
        self.ended = []

    def _metrics(self, now: float) -> Metrics:
        told = self.model.logger.name_to_value  # of this iteration's update
        figures = {
            "iteration": self.iteration,
            "executed_steps": self.num_timesteps,
            "simulator_steps": self.num_timesteps,
            "wall_seconds": self.wall_seconds,
            "episode_return": _mean([episode["r"] for episode in self.ended]),
            "episode_length": _mean([episode["l"] for episode in self.ended]),
            "policy_loss": told["train/policy_gradient_loss"],
            "value_loss": told["train/value_loss"],
            "entropy": -told["train/entropy_loss"],
            "approx_kl": told["train/approx_kl"],
            "clip_fraction": told["train/clip_fraction"],
            "explained_variance": told["train/explained_variance"],
            "learning_rate": told["train/learning_rate"],
            "sigma": told["train/std"],
            "simulator_steps_per_second": self.steps_per_iteration / (now - self.began),
            "sampling_seconds": self.sampled - self.began,
            "learning_seconds": now - self.sampled,
        }
        return {name: _number(value) for name, value in figures.items()}


def _episode(model: PPO, env: VecEnv) -> tuple[float, int, bool]:
    """Raw return, length and whether it ended before the time limit."""
    observation: Any = env.reset()
    total, length = 0.0, 0
    while True:
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, done, infos = env.step(action)
        total, length = total + float(reward[0]), length + 1
        if done[0]:
            return total, length, not infos[0]["TimeLimit.truncated"]


def _learning_rate(chosen: ZooSettings) -> Any:
    if chosen.lr_schedule == "constant":
        return chosen.learning_rate
    return lambda remaining: remaining * chosen.learning_rate  # remaining goes from 1 to 0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _number(value: Any) -> int | float:
    return value if isinstance(value, int) else float(value)


def main(words: Sequence[str]) -> None:
    """Obey one command line, while the parent lives."""
    if len(words) > 2 and words[0] == "train":
        out = Path(words[-1])
        assert words[-2] == "--out", words
        train(parse_options(words[1], words[2], words[3:-2]), out)
        return
    parser = argparse.ArgumentParser(prog="stable_baselines3")
    parser.add_argument("command", choices=["evaluate"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--episodes", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args(words)
    folder = RunFolder.open(given.folder)
    evaluate(folder, given.episodes, given.seed).write(folder.evaluation)


if __name__ == "__main__":
    stop_with_parent()
    main(sys.argv[1:])
