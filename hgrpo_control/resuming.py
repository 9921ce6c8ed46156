"""Going on with a run from its last checkpoint as if it had never stopped, or with more steps.

It is bit for bit the same with the same number of threads, kind of machine and build of torch.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hgrpo_control.config import Config
from hgrpo_control.imports import resume_command
from hgrpo_control.reporter import Reporter
from hgrpo_control.run_folder import RunFolder, RunFolderError
from hgrpo_control.saved_state import fits
from hgrpo_control.training import Trainer, run
from policies import checkpoint
from policies.actor_critic import ActorCritic
from robots.simulator import closed_on_error

_UNFIT = "{} does not hold the training state that config.json asks for"


def resume(
    out: str | Path,
    reporters: tuple[Reporter, ...] = (),
    total_steps: int | None = None,
    imports: Sequence[str] = (),
) -> ActorCritic:
    """Continue a run from its last checkpoint as if it had never stopped; warns where a task does not allow that.

    It goes on bit for bit with the same number of threads, kind of machine and build of torch.
    With `total_steps` the run is given that total instead of its own, also where it is finished; `rate_note` says what
    the learning rate does then. Of the modules that the run names, only those in `imports` are imported. Raises
    ImportRefusedError for another, RunFolderError if there is no run, or nothing left to do, RunInUseError if another
    process is on it, CheckpointError if its checkpoint cannot be used.
    """
    with RunFolder.open(out).locked() as folder, closing(restore_trainer(folder, total_steps, imports)) as trainer:
        if trainer.resume_note:
            warnings.warn(trainer.resume_note, stacklevel=2)
        if total_steps is not None:
            folder.write_config(trainer.config)
        return run(trainer, folder, reporters)


def restore_trainer(folder: RunFolder, total_steps: int | None = None, imports: Sequence[str] = ()) -> Trainer:
    """The trainer of an unfinished run as its last checkpoint left it, with another total if one is given.

    Raises ImportRefusedError, RunFolderError or CheckpointError. config.json stays as it is.
    """
    config = folder.read_config(imports)
    policy, saved = checkpoint.restore(folder.checkpoint)
    if "sampler" not in saved or (saved.get("reference") is None) != (config.learning.reference is None):
        raise checkpoint.CheckpointError(_UNFIT.format(folder.checkpoint))
    trainer = Trainer(config, saved.get("reference"))
    with closed_on_error(trainer.sampler.simulator):
        if not fits(trainer, saved):
            raise checkpoint.CheckpointError(_UNFIT.format(folder.checkpoint))
        if policy.spec != trainer.policy.spec:
            raise checkpoint.CheckpointError(
                f"{folder.checkpoint} holds a policy for {policy.spec.task!r} that does not fit config.json "
                f"({trainer.config.task!r})"
            )
        trainer.load(policy, saved)
        _require_steps_left(folder, trainer, total_steps)
    if total_steps is not None:
        trainer.config = dataclasses.replace(config, total_steps=total_steps)
    return trainer


def rate_note(trainer: Trainer, former: Config) -> str:
    """What the learning rate does in a run that was given another total; empty where the total is the former one."""
    total = trainer.config.total_steps
    if total == former.total_steps:
        return ""
    rate = f"the learning rate stays {former.learning.learning_rate:g}"
    if former.learning.lr_schedule == "linear":
        now = _learning_rate(trainer.config, trainer.iteration)
        rate = f"the learning rate goes on linearly along the new total, from {now:g} to 0"
        if trainer.iteration:
            rate += f"; it was {_learning_rate(former, trainer.iteration - 1):g} in the last iteration"
    return f"total_steps is {total:,} now, before {former.total_steps:,}: {rate}"


def _learning_rate(config: Config, iteration: int) -> float:
    """Learning rate of a run on its linear schedule, once so many iterations are done."""
    return config.learning.learning_rate * (1.0 - iteration / config.num_iterations)


def _require_steps_left(folder: RunFolder, trainer: Trainer, total_steps: int | None) -> None:
    """Raise RunFolderError where a total, the config's or another, leaves no whole iteration."""
    taken = f"{trainer.simulator_steps:,} simulator steps taken"
    if total_steps is None and trainer.finished:
        raise RunFolderError(
            f"{folder.path} is finished: {taken}; for more: {resume_command(folder.path, trainer.config)} "
            "--total-steps N"
        )
    least = (trainer.iteration + 1) * trainer.config.steps_per_iteration
    if total_steps is not None and total_steps < least:
        raise RunFolderError(
            f"total_steps {total_steps} leaves {folder.path} nothing to do: {taken}; allowed: at least {least}"
        )
