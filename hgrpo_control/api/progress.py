"""Training with a progress bar and loggers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack

from hgrpo_control.runs.loggers import make_loggers
from hgrpo_control.runs.progress import ProgressBar
from hgrpo_control.runs.reporter import Reporter
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_control.training.train import run as run_trainer
from hgrpo_control.training.trainer import Trainer


def run_with_progress(
    trainer: Trainer,
    folder: RunFolder | None,
    reporters: Sequence[Reporter] = (),
    log: Sequence[str] = ("tensorboard",),
) -> None:
    """Train to the end with a progress bar, and with the loggers named in `log` where there is a folder.

    Notes, such as wrappers that start anew in every episode or layers that `init` did not fill, go to standard error.
    With several processes rank 0 alone shows and logs anything.
    """
    if trainer.ranks.rank:
        run_trainer(trainer, folder)
        return
    for note in trainer.notes:
        print(f"hgrpo: {note}", file=sys.stderr)
    with ExitStack() as stack:
        shown: list[Reporter] = []
        if folder is not None:
            for logger in make_loggers(log, folder, trainer.simulator_steps):
                stack.callback(logger.close)
                shown.append(logger)
        shown.append(stack.enter_context(ProgressBar(trainer.config)))
        run_trainer(trainer, folder, (*shown, *reporters))
