"""`hgrpo transfer`: evaluate an exported policy in another physics engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.argument import IMPORTS, RUN_FOLDER, Argument
from hgrpo_control.config.film import FilmSettings
from hgrpo_control.config.judged import JudgedSettings
from hgrpo_fields import Range


@dataclass(frozen=True)
class TransferOptions(JudgedSettings, FilmSettings):
    """Evaluate an exported quadrotor policy in another physics engine and in its own.

    Both start from the same initial states.

    Writes policy.onnx, transfer-NAME.json and transfer-NAME.png into the run folder.
    """

    folder: Annotated[Path, RUN_FOLDER]
    """Run folder."""
    to: Annotated[str, Argument("PHYSICS")]
    """Physics engine: mujoco or gym-pybullet-drones."""
    episodes: Annotated[int, Range(least=1)] = 100
    """Number of episodes in each engine, simulated in parallel."""
    seed: int = 0
    """Seed of the initial states; training does not use it."""
    video: bool = False
    """Write transfer-NAME.mp4 of the first episodes in that engine too."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> None:
    """`hgrpo transfer DIR --to PHYSICS [options]`."""
    options = parse(TransferOptions, args, "hgrpo transfer")
    film = options.film(options.video)
    if options.video:
        from robots.drawing.offscreen import require_gl

        require_gl()
    from rich.console import Console

    from hgrpo_control.command_line.interruption import listing_what_is_kept
    from hgrpo_control.evaluation.array_policy import ArrayPolicy
    from hgrpo_control.export.files import trained_on
    from hgrpo_control.runs.run_folder import RunFolder
    from hgrpo_control.transfer import report
    from hgrpo_control.transfer.measurement import places
    from policies.checkpoint import restore
    from sim2real.export.onnx import export_onnx
    from sim2real.policy.onnx_policy import OnnxPolicy

    folder = RunFolder.open(options.folder)
    config = folder.read_config(options.imports, learning=False)
    with places(config, options.to) as there_and_at_home, listing_what_is_kept() as kept:
        policy, training = restore(folder.checkpoint)
        there_and_at_home.judge_at(config, training, options)
        export_onnx(policy, folder.onnx, trained=trained_on(config, policy.spec.robot))
        kept.append(folder.onnx)
        result = there_and_at_home.fly(ArrayPolicy(OnnxPolicy(folder.onnx)), options.episodes, options.seed)
        written = {"onnx": folder.onnx}
        for kind, path in report.write(result, folder, film if options.video else None):
            written[kind] = path
            kept.append(path)
    Console().print(report.table(result))
    for line in (*report.notes(result), *(f"{kind}: {path}" for kind, path in written.items())):
        print(line)
