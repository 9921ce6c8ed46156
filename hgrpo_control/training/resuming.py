"""Continues a run from its last checkpoint, to its total of steps or another.

It is bit for bit the same run with the same number of threads, kind of machine and build of torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from hgrpo_control.config.run import Config
from hgrpo_control.ranks.ranks import ALONE, Ranks
from hgrpo_control.runs.imports import TRUST
from hgrpo_control.runs.run_folder import RunFolder, RunFolderError
from hgrpo_control.training.build import build
from hgrpo_control.training.saved_state import add_memory, fits, samplers_of, states_fit
from hgrpo_control.training.trainer import Trainer
from hgrpo_errors import HgrpoError
from policies import checkpoint
from policies.actor_critic import ActorCritic
from robots.simulator import closed_on_error


class UntrustedError(HgrpoError):
    """Raised where a checkpoint holds pickles that the user did not trust; names the option."""


_UNFIT = "{} does not hold the training state that config.json needs"
_OTHER_STATES = (
    f"{_UNFIT}: its simulator states have another layout, because an earlier version saved them or config.json was "
    "edited; the run cannot be continued, but hgrpo evaluate, hgrpo export and --reference take its policy"
)


def restore_trainer(
    folder: RunFolder,
    total_steps: int | None = None,
    imports: Sequence[str] = (),
    trust_snapshots: bool = False,
    ranks: Ranks = ALONE,
) -> Trainer:
    """The trainer of an unfinished run from its last checkpoint; config.json stays as it is.

    Args:
        folder: Of the run.
        total_steps: Another total than the run's own.
        imports: Modules to import; of those that the run names, no other is imported.
        trust_snapshots: Whether pickles in the checkpoint are read.
        ranks: Processes that continue the run. Another number than saved it begins new episodes.

    Raises ImportRefusedError, UntrustedError, RunFolderError or CheckpointError.
    """
    config, policy, saved = ranks.together(lambda: _read(folder, imports))
    streams = 0 if len(samplers_of(saved)) == ranks.size else saved["iteration"] + 1
    trainer = Trainer(config, build(config, saved.get("reference"), ranks, streams))
    ranks.together(lambda: _load(folder, trainer, policy, saved, total_steps, trust_snapshots))
    if total_steps is not None:
        trainer.config = dataclasses.replace(config, total_steps=total_steps)
    return trainer


def _read(folder: RunFolder, imports: Sequence[str]) -> tuple[Config, ActorCritic, dict[str, Any]]:
    config = folder.read_config(imports)
    policy, saved = checkpoint.restore(folder.checkpoint)
    if "sampler" not in saved or (saved.get("reference") is None) != (config.learning.reference is None):
        raise checkpoint.CheckpointError(_UNFIT.format(folder.checkpoint))
    add_memory(saved["sampler"])
    return config, policy, saved


def _load(
    folder: RunFolder,
    trainer: Trainer,
    policy: ActorCritic,
    saved: dict[str, Any],
    total_steps: int | None,
    trust_snapshots: bool,
) -> None:
    """Load a checkpoint into a trainer of the run's config; closes the trainer where the two do not fit."""
    with closed_on_error(trainer.sampler.simulator):
        if policy.spec != trainer.policy.spec:
            raise checkpoint.CheckpointError(
                f"{folder.checkpoint} holds a policy for {_described(policy)} that does not fit config.json "
                f"({_described(trainer.policy)})"
            )
        if not states_fit(trainer, saved):
            raise checkpoint.CheckpointError(_OTHER_STATES.format(folder.checkpoint))
        if not fits(trainer, saved):
            raise checkpoint.CheckpointError(_UNFIT.format(folder.checkpoint))
        _require_trust(folder, trainer, trust_snapshots)
        trainer.load(policy, saved)
        _require_steps_left(folder, trainer, total_steps)


def _described(policy: ActorCritic) -> str:
    """Task, layers and memory of a policy."""
    spec = policy.spec
    memory = f"memory {spec.memory}" + (f" of {spec.memory_size}" if spec.memory_size else "")
    return f"{spec.task!r}, layers {' '.join(map(str, spec.hidden_sizes))}, {memory}"


def _require_trust(folder: RunFolder, trainer: Trainer, trusted: bool) -> None:
    """Raise UntrustedError for a checkpoint with pickles that the user did not trust."""
    if trainer.holds_pickles and not trusted:
        raise UntrustedError(
            f"{folder.checkpoint} holds snapshots of {trainer.config.task}, which are pickles: reading "
            f"them can run any code; if you trust the author of the file, add {TRUST}"
        )
    if trusted and not trainer.holds_pickles:
        raise UntrustedError(f"{TRUST} does nothing for {folder.checkpoint}, which holds no snapshots; leave it out")


def rate_note(trainer: Trainer, former: Config) -> str:
    """The learning rate after another total of steps; empty for the same total."""
    total = trainer.config.total_steps
    if total == former.total_steps:
        return ""
    rate = f"the learning rate stays {former.learning.learning_rate:g}"
    if former.learning.lr_schedule == "linear":
        now = _learning_rate(trainer.config, trainer.iteration)
        rate = f"the learning rate falls linearly over the new total, from {now:g} to 0"
        if trainer.iteration:
            rate += f"; it was {_learning_rate(former, trainer.iteration - 1):g} in the last iteration"
    return f"total_steps is {total:,} now, before {former.total_steps:,}: {rate}"


def _learning_rate(config: Config, iteration: int) -> float:
    """Learning rate on the linear schedule after a number of iterations."""
    return config.learning.learning_rate * (1.0 - iteration / config.num_iterations)


def _require_steps_left(folder: RunFolder, trainer: Trainer, total_steps: int | None) -> None:
    """Raise RunFolderError where the total of steps leaves no whole iteration."""
    taken = f"{trainer.simulator_steps:,} simulator steps taken"
    if total_steps is None and trainer.finished:
        raise RunFolderError(
            f"{folder.path} is finished: {taken}; for more: {trainer.resume_command(folder.path)} --total-steps N"
        )
    least = (trainer.iteration + 1) * trainer.config.steps_per_iteration
    if total_steps is not None and total_steps < least:
        raise RunFolderError(
            f"total_steps {total_steps} leaves {folder.path} nothing to do: {taken}; allowed: at least {least}"
        )
