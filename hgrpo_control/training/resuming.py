"""Going on with a run from its last checkpoint as if it had never stopped, or with more steps.

It is bit for bit the same with the same number of threads, kind of machine and build of torch.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hgrpo_control.config.run import Config
from hgrpo_control.runs.imports import TRUST
from hgrpo_control.runs.reporter import Reporter
from hgrpo_control.runs.run_folder import RunFolder, RunFolderError
from hgrpo_control.training.saved_state import fits
from hgrpo_control.training.trainer import Trainer, run
from hgrpo_errors import HgrpoError
from policies import checkpoint
from policies.actor_critic import ActorCritic
from robots.simulator import closed_on_error


class UntrustedError(HgrpoError):
    """Raised where a checkpoint holds pickles that nobody said to trust; says what to add."""


_UNFIT = "{} does not hold the training state that config.json asks for"


def resume(
    out: str | Path,
    reporters: tuple[Reporter, ...] = (),
    total_steps: int | None = None,
    imports: Sequence[str] = (),
    trust_snapshots: bool = False,
) -> ActorCritic:
    """Continue a run from its last checkpoint as if it had never stopped; warns where a task does not allow that.

    It goes on bit for bit with the same number of threads, kind of machine and build of torch.
    With `total_steps` the run is given that total instead of its own, also where it is finished; `rate_note` says what
    the learning rate does then. Of the modules that the run names, only those in `imports` are imported, and pickles in
    its checkpoint are read only with `trust_snapshots`. Raises ImportRefusedError and UntrustedError for more,
    RunFolderError if there is no run, or nothing left to do, RunInUseError if another process is on it, CheckpointError
    if its checkpoint cannot be used.
    """
    with (
        RunFolder.open(out).locked() as folder,
        closing(restore_trainer(folder, total_steps, imports, trust_snapshots)) as trainer,
    ):
        if trainer.resume_note:
            warnings.warn(trainer.resume_note, stacklevel=2)
        if total_steps is not None:
            folder.write_config(trainer.config)
        return run(trainer, folder, reporters)


def restore_trainer(
    folder: RunFolder, total_steps: int | None = None, imports: Sequence[str] = (), trust_snapshots: bool = False
) -> Trainer:
    """The trainer of an unfinished run as its last checkpoint left it, with another total if one is given.

    Raises ImportRefusedError, UntrustedError, RunFolderError or CheckpointError. config.json stays as it is.
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
        _require_trust(folder, trainer, trust_snapshots)
        trainer.load(policy, saved)
        _require_steps_left(folder, trainer, total_steps)
    if total_steps is not None:
        trainer.config = dataclasses.replace(config, total_steps=total_steps)
    return trainer


def _require_trust(folder: RunFolder, trainer: Trainer, trusted: bool) -> None:
    """Raise UntrustedError for a checkpoint with pickles that the user did not say to trust."""
    if trainer.holds_pickles and not trusted:
        raise UntrustedError(
            f"{folder.checkpoint} holds snapshots of {trainer.config.task}, which are pickles, and whoever wrote them "
            f"may have them run code: where that was you, or one you trust, add {TRUST}"
        )
    if trusted and not trainer.holds_pickles:
        raise UntrustedError(f"{TRUST} does nothing for {folder.checkpoint}, which holds no snapshots; leave it out")


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
            f"{folder.path} is finished: {taken}; for more: {trainer.resume_command(folder.path)} --total-steps N"
        )
    least = (trainer.iteration + 1) * trainer.config.steps_per_iteration
    if total_steps is not None and total_steps < least:
        raise RunFolderError(
            f"total_steps {total_steps} leaves {folder.path} nothing to do: {taken}; allowed: at least {least}"
        )
