"""TensorBoard curves of a run: metrics of training, its settings, and evaluations, over simulator steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_files import writing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

GROUPS = {
    "charts": ("episode_return", "episode_length", "success_rate", "difficulty", "diverged"),
    "losses": (
        "policy_loss",
        "value_loss",
        "entropy",
        "approx_kl",
        "clip_fraction",
        "explained_variance",
        "grad_norm",
        "learning_rate",
        "epochs",
        "reference_kl",
        "sigma",
        "temperature",
        "guidance_loss",
        "guidance_explained_variance",
    ),
    "diagnostics": (
        "group_spread",
        "zero_variance_groups",
        "advantage_variance_before",
        "advantage_variance",
        "gradient_noise_scale",
        "effective_sample_size",
        "archive_size",
        "archive_starts",
        "archive_failure_rate",
    ),
    "time": (
        "iteration",
        "executed_steps",
        "wall_seconds",
        "simulator_steps_per_second",
        "sampling_seconds",
        "learning_seconds",
        "exchange_seconds",
    ),
}
"""Columns of metrics.csv by the group of their tag; other columns belong to charts."""
_GROUP = {name: group for group, names in GROUPS.items() for name in names}
_STEP = "simulator_steps"  # the step of every curve, so none of its own


class TensorBoard:
    """Writes every metric as a curve over simulator steps, and once the settings as a table.

    Args:
        folder: Where the run lies; the files appear in its folder `tensorboard` with the first iteration.
        simulator_steps: Those already taken by a resumed run; curves beyond them are replaced.
    """

    def __init__(self, folder: RunFolder, simulator_steps: int = 0) -> None:
        self._folder, self._simulator_steps = folder, simulator_steps
        self._writer: SummaryWriter | None = None

    def report(self, metrics: Metrics) -> None:
        """Write one iteration; values that are NaN are left out. Raises FileError."""
        with writing(self._folder.tensorboard):
            if self._writer is None:  # the run makes its folder before its first iteration
                from torch.utils.tensorboard import SummaryWriter

                purge = self._simulator_steps + 1 if self._simulator_steps else None
                self._writer = SummaryWriter(str(self._folder.tensorboard), purge_step=purge)
                self._writer.add_text("settings", _settings(self._folder), self._simulator_steps)
            for tag, value in tagged(metrics).items():
                self._writer.add_scalar(tag, value, int(metrics[_STEP]))

    def add_evaluation(self, figures: Mapping[str, float], simulator_steps: int) -> None:
        """Write the figures of an evaluation; values that are NaN are left out. Raises FileError."""
        from torch.utils.tensorboard import SummaryWriter

        with writing(self._folder.tensorboard), SummaryWriter(str(self._folder.tensorboard)) as writer:
            for tag, value in tagged(figures, "evaluation").items():
                writer.add_scalar(tag, value, simulator_steps)

    def close(self) -> None:
        """Write out what is buffered; raises FileError."""
        if self._writer is not None:
            with writing(self._folder.tensorboard):
                self._writer.close()


def tagged(values: Mapping[str, float], group: str = "") -> dict[str, float]:
    """The values that are measured, by tags GROUP/NAME.

    Args:
        values: Values by name; NaN, and the simulator steps, are left out.
        group: Group of all; that of each metric if empty.
    """
    shown = {name: value for name, value in values.items() if name != _STEP and not math.isnan(value)}
    return {f"{group or _GROUP.get(name, 'charts')}/{name}": value for name, value in shown.items()}


def _settings(folder: RunFolder) -> str:
    """The run's settings as a Markdown table."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in folder.settings().items())
    return f"| setting | value |\n|---|---|\n{rows}"
