"""`hgrpo resume`: continue a run, or give it more steps."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.commands.train import train_with_reports
from hgrpo_control.config.argument import IMPORTS, RUN_FOLDER
from hgrpo_control.runs.loggers import LOGS, loggers_of, require_loggers
from hgrpo_fields import Range


@dataclass(frozen=True)
class ResumeOptions:
    """Continue a run from its last checkpoint.

    The result is bit for bit that of an uninterrupted run with the same number of threads, kind of machine and build of
    torch. A finished run continues if total_steps grows. A linear learning rate then follows the new total, so it rises
    above its last value. Curricula continue from their last values.
    """

    folder: Annotated[Path, RUN_FOLDER]
    """Run folder."""
    total_steps: Annotated[int | None, Range(least=1)] = None
    """Simulator steps of the whole run, those already taken included; None keeps the total."""
    trust_snapshots: bool = False
    """Load the pickled snapshots in the checkpoint of an adapted environment; pickles can run code."""
    log: LOGS = ()
    """Where curves go beside metrics.csv; without it to where they went before."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> None:
    """`hgrpo resume DIR [--total-steps N]`."""
    options = parse(ResumeOptions, args, "hgrpo resume")
    require_loggers(options.log)
    from hgrpo_control.runs.run_folder import RunFolder

    with RunFolder.open(options.folder).locked() as folder:
        former = folder.read_config(options.imports)
        from hgrpo_control.training.resuming import rate_note, restore_trainer

        with closing(restore_trainer(folder, options.total_steps, options.imports, options.trust_snapshots)) as trainer:
            if trainer.resume_note:
                print(f"hgrpo: {trainer.resume_note}", file=sys.stderr)
            if note := rate_note(trainer, former):
                print(note)
            if options.total_steps is not None:
                folder.write_config(trainer.config)
            train_with_reports(trainer, folder, options.log or loggers_of(folder))
