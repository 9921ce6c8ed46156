"""Options of `hgrpo train`: a preset, then a file of settings, then the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

from hgrpo_control.command_line.options import shown
from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.config.argument import PROCESSES, STALL, Argument
from hgrpo_control.config.film import FilmSettings
from hgrpo_control.config.learning import Network
from hgrpo_control.config.named_values import named_values
from hgrpo_control.config.run import Config, ConfigError, named_algorithm
from hgrpo_control.config_files.formats import read_file
from hgrpo_control.config_files.tables import TableError
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.runs.imports import modules_of
from hgrpo_control.runs.loggers import LOGS
from hgrpo_fields import Range
from hgrpo_imports import load_all, require, take_imports
from robots.registry import module_of

RAPTOR: dict[str, Any] = {"hidden_sizes": (16,), "activation": "relu", "memory": "gru", "memory_size": 16}
"""Layers of RAPTOR (Eschmann et al., 2025), which PX4's mc_raptor has compiled in."""
REWARD_TERMS = named_values("reward term", "NAME=WEIGHT, such as at_target=2", "NAME=WEIGHT")
TERMS, PENALTY, PENALIZED = "reward_terms", "action_difference_penalty", "action_difference"
"""Task options that hold weights of the reward, and the term that has one of its own."""
USAGE = "hgrpo train ALGORITHM TASK [options]"


@dataclass(frozen=True)
class TrainOptions(FilmSettings):
    """Train a policy; the defaults are the preset of the algorithm and the task."""

    config: Config
    out: Path = Path("runs")
    """Folder of the run; it must not exist yet."""
    config_file: Annotated[Path | None, Argument(flag="--config")] = None
    """File of settings, TOML or the config.json of a run; other options change them."""
    write_config: Path | None = None
    """TOML file to write with every setting, instead of training."""
    layers: Annotated[Literal["preset", "raptor"], Argument(flag="--network")] = "preset"
    """Layers: those of the preset, or 16 units with ReLU and a GRU of 16 units as RAPTOR has, for `export --px4`."""
    reward_terms: Annotated[dict[str, str], REWARD_TERMS] = field(default_factory=dict)
    """Weights of terms of the task's reward, such as at_target=2; short for the task option reward_terms."""
    seeds: Annotated[str | None, Argument("FIRST:END|A,B,C")] = None
    """Train one run per seed, such as 0:5 or 0,3,7, each in a process of its own; out gets -seedK."""
    jobs: Annotated[int | None, Range(least=1)] = None
    """Processes at once with seeds, one thread each; None is the number of cores."""
    processes: PROCESSES = None
    """Processes of this machine that train one run together, each with its share of num_envs; None is one."""
    stall_seconds: STALL = None
    """Seconds after which a run of several processes ends because one does not answer; None is 300."""
    log: LOGS = ("tensorboard",)
    """Where curves go beside metrics.csv: tensorboard, wandb (offline), mlflow (a local folder) or none."""
    video: bool = False
    """Evaluate and film the policy after training."""


def parse_train_options(args: list[str]) -> TrainOptions:
    """Options from the arguments behind `hgrpo train`; imports the modules of --import.

    Raises:
        UsageError, ConfigError, TableError: Arguments or a file that cannot be read, or contradictory settings.
    """
    named, rest, config = base_config(args, USAGE)
    layers: Literal["preset", "raptor"] = "raptor" if _last_value(rest, "--network") == "raptor" else "preset"
    if layers == "raptor":
        config = dataclasses.replace(config, network=dataclasses.replace(config.network, **RAPTOR))
    default = TrainOptions(config, _run_folder(config), layers=layers)
    options = parse(TrainOptions, rest, " ".join(("hgrpo train", *named)), default)
    given = {name: getattr(options.config.network, name) for name in RAPTOR}
    if layers == "raptor" and given != RAPTOR:
        changed = ", ".join(f"{name} {shown(given[name])}" for name in RAPTOR if given[name] != RAPTOR[name])
        raise UsageError(f"--network raptor fixes the layers; given {changed}; leave one of them out")
    _require_use(options, rest)
    if options.reward_terms:
        options = dataclasses.replace(options, config=_with_terms(options.config, options.reward_terms))
    if options.out == default.out and options.seeds is None:
        return dataclasses.replace(options, out=_run_folder(options.config))
    return options


def _with_terms(config: Config, terms: dict[str, str]) -> Config:
    """The config with other weights of the reward.

    Raises UsageError where another setting decides on the same weight.
    """
    options = dict(config.task_options)
    for name in terms:
        if name in config.curriculum:
            raise UsageError(
                f"--reward-terms {name} does nothing beside the curriculum of {name}; leave one of them out"
            )
    listed = ",".join(f"{name}={weight}" for name, weight in terms.items() if name != PENALIZED)
    penalty = {PENALTY: terms[PENALIZED]} if PENALIZED in terms else {}
    for name, value in (penalty | ({TERMS: listed} if listed else {})).items():
        if name in options:
            raise UsageError(f"--reward-terms sets the task option {name} too; leave one of them out")
        options[name] = value
    return dataclasses.replace(config, task_options=options)


def base_config(args: list[str], usage: str) -> tuple[list[str], list[str], Config]:
    """What the options of a command start from; imports the modules of --import.

    Args:
        args: The arguments, as in `[ALGORITHM TASK] [--config FILE] [options]`.
        usage: The command's usage, for error lines.

    Returns:
        ALGORITHM and TASK as far as they are given, the other arguments without --import, and the settings of the
        preset or the file.
    """
    imports, args = take_imports(args)
    words = 0
    while words < min(2, len(args)) and not args[words].startswith("-"):
        words += 1
    named, rest = args[:words], args[words:]
    file = _last_value(rest, "--config")
    load_all(imports)  # first, because they may register the task
    if file is not None:
        return named, rest, _from_file(Path(file), named, imports)
    return named, rest, _from_preset(named, imports, rest, usage)


def _require_use(options: TrainOptions, rest: Sequence[str]) -> None:
    """Raise UsageError for an option that has no effect beside the others."""
    several = {"--processes": options.processes, "--stall-seconds": options.stall_seconds}
    for flag, value in several.items():
        for other in ("seeds", "write_config"):
            if value is not None and getattr(options, other) is not None:
                raise UsageError(
                    f"{flag} {value:g} does nothing with --{other.replace('_', '-')}; leave one of them out"
                )
    if options.seeds is None:
        if options.jobs is not None:
            raise UsageError(f"--jobs {options.jobs} does nothing without --seeds")
        return
    if _last_value(rest, "--seed") is not None:
        raise UsageError(f"--seed does nothing with --seeds {options.seeds}; leave one of them out")
    if options.write_config is not None:
        raise UsageError(f"--seeds {options.seeds} does nothing with --write-config; leave one of them out")


def _run_folder(config: Config) -> Path:
    run = f"{config.algorithm_name}-{config.task}".translate(str.maketrans("/:", "--"))
    return Path("runs") / f"{run}-seed{config.seed}"


def _from_preset(named: Sequence[str], imports: tuple[str, ...], rest: Sequence[str], usage: str) -> Config:
    if len(named) < 2:
        if named and named[0] in ALGORITHMS and "--help" not in rest:
            raise UsageError(f"TASK is missing; usage: {usage}; `hgrpo tasks` lists the tasks")
        raise UsageError(
            f"usage: {usage}; ALGORITHM is one of {', '.join(ALGORITHMS)}, "
            f"`hgrpo tasks` lists the tasks, and `{usage.removesuffix(' [options]')} --help` the options"
        )
    config = dataclasses.replace(preset(*named), imports=imports)
    if _last_value(rest, "--memory") != "none":
        return config
    # the preset's settings of a memory go with it
    network = dataclasses.replace(config.network, memory="none", memory_size=Network.memory_size)
    learning = dataclasses.replace(config.learning, sequence_steps=None, burn_in=0)
    return dataclasses.replace(config, network=network, learning=learning)


def _from_file(file: Path, named: Sequence[str], imports: tuple[str, ...]) -> Config:
    """The preset of algorithm and task, changed by a file.

    Args:
        file: TOML file of settings, or the config.json of a run.
        named: ALGORITHM and TASK as far as the command line has them; TASK replaces that of the file.
        imports: Modules that the user named in this call.

    Raises ConfigError for a file that cannot be used, ImportRefusedError for a module that only the file names.
    """
    table = read_file(file)
    try:
        algorithm = (named[0] if named else None) or named_algorithm(table)
        task = (named[1] if len(named) > 1 else None) or table.get("task")
        for key, value in {"algorithm.name": algorithm, "task": task}.items():
            if not isinstance(value, str):
                raise TableError(f"{key} is missing; give it there, or ALGORITHM and TASK to the command")
        of_file = table.get("imports", ())
        require(dict.fromkeys(of_file if isinstance(of_file, list) else (), "its imports"), imports, f"{file} needs")
        config = preset(str(algorithm), str(task)).with_table(table | {"task": task})
    except (ConfigError, TableError) as error:
        raise ConfigError(f"{file}: {error}") from error
    given = (*imports, module_of(config.task)) if len(named) > 1 else imports  # TASK names its module
    require(modules_of(config), given, f"{file} has")
    return dataclasses.replace(config, imports=imports)


def _last_value(words: Sequence[str], flag: str) -> str | None:
    """Value of the last `FLAG VALUE` or `FLAG=VALUE`; None without one."""
    found = None
    for word, following in zip_longest(words, words[1:]):
        if word == flag:
            found = following
        elif word.startswith(f"{flag}="):
            found = word.removeprefix(f"{flag}=")
    return found
