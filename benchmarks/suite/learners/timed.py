"""Training of quadrotor-hover until a policy succeeds, with a clock that stands during evaluations."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import robots
from benchmarks.suite.learners.stable_baselines3_settings import ZooSettings
from hgrpo_control.config.learning import Network
from hgrpo_control.config.run import Config
from hgrpo_control.evaluation.array_policy import ArrayPolicy
from hgrpo_control.evaluation.evaluate import Policy, evaluate
from hgrpo_control.training.simulation import policy_spec
from hgrpo_control.training.trainer import Trainer
from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic

TASK = "quadrotor-hover"
_EVALUATION_SEED = 100_000  # of the first evaluation; no training uses seeds from here on


@dataclasses.dataclass(frozen=True)
class Goal:
    """When training is judged and when it ends."""

    total_steps: int
    """Simulator steps after which a run ends without success."""
    every: int = 32_768
    """Simulator steps between two evaluations; an update is not interrupted."""
    episodes: int = 200
    """Fresh episodes of an evaluation."""
    success: float = 0.95
    """Success rate that ends a run."""


class Arrival(NamedTuple):
    """How a run ended."""

    seconds: float
    """Time of training, without evaluations."""
    steps: int
    """Simulator steps."""
    success: float | None
    """Success rate of the last evaluation; None without one."""
    late: bool
    """Whether the run ended before its success rate was high enough."""


class Watch:
    """Clock and judge of one run."""

    def __init__(self, goal: Goal) -> None:
        self.goal, self.simulator = goal, robots.make(TASK)
        self.seconds, self.steps = 0.0, 0
        self.success: float | None = None
        self._evaluations, self._due, self._began = 0, goal.every, 0.0

    @property
    def reached(self) -> bool:
        """Whether the last evaluation was good enough."""
        return self.success is not None and self.success >= self.goal.success

    @property
    def arrival(self) -> Arrival:
        """The end of the run."""
        return Arrival(self.seconds, self.steps, self.success, not self.reached)

    def start(self) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def stop(self, steps: int, policy: Policy | ActorCritic, last: bool = False) -> None:
        """Stop the clock, and evaluate if it is time.

        Args:
            steps: Simulator steps since the beginning of the run.
            policy: The policy after them.
            last: Whether the run ends here, which is always evaluated.
        """
        self.seconds += time.perf_counter() - self._began
        self.steps = steps
        if steps < self._due and not last:
            return
        self._due = steps + self.goal.every - steps % self.goal.every
        seed = _EVALUATION_SEED + self._evaluations
        self.success = evaluate(policy, self.simulator, self.goal.episodes, seed)[0].success_rate
        self._evaluations += 1


def train_ours(config: Config, seed: int, goal: Goal) -> Arrival:
    """Train with this project's trainer."""
    watch = Watch(goal)
    trainer = Trainer.from_config(dataclasses.replace(config, seed=seed, total_steps=goal.total_steps))
    while not (watch.reached or trainer.finished):
        watch.start()
        trainer.step()
        watch.stop(trainer.simulator_steps, trainer.policy, trainer.finished)
    return watch.arrival


def train_stable_baselines3(settings: ZooSettings, seed: int, goal: Goal) -> Arrival:
    """Train with stable-baselines3's PPO on this project's vector environment; ImportError without that package."""
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecNormalize

    from benchmarks.suite.learners.stable_baselines3 import make_learner
    from examples.stable_baselines3_ppo import Batched

    class Judge(BaseCallback):
        """Evaluates between an update and the next rollout."""

        def _on_training_start(self) -> None:
            watch.start()

        def _on_rollout_start(self) -> None:
            if self.num_timesteps:
                watch.stop(self.num_timesteps, policy)
                watch.start()

        def _on_step(self) -> bool:
            return not watch.reached

        def _on_training_end(self) -> None:
            if not watch.reached:
                watch.stop(self.num_timesteps, policy, last=True)

    env = Batched(settings.n_envs)
    normalizer = VecNormalize(env, gamma=settings.gamma) if settings.normalize else None
    watch, model = Watch(goal), make_learner(normalizer or env, settings, seed)
    policy = ArrayPolicy(_MeanAction(model, normalizer, watch))
    model.learn(goal.total_steps, callback=Judge())
    env.close()
    return watch.arrival


class _MeanAction:
    """Mean action of a model of stable-baselines3 on arrays."""

    def __init__(self, model: Any, normalizer: Any, watch: Watch) -> None:
        self.model, self.normalizer = model, normalizer
        self.spec = policy_spec(watch.simulator.spec, Network(), critic=False)

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.normalizer is not None:
            observation = self.normalizer.normalize_obs(observation)
        action: NDArray[np.float32] = self.model.predict(observation, deterministic=True)[0]
        return action


def run_learning_to_fly(binary: Path) -> Arrival:
    """Run the training program of Learning to Fly in Seconds, which prints its time and no success rate.

    The program is `training_benchmark` or `training_headless` of github.com/arplaboratory/learning-to-fly. It trains
    TD3 on its own hover task with its own airframe, always with the same seed.

    Raises HgrpoError if it fails or does not print its steps and its time.
    """
    with tempfile.TemporaryDirectory() as folder:  # it writes logs and checkpoints
        done = subprocess.run(
            [str(binary.resolve())],
            cwd=folder,
            capture_output=True,
            text=True,
            env=os.environ | {"MKL_NUM_THREADS": "1"},
        )
    seconds = re.search(r"^Training took: (\S+)s$", done.stdout, re.MULTILINE)
    steps = re.findall(r"^Step: (\d+)$", done.stdout, re.MULTILINE)
    if done.returncode or not seconds or not steps:
        raise HgrpoError(
            f"{binary} ended with status {done.returncode} and printed no 'Step: N' and 'Training took: Xs'; "
            f"its last lines: {(done.stdout + done.stderr)[-300:]!r}"
        )
    return Arrival(float(seconds[1]), int(steps[-1]), None, late=False)
