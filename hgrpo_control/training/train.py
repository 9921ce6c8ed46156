"""Training to the end: iterate, report and save."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

from hgrpo_control.algorithms.rollout import NotFiniteError, RolloutFailedError
from hgrpo_control.ranks.ranks import RankLostError
from hgrpo_control.runs.reporter import Reporter
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.training.trainer import Trainer
from hgrpo_errors import HgrpoError
from hgrpo_files import FileError
from hgrpo_signals import StopSignals
from policies import checkpoint
from policies.actor_critic import ActorCritic


class TrainingDivergedError(HgrpoError):
    """Raised when a number is not finite; names it, the iteration and the last checkpoint."""


def run(trainer: Trainer, folder: RunFolder | None, reporters: tuple[Reporter, ...] = ()) -> ActorCritic:
    """Iterate to the end; save regularly, at the end, and on a stop signal.

    The first Ctrl-C, SIGTERM or SIGHUP finishes the iteration, saves and raises KeyboardInterrupt. With several
    processes a signal to one of them ends all, and rank 0 alone writes and reports.

    Args:
        trainer: The run; its next iteration comes first.
        folder: Where it is saved; None saves nothing.
        reporters: Called with the metrics of every iteration.

    Raises RankLostError where another process of the run has ended or does not answer; the last checkpoint stays.
    Raises TrainingDivergedError, and RolloutFailedError where the simulator fails; what was learned before is saved.
    Raises FileError where a file cannot be written, such as on a full disk; the last checkpoint stays.
    """
    if folder is None:
        return _run(trainer, None, reporters)
    with folder.locked() if trainer.ranks.rank == 0 else nullcontext():
        try:
            return _run(trainer, folder, reporters)
        except (FileError, RankLostError) as error:
            if not folder.checkpoint.exists():
                raise
            kept = "" if isinstance(error, FileError) else f"; last checkpoint: {folder.checkpoint}"
            again = trainer.resume_command(folder.path)
            raise type(error)(f"{error}{kept}; then go on with: {again}") from error


def _run(trainer: Trainer, folder: RunFolder | None, reporters: tuple[Reporter, ...]) -> ActorCritic:
    ranks = trainer.ranks
    if folder is not None:
        ranks.on_first(lambda: folder.drop_metrics_after(trainer.iteration))

    def save() -> None:
        if folder is not None:
            state = trainer.state_dict()
            ranks.on_first(lambda: checkpoint.save(folder.checkpoint, trainer.policy, state))

    def report(metrics: Metrics) -> None:
        if folder is not None:
            folder.append_metrics(metrics)
        for reporter in reporters:
            reporter.report(metrics)

    save()
    with StopSignals() as signals:
        if ranks.size > 1:
            signals.ignore()  # launchers pass on a signal that a process may have got already; none may end the saving
        while not trainer.finished:
            try:
                metrics = trainer.step()
            except NotFiniteError as error:
                raise TrainingDivergedError(_diverged(trainer, folder, error)) from error
            except RolloutFailedError as error:
                save()
                hint = "" if folder is None else f"; saved, to go on: {trainer.resume_command(folder.path)}"
                raise RolloutFailedError(f"stopped in iteration {trainer.iteration + 1}: {error}{hint}") from error
            ranks.on_first(partial(report, metrics))
            stopping = ranks.any(signals.requested)
            if trainer.finished or stopping or trainer.iteration % trainer.config.checkpoint_every == 0:
                save()
            if stopping and not trainer.finished:
                raise KeyboardInterrupt
    return trainer.policy


def _diverged(trainer: Trainer, folder: RunFolder | None, error: NotFiniteError) -> str:
    kept = "the run has no folder, so no checkpoint" if folder is None else f"last good checkpoint: {folder.checkpoint}"
    return f"stopped in iteration {trainer.iteration + 1}: {error}; {kept}"
