"""The progress bar of training."""

from __future__ import annotations

import math
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hgrpo_control.config.run import Config
from hgrpo_control.runs.run_folder import Metrics


class ProgressBar:
    """Algorithm and task of a run, and below them one line of progress.

    The line has at most 80 columns: share done, speed, return, success if the task has a goal, and time left.
    """

    def __init__(self, config: Config, console: Console | None = None) -> None:
        self._progress = Progress(
            BarColumn(bar_width=10),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[quality]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
        )
        self._description = f"{config.algorithm_name} {config.task}"
        self._total = config.num_iterations
        self._return = self._success = math.nan

    def __enter__(self) -> ProgressBar:
        self._progress.console.print(self._description, style="bold", markup=False, highlight=False)
        self._progress.start()
        self._task = self._progress.add_task("", total=self._total, speed="", quality="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def report(self, metrics: Metrics) -> None:
        """Show one more iteration; return and success stay as they were while no episode ends."""
        if not math.isnan(metrics["episode_return"]):
            self._return, self._success = metrics["episode_return"], metrics["success_rate"]
        self._progress.update(
            self._task,
            completed=metrics["iteration"],
            speed=f"{metrics['simulator_steps_per_second'] / 1000:.1f}k steps/s",
            quality=self._quality(),
        )

    def _quality(self) -> str:
        """Return and success as far as there are any; a task without a goal has no success."""
        if math.isnan(self._return):
            return ""
        return f"return {self._return:.1f}" + ("" if math.isnan(self._success) else f" success {self._success:.0%}")
