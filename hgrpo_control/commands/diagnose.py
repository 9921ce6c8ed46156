"""`hgrpo diagnose`: variance and bias of every estimator's gradient at a checkpoint."""

from __future__ import annotations

import dataclasses
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
    from hgrpo_control.config.run import ConfigError
    from hgrpo_control.diagnose import report
    from hgrpo_control.diagnose.measurement import diagnose as measure
    from hgrpo_control.diagnose.plot import picture
    from hgrpo_control.rewards import transforms
    from hgrpo_control.runs.run_folder import RunFolder
    from hgrpo_control.sampling import guidance
    from hgrpo_control.training.judged import judge_at
    from hgrpo_control.training.simulation import training_simulator
    from policies.checkpoint import restore
    from robots.simulator import closing

    folder = RunFolder.open(options.folder)
    config = dataclasses.replace(folder.read_config(options.imports), device="cpu")  # where policies are loaded
    policy, training = restore(folder.checkpoint)
    transform = transforms.make(config.algorithm, config.num_envs)
    transform.load_state_dict(training.get("reward_transform", {}))
    if not transform.ready:
        raise ConfigError(
            f"the reward transform {config.algorithm.reward_transform} of {folder.path} depends on past rewards, and "
            "there are none yet; train the run for at least one iteration"
        )
    guide = guidance.make(policy, config.algorithm, config.learning, seed=0)
    if guide is not None:
        if "guidance" not in training:
            raise ConfigError(
                f"{folder.checkpoint} does not hold the Q that guides this run; it was not saved in training"
            )
        guide.load_state_dict(training["guidance"])
    title = f"diagnose {folder.path.resolve().name}"
    with closing(training_simulator(config)) as simulator, report.StepsBar(title) as bar:
        judged = judge_at(simulator, config, training, options)
        proposals = None if guide is None else guide.proposals
        diagnosis = measure(policy, simulator, config, options.settings, bar, transform, proposals)
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
