"""Training: collect, compute advantages, learn, record; resumable.

With the same number of threads, kind of machine and build of torch a resumed run is bit for bit the uninterrupted one.
"""

from __future__ import annotations

import math
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from hgrpo_control import algorithms
from hgrpo_control.algorithms.rollout import (
    FinishedEpisodes,
    NotFiniteError,
    Rollout,
    RolloutFailedError,
)
from hgrpo_control.config.device import find_device
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.config.schedules import SuccessSchedule
from hgrpo_control.learning import reference
from hgrpo_control.learning.learner import Learner, LearnerStats
from hgrpo_control.rewards import transforms
from hgrpo_control.runs.imports import TRUST, resume_command, with_registrar
from hgrpo_control.runs.reporter import Reporter
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.sampling import guidance
from hgrpo_control.sampling.guidance import GuidanceStats
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training import diagnostics
from hgrpo_control.training.curriculum import Curriculum, difficulty_of
from hgrpo_control.training.diagnostics import Instruments
from hgrpo_control.training.simulation import policy_spec, training_simulator
from hgrpo_errors import HgrpoError
from hgrpo_files import FileError
from hgrpo_imports import load_all
from hgrpo_signals import StopSignals
from policies import checkpoint
from policies.actor_critic import ActorCritic
from robots.from_gymnasium.state import GymnasiumState
from robots.simulator import Simulator, close, closed_on_error


class TrainingDivergedError(HgrpoError):
    """Raised when something stopped being finite; the message says what, when, and which checkpoint is still good."""


class Trainer:
    """A run in memory: policy, sampler, learner and the counters that go with them.

    The reference policy, if the config names one, is loaded from there unless `saved_reference` holds it.
    """

    def __init__(self, config: Config, saved_reference: dict[str, Any] | None = None) -> None:
        self.config = config
        simulator = training_simulator(config)
        with closed_on_error(simulator):
            self._prepare(simulator, config, saved_reference)

    def _prepare(self, simulator: Simulator, config: Config, saved_reference: dict[str, Any] | None) -> None:
        self.curriculum = Curriculum(config.curriculum, simulator)  # before any episode begins
        limit = simulator.spec.max_episode_steps
        self.cuts_episodes = config.algorithm.restarts_branches and config.branch_length < limit
        if self.cuts_episodes and any(isinstance(s, SuccessSchedule) for s in self.curriculum.schedules.values()):
            raise ConfigError(
                f"groups initial_states with branch_steps {config.branch_length} cuts episodes of {limit} steps, so no "
                f"success rate is known for a curriculum; allowed: branch_steps of at least {limit}, or @steps"
            )
        seeds = torch.randint(2**31, (4,), generator=torch.Generator().manual_seed(config.seed)).tolist()
        spec = policy_spec(simulator.spec, config.network, critic=config.algorithm.needs_critic)
        generator = torch.Generator().manual_seed(seeds[0])
        # Weights are drawn on the CPU, so that a run begins with the same ones on every device.
        device = find_device(config.device)
        self.policy = ActorCritic(spec, config.network.init_sigma, generator).to(device)
        self.guidance = guidance.make(self.policy, config.algorithm, config.learning, seeds[3])
        self.sampler = Sampler(
            simulator,
            self.policy,
            config.num_envs,
            config.algorithm.num_samples,
            config.branch_length,
            config.rollout_steps,
            seeds[1],
            split_noise=config.algorithm.sibling_noise == "split",
            initial_states=config.algorithm.restarts_branches,
            proposals=None if self.guidance is None else self.guidance.proposals,
        )
        self.reward_transform = transforms.make(config.algorithm, config.num_envs, device)
        self.reference: ActorCritic | None = None
        if saved_reference is not None:
            self.reference = reference.from_state(saved_reference, device)
        elif config.learning.reference is not None:
            self.reference = reference.load(config.learning.reference, spec, device)
        self.learner = Learner(self.policy, config.learning, seeds[2], self.reference)
        self.policy.update_normalizers(self.sampler.root_observation)
        self.iteration = self.executed_steps = self.simulator_steps = 0
        self.wall_seconds = 0.0

    def close(self) -> None:
        """Close the simulator; nothing can be iterated afterwards."""
        close(self.sampler.simulator)

    @property
    def holds_pickles(self) -> bool:
        """Whether a checkpoint of it holds snapshots of an adapted environment: going on unpickles them."""
        state = self.sampler.roots.state
        return isinstance(state, GymnasiumState) and state.snapshot.shape[1] > 0

    def resume_command(self, folder: Path) -> str:
        """What goes on with the run from the command line."""
        return resume_command(folder, self.config) + (f" {TRUST}" if self.holds_pickles else "")

    @property
    def resume_note(self) -> str:
        """What keeps a resumed run from being bit for bit the uninterrupted one; empty if nothing does.

        Another number of threads, kind of machine or build of torch does so too, and is not looked at.
        """
        obstacle = self.sampler.simulator.spec.branching_obstacle
        return (
            obstacle and f"every environment begins a new episode, so the run goes on, but not bit for bit: {obstacle}"
        )

    @property
    def finished(self) -> bool:
        """Whether the run has taken all its steps."""
        return self.iteration >= self.config.num_iterations

    def iterate(self) -> Metrics:
        """One iteration: rollout, update, statistics; raises NotFiniteError."""
        began = time.perf_counter()
        rollout, finished = self.sampler.collect()
        if self.cuts_episodes:  # those that end before the cut are crashes, and speak for no others
            finished = FinishedEpisodes(*(part[:0] for part in finished))
        sampled = time.perf_counter()
        rollout = transforms.apply(self.reward_transform, rollout, self.config.algorithm)
        batch = algorithms.batch(rollout, self.config.algorithm)
        reading = diagnostics.measure(rollout, batch, self.config.algorithm)
        stats = self.learner.update(batch, progress=self.iteration / self.config.num_iterations)
        guided = GuidanceStats()
        if self.guidance is not None:
            guided = self.guidance.update(rollout, batch, stats.learning_rate)
        if not bool(torch.stack([torch.isfinite(p).all() for p in self.policy.parameters()]).all()):
            raise NotFiniteError("parameters are not finite after the update")
        # Only now: the update's first ratio is 1 because the policy that acted is the policy that learns.
        self.policy.update_normalizers(rollout.executed_observation)
        ended = time.perf_counter()
        self.iteration += 1
        self.executed_steps += rollout.executed_steps
        self.simulator_steps += rollout.simulator_steps
        self.wall_seconds += ended - began
        metrics = self._metrics(finished, stats, reading, guided, rollout, sampled - began, ended - sampled)
        self.curriculum.update(self.executed_steps, finished)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Everything besides the policy that the next iteration depends on."""
        return {
            "iteration": self.iteration,
            "executed_steps": self.executed_steps,
            "simulator_steps": self.simulator_steps,
            "wall_seconds": self.wall_seconds,
            "sampler": self.sampler.state_dict(),
            "learner": self.learner.state_dict(),
            "reward_transform": self.reward_transform.state_dict(),
            "reference": None if self.reference is None else reference.to_state(self.reference),
            **({} if self.guidance is None else {"guidance": self.guidance.state_dict()}),
            **({} if not self.config.curriculum else {"curriculum": self.curriculum.state_dict()}),
        }

    def load(self, policy: ActorCritic, saved: dict[str, Any]) -> None:
        """Take over a policy and the `state_dict` that was saved with it."""
        self.policy.load_state_dict(policy.state_dict())
        self.iteration = saved["iteration"]
        self.executed_steps, self.simulator_steps = saved["executed_steps"], saved["simulator_steps"]
        self.wall_seconds = saved["wall_seconds"]
        self.sampler.load_state_dict(saved["sampler"])
        self.learner.load_state_dict(saved["learner"])
        self.reward_transform.load_state_dict(saved.get("reward_transform", {}))  # older checkpoints had none to save
        if self.guidance is not None:
            self.guidance.load_state_dict(saved["guidance"])
        if self.config.curriculum:
            self.curriculum.load_state_dict(saved["curriculum"])

    def _metrics(
        self,
        finished: FinishedEpisodes,
        stats: LearnerStats,
        reading: Instruments,
        guided: GuidanceStats,
        rollout: Rollout,
        sampling: float,
        learning: float,
    ) -> Metrics:
        return Metrics(
            iteration=self.iteration,
            executed_steps=self.executed_steps,
            simulator_steps=self.simulator_steps,
            wall_seconds=self.wall_seconds,
            episode_return=finished.episode_return.mean().item(),
            episode_length=finished.length.double().mean().item(),
            success_rate=finished.success.double().mean().item() if self.sampler.simulator.spec.goal else math.nan,
            policy_loss=stats.policy_loss,
            value_loss=stats.value_loss,
            entropy=stats.entropy,
            approx_kl=stats.approx_kl,
            clip_fraction=stats.clip_fraction,
            explained_variance=stats.explained_variance,
            grad_norm=stats.grad_norm,
            learning_rate=stats.learning_rate,
            sigma=self.policy.sigma.mean().item(),
            reference_kl=stats.reference_kl,
            temperature=stats.temperature,
            **reading._asdict(),
            gradient_noise_scale=stats.gradient_noise_scale,
            simulator_steps_per_second=rollout.simulator_steps / (sampling + learning),
            sampling_seconds=sampling,
            learning_seconds=learning,
            **guided._asdict(),
            diverged=rollout.diverged,
            difficulty=difficulty_of(self.sampler.simulator),
        )


def train(config: Config, out: str | Path | None = None, reporters: tuple[Reporter, ...] = ()) -> ActorCritic:
    """Import `config.imports`, train, and write a run folder `out`, if given, that `resuming.resume` can continue.

    Raises ConfigError for contradictory settings, RunFolderError if `out` exists, TrainingDivergedError for NaN.
    """
    load_all(config.imports)
    config = with_registrar(config)
    with closing(Trainer(config)) as trainer:
        folder = None if out is None else RunFolder.create(out, config)
        return run(trainer, folder, reporters)


def run(trainer: Trainer, folder: RunFolder | None, reporters: tuple[Reporter, ...] = ()) -> ActorCritic:
    """Iterate to the end; save regularly, at the end, and when asked to stop.

    The first Ctrl-C, SIGTERM or SIGHUP finishes the iteration, saves and raises KeyboardInterrupt. Raises
    TrainingDivergedError, and RolloutFailedError where the simulator fails; what was learned before is saved. Raises
    FileError where nothing more can be written, such as on a full disk; the last checkpoint stays.
    """
    if folder is None:
        return _run(trainer, None, reporters)
    with folder.locked():
        try:
            return _run(trainer, folder, reporters)
        except FileError as error:
            if not folder.checkpoint.exists():
                raise
            raise FileError(f"{error}; then go on with: {trainer.resume_command(folder.path)}") from error


def _run(trainer: Trainer, folder: RunFolder | None, reporters: tuple[Reporter, ...]) -> ActorCritic:
    if folder is not None:
        folder.drop_metrics_after(trainer.iteration)

    def save() -> None:
        if folder is not None:
            checkpoint.save(folder.checkpoint, trainer.policy, trainer.state_dict())

    save()
    with StopSignals() as signals:
        while not trainer.finished:
            try:
                metrics = trainer.iterate()
            except NotFiniteError as error:
                raise TrainingDivergedError(_diverged(trainer, folder, error)) from error
            except RolloutFailedError as error:
                save()
                hint = "" if folder is None else f"; saved, to go on: {trainer.resume_command(folder.path)}"
                raise RolloutFailedError(f"stopped in iteration {trainer.iteration + 1}: {error}{hint}") from error
            if folder is not None:
                folder.append_metrics(metrics)
            for reporter in reporters:
                reporter.report(metrics)
            stopping = signals.requested
            if trainer.finished or stopping or trainer.iteration % trainer.config.checkpoint_every == 0:
                save()
            if stopping and not trainer.finished:
                raise KeyboardInterrupt
    return trainer.policy


def _diverged(trainer: Trainer, folder: RunFolder | None, error: NotFiniteError) -> str:
    kept = "no checkpoint was asked for" if folder is None else f"last good checkpoint: {folder.checkpoint}"
    return f"stopped in iteration {trainer.iteration + 1}: {error}; {kept}"
