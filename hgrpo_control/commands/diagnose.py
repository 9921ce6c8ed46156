"""`hgrpo diagnose`: variance and bias of every estimator's gradient at a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.argument import IMPORTS, RUN_FOLDER
from hgrpo_control.config.judged import RUN, JudgedSettings, Weights
from hgrpo_control.diagnose.settings import DiagnoseSettings


@dataclass(frozen=True, kw_only=True)
class DiagnoseOptions(JudgedSettings):
    """Measure variance and bias of every estimator's policy gradient at a checkpoint.

    Writes a table and a plot into the run folder.
    """

    folder: Annotated[Path, RUN_FOLDER]
    """Run folder."""
    difficulty: str = RUN
    """Difficulty of the episodes: run (that of the run's curriculum), full (that of the task options), or a number from
    0 to 1."""
    weights: Weights = "run"
    """Reward weights: run (present values of the run's curriculum), final (its end), or default (those of the task)."""
    settings: DiagnoseSettings = field(default_factory=DiagnoseSettings)
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> None:
    """`hgrpo diagnose DIR [options]`."""
    options = parse(DiagnoseOptions, args, "hgrpo diagnose")
    from rich.console import Console

    from hgrpo_control.command_line.interruption import listing_what_is_kept
    from hgrpo_control.diagnose import report
    from hgrpo_control.diagnose.of_run import diagnose_run
    from hgrpo_control.diagnose.plot import picture
    from hgrpo_control.runs.run_folder import RunFolder

    folder = RunFolder.open(options.folder)
    with report.StepsBar(f"diagnose {folder.path.resolve().name}") as bar:
        diagnosis, judged = diagnose_run(folder, options.settings, options, options.imports, bar)
    title = f"Policy gradients of {folder.path.resolve().name}"
    headline = [*judged.lines, *report.headline(diagnosis)]
    with listing_what_is_kept() as kept:
        report.write_csv(diagnosis, folder.diagnosis_table)
        kept.append(folder.diagnosis_table)
        picture(diagnosis, title, folder.diagnosis_plot)
        kept.append(folder.diagnosis_plot)
        report.write_markdown(diagnosis, title, headline, folder.diagnosis_plot.name, folder.diagnosis)
    Console().print(report.terminal_table(diagnosis))
    for line in headline:
        print(line)
    for path in (folder.diagnosis, folder.diagnosis_table, folder.diagnosis_plot):
        print(f"diagnosis: {path}")
