"""A diagnosis as a table: on the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from hgrpo_control.diagnose.estimators import MIX_AUTO, Estimator
from hgrpo_control.diagnose.gradient_statistics import Estimate
from hgrpo_control.diagnose.measurement import Diagnosis, Row
from hgrpo_control.reports.compare import markdown_table
from hgrpo_files import write_text

COLUMNS = (
    "estimator",
    "lambda",
    "N",
    "n",
    "relative bias",
    "cosine",
    "noise, equal states",
    "noise, equal steps",
    "error left",
)
_MEASURES = (
    "relative_bias_squared",
    "cosine",
    "noise_to_signal",
    "best_scale",
    "error_left",
    "signal",
    "variance",
)


class StepsBar:
    """Share done and time left on one line, which appears with the first call."""

    def __init__(self, description: str) -> None:
        columns = (TextColumn("[bold]{task.description}"), BarColumn(bar_width=30), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("left"))
        self._description = description
        self._task: TaskID | None = None

    def __enter__(self) -> StepsBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._progress.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` simulator steps have been taken."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(self._description, total=total)
        self._progress.update(self._task, completed=done)


def cells(row: Row) -> list[str]:
    """One line of the table, the standard error of the last digits in brackets.

    A bias that cannot be told from 0 and a noise-to-signal ratio whose signal cannot are given as bounds, two standard
    errors away.
    """
    estimator, m = row
    return [
        estimator.name,
        "-" if estimator.gae_lambda is None else f"{estimator.gae_lambda:g}",
        str(estimator.num_samples),
        str(estimator.branch_length),
        _bias(m.relative_bias_squared),
        with_error(m.cosine) if m.signal.above_zero else "-",
        _ratio(m.noise_to_signal, m.variance, m.signal, 1),
        _ratio(row.equal_steps, m.variance, m.signal, estimator.num_samples),
        with_error(m.error_left),
    ]


def with_error(estimate: Estimate) -> str:
    """A figure with the standard error of its last digits: 0.724 with 0.051 is 0.72(5).

    It has four decimals at most, and a smaller error counts as one in the last.
    """
    value, error = estimate
    if not 0.0 < error < math.inf:
        return f"{value:.3g}"
    rounded = float(f"{error:.0e}")  # 0.0098 becomes 0.01, an error of the second digit
    decimals = min(max(0, -math.floor(math.log10(rounded))), 4)
    return f"{value:.{decimals}f}({max(1, round(error * 10**decimals))})"


def headline(diagnosis: Diagnosis) -> list[str]:
    """What was measured against what, as plain lines."""
    settings, reference = diagnosis.settings, diagnosis.reference
    norm = reference.squared_norm
    lines = [
        f"{settings.roots} roots x {settings.steps} steps, {settings.budget:,} simulator steps for each N and n, "
        f"seed {settings.seed}.",
        f"Reference: {settings.reference_branches} branches per root of {settings.steps} + {reference.horizon} steps, "
        f"gamma^H = {reference.remainder:.1%}; |g*|^2 = {norm.value:.3g} +- {norm.error:.2g}, "
        f"relative error {reference.relative_error:.1%}.",
        "Noise: tr Cov g / |E g|^2 of one pass over the states, and of as many simulator steps as a pass of PPO takes.",
        f"Error left: relative squared error after {diagnosis.update_steps:,} simulator steps, one update of this run.",
    ]
    if diagnosis.own is not None:
        own = diagnosis.own.estimator
        share = "" if own.mean_share is None else f"; mean share of slopes {own.mean_share:.2f}"
        lines.append(f"This run: {own.note}{share}.")
    if not diagnosis.critic:
        lines.append("This policy has no critic: estimators that need V are left out.")
    elif diagnosis.slope_obstacle:
        lines.append(f"Slopes are left out: {diagnosis.slope_obstacle}.")
    shares = [f"{e.mean_share:.2f} (N {e.num_samples}, n {e.branch_length})" for e in _automatic(diagnosis)]
    if shares:
        lines.append(f"Mix auto, mean share of slopes: {', '.join(shares)}.")
    if not norm.above_zero:
        lines.append("The reference itself is lost in noise: raise --reference-branches before reading any bias.")
    return lines


def terminal_table(diagnosis: Diagnosis) -> Table:
    """The table for a terminal of 80 columns, one section per estimator."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for column in COLUMNS:
        heading = column.replace(" ", "\n")
        table.add_column(heading, no_wrap=True, justify="left" if column == "estimator" else "right")
    previous = None
    for row in _grouped(diagnosis):
        if previous not in (None, row.estimator.name):
            table.add_row()
        table.add_row(*cells(row))
        previous = row.estimator.name
    return table


def write_markdown(diagnosis: Diagnosis, title: str, headline: list[str], picture: str, path: Path) -> None:
    """Write headline, table and picture.

    Args:
        diagnosis: Its rows are the table.
        title: Heading.
        headline: Lines below it.
        picture: File name of the plot.
        path: Of the Markdown file.
    """
    text = markdown_table(COLUMNS, [cells(row) for row in _grouped(diagnosis)])
    lines = "\n".join(f"- {line}" for line in headline)
    write_text(path, f"# {title}\n\n{lines}\n\n{text}\n![{title}]({picture})\n")


def write_csv(diagnosis: Diagnosis, path: Path) -> None:
    """Write every figure with its standard error, one row per estimator.

    A cell is empty where there is no number.
    """
    header = ["estimator", "gae_lambda", "num_samples", "branch_steps", "share", "replicates"]
    header += [f"{name}{suffix}" for name in (*_MEASURES, "noise_to_signal_equal_steps") for suffix in ("", "_error")]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for row in diagnosis.every_row:
        estimator, measurement = row
        estimates = [getattr(measurement, name) for name in _MEASURES] + [row.equal_steps]
        numbers = [number for estimate in estimates for number in estimate]
        lam = "" if estimator.gae_lambda is None else estimator.gae_lambda
        share = "" if estimator.mean_share is None else f"{estimator.mean_share:.6g}"
        writer.writerow(
            [estimator.name, lam, estimator.num_samples, estimator.branch_length, share, measurement.replicates]
            + ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
        )
    write_text(path, text.getvalue())


def _automatic(diagnosis: Diagnosis) -> list[Estimator]:
    """Estimators whose share of slopes differs between steps and action entries, because variances choose it."""
    return [row.estimator for row in diagnosis.rows if row.estimator.name == MIX_AUTO]


def _grouped(diagnosis: Diagnosis) -> list[Row]:
    """Rows by estimator, in the order in which the estimators first appear."""
    order = list(dict.fromkeys(row.estimator.name for row in diagnosis.every_row))
    return sorted(diagnosis.every_row, key=lambda row: order.index(row.estimator.name))


def _bias(squared: Estimate) -> str:
    if not squared.above_zero:
        return f"< {math.sqrt(max(squared.upper, 0.0)):.2g}"
    root = math.sqrt(squared.value)
    return with_error(Estimate(root, squared.error / (2.0 * root)))


def _ratio(ratio: Estimate, variance: Estimate, signal: Estimate, cost: int) -> str:
    """The ratio, or a lower bound where |E g|^2 cannot be told from 0.

    "-" where |E g|^2 is so far below 0 that there is no bound.
    """
    if signal.above_zero:
        return with_error(ratio)
    bound = cost * variance.value / signal.upper if signal.upper > 0.0 else math.nan
    return "-" if math.isnan(bound) else f"> {bound:.2g}" if bound < 100.0 else f"> {bound:.0f}"
