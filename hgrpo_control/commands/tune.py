"""`hgrpo tune`: search for the settings of an algorithm and a task with Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.commands.train_options import base_config
from hgrpo_control.config.argument import Argument
from hgrpo_control.config.run import Config
from hgrpo_fields import Range

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

USAGE = "hgrpo tune ALGORITHM TASK [options]"


@dataclass(frozen=True)
class TuneOptions:
    """Search for settings with Optuna. Several workers, given the same command, share a study."""

    config: Config
    trials: Annotated[int, Range(least=1)] = 50
    """Trials of the study, those of all workers together."""
    storage: str = "sqlite:///tune.db"
    """Where the study is kept: sqlite:///FILE, journal:FILE or the URL of a PostgreSQL database."""
    study: str = ""
    """Name of the study; without it ALGORITHM-TASK."""
    search: Annotated[tuple[str, ...], Argument("NAME=SPAN")] = ()
    """Settings to search: LOW:HIGH, LOW:HIGH:log or A,B; one value fixes a setting. Or a TOML file of them."""
    out: Path = Path("tune")
    """Folder for `best.toml`, plots and the runs of the trials."""
    config_file: Annotated[Path | None, Argument(flag="--config")] = None
    """File of settings, TOML or the config.json of a run, for what is not searched."""


def run(args: list[str]) -> None:
    """`hgrpo tune ALGORITHM TASK [options]`."""
    if args in (["-h"], ["--help"]):
        print(f"usage: {USAGE}\n\nhgrpo tune ALGORITHM TASK --help lists the options.")
        return
    named, rest, config = base_config(args, USAGE)
    name = f"{config.algorithm_name}-{config.task}".translate(str.maketrans("/:", "--"))
    default = TuneOptions(config, study=name, out=Path("tune") / name)
    options = parse(TuneOptions, rest, " ".join(("hgrpo tune", *named)), default)
    from hgrpo_control.tune.space import read_space

    base, spans = read_space(options.config, options.search)
    from hgrpo_control.tune.report import draw, write_best
    from hgrpo_control.tune.study import best_config, open_study, run_trials

    study = open_study(options.study, options.storage, base, spans)
    print(f"study {options.study}: {', '.join(span.name for span in spans)}", flush=True)
    try:
        run_trials(study, options.trials, base, spans, options.out, _report)
    except KeyboardInterrupt as stopped:
        raise KeyboardInterrupt("the trial is saved; the same command continues the study") from stopped
    write_best(options.out / "best.toml", best_config(study, base, spans))
    print(f"best: trial {study.best_trial.number}, score {study.best_value:.4g}, {_settings(study.best_trial)}")
    print(f"settings: {options.out / 'best.toml'}; train with: hgrpo train --config {options.out / 'best.toml'}")
    print(f"plots: {', '.join(map(str, draw(study, options.out)))}")


def _report(trial: FrozenTrial) -> None:
    score = "" if trial.value is None else f" score {trial.value:.4g},"
    print(f"trial {trial.number}: {trial.state.name.lower()},{score} {_settings(trial)}", flush=True)


def _settings(trial: FrozenTrial) -> str:
    values = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in trial.params.items()}
    return " ".join(f"{name}={value}" for name, value in values.items())
