"""The command line `hgrpo`. Every command imports what it needs when it runs, so that `hgrpo --help` is quick."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hgrpo_control.command_line import UsageError, nearest, parse
from hgrpo_control.command_options import (
    CheckOptions,
    CompareOptions,
    DiagnoseOptions,
    EvaluateOptions,
    ExportOptions,
    InspectOptions,
    TransferOptions,
)

if TYPE_CHECKING:
    from hgrpo_control.run_folder import RunFolder
    from hgrpo_control.training import Trainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for a check that failed, 2 for a user's mistake or a diverged
    run, 130 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    try:
        if words[0] not in COMMANDS:
            raise UsageError(f"unknown command {words[0]!r}; {nearest(words[0], tuple(COMMANDS))}")
        return COMMANDS[words[0]].run(words[1:]) or 0
    except (ValueError, RuntimeError, OSError) as error:
        print(f"hgrpo: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"hgrpo: {words[0]} needs {error.name}: pip install 'hgrpo-control[train]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def entry_point() -> None:
    """What the installed `hgrpo` script calls."""
    sys.exit(main())


def train(words: list[str]) -> None:
    """`hgrpo train ALGORITHM TASK [options]` and `hgrpo train --resume DIR`."""
    from hgrpo_control.run_folder import RunFolder
    from hgrpo_control.train_options import parse_train_options
    from hgrpo_control.training import Trainer, restore_trainer

    if words in (["-h"], ["--help"]):
        print("usage: hgrpo train ALGORITHM TASK [options]\n       hgrpo train --resume DIR")
        return
    if "--resume" in words:
        if len(words) != 2 or words[0] != "--resume":
            raise UsageError("--resume takes a run folder and nothing else: hgrpo train --resume DIR")
        folder = RunFolder.open(words[1])
        trainer = restore_trainer(folder)
        if trainer.resume_note:
            print(f"hgrpo: {trainer.resume_note}", file=sys.stderr)
        _train_with_reports(trainer, folder)
        return
    options = parse_train_options(words)
    if options.video:
        from robots.render import require_gl

        require_gl()  # before minutes of training, not after
    trainer = Trainer(options.config)
    obstacle = trainer.sampler.simulator.spec.branching_obstacle
    if options.video and obstacle:
        raise UsageError(f"--video draws earlier states: {obstacle}")
    folder = RunFolder.create(options.out, options.config)
    _train_with_reports(trainer, folder)
    if options.video:
        evaluate([str(folder.path), "--video"])


def _train_with_reports(trainer: Trainer, folder: RunFolder) -> None:
    """Train under a progress bar; an interrupted run says how to go on."""
    from hgrpo_control.progress import ProgressBar, TensorBoard
    from hgrpo_control.training import run

    tensorboard = TensorBoard(folder, trainer.executed_steps)
    try:
        with ProgressBar(trainer.config) as bar:
            run(trainer, folder, (bar, tensorboard))
    except KeyboardInterrupt:
        print(f"interrupted; continue with: hgrpo train --resume {folder.path}", file=sys.stderr)
        raise
    finally:
        tensorboard.close()
    print(f"trained: {folder.path} ({trainer.simulator_steps:,} simulator steps in {trainer.wall_seconds:.0f} s)")


def evaluate(words: list[str]) -> None:
    """`hgrpo evaluate DIR [options]`."""
    options = parse(EvaluateOptions, words, "hgrpo evaluate")
    if options.video:
        from robots.render import require_gl

        require_gl()
    from hgrpo_control.evaluation import evaluate as fly
    from hgrpo_control.run_folder import RunFolder
    from hgrpo_control.simulation import make_simulator
    from policies.checkpoint import load

    folder = RunFolder.open(options.folder)
    config = folder.read_config()
    changed = dataclasses.replace(config, task_options=config.task_options | options.task_options)
    simulator = make_simulator(changed)
    if options.video and simulator.spec.branching_obstacle:
        raise UsageError(f"--video draws earlier states: {simulator.spec.branching_obstacle}")
    record = options.video_episodes if options.video else 0
    if options.video and record < 1:
        raise UsageError(f"video_episodes must be at least 1; given {record}")
    evaluation, recording = fly(load(folder.checkpoint), simulator, options.episodes, options.seed, record)
    evaluation = dataclasses.replace(evaluation, task_options=changed.task_options)
    evaluation.write(folder.evaluation)
    print(evaluation.summary())
    print(f"evaluation: {folder.evaluation}")
    if options.video:
        from hgrpo_control.plots import flown_episodes
        from hgrpo_control.video import film

        flown_episodes(recording, simulator.spec.control_hz, folder.episodes_plot)
        print(f"plots: {folder.episodes_plot}")
        film(simulator, recording, folder.video)
        print(f"video: {folder.video}")


def transfer(words: list[str]) -> None:
    """`hgrpo transfer DIR --to PHYSICS [options]`."""
    options = parse(TransferOptions, words, "hgrpo transfer")
    if options.video:
        from robots.render import require_gl

        require_gl()
    from rich.console import Console

    from hgrpo_control import transfer_report
    from hgrpo_control.run_folder import RunFolder
    from hgrpo_control.transfer import Exported, places
    from policies.checkpoint import load
    from sim2real.export_onnx import export_onnx
    from sim2real.onnx_policy import OnnxPolicy

    folder = RunFolder.open(options.folder)
    with places(folder.read_config(), options.to) as there_and_at_home:
        export_onnx(load(folder.checkpoint), folder.onnx)
        result = there_and_at_home.fly(Exported(OnnxPolicy(folder.onnx)), options.episodes, options.seed)
        written = transfer_report.write(result, folder, options.video)
    Console().print(transfer_report.table(result))
    for line in (*transfer_report.notes(result), *(f"{kind}: {path}" for kind, path in written.items())):
        print(line)


def export(words: list[str]) -> None:
    """`hgrpo export DIR [options]`."""
    bare = "--onnx" in words and "".join(words[words.index("--onnx") + 1 :][:1])[:2] in ("", "--")
    options = parse(ExportOptions, [word for word in words if not (bare and word == "--onnx")], "hgrpo export")
    if bare:
        options = dataclasses.replace(options, onnx=options.folder / "policy.onnx")
    from hgrpo_control.export_command import export as write

    for line in write(options):
        print(line)


def inspect(words: list[str]) -> None:
    """`hgrpo inspect FILE`."""
    options = parse(InspectOptions, words, "hgrpo inspect")
    from sim2real.inspection import inspect as describe

    print(describe(options.file))


def compare(words: list[str]) -> None:
    """`hgrpo compare DIR DIR ... [options]`."""
    options = parse(CompareOptions, words, "hgrpo compare")
    if not options.folders:
        raise UsageError("hgrpo compare needs at least one run folder")
    from hgrpo_control.compare import compare as side_by_side

    for path in side_by_side(options.folders, options.out):
        print(path)


def diagnose(words: list[str]) -> None:
    """`hgrpo diagnose DIR [options]`."""
    options = parse(DiagnoseOptions, words, "hgrpo diagnose")
    from rich.console import Console

    from hgrpo_control import diagnose_report, rewards
    from hgrpo_control.diagnose import diagnose as measure
    from hgrpo_control.diagnose_plot import picture
    from hgrpo_control.run_folder import RunFolder
    from hgrpo_control.simulation import training_simulator
    from policies.checkpoint import restore

    folder = RunFolder.open(options.folder)
    config = folder.read_config()
    policy, training = restore(folder.checkpoint)
    transform = rewards.make(config.algorithm, config.num_envs)
    transform.load_state_dict(training.get("reward_transform", {}))
    with diagnose_report.StepsBar(f"diagnose {folder.path.resolve().name}") as bar:
        diagnosis = measure(policy, training_simulator(config), config, options.settings, bar, transform)
    title = f"Policy gradients of {folder.path.resolve().name}"
    diagnose_report.write_csv(diagnosis, folder.diagnosis_table)
    picture(diagnosis, title, folder.diagnosis_plot)
    diagnose_report.write_markdown(diagnosis, title, folder.diagnosis_plot.name, folder.diagnosis)
    Console().print(diagnose_report.terminal_table(diagnosis))
    for line in diagnose_report.headline(diagnosis):
        print(line)
    for path in (folder.diagnosis, folder.diagnosis_table, folder.diagnosis_plot):
        print(f"diagnosis: {path}")


def tasks(words: list[str]) -> None:
    """`hgrpo tasks`."""
    if words in (["-h"], ["--help"]):
        print("usage: hgrpo tasks\n\nList every task, its spaces and its simulator.")
        return
    if words:
        raise UsageError(f"hgrpo tasks takes no arguments; given {' '.join(words)}")
    from rich.console import Console

    import robots
    from hgrpo_control.task_table import task_table

    console = Console()
    console.print(task_table(console.width))
    for prefix, line in robots.families().items():
        print(f"{prefix}/...: {line}")


def check(words: list[str]) -> int:
    """`hgrpo check ENV [options]`; returns 0 if the environment is exact, 1 if not."""
    options = parse(CheckOptions, words, "hgrpo check")
    if options.states < 1 or options.steps < 1:
        raise UsageError(f"states and steps must be at least 1; given {options.states} and {options.steps}")
    from rich.console import Console

    from hgrpo_control.check_report import difference_table, verdict
    from robots.adapters.branch_check import check as branch_check
    from robots.adapters.subject import subjects

    one, other = subjects(options.environment, dict(options.task_options))
    report = branch_check(one, other, options.states, options.steps, options.seed)
    if report.differences:
        Console().print(difference_table(report))
    for line in (*(f"problem: {line}" for line in report.problems), *(f"note: {line}" for line in report.notes)):
        print(line)
    print(verdict(options.environment, report))
    return 0 if report.exact else 1


class Command(NamedTuple):
    """One word behind `hgrpo`."""

    run: Callable[[list[str]], int | None]
    usage: str
    purpose: str


COMMANDS: dict[str, Command] = {
    "tasks": Command(tasks, "", "every task, its spaces and its simulator"),
    "train": Command(train, "ALGORITHM TASK [--out DIR ...]", "train a policy (ppo, grpo, hybrid-grpo); --resume DIR"),
    "evaluate": Command(evaluate, "DIR [--video ...]", "fly a trained policy in fresh episodes"),
    "transfer": Command(
        transfer, "DIR --to PHYSICS [--video ...]", "fly a policy in another physics: mujoco, gym-pybullet-drones"
    ),
    "export": Command(export, "DIR [--onnx] [--c NAME ...]", "write a trained policy as ONNX, as C, for a Crazyflie"),
    "inspect": Command(inspect, "FILE", "what an exported ONNX file takes, gives and was measured at"),
    "check": Command(check, "ENV [--states K ...]", "branch and replay an environment: is it exact?"),
    "compare": Command(compare, "DIR DIR ...", "learning curves and a table of several runs"),
    "diagnose": Command(diagnose, "DIR [--roots E ...]", "variance and bias of every estimator's policy gradient"),
}


def _overview() -> str:
    lines = [f"  hgrpo {f'{name} {command.usage}':44}{command.purpose}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "Train, judge and export robot policies: PPO, GRPO and Hybrid GRPO.",
            "",
            *lines,
            "",
            "hgrpo COMMAND --help has the options of each.",
        )
    )
