"""The trainer: one iteration after another of sampling, learning and bookkeeping.

With the same number of threads, kind of machine and build of torch a resumed run is bit for bit the uninterrupted one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from hgrpo_control import algorithms
from hgrpo_control.algorithms.rollout import FinishedEpisodes, NotFiniteError, Rollout
from hgrpo_control.config.run import Config
from hgrpo_control.learning import reference
from hgrpo_control.learning.sequences import in_sequences
from hgrpo_control.ranks.ranks import ALONE, Ranks
from hgrpo_control.rewards import transforms
from hgrpo_control.runs.imports import TRUST, resume_command
from hgrpo_control.training.build import Parts, build
from hgrpo_control.training.diagnostics import compute_diagnostics
from hgrpo_control.training.saved_state import samplers_of
from policies.actor_critic import ActorCritic
from policies.initialization import begin_with
from robots.from_gymnasium.state import GymnasiumState
from robots.simulator import close, closed_on_error


class Trainer:
    """A run in memory: its parts, and counters from its beginning."""

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config = config
        self.policy, self.sampler, self.reward_transform = parts.policy, parts.sampler, parts.reward_transform
        self.learner, self.curriculum, self.guidance = parts.learner, parts.curriculum, parts.guidance
        self.wishes, self.ranks = parts.wishes, parts.ranks
        self._saved_by = self.ranks.size  # processes of the checkpoint that was loaded
        self.iteration = self.executed_steps = self.simulator_steps = 0
        self.wall_seconds = 0.0
        self.notes = parts.sampler.simulator.spec.notes  # lines for the user

    @classmethod
    def from_config(cls, config: Config, ranks: Ranks = ALONE) -> Trainer:
        """A run that has not begun; raises what `build` raises, and HgrpoError for an `init` that does not fit."""
        trainer, init = cls(config, build(config, ranks=ranks)), config.network.init
        if init is not None:
            with closed_on_error(trainer.sampler.simulator):
                trainer.notes += ranks.together(lambda: begin_with(trainer.policy, init))
        return trainer

    def close(self) -> None:
        """Close the simulator; the trainer cannot step afterwards."""
        close(self.sampler.simulator)

    @property
    def holds_pickles(self) -> bool:
        """Whether a checkpoint holds pickled snapshots of an adapted environment."""
        state = self.sampler.roots.state
        return isinstance(state, GymnasiumState) and state.snapshot.shape[1] > 0

    def resume_command(self, folder: Path) -> str:
        """The command that continues the run."""
        processes = f" --processes {self.ranks.size}" if self.ranks.size > 1 else ""
        return resume_command(folder, self.config) + processes + (f" {TRUST}" if self.holds_pickles else "")

    @property
    def resume_note(self) -> str:
        """Why a resumed run is not bit for bit the uninterrupted one, or empty.

        Another number of threads, kind of machine or build of torch changes bits too, and is not checked.
        """
        obstacle = self.sampler.simulator.spec.branching_obstacle
        if self._saved_by != self.ranks.size:
            obstacle = f"it was saved with --processes {self._saved_by} and continues with {self.ranks.size}"
        return (
            obstacle
            and f"every environment begins a new episode, so the run continues, but not bit for bit: {obstacle}"
        )

    @property
    def finished(self) -> bool:
        """Whether the run has taken all its steps."""
        return self.iteration >= self.config.num_iterations

    def step(self) -> dict[str, float]:
        """One iteration: rollout, update, statistics; raises NotFiniteError.

        Returns the figures of every part, and
            `iteration`, `executed_steps` (those a real robot would take), `simulator_steps` (of all branches) and
            `wall_seconds`, counted from the beginning of the run.
            `sampling_seconds`, `learning_seconds` and `simulator_steps_per_second` of this iteration.
            `exchange_seconds` in this iteration, with several processes: time in exchanges and in waiting for them.
        """
        began, exchanging = time.perf_counter(), self.ranks.seconds
        rollout, own = self.sampler.collect()
        ended = self.ranks.objects([part.cpu() for part in own])
        finished = FinishedEpisodes(*map(torch.cat, zip(*ended, strict=True)))
        if self.sampler.cuts_episodes:  # only crashes end before the cut, and they do not represent the others
            finished = FinishedEpisodes(*(part[:0] for part in finished))
        archived = {} if self.sampler.archive is None else self.sampler.archive.metrics(self.ranks)
        sampled = time.perf_counter()
        learned = self.learn(rollout)
        end = time.perf_counter()
        self.iteration += 1
        simulator_steps = rollout.simulator_steps * self.ranks.size
        self.executed_steps += rollout.executed_steps * self.ranks.size
        self.simulator_steps += simulator_steps
        self.wall_seconds += end - began
        metrics = {
            "iteration": self.iteration,
            "executed_steps": self.executed_steps,
            "simulator_steps": self.simulator_steps,
            "wall_seconds": self.wall_seconds,
            **finished.metrics(goal=bool(self.sampler.simulator.spec.goal)),
            **learned,
            **archived,
            **self.curriculum.metrics(),
            "simulator_steps_per_second": simulator_steps / (end - began),
            "sampling_seconds": sampled - began,
            "learning_seconds": end - sampled,
        }
        if self.ranks.size > 1:
            metrics["exchange_seconds"] = self.ranks.seconds - exchanging
        self.curriculum.update(self.executed_steps, finished)
        return metrics

    def learn(self, rollout: Rollout) -> dict[str, float]:
        """Improve the policy on a rollout, and return the figures of every part; raises NotFiniteError."""
        rollout = transforms.apply(self.reward_transform, rollout, self.config.algorithm, self.ranks)
        batch = algorithms.make_batch(rollout, self.config.algorithm, self.ranks)
        mixed: dict[str, float] = {}
        if self.wishes is not None:
            batch, mixed = self.wishes.add(batch, rollout, self.policy.sigma.detach())
        diagnostics = compute_diagnostics(rollout, batch, self.config.algorithm, self.ranks)
        if self.policy.recurrent:
            batch = in_sequences(batch, rollout, self.config.path_steps, self.policy.memory_width)
        learned = self.learner.update(batch, progress=self.iteration / self.config.num_iterations)
        guided: dict[str, float] = {}
        if self.guidance is not None:
            guided = self.guidance.update(rollout, batch, learned["learning_rate"])
        if not bool(torch.stack([torch.isfinite(p).all() for p in self.policy.parameters()]).all()):
            raise NotFiniteError("parameters are not finite after the update")
        # After the update: before it, the policy that acted and the policy that learns must be equal.
        self.policy.update_normalizers(rollout.executed_observation, self.ranks.gathered)
        faults = rollout.metrics()
        counted = self.ranks.sum(torch.tensor(list(faults.values()))).tolist()
        return learned | diagnostics | guided | mixed | dict(zip(faults, counted, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Everything besides the policy that the next iteration depends on.

        The samplers of other processes are in it on rank 0 alone, which writes it.
        """
        frozen = self.learner.reference
        sampler, *others = self.ranks.states(self.sampler.state_dict()) or [None]
        return {
            "iteration": self.iteration,
            "executed_steps": self.executed_steps,
            "simulator_steps": self.simulator_steps,
            "wall_seconds": self.wall_seconds,
            "sampler": sampler,
            **({"other_samplers": others} if others else {}),
            "learner": self.learner.state_dict(),
            "reward_transform": self.reward_transform.state_dict(),
            "reference": None if frozen is None else reference.to_state(frozen),
            **({} if self.guidance is None else {"guidance": self.guidance.state_dict()}),
            **({} if self.wishes is None else {"wishes": self.wishes.state_dict()}),
            **({} if not self.config.curriculum else {"curriculum": self.curriculum.state_dict()}),
        }

    def load(self, policy: ActorCritic, saved: dict[str, Any]) -> None:
        """Restore a policy and the `state_dict` that was saved with it."""
        self.policy.load_state_dict(policy.state_dict())
        self.iteration = saved["iteration"]
        self.executed_steps, self.simulator_steps = saved["executed_steps"], saved["simulator_steps"]
        self.wall_seconds = saved["wall_seconds"]
        self.learner.load_state_dict(saved["learner"])
        self.reward_transform.load_state_dict(saved.get("reward_transform", {}))  # older checkpoints had none to save
        if self.guidance is not None:
            self.guidance.load_state_dict(saved["guidance"])
        if self.wishes is not None:
            self.wishes.load_state_dict(saved["wishes"])
        if self.config.curriculum:
            self.curriculum.load_state_dict(saved["curriculum"])
        samplers = samplers_of(saved)
        self._saved_by = len(samplers)
        if self._saved_by == self.ranks.size:
            self.sampler.load_state_dict(samplers[self.ranks.rank])
        else:
            self.sampler.begin_anew()
