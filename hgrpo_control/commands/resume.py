"""`hgrpo resume`: continue a run, or give it more steps."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.command_line.processes import require_same, train_ranks
from hgrpo_control.commands.train import train_with_reports
from hgrpo_control.config.argument import IMPORTS, PROCESSES, RUN_FOLDER, STALL
from hgrpo_control.config.ranks import share_of
from hgrpo_control.ranks.launch import processes_to_start, silence_torch
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
    processes: PROCESSES = None
    """Processes of this machine that train together; bit for bit with as many as before, else with new episodes."""
    stall_seconds: STALL = None
    """Seconds after which a run of several processes ends because one does not answer; None is 300."""
    log: LOGS = ()
    """Where curves go beside metrics.csv; without it to where they went before."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> int:
    """`hgrpo resume DIR [--total-steps N]`; the exit status of the first process that failed."""
    options = parse(ResumeOptions, args, "hgrpo resume")
    require_loggers(options.log)
    silence_torch()
    processes = processes_to_start(options.processes, options.stall_seconds)
    from hgrpo_control.runs.run_folder import RunFolder

    folder = RunFolder.open(options.folder)
    if processes:
        share_of(folder.peek_config(), processes)
        return train_ranks(["resume", *args], processes)
    from hgrpo_control.ranks.join import joined
    from hgrpo_control.training.resuming import rate_note, restore_trainer

    with joined(folder.peek_config().device, options.stall_seconds) as ranks, ExitStack() as stack:
        require_same({"total_steps": options.total_steps, "trust_snapshots": options.trust_snapshots}, ranks)
        ranks.together(lambda: stack.enter_context(folder.locked()) if ranks.rank == 0 else folder)
        former = ranks.together(lambda: folder.read_config(options.imports))
        trainer = restore_trainer(folder, options.total_steps, options.imports, options.trust_snapshots, ranks)
        stack.enter_context(closing(trainer))
        if ranks.rank == 0:
            if trainer.resume_note:
                print(f"hgrpo: {trainer.resume_note}", file=sys.stderr)
            if note := rate_note(trainer, former):
                print(note)
        if options.total_steps is not None:
            ranks.on_first(lambda: folder.write_config(trainer.config))
        train_with_reports(trainer, folder, options.log or loggers_of(folder))
    return 0
