"""The options of `hgrpo train`: a config whose defaults are the preset of algorithm and task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hgrpo_control.command_line import UsageError, parse
from hgrpo_control.config import ALGORITHMS, Config
from hgrpo_control.presets import preset


@dataclass(frozen=True)
class TrainOptions:
    """Train a policy; the defaults below are the preset of this algorithm and task."""

    config: Config
    out: Path = Path("runs")
    """Folder of the run; must not exist yet."""
    video: bool = False
    """Evaluate and film the policy when training has ended."""


def parse_train_options(words: list[str]) -> TrainOptions:
    """Options from the words behind `hgrpo train`; raises UsageError or ConfigError."""
    if len(words) < 2 or words[0].startswith("-") or words[1].startswith("-"):
        if words and words[0] in ALGORITHMS and "--help" not in words:
            raise UsageError("which task? usage: hgrpo train ALGORITHM TASK [options]; `hgrpo tasks` lists them")
        raise UsageError(
            f"usage: hgrpo train ALGORITHM TASK [options]; ALGORITHM is one of {', '.join(ALGORITHMS)}, "
            "`hgrpo tasks` lists the tasks, and `hgrpo train ALGORITHM TASK --help` the options"
        )
    algorithm, task, *rest = words
    config = preset(algorithm, task)
    run = f"{algorithm}-{task}".translate(str.maketrans("/:", "--"))
    default = TrainOptions(config, Path("runs") / f"{run}-seed{config.seed}")
    options = parse(TrainOptions, rest, f"hgrpo train {algorithm} {task}", default)
    if options.out == default.out and options.config.seed != config.seed:
        out = Path("runs") / f"{run}-seed{options.config.seed}"
        return TrainOptions(options.config, out, options.video)
    return options
