"""`hgrpo train`: train a policy; the defaults are the preset of algorithm and task."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hgrpo_control.command_line.options import shown
from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.config.argument import Argument
from hgrpo_control.config.film import Film, FilmSettings
from hgrpo_control.config.run import Config
from hgrpo_control.presets.quadrotor import preset
from hgrpo_control.runs.imports import modules_of
from hgrpo_imports import import_options, load_all, take_imports

if TYPE_CHECKING:
    from hgrpo_control.runs.run_folder import RunFolder
    from hgrpo_control.training.trainer import Trainer


RAPTOR: dict[str, Any] = {"hidden_sizes": (16,), "activation": "relu", "memory": "gru", "memory_size": 16}
"""Layers of RAPTOR (Eschmann et al., 2025), which PX4's mc_raptor has compiled in."""
USAGE = "hgrpo train ALGORITHM TASK [options]"


@dataclass(frozen=True)
class TrainOptions(FilmSettings):
    """Train a policy; the defaults are the preset of the algorithm and the task."""

    config: Config
    out: Path = Path("runs")
    """Folder of the run; it must not exist yet."""
    layers: Annotated[Literal["preset", "raptor"], Argument(flag="--network")] = "preset"
    """Layers: those of the preset, or 16 units with ReLU and a GRU of 16 units as RAPTOR has, for `export --px4`."""
    video: bool = False
    """Evaluate and film the policy after training."""


def parse_train_options(args: list[str]) -> TrainOptions:
    """Options from the arguments behind `hgrpo train`; imports the modules of --import.

    Raises:
        UsageError, ConfigError: Arguments that do not parse, or settings that contradict each other.
    """
    imports, args = take_imports(args)
    if len(args) < 2 or args[0].startswith("-") or args[1].startswith("-"):
        if args and args[0] in ALGORITHMS and "--help" not in args:
            raise UsageError(f"TASK is missing; usage: {USAGE}; `hgrpo tasks` lists the tasks")
        raise UsageError(
            f"usage: {USAGE}; ALGORITHM is one of {', '.join(ALGORITHMS)}, "
            "`hgrpo tasks` lists the tasks, and `hgrpo train ALGORITHM TASK --help` the options"
        )
    algorithm, task, *rest = args
    load_all(imports)  # first, because they may register the task
    config = dataclasses.replace(preset(algorithm, task), imports=imports)
    layers: Literal["preset", "raptor"] = "raptor" if _wants_raptor(rest) else "preset"
    if layers == "raptor":
        config = dataclasses.replace(config, network=dataclasses.replace(config.network, **RAPTOR))
    run = f"{algorithm}-{task}".translate(str.maketrans("/:", "--"))
    default = TrainOptions(config, Path("runs") / f"{run}-seed{config.seed}", layers)
    options = parse(TrainOptions, rest, f"hgrpo train {algorithm} {task}", default)
    given = {name: getattr(options.config.network, name) for name in RAPTOR}
    if layers == "raptor" and given != RAPTOR:
        changed = ", ".join(f"{name} {shown(given[name])}" for name in RAPTOR if given[name] != RAPTOR[name])
        raise UsageError(f"--network raptor fixes the layers; given {changed}; leave one of them out")
    if options.out == default.out and options.config.seed != config.seed:
        out = Path("runs") / f"{run}-seed{options.config.seed}"
        return dataclasses.replace(options, out=out)
    return options


def _wants_raptor(words: list[str]) -> bool:
    """Whether --network raptor is among the words; its layers are the defaults of the other options then."""
    return "--network=raptor" in words or ("--network", "raptor") in pairwise(words)


def run(args: list[str]) -> None:
    """`hgrpo train ALGORITHM TASK [options]`."""
    if args in (["-h"], ["--help"]):
        print(f"usage: {USAGE}\n\nALGORITHM is one of {', '.join(ALGORITHMS)}; `hgrpo tasks` lists the tasks.")
        print("hgrpo train ALGORITHM TASK --help lists the options and the defaults of this algorithm and task.")
        return
    if "--resume" in args:
        raise UsageError("unknown option --resume; to continue a run: hgrpo resume DIR")
    options = parse_train_options(args)
    film = options.film(options.video)
    if options.video:
        from robots.drawing.offscreen import require_gl

        require_gl()  # before minutes of training, not after
    from hgrpo_control.runs.run_folder import RunFolder
    from hgrpo_control.training.trainer import Trainer

    with closing(Trainer.from_config(options.config)) as trainer:
        obstacle = trainer.sampler.simulator.spec.branching_obstacle
        if options.video and obstacle:
            raise UsageError(f"--video draws earlier states: {obstacle}")
        if options.video:
            _require_drawable(options.config, film)
        with RunFolder.create(options.out, options.config).locked() as folder:
            train_with_reports(trainer, folder)
    if options.video:
        from hgrpo_control.commands import evaluate

        named = modules_of(options.config, learning=False)  # named by the user in this call
        args = [str(folder.path), "--video", *options.as_args, *import_options(tuple(named)).split()]
        try:
            evaluate.run(args)
        except KeyboardInterrupt as stopped:
            again = f"hgrpo evaluate {' '.join(args)}"
            raise KeyboardInterrupt(f"the trained policy is kept; film it with: {again}") from stopped


def _require_drawable(config: Config, film: Film) -> None:
    """Draw with a separate simulator, so that training begins as it does without a film."""
    from hgrpo_control.evaluation.video import require_drawable
    from hgrpo_control.training.simulation import make_simulator
    from robots.simulator import closing as closing_simulator

    with closing_simulator(make_simulator(config)) as simulator:
        require_drawable(simulator, film)


def train_with_reports(trainer: Trainer, folder: RunFolder) -> None:
    """Train under a progress bar; after Ctrl-C the message has the command that continues the run."""
    from hgrpo_control.api.progress import run_with_progress

    try:
        run_with_progress(trainer, folder)
    except KeyboardInterrupt as stopped:
        if folder.checkpoint.exists():
            raise KeyboardInterrupt(f"continue with: {trainer.resume_command(folder.path)}") from stopped
        raise KeyboardInterrupt(f"nothing was learned yet; {folder.path} can be deleted") from stopped
    print(f"trained: {folder.path} ({trainer.simulator_steps:,} simulator steps in {trainer.wall_seconds:.0f} s)")
