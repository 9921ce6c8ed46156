"""`hgrpo train`: train a policy; the defaults are the preset of algorithm and task."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from hgrpo_control.command_line.parsing import UsageError
from hgrpo_control.command_line.processes import require_same, train_ranks
from hgrpo_control.commands.train_options import USAGE, TrainOptions, parse_train_options
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.config.film import Film
from hgrpo_control.config.ranks import share_of
from hgrpo_control.config.run import Config
from hgrpo_control.config_files.formats import write_toml
from hgrpo_control.ranks.launch import processes_to_start, silence_torch
from hgrpo_control.runs.imports import modules_of
from hgrpo_control.runs.loggers import require_loggers
from hgrpo_imports import import_options

if TYPE_CHECKING:
    from hgrpo_control.ranks.ranks import Ranks
    from hgrpo_control.runs.run_folder import RunFolder
    from hgrpo_control.training.trainer import Trainer


def run(args: list[str]) -> int:
    """`hgrpo train ALGORITHM TASK [options]`; 1 if one of several seeds failed."""
    if args in (["-h"], ["--help"]):
        print(f"usage: {USAGE}\n\nALGORITHM is one of {', '.join(ALGORITHMS)}; `hgrpo tasks` lists the tasks.")
        print("ALGORITHM and TASK may come from a file of settings: hgrpo train --config FILE.toml.")
        print("hgrpo train ALGORITHM TASK --help lists the options and the defaults of this algorithm and task.")
        return 0
    if "--resume" in args:
        raise UsageError("unknown option --resume; to continue a run: hgrpo resume DIR")
    options = parse_train_options(args)
    if options.write_config is not None:
        write_toml(options.write_config, options.config.to_table())
        print(f"written: {options.write_config}")
        return 0
    require_loggers(options.log)
    film = options.film(options.video)
    if options.seeds is not None:
        from hgrpo_control.commands.train_seeds import train_seeds

        return train_seeds(args, options)
    if options.video:
        from robots.drawing.offscreen import require_gl

        require_gl()  # before minutes of training, not after
    processes = processes_to_start(options.processes, options.stall_seconds)
    if processes:
        share_of(options.config, processes)
        return train_ranks(["train", *args], processes)
    silence_torch()
    from hgrpo_control.ranks.join import joined
    from hgrpo_control.training.trainer import Trainer

    with joined(options.config.device, options.stall_seconds) as ranks:
        require_same(options.config.to_table() | {"out": str(options.out)}, ranks)
        with closing(Trainer.from_config(options.config, ranks)) as trainer:
            obstacle = trainer.sampler.simulator.spec.branching_obstacle
            if options.video and obstacle:
                raise UsageError(f"--video draws earlier states: {obstacle}")
            if options.video:
                _require_drawable(options.config, film)
            folder = ranks.together(lambda: _folder(options, ranks))
            with folder.locked() if ranks.rank == 0 else nullcontext():
                train_with_reports(trainer, folder, options.log)
    if options.video and ranks.rank == 0:
        from hgrpo_control.commands import evaluate

        named = modules_of(options.config, learning=False)  # named by the user in this call
        args = [str(folder.path), "--video", *options.as_args, *import_options(tuple(named)).split()]
        try:
            evaluate.run(args)
        except KeyboardInterrupt as stopped:
            again = f"hgrpo evaluate {' '.join(args)}"
            raise KeyboardInterrupt(f"the trained policy is kept; film it with: {again}") from stopped
    return 0


def _folder(options: TrainOptions, ranks: Ranks) -> RunFolder:
    """The folder of the run, which rank 0 makes."""
    from hgrpo_control.runs.run_folder import RunFolder

    return RunFolder(options.out) if ranks.rank else RunFolder.create(options.out, options.config)


def _require_drawable(config: Config, film: Film) -> None:
    """Draw with a separate simulator, so that training begins as it does without a film."""
    from hgrpo_control.evaluation.video import require_drawable
    from hgrpo_control.training.simulation import make_simulator
    from robots.simulator import closing as closing_simulator

    with closing_simulator(make_simulator(config)) as simulator:
        require_drawable(simulator, film)


def train_with_reports(trainer: Trainer, folder: RunFolder, log: Sequence[str]) -> None:
    """Train under a progress bar; after Ctrl-C the message has the command that continues the run."""
    from hgrpo_control.api.progress import run_with_progress

    try:
        run_with_progress(trainer, folder, log=log)
    except KeyboardInterrupt as stopped:
        if folder.checkpoint.exists():
            raise KeyboardInterrupt(f"continue with: {trainer.resume_command(folder.path)}") from stopped
        raise KeyboardInterrupt(f"nothing was learned yet; {folder.path} can be deleted") from stopped
    if trainer.ranks.rank == 0:
        print(f"trained: {folder.path} ({trainer.simulator_steps:,} simulator steps in {trainer.wall_seconds:.0f} s)")
