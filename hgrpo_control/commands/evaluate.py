"""`hgrpo evaluate`: evaluate a trained policy in fresh episodes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.config.argument import IMPORTS, RUN_FOLDER
from hgrpo_control.config.film import Film, FilmSettings
from hgrpo_control.config.judged import JudgedSettings
from hgrpo_control.config.named_values import TASK_OPTIONS, named_values
from hgrpo_fields import Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgrpo_control.config.run import Config
    from hgrpo_control.evaluation.evaluate import Recording
    from hgrpo_control.runs.run_folder import EvaluationFiles, RunFolder
    from policies.actor_critic import ActorCritic
    from robots.interventions import Disturbance
    from robots.simulator import Simulator


Format = Literal["npz", "csv"]
DISTURB = named_values("disturbance", "NAME=VALUE, such as mass=1.2", "NAME=VALUE")
GRID = named_values("axis", "NAME=FIRST:LAST:COUNT, such as wind=0:5:6", "NAME=FIRST:LAST:COUNT")


@dataclass(frozen=True)
class EvaluateOptions(JudgedSettings, FilmSettings):
    """Evaluate a trained policy without exploration in fresh episodes, and write evaluation.json into its folder.

    With other task options, difficulty or weights the file name contains them, such as evaluation-speed=2.json.
    Pictures of other episodes than those of evaluation.json are renamed to former-NAME.
    """

    folder: Annotated[Path, RUN_FOLDER]
    """Run folder."""
    episodes: Annotated[int, Range(least=1)] = 100
    """Number of episodes, simulated in parallel."""
    seed: int = 0
    """Seed of the episodes; training does not use it."""
    video: bool = False
    """Write video.mp4 and episodes.png of the first episodes too."""
    video_episodes: Annotated[int, Range(least=1)] = 4
    """Number of episodes in the film and in the plots."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Task options that differ from those of the training."""
    disturb: Annotated[dict[str, str], DISTURB] = field(default_factory=dict)
    """Disturbances of all episodes: factors mass and rotor1 to rotor4, and accelerations wind (along world x), wind_y
    and wind_z [m/s^2].
    """
    grid: Annotated[dict[str, str], GRID] = field(default_factory=dict)
    """Evaluate at every combination of one or two disturbances, such as wind=0:5:6 mass=0.8:1.2:5, and write
    grid-NAMES.csv and grid-NAMES.png."""
    record: Path | None = None
    """New folder for every episode, step by step."""
    record_format: Format = "npz"
    """Format of the episodes."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> None:
    """`hgrpo evaluate DIR [options]`."""
    options = parse(EvaluateOptions, args, "hgrpo evaluate")
    film = options.film(options.video)
    if options.video:
        from robots.drawing.offscreen import require_gl

        require_gl()
    _require_sense(options)
    from hgrpo_control.runs.run_folder import RunFolder

    if "difficulty" in options.changed and "difficulty" in options.task_options:
        raise UsageError(
            f"--difficulty {options.difficulty} and difficulty={options.task_options['difficulty']} of --task-options "
            "contradict each other; give one of them"
        )
    folder = RunFolder.open(options.folder)
    config = folder.read_config(options.imports, learning=False)
    changed = dataclasses.replace(config, task_options=config.task_options | options.task_options)
    from hgrpo_control.training.simulation import make_simulator
    from robots.simulator import closing

    with closing(make_simulator(changed)) as simulator:
        _fly(options, film, folder, changed, simulator)


def _require_sense(options: EvaluateOptions) -> None:
    """Raise UsageError for options that contradict each other or do nothing."""
    if options.grid and (options.video or options.record is not None):
        given = "--video" if options.video else "--record"
        raise UsageError(f"{given} is for one evaluation; given --grid {' '.join(options.grid)}; allowed: one of them")
    if options.record is None and options.record_format != "npz":
        raise UsageError(f"--record-format {options.record_format} does nothing without --record")
    if options.record is not None:
        from hgrpo_control.evaluation.episode_log import require_empty

        require_empty(options.record)


def _fly(options: EvaluateOptions, film: Film, folder: RunFolder, changed: Config, simulator: Simulator) -> None:
    """Fly, and write what came of it."""
    from hgrpo_control.command_line.interruption import listing_what_is_kept
    from hgrpo_control.evaluation.disturb import disturbance_of, read_disturbances, require_disturbable
    from hgrpo_control.evaluation.episode_log import EpisodeLog
    from hgrpo_control.evaluation.evaluate import evaluate as fly
    from hgrpo_control.evaluation.former_files import episodes_replaced, holds, set_aside
    from hgrpo_control.runs.loggers import log_evaluation
    from hgrpo_control.training.judged import judge_at
    from policies.checkpoint import restore

    if options.video and simulator.spec.branching_obstacle:
        raise UsageError(f"--video draws earlier states: {simulator.spec.branching_obstacle}")
    record = options.video_episodes if options.video else 0
    if options.video:
        from hgrpo_control.evaluation.video import require_drawable

        require_drawable(simulator, film)
    disturbances = read_disturbances(options.disturb)
    require_disturbable(simulator, (*disturbances, *options.grid))
    policy, training = restore(folder.checkpoint)
    judged = judge_at(simulator, changed, training, options)
    if options.grid:
        _fly_grid(options, folder, policy, simulator, disturbances)
        return
    log = None if options.record is None else EpisodeLog(simulator, options.episodes)
    given = (policy, simulator, options.episodes, options.seed, record)
    evaluation, recording = fly(*given, disturbance=disturbance_of(disturbances), log=log)
    evaluation = dataclasses.replace(
        evaluation, task_options=changed.task_options, judged_at=judged.for_json(), disturbances=disturbances
    )
    disturbed = {f"disturb.{name}": word for name, word in options.disturb.items()}
    files = folder.evaluation_files(options.task_options | options.changed | disturbed)
    replaced = episodes_replaced(files.figures, evaluation.episodes)
    same = holds(files.figures, evaluation.to_json())
    with listing_what_is_kept() as kept:
        evaluation.write(files.figures)
        kept.append(files.figures)
        for line in (*judged.lines, evaluation.summary()):
            print(line)
        print(f"evaluation: {files.figures}{replaced}")
        if log is not None and options.record is not None:
            log.write(options.record, options.record_format)
            kept.append(options.record)
            print(f"episodes: {options.record}")
        with set_aside(() if same and not options.video else (files.plot, files.video)):
            if files.figures == folder.evaluation and "simulator_steps" in training:
                log_evaluation(folder, evaluation.figures, training["simulator_steps"])
            if options.video:
                _film(simulator, recording, files, kept, folder.path.resolve().name, film)


def _fly_grid(
    options: EvaluateOptions,
    folder: RunFolder,
    policy: ActorCritic,
    simulator: Simulator,
    disturbances: Mapping[str, float],
) -> None:
    """Evaluate every cell of the grid, and write the table and the picture."""
    from rich.console import Console

    from hgrpo_control.evaluation.evaluate import Evaluation, evaluate
    from hgrpo_control.evaluation.grid import evaluate_grid, read_axes
    from hgrpo_control.reports.grid import draw_grid, grid_table, write_grid

    def fly(disturbance: Disturbance | None) -> Evaluation:
        return evaluate(policy, simulator, options.episodes, options.seed, disturbance=disturbance)[0]

    grid = evaluate_grid(read_axes(options.grid), disturbances, fly)
    changed = {f"disturb.{name}": word for name, word in options.disturb.items()}
    table, picture = folder.grid_files(tuple(grid.axes), options.task_options | options.changed | changed)
    write_grid(grid, table)
    draw_grid(grid, f"{simulator.spec.name}, {options.episodes} episodes in each cell", picture)
    Console(highlight=False, soft_wrap=True).print(grid_table(grid))
    print(f"table: {table}")
    print(f"heat map: {picture}")


def _film(
    simulator: Simulator, recording: Recording, files: EvaluationFiles, kept: list[Path], policy: str, settings: Film
) -> None:
    from hgrpo_control.evaluation.video import film
    from hgrpo_control.reports.learning_curves import flown_episodes

    flown_episodes(recording, simulator.spec.control_hz, files.plot)
    kept.append(files.plot)
    print(f"plots: {files.plot}")
    film(simulator, recording, files.video, policy, settings)
    print(f"video: {files.video}")
